"""basic.get, ack, nack, reject and recover."""

from __future__ import annotations

import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.spec import Basic

from tests.behaviour.conftest import Broker, Connect, Names
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
from tests.behaviour.raw_connection import RawConnection


def unknown(tag: int) -> str:
    return f"PRECONDITION_FAILED - unknown delivery tag {tag}"


def settled(channel: BlockingChannel, connection: BlockingConnection, queue: str) -> list[tuple[bytes, bool]]:
    """What comes back, with its redelivered flag, once the channel is closed."""
    await_errors(channel)
    channel.close()
    other = connection.channel()
    back = []
    while (message := get(other, queue)) is not None:
        back.append((message.body, message.redelivered))
    return back


def take(channel: BlockingChannel, queue: str, count: int) -> list[int]:
    """Publish `count` messages, named 1 and up, and get them all unacked; their delivery tags."""
    publish(channel, queue, *(str(number) for number in range(1, count + 1)))
    return [get_one(channel, queue, auto_ack=False).tag for _ in range(count)]


def test_get_from_an_empty_queue(channel: BlockingChannel, queue: str) -> None:
    assert get(channel, queue) is None


def test_get_counts_what_is_left(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1", "2", "3")
    assert [get_one(channel, queue, auto_ack).method.message_count for auto_ack in (True, False, True)] == [2, 1, 0]


def test_get_tells_exchange_key_and_redelivered(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "topic")
    channel.queue_bind(queue, exchange, "#")
    channel.basic_publish(exchange, "a.b", b"hello")
    await_errors(channel)
    first = get_one(channel, queue, auto_ack=False)
    assert (first.tag, first.redelivered, first.exchange, first.routing_key) == (1, False, exchange, "a.b")
    channel.basic_nack(first.tag, requeue=True)
    second = get_one(channel, queue, auto_ack=False)
    assert (second.tag, second.redelivered, second.exchange, second.routing_key) == (2, True, exchange, "a.b")


def test_get_without_acks_settles_at_once(channel: BlockingChannel, connection: BlockingConnection, queue: str) -> None:
    publish(channel, queue, "1", "2")
    get_one(channel, queue, auto_ack=True)
    assert settled(channel, connection, queue) == [(b"2", False)]


def test_get_does_not_respect_prefetch(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=1)
    channel.basic_qos(prefetch_count=1, global_qos=True)
    assert take(channel, queue, 3) == [1, 2, 3]


def test_an_acked_message_is_gone(channel: BlockingChannel, connection: BlockingConnection, queue: str) -> None:
    tags = take(channel, queue, 3)
    channel.basic_ack(tags[1])
    assert settled(channel, connection, queue) == [(b"1", True), (b"3", True)]


def test_an_ack_of_multiple_takes_all_up_to_its_tag(
    channel: BlockingChannel, connection: BlockingConnection, queue: str
) -> None:
    tags = take(channel, queue, 4)
    channel.basic_ack(tags[2], multiple=True)
    assert settled(channel, connection, queue) == [(b"4", True)]


def test_an_ack_of_multiple_with_tag_zero_takes_all(
    channel: BlockingChannel, connection: BlockingConnection, queue: str
) -> None:
    take(channel, queue, 3)
    channel.basic_ack(0, multiple=True)
    assert settled(channel, connection, queue) == []


def test_an_ack_of_multiple_passes_over_what_was_settled(
    channel: BlockingChannel, connection: BlockingConnection, queue: str
) -> None:
    tags = take(channel, queue, 4)
    channel.basic_ack(tags[1])
    channel.basic_ack(tags[2], multiple=True)
    assert settled(channel, connection, queue) == [(b"4", True)]


def test_a_nack_without_requeue_drops_the_message(
    channel: BlockingChannel, connection: BlockingConnection, queue: str
) -> None:
    tags = take(channel, queue, 2)
    channel.basic_nack(tags[0], requeue=False)
    assert settled(channel, connection, queue) == [(b"2", True)]


def test_a_nack_of_multiple_requeues_in_order(
    channel: BlockingChannel, connection: BlockingConnection, queue: str
) -> None:
    tags = take(channel, queue, 4)
    channel.basic_nack(tags[2], multiple=True, requeue=True)
    await_errors(channel)
    assert get_bodies(connection.channel(), queue) == [b"1", b"2", b"3"]


def test_a_nack_of_multiple_with_tag_zero_takes_all(channel: BlockingChannel, queue: str) -> None:
    take(channel, queue, 3)
    channel.basic_nack(0, multiple=True, requeue=True)
    assert get_bodies(channel, queue) == [b"1", b"2", b"3"]


def test_a_nack_of_multiple_may_drop(channel: BlockingChannel, connection: BlockingConnection, queue: str) -> None:
    tags = take(channel, queue, 3)
    channel.basic_nack(tags[1], multiple=True, requeue=False)
    assert settled(channel, connection, queue) == [(b"3", True)]


@pytest.mark.parametrize("requeue", [True, False])
def test_a_reject_takes_one_message(
    channel: BlockingChannel, connection: BlockingConnection, queue: str, requeue: bool
) -> None:
    tags = take(channel, queue, 3)
    channel.basic_reject(tags[1], requeue=requeue)
    channel.basic_ack(tags[0])
    channel.basic_ack(tags[2])
    assert settled(channel, connection, queue) == ([(b"2", True)] if requeue else [])


@pytest.mark.parametrize(
    "settle",
    [
        lambda channel, tag: channel.basic_ack(tag),
        lambda channel, tag: channel.basic_ack(tag, multiple=True),
        lambda channel, tag: channel.basic_nack(tag),
        lambda channel, tag: channel.basic_nack(tag, multiple=True, requeue=False),
        lambda channel, tag: channel.basic_reject(tag),
    ],
    ids=["ack", "ack multiple", "nack", "nack multiple", "reject"],
)
class TestUnknownTag:
    def test_a_tag_never_given_is_406(self, channel: BlockingChannel, queue: str, settle) -> None:  # type: ignore[no-untyped-def]
        take(channel, queue, 1)
        with channel_closed(406, unknown(2)):
            settle(channel, 2)
            await_errors(channel)

    def test_a_tag_on_a_channel_without_deliveries_is_406(self, channel: BlockingChannel, settle) -> None:  # type: ignore[no-untyped-def]
        with channel_closed(406, unknown(1)):
            settle(channel, 1)
            await_errors(channel)

    def test_a_tag_settled_before_is_406(self, channel: BlockingChannel, queue: str, settle) -> None:  # type: ignore[no-untyped-def]
        tags = take(channel, queue, 1)
        channel.basic_ack(tags[0])
        with channel_closed(406, unknown(1)):
            settle(channel, tags[0])
            await_errors(channel)


@pytest.mark.parametrize("method", ["basic_ack", "basic_nack", "basic_reject"])
def test_tag_zero_without_multiple_is_406(channel: BlockingChannel, queue: str, method: str) -> None:
    take(channel, queue, 1)
    with channel_closed(406, unknown(0)):
        getattr(channel, method)(0)
        await_errors(channel)


@pytest.mark.parametrize("method", ["basic_ack", "basic_nack"])
def test_tag_zero_with_multiple_and_nothing_unacked_is_accepted(channel: BlockingChannel, method: str) -> None:
    getattr(channel, method)(0, multiple=True)
    await_errors(channel)


def test_a_settled_tag_between_unacked_ones_is_406(channel: BlockingChannel, queue: str) -> None:
    tags = take(channel, queue, 3)
    channel.basic_ack(tags[1])
    with channel_closed(406, unknown(tags[1])):
        channel.basic_ack(tags[1])
        await_errors(channel)


def test_an_ack_of_multiple_up_to_a_settled_tag_is_406(channel: BlockingChannel, queue: str) -> None:
    tags = take(channel, queue, 3)
    channel.basic_ack(tags[1])
    with channel_closed(406, unknown(tags[1])):
        channel.basic_ack(tags[1], multiple=True)
        await_errors(channel)


def test_a_delivery_without_acks_cannot_be_acked(channel: BlockingChannel, queue: str) -> None:
    consumer = Consumer(channel, queue, auto_ack=True)
    publish(channel, queue, "1")
    tag = consumer.wait_for(1)[0].tag
    with channel_closed(406, unknown(tag)):
        channel.basic_ack(tag)
        await_errors(channel)


def test_a_tag_belongs_to_its_channel(channel: BlockingChannel, connection: BlockingConnection, queue: str) -> None:
    tags = take(channel, queue, 1)
    other = connection.channel()
    with channel_closed(406, unknown(tags[0])):
        other.basic_ack(tags[0])
        await_errors(other)
    assert settled(channel, connection, queue) == [(b"1", True)]


def test_an_error_requeues_what_the_channel_held(
    channel: BlockingChannel, connection: BlockingConnection, queue: str
) -> None:
    take(channel, queue, 2)
    with channel_closed(406, unknown(9)):
        channel.basic_ack(9)
        await_errors(channel)
    other = connection.channel()
    wait_until(lambda: ready_count(other, queue) == 2)
    assert get_bodies(other, queue) == [b"1", b"2"]


def test_a_consumer_without_acks_settles_at_once(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    other = connect()
    consumer = Consumer(other.channel(), queue, auto_ack=True)
    publish(channel, queue, "1", "2")
    consumer.wait_for(2)
    other.close()
    assert ready_count(channel, queue) == 0


def test_recover_redelivers_what_is_unacked(channel: BlockingChannel, queue: str) -> None:
    consumer = Consumer(channel, queue)
    publish(channel, queue, "1", "2")
    consumer.wait_for(2)
    channel.basic_recover(requeue=True)
    consumer.wait_for(4)
    assert consumer.bodies[2:] == [b"1", b"2"]
    assert [(message.tag, message.redelivered) for message in consumer.messages[2:]] == [(3, True), (4, True)]


def test_recover_makes_old_tags_unknown(channel: BlockingChannel, queue: str) -> None:
    tags = take(channel, queue, 1)
    channel.basic_recover(requeue=True)
    with channel_closed(406, unknown(tags[0])):
        channel.basic_ack(tags[0])
        await_errors(channel)


def test_recover_requeues_what_was_got(channel: BlockingChannel, queue: str) -> None:
    take(channel, queue, 3)
    channel.basic_recover(requeue=True)
    assert get_bodies(channel, queue) == [b"1", b"2", b"3"]


def test_recover_async_has_no_answer(broker: Broker, channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1", "2")
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Basic.Consume(queue=queue))
        raw.methods(2)
        raw.send(Basic.RecoverAsync(requeue=True))
        again = raw.methods(2)
        assert [type(method) for method in again] == [Basic.Deliver] * 2
        assert [(method.delivery_tag, method.redelivered) for method in again] == [(3, True), (4, True)]


def test_recover_to_the_same_consumer_is_not_implemented(broker: Broker) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        closed = raw.call(Basic.Recover(requeue=False))
        assert (closed.reply_code, closed.reply_text) == (540, "NOT_IMPLEMENTED - requeue=false")
        assert (closed.class_id, closed.method_id) == (60, 110)


def test_multiple_spans_the_queues_of_a_channel(
    channel: BlockingChannel, connection: BlockingConnection, names: Names
) -> None:
    queues = [names.queue() for _ in range(2)]
    for queue in queues:
        channel.queue_declare(queue)
        publish(channel, queue, "1", "2", "3")
    tags = [get_one(channel, queue, auto_ack=False).tag for queue in queues * 3]
    channel.basic_ack(tags[1], multiple=True)
    channel.basic_nack(tags[4], multiple=True, requeue=True)
    await_errors(channel)
    other = connection.channel()
    assert [get_bodies(other, queue) for queue in queues] == [[b"2", b"3"], [b"2"]]


def test_acks_in_any_order(channel: BlockingChannel, connection: BlockingConnection, queue: str) -> None:
    tags = take(channel, queue, 6)
    for index in (5, 0, 3, 1):
        channel.basic_ack(tags[index])
    assert settled(channel, connection, queue) == [(b"3", True), (b"5", True)]
