"""What connection.tune and tune-ok agree on, and that it is kept to."""

from __future__ import annotations

import struct

import pytest

from tests.behaviour.expectations import leveret_only
from tests.support.raw_client import (
    BASIC_CONSUME_OK,
    BODY,
    CHANNEL_CLOSE,
    CHANNEL_CLOSE_OK,
    CHANNEL_OPEN,
    CHANNEL_OPEN_OK,
    CONNECTION_OPEN_OK,
    HEADER,
    HEARTBEAT,
    RawClient,
    close_arguments,
    consume,
    content_header,
    frame,
    method,
    open_vhost,
    publish,
    publish_method,
    tune_ok,
)
from tests.wire.conftest import Connect, Dial

REASON_GIVEN = leveret_only("RabbitMQ 3 wrote the reason only to its log, RabbitMQ 4 tells the client")


def test_tune_suggests_rabbitmqs_values(dial: Dial) -> None:
    reader = dial().authenticate().arguments
    assert reader.unpack("HLH") == (2047, 131072, 60)
    assert reader.ended


@pytest.mark.parametrize("frame_max", [4096, 8192, 131072])
@pytest.mark.parametrize("size", [0, 1, 4088, 4089, 100_000])
def test_bodies_come_in_frames_no_larger_than_agreed(connect: Connect, frame_max: int, size: int) -> None:
    client = connect(frame_max=frame_max)
    queue = client.declare("", 4)[0]
    body = bytes(at % 251 for at in range(size))
    client.send(consume(1, queue, "tag", 2))
    client.expect(BASIC_CONSUME_OK)
    client.send(publish(1, queue, body, body_frame=frame_max - 8))
    assert client.expect_message().body == body


@REASON_GIVEN
@pytest.mark.parametrize("frame_max", [1, 1024, 4095])
def test_a_frame_max_below_the_minimum_is_refused(dial: Dial, frame_max: int) -> None:
    client = dial()
    client.authenticate()
    client.send(tune_ok(frame_max=frame_max))
    client.expect_connection_close(
        530,
        f"negotiated frame_max = {frame_max} is lower than the minimum allowed value (4096)",
    )


@REASON_GIVEN
@pytest.mark.parametrize("frame_max", [131073, 2**32 - 1])
def test_a_frame_max_above_the_servers_is_refused(dial: Dial, frame_max: int) -> None:
    client = dial()
    client.authenticate()
    client.send(tune_ok(frame_max=frame_max))
    client.expect_connection_close(
        530,
        f"negotiated frame_max = {frame_max} is higher than the maximum allowed value (131072)",
    )


@REASON_GIVEN
def test_no_frame_max_is_refused_where_the_server_has_one(dial: Dial) -> None:
    client = dial()
    client.authenticate()
    client.send(tune_ok(frame_max=0))
    client.expect_connection_close(
        530,
        "negotiated frame_max = 0 is higher than the maximum allowed value (131072)",
    )


@REASON_GIVEN
@pytest.mark.parametrize("channel_max", [2048, 65535])
def test_a_channel_max_above_the_servers_is_refused(dial: Dial, channel_max: int) -> None:
    client = dial()
    client.authenticate()
    client.send(tune_ok(channel_max=channel_max))
    client.expect_connection_close(
        530,
        f"negotiated channel_max = {channel_max} is higher than the maximum allowed value (2047)",
    )


@REASON_GIVEN
def test_no_channel_max_is_refused_where_the_server_has_one(dial: Dial) -> None:
    client = dial()
    client.authenticate()
    client.send(tune_ok(channel_max=0))
    client.expect_connection_close(
        530,
        "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)",
    )


def test_more_channels_than_agreed_are_refused(connect: Connect) -> None:
    client = connect(channel_max=2, channels=(1, 2))
    client.send(method(3, CHANNEL_OPEN, b"\0"))
    client.expect_connection_close(530, "number of channels opened (2) has reached the negotiated channel_max (2)")


def test_a_closed_channel_makes_room_for_another(connect: Connect) -> None:
    client = connect(channel_max=2, channels=(1, 2))
    client.call(1, CHANNEL_CLOSE, close_arguments(), CHANNEL_CLOSE_OK)
    client.open_channel(1)


def test_the_highest_channel_number_can_be_opened(connect: Connect) -> None:
    client = connect(channels=(2047,))
    assert client.declare("", 4, channel=2047)[1:] == (0, 0)


def test_only_the_count_of_channels_is_limited_not_their_numbers(connect: Connect) -> None:
    client = connect(channel_max=2, channels=(40_000, 65_535))
    assert client.declare("", 4, channel=65_535)[1:] == (0, 0)


def test_all_channels_can_be_open_at_once(connect: Connect) -> None:
    client = connect(channels=())
    client.send(b"".join(method(channel, CHANNEL_OPEN, b"\0") for channel in range(1, 2048)))
    opened = {client.expect(CHANNEL_OPEN_OK).channel for _ in range(2047)}
    assert opened == set(range(1, 2048))


def test_a_frame_larger_than_agreed_closes_the_connection(connect: Connect) -> None:
    client = connect(frame_max=4096)
    client.send(publish_method(1, "", "nowhere") + content_header(1, 10_000) + frame(BODY, 1, b"x" * 4097))
    client.expect_connection_close(501)


def test_a_large_frame_is_refused_before_it_has_come(connect: Connect) -> None:
    client = connect()
    client.send(
        publish_method(1, "", "nowhere") + content_header(1, 2**24) + struct.pack(">BHL", BODY, 1, 2**24) + b"x"
    )
    client.expect_connection_close(501)


@pytest.mark.parametrize("excess", [0, 1, 8])
def test_a_payload_up_to_frame_max_is_forgiven(client: RawClient, queue: str, excess: int) -> None:
    """Many clients forget the eight octets around a payload."""
    body = b"x" * (131072 - 8 + excess)
    client.send(publish_method(1, "", queue) + content_header(1, len(body)) + frame(BODY, 1, body))
    client.send(consume(1, queue, "tag", 2))
    client.expect(BASIC_CONSUME_OK)
    assert client.expect_message().body == body


@pytest.mark.parametrize("size", [100_000, 2**31])
def test_a_frame_may_not_be_huge_before_the_login(dial: Dial, size: int) -> None:
    """A stranger may not make the broker hold much: RabbitMQ's limit at this stage is 4096 or 8192 octets."""
    client = dial()
    client.greet()
    client.send(struct.pack(">BHL", 1, 0, size) + b"x")
    client.expect_refusal()


def test_a_heartbeat_while_the_connection_opens_is_taken(dial: Dial) -> None:
    client = dial()
    client.authenticate()
    client.send(tune_ok() + frame(HEARTBEAT, 0, b"") + open_vhost())
    client.expect(CONNECTION_OPEN_OK)


@pytest.mark.parametrize("kind", [HEADER, BODY])
def test_content_while_the_connection_opens_is_refused(dial: Dial, kind: int) -> None:
    client = dial()
    client.authenticate()
    client.send(tune_ok() + frame(kind, 0, b"") + open_vhost())
    client.expect_connection_close((501, 504, 505))


def test_a_heartbeat_nobody_agreed_on_is_taken(client: RawClient, queue: str) -> None:
    client.send(frame(HEARTBEAT, 0, b"") * 3)
    assert client.count(queue) == 0


def test_a_heartbeat_on_another_channel_closes_the_connection(client: RawClient) -> None:
    client.send(frame(HEARTBEAT, 1, b""))
    client.expect_connection_close((501, 505))


def test_a_heartbeat_with_a_payload_closes_the_connection(client: RawClient) -> None:
    client.send(frame(HEARTBEAT, 0, b"alive"))
    client.expect_connection_close(501)
