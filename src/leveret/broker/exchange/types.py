"""The exchange types by their AMQP names."""

from __future__ import annotations

from typing import Final

from leveret.amqp.field_table import Table
from leveret.broker.exchange.base import Exchange
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


def make_exchange(
    type_name: str, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table
) -> Exchange:
    """A new exchange; the caller has checked that `type_name` is in TYPES."""
    return TYPES[type_name](name, durable, auto_delete, internal, arguments)
