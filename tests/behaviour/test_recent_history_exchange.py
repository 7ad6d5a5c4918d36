"""x-recent-history (a plugin of RabbitMQ): a fanout exchange whose last messages go to every new binding."""

from __future__ import annotations

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from tests.behaviour.conftest import Connect, Names
from tests.behaviour.expectations import await_errors, channel_closed, get_bodies, get_one, leveret_only


def declare(channel: BlockingChannel, names: Names, length: object = None) -> str:
    exchange = names.exchange()
    arguments = None if length is None else {"x-recent-history-length": length}
    channel.exchange_declare(exchange, "x-recent-history", arguments=arguments)
    return exchange


def publish(channel: BlockingChannel, exchange: str, *bodies: str, key: str = "key", headers: object = None) -> None:
    for body in bodies:
        channel.basic_publish(exchange, key, body, BasicProperties(headers=headers))
    await_errors(channel)


@pytest.mark.parametrize(("length", "kept"), [(None, 20), (3, 3), (1, 1), (2**40, 25)])
def test_a_new_binding_gets_the_last_messages(
    channel: BlockingChannel, names: Names, queue: str, length: int | None, kept: int
) -> None:
    exchange = declare(channel, names, length)
    bodies = [str(number) for number in range(25)]
    publish(channel, exchange, *bodies)
    channel.queue_bind(queue, exchange)
    assert [body.decode() for body in get_bodies(channel, queue)] == bodies[-kept:]
    publish(channel, exchange, "new")
    assert get_bodies(channel, queue) == [b"new"]


def test_the_messages_are_as_they_were(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names)
    properties = BasicProperties(headers={"a": 1}, delivery_mode=2, message_id="id")
    channel.basic_publish(exchange, "the key", b"body", properties)
    channel.queue_bind(queue, exchange)
    message = get_one(channel, queue)
    assert (message.exchange, message.routing_key, message.redelivered) == (exchange, "the key", False)
    assert (message.body, message.properties) == (b"body", properties)


def test_every_binding_is_a_new_one(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names)
    publish(channel, exchange, "one", "two")
    channel.queue_bind(queue, exchange, "a")
    assert get_bodies(channel, queue) == [b"one", b"two"]
    channel.queue_bind(queue, exchange, "a")
    assert get_bodies(channel, queue) == []
    channel.queue_bind(queue, exchange, "b")
    assert get_bodies(channel, queue) == [b"one", b"two"]
    channel.queue_unbind(queue, exchange, "b")
    channel.queue_bind(queue, exchange, "b")
    assert get_bodies(channel, queue) == [b"one", b"two"]


@pytest.mark.parametrize(("value", "kept"), [(True, False), (False, True), ("true", True), (1, True), (None, True)])
def test_a_message_may_ask_not_to_be_kept(
    channel: BlockingChannel, names: Names, queue: str, value: object, kept: bool
) -> None:
    exchange, before = declare(channel, names), names.queue()
    channel.queue_declare(before)
    channel.queue_bind(before, exchange)
    publish(channel, exchange, "message", headers={"x-recent-history-no-store": value})
    channel.queue_bind(queue, exchange)
    assert get_bodies(channel, before) == [b"message"]
    assert get_bodies(channel, queue) == ([b"message"] if kept else [])


def test_messages_by_way_of_another_exchange_are_kept(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange, first = declare(channel, names), names.exchange()
    channel.exchange_declare(first, "direct")
    channel.exchange_bind(exchange, first, "key")
    publish(channel, first, "one")
    publish(channel, first, "two", key="other")
    publish(channel, first, "three", key="other", headers={"CC": ["key"]})
    channel.queue_bind(queue, exchange)
    assert get_bodies(channel, queue) == [b"one", b"three"]


def test_a_publish_is_kept_before_its_transaction_is_committed(
    channel: BlockingChannel, names: Names, queue: str
) -> None:
    exchange = declare(channel, names)
    channel.tx_select()
    publish(channel, exchange, "one")
    channel.tx_rollback()
    publish(channel, exchange, "two")
    channel.queue_bind(queue, exchange)
    channel.tx_commit()
    assert get_bodies(channel, queue) == [b"one", b"two"]


def test_another_connection_gets_the_history_too(
    channel: BlockingChannel, connect: Connect, names: Names, queue: str
) -> None:
    exchange = declare(channel, names)
    publish(channel, exchange, "one")
    other = connect().channel()
    other.queue_bind(queue, exchange)
    assert get_bodies(other, queue) == [b"one"]


def test_an_exchange_declared_anew_has_no_history(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names)
    publish(channel, exchange, "one")
    channel.exchange_delete(exchange)
    channel.exchange_declare(exchange, "x-recent-history")
    channel.queue_bind(queue, exchange)
    assert get_bodies(channel, queue) == []


def test_an_exchange_that_is_bound_routes_the_history(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange, direct = declare(channel, names, 1), names.exchange()
    channel.exchange_declare(direct, "direct")
    channel.queue_bind(queue, direct, "key")
    publish(channel, exchange, "one")
    channel.exchange_bind(direct, exchange)
    assert get_bodies(channel, queue) == [b"one"]


@leveret_only("RabbitMQ sends them newest first, and closes the connection with 541 where one leads nowhere")
def test_an_exchange_that_is_bound_routes_what_it_can_in_order(
    channel: BlockingChannel, names: Names, queue: str
) -> None:
    exchange, direct = declare(channel, names), names.exchange()
    channel.exchange_declare(direct, "direct")
    channel.queue_bind(queue, direct, "key")
    publish(channel, exchange, "one")
    publish(channel, exchange, "two", key="other")
    publish(channel, exchange, "three")
    channel.exchange_bind(direct, exchange)
    assert get_bodies(channel, queue) == [b"one", b"three"]


@pytest.mark.parametrize(("length", "shown"), [(0, "0"), (-1, "-1"), ("5", '<<"5">>'), (True, "true")])
def test_a_length_that_is_refused(channel: BlockingChannel, names: Names, length: object, shown: str) -> None:
    text = f"Invalid argument {shown}, 'x-recent-history-length' must be a positive integer"
    with channel_closed(406, f"PRECONDITION_FAILED - {text}"):
        declare(channel, names, length)
