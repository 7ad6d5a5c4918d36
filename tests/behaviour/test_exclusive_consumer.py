"""Exclusive consumers, beyond what `test_consume` has of them: who is refused, who is not, and until when."""

from __future__ import annotations

import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.spec import Basic, Channel

from tests.behaviour.conftest import Broker, Connect, Names
from tests.behaviour.expectations import (
    Consumer,
    await_errors,
    channel_closed,
    consumer_count,
    publish,
    ready_count,
    wait_until,
)
from tests.behaviour.raw_connection import RawConnection

IN_USE = "ACCESS_REFUSED - queue '{}' in vhost '/' in exclusive use"


def test_the_refusal_names_basic_consume(broker: Broker, channel: BlockingChannel, queue: str) -> None:
    Consumer(channel, queue, exclusive=True)
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        closed = raw.call(Basic.Consume(queue=queue))
        assert isinstance(closed, Channel.Close)
        assert (closed.reply_code, closed.reply_text) == (403, IN_USE.format(queue))
        assert (closed.class_id, closed.method_id) == (60, 20)


def test_the_owner_goes_on_when_others_are_refused(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    owner = Consumer(channel, queue, exclusive=True)
    connection = connect()
    for exclusive in (False, True):
        with channel_closed(403, IN_USE.format(queue)):
            Consumer(connection.channel(), queue, exclusive=exclusive)
    publish(connection.channel(), queue, "1", "2")
    owner.wait_for(2)
    assert consumer_count(channel, queue) == 1


def test_a_refused_exclusive_consumer_leaves_the_others_alone(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    connection = connect()
    consumer = Consumer(connection.channel(), queue, auto_ack=True)
    with channel_closed(403, IN_USE.format(queue)):
        Consumer(channel, queue, exclusive=True)
    another = Consumer(connection.channel(), queue, auto_ack=True)
    publish(connection.channel(), queue, "1", "2")
    consumer.wait_for(1)
    another.wait_for(1)


def test_the_owner_may_not_add_a_plain_consumer(channel: BlockingChannel, queue: str) -> None:
    Consumer(channel, queue, exclusive=True)
    with channel_closed(403, IN_USE.format(queue)):
        Consumer(channel, queue)


def test_a_closed_channel_frees_the_queue(
    connection: BlockingConnection, channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    owner = Consumer(channel, queue, exclusive=True)
    publish(channel, queue, "1")
    owner.wait_for(1)
    channel.close()
    other = connect().channel()
    wait_until(lambda: consumer_count(other, queue) == 0)
    message = Consumer(other, queue, exclusive=True).wait_for(1)[0]
    assert (message.body, message.redelivered) == (b"1", True)
    assert connection.is_open


def test_a_channel_closed_by_an_error_frees_the_queue(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    owner = connect().channel()
    Consumer(owner, queue, exclusive=True)
    with channel_closed(404, "NOT_FOUND - no exchange 'missing' in vhost '/'"):
        owner.exchange_declare("missing", passive=True)
    wait_until(lambda: consumer_count(channel, queue) == 0)
    Consumer(channel, queue, exclusive=True)


def test_a_cancelled_owner_may_come_again(channel: BlockingChannel, queue: str) -> None:
    for turn in range(3):
        consumer = Consumer(channel, queue, auto_ack=True, exclusive=turn != 1)
        publish(channel, queue, str(turn))
        consumer.wait_for(1)
        channel.basic_cancel(consumer.tag)


def test_unacked_messages_of_a_cancelled_owner_do_not_hold_the_queue(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    owner = Consumer(connect().channel(), queue, exclusive=True)
    publish(channel, queue, "1")
    owner.wait_for(1)
    owner.channel.basic_cancel(owner.tag)
    consumer = Consumer(channel, queue, exclusive=True)
    assert consumer.settle() == []
    owner.channel.basic_nack(owner.messages[0].tag, requeue=True)
    await_errors(owner.channel)
    consumer.wait_for(1)


def test_it_has_nothing_to_do_with_other_queues(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    one, other = names.queue(), names.queue()
    connection = connect()
    for queue in (one, other):
        channel.queue_declare(queue)
        Consumer(connection.channel(), queue, exclusive=True, tag="mine")
    assert (consumer_count(channel, one), consumer_count(channel, other)) == (1, 1)


def test_others_may_publish_purge_and_delete(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue)
    owner = connect().channel()
    owner.basic_qos(prefetch_count=1)
    consumer = Consumer(owner, queue, exclusive=True)
    publish(channel, queue, "1", "2")
    consumer.wait_for(1)
    assert channel.queue_purge(queue).method.message_count == 1
    channel.queue_delete(queue)
    wait_until(lambda: consumer.cancelled, owner.connection)


def test_a_deletion_if_unused_is_refused(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    Consumer(connect().channel(), queue, exclusive=True)
    with channel_closed(406, f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use"):
        channel.queue_delete(queue, if_unused=True)


def test_a_queue_deleted_and_made_again_is_free(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue)
    owner = Consumer(connect().channel(), queue, exclusive=True)
    channel.queue_delete(queue)
    channel.queue_declare(queue)
    consumer = Consumer(channel, queue, auto_ack=True, exclusive=True)
    publish(channel, queue, "1")
    consumer.wait_for(1)
    assert owner.bodies == []


def test_an_auto_delete_queue_goes_with_its_exclusive_consumer(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, auto_delete=True)
    channel.basic_cancel(Consumer(channel, queue, exclusive=True).tag)
    with channel_closed(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        channel.queue_declare(queue, passive=True)


def test_an_exclusive_queue_may_have_one(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, exclusive=True)
    Consumer(channel, queue, exclusive=True)
    with channel_closed(403, IN_USE.format(queue)):
        Consumer(channel, queue)


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_consumer_without_answer_is_refused_all_the_same(
    broker: Broker, channel: BlockingChannel, queue: str, exclusive: bool
) -> None:
    Consumer(channel, queue, exclusive=True)
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        closed = raw.call(Basic.Consume(queue=queue, exclusive=exclusive, nowait=True))
        assert isinstance(closed, Channel.Close)
        assert closed.reply_code == 403


def test_a_quorum_queue_takes_no_notice_of_the_flag(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    worker = connect().channel()
    worker.basic_qos(prefetch_count=1)
    consumers = [Consumer(worker, queue, exclusive=exclusive) for exclusive in (True, False, True)]
    publish(channel, queue, "1", "2", "3")
    for consumer in consumers:
        consumer.wait_for(1)
    assert ready_count(channel, queue) == 0
