"""The end of a connection: agreed, broken off, or never agreed, and what it leaves behind."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable

import pytest

from tests.behaviour.expectations import wait_until
from tests.support.raw_client import (
    BASIC_CONSUME_OK,
    BODY,
    CHANNEL_CLOSE,
    CHANNEL_CLOSE_OK,
    CONNECTION_CLOSE,
    CONNECTION_CLOSE_OK,
    QUEUE_DECLARE_OK,
    RawClient,
    close_arguments,
    consume,
    content_header,
    declare_queue,
    frame,
    method,
    publish,
    publish_method,
    read_close,
)
from tests.wire.conftest import Connect, Dial


def close_socket(client: RawClient) -> None:
    client.close()


def reset_socket(client: RawClient) -> None:
    client.reset()


def shut_one_way(client: RawClient) -> None:
    client.socket.shutdown(socket.SHUT_WR)


ABRUPT = pytest.mark.parametrize(
    "leave", [close_socket, reset_socket, shut_one_way], ids=["close", "reset", "shutdown"]
)
Leave = Callable[[RawClient], None]


def unique() -> str:
    return f"wire.{uuid.uuid4().hex[:10]}"


def declares(client: RawClient, queue: str, bits: int) -> bool:
    """Whether the queue can be declared now; the channel is open again either way."""
    client.send(declare_queue(1, queue, bits))
    got = client.next_frame()
    if got.method == QUEUE_DECLARE_OK:
        return True
    assert got.method == CHANNEL_CLOSE and read_close(got).code in (404, 405), got
    client.send(method(1, CHANNEL_CLOSE_OK))
    client.open_channel(1)
    return False


def test_a_client_that_says_goodbye_gets_close_ok(client: RawClient) -> None:
    client.call(0, CONNECTION_CLOSE, close_arguments(), CONNECTION_CLOSE_OK)


def test_nothing_follows_close_ok(client: RawClient, queue: str) -> None:
    client.send(method(0, CONNECTION_CLOSE, close_arguments()) + declare_queue(1, queue, 1) + publish(1, queue, b"x"))
    client.expect(CONNECTION_CLOSE_OK)
    client.socket.shutdown(socket.SHUT_WR)
    client.expect_end()


def test_what_was_published_before_the_goodbye_counts(connect: Connect) -> None:
    client, other = connect(), connect()
    queue = other.declare("", 4)[0]
    client.send(b"".join(publish(1, queue, b"%d" % at) for at in range(50)))
    client.send(method(0, CONNECTION_CLOSE, close_arguments()))
    client.expect(CONNECTION_CLOSE_OK)
    wait_until(lambda: other.count(queue) == 50)


def test_after_the_goodbye_exclusive_queues_are_gone(connect: Connect) -> None:
    client, other = connect(), connect()
    queue = client.declare(unique(), 4)[0]
    client.call(0, CONNECTION_CLOSE, close_arguments(), CONNECTION_CLOSE_OK)
    other.send(declare_queue(1, queue, 1))
    other.expect_channel_close(404, f"no queue '{queue}' in vhost '/'")


def test_both_sides_may_close_at_once(client: RawClient) -> None:
    client.send(frame(99, 1, b"") + method(0, CONNECTION_CLOSE, close_arguments()))
    assert read_close(client.expect(CONNECTION_CLOSE)).code == 501
    client.expect(CONNECTION_CLOSE_OK)
    client.send(method(0, CONNECTION_CLOSE_OK))
    client.expect_end()


def test_after_its_close_the_broker_obeys_nothing(connect: Connect) -> None:
    client, other = connect(), connect()
    queue = other.declare("", 4)[0]
    client.send(frame(99, 1, b""))
    assert read_close(client.expect(CONNECTION_CLOSE)).code == 501
    client.send(publish(1, queue, b"late") + declare_queue(1, "", 4))
    client.send(method(0, CONNECTION_CLOSE_OK))
    client.expect_end()
    assert other.count(queue) == 0


@ABRUPT
def test_a_lost_connection_frees_its_exclusive_queues(connect: Connect, leave: Leave) -> None:
    client, other = connect(), connect()
    queue = unique()
    client.declare(queue, 4)
    assert not declares(other, queue, 4)
    leave(client)
    wait_until(lambda: declares(other, queue, 4))


@ABRUPT
def test_a_lost_connection_returns_what_it_had_not_acked(connect: Connect, leave: Leave) -> None:
    client, other = connect(), connect()
    queue = other.declare(unique(), 8)[0]
    other.send(b"".join(publish(1, queue, b"%d" % at) for at in range(5)))
    client.send(consume(1, queue, "lost"))
    client.expect(BASIC_CONSUME_OK)
    assert [client.expect_message().body for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    other.send(consume(1, queue, "left"))
    other.expect(BASIC_CONSUME_OK)
    leave(client)
    again = [other.expect_message() for _ in range(5)]
    assert [message.body for message in again] == [b"0", b"1", b"2", b"3", b"4"]
    for message in again:
        arguments = message.method.arguments
        arguments.shortstr()
        assert arguments.unpack("QB")[1] == 1, "not marked as redelivered"


@ABRUPT
def test_the_last_consumer_lost_takes_an_auto_delete_queue_along(connect: Connect, leave: Leave) -> None:
    client, other = connect(), connect()
    queue = client.declare(unique(), 8)[0]
    client.send(consume(1, queue, "tag"))
    client.expect(BASIC_CONSUME_OK)
    leave(client)
    wait_until(lambda: not declares(other, queue, 1))


@ABRUPT
def test_half_a_message_is_dropped_and_whole_ones_count(connect: Connect, leave: Leave) -> None:
    client, other = connect(), connect()
    queue = other.declare("", 4)[0]
    other.send(consume(1, queue, "tag", 2))
    other.expect(BASIC_CONSUME_OK)
    client.send(publish(1, queue, b"whole") + publish_method(1, "", queue) + content_header(1, 4))
    client.send(frame(BODY, 1, b"ha"))
    assert other.expect_message().body == b"whole"
    leave(client)
    other.send(publish(1, queue, b"next"))
    assert other.expect_message().body == b"next"


@pytest.mark.parametrize("sent", [0, 4, 8], ids=["nothing", "half the header", "the header"])
@ABRUPT
def test_a_client_may_leave_in_the_handshake(dial: Dial, leave: Leave, sent: int) -> None:
    for _ in range(20):
        client = dial()
        client.send(b"AMQP\0\0\x09\1"[:sent])
        leave(client)


def test_a_consumer_that_does_not_read_harms_no_one(connect: Connect) -> None:
    """Megabytes wait for a client whose socket is full; then it breaks off."""
    client, other = connect(), connect()
    queue = other.declare(unique(), 8)[0]
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.send(consume(1, queue, "stuck", 2))
    client.expect(BASIC_CONSUME_OK)
    body = b"x" * 100_000
    for _ in range(100):
        other.send(publish(1, queue, body))
    assert other.declare(queue, 1)[2] == 1
    client.reset()
    wait_until(lambda: not declares(other, queue, 1))
