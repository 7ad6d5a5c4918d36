"""x-single-active-consumer: one consumer at a time gets everything, the others wait for it to go."""

from __future__ import annotations

import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.spec import Basic

from tests.behaviour.conftest import Broker, Connect, Names
from tests.behaviour.expectations import (
    Consumer,
    await_errors,
    channel_closed,
    consumer_count,
    get_bodies,
    get_one,
    leveret_only,
    publish,
    ready_count,
    wait_until,
)
from tests.behaviour.raw_connection import RawConnection

PREEMPTION = "a consumer of a higher priority takes a quorum queue over since RabbitMQ 4"


def declare(channel: BlockingChannel, names: Names, queue_type: str = "classic") -> str:
    queue = names.queue("single")
    arguments = {"x-single-active-consumer": True, "x-queue-type": queue_type}
    channel.queue_declare(queue, durable=True, arguments=arguments)
    return queue


@pytest.fixture(params=["classic", "quorum"])
def single(request: pytest.FixtureRequest, channel: BlockingChannel, names: Names) -> str:
    """A queue with a single active consumer, of either type."""
    return declare(channel, names, request.param)


@pytest.fixture
def classic(channel: BlockingChannel, names: Names) -> str:
    return declare(channel, names)


@pytest.fixture
def quorum(channel: BlockingChannel, names: Names) -> str:
    return declare(channel, names, "quorum")


def consume(connection: BlockingConnection, queue: str, priority: int = 0, prefetch: int = 0) -> Consumer:
    """A consumer on a channel of its own."""
    channel = connection.channel()
    channel.basic_qos(prefetch_count=prefetch)
    return Consumer(channel, queue, arguments={"x-priority": priority})


def ack_all(consumer: Consumer) -> None:
    consumer.channel.basic_ack(0, multiple=True)
    await_errors(consumer.channel)


def test_the_first_consumer_gets_everything(channel: BlockingChannel, connect: Connect, single: str) -> None:
    connection = connect()
    first, second, third = (consume(connection, single) for _ in range(3))
    publish(channel, single, "1", "2", "3", "4")
    first.wait_for(4)
    assert first.bodies == [b"1", b"2", b"3", b"4"]
    assert (second.settle(), third.settle()) == ([], [])


def test_the_others_wait_even_if_the_active_one_has_no_room(
    channel: BlockingChannel, connect: Connect, single: str
) -> None:
    connection = connect()
    first, second = consume(connection, single, prefetch=1), consume(connection, single)
    publish(channel, single, "1", "2")
    first.wait_for(1)
    assert (first.settle(), second.settle()) == ([b"1"], [])
    assert ready_count(channel, single) == 1
    ack_all(first)
    first.wait_for(2)
    assert second.settle() == []


def test_the_active_one_gets_back_what_it_gives_back(channel: BlockingChannel, connect: Connect, single: str) -> None:
    connection = connect()
    first, second = consume(connection, single), consume(connection, single)
    publish(channel, single, "1")
    first.channel.basic_nack(first.wait_for(1)[0].tag, requeue=True)
    again = first.wait_for(2)[1]
    assert (again.body, again.redelivered) == (b"1", True)
    assert second.settle() == []


def test_a_cancelled_one_is_followed_in_the_order_they_came(
    channel: BlockingChannel, connect: Connect, single: str
) -> None:
    connection = connect()
    consumers = [consume(connection, single) for _ in range(4)]
    for number, consumer in enumerate(consumers):
        publish(channel, single, str(number))
        assert consumer.wait_for(1)[0].body == str(number).encode()
        ack_all(consumer)
        consumer.channel.basic_cancel(consumer.tag)


def test_one_that_comes_again_is_the_last(channel: BlockingChannel, connect: Connect, single: str) -> None:
    connection = connect()
    first, second = consume(connection, single), consume(connection, single)
    first.channel.basic_cancel(first.tag)
    again = Consumer(first.channel, single)
    publish(channel, single, "1")
    second.wait_for(1)
    ack_all(second)
    second.channel.basic_cancel(second.tag)
    publish(channel, single, "2")
    assert again.wait_for(1)[0].body == b"2"


def test_a_waiting_one_that_goes_is_passed_over(channel: BlockingChannel, connect: Connect, single: str) -> None:
    connection = connect()
    first, second, third = (consume(connection, single) for _ in range(3))
    second.channel.basic_cancel(second.tag)
    publish(channel, single, "1")
    first.wait_for(1)
    ack_all(first)
    first.channel.basic_cancel(first.tag)
    publish(channel, single, "2")
    assert third.wait_for(1)[0].body == b"2"
    assert second.settle() == []


def test_the_next_does_not_wait_for_what_a_cancelled_one_has_unacked(
    channel: BlockingChannel, connect: Connect, single: str
) -> None:
    connection = connect()
    first, second = consume(connection, single), consume(connection, single)
    publish(channel, single, "1", "2")
    first.wait_for(2)
    first.channel.basic_cancel(first.tag)
    publish(channel, single, "3")
    assert second.wait_for(1)[0].body == b"3"
    first.channel.basic_nack(first.messages[0].tag, requeue=True)
    again = second.wait_for(2)[1]
    assert (again.body, again.redelivered) == (b"1", True)
    first.channel.basic_ack(first.messages[1].tag)
    first.channel.close()
    assert second.settle() == [b"3", b"1"]


def test_a_closed_channel_hands_over_what_it_has_unacked(
    channel: BlockingChannel, connect: Connect, single: str
) -> None:
    connection = connect()
    first, second, third = (consume(connection, single) for _ in range(3))
    publish(channel, single, "1", "2", "3")
    first.channel.basic_ack(first.wait_for(3)[0].tag)
    await_errors(first.channel)
    first.channel.close()
    messages = second.wait_for(2)
    assert [(message.body, message.redelivered) for message in messages] == [(b"2", True), (b"3", True)]
    assert third.settle() == []


def test_a_dead_connection_hands_over_what_it_has_unacked(
    broker: Broker, channel: BlockingChannel, connect: Connect, single: str
) -> None:
    first = RawConnection(broker.port)
    first.open_channel()
    first.call(Basic.Consume(queue=single))
    second = consume(connect(), single)
    publish(channel, single, "1", "2")
    assert [method.NAME for method in first.methods(2)] == ["Basic.Deliver"] * 2
    first.die()
    messages = second.wait_for(2)
    assert [(message.body, message.redelivered) for message in messages] == [(b"1", True), (b"2", True)]


def test_two_consumers_of_one_channel(channel: BlockingChannel, connect: Connect, single: str) -> None:
    worker = connect().channel()
    first, second = Consumer(worker, single), Consumer(worker, single)
    publish(channel, single, "1")
    first.wait_for(1)
    worker.basic_cancel(first.tag)
    publish(channel, single, "2")
    assert second.wait_for(1)[0].body == b"2"
    assert first.bodies == [b"1"]


def test_it_holds_for_consumers_without_acknowledgement(
    channel: BlockingChannel, connect: Connect, single: str
) -> None:
    connection = connect()
    first, second = (Consumer(connection.channel(), single, auto_ack=True) for _ in range(2))
    publish(channel, single, "1", "2")
    first.wait_for(2)
    first.channel.basic_cancel(first.tag)
    publish(channel, single, "3")
    assert second.wait_for(1)[0].body == b"3"


def test_all_are_told_when_the_queue_is_deleted(channel: BlockingChannel, connect: Connect, single: str) -> None:
    connection = connect()
    consumers = [consume(connection, single) for _ in range(3)]
    channel.queue_delete(single)
    wait_until(lambda: all(consumer.cancelled for consumer in consumers), connection)
    assert all(consumer.channel.is_open for consumer in consumers)


def test_waiting_consumers_are_counted(channel: BlockingChannel, connect: Connect, classic: str) -> None:
    connection = connect()
    consumers = [consume(connection, classic) for _ in range(3)]
    assert consumer_count(channel, classic) == 3
    consumers[1].channel.basic_cancel(consumers[1].tag)
    assert consumer_count(channel, classic) == 2


def test_an_auto_delete_queue_lives_until_the_last_waiting_one_goes(
    channel: BlockingChannel, connect: Connect, names: Names
) -> None:
    queue = names.queue()
    channel.queue_declare(queue, auto_delete=True, arguments={"x-single-active-consumer": True})
    worker = connect().channel()
    first, second = Consumer(worker, queue), Consumer(worker, queue)
    worker.basic_cancel(first.tag)
    assert consumer_count(channel, queue) == 1
    worker.basic_cancel(second.tag)
    with channel_closed(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        channel.queue_declare(queue, passive=True)


def test_get_is_answered_beside_the_active_one(channel: BlockingChannel, connect: Connect, classic: str) -> None:
    consumer = consume(connect(), classic, prefetch=1)
    publish(channel, classic, "1", "2")
    consumer.wait_for(1)
    assert get_one(channel, classic).body == b"2"


@pytest.mark.parametrize("with_consumer", [False, True])
def test_get_is_refused_by_a_quorum_queue(
    channel: BlockingChannel, connect: Connect, quorum: str, with_consumer: bool
) -> None:
    if with_consumer:
        consume(connect(), quorum)
    text = (
        f"RESOURCE_LOCKED - cannot obtain access to locked queue '{quorum}' in vhost '/'. "
        "basic.get operations are not supported by quorum queues with single active consumer"
    )
    with channel_closed(405, text):
        channel.basic_get(quorum)


@pytest.mark.parametrize("with_consumer", [False, True])
def test_an_exclusive_consumer_is_refused(
    channel: BlockingChannel, connect: Connect, classic: str, with_consumer: bool
) -> None:
    if with_consumer:
        consume(connect(), classic)
    with channel_closed(403, f"ACCESS_REFUSED - queue '{classic}' in vhost '/' in exclusive use"):
        Consumer(channel, classic, exclusive=True)


def test_a_refused_exclusive_consumer_changes_nothing(channel: BlockingChannel, connect: Connect, classic: str) -> None:
    consumer = consume(connect(), classic)
    with channel_closed(403, f"ACCESS_REFUSED - queue '{classic}' in vhost '/' in exclusive use"):
        Consumer(channel, classic, exclusive=True)
    publish(consumer.channel, classic, "1")
    consumer.wait_for(1)


def test_a_higher_priority_does_not_take_over(channel: BlockingChannel, connect: Connect, classic: str) -> None:
    connection = connect()
    low, high = consume(connection, classic), consume(connection, classic, priority=5)
    publish(channel, classic, "1", "2")
    low.wait_for(2)
    ack_all(low)
    publish(channel, classic, "3")
    low.wait_for(3)
    assert high.settle() == []


def test_the_highest_priority_follows(channel: BlockingChannel, connect: Connect, classic: str) -> None:
    connection = connect()
    first = consume(connection, classic, priority=1)
    waiting = {priority: consume(connection, classic, priority) for priority in (5, -1, 9, 0)}
    first.channel.basic_cancel(first.tag)
    for priority in (9, 5, 0, -1):
        publish(channel, classic, str(priority))
        active = waiting[priority]
        assert active.wait_for(1)[0].body == str(priority).encode()
        ack_all(active)
        active.channel.basic_cancel(active.tag)


@leveret_only(PREEMPTION)
def test_a_higher_priority_takes_over_an_idle_quorum_queue(
    channel: BlockingChannel, connect: Connect, quorum: str
) -> None:
    connection = connect()
    low = consume(connection, quorum)
    publish(channel, quorum, "1")
    low.wait_for(1)
    ack_all(low)
    high, highest, late = (consume(connection, quorum, priority) for priority in (5, 9, 5))
    publish(channel, quorum, "2")
    assert highest.wait_for(1)[0].body == b"2"
    assert (low.settle(), high.settle(), late.settle()) == ([b"1"], [], [])
    assert not low.cancelled


@leveret_only(PREEMPTION)
def test_a_higher_priority_waits_for_what_the_active_one_has_unacked(
    channel: BlockingChannel, connect: Connect, quorum: str
) -> None:
    connection = connect()
    low = consume(connection, quorum)
    publish(channel, quorum, "1", "2")
    low.wait_for(2)
    high = consume(connection, quorum, priority=5)
    publish(channel, quorum, "3")
    assert (low.settle(), high.settle()) == ([b"1", b"2"], [])
    low.channel.basic_ack(low.messages[0].tag)
    await_errors(low.channel)
    assert (low.settle(), high.settle()) == ([b"1", b"2"], [])
    low.channel.basic_ack(low.messages[1].tag)
    assert high.wait_for(1)[0].body == b"3"
    assert low.settle() == [b"1", b"2"]


@leveret_only(PREEMPTION)
def test_one_that_was_taken_over_comes_back_when_the_higher_goes(
    channel: BlockingChannel, connect: Connect, quorum: str
) -> None:
    connection = connect()
    low, high = consume(connection, quorum), consume(connection, quorum, priority=5)
    publish(channel, quorum, "1")
    high.wait_for(1)
    high.channel.close()
    message = low.wait_for(1)[0]
    assert (message.body, message.redelivered) == (b"1", True)


def test_an_equal_priority_does_not_take_over(channel: BlockingChannel, connect: Connect, quorum: str) -> None:
    connection = connect()
    first, second = (consume(connection, quorum, priority=5) for _ in range(2))
    publish(channel, quorum, "1")
    first.wait_for(1)
    assert second.settle() == []


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
@pytest.mark.parametrize(
    ("value", "kind"), [("true", "longstr"), (1, "signedint"), (None, "void")], ids=["longstr", "integer", "void"]
)
def test_anything_but_a_boolean_is_refused(
    channel: BlockingChannel, names: Names, queue_type: str, value: object, kind: str
) -> None:
    queue = names.queue()
    text = (
        f"PRECONDITION_FAILED - invalid arg 'x-single-active-consumer' for queue '{queue}' in vhost '/': "
        f"{{unacceptable_type,{kind}}}"
    )
    with channel_closed(406, text):
        channel.queue_declare(
            queue, durable=True, arguments={"x-queue-type": queue_type, "x-single-active-consumer": value}
        )


def test_false_is_an_ordinary_queue(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True, arguments={"x-single-active-consumer": False})
    connection = connect()
    consumers = [consume(connection, queue, prefetch=1) for _ in range(2)]
    publish(channel, queue, "1", "2")
    for consumer in consumers:
        consumer.wait_for(1)
    assert get_bodies(channel, queue) == []


def test_a_redeclare_of_a_quorum_queue_with_another_value_is_refused(channel: BlockingChannel, quorum: str) -> None:
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'x-single-active-consumer' for queue '{quorum}' in vhost '/': "
        "received 'false' but current is 'true'"
    )
    with channel_closed(406, text):
        channel.queue_declare(
            quorum, durable=True, arguments={"x-queue-type": "quorum", "x-single-active-consumer": False}
        )
