"""Delayed messages: the exchange type x-delayed-message, as RabbitMQ's community plugin has it, and delayed retries."""

from __future__ import annotations

import time

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from tests.behaviour.conftest import Names
from tests.behaviour.expectations import (
    channel_closed,
    get,
    get_bodies,
    get_one,
    leveret_only,
    wait_until,
)

pytestmark = leveret_only("RabbitMQ has the exchange type in a plugin, and delayed retries from 4.3 on")


@pytest.fixture
def exchange(channel: BlockingChannel, names: Names, queue: str) -> str:
    """An exchange that delays, with a queue bound to it."""
    name = names.exchange()
    channel.exchange_declare(name, "x-delayed-message", durable=True, arguments={"x-delayed-type": "topic"})
    channel.queue_bind(queue, name, "a.*")
    return name


def ready(channel: BlockingChannel, queue: str) -> int:
    count: int = channel.queue_declare(queue, passive=True).method.message_count
    return count


def delayed(milliseconds: object) -> BasicProperties:
    return BasicProperties(headers={"x-delay": milliseconds, "other": "stays"}, delivery_mode=2)


def test_messages_come_when_they_are_due(channel: BlockingChannel, queue: str, exchange: str) -> None:
    begin = time.monotonic()
    for body, delay in ((b"third", 120), (b"second", "60"), (b"first", 0)):
        channel.basic_publish(exchange, "a.b", body, delayed(delay))
    channel.basic_publish(exchange, "nowhere", b"nowhere", delayed(1))
    wait_until(lambda: ready(channel, queue) == 3)
    assert time.monotonic() - begin > 0.118  # the broker counts whole milliseconds
    assert get_bodies(channel, queue) == [b"first", b"second", b"third"]


def test_what_waits_is_in_no_queue(channel: BlockingChannel, queue: str, exchange: str) -> None:
    channel.basic_publish(exchange, "a.b", b"message", delayed(60_000))
    channel.basic_publish(exchange, "a.b", b"now")
    assert get_bodies(channel, queue) == [b"now"]
    channel.exchange_delete(exchange)


def test_the_header_is_negated(channel: BlockingChannel, queue: str, exchange: str) -> None:
    channel.basic_publish(exchange, "a.b", b"message", delayed(1))
    wait_until(lambda: ready(channel, queue) == 1)
    message = get_one(channel, queue)
    assert (message.exchange, message.routing_key, message.redelivered) == (exchange, "a.b", False)
    assert message.properties.headers == {"x-delay": -1, "other": "stays"}
    assert message.properties.delivery_mode == 2


def test_it_is_confirmed_and_not_returned(channel: BlockingChannel, exchange: str) -> None:
    channel.confirm_delivery()
    channel.basic_publish(exchange, "nowhere", b"message", delayed(60_000), mandatory=True)


def test_a_transaction_delays_what_it_publishes(channel: BlockingChannel, queue: str, exchange: str) -> None:
    channel.tx_select()
    channel.basic_publish(exchange, "a.b", b"undone", delayed(1))
    channel.tx_rollback()
    channel.basic_publish(exchange, "a.b", b"done", delayed(1))
    channel.tx_commit()
    wait_until(lambda: ready(channel, queue) == 1)
    assert get_bodies(channel, queue) == [b"done"]


@pytest.mark.parametrize("arguments", [None, {"x-delayed-type": 1}, {"x-delayed-type": "x-delayed-message"}])
def test_how_it_routes_has_to_be_told(
    channel: BlockingChannel, names: Names, arguments: dict[str, object] | None
) -> None:
    text = "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type"
    with channel_closed(406, text):
        channel.exchange_declare(names.exchange(), "x-delayed-message", arguments=arguments)


def test_an_unknown_type_is_refused(channel: BlockingChannel, names: Names) -> None:
    with channel_closed(406, "PRECONDITION_FAILED - unknown exchange type 'nonsense'"):
        channel.exchange_declare(names.exchange(), "x-delayed-message", arguments={"x-delayed-type": "nonsense"})


def test_an_argument_has_any_exchange_delay(channel: BlockingChannel, names: Names, queue: str) -> None:
    name = names.exchange()
    channel.exchange_declare(name, "fanout", arguments={"x-delayed-exchange": True})
    channel.queue_bind(queue, name)
    channel.basic_publish(name, "", b"later", delayed(30))
    channel.basic_publish(name, "", b"now")
    wait_until(lambda: ready(channel, queue) == 2)
    assert get_bodies(channel, queue) == [b"now", b"later"]


def test_a_dead_letter_may_wait(channel: BlockingChannel, names: Names, queue: str, exchange: str) -> None:
    dying = names.queue()
    channel.queue_declare(
        dying, arguments={"x-dead-letter-exchange": exchange, "x-dead-letter-routing-key": "a.b", "x-message-ttl": 0}
    )
    channel.basic_publish("", dying, b"message", delayed(30))
    wait_until(lambda: ready(channel, queue) == 1)
    message = get_one(channel, queue)
    assert message.properties.headers["x-delay"] == -30
    assert message.properties.headers["x-death"][0]["reason"] == "expired"


@pytest.mark.parametrize("type", ["classic", "quorum"])
def test_what_failed_waits_before_it_is_tried_again(channel: BlockingChannel, names: Names, type: str) -> None:
    queue = names.queue()
    arguments = {"x-queue-type": type, "x-delayed-retry-type": "failed", "x-delayed-retry-min": 60}
    channel.queue_declare(queue, durable=True, arguments=arguments)
    channel.basic_publish("", queue, b"first")
    channel.basic_publish("", queue, b"second")
    failed = get_one(channel, queue, auto_ack=False)
    begin = time.monotonic()
    channel.basic_reject(failed.tag, requeue=True)
    assert get_one(channel, queue).body == b"second"
    assert get(channel, queue) is None
    wait_until(lambda: ready(channel, queue) == 1)
    assert time.monotonic() - begin > 0.058
    again = get_one(channel, queue)
    assert (again.body, again.redelivered) == (b"first", True)
    assert again.properties.headers == {"x-delivery-count": 1}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("x-delayed-retry-type", "sometimes", "invalid_delayed_retry_type"),
        ("x-delayed-retry-type", 1, "{unacceptable_type,signedint}"),
        ("x-delayed-retry-min", -1, "{value_negative,-1}"),
        ("x-delayed-retry-max", "1", '"expected integer, got longstr"'),
    ],
)
def test_arguments_of_delayed_retries_are_checked(
    channel: BlockingChannel, names: Names, name: str, value: object, reason: str
) -> None:
    queue = names.queue()
    text = f"PRECONDITION_FAILED - invalid arg '{name}' for queue '{queue}' in vhost '/': {reason}"
    with channel_closed(406, text):
        channel.queue_declare(queue, arguments={name: value})
