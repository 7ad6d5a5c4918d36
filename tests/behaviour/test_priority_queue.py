"""Priority queues: levels served strictly from high to low, first in first out within a level."""

from __future__ import annotations

import random

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.behaviour.conftest import Connect, Names
from tests.behaviour.expectations import (
    Consumer,
    Message,
    await_errors,
    channel_closed,
    get,
    get_bodies,
    get_one,
    leveret_only,
    ready_count,
    wait_until,
)

Prioritized = tuple[str, int | None]


def declare(channel: BlockingChannel, names: Names, levels: int = 10, **arguments: object) -> str:
    """A durable queue of that many levels above 0; `arguments` without `x-`, with underscores for dashes."""
    queue = names.queue("priority")
    named = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    channel.queue_declare(queue, durable=True, arguments={"x-max-priority": levels, **named})
    return queue


def publish(channel: BlockingChannel, queue: str, *messages: Prioritized, expiration: str | None = None) -> None:
    """Publish bodies with their priorities, None for a message without one, and wait until the broker has them."""
    for body, priority in messages:
        properties = BasicProperties(priority=priority, expiration=expiration)
        channel.basic_publish("", queue, body, properties)
    await_errors(channel)


def take(channel: BlockingChannel, queue: str, count: int) -> list[Message]:
    return [get_one(channel, queue, auto_ack=False) for _ in range(count)]


def test_the_higher_priority_goes_first(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names)
    publish(channel, queue, ("low", 1), ("high", 9), ("middle", 5))
    assert get_bodies(channel, queue) == [b"high", b"middle", b"low"]


def test_a_level_is_first_in_first_out(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names)
    publish(channel, queue, ("a1", 1), ("b1", 2), ("a2", 1), ("b2", 2), ("a3", 1), ("b3", 2))
    assert get_bodies(channel, queue) == [b"b1", b"b2", b"b3", b"a1", b"a2", b"a3"]


def test_no_priority_is_the_same_as_0(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names)
    publish(channel, queue, ("none", None), ("zero", 0), ("none again", None), ("one", 1))
    assert get_bodies(channel, queue) == [b"one", b"none", b"zero", b"none again"]


def test_a_priority_above_the_highest_level_counts_as_the_highest(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, levels=3)
    publish(channel, queue, ("two", 2), ("three", 3), ("two hundred", 200), ("three again", 3), ("most", 255))
    messages = take(channel, queue, 5)
    assert [message.body for message in messages] == [b"three", b"two hundred", b"three again", b"most", b"two"]
    assert [message.properties.priority for message in messages] == [3, 200, 3, 255, 2]


@pytest.mark.parametrize("levels", [1, 9, 255])
def test_from_1_to_255_levels(channel: BlockingChannel, names: Names, levels: int) -> None:
    queue = declare(channel, names, levels)
    publish(channel, queue, *((str(priority), priority) for priority in range(levels + 1)))
    expected = [str(priority).encode() for priority in range(levels, -1, -1)]
    assert get_bodies(channel, queue) == expected


def test_with_no_level_above_0_all_are_equal(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, levels=0)
    publish(channel, queue, ("a", 0), ("b", 9), ("c", 1))
    assert get_bodies(channel, queue) == [b"a", b"b", b"c"]


def test_a_queue_without_levels_ignores_priorities(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, ("a", 0), ("b", 9), ("c", 1))
    assert get_bodies(channel, queue) == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (256, "{max_value_exceeded,256}"),
        (2**40, "{max_value_exceeded,1099511627776}"),
        (-1, "{value_negative,-1}"),
        ("5", '"expected integer, got longstr"'),
        (True, '"expected integer, got bool"'),
        (None, '"expected integer, got void"'),
    ],
)
def test_other_numbers_of_levels_are_refused(
    channel: BlockingChannel, names: Names, value: object, reason: str
) -> None:
    queue = names.queue()
    text = f"PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue '{queue}' in vhost '/': {reason}"
    with channel_closed(406, text):
        channel.queue_declare(queue, arguments={"x-max-priority": value})


def test_random_publishing_and_taking(channel: BlockingChannel, names: Names) -> None:
    queue, chance = declare(channel, names, levels=5), random.Random(7)
    waiting: list[tuple[int, int]] = []  # negative level and number: sorted, as they have to leave
    for number in range(150):
        priority = chance.choice([None, 0, 1, 2, 3, 4, 5, 8])
        channel.basic_publish("", queue, str(number), BasicProperties(priority=priority))
        waiting.append((-min(priority or 0, 5), number))
        if chance.random() < 0.4:
            expected = min(waiting)
            waiting.remove(expected)
            assert int(get_one(channel, queue).body) == expected[1]
    assert [int(body) for body in get_bodies(channel, queue)] == [number for _, number in sorted(waiting)]


def test_a_consumer_gets_the_waiting_ones_by_priority(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names)
    publish(channel, queue, ("low", 1), ("high", 9), ("middle", 5))
    consumer = Consumer(channel, queue, auto_ack=True)
    assert [message.body for message in consumer.wait_for(3)] == [b"high", b"middle", b"low"]


def test_what_was_delivered_is_not_overtaken(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue = declare(channel, names)
    worker = connect().channel()
    worker.basic_qos(prefetch_count=1)
    consumer = Consumer(worker, queue)
    publish(channel, queue, ("low", 1))
    consumer.wait_for(1)
    publish(channel, queue, ("middle", 5), ("high", 9))
    assert consumer.settle() == [b"low"]
    for count in (2, 3):
        worker.basic_ack(consumer.messages[-1].tag)
        consumer.wait_for(count)
    assert consumer.bodies == [b"low", b"high", b"middle"]


def test_low_levels_wait_for_as_long_as_there_is_something_higher(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names)
    publish(channel, queue, ("low", 0))
    for number in range(20):
        publish(channel, queue, (f"{number}", 1))
        assert get_one(channel, queue).body == str(number).encode()
    assert get_bodies(channel, queue) == [b"low"]


def test_counts_are_over_all_levels(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names)
    publish(channel, queue, ("a", 1), ("b", 5), ("c", 0), ("d", 5))
    assert ready_count(channel, queue) == 4
    assert get_one(channel, queue, auto_ack=False).method.message_count == 3
    assert ready_count(channel, queue) == 3
    assert channel.queue_delete(queue).method.message_count == 3


def test_a_purge_empties_all_levels_but_leaves_what_is_unacked(
    connection: BlockingConnection, channel: BlockingChannel, names: Names
) -> None:
    queue = declare(channel, names)
    publish(channel, queue, ("a", 1), ("b", 5), ("c", 3))
    other = connection.channel()
    assert get_one(other, queue, auto_ack=False).body == b"b"
    assert channel.queue_purge(queue).method.message_count == 2
    assert ready_count(channel, queue) == 0
    other.close()
    wait_until(lambda: ready_count(channel, queue) == 1)
    publish(channel, queue, ("d", 5), ("e", 9))
    assert get_bodies(channel, queue) == [b"e", b"b", b"d"]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]], ids=lambda order: "".join(map(str, order)))
def test_what_comes_back_goes_to_its_place_in_its_level(
    channel: BlockingChannel, names: Names, order: list[int]
) -> None:
    queue = declare(channel, names)
    publish(channel, queue, ("high 1", 5), ("high 2", 5), ("low 1", 1), ("low 2", 1))
    messages = take(channel, queue, 3)
    assert [message.body for message in messages] == [b"high 1", b"high 2", b"low 1"]
    publish(channel, queue, ("high 3", 5), ("low 3", 1))
    for index in order:
        channel.basic_nack(messages[index].tag, requeue=True)
    back = [(message.body, message.redelivered) for message in take(channel, queue, 6)]
    assert back == [
        (b"high 1", True),
        (b"high 2", True),
        (b"high 3", False),
        (b"low 1", True),
        (b"low 2", False),
        (b"low 3", False),
    ]


def test_what_comes_back_does_not_go_before_a_higher_level(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names)
    publish(channel, queue, ("low", 1))
    message = get_one(channel, queue, auto_ack=False)
    publish(channel, queue, ("high", 9), ("low again", 1))
    channel.basic_reject(message.tag, requeue=True)
    assert get_bodies(channel, queue) == [b"high", b"low", b"low again"]


def test_a_recover_gives_every_level_its_own_back(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names)
    publish(channel, queue, ("a", 1), ("b", 5), ("c", 3), ("d", 5))
    take(channel, queue, 3)
    channel.basic_recover(requeue=True)
    assert get_bodies(channel, queue) == [b"b", b"d", b"c", b"a"]


def test_a_closed_channel_gives_every_level_its_own_back(
    connection: BlockingConnection, channel: BlockingChannel, names: Names
) -> None:
    queue, other = declare(channel, names), connection.channel()
    publish(channel, queue, ("a", 1), ("b", 5), ("c", 3), ("d", 5))
    take(other, queue, 4)
    publish(channel, queue, ("e", 5), ("f", 1))
    other.close()
    wait_until(lambda: ready_count(channel, queue) == 6)
    assert get_bodies(channel, queue) == [b"b", b"d", b"e", b"c", b"a", b"f"]


def test_a_transaction_is_put_in_by_priority(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue, other = declare(channel, names), connect().channel()
    channel.tx_select()
    publish(channel, queue, ("low", 1), ("high", 5), ("low again", 1))
    assert ready_count(other, queue) == 0
    channel.tx_commit()
    assert get_bodies(other, queue) == [b"high", b"low", b"low again"]


def test_the_head_that_is_dropped_is_the_oldest_of_the_highest_level(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, max_length=3)
    publish(channel, queue, ("high 1", 5), ("low 1", 1), ("high 2", 5), ("low 2", 1))
    assert get_bodies(channel, queue) == [b"high 2", b"low 1", b"low 2"]


def test_a_message_above_all_that_fill_the_queue_is_the_one_dropped(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, max_length=2)
    publish(channel, queue, ("low 1", 1), ("low 2", 1), ("high", 5))
    assert get_bodies(channel, queue) == [b"low 1", b"low 2"]


def test_the_octets_are_counted_over_all_levels(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, max_length_bytes=10)
    publish(channel, queue, ("aaaaa", 5), ("bbbbb", 1), ("ccccc", 3))
    assert get_bodies(channel, queue) == [b"ccccc", b"bbbbb"]


def test_a_full_queue_that_rejects_rejects_high_priorities_too(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, max_length=2, overflow="reject-publish")
    publish(channel, queue, ("low 1", 1), ("low 2", 1), ("high", 5))
    assert get_bodies(channel, queue) == [b"low 1", b"low 2"]


def test_a_dropped_head_is_dead_lettered_with_its_priority(channel: BlockingChannel, names: Names, queue: str) -> None:
    source = declare(channel, names, max_length=1, dead_letter_exchange="", dead_letter_routing_key=queue)
    publish(channel, source, ("high", 5), ("low", 1))
    wait_until(lambda: ready_count(channel, queue) == 1)
    message = get_one(channel, queue)
    assert (message.body, message.properties.priority) == (b"high", 5)
    assert message.properties.headers["x-first-death-reason"] == "maxlen"
    assert get_bodies(channel, source) == [b"low"]


def test_the_time_to_live_of_the_queue_expires_all_levels(channel: BlockingChannel, names: Names, queue: str) -> None:
    source = declare(channel, names, message_ttl=20, dead_letter_exchange="", dead_letter_routing_key=queue)
    publish(channel, source, ("a", 1), ("b", 5), ("c", None))
    wait_until(lambda: ready_count(channel, queue) == 3)
    assert sorted(get_bodies(channel, queue)) == [b"a", b"b", b"c"]
    assert ready_count(channel, source) == 0


def test_an_expired_message_below_a_higher_level_is_never_delivered(
    channel: BlockingChannel, names: Names, queue: str
) -> None:
    source = declare(channel, names, dead_letter_exchange="", dead_letter_routing_key=queue)
    publish(channel, source, ("high", 5))
    publish(channel, source, ("low", 1), expiration="1")
    wait_for_expiry(channel, names)
    assert get_one(channel, source).body == b"high"
    assert get(channel, source) is None
    wait_until(lambda: ready_count(channel, queue) == 1)
    assert get_bodies(channel, queue) == [b"low"]


@leveret_only("RabbitMQ 3 delivers an expired message if it became the head by its priority")
def test_an_expired_message_that_overtook_the_head_is_never_delivered(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names)
    publish(channel, queue, ("low", 1))
    publish(channel, queue, ("high", 5), expiration="1")
    wait_for_expiry(channel, names)
    assert get_bodies(channel, queue) == [b"low"]


def test_a_level_goes_on_behind_an_expired_message(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names)
    publish(channel, queue, ("high", 5))
    publish(channel, queue, ("expired", 1), expiration="1")
    publish(channel, queue, ("low", 1))
    wait_for_expiry(channel, names)
    assert get_bodies(channel, queue) == [b"high", b"low"]


def wait_for_expiry(channel: BlockingChannel, names: Names) -> None:
    """Wait until a message published now, with a time to live of 20 ms, has expired."""
    queue = names.queue("clock")
    channel.queue_declare(queue)
    publish(channel, queue, ("tick", None), expiration="20")
    wait_until(lambda: ready_count(channel, queue) == 0)


def test_a_quorum_queue_refuses_the_argument(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    text = (
        f"PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue '{queue}' in vhost '/' "
        "of queue type rabbit_quorum_queue"
    )
    with channel_closed(406, text):
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum", "x-max-priority": 5})


@leveret_only("quorum queues have levels since RabbitMQ 4, and 32 of them since 4.3")
def test_a_quorum_queue_has_the_levels_0_to_31_always_and_4_for_no_priority(
    channel: BlockingChannel, names: Names
) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    priorities: list[Prioritized] = [("0", 0), ("3", 3), ("none", None), ("4", 4), ("5", 5), ("30", 30), ("31", 31)]
    publish(channel, queue, *priorities, ("200", 200))
    assert get_bodies(channel, queue) == [b"31", b"200", b"30", b"5", b"none", b"4", b"3", b"0"]
