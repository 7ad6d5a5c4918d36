"""Frames that are broken in themselves, or in the wrong order within a message."""

from __future__ import annotations

import struct

import pytest

from tests.behaviour.expectations import leveret_only, wait_until
from tests.support.raw_client import (
    BASIC_CONSUME_OK,
    BASIC_GET_OK,
    BODY,
    CHANNEL_CLOSE,
    CHANNEL_FLOW,
    CONNECTION_CLOSE,
    CONNECTION_CLOSE_OK,
    EXCHANGE_DECLARE,
    HEADER,
    HEARTBEAT,
    METHOD,
    PROTOCOL_HEADER,
    QUEUE_DECLARE,
    QUEUE_DECLARE_OK,
    MethodId,
    RawClient,
    close_arguments,
    consume,
    content_header,
    frame,
    get,
    longstr,
    method,
    publish,
    publish_method,
    shortstr,
    table,
)
from tests.wire.conftest import Connect, ids

PUBLISH = publish_method(1, "", "nowhere")
FLOW = method(1, CHANNEL_FLOW, b"\1")


@pytest.mark.parametrize("end", [0x00, 0xCD, 0xCF, 0xFF])
@pytest.mark.parametrize(
    "good",
    [FLOW, frame(HEARTBEAT, 0, b""), method(0, CONNECTION_CLOSE, close_arguments()), PUBLISH],
    ids=["method", "heartbeat", "connection.close", "basic.publish"],
)
def test_a_wrong_frame_end_closes_the_connection(client: RawClient, good: bytes, end: int) -> None:
    client.send(good[:-1] + bytes([end]))
    client.expect_connection_close(501)


def test_a_wrong_frame_end_in_a_body_closes_the_connection(client: RawClient, queue: str) -> None:
    client.send(publish(1, queue, b"body")[:-1] + b"\0")
    client.expect_connection_close(501)


@pytest.mark.parametrize("kind", [0, 4, 5, 6, 7, 9, 65, 255])
@pytest.mark.parametrize("channel", [0, 1, 9])
def test_an_unknown_frame_type_closes_the_connection(client: RawClient, channel: int, kind: int) -> None:
    client.send(frame(kind, channel, b"what is this"))
    client.expect_connection_close(501)


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0\x14", b"\0\x14\0"])
@pytest.mark.parametrize("channel", [0, 1])
def test_a_method_frame_without_room_for_its_ids_closes_the_connection(
    client: RawClient, channel: int, payload: bytes
) -> None:
    client.send(frame(METHOD, channel, payload))
    client.expect_connection_close(501)


@pytest.mark.parametrize(
    ("which", "arguments"),
    [
        (QUEUE_DECLARE, b""),
        (QUEUE_DECLARE, b"\0\0\x05ab"),
        (QUEUE_DECLARE, b"\0\0\0"),
        (QUEUE_DECLARE, b"\0\0\0\0\0\0\0\x09ab"),
        (EXCHANGE_DECLARE, b"\0\0" + shortstr("name") + b"\xff" + b"direct"),
        ((60, 80), b"\0\0\0"),
        ((60, 40), b"\0\0\0\0"),
        (CHANNEL_FLOW, b""),
        (CHANNEL_CLOSE, b"\0\xc8"),
    ],
    ids=ids,
)
def test_arguments_that_end_early_close_the_connection(client: RawClient, which: MethodId, arguments: bytes) -> None:
    client.send(method(1, which, arguments))
    client.expect_connection_close(501, failing=which)


def test_arguments_that_do_not_end_close_the_connection(client: RawClient) -> None:
    client.send(method(1, CHANNEL_FLOW, b"\1 and more"))
    client.expect_connection_close(501, failing=CHANNEL_FLOW)


@leveret_only("RabbitMQ blames itself with 541")
@pytest.mark.parametrize("arguments", [b"", b"\0", close_arguments()[:-1], close_arguments() + b"more"])
def test_a_malformed_connection_close_is_answered(client: RawClient, arguments: bytes) -> None:
    client.send(method(0, CONNECTION_CLOSE, arguments))
    client.expect_connection_close((501, 502))


def test_a_name_that_is_not_utf8_closes_the_connection(client: RawClient) -> None:
    client.send(method(1, QUEUE_DECLARE, b"\0\0" + shortstr(b"\xff\xfe") + b"\4" + table()))
    client.expect_connection_close(501)


@leveret_only("RabbitMQ ends the connection without a word")
@pytest.mark.parametrize(
    "items",
    [
        b"\x01a?",
        b"\x01a",
        b"\x01",
        b"\xffkey",
        b"\x01aS\0\0\0\x09short",
        b"\x01aF\0\0\0\x05\x01b",
        b"\x01aA\xff\xff\xff\xff",
        b"\x01aI\0\0",
        b"\x01aA\0\0\0\x02S\0",
    ],
)
def test_a_malformed_table_closes_the_connection(client: RawClient, items: bytes) -> None:
    client.send(method(1, QUEUE_DECLARE, b"\0\0\0\4" + longstr(items)))
    client.expect_connection_close((501, 502))


def test_a_bottomless_table_is_answered(client: RawClient) -> None:
    """Nested as deeply as a frame allows: an error or a queue, but neither silence nor a crash."""
    depth = 18_000
    nested = b"".join(b"\x01aF" + struct.pack(">L", 7 * level) for level in reversed(range(depth)))
    client.send(method(1, QUEUE_DECLARE, b"\0\0\0\4" + longstr(nested)))
    got = client.next_frame()
    assert got.method in (QUEUE_DECLARE_OK, CONNECTION_CLOSE, CHANNEL_CLOSE), got


def test_a_second_protocol_header_closes_the_connection(client: RawClient) -> None:
    client.send(PROTOCOL_HEADER)
    client.expect_connection_close(501)


def test_garbage_closes_the_connection(client: RawClient) -> None:
    client.send(bytes(range(1, 200)))
    client.expect_connection_close(501)


@pytest.mark.parametrize(
    "data",
    [content_header(1, 5), frame(BODY, 1, b"hello"), frame(BODY, 1, b"")],
    ids=["header", "body", "empty body"],
)
def test_content_without_its_method_closes_the_connection(client: RawClient, data: bytes) -> None:
    client.send(data)
    client.expect_connection_close(505)


@pytest.mark.parametrize(
    "data",
    [
        PUBLISH + frame(BODY, 1, b"hello"),
        PUBLISH + FLOW,
        PUBLISH + PUBLISH,
        PUBLISH + content_header(1, 5, class_id=50),
        PUBLISH + content_header(1, 5, weight=1),
        PUBLISH + content_header(1, 5) + FLOW,
        PUBLISH + content_header(1, 5) + content_header(1, 5),
        PUBLISH + content_header(1, 5) + frame(BODY, 1, b"he") + FLOW,
        PUBLISH + content_header(1, 5) + method(1, CHANNEL_CLOSE, close_arguments()),
        PUBLISH + content_header(1, 0) + frame(BODY, 1, b""),
    ],
    ids=[
        "body for header",
        "method for header",
        "publish for header",
        "other class",
        "weight",
        "method for body",
        "header for body",
        "method within body",
        "channel.close within body",
        "body of an empty message",
    ],
)
def test_frames_of_a_message_out_of_order_close_the_connection(client: RawClient, data: bytes) -> None:
    client.send(data)
    client.expect_connection_close(505)


@pytest.mark.parametrize("payload", [b"", b"\0\x3c", b"\0\x3c\0\0" + b"\0" * 7])
def test_a_header_too_short_closes_the_connection(client: RawClient, payload: bytes) -> None:
    client.send(PUBLISH + frame(HEADER, 1, payload))
    client.expect_connection_close(501)


@pytest.mark.parametrize(
    "properties",
    [
        b"",
        b"\0",
        b"\xff\xfc",
        b"\x80\0\x20ab",
        b"\x20\0\0\0\0\x09ab",
        b"\x00\x40\0\0\0",
        b"\0\0surplus",
        b"\x20\0" + longstr(b"\x01a?"),
    ],
    ids=["no flags", "half flags", "nothing", "short string", "short table", "short time", "surplus", "field type"],
)
def test_malformed_properties_close_the_connection(client: RawClient, properties: bytes) -> None:
    client.send(PUBLISH + content_header(1, 0, properties=properties))
    client.expect_connection_close((501, 502, 541))


@leveret_only("RabbitMQ 3 waited on, RabbitMQ 4 answers so")
def test_a_body_longer_than_announced_closes_the_connection(client: RawClient) -> None:
    client.send(PUBLISH + content_header(1, 3) + frame(BODY, 1, b"abcd"))
    client.expect_connection_close((501, 505))


def test_empty_body_frames_are_taken(client: RawClient, queue: str) -> None:
    empty = frame(BODY, 1, b"")
    client.send(publish_method(1, "", queue) + content_header(1, 2) + empty)
    client.send(frame(BODY, 1, b"a") + empty + empty + frame(BODY, 1, b"b"))
    client.send(get(1, queue))
    assert client.expect_message(BASIC_GET_OK).body == b"ab"


def test_a_heartbeat_may_come_within_a_message(client: RawClient, queue: str) -> None:
    beat = frame(HEARTBEAT, 0, b"")
    client.send(publish_method(1, "", queue) + beat + content_header(1, 2) + beat + frame(BODY, 1, b"a") + beat)
    client.send(frame(BODY, 1, b"b") + get(1, queue))
    assert client.expect_message(BASIC_GET_OK).body == b"ab"


def test_messages_of_two_channels_may_interleave(connect: Connect) -> None:
    client = connect(channels=(1, 2))
    queue = client.declare("", 4)[0]
    for data in zip(
        (publish_method(1, "", queue), content_header(1, 2), frame(BODY, 1, b"1"), frame(BODY, 1, b"1")),
        (publish_method(2, "", queue), content_header(2, 2), frame(BODY, 2, b"2"), frame(BODY, 2, b"2")),
        strict=True,
    ):
        client.send(b"".join(data))
    wait_until(lambda: client.count(queue) == 2)
    client.send(get(1, queue) * 2)
    assert {client.expect_message(BASIC_GET_OK).body for _ in range(2)} == {b"11", b"22"}


def test_connection_close_is_obeyed_within_a_message(client: RawClient) -> None:
    client.send(PUBLISH + content_header(1, 5) + method(0, CONNECTION_CLOSE, close_arguments()))
    client.expect(CONNECTION_CLOSE_OK, channel=0)


def test_what_follows_a_broken_frame_is_not_obeyed(connect: Connect) -> None:
    hostile, other = connect(), connect()
    queue = other.declare("", 4)[0]
    hostile.send(frame(99, 1, b"") + publish(1, queue, b"too late"))
    hostile.expect_connection_close(501)
    assert other.count(queue) == 0


def test_what_came_before_a_broken_frame_is_obeyed(connect: Connect) -> None:
    hostile, other = connect(), connect()
    queue = other.declare("", 4)[0]
    other.send(consume(1, queue, "tag", 2))
    other.expect(BASIC_CONSUME_OK)
    hostile.send(publish(1, queue, b"in time") + frame(99, 1, b""))
    hostile.expect_connection_close(501)
    assert other.expect_message().body == b"in time"
