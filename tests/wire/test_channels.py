"""Channels: opening, closing from either side, flow, and that one channel's error is nobody else's."""

from __future__ import annotations

import uuid

import pytest

from tests.behaviour.expectations import leveret_only, wait_until
from tests.support.raw_client import (
    BASIC_CONSUME_OK,
    BASIC_DELIVER,
    BASIC_GET_OK,
    BODY,
    CHANNEL_CLOSE,
    CHANNEL_CLOSE_OK,
    CHANNEL_FLOW,
    CHANNEL_FLOW_OK,
    CHANNEL_OPEN,
    CHANNEL_OPEN_OK,
    CONFIRM_SELECT,
    CONFIRM_SELECT_OK,
    HEADER,
    QUEUE_DECLARE_OK,
    RawClient,
    close_arguments,
    consume,
    content_header,
    declare_queue,
    frame,
    get,
    method,
    publish,
    publish_method,
)
from tests.wire.conftest import Connect

MISSING = f"missing.{uuid.uuid4().hex[:10]}"
NO_EXCHANGE = f"no exchange '{MISSING}' in vhost '/'"


def test_channels_open_in_any_order(connect: Connect) -> None:
    client = connect(channels=(5, 1, 2047, 3))
    for channel in (3, 2047, 1, 5):
        assert client.declare("", 4, channel=channel)[1:] == (0, 0)


def test_open_ok_carries_an_empty_channel_id(connect: Connect) -> None:
    client = connect(channels=())
    got = client.call(1, CHANNEL_OPEN, b"\0", CHANNEL_OPEN_OK)
    assert got.payload[4:] == b"\0\0\0\0"


def test_a_client_closes_a_channel_and_opens_its_number_anew(client: RawClient) -> None:
    for _ in range(3):
        client.call(1, CHANNEL_CLOSE, close_arguments(), CHANNEL_CLOSE_OK)
        client.open_channel(1)
    client.declare("", 4)


def test_closing_a_channel_ends_its_consumers_and_requeues_what_it_had(connect: Connect) -> None:
    client = connect(channels=(1, 2))
    queue = client.declare("", 4, channel=2)[0]
    client.send(consume(1, queue, "tag"))
    client.expect(BASIC_CONSUME_OK)
    for body in (b"1", b"2", b"3"):
        client.send(publish(2, queue, body))
        client.expect_message()
    client.call(1, CHANNEL_CLOSE, close_arguments(), CHANNEL_CLOSE_OK)
    wait_until(lambda: client.declare(queue, 1, channel=2)[1:] == (3, 0))
    client.send(consume(2, queue, "tag", 2))
    client.expect(BASIC_CONSUME_OK)
    again = [client.expect_message() for _ in range(3)]
    assert [message.body for message in again] == [b"1", b"2", b"3"]
    for message in again:
        arguments = message.method.arguments
        arguments.shortstr()
        assert arguments.unpack("QB")[1] == 1, "not marked as redelivered"


def test_closing_a_channel_in_the_same_packet_does_not_overtake_its_publishes(client: RawClient, queue: str) -> None:
    client.send(publish(1, queue, b"1") + publish(1, queue, b"2") + method(1, CHANNEL_CLOSE, close_arguments()))
    client.expect(CHANNEL_CLOSE_OK)
    client.open_channel(1)
    wait_until(lambda: client.count(queue) == 2)


def test_after_an_error_frames_are_ignored_until_close_ok(client: RawClient, queue: str) -> None:
    client.send(publish(1, "key", b"body", exchange=MISSING))
    client.send(publish(1, queue, b"ignored") + declare_queue(1, queue, 1) + publish(1, "key", b"", exchange=MISSING))
    client.expect_channel_close(404, NO_EXCHANGE, (60, 40), answer=False)
    client.send(publish(1, queue, b"ignored too") + declare_queue(1, queue, 1))
    client.send(method(1, CHANNEL_CLOSE_OK))
    client.open_channel(1)
    assert client.count(queue) == 0


def test_after_an_error_the_rest_of_a_message_is_ignored(client: RawClient, queue: str) -> None:
    """The error comes with the method of a large message; its body is still under way."""
    client.send(declare_queue(1, MISSING, 1))
    client.send(publish_method(1, "", queue) + content_header(1, 4) + frame(BODY, 1, b"ab"))
    client.expect_channel_close(404, f"no queue '{MISSING}' in vhost '/'", answer=False)
    client.send(frame(BODY, 1, b"cd") + method(1, CHANNEL_CLOSE_OK))
    client.open_channel(1)
    assert client.count(queue) == 0


def test_both_sides_may_close_a_channel_at_once(client: RawClient, queue: str) -> None:
    client.send(publish(1, "key", b"body", exchange=MISSING) + method(1, CHANNEL_CLOSE, close_arguments()))
    client.expect_channel_close(404, NO_EXCHANGE)
    client.expect(CHANNEL_CLOSE_OK, channel=1)
    client.open_channel(1)
    assert client.count(queue) == 0


def test_a_channel_error_leaves_other_channels_alone(connect: Connect) -> None:
    client = connect(channels=(1, 2))
    queue = client.declare("", 4, channel=2)[0]
    client.send(consume(2, queue, "tag", 2))
    client.expect(BASIC_CONSUME_OK)
    client.send(publish_method(2, "", queue) + content_header(2, 4) + frame(BODY, 2, b"ab"))
    client.send(publish(1, "key", b"body", exchange=MISSING))
    client.expect_channel_close(404, NO_EXCHANGE)
    client.send(frame(BODY, 2, b"cd"))
    assert client.expect_message().body == b"abcd"


def test_an_error_without_wait_closes_the_channel_all_the_same(client: RawClient) -> None:
    client.send(declare_queue(1, MISSING, 1 | 16))
    client.expect_channel_close(404, f"no queue '{MISSING}' in vhost '/'", (50, 10))


def test_a_channel_starts_afresh_after_an_error(client: RawClient, queue: str) -> None:
    """Confirm mode, consumers and the last declared queue belong to the channel that was closed."""
    client.call(1, CONFIRM_SELECT, b"\0", CONFIRM_SELECT_OK)
    client.send(consume(1, queue, "tag", 2))
    client.expect(BASIC_CONSUME_OK)
    client.send(declare_queue(1, MISSING, 1))
    client.expect_channel_close(404)
    client.open_channel(1)
    wait_until(lambda: client.declare(queue, 1)[2] == 0)
    client.send(publish(1, queue, b"body"))
    client.send(get(1, ""))
    assert client.expect_message(BASIC_GET_OK).body == b"body"


def test_the_last_declared_queue_is_forgotten_with_the_channel(client: RawClient, queue: str) -> None:
    client.call(1, CHANNEL_CLOSE, close_arguments(), CHANNEL_CLOSE_OK)
    client.open_channel(1)
    client.send(get(1, ""))
    client.expect_channel_close(404, "no previously declared queue", (60, 70))


def test_flow_active_is_answered(client: RawClient) -> None:
    assert client.call(1, CHANNEL_FLOW, b"\1", CHANNEL_FLOW_OK).payload[4:] == b"\1"


@leveret_only("RabbitMQ answers 540 active=false")
@pytest.mark.parametrize("bits", [0, 2], ids=["acks", "no acks"])
def test_flow_stops_and_resumes_deliveries(connect: Connect, bits: int) -> None:
    client = connect(channels=(1, 2))
    queue = client.declare("", 4)[0]
    client.send(consume(1, queue, "tag", bits))
    client.expect(BASIC_CONSUME_OK)
    assert client.call(1, CHANNEL_FLOW, b"\0", CHANNEL_FLOW_OK).payload[4:] == b"\0"
    client.send(publish(2, queue, b"1") + publish(2, queue, b"2"))
    client.send(declare_queue(2, queue, 1))
    reply = client.expect(QUEUE_DECLARE_OK, channel=2).arguments
    reply.shortstr()
    assert reply.unpack("LL") == (2, 1)
    client.send(method(1, CHANNEL_FLOW, b"\1"))
    seen = [client.next_frame() for _ in range(7)]
    assert [got.payload for got in seen if got.kind == BODY] == [b"1", b"2"]
    assert sum(got.method == CHANNEL_FLOW_OK for got in seen) == 1


@leveret_only("RabbitMQ answers 540 active=false")
def test_flow_stops_one_channel_only(connect: Connect) -> None:
    client = connect(channels=(1, 2))
    queue = client.declare("", 4)[0]
    client.send(consume(1, queue, "stopped", 2) + consume(2, queue, "running", 2))
    client.expect(BASIC_CONSUME_OK)
    client.expect(BASIC_CONSUME_OK)
    client.call(1, CHANNEL_FLOW, b"\0", CHANNEL_FLOW_OK)
    for number in range(4):
        client.send(publish(1, queue, b"%d" % number))
        message = client.expect_message(BASIC_DELIVER)
        assert (message.method.channel, message.body) == (2, b"%d" % number)


@leveret_only("RabbitMQ answers 540 active=false")
def test_get_is_answered_while_flow_is_stopped(client: RawClient, queue: str) -> None:
    client.call(1, CHANNEL_FLOW, b"\0", CHANNEL_FLOW_OK)
    client.send(publish(1, queue, b"body") + get(1, queue))
    assert client.expect_message(BASIC_GET_OK).body == b"body"


def test_deliveries_on_two_channels_do_not_mix(connect: Connect) -> None:
    """Each message's frames follow each other on their channel, bodies of several frames included."""
    client = connect(channels=(1, 2), frame_max=4096)
    queue = client.declare("", 4)[0]
    client.send(consume(1, queue, "one", 2) + consume(2, queue, "two", 2))
    client.expect(BASIC_CONSUME_OK)
    client.expect(BASIC_CONSUME_OK)
    size = 10_000
    client.send(b"".join(publish(1, queue, bytes([at]) * size, body_frame=4088) for at in range(20)))
    open_bodies: dict[int, list[bytes]] = {}
    whole: list[bytes] = []
    while len(whole) < 20:
        got = client.next_frame()
        if got.method == BASIC_DELIVER:
            assert got.channel not in open_bodies
            open_bodies[got.channel] = []
        elif got.kind == BODY:
            open_bodies[got.channel].append(got.payload)
            if sum(map(len, open_bodies[got.channel])) == size:
                whole.append(b"".join(open_bodies.pop(got.channel)))
        else:
            assert got.kind == HEADER and open_bodies[got.channel] == []
    assert sorted(whole) == [bytes([at]) * size for at in range(20)]
