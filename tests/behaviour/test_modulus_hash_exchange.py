"""x-modulus-hash (RabbitMQ's sharding plugin, in its core since 4.3): the routing key's hash chooses one binding."""

from __future__ import annotations

from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from tests.behaviour.conftest import Names
from tests.behaviour.expectations import await_errors, get_bodies, ready_count

COUNT = 600


def declare(channel: BlockingChannel, names: Names, *keys: str) -> tuple[str, list[str]]:
    """An exchange, and a queue bound to it by each of the keys, which mean nothing."""
    exchange = names.exchange()
    channel.exchange_declare(exchange, "x-modulus-hash")
    queues = [names.queue() for _ in keys]
    for queue, key in zip(queues, keys, strict=True):
        channel.queue_declare(queue)
        channel.queue_bind(queue, exchange, key)
    return exchange, queues


def publish(channel: BlockingChannel, exchange: str, count: int = COUNT) -> None:
    for number in range(count):
        channel.basic_publish(exchange, f"key.{number}", f"key.{number}")
    await_errors(channel)


def test_every_queue_gets_its_part(channel: BlockingChannel, names: Names) -> None:
    exchange, queues = declare(channel, names, "", "a", "key.1")
    publish(channel, exchange)
    counts = [ready_count(channel, queue) for queue in queues]
    assert sum(counts) == COUNT
    assert all(abs(count - COUNT / 3) < 80 for count in counts), counts


def test_equal_keys_go_to_one_queue(channel: BlockingChannel, names: Names) -> None:
    exchange, queues = declare(channel, names, "", "", "")
    for _ in range(5):
        publish(channel, exchange, 20)
    bodies = [get_bodies(channel, queue) for queue in queues]
    for of_queue in bodies:
        assert len(of_queue) == 5 * len(set(of_queue))
    assert sum(len(set(of_queue)) for of_queue in bodies) == 20


def test_a_message_with_copies_goes_to_one_queue(channel: BlockingChannel, names: Names) -> None:
    exchange, queues = declare(channel, names, "", "", "")
    properties = BasicProperties(headers={"CC": ["a", "b", "c", "d"]})
    for number in range(30):
        channel.basic_publish(exchange, f"key {number}", b"", properties)
    await_errors(channel)
    assert sum(ready_count(channel, queue) for queue in queues) == 30


def test_a_queue_that_goes_leaves_its_part_to_the_others(channel: BlockingChannel, names: Names) -> None:
    exchange, queues = declare(channel, names, "", "", "")
    channel.queue_delete(queues[0])
    publish(channel, exchange)
    counts = [ready_count(channel, queue) for queue in queues[1:]]
    assert sum(counts) == COUNT
    assert all(abs(count - COUNT / 2) < 80 for count in counts), counts


def test_without_bindings_a_message_is_unroutable(channel: BlockingChannel, names: Names, queue: str) -> None:
    alternate, exchange = names.exchange(), names.exchange()
    channel.exchange_declare(alternate, "fanout")
    channel.queue_bind(queue, alternate)
    channel.exchange_declare(exchange, "x-modulus-hash", arguments={"alternate-exchange": alternate})
    publish(channel, exchange, 3)
    assert ready_count(channel, queue) == 3
