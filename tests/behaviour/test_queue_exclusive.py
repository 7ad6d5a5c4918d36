"""Exclusive queues: locked to the connection that declared them, and gone with it."""

from __future__ import annotations

from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import ChannelClosedByBroker
from pika.spec import Queue

from tests.behaviour.conftest import Broker, Connect, Names
from tests.behaviour.expectations import channel_closed, get_one, publish, wait_until
from tests.behaviour.raw_connection import RawConnection

LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{}' in vhost '/'. It could be originally "
    "declared on another connection or the exclusive property value does not match that of the original declaration."
)


@pytest.fixture
def locked(connect: Connect, names: Names) -> str:
    """An exclusive queue of another connection, bound to amq.direct."""
    name = names.queue("locked")
    channel = connect().channel()
    channel.queue_declare(name, exclusive=True)
    channel.queue_bind(name, "amq.direct", "key")
    return name


def exists(connection: BlockingConnection, queue: str) -> bool:
    """Whether there is a queue of this name, locked or not."""
    with connection.channel() as channel:
        try:
            channel.queue_declare(queue, passive=True)
        except ChannelClosedByBroker as error:
            assert error.reply_code in (404, 405)
            return error.reply_code == 405
    return True


@pytest.mark.parametrize(
    "use",
    [
        lambda channel, queue: channel.queue_declare(queue, exclusive=True),
        lambda channel, queue: channel.queue_declare(queue),
        lambda channel, queue: channel.queue_declare(queue, passive=True),
        lambda channel, queue: channel.queue_bind(queue, "amq.direct", "key"),
        lambda channel, queue: channel.queue_unbind(queue, "amq.direct", "key"),
        lambda channel, queue: channel.queue_purge(queue),
        lambda channel, queue: channel.queue_delete(queue),
        lambda channel, queue: channel.basic_get(queue),
        lambda channel, queue: channel.basic_consume(queue, lambda *_: None),
    ],
    ids=["declare exclusive", "declare", "passive", "bind", "unbind", "purge", "delete", "get", "consume"],
)
def test_another_connection_may_not_use_it(channel: BlockingChannel, locked: str, use: Any) -> None:
    with channel_closed(405, LOCKED.format(locked)):
        use(channel, locked)


def test_another_connection_may_publish_to_it(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, exclusive=True)
    publish(connect().channel(), queue, "hello")
    assert get_one(channel, queue).body == b"hello"


def test_another_channel_of_its_connection_may_use_it(
    connection: BlockingConnection, channel: BlockingChannel, names: Names
) -> None:
    queue = names.queue()
    channel.queue_declare(queue, exclusive=True)
    other = connection.channel()
    publish(other, queue, "hello")
    assert other.queue_declare(queue, exclusive=True).method.message_count == 1
    assert get_one(other, queue).body == b"hello"
    other.queue_delete(queue)


def test_it_outlives_its_channel(connection: BlockingConnection, channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, exclusive=True)
    channel.close()
    connection.channel().queue_declare(queue, passive=True)


@pytest.mark.parametrize("durable", [False, True])
def test_it_goes_when_its_connection_closes(
    connection: BlockingConnection, connect: Connect, names: Names, durable: bool
) -> None:
    queue, owner = names.queue(), connect()
    owner.channel().queue_declare(queue, exclusive=True, durable=durable)
    assert exists(connection, queue)
    owner.close()
    wait_until(lambda: not exists(connection, queue))


def test_it_is_gone_once_close_ok_has_come(connection: BlockingConnection, connect: Connect, names: Names) -> None:
    for _ in range(10):
        queue, owner = names.queue(), connect()
        owner.channel().queue_declare(queue, exclusive=True)
        owner.close()
        assert not exists(connection, queue)


def test_it_goes_when_its_connection_dies(broker: Broker, connection: BlockingConnection, names: Names) -> None:
    queue, owner = names.queue(), RawConnection(broker.port)
    owner.open_channel()
    assert isinstance(owner.call(Queue.Declare(queue=queue, exclusive=True)), Queue.DeclareOk)
    assert exists(connection, queue)
    owner.die()
    wait_until(lambda: not exists(connection, queue))


def test_its_name_is_free_for_others_afterwards(connection: BlockingConnection, connect: Connect, names: Names) -> None:
    queue, owner = names.queue(), connect()
    owner.channel().queue_declare(queue, exclusive=True)
    owner.close()
    wait_until(lambda: not exists(connection, queue))
    assert connection.channel().queue_declare(queue, exclusive=True).method.message_count == 0


def test_durable_and_exclusive_is_the_same_as_transient_and_exclusive(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, exclusive=True, durable=True)
    channel.queue_declare(queue, exclusive=True, durable=False)
