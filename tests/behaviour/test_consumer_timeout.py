"""x-consumer-timeout: how long a delivery may stay unacknowledged, by argument of the queue or of the consumer.

The rules are RabbitMQ 4.3's, for every type of queue and not for quorum queues only: what is late goes back to its
queue, and its consumer is cancelled. Without the argument nothing is ever late. RabbitMQ 3.10 has neither argument.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic, Channel

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

pytestmark = leveret_only("the arguments came after RabbitMQ 3.10, and the cancellation with 4.3")

SHORT = 50
LONG = 60_000
TOO_LATE = (
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: {} ms. "
    "This timeout value can be configured, see consumers doc guide to learn more"
)


def declare(channel: BlockingChannel, names: Names, **arguments: object) -> str:
    """A durable queue; `arguments` without `x-`, with underscores for dashes."""
    queue = names.queue("timeout")
    named = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    channel.queue_declare(queue, durable=True, arguments=named)
    return queue


@pytest.fixture(params=["classic", "quorum"])
def limited(request: pytest.FixtureRequest, channel: BlockingChannel, names: Names) -> str:
    """A queue of either type that gives its consumers little time."""
    return declare(channel, names, queue_type=request.param, consumer_timeout=SHORT)


def await_cancel(consumer: Consumer) -> None:
    wait_until(lambda: consumer.cancelled, consumer.channel.connection)


def outlast(channel: BlockingChannel, names: Names, connect: Connect) -> None:
    """Wait until a delivery that begins now has been found late, so that older ones would have been, too."""
    queue = declare(channel, names, consumer_timeout=SHORT)
    consumer = Consumer(connect().channel(), queue)
    publish(channel, queue, "tick")
    await_cancel(consumer)


def test_what_is_late_goes_back_and_its_consumer_is_cancelled(
    channel: BlockingChannel, connect: Connect, limited: str
) -> None:
    consumer = Consumer(connect().channel(), limited)
    publish(channel, limited, "1", "2")
    consumer.wait_for(2)
    await_cancel(consumer)
    assert consumer.channel.is_open
    assert consumer_count(channel, limited) == 0
    wait_until(lambda: ready_count(channel, limited) == 2)
    messages = [get_one(channel, limited) for _ in range(2)]
    assert [(message.body, message.redelivered) for message in messages] == [(b"1", True), (b"2", True)]
    await_errors(consumer.channel)
    assert len(consumer.messages) == 2


def test_the_consumer_may_bring_the_timeout(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    consumer = Consumer(connect().channel(), queue, arguments={"x-consumer-timeout": SHORT})
    publish(channel, queue, "1")
    consumer.wait_for(1)
    await_cancel(consumer)
    assert get_bodies(channel, queue) == [b"1"]


def test_a_shorter_one_of_the_consumer_is_used(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue = declare(channel, names, consumer_timeout=LONG)
    consumer = Consumer(connect().channel(), queue, arguments={"x-consumer-timeout": SHORT})
    publish(channel, queue, "1")
    await_cancel(consumer)
    assert get_bodies(channel, queue) == [b"1"]


def test_a_longer_one_of_the_consumer_is_used(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue = declare(channel, names, consumer_timeout=SHORT)
    consumer = Consumer(connect().channel(), queue, arguments={"x-consumer-timeout": LONG})
    publish(channel, queue, "1")
    consumer.wait_for(1)
    outlast(channel, names, connect)
    assert consumer.settle() == [b"1"]
    assert not consumer.cancelled
    assert ready_count(channel, queue) == 0


def test_without_the_capability_the_channel_is_closed(broker: Broker, channel: BlockingChannel, limited: str) -> None:
    publish(channel, limited, "1")
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Basic.Consume(queue=limited, consumer_tag="mine"))
        assert isinstance(raw.method(), Basic.Deliver)
        closed = raw.method()
        assert isinstance(closed, Channel.Close)
        assert (closed.reply_code, closed.reply_text) == (406, TOO_LATE.format(SHORT))
        assert (closed.class_id, closed.method_id) == (0, 0)
        raw.send(Channel.CloseOk())
        raw.open_channel(2)
    message = get_one(channel, limited)
    assert (message.body, message.redelivered) == (b"1", True)


def test_a_message_that_was_got_closes_the_channel(broker: Broker, channel: BlockingChannel, limited: str) -> None:
    publish(channel, limited, "1")
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        assert isinstance(raw.call(Basic.Get(queue=limited)), Basic.GetOk)
        closed = raw.method()
        assert isinstance(closed, Channel.Close)
        assert (closed.reply_code, closed.reply_text) == (406, TOO_LATE.format(SHORT))
    assert ready_count(channel, limited) == 1


LATE: list[Callable[[BlockingChannel, int], None]] = [
    lambda channel, tag: channel.basic_ack(tag),
    lambda channel, tag: channel.basic_ack(tag, multiple=True),
    lambda channel, tag: channel.basic_nack(tag, requeue=False),
    lambda channel, tag: channel.basic_nack(tag, requeue=True),
    lambda channel, tag: channel.basic_reject(tag, requeue=False),
]


@pytest.mark.parametrize("settle", LATE, ids=["ack", "ack many", "nack", "nack requeue", "reject"])
def test_settling_too_late_is_ignored(
    channel: BlockingChannel, connect: Connect, limited: str, settle: Callable[[BlockingChannel, int], None]
) -> None:
    consumer = Consumer(connect().channel(), limited)
    publish(channel, limited, "1")
    tag = consumer.wait_for(1)[0].tag
    await_cancel(consumer)
    settle(consumer.channel, tag)
    await_errors(consumer.channel)
    assert get_bodies(channel, limited) == [b"1"]


def test_an_unknown_tag_is_still_an_error(channel: BlockingChannel, connect: Connect, limited: str) -> None:
    consumer = Consumer(connect().channel(), limited)
    publish(channel, limited, "1")
    await_cancel(consumer)
    with channel_closed(406, "PRECONDITION_FAILED - unknown delivery tag 2"):
        consumer.channel.basic_ack(2)
        await_errors(consumer.channel)


def test_a_late_one_among_many_does_not_keep_the_others_from_being_acked(
    channel: BlockingChannel, connect: Connect, limited: str, queue: str
) -> None:
    worker = connect().channel()
    late, patient = Consumer(worker, limited), Consumer(worker, queue)
    publish(channel, limited, "late")
    late.wait_for(1)
    publish(channel, queue, "1", "2")
    patient.wait_for(2)
    await_cancel(late)
    worker.basic_ack(patient.messages[0].tag, multiple=True)
    worker.basic_nack(patient.messages[1].tag, requeue=True)
    again = patient.wait_for(3)[2]
    assert (again.body, again.redelivered) == (b"2", True)
    assert get_bodies(channel, limited) == [b"late"]


def test_it_goes_to_another_consumer(channel: BlockingChannel, connect: Connect, limited: str) -> None:
    connection = connect()
    late = Consumer(connection.channel(), limited)
    publish(channel, limited, "1")
    late.wait_for(1)
    other = Consumer(connection.channel(), limited, auto_ack=True)
    message = other.wait_for(1)[0]
    assert (message.body, message.redelivered) == (b"1", True)
    await_cancel(late)
    assert not other.cancelled


def test_settled_in_time_is_not_late(channel: BlockingChannel, connect: Connect, names: Names, limited: str) -> None:
    consumer = Consumer(connect().channel(), limited)
    publish(channel, limited, "1", "2")
    consumer.channel.basic_ack(consumer.wait_for(2)[1].tag, multiple=True)
    await_errors(consumer.channel)
    outlast(channel, names, connect)
    publish(channel, limited, "3")
    assert consumer.wait_for(3)[2].body == b"3"
    assert not consumer.cancelled


def test_a_consumer_that_does_not_acknowledge_is_never_late(
    channel: BlockingChannel, connect: Connect, names: Names, limited: str
) -> None:
    consumer = Consumer(connect().channel(), limited, auto_ack=True)
    publish(channel, limited, "1")
    consumer.wait_for(1)
    outlast(channel, names, connect)
    publish(channel, limited, "2")
    consumer.wait_for(2)
    assert not consumer.cancelled


def test_without_an_argument_nothing_is_late(
    channel: BlockingChannel, connect: Connect, names: Names, queue: str
) -> None:
    consumer = Consumer(connect().channel(), queue)
    publish(channel, queue, "1")
    consumer.wait_for(1)
    outlast(channel, names, connect)
    assert consumer.settle() == [b"1"]
    assert not consumer.cancelled
    assert ready_count(channel, queue) == 0


def test_a_cancelled_tag_can_be_used_again(channel: BlockingChannel, connect: Connect, limited: str) -> None:
    worker = connect().channel()
    publish(channel, limited, "1")
    late = Consumer(worker, limited, tag="mine")
    await_cancel(late)
    again = Consumer(worker, limited, tag="mine")
    message = again.wait_for(1)[0]
    assert (message.body, message.redelivered, message.tag) == (b"1", True, 2)
    worker.basic_ack(message.tag)
    await_errors(worker)
    assert consumer_count(channel, limited) == 1


def test_the_next_single_active_consumer_takes_over(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue = declare(channel, names, consumer_timeout=SHORT, single_active_consumer=True)
    connection = connect()
    late, following = Consumer(connection.channel(), queue), Consumer(connection.channel(), queue)
    publish(channel, queue, "1", "2")
    messages = following.wait_for(2)
    assert [(message.body, message.redelivered) for message in messages] == [(b"1", True), (b"2", True)]
    following.channel.basic_ack(0, multiple=True)
    await_cancel(late)
    assert not following.cancelled


def test_an_exclusive_consumer_that_is_late_frees_the_queue(
    channel: BlockingChannel, connect: Connect, limited: str
) -> None:
    late = Consumer(connect().channel(), limited, exclusive=True)
    publish(channel, limited, "1")
    late.wait_for(1)
    await_cancel(late)
    Consumer(channel, limited, exclusive=True, auto_ack=True).wait_for(1)


def test_an_auto_delete_queue_goes_with_its_late_consumer(
    channel: BlockingChannel, connect: Connect, names: Names
) -> None:
    queue = names.queue()
    channel.queue_declare(queue, auto_delete=True, arguments={"x-consumer-timeout": SHORT})
    late = Consumer(connect().channel(), queue)
    publish(channel, queue, "1")
    await_cancel(late)
    with channel_closed(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        channel.queue_declare(queue, passive=True)


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_it_does_not_count_as_a_failed_delivery(
    channel: BlockingChannel, connect: Connect, names: Names, queue_type: str
) -> None:
    queue = declare(channel, names, queue_type=queue_type, consumer_timeout=SHORT, delivery_limit=0)
    late = Consumer(connect().channel(), queue)
    publish(channel, queue, "1")
    await_cancel(late)
    message = get_one(channel, queue)
    assert (message.redelivered, (message.properties.headers or {}).get("x-delivery-count", 0)) == (True, 0)


def test_in_a_priority_queue_it_goes_back_to_its_level(
    channel: BlockingChannel, connect: Connect, names: Names
) -> None:
    queue = declare(channel, names, consumer_timeout=SHORT, max_priority=5)
    late = Consumer(connect().channel(), queue)
    channel.basic_publish("", queue, b"low", BasicProperties(priority=1))
    late.wait_for(1)
    await_cancel(late)
    for body, priority in ((b"low again", 1), (b"high", 5)):
        channel.basic_publish("", queue, body, BasicProperties(priority=priority))
    assert get_bodies(channel, queue) == [b"high", b"low", b"low again"]


INVALID = [
    ("50", '"expected integer, got longstr"'),
    (True, '"expected integer, got bool"'),
    (-1, "{value_negative,-1}"),
]


@pytest.mark.parametrize(("value", "reason"), INVALID)
def test_another_value_is_refused_for_a_queue(
    channel: BlockingChannel, names: Names, value: object, reason: str
) -> None:
    queue = names.queue()
    text = f"PRECONDITION_FAILED - invalid arg 'x-consumer-timeout' for queue '{queue}' in vhost '/': {reason}"
    with channel_closed(406, text):
        channel.queue_declare(queue, arguments={"x-consumer-timeout": value})


@pytest.mark.parametrize(("value", "reason"), INVALID)
def test_another_value_is_refused_for_a_consumer(
    channel: BlockingChannel, queue: str, value: object, reason: str
) -> None:
    text = f"PRECONDITION_FAILED - invalid arg 'x-consumer-timeout' for queue '{queue}' in vhost '/': {reason}"
    with channel_closed(406, text):
        Consumer(channel, queue, arguments={"x-consumer-timeout": value})


def test_a_redeclare_with_another_value_is_refused(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, consumer_timeout=LONG)
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'x-consumer-timeout' for queue '{queue}' in vhost '/': "
        f"received '{SHORT}' but current is '{LONG}'"
    )
    with channel_closed(406, text):
        channel.queue_declare(queue, durable=True, arguments={"x-consumer-timeout": SHORT})
