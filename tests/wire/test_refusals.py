"""What RabbitMQ does not do, refused as RabbitMQ refuses it, and small methods that client libraries do not send."""

from __future__ import annotations

import struct

import pytest

from tests.behaviour.expectations import leveret_only
from tests.support.raw_client import (
    BASIC_ACK,
    BASIC_GET_OK,
    BASIC_PUBLISH,
    BASIC_QOS,
    BASIC_QOS_OK,
    BODY,
    CONFIRM_SELECT,
    CONFIRM_SELECT_OK,
    CONNECTION_UPDATE_SECRET,
    CONNECTION_UPDATE_SECRET_OK,
    MethodId,
    RawClient,
    content_header,
    declare_queue,
    frame,
    get,
    longstr,
    method,
    publish,
    publish_method,
    shortstr,
)
from tests.wire.conftest import Connect, ids

ACCESS_REQUEST, ACCESS_REQUEST_OK = (30, 10), (30, 11)
BASIC_REJECT, BASIC_NACK = (60, 90), (60, 120)
BASIC_RECOVER_ASYNC, BASIC_RECOVER, BASIC_RECOVER_OK = (60, 100), (60, 110), (60, 111)
LARGEST_BODY = 128 * 1024 * 1024


def test_access_request_grants_ticket_1(client: RawClient) -> None:
    reply = client.call(1, ACCESS_REQUEST, shortstr("/data") + b"\x1f", ACCESS_REQUEST_OK)
    assert reply.payload[4:] == b"\0\1"


def test_update_secret_is_answered(client: RawClient, queue: str) -> None:
    client.call(0, CONNECTION_UPDATE_SECRET, longstr("guest") + shortstr("renewed"), CONNECTION_UPDATE_SECRET_OK)
    assert client.count(queue) == 0


def test_publishing_immediate_is_not_implemented(client: RawClient, queue: str) -> None:
    client.send(publish_method(1, "", queue, 2) + content_header(1, 1) + frame(BODY, 1, b"x"))
    client.expect_connection_close(540, "immediate=true", BASIC_PUBLISH)


@pytest.mark.parametrize("which", [BASIC_RECOVER, BASIC_RECOVER_ASYNC])
def test_recover_to_the_same_consumer_is_not_implemented(client: RawClient, which: MethodId) -> None:
    client.send(method(1, which, b"\0"))
    client.expect_connection_close(540, "requeue=false", which)


def test_recover_is_answered_and_recover_async_is_not(client: RawClient) -> None:
    client.send(method(1, BASIC_RECOVER_ASYNC, b"\1") + method(1, BASIC_RECOVER, b"\1"))
    client.expect(BASIC_RECOVER_OK)


@pytest.mark.parametrize("size", [1, 5, 2**32 - 1])
def test_a_prefetch_size_is_not_implemented(client: RawClient, size: int) -> None:
    client.send(method(1, BASIC_QOS, struct.pack(">LHB", size, 1, 0)))
    client.expect_connection_close(540, f"prefetch_size!=0 ({size})", BASIC_QOS)


@pytest.mark.parametrize("count", [0, 1, 65535])
def test_any_prefetch_count_is_taken(client: RawClient, count: int) -> None:
    client.call(1, BASIC_QOS, struct.pack(">LHB", 0, count, 0), BASIC_QOS_OK)


@pytest.mark.parametrize(
    ("which", "arguments", "tag"),
    [
        (BASIC_ACK, struct.pack(">QB", 0, 0), 0),
        (BASIC_ACK, struct.pack(">QB", 1, 0), 1),
        (BASIC_ACK, struct.pack(">QB", 1, 1), 1),
        (BASIC_ACK, struct.pack(">QB", 2**64 - 1, 0), 2**64 - 1),
        (BASIC_REJECT, struct.pack(">QB", 0, 1), 0),
        (BASIC_REJECT, struct.pack(">QB", 7, 0), 7),
        (BASIC_NACK, struct.pack(">QB", 0, 0), 0),
        (BASIC_NACK, struct.pack(">QB", 7, 3), 7),
    ],
    ids=ids,
)
def test_an_unknown_delivery_tag_closes_the_channel(
    client: RawClient, which: MethodId, arguments: bytes, tag: int
) -> None:
    client.send(method(1, which, arguments))
    client.expect_channel_close(406, f"unknown delivery tag {tag}", which)


def test_acking_everything_of_nothing_is_fine(client: RawClient, queue: str) -> None:
    client.send(method(1, BASIC_ACK, struct.pack(">QB", 0, 1)) + method(1, BASIC_NACK, struct.pack(">QB", 0, 3)))
    assert client.count(queue) == 0


def test_a_publishers_tags_are_not_a_consumers(client: RawClient, queue: str) -> None:
    client.call(1, CONFIRM_SELECT, b"\0", CONFIRM_SELECT_OK)
    client.send(publish(1, queue, b"body"))
    client.expect(BASIC_ACK)
    client.send(method(1, BASIC_ACK, struct.pack(">QB", 1, 0)))
    client.expect_channel_close(406, "unknown delivery tag 1", BASIC_ACK)


def test_a_name_may_have_255_octets(client: RawClient) -> None:
    name = "ü" * 127 + "x"
    assert client.declare(name, 4) == (name, 0, 0)
    client.send(publish(1, name, b"body") + get(1, name))
    assert client.expect_message(BASIC_GET_OK).body == b"body"


def test_the_reserved_ticket_means_nothing(client: RawClient) -> None:
    client.send(method(1, (50, 10), b"\xab\xcd" + shortstr("") + b"\4\0\0\0\0"))
    client.expect((50, 11))


@leveret_only("the limit is 512 MiB in RabbitMQ 3 and 16 MiB in RabbitMQ 4, by default")
def test_a_body_over_the_limit_is_refused_before_it_comes(client: RawClient, queue: str) -> None:
    size = LARGEST_BODY + 1
    client.send(publish_method(1, "", queue) + content_header(1, size))
    client.expect_channel_close(406, f"message size {size} is larger than configured max size {LARGEST_BODY}")
    client.open_channel(1)
    assert client.count(queue) == 0


@leveret_only("the limit is 512 MiB in RabbitMQ 3 and 16 MiB in RabbitMQ 4, by default")
def test_the_body_of_a_refused_message_is_ignored(client: RawClient, queue: str) -> None:
    piece = frame(BODY, 1, b"x" * 131064)
    client.send(publish_method(1, "", queue) + content_header(1, LARGEST_BODY + 1) + piece * 3)
    client.expect_channel_close(406, answer=False)
    client.send(piece * 3)
    client.send(method(1, (20, 41)))
    client.open_channel(1)
    assert client.count(queue) == 0


@leveret_only("RabbitMQ 3 waits for such bodies")
@pytest.mark.parametrize("size", [2**31, 2**32, 2**40, 2**63, 2**64 - 1])
def test_an_absurd_body_size_is_refused(client: RawClient, size: int) -> None:
    client.send(publish_method(1, "", "nowhere") + content_header(1, size))
    client.expect_channel_close(406, f"message size {size} is larger than configured max size {LARGEST_BODY}")


def test_a_body_at_the_limit_is_awaited(connect: Connect) -> None:
    """Announcing a large body costs the broker nothing until it comes; other channels go on meanwhile."""
    client = connect(channels=(1, 2))
    client.send(publish_method(1, "", "nowhere") + content_header(1, LARGEST_BODY) + frame(BODY, 1, b"x" * 1000))
    client.send(declare_queue(2, "", 4))
    client.expect((50, 11), channel=2)


def test_a_large_message_comes_back_as_it_was(client: RawClient, queue: str) -> None:
    body = bytes(range(256)) * 16384
    client.send(publish(1, queue, body) + get(1, queue))
    assert client.expect_message(BASIC_GET_OK).body == body


@pytest.mark.parametrize(
    "properties",
    [
        b"\0\0",
        b"\xff\xfc"
        + shortstr("text/plain")
        + shortstr("utf-8")
        + longstr(b"\x01kS\0\0\0\1v\x01kI\0\0\0\1")
        + b"\x02\x09"
        + shortstr("correlation")
        + shortstr("reply")
        + shortstr("60000")
        + shortstr("message")
        + struct.pack(">Q", 2**63)
        + shortstr("type")
        + shortstr("guest")
        + shortstr("application")
        + shortstr("cluster"),
        b"\x20\0" + longstr(b"\x01aD\x02\0\0\x01\x01\x01bs\x80\0\x01cB\xff\x01df\0\0\0\0\x01ex\0\0\0\1\xff\x01gV"),
        b"\x20\0\0\0\0\0",
    ],
    ids=["none", "all", "odd field types", "empty headers"],
)
def test_properties_come_back_octet_for_octet(client: RawClient, queue: str, properties: bytes) -> None:
    client.send(publish_method(1, "", queue) + content_header(1, 2, properties=properties) + frame(BODY, 1, b"ok"))
    client.send(get(1, queue))
    message = client.expect_message(BASIC_GET_OK)
    assert (message.properties, message.body) == (properties, b"ok")
