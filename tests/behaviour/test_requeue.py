"""Where a message goes that comes back: to its old place in the queue, marked as redelivered."""

from __future__ import annotations

import random

import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.spec import Basic

from tests.behaviour.conftest import Broker, Connect
from tests.behaviour.expectations import (
    Consumer,
    Message,
    await_errors,
    get,
    get_bodies,
    get_one,
    publish,
    ready_count,
    wait_until,
)
from tests.behaviour.raw_connection import RawConnection


def number(*values: int) -> list[bytes]:
    return [str(value).encode() for value in values]


def take(channel: BlockingChannel, queue: str, count: int) -> list[Message]:
    return [get_one(channel, queue, auto_ack=False) for _ in range(count)]


def drain(channel: BlockingChannel, queue: str) -> list[tuple[bytes, bool]]:
    """What is ready, in order, with the redelivered flag."""
    found = []
    while (message := get(channel, queue)) is not None:
        found.append((message.body, message.redelivered))
    return found


@pytest.mark.parametrize(
    "back",
    [[0], [1], [2], [0, 2], [2, 0], [2, 1, 0], [0, 1, 2], [1, 2], [1, 0]],
    ids=lambda back: "".join(map(str, back)),
)
@pytest.mark.parametrize("taken", [3, 5])
def test_each_comes_back_to_its_old_place(channel: BlockingChannel, queue: str, taken: int, back: list[int]) -> None:
    publish(channel, queue, *number(*range(5)))
    messages = take(channel, queue, taken)
    for index in back:
        channel.basic_nack(messages[index].tag, requeue=True)
    ready = sorted([*back, *range(taken, 5)])
    assert drain(channel, queue) == [(str(value).encode(), value in back) for value in ready]


def test_it_comes_back_before_what_was_published_since(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "old")
    message = get_one(channel, queue, auto_ack=False)
    publish(channel, queue, "new")
    channel.basic_reject(message.tag, requeue=True)
    assert drain(channel, queue) == [(b"old", True), (b"new", False)]


def test_it_comes_back_behind_what_is_older_and_before_what_is_younger(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, *number(1, 2, 3, 4))
    first, second, third = take(channel, queue, 3)
    channel.basic_nack(second.tag, requeue=True)
    assert get_bodies(channel, queue) == number(2, 4)
    channel.basic_nack(third.tag, requeue=True)
    channel.basic_nack(first.tag, requeue=True)
    publish(channel, queue, *number(5))
    assert get_bodies(channel, queue) == number(1, 3, 5)


def test_a_message_may_come_back_many_times(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, *number(1, 2, 3))
    for turn in range(5):
        messages = take(channel, queue, 2)
        assert [message.body for message in messages] == number(1, 2)
        assert all(message.redelivered == (turn > 0) for message in messages)
        for message in reversed(messages):
            channel.basic_nack(message.tag, requeue=True)
    assert get_bodies(channel, queue) == number(1, 2, 3)


def test_random_settling_keeps_the_order(channel: BlockingChannel, queue: str) -> None:
    chance = random.Random(11)
    total = 60
    publish(channel, queue, *number(*range(total)))
    left = dict.fromkeys(range(total), False)
    for _ in range(30):
        count = chance.randint(1, len(left))
        messages = take(channel, queue, count)
        assert [(int(message.body), message.redelivered) for message in messages] == list(left.items())[:count]
        chance.shuffle(messages)
        for message in messages:
            if chance.random() < 0.1 and len(left) > 1:
                channel.basic_ack(message.tag)
                del left[int(message.body)]
            else:
                channel.basic_nack(message.tag, requeue=True)
                left[int(message.body)] = True
    assert [(int(body), redelivered) for body, redelivered in drain(channel, queue)] == list(left.items())


def test_a_closed_channel_gives_back_in_order(
    channel: BlockingChannel, connection: BlockingConnection, queue: str
) -> None:
    publish(channel, queue, *number(1, 2, 3, 4, 5))
    messages = take(channel, queue, 4)
    channel.basic_ack(messages[1].tag)
    await_errors(channel)
    channel.close()
    other = connection.channel()
    assert drain(other, queue) == [(b"1", True), (b"3", True), (b"4", True), (b"5", False)]


def test_a_closed_connection_gives_back_in_order(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    publish(channel, queue, *number(1, 2, 3))
    other = connect()
    take(other.channel(), queue, 2)
    other.close()
    wait_until(lambda: ready_count(channel, queue) == 3)
    assert drain(channel, queue) == [(b"1", True), (b"2", True), (b"3", False)]


def test_a_dead_connection_gives_back_in_order(broker: Broker, channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, *number(1, 2, 3))
    raw = RawConnection(broker.port)
    raw.open_channel()
    raw.call(Basic.Consume(queue=queue))
    raw.methods(3)
    assert ready_count(channel, queue) == 0
    raw.die()
    wait_until(lambda: ready_count(channel, queue) == 3)
    assert drain(channel, queue) == [(b"1", True), (b"2", True), (b"3", True)]


def test_deliveries_to_several_consumers_come_back_in_the_queue_order(
    channel: BlockingChannel, connection: BlockingConnection, queue: str
) -> None:
    first, second = connection.channel(), connection.channel()
    for one in (first, second):
        one.basic_qos(prefetch_count=3)
    consumers = [Consumer(first, queue), Consumer(second, queue)]
    publish(channel, queue, *number(*range(6)))
    for consumer in consumers:
        consumer.wait_for(3)
        channel_of = consumer.channel
        channel_of.basic_cancel(consumer.tag)
    second.basic_nack(0, multiple=True, requeue=True)
    first.basic_nack(0, multiple=True, requeue=True)
    for one in (first, second):
        await_errors(one)
    assert get_bodies(channel, queue) == number(*range(6))


def test_a_requeued_message_goes_to_another_waiting_consumer(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    publish(channel, queue, "task")
    message = get_one(channel, queue, auto_ack=False)
    consumer = Consumer(connect().channel(), queue)
    channel.basic_nack(message.tag, requeue=True)
    redelivered = consumer.wait_for(1)[0]
    assert (redelivered.body, redelivered.redelivered) == (b"task", True)


def test_redelivered_counts_for_the_message_not_the_consumer(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    publish(channel, queue, *number(1, 2))
    other = connect()
    get_one(other.channel(), queue, auto_ack=False)
    other.close()
    wait_until(lambda: ready_count(channel, queue) == 2)
    consumer = Consumer(channel, queue)
    assert [message.redelivered for message in consumer.wait_for(2)] == [True, False]


def test_properties_and_body_stay_the_same(channel: BlockingChannel, queue: str) -> None:
    body = bytes(range(256)) * 1024
    publish(channel, queue, body)
    for redelivered in (False, True, True):
        message = get_one(channel, queue, auto_ack=False)
        assert (message.body, message.redelivered) == (body, redelivered)
        channel.basic_nack(message.tag, requeue=True)
