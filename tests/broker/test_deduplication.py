"""How long identifiers are remembered, by the clock, and that nothing is remembered for ever."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from leveret.amqp.field_table import table_from_python
from leveret.amqp.methods import (
    ChannelClose,
    ExchangeDeclare,
    QueueBind,
    QueueDeclare,
    QueuePurge,
    TxSelect,
)
from leveret.amqp.properties import BasicProperties
from tests.broker.driver import Client, Driver


@pytest.fixture
def client() -> Client:
    return Driver().log_in()


def declare(client: Client, exchange: Mapping[str, object] | None = None, /, **queue: object) -> None:
    """An exchange `x` bound to a queue `q`."""
    client.call(ExchangeDeclare("x", "fanout", arguments=table_from_python(dict(exchange or {}))))
    client.call(QueueDeclare("q", arguments=table_from_python(queue)))
    client.call(QueueBind("q", "x"))


def publish(client: Client, *identifiers: str, **headers: object) -> None:
    for identifier in identifiers:
        table = table_from_python({"x-deduplication-header": identifier, **headers})
        client.publish("x", "", identifier.encode(), BasicProperties(headers=table))
    client.driver.tick()


def taken(client: Client) -> str:
    found = ""
    while (message := client.fetch("q")) is not None:
        found += (message.body or b"").decode()
    return found


ON: dict[str, object] = {"x-message-deduplication": True}
LONGER: dict[str, object] = {"x-cache-ttl": 3000}


@pytest.mark.parametrize("of_exchange", [True, False])
def test_an_identifier_counts_for_its_time(client: Client, of_exchange: bool) -> None:
    arguments: dict[str, object] = {**ON, "x-cache-ttl": 1000}
    declare(client, arguments) if of_exchange else declare(client, **arguments)
    publish(client, "a")
    publish(client, "b", **LONGER)
    client.driver.at(0.999)
    publish(client, "a", "b")
    assert taken(client) == "ab"
    client.driver.at(1.0)
    publish(client, "a", "b", "a")
    assert taken(client) == "a"
    client.driver.at(1.9)
    publish(client, "a", "b")
    assert taken(client) == ""
    client.driver.at(3.0)
    publish(client, "b", "b")
    assert taken(client) == "b"


def test_a_duplicate_does_not_prolong_it(client: Client) -> None:
    declare(client, {**ON, "x-cache-ttl": 1000})
    for now in (0.0, 0.6, 1.2):
        client.driver.at(now)
        publish(client, "a")
    assert taken(client) == "aa"


def test_a_message_that_expired_makes_room_for_another(client: Client) -> None:
    declare(client, **ON, **{"x-message-ttl": 1000})
    publish(client, "a")
    client.driver.at(1.0)
    publish(client, "a")
    assert taken(client) == "a"


def test_a_queue_forgets_what_left_it(client: Client) -> None:
    declare(client, **ON, **{"x-max-length": 3})
    publish(client, *"abcdefg")
    identifiers = client.driver.queue("q").identifiers
    assert identifiers is not None
    assert len(identifiers) == 3
    publish(client, "a", "g")
    client.call(QueuePurge("q"))
    assert len(identifiers) == 0
    publish(client, *"aab")
    assert taken(client) == "ab"
    assert len(identifiers) == 0


def test_a_large_window_is_no_larger_than_it_may_be(client: Client) -> None:
    declare(client, {**ON, "x-cache-size": 100})
    publish(client, *[str(number) * 1000 for number in range(300)])
    identifiers = client.driver.broker.vhosts["/"].exchanges["x"].identifiers
    assert identifiers is not None
    assert len(identifiers) == 100


def test_a_window_of_none_remembers_nothing(client: Client) -> None:
    declare(client, {**ON, "x-cache-size": 0})
    publish(client, "a", "a")
    assert taken(client) == "aa"


def test_a_transaction_that_ends_with_its_channel_leaves_nothing(client: Client) -> None:
    declare(client, ON)
    driver = client.driver
    other = driver.log_in()
    other.call(TxSelect())
    publish(other, "a")
    publish(client, "a")
    assert taken(client) == ""
    other.call(ChannelClose(200, "", 0, 0))
    publish(client, "a", "a")
    assert taken(client) == "a"


def test_exchanges_without_it_keep_their_cached_routes(client: Client) -> None:
    declare(client)
    exchange = client.driver.broker.vhosts["/"].exchanges["x"]
    assert not exchange.routes_each_message
    publish(client, "a", "a")
    assert taken(client) == "aa"
