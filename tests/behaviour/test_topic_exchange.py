"""Routing by topic exchanges: `*` is one word, `#` any number of words, words stand between dots and may be empty."""

from __future__ import annotations

import random

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.behaviour.conftest import Names
from tests.behaviour.expectations import await_errors, get_bodies

# pattern: (keys that match, keys that do not)
CASES: dict[str, tuple[list[str], list[str]]] = {
    "": ([""], ["a", ".", "a.b"]),
    "a": (["a"], ["", "b", "a.", ".a", "a.a", "aa", "A"]),
    "a.b": (["a.b"], ["a", "b", "ab", "a.b.", ".a.b", "a..b", "a.b.c"]),
    "*": (["a", "long", "*", "#"], ["a.b", "a.", ".a", "."]),
    "*.*": (["a.b", ".", "a.", ".b"], ["", "a", "a.b.c", ".."]),
    "a.*": (["a.b", "a.", "a.*"], ["a", "b.a", "a.b.c", "a.b."]),
    "*.a": (["b.a", ".a"], ["a", "a.b", "b.b.a"]),
    "*.a.*": (["b.a.c", ".a."], ["a", "b.a", "a.c", "b.b.c"]),
    "a.*.b": (["a.x.b", "a..b", "a.b.b"], ["a.b", "a.x.y.b", "a.x.c"]),
    "#": (["", "a", "a.b", "a.b.c", ".", "..", "a..b", "#"], []),
    "a.#": (["a", "a.b", "a.b.c", "a.", "a..", "a.#"], ["", "b", "b.a", "aa.b", ".a"]),
    "#.a": (["a", "b.a", "c.b.a", ".a", "a.a", "..a"], ["", "b", "a.b", "a.", "b.aa"]),
    "#.a.#": (["a", "a.b", "b.a", "b.a.c", "x.y.a.z.w", "a.a", ".a.", "a."], ["", "b", "b.c", "aa", "b.ab.c"]),
    "a.#.b": (["a.b", "a.x.b", "a.x.y.b", "a..b", "a.a.b.b"], ["a", "b", "ab", "a.b.c", "a.x", "c.a.b"]),
    "*.#": (["a", "a.b", "a.b.c", ".", "a."], []),
    "#.*": (["a", "a.b", "a.b.c", ".", ".a"], []),
    "*.#.*": (["a.b", "a.b.c", ".", ".."], ["", "a"]),
    "a.*.#": (["a.b", "a.b.c", "a."], ["a", "b.a", ""]),
    "#.b.*": (["b.c", "a.b.c", "x.y.b.c"], ["b", "a.b", "b.c.d", "a.c.b"]),
    "a.#.b.*": (["a.b.c", "a.x.b.c", "a.b.b"], ["a.b", "a.b.c.d", "a.c"]),
    "a.#.*": (["a.b", "a.b.c"], ["a", "b.a"]),
    "#.#": (["", "a", "a.b", "a.b.c"], []),
    "a.b.c.d.e": (["a.b.c.d.e"], ["a.b.c.d", "a.b.c.d.e.f"]),
    "..": ([".."], [".", "", "...", "a.."]),
    "a..b": (["a..b"], ["a.b", "a...b", "a.x.b"]),
    "a*": (["a*"], ["a", "ab", "a.b"]),
    "a#": (["a#"], ["a", "ab", "a.b"]),
    "**": (["**"], ["a", "ab", "a.b"]),
    "##": (["##"], ["", "a", "a.b"]),
    "*.orange.*": (["quick.orange.rabbit"], ["quick.orange.male.rabbit", "orange", "quick.brown.fox"]),
    "lazy.#": (["lazy", "lazy.orange.elephant", "lazy.orange.male.rabbit"], ["quick.orange.fox", "lazys"]),
}


def declare(channel: BlockingChannel, names: Names) -> str:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "topic")
    return exchange


@pytest.mark.parametrize("pattern", CASES)
def test_pattern(channel: BlockingChannel, names: Names, queue: str, pattern: str) -> None:
    exchange = declare(channel, names)
    channel.queue_bind(queue, exchange, pattern)
    matching, others = CASES[pattern]
    for key in [*matching, *others]:
        channel.basic_publish(exchange, key, key)
    await_errors(channel)
    assert [body.decode() for body in get_bodies(channel, queue)] == matching


@pytest.mark.parametrize("pattern", ["*", "*.#", "#.*", "a.*.#"])
def test_an_empty_key_has_no_words(channel: BlockingChannel, names: Names, queue: str, pattern: str) -> None:
    exchange = declare(channel, names)
    channel.queue_bind(queue, exchange, pattern)
    channel.basic_publish(exchange, "", b"no words")
    await_errors(channel)
    assert get_bodies(channel, queue) == []


def test_patterns_that_overlap_give_one_copy(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names)
    for pattern in ("#", "a.*", "a.#", "*.b", "a.b", "#.b", "a.#.b"):
        channel.queue_bind(queue, exchange, pattern)
    channel.basic_publish(exchange, "a.b", b"once")
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"once"]


def test_several_queues_each_by_its_own_patterns(channel: BlockingChannel, names: Names) -> None:
    exchange = declare(channel, names)
    orange, lazy = names.queue(), names.queue()
    for queue, patterns in ((orange, ["*.orange.*"]), (lazy, ["*.*.rabbit", "lazy.#"])):
        channel.queue_declare(queue)
        for pattern in patterns:
            channel.queue_bind(queue, exchange, pattern)
    for key in ("quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox", "lazy.pink.rabbit", "quick.fox"):
        channel.basic_publish(exchange, key, key)
    await_errors(channel)
    assert get_bodies(channel, orange) == [b"quick.orange.rabbit", b"lazy.orange.elephant", b"quick.orange.fox"]
    assert get_bodies(channel, lazy) == [b"quick.orange.rabbit", b"lazy.orange.elephant", b"lazy.pink.rabbit"]


def test_unbinding_a_pattern_leaves_the_others(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names)
    for pattern in ("a.*", "a.#", "a.b.#"):
        channel.queue_bind(queue, exchange, pattern)
    channel.queue_unbind(queue, exchange, "a.#")
    for key in ("a", "a.x", "a.x.y", "a.b.c"):
        channel.basic_publish(exchange, key, key)
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"a.x", b"a.b.c"]


def test_unbinding_one_queue_leaves_another_with_the_same_pattern(
    channel: BlockingChannel, names: Names, queue: str
) -> None:
    exchange, other = declare(channel, names), names.queue()
    channel.queue_declare(other)
    for name in (queue, other):
        channel.queue_bind(name, exchange, "a.#")
    channel.queue_unbind(other, exchange, "a.#")
    channel.basic_publish(exchange, "a.b", b"one")
    await_errors(channel)
    assert (get_bodies(channel, queue), get_bodies(channel, other)) == ([b"one"], [])


def matches(pattern: list[str], words: list[str]) -> bool:
    """The rule in its plainest form, to compare with."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(matches(pattern[1:], words[skip:]) for skip in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and matches(pattern[1:], words[1:])


def test_random_patterns_and_keys_agree_with_the_rule(channel: BlockingChannel, names: Names) -> None:
    chance = random.Random(7)
    exchange = declare(channel, names)
    patterns = sorted({".".join(chance.choices(["a", "b", "*", "#"], k=chance.randint(1, 5))) for _ in range(40)})
    patterns = [pattern for pattern in patterns if pattern.split(".").count("#") <= 2]
    keys = sorted({".".join(chance.choices(["a", "b", "c"], k=chance.randint(1, 6))) for _ in range(60)})
    queues = {pattern: names.queue() for pattern in patterns}
    for pattern, queue in queues.items():
        channel.queue_declare(queue)
        channel.queue_bind(queue, exchange, pattern)
    for key in keys:
        channel.basic_publish(exchange, key, key)
    await_errors(channel)
    for pattern, queue in queues.items():
        expected = [key.encode() for key in keys if matches(pattern.split("."), key.split("."))]
        assert get_bodies(channel, queue) == expected, pattern
