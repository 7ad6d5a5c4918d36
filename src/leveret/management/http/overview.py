"""`/whoami` and `/overview`: who asks, and the broker at one glance."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter, methodcaller
from typing import Any, Final, NamedTuple

from leveret.broker.broker import PRODUCT_VERSION
from leveret.broker.exchange.types import TYPES
from leveret.broker.queue import Queue
from leveret.broker.vhost import VirtualHost
from leveret.management.http.access import is_monitor
from leveret.management.http.call import Call
from leveret.management.http.listeners import contexts, listeners
from leveret.management.http.resource import Resource
from leveret.management.http.slices import in_chunks, in_slices
from leveret.management.http.statistics import of_overview

EXCHANGE_TYPES: Final = {
    "direct": "AMQP direct exchange, as per the AMQP specification",
    "fanout": "AMQP fanout exchange, as per the AMQP specification",
    "headers": "AMQP headers exchange, as per the AMQP specification",
    "topic": "AMQP topic exchange, as per the AMQP specification",
    "x-consistent-hash": "Consistent Hashing Exchange",
    "x-delayed-message": "Delayed Message Exchange.",
    "x-local-random": "Picks one random local binding (queue) to route via (to).",
    "x-modulus-hash": "Modulus Hashing Exchange",
    "x-random": "Randomly picks a binding (queue) to route via (to).",
    "x-recent-history": "Recent History Exchange.",
}
COUNTED_AT_ONCE: Final = 200  # queues, which the processor has at hand while all of them are counted


async def whoami(call: Call) -> object:
    """The user who asks."""
    return {"name": call.user.name, "tags": call.user.tags}


async def overview(call: Call) -> object:
    """Versions, totals and listeners; of totals only what the user may see."""
    broker = call.broker
    vhosts = visible_vhosts(call)
    counted = await counted_queues(chain.from_iterable([list(vhost.queues.values()) for vhost in vhosts]))
    result: dict[str, Any] = {
        "management_version": PRODUCT_VERSION,
        "rates_mode": call.node.http.rates_mode,
        "exchange_types": exchange_types(),
        "product_version": broker.version,
        "product_name": "Leveret",
        "rabbitmq_version": PRODUCT_VERSION,
        "cluster_name": broker.parameters.cluster_name(),
        "erlang_version": platform.python_version(),
        "erlang_full_version": f"Python {platform.python_version()} ({platform.python_implementation()})",
        "release_series_support_status": "supported",
        "disable_stats": call.node.http.without_statistics,
        "is_op_policy_updating_enabled": True,
        "enable_queue_totals": call.node.http.queue_totals,
        **of_overview(call, vhosts, counted.ready, counted.unacked),
        "object_totals": object_totals(call, vhosts, counted.consumers),
        "statistics_db_event_queue": 0,
        "node": broker.node,
    }
    if is_monitor(call.user):
        result["listeners"] = listeners(call.node)
        result["contexts"] = contexts(call.node)
    return result


def visible_vhosts(call: Call) -> list[VirtualHost]:
    """The virtual hosts that count for the user: all for a monitor, else those they have permissions for."""
    return [vhost for vhost in call.broker.vhosts.values() if sees_vhost(call, vhost)]


def sees_vhost(call: Call, vhost: VirtualHost) -> bool:
    """Whether the user may know of a virtual host."""
    return is_monitor(call.user) or call.broker.permissions.find(call.user.name, vhost.name) is not None


def exchange_types() -> list[dict[str, object]]:
    """The exchange types that there are."""
    return [{"name": name, "description": EXCHANGE_TYPES.get(name, ""), "enabled": True} for name in sorted(TYPES)]


def object_totals(call: Call, vhosts: Sequence[VirtualHost], consumers: int) -> dict[str, int]:
    """How much there is of everything; connections and channels are the user's own, unless they may see all."""
    usage = call.broker.usage if is_monitor(call.user) else call.user.usage
    return {
        "channels": int(usage.channels),
        "connections": int(usage.connections),
        "consumers": consumers,
        "exchanges": sum(len(vhost.exchanges) for vhost in vhosts),
        "queues": sum(len(vhost.queues) for vhost in vhosts),
    }


class CountedQueues(NamedTuple):
    """How many messages and consumers some queues have together."""

    ready: int
    unacked: int
    consumers: int


async def counted_queues(queues: Iterable[Queue]) -> CountedQueues:
    """Count what these queues have."""
    ready = unacked = consumers = 0
    async for chunk in in_slices(in_chunks(queues, COUNTED_AT_ONCE)):
        ready += sum(map(methodcaller("ready_count"), chunk))
        unacked += sum(map(attrgetter("unacked"), chunk))
        consumers += sum(map(len, map(attrgetter("consumers"), chunk)))
    return CountedQueues(ready, unacked, consumers)


RESOURCES: Final = (Resource("/whoami", get=whoami), Resource("/overview", get=overview))
