"""One look at everything for Prometheus, in slices between which the broker works.

What is summed up is one pass over all objects. What is told of each object is gathered in one pass, so that the values
of an object agree, and then made into text metric by metric, since Prometheus wants a metric's values together. The
text goes out while it is made, so it is never in memory as a whole. What is kept meanwhile are lists of numbers and of
strings: the garbage collector need not look at them, and so has no cause to look at the whole broker.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from leveret.broker.channel import Channel
from leveret.broker.connection import Connection
from leveret.broker.queue import Queue
from leveret.broker.vhost import VirtualHost
from leveret.management.http.slices import in_chunks, in_slices
from leveret.management.metrics.exposition import (
    CLIENT_VERSION,
    pieces_of,
    text_of,
    text_of_histograms,
    text_of_labels,
)
from leveret.management.metrics.families import (
    CHANNELS,
    CONNECTIONS,
    EXCHANGES,
    NAMED_EXCHANGES,
    NOT_SUMMED,
    QUEUE_INFO,
    QUEUES,
    VHOSTS,
    WITH_QUEUE_INFO,
    Family,
    Located,
)
from leveret.management.metrics.global_counters import GlobalCounters
from leveret.management.metrics.node_metrics import (
    AGGREGATED,
    DETAILED,
    OF_NODE,
    PER_OBJECT,
    Valued,
    alarms,
    identity,
    measured,
    own_gauges,
    totals,
)
from leveret.management.node import Node

Item = TypeVar("Item")

LOOKED_AT_AT_ONCE: Final = 50  # objects, which takes a quarter of a millisecond
PREFIX: Final = "rabbitmq_"
DETAILED_PREFIX: Final = "rabbitmq_detailed_"


class Scraper:
    """What scrapes of a node have in common."""

    def __init__(self, node: Node) -> None:
        self._node: Final = node
        self._global: Final = GlobalCounters(node.broker)

    async def aggregated(self) -> AsyncIterator[bytes]:
        """`/metrics`: sums over all objects."""
        async for piece in self._of_node(AGGREGATED):
            yield piece
        node = self._node
        yield text_of(PREFIX, await summed(QUEUES, queues(node, ())))
        yield text_of(PREFIX, await summed(CHANNELS, channels(node)))
        yield text_of(PREFIX, await summed(CONNECTIONS, connections(node)))
        yield text_of(PREFIX, await summed(EXCHANGES, exchanges(node, ())))

    async def per_object(self) -> AsyncIterator[bytes]:
        """`/metrics/per-object`: the same of each object."""
        async for piece in self._of_node(PER_OBJECT):
            yield piece
        node = self._node
        for pieces in (
            self._of_each(
                [*(family for family in QUEUES if family.summed), QUEUE_INFO], lambda: queues(node, ()), PREFIX
            ),
            self._of_each(CHANNELS, lambda: channels(node), PREFIX),
            self._of_each(CONNECTIONS, lambda: connections(node), PREFIX),
            self._of_each(EXCHANGES, lambda: exchanges(node, ()), PREFIX),
        ):
            async for piece in pieces:
                yield piece

    async def detailed(
        self, families: Sequence[str], in_vhosts: Sequence[str], named: Sequence[str]
    ) -> AsyncIterator[bytes]:
        """`/metrics/detailed`: the families that are asked for, of some virtual hosts and queues alone if so asked."""
        node = self._node
        yield text_of(PREFIX, identity(node, DETAILED, CLIENT_VERSION))
        for name, of_node in OF_NODE.items():
            if name in families:
                yield text_of(DETAILED_PREFIX, of_node(node))
        without_count = "queue_metrics" in families  # which has the same metric
        of_queues = [
            family
            for family in QUEUES
            if family.name in families and not (without_count and family.name == "queue_consumer_count")
        ]
        if not WITH_QUEUE_INFO.isdisjoint(families):
            of_queues.append(QUEUE_INFO)
        for pieces in (
            self._of_each(of_queues, lambda: queues(node, in_vhosts, named)),
            self._of_each(chosen(CHANNELS, families), lambda: channels(node, in_vhosts)),
            self._of_each(chosen(CONNECTIONS, families), lambda: connections(node)),
            self._of_each(chosen(EXCHANGES, families), lambda: exchanges(node, in_vhosts)),
            self._of_each(chosen(NAMED_EXCHANGES, families), lambda: named_exchanges(node, in_vhosts)),
            self._of_each(chosen(VHOSTS, families), lambda: iter(vhosts(node, in_vhosts))),
        ):
            async for piece in pieces:
                yield piece

    async def _of_node(self, endpoint: str) -> AsyncIterator[bytes]:
        node = self._node
        consumers = 0
        async for chunk in in_slices(in_chunks(queues(node, ()), LOOKED_AT_AT_ONCE)):
            consumers += sum([len(queue.consumers) for queue in chunk])
        yield text_of(PREFIX, identity(node, endpoint, CLIENT_VERSION))
        for of_node in OF_NODE.values():
            yield text_of(PREFIX, of_node(node))
        yield text_of(PREFIX, [*alarms(node), *totals(node, consumers)])
        yield text_of(PREFIX, await self._global.valued(consumers))
        yield text_of("", own_gauges(node)) + text_of_histograms(measured(node))

    async def _of_each(
        self, families: Sequence[Family[Item]], items: Callable[[], Iterator[Item]], prefix: str = ""
    ) -> AsyncIterator[bytes]:
        """What families say of each item, with their own prefixes if none is given."""
        broker = self._node.broker
        for family in families:
            labels: list[str] = []
            columns: list[list[int | float | None]] = [[] for _ in family.metrics]
            async for chunk in in_slices(in_chunks(items(), LOOKED_AT_AT_ONCE)):
                labels += [text_of_labels(family.labels(item, broker)) for item in chunk]
                for column, values in zip(columns, zip(*map(family.row, chunk), strict=True), strict=True):
                    column += values
            for description, column in zip(family.metrics, columns, strict=True):
                samples = ((of_it, value) for of_it, value in zip(labels, column, strict=True) if value is not None)
                async for piece in in_slices(pieces_of(prefix or family.prefix, description, samples)):
                    yield piece


async def summed(families: Sequence[Family[Item]], items: Iterable[Item]) -> list[Valued]:
    """The sums over all items; where one has no value there is no sum."""
    families = [family for family in families if family.summed]
    sums: list[list[int | float | None]] = [[0] * len(family.metrics) for family in families]
    async for chunk in in_slices(in_chunks(items, LOOKED_AT_AT_ONCE)):
        for family, sums_there in zip(families, sums, strict=True):
            for at, values in enumerate(zip(*map(family.row, chunk), strict=True)):
                total = sums_there[at]
                sums_there[at] = None if total is None or None in values else total + sum(values)
    return [
        Valued(description, [] if value is None else [({}, value)])
        for family, sums_there in zip(families, sums, strict=True)
        for description, value in zip(family.metrics, sums_there, strict=True)
        if description.name not in NOT_SUMMED
    ]


def chosen(families: Sequence[Family[Item]], names: Sequence[str]) -> list[Family[Item]]:
    """The families of these names."""
    return [family for family in families if family.name in names]


def vhosts(node: Node, names: Sequence[str]) -> list[VirtualHost]:
    """The virtual hosts of these names, or all of them."""
    return [vhost for vhost in node.broker.vhosts.values() if not names or vhost.name in names]


def queues(node: Node, in_vhosts: Sequence[str], named: Sequence[str] = ()) -> Iterator[Queue]:
    """The queues of these virtual hosts, and of these names, if there are any."""
    for vhost in vhosts(node, in_vhosts):
        for queue in list(vhost.queues.values()):
            if not queue.deleted and (not named or queue.name in named):
                yield queue


def exchanges(node: Node, in_vhosts: Sequence[str]) -> Iterator[Located]:
    """The exchanges of these virtual hosts, with the hosts."""
    for vhost in vhosts(node, in_vhosts):
        for exchange in list(vhost.exchanges.values()):
            if not exchange.deleted:
                yield vhost, exchange


def named_exchanges(node: Node, in_vhosts: Sequence[str]) -> Iterator[Located]:
    """Those of the exchanges that clients may bind to and publish to by name, as RabbitMQ lists them."""
    return (place for place in exchanges(node, in_vhosts) if place[1].name and not place[1].internal)


def connections(node: Node) -> Iterator[Connection]:
    """The connections that have logged in."""
    for connection in list(node.broker.connections):
        if connection.vhost is not None and connection in node.broker.connections:
            yield connection


def channels(node: Node, in_vhosts: Sequence[str] = ()) -> Iterator[Channel]:
    """The channels of connections to these virtual hosts."""
    for connection in connections(node):
        if not in_vhosts or connection.vhost_opened().name in in_vhosts:
            for channel in list(connection.channels.values()):
                if not channel.closing:
                    yield channel
