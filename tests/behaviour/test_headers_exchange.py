"""Routing by headers exchanges: x-match all and any, with and without the headers that begin with `x-`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from pika.compat import long

from tests.behaviour.conftest import Names
from tests.behaviour.expectations import await_errors, channel_closed, get_bodies

Table = dict[str, Any]


@pytest.fixture
def exchange(channel: BlockingChannel, names: Names) -> str:
    name = names.exchange()
    channel.exchange_declare(name, "headers")
    return name


def routed(channel: BlockingChannel, exchange: str, queue: str, headers: Table | None) -> bool:
    """Whether a message with these headers reaches the queue."""
    channel.basic_publish(exchange, "ignored", b"", BasicProperties(headers=headers))
    await_errors(channel)
    return bool(get_bodies(channel, queue))


# (binding arguments, headers, whether they match)
CASES: list[tuple[Table, Table | None, bool]] = [
    ({"x-match": "all", "a": 1, "b": "two"}, {"a": 1, "b": "two"}, True),
    ({"x-match": "all", "a": 1, "b": "two"}, {"a": 1, "b": "two", "c": 3}, True),
    ({"x-match": "all", "a": 1, "b": "two"}, {"a": 1}, False),
    ({"x-match": "all", "a": 1, "b": "two"}, {"a": 1, "b": "three"}, False),
    ({"x-match": "all", "a": 1, "b": "two"}, {}, False),
    ({"x-match": "all", "a": 1, "b": "two"}, None, False),
    ({"x-match": "any", "a": 1, "b": "two"}, {"a": 1}, True),
    ({"x-match": "any", "a": 1, "b": "two"}, {"b": "two", "a": 5}, True),
    ({"x-match": "any", "a": 1, "b": "two"}, {"a": 1, "b": "two"}, True),
    ({"x-match": "any", "a": 1, "b": "two"}, {"a": 2, "b": "one"}, False),
    ({"x-match": "any", "a": 1, "b": "two"}, {"c": 1}, False),
    ({"x-match": "any", "a": 1, "b": "two"}, None, False),
    # without x-match it is all
    ({"a": 1, "b": "two"}, {"a": 1, "b": "two"}, True),
    ({"a": 1, "b": "two"}, {"a": 1}, False),
    # all of nothing matches everything, any of nothing matches nothing
    ({"x-match": "all"}, {}, True),
    ({"x-match": "all"}, None, True),
    ({"x-match": "all"}, {"a": 1}, True),
    ({}, {"a": 1}, True),
    ({"x-match": "any"}, {}, False),
    ({"x-match": "any"}, {"a": 1}, False),
    # a binding value of void asks for presence only
    ({"x-match": "all", "a": None}, {"a": 1}, True),
    ({"x-match": "all", "a": None}, {"a": "text"}, True),
    ({"x-match": "all", "a": None}, {"a": None}, True),
    ({"x-match": "all", "a": None}, {"b": 1}, False),
    ({"x-match": "any", "a": None}, {"a": 5}, True),
    # headers that begin with x- do not count
    ({"x-match": "all", "a": 1, "x-b": 2}, {"a": 1}, True),
    ({"x-match": "all", "a": 1, "x-b": 2}, {"a": 1, "x-b": 3}, True),
    ({"x-match": "all", "x-b": 2}, {}, True),
    ({"x-match": "any", "x-b": 2}, {"x-b": 2}, False),
    # names are compared exactly
    ({"x-match": "all", "Name": 1}, {"name": 1}, False),
    # values are compared with their kind: a string is no number, an empty string no absent header
    ({"x-match": "all", "a": 1}, {"a": "1"}, False),
    ({"x-match": "all", "a": "1"}, {"a": 1}, False),
    ({"x-match": "all", "a": True}, {"a": 1}, False),
    ({"x-match": "all", "a": ""}, {"a": ""}, True),
    ({"x-match": "all", "a": ""}, {}, False),
    ({"x-match": "all", "a": True}, {"a": True}, True),
    ({"x-match": "all", "a": True}, {"a": False}, False),
    ({"x-match": "all", "a": 2**40}, {"a": 2**40}, True),
    ({"x-match": "all", "a": -5}, {"a": -5}, True),
    ({"x-match": "all", "a": "ünïcode"}, {"a": "ünïcode"}, True),
    ({"x-match": "all", "a": Decimal("1.5")}, {"a": Decimal("1.5")}, True),
    ({"x-match": "all", "a": [1, "b"]}, {"a": [1, "b"]}, True),
    ({"x-match": "all", "a": [1, "b"]}, {"a": ["b", 1]}, False),
    ({"x-match": "all", "a": {"b": 1}}, {"a": {"b": 1}}, True),
    ({"x-match": "all", "a": {"b": 1}}, {"a": {"b": 2}}, False),
]


@pytest.mark.parametrize(("arguments", "headers", "expected"), CASES)
def test_match(
    channel: BlockingChannel,
    exchange: str,
    queue: str,
    arguments: Table,
    headers: Table | None,
    expected: bool,
) -> None:
    channel.queue_bind(queue, exchange, "", arguments)
    assert routed(channel, exchange, queue, headers) is expected


def test_a_timestamp_is_compared_by_its_seconds(channel: BlockingChannel, exchange: str, queue: str) -> None:
    moment = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
    channel.queue_bind(queue, exchange, "", {"x-match": "all", "at": moment})
    assert routed(channel, exchange, queue, {"at": moment})
    assert not routed(channel, exchange, queue, {"at": moment.replace(minute=31)})


def test_numbers_of_other_widths_are_equal(channel: BlockingChannel, exchange: str, queue: str) -> None:
    channel.queue_bind(queue, exchange, "", {"x-match": "all", "a": 5})
    assert routed(channel, exchange, queue, {"a": long(5)})
    assert not routed(channel, exchange, queue, {"a": long(2**32 + 5)})


X_CASES: list[tuple[Table, Table, bool]] = [
    ({"x-match": "all-with-x", "a": 1, "x-b": 2}, {"a": 1, "x-b": 2}, True),
    ({"x-match": "all-with-x", "a": 1, "x-b": 2}, {"a": 1}, False),
    ({"x-match": "all-with-x", "a": 1, "x-b": 2}, {"a": 1, "x-b": 3}, False),
    ({"x-match": "all-with-x", "x-b": None}, {"x-b": 3}, True),
    ({"x-match": "all-with-x"}, {}, True),
    ({"x-match": "any-with-x", "a": 1, "x-b": 2}, {"x-b": 2}, True),
    ({"x-match": "any-with-x", "a": 1, "x-b": 2}, {"a": 1}, True),
    ({"x-match": "any-with-x", "a": 1, "x-b": 2}, {"a": 2, "x-b": 1}, False),
    ({"x-match": "any-with-x"}, {"a": 1}, False),
]


@pytest.mark.parametrize(("arguments", "headers", "expected"), X_CASES)
def test_match_with_x(
    channel: BlockingChannel, exchange: str, queue: str, arguments: Table, headers: Table, expected: bool
) -> None:
    channel.queue_bind(queue, exchange, "", arguments)
    assert routed(channel, exchange, queue, headers) is expected


def test_the_routing_key_does_not_matter(channel: BlockingChannel, exchange: str, queue: str) -> None:
    channel.queue_bind(queue, exchange, "some key", {"x-match": "all", "a": 1})
    assert routed(channel, exchange, queue, {"a": 1})


def test_several_bindings_give_one_copy(channel: BlockingChannel, exchange: str, queue: str) -> None:
    channel.queue_bind(queue, exchange, "", {"x-match": "any", "a": 1})
    channel.queue_bind(queue, exchange, "", {"x-match": "all", "b": 2})
    channel.basic_publish(exchange, "", b"once", BasicProperties(headers={"a": 1, "b": 2}))
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"once"]


def test_unbinding_names_the_arguments(channel: BlockingChannel, exchange: str, queue: str) -> None:
    channel.queue_bind(queue, exchange, "", {"x-match": "all", "a": 1})
    channel.queue_unbind(queue, exchange, "", {"x-match": "all", "a": 2})
    channel.queue_unbind(queue, exchange, "")
    assert routed(channel, exchange, queue, {"a": 1})
    channel.queue_unbind(queue, exchange, "", {"x-match": "all", "a": 1})
    assert not routed(channel, exchange, queue, {"a": 1})


def test_a_wrong_x_match_is_refused(channel: BlockingChannel, exchange: str, queue: str) -> None:
    text = 'PRECONDITION_FAILED - Invalid x-match field value <<"most">>; expected all, any, all-with-x, or any-with-x'
    with channel_closed(406, text):
        channel.queue_bind(queue, exchange, "", {"x-match": "most"})


def test_an_x_match_that_is_no_string_is_refused(channel: BlockingChannel, exchange: str, queue: str) -> None:
    text = "PRECONDITION_FAILED - Invalid x-match field type signedint (value 1); expected longstr"
    with channel_closed(406, text):
        channel.queue_bind(queue, exchange, "", {"x-match": 1})
