"""The exchange types by their AMQP names."""

from __future__ import annotations

from typing import Final

from leveret.amqp.field_table import Table
from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError
from leveret.broker.exchange.base import DELAYED_MESSAGE, Exchange
from leveret.broker.exchange.consistent_hash import ConsistentHashExchange
from leveret.broker.exchange.deduplicating import DeduplicatingExchange
from leveret.broker.exchange.direct import DirectExchange
from leveret.broker.exchange.fanout import FanoutExchange
from leveret.broker.exchange.headers import HeadersExchange
from leveret.broker.exchange.modulus_hash import ModulusHashExchange
from leveret.broker.exchange.random import LocalRandomExchange, RandomExchange
from leveret.broker.exchange.recent_history import RecentHistoryExchange
from leveret.broker.exchange.topic import TopicExchange

TYPES: Final[dict[str, type[Exchange]]] = {
    "direct": DirectExchange,
    "fanout": FanoutExchange,
    "topic": TopicExchange,
    "headers": HeadersExchange,
    "x-consistent-hash": ConsistentHashExchange,
    "x-local-random": LocalRandomExchange,
    "x-message-deduplication": DeduplicatingExchange,
    "x-modulus-hash": ModulusHashExchange,
    "x-random": RandomExchange,
    "x-recent-history": RecentHistoryExchange,
}


def is_known(type_name: str) -> bool:
    """Whether there are exchanges of this type."""
    return type_name in TYPES or type_name == DELAYED_MESSAGE


def make_exchange(
    type_name: str, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table
) -> Exchange:
    """A new exchange; the caller has checked that `is_known` says yes to `type_name`.

    SoftError 406 if it is x-delayed-message without an argument that says how it routes.
    """
    if type_name != DELAYED_MESSAGE:
        return TYPES[type_name](name, durable, auto_delete, internal, arguments)
    routes_as = arguments.get("x-delayed-type")
    if routes_as is None or not isinstance(routes_as.value, str) or routes_as.value == DELAYED_MESSAGE:
        raise SoftError(PRECONDITION_FAILED, "Invalid argument, 'x-delayed-type' must be an existing exchange type")
    if routes_as.value not in TYPES:
        raise SoftError(PRECONDITION_FAILED, f"unknown exchange type '{routes_as.value}'")
    exchange = TYPES[routes_as.value](name, durable, auto_delete, internal, arguments)
    exchange.type_name = type_name
    exchange.apply({})
    return exchange
