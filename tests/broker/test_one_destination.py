"""The exchange types that choose one destination: how large each one's share is, and who keeps it when others go."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from leveret.amqp.field_table import FieldValue, Table, table_from_python
from leveret.amqp.methods import BasicGet, ExchangeDeclare, QueueBind, QueueUnbind
from leveret.amqp.properties import BasicProperties
from leveret.amqp.reply_codes import SoftError
from leveret.broker.binding import Binding, Destination
from leveret.broker.exchange.base import Exchange
from leveret.broker.exchange.types import TYPES, make_exchange
from tests.broker.driver import Client, Driver

NO_PROPERTIES = BasicProperties()
KEYS = [f"order.{number}" for number in range(6000)]


def exchange_of(type_name: str, bindings: Sequence[tuple[str, str]], arguments: Table | None = None) -> Exchange:
    """An exchange with queues bound by these keys."""
    exchange = make_exchange(type_name, "exchange", False, False, False, arguments or {})
    destinations = {name: Destination(name, "queue", False) for name, _ in bindings}
    for name, key in bindings:
        assert exchange.bind(Binding(exchange, destinations[name], key, {}))
    return exchange


def unbind(exchange: Exchange, queue: str, key: str) -> None:
    assert exchange.unbind(("queue", queue, key, b"\0\0\0\0")) is not None


def chosen(exchange: Exchange, key: str, properties: BasicProperties = NO_PROPERTIES) -> str:
    """The one destination of a message."""
    found: list[Destination] = []
    exchange.match(key, properties, found)
    assert len(found) == 1
    return found[0].name


def all_chosen(exchange: Exchange) -> dict[str, str]:
    return {key: chosen(exchange, key) for key in KEYS}


ONE_OF_ALL = ["x-consistent-hash", "x-random", "x-modulus-hash"]


@pytest.mark.parametrize("type_name", [*ONE_OF_ALL, "x-local-random"])
def test_without_bindings_nothing_is_chosen(type_name: str) -> None:
    exchange = exchange_of(type_name, [])
    found: list[Destination] = []
    exchange.match("key", NO_PROPERTIES, found)
    assert found == []
    key = "" if type_name == "x-local-random" else "1"
    exchange.bind(Binding(exchange, Destination("a", "queue", False), key, {}))
    assert chosen(exchange, "key") == "a"
    unbind(exchange, "a", key)
    exchange.match("key", NO_PROPERTIES, found)
    assert found == []


@pytest.mark.parametrize("weights", [(1, 1), (1, 2, 5), (1, 1, 1, 1, 1, 1, 1, 1, 1, 1), (10**6, 3 * 10**6), (20, 30)])
def test_a_consistent_hash_shares_by_weight(weights: tuple[int, ...]) -> None:
    exchange = exchange_of("x-consistent-hash", [(f"q{at}", str(weight)) for at, weight in enumerate(weights)])
    shares = Counter(all_chosen(exchange).values())
    for at, weight in enumerate(weights):
        wanted = len(KEYS) * weight / sum(weights)
        assert abs(shares[f"q{at}"] - wanted) < 5 * wanted**0.5  # five standard deviations


def test_the_largest_weight_that_a_key_has_room_for() -> None:
    largest = "9" * 255
    exchange = exchange_of("x-consistent-hash", [("a", largest), ("b", largest), ("c", "1")])
    shares = Counter(all_chosen(exchange).values())
    assert set(shares) == {"a", "b"}
    assert abs(shares["a"] - shares["b"]) < 10 * len(KEYS) ** 0.5


@pytest.mark.parametrize("gone", ["a", "b", "c", "d"])
def test_a_destination_that_goes_moves_its_own_share_only(gone: str) -> None:
    weights = {"a": "1", "b": "2", "c": "3", "d": "4"}
    exchange = exchange_of("x-consistent-hash", list(weights.items()))
    before = all_chosen(exchange)
    unbind(exchange, gone, weights[gone])
    after = all_chosen(exchange)
    assert {key for key in KEYS if before[key] != after[key]} == {key for key in KEYS if before[key] == gone}
    shares = Counter(queue for key, queue in after.items() if before[key] == gone)
    assert set(shares) == set(weights) - {gone}  # all others take over some
    exchange.bind(Binding(exchange, Destination(gone, "queue", False), weights[gone], {}))
    assert all_chosen(exchange) == before


def test_the_same_choice_in_another_life() -> None:
    """Neither the order of the bindings nor anything of the process counts, and no later version may choose others."""
    bindings = [(f"q{number}", str(number % 3 + 1)) for number in range(20)]
    first = all_chosen(exchange_of("x-consistent-hash", bindings))
    assert all_chosen(exchange_of("x-consistent-hash", bindings[::-1])) == first
    assert [first[key] for key in KEYS[:5]] == ["q12", "q6", "q7", "q8", "q2"]


def test_the_first_binding_of_a_destination_is_its_weight() -> None:
    exchange = exchange_of("x-consistent-hash", [("a", "1"), ("a", "9"), ("b", "1")])
    even = Counter(all_chosen(exchange).values())
    assert abs(even["a"] - even["b"]) < 10 * len(KEYS) ** 0.5
    unbind(exchange, "a", "1")
    uneven = Counter(all_chosen(exchange).values())
    assert abs(uneven["b"] - len(KEYS) / 10) < 5 * (len(KEYS) / 10) ** 0.5
    unbind(exchange, "a", "9")
    assert set(all_chosen(exchange).values()) == {"b"}


HASHED = [
    ({"hash-header": "h"}, lambda number: BasicProperties(headers=table_from_python({"h": f"value {number}"}))),
    ({"hash-header": "x-h"}, lambda number: BasicProperties(headers=table_from_python({"x-h": number}))),
    ({"hash-header": ""}, lambda number: BasicProperties(headers=table_from_python({"": [number, b"octets"]}))),
    ({"hash-property": "message_id"}, lambda number: BasicProperties(message_id=str(number))),
    ({"hash-property": "correlation_id"}, lambda number: BasicProperties(correlation_id=str(number))),
    ({"hash-property": "timestamp"}, lambda number: BasicProperties(timestamp=number)),
]


@pytest.mark.parametrize(("arguments", "properties"), HASHED)
def test_what_is_hashed_instead_of_the_key(arguments, properties) -> None:
    bindings = [("a", "1"), ("b", "1"), ("c", "1")]
    exchange = exchange_of("x-consistent-hash", bindings, table_from_python(arguments))
    exchange.validate_arguments()
    assert exchange.routes_each_message
    queues = [chosen(exchange, "key", properties(number)) for number in range(300)]
    assert min(Counter(queues).values()) > 50
    assert [chosen(exchange, f"other {number}", properties(number)) for number in range(300)] == queues
    without = {chosen(exchange, f"key {number}") for number in range(50)}
    assert len(without) == 1  # all that lack it go the same way
    assert without == {chosen(exchange, "key", BasicProperties(headers={}, content_type="text"))}


def test_a_consistent_hash_by_key_can_be_cached() -> None:
    assert not exchange_of("x-consistent-hash", []).routes_each_message


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"hash-header": "h", "hash-property": "message_id"}, "hash-header and hash-property are mutually exclusive"),
        ({"hash-property": "user_id"}, "Unsupported property: user_id"),
        ({"hash-property": 5}, "Unsupported property: 5"),
        ({"hash-header": 5}, "Unsupported header: 5"),
    ],
)
def test_what_a_consistent_hash_cannot_hash(arguments: dict[str, object], text: str) -> None:
    with pytest.raises(SoftError) as refused:
        exchange_of("x-consistent-hash", [], table_from_python(arguments)).validate_arguments()
    assert (refused.value.code, refused.value.explanation) == (406, text)


@pytest.mark.parametrize("key", ["", "a", "1.0", " 1", "1 ", "1_000", "0x1", "--1", "+", "\u0661", "1\n"])
def test_a_weight_that_is_no_integer(key: str) -> None:
    with pytest.raises(SoftError) as refused:
        exchange_of("x-consistent-hash", [("a", key)])
    shown = f'<<"{key}">>' if key else "<<>>"
    assert (refused.value.code, refused.value.explanation) == (406, f"The binding key must be an integer: {shown}")


@pytest.mark.parametrize("key", ["0", "-1", "+0", "-99999999999999999999"])
def test_a_weight_that_is_too_small(key: str) -> None:
    with pytest.raises(SoftError) as refused:
        exchange_of("x-consistent-hash", [("a", key)])
    assert (refused.value.code, refused.value.explanation) == (406, "The binding key must be greater than 0")


@pytest.mark.parametrize("type_name", ["x-random", "x-local-random"])
def test_random_exchanges_use_all_bindings_alike(type_name: str) -> None:
    random.seed(4)
    keys = ["", "", ""] if type_name == "x-local-random" else ["x", "", "y"]
    exchange = exchange_of(type_name, list(zip("abc", keys, strict=True)))
    assert exchange.routes_each_message
    shares = Counter(chosen(exchange, "key") for _ in range(3000))
    assert set(shares) == set("abc")
    assert max(shares.values()) - min(shares.values()) < 250


def test_a_local_random_exchange_takes_only_queues_without_a_key() -> None:
    exchange = exchange_of("x-local-random", [])
    for binding, text in (
        (Binding(exchange, Destination("q", "queue", False), "key", {}), "Non empty binding 'key' key not permitted"),
        (Binding(exchange, exchange_of("fanout", []), "", {}), "Destination not found"),
    ):
        with pytest.raises(SoftError) as refused:
            exchange.bind(binding)
        assert (refused.value.code, refused.value.explanation) == (406, text)
    assert exchange.bindings == {}


def test_a_modulus_hash_depends_on_key_and_bindings_alone() -> None:
    bindings = [(name, key) for name, key in zip("dacb", ["", "x", "y", "z"], strict=True)]
    exchange = exchange_of("x-modulus-hash", bindings)
    assert not exchange.routes_each_message
    first = all_chosen(exchange)
    shares = Counter(first.values())
    assert all(abs(shares[name] - len(KEYS) / 4) < 5 * (len(KEYS) / 4) ** 0.5 for name in "abcd")
    assert all_chosen(exchange_of("x-modulus-hash", bindings[::-1])) == first
    unbind(exchange, "d", "")
    assert set(all_chosen(exchange).values()) == set("abc")
    exchange.bind(Binding(exchange, Destination("d", "queue", False), "other", {}))
    assert all_chosen(exchange) == first


@pytest.fixture
def client() -> Client:
    client = Driver().log_in()
    for name in "abc":
        client.declare(name)
    return client


def declare(client: Client, type_name: str, arguments: Table | None = None) -> None:
    client.call(ExchangeDeclare("x", type_name, arguments=arguments or {}))
    for name in "abc":
        client.call(QueueBind(name, "x", "1"))


@pytest.mark.parametrize("type_name", ONE_OF_ALL)
def test_a_message_with_several_keys_goes_to_one_queue(client: Client, type_name: str) -> None:
    declare(client, type_name)
    keys = FieldValue("A", [FieldValue("S", f"copy {number}") for number in range(5)])
    for number in range(50):
        client.publish("x", f"key {number}", b"", BasicProperties(headers={"CC": keys}))
    client.driver.tick()
    counts = [client.declare(name)[0] for name in "abc"]
    assert sum(counts) == 50
    assert min(counts) > 0


@pytest.mark.parametrize("by_header", [False, True])
def test_a_cached_route_follows_the_bindings(client: Client, by_header: bool) -> None:
    declare(client, "x-consistent-hash", table_from_python({"hash-header": "h"}) if by_header else {})
    properties = BasicProperties(headers=table_from_python({"h": "value"}))

    def received() -> str:
        client.publish("x", "key", b"message", properties)
        client.driver.tick()
        found = [name for name in "abc" if client.call(BasicGet(name, True)).body is not None]
        assert len(found) == 1
        return found[0]

    first = received()
    assert received() == first
    client.call(QueueUnbind(first, "x", "1"))
    second = received()
    assert second != first
    client.call(QueueBind(first, "x", "1"))
    assert received() == first


def test_a_refused_declare_leaves_no_exchange(client: Client) -> None:
    arguments = table_from_python({"hash-header": "h", "hash-property": "timestamp"})
    refusal = client.refusal(ExchangeDeclare("x", "x-consistent-hash", arguments=arguments))
    assert refusal == (406, "hash-header and hash-property are mutually exclusive")
    assert "x" not in client.driver.broker.vhosts["/"].exchanges


def test_every_type_that_goes_to_one_says_so() -> None:
    to_one = {name for name, kind in TYPES.items() if kind("x", False, False, False, {}).goes_to_one}
    assert to_one == {*ONE_OF_ALL, "x-local-random"}
