"""Transactions: what is published and settled on a channel between commits."""

from __future__ import annotations

import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.behaviour.conftest import Connect, Names
from tests.behaviour.expectations import (
    Consumer,
    await_errors,
    channel_closed,
    get,
    get_bodies,
    get_one,
    publish,
    ready_count,
    wait_until,
)


@pytest.fixture
def work(connection: BlockingConnection) -> BlockingChannel:
    """A transactional channel."""
    channel = connection.channel()
    channel.tx_select()
    return channel


def test_a_commit_makes_publishes_visible(work: BlockingChannel, channel: BlockingChannel, queue: str) -> None:
    publish(work, queue, "1", "2")
    assert get(channel, queue) is None
    work.tx_commit()
    assert get_bodies(channel, queue) == [b"1", b"2"]


def test_a_rollback_drops_publishes(work: BlockingChannel, channel: BlockingChannel, queue: str) -> None:
    publish(work, queue, "dropped")
    work.tx_rollback()
    publish(work, queue, "kept")
    work.tx_commit()
    assert get_bodies(channel, queue) == [b"kept"]


def test_transactions_follow_one_another(work: BlockingChannel, channel: BlockingChannel, queue: str) -> None:
    for number in range(5):
        publish(work, queue, str(number))
        (work.tx_commit if number % 2 else work.tx_rollback)()
    assert get_bodies(channel, queue) == [b"1", b"3"]


def test_a_commit_of_nothing_is_accepted(work: BlockingChannel) -> None:
    for end in (work.tx_commit, work.tx_rollback, work.tx_commit):
        end()


def test_selecting_twice_keeps_what_is_pending(work: BlockingChannel, channel: BlockingChannel, queue: str) -> None:
    publish(work, queue, "1")
    work.tx_select()
    work.tx_commit()
    assert get_bodies(channel, queue) == [b"1"]


def test_a_commit_reaches_several_queues(work: BlockingChannel, channel: BlockingChannel, names: Names) -> None:
    queues = [names.queue() for _ in range(3)]
    for queue in queues:
        channel.queue_declare(queue)
        publish(work, queue, queue)
    work.tx_commit()
    assert [get_bodies(channel, queue) for queue in queues] == [[queue.encode()] for queue in queues]


def test_large_messages_wait_for_the_commit(work: BlockingChannel, channel: BlockingChannel, queue: str) -> None:
    body = bytes(range(256)) * 2000
    publish(work, queue, body)
    assert get(channel, queue) is None
    work.tx_commit()
    assert get_bodies(channel, queue) == [body]


def test_closing_the_channel_drops_what_is_pending(work: BlockingChannel, channel: BlockingChannel, queue: str) -> None:
    publish(work, queue, "dropped")
    work.close()
    assert get(channel, queue) is None


def test_an_ack_counts_with_the_commit(work: BlockingChannel, channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1", "2")
    for _ in range(2):
        work.basic_ack(get_one(work, queue, auto_ack=False).tag)
        work.tx_commit()
    work.close()
    assert get(channel, queue) is None


def test_an_ack_without_commit_is_lost_with_the_channel(
    work: BlockingChannel, channel: BlockingChannel, queue: str
) -> None:
    publish(channel, queue, "1")
    work.basic_ack(get_one(work, queue, auto_ack=False).tag)
    await_errors(work)
    work.close()
    wait_until(lambda: ready_count(channel, queue) == 1)
    assert get_one(channel, queue).redelivered


def test_a_rollback_makes_acked_messages_unacked_again(
    work: BlockingChannel, channel: BlockingChannel, queue: str
) -> None:
    publish(channel, queue, "1", "2")
    tags = [get_one(work, queue, auto_ack=False).tag for _ in range(2)]
    work.basic_ack(tags[1], multiple=True)
    work.tx_rollback()
    assert get(channel, queue) is None
    work.basic_ack(tags[0])
    work.tx_commit()
    work.close()
    wait_until(lambda: ready_count(channel, queue) == 1)
    assert get_bodies(channel, queue) == [b"2"]


def test_a_requeue_counts_with_the_commit(work: BlockingChannel, channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1", "2")
    tags = [get_one(work, queue, auto_ack=False).tag for _ in range(2)]
    work.basic_nack(tags[0], requeue=True)
    work.basic_reject(tags[1], requeue=True)
    await_errors(work)
    assert get(channel, queue) is None
    work.tx_commit()
    assert get_bodies(channel, queue) == [b"1", b"2"]


def test_a_reject_that_drops_counts_with_the_commit(
    work: BlockingChannel, channel: BlockingChannel, queue: str
) -> None:
    publish(channel, queue, "1")
    tag = get_one(work, queue, auto_ack=False).tag
    work.basic_reject(tag, requeue=False)
    work.tx_rollback()
    work.basic_reject(tag, requeue=True)
    work.tx_commit()
    assert get_bodies(channel, queue) == [b"1"]


def test_a_publish_and_an_ack_commit_together(
    work: BlockingChannel, channel: BlockingChannel, names: Names, queue: str
) -> None:
    results = names.queue()
    channel.queue_declare(results)
    publish(channel, queue, "task")
    task = get_one(work, queue, auto_ack=False)
    publish(work, results, b"done " + task.body)
    work.basic_ack(task.tag)
    work.tx_commit()
    work.close()
    assert (get_bodies(channel, results), get_bodies(channel, queue)) == ([b"done task"], [])


def test_an_ack_makes_room_in_the_prefetch_with_the_commit(
    work: BlockingChannel, channel: BlockingChannel, queue: str
) -> None:
    work.basic_qos(prefetch_count=1)
    consumer = Consumer(work, queue)
    publish(channel, queue, "1", "2")
    work.basic_ack(consumer.wait_for(1)[0].tag)
    assert consumer.settle() == [b"1"]
    work.tx_commit()
    assert consumer.wait_for(2)[1].body == b"2"


def test_deliveries_do_not_wait_for_a_commit(work: BlockingChannel, connect: Connect, queue: str) -> None:
    consumer = Consumer(work, queue)
    publish(connect().channel(), queue, "1")
    consumer.wait_for(1)


def test_an_unknown_tag_is_406_at_once(work: BlockingChannel) -> None:
    with channel_closed(406, "PRECONDITION_FAILED - unknown delivery tag 7"):
        work.basic_ack(7)
        await_errors(work)


def test_a_tag_acked_in_the_transaction_is_406(work: BlockingChannel, channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1")
    tag = get_one(work, queue, auto_ack=False).tag
    work.basic_ack(tag)
    with channel_closed(406, f"PRECONDITION_FAILED - unknown delivery tag {tag}"):
        work.basic_ack(tag)
        await_errors(work)


def test_a_missing_exchange_is_404_at_once(work: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    with channel_closed(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"):
        work.basic_publish(exchange, "key", b"")
        await_errors(work)


def test_an_unroutable_message_is_returned_with_the_commit(work: BlockingChannel, names: Names) -> None:
    returned: list[bytes] = []
    work.add_on_return_callback(lambda _channel, _method, _properties, body: returned.append(body))
    work.basic_publish("", names.queue(), b"back", mandatory=True)
    await_errors(work)
    work.connection.process_data_events(0)
    assert returned == []
    work.tx_commit()
    work.connection.process_data_events(0)
    assert returned == [b"back"]


def test_an_unroutable_message_is_not_returned_after_a_rollback(work: BlockingChannel, names: Names) -> None:
    returned: list[bytes] = []
    work.add_on_return_callback(lambda _channel, _method, _properties, body: returned.append(body))
    work.basic_publish("", names.queue(), b"back", mandatory=True)
    work.tx_rollback()
    work.tx_commit()
    work.connection.process_data_events(0)
    assert returned == []


@pytest.mark.parametrize("method", ["tx_commit", "tx_rollback"])
def test_without_select_there_is_no_transaction(channel: BlockingChannel, method: str) -> None:
    with channel_closed(406, "PRECONDITION_FAILED - channel is not transactional"):
        getattr(channel, method)()


def test_another_channel_is_not_in_the_transaction(work: BlockingChannel, channel: BlockingChannel, queue: str) -> None:
    publish(work, queue, "pending")
    publish(channel, queue, "at once")
    assert get_bodies(channel, queue) == [b"at once"]
