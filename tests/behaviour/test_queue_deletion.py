"""queue.delete, queue.purge and auto-delete."""

from __future__ import annotations

import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import ChannelClosedByBroker
from pika.spec import Basic, Queue

from tests.behaviour.conftest import Broker, Connect, Names
from tests.behaviour.expectations import (
    Consumer,
    channel_closed,
    get,
    get_bodies,
    get_one,
    publish,
    ready_count,
    wait_until,
)
from tests.behaviour.raw_connection import RawConnection


def exists(connection: BlockingConnection, queue: str) -> bool:
    with connection.channel() as channel:
        try:
            channel.queue_declare(queue, passive=True)
        except ChannelClosedByBroker as error:
            assert error.reply_code == 404
            return False
    return True


def test_delete_answers_the_number_of_ready_messages(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1", "2", "3")
    assert channel.queue_delete(queue).method.message_count == 3
    assert not exists(channel.connection, queue)


def test_deleting_a_missing_queue_answers_none(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    assert channel.queue_delete(queue).method.message_count == 0
    assert channel.queue_delete(queue, if_unused=True, if_empty=True).method.message_count == 0


def test_a_queue_with_a_consumer_is_in_use(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    Consumer(connect().channel(), queue)
    with channel_closed(406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use"):
        channel.queue_delete(queue, if_unused=True)


def test_a_queue_with_messages_is_not_empty(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1")
    with channel_closed(406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty"):
        channel.queue_delete(queue, if_empty=True)


def test_not_empty_is_said_before_in_use(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1", "2")
    channel.basic_qos(prefetch_count=1)
    Consumer(channel, queue).wait_for(1)
    with channel_closed(406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty"):
        channel.queue_delete(queue, if_unused=True, if_empty=True)


def test_an_unused_queue_with_messages_is_deleted_if_unused(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1")
    assert channel.queue_delete(queue, if_unused=True).method.message_count == 1
    assert not exists(channel.connection, queue)


def test_an_empty_queue_with_a_consumer_is_deleted_if_empty(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    Consumer(connect().channel(), queue)
    channel.queue_delete(queue, if_empty=True)
    assert not exists(channel.connection, queue)


def test_a_deleted_queue_loses_its_messages(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue)
    publish(channel, queue, "1")
    channel.queue_delete(queue)
    assert channel.queue_declare(queue).method.message_count == 0


def test_messages_of_a_deleted_queue_can_still_be_settled(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue)
    publish(channel, queue, "1", "2")
    first, second = (get_one(channel, queue, auto_ack=False) for _ in range(2))
    channel.queue_delete(queue)
    channel.basic_ack(first.tag)
    channel.basic_nack(second.tag, requeue=True)
    assert channel.queue_declare(queue).method.message_count == 0


def test_purge_counts_and_takes_ready_messages_only(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1", "2", "3")
    unacked = get_one(channel, queue, auto_ack=False)
    assert channel.queue_purge(queue).method.message_count == 2
    assert ready_count(channel, queue) == 0
    channel.basic_nack(unacked.tag, requeue=True)
    assert get_bodies(channel, queue) == [b"1"]


def test_purging_an_empty_queue_counts_none(channel: BlockingChannel, queue: str) -> None:
    assert channel.queue_purge(queue).method.message_count == 0


@pytest.fixture
def short_lived(channel: BlockingChannel, names: Names) -> str:
    """An auto-delete queue."""
    name = names.queue("short")
    channel.queue_declare(name, auto_delete=True)
    return name


def test_auto_delete_on_the_cancel_of_the_last_consumer(
    channel: BlockingChannel, connect: Connect, short_lived: str
) -> None:
    first, last = (Consumer(connect().channel(), short_lived) for _ in range(2))
    first.channel.basic_cancel(first.tag)
    assert exists(channel.connection, short_lived)
    last.channel.basic_cancel(last.tag)
    wait_until(lambda: not exists(channel.connection, short_lived))


def test_auto_delete_on_the_close_of_the_channel(channel: BlockingChannel, connect: Connect, short_lived: str) -> None:
    consumer = Consumer(connect().channel(), short_lived)
    consumer.channel.close()
    wait_until(lambda: not exists(channel.connection, short_lived))


def test_auto_delete_on_the_close_of_the_connection(
    channel: BlockingChannel, connect: Connect, short_lived: str
) -> None:
    other = connect()
    Consumer(other.channel(), short_lived)
    other.close()
    wait_until(lambda: not exists(channel.connection, short_lived))


def test_auto_delete_on_the_death_of_the_connection(broker: Broker, channel: BlockingChannel, short_lived: str) -> None:
    raw = RawConnection(broker.port)
    raw.open_channel()
    assert isinstance(raw.call(Basic.Consume(queue=short_lived)), Basic.ConsumeOk)
    raw.die()
    wait_until(lambda: not exists(channel.connection, short_lived))


@pytest.mark.parametrize("durable", [False, True])
def test_the_channel_that_deletes_a_queue_hears_of_its_own_consumer_after_the_answer(
    broker: Broker, names: Names, durable: bool
) -> None:
    queue = names.queue()
    with RawConnection(broker.port, properties={"capabilities": {"consumer_cancel_notify": True}}) as raw:
        raw.open_channel()
        raw.call(Queue.Declare(queue=queue, durable=durable))
        raw.call(Basic.Consume(queue=queue, consumer_tag="mine"))
        assert isinstance(raw.call(Queue.Delete(queue=queue)), Queue.DeleteOk)
        cancel = raw.method()
        assert isinstance(cancel, Basic.Cancel)
        assert cancel.consumer_tag == "mine"


def test_auto_delete_takes_what_is_left_in_the_queue(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, auto_delete=True)
    consumer = Consumer(channel, queue)
    channel.basic_cancel(consumer.tag)
    wait_until(lambda: not exists(channel.connection, queue))
    assert channel.queue_declare(queue, auto_delete=True).method.message_count == 0


def test_without_ever_a_consumer_auto_delete_does_nothing(
    channel: BlockingChannel, connect: Connect, short_lived: str
) -> None:
    other = connect()
    publish(other.channel(), short_lived, "1")
    get_one(other.channel(), short_lived)
    other.close()
    assert exists(channel.connection, short_lived)
    assert get(channel, short_lived) is None


def test_auto_delete_with_unacked_deliveries(broker: Broker, channel: BlockingChannel, short_lived: str) -> None:
    publish(channel, short_lived, "1", "2")
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Basic.Consume(queue=short_lived, consumer_tag="mine"))
        raw.methods(2)
        assert isinstance(raw.call(Basic.Cancel(consumer_tag="mine")), Basic.CancelOk)
        wait_until(lambda: not exists(channel.connection, short_lived))
        raw.send(Basic.Nack(delivery_tag=1, requeue=True))
        raw.send(Basic.Ack(delivery_tag=2))
        assert isinstance(raw.call(Basic.Qos()), Basic.QosOk)


def test_closing_a_channel_that_holds_messages_of_a_deleted_queue(
    channel: BlockingChannel, connect: Connect, names: Names
) -> None:
    queue, other = names.queue(), connect()
    channel.queue_declare(queue)
    publish(channel, queue, "1", "2")
    holder = other.channel()
    get_one(holder, queue, auto_ack=False)
    channel.queue_delete(queue)
    channel.queue_declare(queue)
    holder.close()
    other.channel().queue_declare(queue, passive=True)
    assert ready_count(channel, queue) == 0


def test_a_channel_error_ends_its_consumers(channel: BlockingChannel, connect: Connect, short_lived: str) -> None:
    consumer = Consumer(connect().channel(), short_lived)
    with pytest.raises(ChannelClosedByBroker):
        consumer.channel.queue_purge(f"{short_lived}.missing")
    wait_until(lambda: not exists(channel.connection, short_lived))


def test_delete_with_a_missing_last_queue_answers_none(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue)
    channel.queue_delete(queue)
    assert channel.queue_delete("").method.message_count == 0
