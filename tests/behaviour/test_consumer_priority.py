"""x-priority of basic.consume: the ready consumer of the highest priority is served; `test_consume` has the basics."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.spec import Basic

from tests.behaviour.conftest import Broker, Connect, Names
from tests.behaviour.expectations import (
    Consumer,
    channel_closed,
    consumer_count,
    get_bodies,
    publish,
    ready_count,
    wait_until,
)
from tests.behaviour.raw_connection import RawConnection


def consume(connection: BlockingConnection, queue: str, priority: int | None, prefetch: int = 1) -> Consumer:
    """A consumer on a channel of its own, that takes at most `prefetch` messages at a time; 0 is no limit."""
    channel = connection.channel()
    channel.basic_qos(prefetch_count=prefetch)
    return Consumer(channel, queue, arguments=None if priority is None else {"x-priority": priority})


def test_messages_go_down_the_priorities_as_consumers_fill_up(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    connection = connect()
    consumers = {priority: consume(connection, queue, priority) for priority in (-7, 3, 0, 10, -1)}
    publish(channel, queue, "1", "2", "3", "4", "5")
    for body, priority in enumerate((10, 3, 0, -1, -7), start=1):
        assert consumers[priority].wait_for(1)[0].body == str(body).encode()


def test_no_priority_is_the_same_as_0(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    connection = connect()
    below, plain, zero = (consume(connection, queue, priority, prefetch=0) for priority in (-1, None, 0))
    publish(channel, queue, "1", "2", "3", "4")
    plain.wait_for(2)
    zero.wait_for(2)
    assert below.settle() == []


@pytest.mark.parametrize(("lower", "higher"), [(-(2**40), -1), (255, 256), (2**31, 2**40)])
def test_any_integer_is_a_priority(
    channel: BlockingChannel, connect: Connect, queue: str, lower: int, higher: int
) -> None:
    connection = connect()
    low, high = consume(connection, queue, lower, prefetch=0), consume(connection, queue, higher, prefetch=0)
    publish(channel, queue, "1", "2", "3")
    high.wait_for(3)
    assert low.settle() == []


def test_one_that_comes_later_is_served_from_then_on(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    connection = connect()
    plain = consume(connection, queue, None, prefetch=0)
    publish(channel, queue, "1")
    plain.wait_for(1)
    high = consume(connection, queue, 1, prefetch=0)
    publish(channel, queue, "2")
    high.wait_for(1)
    assert plain.settle() == [b"1"]


def test_an_acknowledgement_makes_room_for_the_next_message(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    connection = connect()
    low, high = consume(connection, queue, 0), consume(connection, queue, 1)
    publish(channel, queue, "1", "2", "3", "4")
    low.wait_for(1)
    for count in (2, 3):
        high.channel.basic_ack(high.messages[-1].tag)
        high.wait_for(count)
    assert (high.bodies, low.settle()) == ([b"1", b"3", b"4"], [b"2"])


def test_a_message_a_low_one_gives_back_goes_to_a_high_one(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    connection = connect()
    low, high = consume(connection, queue, 0), consume(connection, queue, 1)
    publish(channel, queue, "1", "2")
    low.wait_for(1)
    high.channel.basic_ack(high.wait_for(1)[0].tag)
    low.channel.basic_nack(low.messages[0].tag, requeue=True)
    again = high.wait_for(2)[1]
    assert (again.body, again.redelivered) == (b"2", True)


def test_a_high_one_gets_back_what_it_gives_back(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    connection = connect()
    low, high = consume(connection, queue, 0, prefetch=0), consume(connection, queue, 1, prefetch=2)
    publish(channel, queue, "1")
    for count in (1, 2, 3):
        message = high.wait_for(count)[-1]
        assert (message.body, message.redelivered) == (b"1", count > 1)
        high.channel.basic_nack(message.tag, requeue=True)
    assert low.settle() == []


def test_a_cancelled_one_leaves_its_turn_to_the_lower(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    connection = connect()
    low, high = consume(connection, queue, 0, prefetch=0), consume(connection, queue, 1, prefetch=0)
    publish(channel, queue, "1")
    high.wait_for(1)
    high.channel.basic_cancel(high.tag)
    publish(channel, queue, "2")
    assert low.wait_for(1)[0].body == b"2"


def test_the_messages_of_a_dead_one_go_to_the_lower(
    broker: Broker, channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    low, high = consume(connect(), queue, -5, prefetch=0), RawConnection(broker.port)
    high.open_channel()
    high.call(Basic.Consume(queue=queue, arguments={"x-priority": 5}))
    publish(channel, queue, "1", "2")
    assert [method.NAME for method in high.methods(2)] == ["Basic.Deliver"] * 2
    high.die()
    messages = low.wait_for(2)
    assert [(message.body, message.redelivered) for message in messages] == [(b"1", True), (b"2", True)]


def test_priorities_count_within_one_channel(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    worker = connect().channel()
    consumers = [Consumer(worker, queue, auto_ack=True, arguments={"x-priority": priority}) for priority in (1, 3, 2)]
    publish(channel, queue, "1", "2")
    consumers[1].wait_for(2)
    worker.basic_cancel(consumers[1].tag)
    publish(channel, queue, "3")
    consumers[2].wait_for(1)
    assert consumers[0].settle() == []
    assert consumer_count(channel, queue) == 2


def test_priorities_of_other_queues_do_not_matter(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    one, other = names.queue(), names.queue()
    for queue in (one, other):
        channel.queue_declare(queue)
    connection = connect()
    high, low = consume(connection, one, 9), consume(connection, other, -9)
    publish(channel, one, "1")
    publish(channel, other, "2")
    assert (high.wait_for(1)[0].body, low.wait_for(1)[0].body) == (b"1", b"2")


def test_all_full_leaves_the_rest_in_the_queue(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    connection = connect()
    consumers = [consume(connection, queue, priority) for priority in (2, 1)]
    publish(channel, queue, "1", "2", "3")
    for consumer in consumers:
        consumer.wait_for(1)
    assert ready_count(channel, queue) == 1
    assert get_bodies(channel, queue) == [b"3"]


def test_a_quorum_queue_knows_them_too(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
    connection = connect()
    low, high = consume(connection, queue, -1), consume(connection, queue, 5)
    wait_until(lambda: consumer_count(channel, queue) == 2)
    publish(channel, queue, "1", "2")
    assert (high.wait_for(1)[0].body, low.wait_for(1)[0].body) == (b"1", b"2")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "void"),
        (Decimal("1.5"), "decimal"),
        ([1], "array"),
        ({"one": 1}, "table"),
        (b"\x01", "binary"),
        ("high", "longstr"),
    ],
    ids=["void", "decimal", "array", "table", "binary", "longstr"],
)
@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_anything_but_an_integer_is_refused(
    channel: BlockingChannel, names: Names, queue_type: str, value: object, kind: str
) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": queue_type})
    text = (
        f"PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{queue}' in vhost '/': "
        f'"expected integer, got {kind}"'
    )
    with channel_closed(406, text):
        Consumer(channel, queue, arguments={"x-priority": value})
