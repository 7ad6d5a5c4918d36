"""How each exchange type matches, compared with the plainest way to say it, and that it forgets what is unbound."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import product
from time import perf_counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from leveret.amqp.field_table import FieldValue, Table, table_from_python
from leveret.amqp.properties import BasicProperties
from leveret.amqp.reply_codes import SoftError
from leveret.broker.binding import Binding, Destination
from leveret.broker.exchange.base import Exchange
from leveret.broker.exchange.direct import DirectExchange
from leveret.broker.exchange.fanout import FanoutExchange
from leveret.broker.exchange.headers import HeadersExchange
from leveret.broker.exchange.topic import TopicExchange
from leveret.broker.exchange.types import TYPES, make_exchange

QUEUES = {name: Destination(name, "queue", False) for name in "abc"}
steady = settings(derandomize=True, deadline=None, database=None, max_examples=300)


def binding(exchange: Exchange, queue: str, key: str, arguments: Table | None = None) -> Binding:
    return Binding(exchange, QUEUES[queue], key, arguments or {})


def matches(exchange: Exchange, key: str, headers: Table | None = None) -> set[str]:
    found: list[Destination] = []
    exchange.match(key, BasicProperties(headers=headers), found)
    return {destination.name for destination in found}


def topic_matches(pattern: list[str], key: list[str]) -> bool:
    """`*` is one word and `#` any number: AMQP 0-9-1, section 3.1.3.3."""
    if not pattern:
        return not key
    if pattern[0] == "#":
        return topic_matches(pattern[1:], key) or (bool(key) and topic_matches(pattern, key[1:]))
    return bool(key) and pattern[0] in ("*", key[0]) and topic_matches(pattern[1:], key[1:])


def words(key: str) -> list[str]:
    return key.split(".") if key else []


keys = st.lists(st.sampled_from(["", "x", "y"]), max_size=5).map(".".join)
patterns = st.lists(st.sampled_from(["", "x", "y", "*", "#", "#"]), max_size=5).map(".".join)
bound = st.lists(st.tuples(st.sampled_from("abc"), patterns), max_size=8)


@steady
@given(bindings=bound, routing_keys=st.lists(keys, min_size=1, max_size=8))
@example(bindings=[("a", "#.x.#.x.#"), ("b", "*.#"), ("c", "#.*")], routing_keys=["x", "x.x", "", ".", "x.y.x"])
def test_topics(bindings: list[tuple[str, str]], routing_keys: list[str]) -> None:
    exchange = TopicExchange("topic", False, False, False, {})
    for queue, pattern in bindings:
        exchange.bind(binding(exchange, queue, pattern))
    for key in routing_keys:
        expected = {queue for queue, pattern in bindings if topic_matches(words(pattern), words(key))}
        assert matches(exchange, key) == expected


@steady
@given(bindings=bound, order=st.randoms(use_true_random=False))
def test_a_topic_exchange_forgets_what_is_unbound(bindings: list[tuple[str, str]], order: random.Random) -> None:
    """After each unbinding the others still match; after the last no word is left."""
    exchange = TopicExchange("topic", False, False, False, {})
    left = list(dict.fromkeys(bindings))
    for queue, pattern in left:
        assert exchange.bind(binding(exchange, queue, pattern))
    order.shuffle(left)
    while left:
        queue, pattern = left.pop()
        assert exchange.unbind(binding(exchange, queue, pattern).identity) is not None
        for key in ("", "x", "y.x", "x.y.x"):
            assert matches(exchange, key) == {q for q, p in left if topic_matches(words(p), words(key))}
    assert exchange.root.is_leaf()
    assert exchange.root.destinations.counts == {}
    assert exchange.bindings == {}


def test_a_hostile_topic_does_not_take_for_ever() -> None:
    exchange = TopicExchange("topic", False, False, False, {})
    for count in range(20, 40):
        exchange.bind(binding(exchange, "a", ".".join(["#"] * count + ["end"])))
    begin = perf_counter()
    assert matches(exchange, ".".join(["x"] * 100)) == set()
    assert matches(exchange, ".".join([*["x"] * 100, "end"])) == {"a"}
    assert perf_counter() - begin < 10


VALUES = [
    FieldValue(kind, value)
    for kind, value in (
        *(("I", 1), ("l", 1), ("b", 1), ("s", 2), ("t", True), ("t", False), ("f", 1.0), ("d", 1.0), ("d", 2.0)),
        *(("S", "1"), ("x", b"1"), ("V", None), ("T", 1), ("F", {}), ("A", []), ("A", [FieldValue("I", 1)])),
    )
]
INTEGERS, FLOATS = "bBsuIilL", "fd"


def equal(wanted: FieldValue, value: FieldValue) -> bool:
    """As RabbitMQ compares: integers of any width by value, so floats, all else by type and value; void is anything."""
    if wanted.kind == "V":
        return True
    for family in (INTEGERS, FLOATS):
        if wanted.kind in family and value.kind in family:
            return wanted.value == value.value
    return wanted == value


def headers_match(arguments: Table, headers: Table) -> bool:
    mode = str(arguments["x-match"].value) if "x-match" in arguments else "all"
    wanted = [name for name in arguments if name != "x-match"]
    if not mode.endswith("-with-x"):
        wanted = [name for name in wanted if not name.startswith("x-")]
    found = [name in headers and equal(arguments[name], headers[name]) for name in wanted]
    return any(found) if mode.startswith("any") else all(found)


names = st.sampled_from(["one", "two", "x-three", "x-four"])
tables = st.dictionaries(names, st.sampled_from(VALUES), max_size=4)
modes = st.sampled_from([None, "all", "any", "all-with-x", "any-with-x"])


@steady
@given(bindings=st.lists(st.tuples(st.sampled_from("abc"), modes, tables), max_size=5), headers=tables)
def test_headers(bindings: list[tuple[str, str | None, Table]], headers: Table) -> None:
    exchange = HeadersExchange("headers", False, False, False, {})
    expected = set()
    for queue, mode, wanted in bindings:
        arguments = wanted if mode is None else {**wanted, "x-match": FieldValue("S", mode)}
        exchange.bind(binding(exchange, queue, "", arguments))
        if headers_match(arguments, headers):
            expected.add(queue)
    assert matches(exchange, "", headers) == expected
    for each in list(exchange.bindings):
        exchange.unbind(each)
        left = [bound for bound in exchange.bindings.values() if headers_match(bound.arguments, headers)]
        assert matches(exchange, "", headers) == {bound.destination.name for bound in left}
    assert exchange.patterns == exchange.by_value == exchange.unconditional == {}


def test_each_pair_of_header_values() -> None:
    for wanted, value in product(VALUES, VALUES):
        exchange = HeadersExchange("headers", False, False, False, {})
        exchange.bind(binding(exchange, "a", "", {"name": wanted}))
        assert (matches(exchange, "", {"name": value}) == {"a"}) == equal(wanted, value), (wanted, value)


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        (FieldValue("S", "some"), '<<"some">>; expected all, any, all-with-x, or any-with-x'),
        (FieldValue("t", True), "Invalid x-match field type bool (value True); expected longstr"),
    ],
)
def test_a_wrong_way_to_match_is_refused(mode: FieldValue, text: str) -> None:
    exchange = HeadersExchange("headers", False, False, False, {})
    with pytest.raises(SoftError) as refused:
        exchange.bind(binding(exchange, "a", "", {"x-match": mode}))
    assert refused.value.code == 406
    assert refused.value.explanation.endswith(text)
    assert exchange.bindings == {}


@pytest.mark.parametrize("kind", [DirectExchange, FanoutExchange])
def test_several_bindings_to_one_queue_are_counted(kind: type[DirectExchange | FanoutExchange]) -> None:
    """The queue is matched until the last of them is gone."""
    exchange = kind("exchange", False, False, False, {})
    queue = Destination("a", "queue", False)
    arguments = [table_from_python({"number": number}) for number in range(3)]
    bindings = [Binding(exchange, queue, "key", each) for each in arguments]
    assert [exchange.bind(each) for each in bindings] == [True] * 3
    assert not exchange.bind(Binding(exchange, queue, "key", arguments[1]))
    assert matches(exchange, "key") == {"a"}
    for each in bindings[:2]:
        assert exchange.unbind(each.identity) is each
    assert exchange.unbind(bindings[0].identity) is None
    assert matches(exchange, "key") == {"a"}
    assert list(queue.bindings_to) == [bindings[2]]
    exchange.unbind(bindings[2].identity)
    assert matches(exchange, "key") == set()
    assert queue.bindings_to == {}


def test_a_direct_exchange_matches_by_key_and_a_fanout_exchange_all() -> None:
    def matched(type_name: str) -> Iterable[set[str]]:
        exchange = make_exchange(type_name, "exchange", False, False, False, {})
        for queue, key in (("a", "x"), ("b", "x"), ("c", "y"), ("a", "y")):
            exchange.bind(binding(exchange, queue, key))
        return [matches(exchange, key) for key in ("x", "y", "", "x.y")]

    assert matched("direct") == [{"a", "b"}, {"a", "c"}, set(), set()]
    assert matched("fanout") == [{"a", "b", "c"}] * 4


def test_every_type_knows_its_name() -> None:
    for name in TYPES:
        assert make_exchange(name, "exchange", False, False, False, {}).type_name == name
