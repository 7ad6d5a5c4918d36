"""x-random (a plugin of RabbitMQ) and x-local-random (RabbitMQ 4): each message goes to one binding at random."""

from __future__ import annotations

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from tests.behaviour.conftest import Names
from tests.behaviour.expectations import await_errors, channel_closed, leveret_only, ready_count

since_4 = leveret_only("x-local-random is there since RabbitMQ 4.0")
KINDS = ["x-random", pytest.param("x-local-random", marks=since_4)]
COUNT = 600


def declare(channel: BlockingChannel, names: Names, kind: str, queues: int) -> tuple[str, list[str]]:
    """An exchange and queues that are bound to it without a key."""
    exchange = names.exchange()
    channel.exchange_declare(exchange, kind)
    bound = [names.queue() for _ in range(queues)]
    for queue in bound:
        channel.queue_declare(queue)
        channel.queue_bind(queue, exchange, "")
    return exchange, bound


@pytest.mark.parametrize("kind", KINDS)
def test_each_message_goes_to_one_queue(channel: BlockingChannel, names: Names, kind: str) -> None:
    exchange, queues = declare(channel, names, kind, 3)
    for number in range(COUNT):
        headers = {"CC": ["a", "b"]} if number % 2 else None
        channel.basic_publish(exchange, "same", b"", BasicProperties(headers=headers))
    await_errors(channel)
    counts = [ready_count(channel, queue) for queue in queues]
    assert sum(counts) == COUNT
    assert all(abs(count - COUNT / 3) < 100 for count in counts), counts  # more than eight standard deviations


@pytest.mark.parametrize("kind", KINDS)
def test_one_queue_gets_everything_and_none_nothing(channel: BlockingChannel, names: Names, kind: str) -> None:
    exchange, (queue,) = declare(channel, names, kind, 1)
    for number in range(10):
        channel.basic_publish(exchange, f"key {number}", b"")
    await_errors(channel)
    assert ready_count(channel, queue) == 10
    channel.queue_unbind(queue, exchange, "")
    channel.basic_publish(exchange, "key", b"")
    await_errors(channel)
    assert ready_count(channel, queue) == 10


def test_a_queue_bound_several_times_is_chosen_more_often(channel: BlockingChannel, names: Names) -> None:
    exchange, queues = declare(channel, names, "x-random", 2)
    for number in range(8):
        channel.queue_bind(queues[0], exchange, f"again {number}")
    for _ in range(COUNT):
        channel.basic_publish(exchange, "", b"")
    await_errors(channel)
    counts = [ready_count(channel, queue) for queue in queues]
    assert sum(counts) == COUNT
    assert 0 < counts[1] < COUNT / 4


def test_an_exchange_can_be_a_destination(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange, _ = declare(channel, names, "x-random", 0)
    fanout = names.exchange()
    channel.exchange_declare(fanout, "fanout")
    channel.queue_bind(queue, fanout)
    channel.exchange_bind(fanout, exchange, "any")
    channel.basic_publish(exchange, "key", b"")
    await_errors(channel)
    assert ready_count(channel, queue) == 1


@since_4
def test_x_local_random_refuses_a_binding_key(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange, _ = declare(channel, names, "x-local-random", 0)
    with channel_closed(406, "PRECONDITION_FAILED - Non empty binding 'key' key not permitted"):
        channel.queue_bind(queue, exchange, "key")


@since_4
def test_x_local_random_refuses_an_exchange_as_destination(channel: BlockingChannel, names: Names) -> None:
    exchange, _ = declare(channel, names, "x-local-random", 0)
    with channel_closed(406, "PRECONDITION_FAILED - Destination not found"):
        channel.exchange_bind("amq.fanout", exchange, "")
