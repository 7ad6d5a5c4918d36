"""The exchange that remembers: which messages, how many, and what a new binding gets of them."""

from __future__ import annotations

import pytest

from leveret.amqp.field_table import FieldValue, table_from_python
from leveret.amqp.methods import (
    BasicConsume,
    BasicGet,
    ExchangeBind,
    ExchangeDeclare,
    QueueBind,
    QueueDeclare,
    TxRollback,
    TxSelect,
)
from leveret.amqp.properties import BasicProperties
from leveret.broker.exchange.recent_history import RecentHistoryExchange
from tests.broker.driver import Client, Driver


@pytest.fixture
def client() -> Client:
    return Driver().log_in()


def declare(client: Client, length: int | None = None) -> RecentHistoryExchange:
    arguments = {} if length is None else table_from_python({"x-recent-history-length": length})
    client.call(ExchangeDeclare("x", "x-recent-history", arguments=arguments))
    exchange = client.driver.broker.vhosts["/"].exchanges["x"]
    assert isinstance(exchange, RecentHistoryExchange)
    return exchange


def publish(client: Client, *bodies: str, exchange: str = "x", key: str = "key", headers: object = None) -> None:
    properties = None if headers is None else BasicProperties(headers=table_from_python(headers))  # type: ignore
    for body in bodies:
        client.publish(exchange, key, body.encode(), properties)
    client.driver.tick()


def bound(client: Client, queue: str = "q", key: str = "", exchange: str = "x") -> list[bytes]:
    """Bind a queue, declared if need be, and take everything out of it."""
    client.declare(queue)
    client.call(QueueBind(queue, exchange, key))
    return taken(client, queue)


def taken(client: Client, queue: str = "q") -> list[bytes]:
    bodies = []
    while (body := client.call(BasicGet(queue, True)).body) is not None:
        bodies.append(body)
    return bodies


@pytest.mark.parametrize(("length", "kept"), [(None, 20), (1, 1), (5, 5), (2**62, 30)])
def test_the_last_messages_are_remembered_in_their_order(client: Client, length: int | None, kept: int) -> None:
    exchange = declare(client, length)
    bodies = [str(number) for number in range(30)]
    publish(client, *bodies)
    assert [body.decode() for body in bound(client)] == bodies[-kept:]
    assert len(exchange.history) == kept


def test_each_new_binding_gets_the_history_once(client: Client) -> None:
    declare(client)
    publish(client, "one", "two")
    assert bound(client, key="a") == [b"one", b"two"]
    assert bound(client, key="a") == []  # the same binding
    assert bound(client, key="b") == [b"one", b"two"]
    assert bound(client, "other") == [b"one", b"two"]
    publish(client, "three")
    assert taken(client) == taken(client, "other") == [b"three"]


def test_a_consumer_gets_the_history_at_once(client: Client) -> None:
    declare(client)
    publish(client, "one", "two")
    client.declare("q")
    client.call(BasicConsume("q", "tag", no_ack=True))
    client.send(QueueBind("q", "x", ""))
    client.driver.tick()
    bound_ok, *deliveries = client.take()
    assert bound_ok.method.name == "queue.bind-ok"
    assert [delivery.body for delivery in deliveries] == [b"one", b"two"]
    assert [getattr(delivery.method, "routing_key") for delivery in deliveries] == ["key", "key"]  # noqa: B009


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({"x-recent-history-no-store": True}, False),
        ({"x-recent-history-no-store": False}, True),
        ({"x-recent-history-no-store": "true"}, True),
        ({"x-recent-history-no-store": 1}, True),
        ({"other": True}, True),
    ],
)
def test_a_message_may_ask_not_to_be_remembered(client: Client, headers: dict[str, object], kept: bool) -> None:
    declare(client)
    client.declare("before")
    client.call(QueueBind("before", "x", ""))
    publish(client, "message", headers=headers)
    assert taken(client, "before") == [b"message"]
    assert bound(client) == ([b"message"] if kept else [])


def test_messages_that_come_another_way_are_remembered(client: Client) -> None:
    """By a binding, by an alternate exchange, by a key in CC; each once."""
    declare(client)
    client.call(ExchangeDeclare("first", "direct"))
    client.call(ExchangeBind("x", "first", "key"))
    client.call(ExchangeDeclare("second", "direct", arguments=table_from_python({"alternate-exchange": "x"})))
    publish(client, "binding", exchange="first")
    publish(client, "alternate", exchange="second")
    publish(client, "elsewhere", exchange="first", key="other")
    publish(client, "copy", exchange="first", key="other", headers={"CC": ["key", "key"]})
    assert bound(client) == [b"binding", b"alternate", b"copy"]


def test_an_exchange_that_is_bound_routes_the_history(client: Client) -> None:
    declare(client)
    client.call(ExchangeDeclare("next", "direct"))
    bound(client, "a", "a", "next")
    bound(client, "b", "b", "next")
    publish(client, "to a", key="a")
    publish(client, "to none", key="none")
    publish(client, "to b", key="b")
    publish(client, "to both", key="a", headers={"CC": ["b"]})
    client.call(ExchangeBind("next", "x", ""))
    assert taken(client, "a") == [b"to a", b"to both"]
    assert taken(client, "b") == [b"to b", b"to both"]


def test_two_exchanges_that_are_bound_to_each_other(client: Client) -> None:
    exchange = declare(client)
    client.call(ExchangeDeclare("y", "fanout"))
    client.call(ExchangeBind("x", "y", ""))
    publish(client, "one")
    client.call(ExchangeBind("y", "x", ""))
    publish(client, "two")
    assert [message.body() for message in exchange.history] == [b"one", b"one", b"two"]


def test_it_is_remembered_when_it_is_published_in_a_transaction(client: Client) -> None:
    """As in RabbitMQ: routes are found at the publish, and a rollback takes nothing back from the exchange."""
    declare(client)
    client.call(TxSelect())
    publish(client, "one")
    client.call(TxRollback())
    assert bound(client) == [b"one"]


def test_what_is_remembered_is_no_longer_in_a_queue(client: Client) -> None:
    exchange = declare(client)
    client.call(QueueDeclare("q", durable=True))
    client.call(QueueBind("q", "x", ""))
    publish(client, "one")
    queued = client.driver.queue("q").backing.ready[0]
    remembered = exchange.history[0]
    assert remembered is not queued
    assert remembered.targets is None
    assert (remembered.address, remembered.content) == (queued.address, queued.content)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (FieldValue("I", 0), "0"),
        (FieldValue("l", -1), "-1"),
        (FieldValue("S", "5"), '<<"5">>'),
        (FieldValue("t", True), "true"),
        (FieldValue("t", False), "false"),
    ],
)
def test_a_length_that_is_refused(client: Client, value: FieldValue, shown: str) -> None:
    refusal = client.refusal(ExchangeDeclare("x", "x-recent-history", arguments={"x-recent-history-length": value}))
    assert refusal == (406, f"Invalid argument {shown}, 'x-recent-history-length' must be a positive integer")
