"""x-delivery-limit and x-delivery-count: how often a message may fail before it is dead-lettered or dropped.

RabbitMQ 4.3 counts what shows that the consumer failed: basic.reject with requeue, and the loss of its channel or
connection. It does not count basic.nack and basic.recover, which give a message back on purpose; RabbitMQ 3 counted
every return. Both count on quorum queues only.
"""

from __future__ import annotations

from typing import Any

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from tests.behaviour.conftest import Broker, Connect, Names
from tests.behaviour.expectations import (
    Consumer,
    Message,
    await_errors,
    channel_closed,
    get,
    get_one,
    leveret_only,
    publish,
    ready_count,
    wait_until,
)
from tests.behaviour.raw_connection import RawConnection

NOT_COUNTED = "RabbitMQ 3 counts basic.nack and basic.recover like basic.reject"
ON_CLASSIC = "RabbitMQ has delivery limits on quorum queues only"
DEFAULT_LIMIT = 20


def declare(channel: BlockingChannel, names: Names, queue_type: str = "quorum", **arguments: object) -> str:
    """A queue of that type; `arguments` without `x-`, with underscores for dashes. The channel confirms from now on."""
    queue = names.queue(queue_type)
    named = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": queue_type, **named})
    channel.confirm_delivery()
    return queue


@pytest.fixture
def dead(channel: BlockingChannel, names: Names) -> str:
    """The queue for dead letters."""
    queue = names.queue("dead")
    channel.queue_declare(queue, durable=True)
    return queue


def to(queue: str) -> dict[str, Any]:
    """The arguments that dead-letter to a queue."""
    return {"dead_letter_exchange": "", "dead_letter_routing_key": queue}


def delivery_count(message: Message) -> int:
    """The value of x-delivery-count; RabbitMQ's versions leave a 0 out or not."""
    headers = message.properties.headers or {}
    return int(headers.get("x-delivery-count", 0))


def fail(channel: BlockingChannel, queue: str) -> int:
    """Take the message that is there and reject it back; returns its x-delivery-count."""
    wait_until(lambda: ready_count(channel, queue) == 1)
    message = get_one(channel, queue, auto_ack=False)
    channel.basic_reject(message.tag, requeue=True)
    await_errors(channel)
    return delivery_count(message)


def test_the_count_is_that_of_failed_deliveries(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=5)
    publish(channel, queue, "x")
    assert [fail(channel, queue) for _ in range(4)] == [0, 1, 2, 3]


def test_a_consumer_sees_the_count_as_well(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=5)
    publish(channel, queue, "x")
    consumer = Consumer(channel, queue)
    for count in (1, 2, 3):
        message = consumer.wait_for(count)[-1]
        assert (delivery_count(message), message.redelivered) == (count - 1, count > 1)
        channel.basic_reject(message.tag, requeue=True)


def test_each_message_has_its_own_count(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=5)
    publish(channel, queue, "x", "y")
    first = get_one(channel, queue, auto_ack=False)
    channel.basic_reject(first.tag, requeue=True)
    wait_until(lambda: ready_count(channel, queue) == 2)
    assert {message.body: delivery_count(message) for message in (get_one(channel, queue) for _ in range(2))} == {
        b"x": 1,
        b"y": 0,
    }


def test_the_other_headers_stay(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=5)
    channel.basic_publish("", queue, b"x", BasicProperties(headers={"mine": 1, "x-delivery-count": 7}, app_id="app"))
    fail(channel, queue)
    wait_until(lambda: ready_count(channel, queue) == 1)
    message = get_one(channel, queue)
    assert message.properties.headers["mine"] == 1
    assert (message.properties.app_id, delivery_count(message)) == ("app", 1)


def test_a_classic_queue_does_not_touch_the_headers(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, "classic")
    publish(channel, queue, "x")
    for _ in range(2):
        message = get_one(channel, queue, auto_ack=False)
        assert message.properties.headers is None
        channel.basic_reject(message.tag, requeue=True)


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_over_the_limit_it_is_dead_lettered(channel: BlockingChannel, names: Names, dead: str, limit: int) -> None:
    queue = declare(channel, names, delivery_limit=limit, **to(dead))
    publish(channel, queue, "x")
    assert [fail(channel, queue) for _ in range(limit + 1)] == list(range(limit + 1))
    wait_until(lambda: ready_count(channel, dead) == 1)
    message = get_one(channel, dead)
    headers = message.properties.headers
    assert (message.body, message.redelivered) == (b"x", False)
    assert headers["x-first-death-reason"] == "delivery_limit"
    assert headers["x-first-death-queue"] == queue
    assert "x-delivery-count" not in headers
    [death] = headers["x-death"]
    assert (death["reason"], death["queue"], death["count"]) == ("delivery_limit", queue, 1)
    assert (death["exchange"], death["routing-keys"]) == ("", [queue])
    assert ready_count(channel, queue) == 0


def test_over_the_limit_it_is_dropped_without_a_dead_letter_exchange(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=1)
    publish(channel, queue, "x")
    assert [fail(channel, queue) for _ in range(2)] == [0, 1]
    publish(channel, queue, "y")
    wait_until(lambda: ready_count(channel, queue) == 1)
    assert get_one(channel, queue).body == b"y"
    assert get(channel, queue) is None


def test_the_rest_of_the_queue_goes_on(channel: BlockingChannel, names: Names, dead: str) -> None:
    queue = declare(channel, names, delivery_limit=1, **to(dead))
    publish(channel, queue, "poison", "good")
    consumer = Consumer(channel, queue)
    consumer.wait_for(2)
    channel.basic_ack(consumer.messages[1].tag)
    channel.basic_reject(consumer.messages[0].tag, requeue=True)
    channel.basic_reject(consumer.wait_for(3)[2].tag, requeue=True)
    wait_until(lambda: ready_count(channel, dead) == 1)
    assert consumer.settle() == [b"poison", b"good", b"poison"]
    assert get_one(channel, dead).body == b"poison"


def test_a_closed_channel_counts(channel: BlockingChannel, connect: Connect, names: Names, dead: str) -> None:
    queue = declare(channel, names, delivery_limit=1, **to(dead))
    publish(channel, queue, "x")
    connection = connect()
    for count in (0, 1):
        wait_until(lambda: ready_count(channel, queue) == 1)
        worker = connection.channel()
        assert delivery_count(get_one(worker, queue, auto_ack=False)) == count
        worker.close()
    wait_until(lambda: ready_count(channel, dead) == 1)


def test_a_dead_connection_counts(broker: Broker, channel: BlockingChannel, names: Names, dead: str) -> None:
    queue = declare(channel, names, delivery_limit=1, **to(dead))
    publish(channel, queue, "x")
    for _ in range(2):
        with RawConnection(broker.port) as raw:
            raw.open_channel()
            raw.call(Basic.Consume(queue=queue))
            assert isinstance(raw.method(), Basic.Deliver)
            raw.die()
    wait_until(lambda: ready_count(channel, dead) == 1)
    assert get_one(channel, dead).properties.headers["x-first-death-reason"] == "delivery_limit"


def test_a_cancelled_consumer_does_not_count(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=1)
    publish(channel, queue, "x")
    consumer = Consumer(channel, queue)
    consumer.wait_for(1)
    channel.basic_cancel(consumer.tag)
    assert ready_count(channel, queue) == 0
    channel.basic_reject(consumer.messages[0].tag, requeue=True)
    wait_until(lambda: ready_count(channel, queue) == 1)
    assert delivery_count(get_one(channel, queue)) == 1


@leveret_only(NOT_COUNTED)
def test_a_nack_does_not_count(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=1)
    publish(channel, queue, "x")
    for turn in range(4):
        message = get_one(channel, queue, auto_ack=False)
        assert (delivery_count(message), message.redelivered) == (0, turn > 0)
        channel.basic_nack(message.tag, requeue=True)
    assert [fail(channel, queue) for _ in range(2)] == [0, 1]
    assert get(channel, queue) is None


@leveret_only(NOT_COUNTED)
def test_a_nack_of_many_does_not_count(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=0)
    publish(channel, queue, "x", "y")
    for _ in range(2):
        assert [get_one(channel, queue, auto_ack=False).body for _ in range(2)] == [b"x", b"y"]
        channel.basic_nack(0, multiple=True, requeue=True)
    assert ready_count(channel, queue) == 2


@leveret_only(NOT_COUNTED)
def test_a_recover_does_not_count(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=0)
    publish(channel, queue, "x")
    for _ in range(3):
        assert delivery_count(get_one(channel, queue, auto_ack=False)) == 0
        channel.basic_recover(requeue=True)
    assert ready_count(channel, queue) == 1


@leveret_only("the default limit of quorum queues came with RabbitMQ 4")
def test_a_quorum_queue_has_a_limit_of_20(channel: BlockingChannel, names: Names, dead: str) -> None:
    queue = declare(channel, names, **to(dead))
    publish(channel, queue, "x")
    assert [fail(channel, queue) for _ in range(DEFAULT_LIMIT + 1)] == list(range(DEFAULT_LIMIT + 1))
    assert ready_count(channel, queue) == 0
    assert get_one(channel, dead).properties.headers["x-first-death-reason"] == "delivery_limit"


@leveret_only("RabbitMQ 3 drops a message at its first failure if the limit is -1")
def test_minus_1_is_no_limit(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=-1)
    publish(channel, queue, "x")
    assert [fail(channel, queue) for _ in range(DEFAULT_LIMIT + 5)] == list(range(DEFAULT_LIMIT + 5))
    assert ready_count(channel, queue) == 1


def test_a_classic_queue_has_no_limit_of_itself(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, "classic")
    publish(channel, queue, "x")
    assert [fail(channel, queue) for _ in range(DEFAULT_LIMIT + 5)] == [0] * (DEFAULT_LIMIT + 5)
    assert ready_count(channel, queue) == 1


@leveret_only(ON_CLASSIC)
def test_a_classic_queue_may_have_a_limit(channel: BlockingChannel, names: Names, dead: str) -> None:
    queue = declare(channel, names, "classic", delivery_limit=2, **to(dead))
    publish(channel, queue, "x")
    assert [fail(channel, queue) for _ in range(3)] == [0, 1, 2]
    assert ready_count(channel, queue) == 0
    assert get_one(channel, dead).properties.headers["x-first-death-reason"] == "delivery_limit"


@leveret_only(ON_CLASSIC)
def test_a_priority_queue_may_have_a_limit(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, "classic", delivery_limit=1, max_priority=5)
    publish(channel, queue, "x")
    assert [fail(channel, queue) for _ in range(2)] == [0, 1]
    assert ready_count(channel, queue) == 0


def test_a_dead_letter_counts_anew_in_its_new_queue(channel: BlockingChannel, names: Names) -> None:
    second = declare(channel, names, delivery_limit=1)
    first = declare(channel, names, delivery_limit=0, **to(second))
    publish(channel, first, "x")
    fail(channel, first)
    assert [fail(channel, second) for _ in range(2)] == [0, 1]


def test_a_rejection_without_requeue_is_no_matter_of_the_limit(
    channel: BlockingChannel, names: Names, dead: str
) -> None:
    queue = declare(channel, names, delivery_limit=3, **to(dead))
    publish(channel, queue, "x")
    fail(channel, queue)
    wait_until(lambda: ready_count(channel, queue) == 1)
    channel.basic_reject(get_one(channel, queue, auto_ack=False).tag, requeue=False)
    wait_until(lambda: ready_count(channel, dead) == 1)
    assert get_one(channel, dead).properties.headers["x-first-death-reason"] == "rejected"


def test_a_redeclare_with_another_limit_is_refused(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=3)
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue '{queue}' in vhost '/': "
        "received '4' but current is '3'"
    )
    with channel_closed(406, text):
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 4})
