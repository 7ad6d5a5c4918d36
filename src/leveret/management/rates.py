"""Message rates: how fast the counters of `broker.traffic` rise, and a short history of them for charts.

Every five seconds all counters are looked at, in slices, between which the broker works; so the cost depends on how
much there is, and not on the traffic. It is done as long as somebody asks for rates, and costs nothing otherwise: the
first who asks is told rates of 0.0, as by a RabbitMQ that has just started.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

from leveret.broker.broker import Broker
from leveret.broker.channel import Channel
from leveret.broker.connection import Connection
from leveret.broker.exchange.base import Exchange
from leveret.broker.queue import Queue
from leveret.broker.traffic import FIELDS, Octets
from leveret.broker.vhost import VirtualHost
from leveret.management.history import OF_NODES, SECOND, SHORT, History, Range, Ranges, asked_ranges
from leveret.management.http.slices import in_chunks, in_slices

INTERVAL: Final = 5.0  # seconds, RabbitMQ's collect_statistics_interval
FIRST_INTERVAL: Final = 1.0  # so that whoever begins to ask soon has rates
NOBODY_ASKS: Final = 600.0  # seconds until it stops

DATA: Final = ("recv_oct", "send_oct")
OF_EXCHANGES: Final = ("publish_in", "publish_out")
CHURN: Final = (
    "connection_created",
    "connection_closed",
    "channel_created",
    "channel_closed",
    "queue_declared",
    "queue_created",
    "queue_deleted",
)
FIRST_DELIVERY: Final = FIELDS.index("deliver")
BEHIND_GETS: Final = FIELDS.index("get_no_ack") + 1
# What is sampled of each thing; sums stand behind their parts, and are sampled too.
OF_TRAFFIC: Final = (*FIELDS, "deliver_get")
OF_LENGTHS: Final = ("messages_ready", "messages_unacknowledged", "messages")
TRAFFIC_OF_QUEUES: Final = ("publish", *OF_TRAFFIC[FIRST_DELIVERY:])  # what is between them is of channels
OF_QUEUES: Final = (*TRAFFIC_OF_QUEUES, *OF_LENGTHS)
OF_VHOSTS: Final = (*OF_TRAFFIC, *OF_LENGTHS, *DATA)
OF_BROKERS: Final = (*OF_TRAFFIC, *OF_LENGTHS, *CHURN)
LOOKED_AT_AT_ONCE: Final = 100  # queues, which takes a quarter of a millisecond

Thing: TypeAlias = Broker | VirtualHost | Queue | Exchange | Connection | Channel
Query: TypeAlias = Mapping[str, str]
Stats: TypeAlias = dict[str, Any]


class Rates:
    """The rates of one broker. `interval` and `first_interval` are seconds between two rounds."""

    def __init__(
        self, broker: Broker, interval: float | None = INTERVAL, first_interval: float = FIRST_INTERVAL
    ) -> None:
        """Without an interval there are no samples: counters are told, and rates of 0.0."""
        self._broker: Final = broker
        self._interval: Final = interval
        self._first_interval: Final = first_interval
        self._histories: Final[dict[Thing, History]] = {}
        self._task: asyncio.Task[None] | None = None
        self._asked_at = 0.0
        self._time = 0  # of the round that is being made, and of the one before
        self._time_before = 0
        self._seen = 0  # how many things in this round
        self.rounds = 0  # how many were made

    # what is asked for

    def asked(self, query: Query) -> Ranges:
        """What a request asks for. Somebody asks, so rounds are made from now on, or go on."""
        if self._interval is not None:
            loop = asyncio.get_running_loop()
            self._asked_at = loop.time()
            if self._task is None:
                self._task = loop.create_task(self._make_rounds(self._interval))
        return asked_ranges(query)

    def message_stats(self, thing: Broker | VirtualHost | Queue | Exchange | Channel, ranges: Ranges) -> Stats | None:
        """`message_stats`, None if nothing has happened to messages there."""
        if isinstance(thing, Queue):
            names, values = TRAFFIC_OF_QUEUES, traffic_of_queue(thing)
        elif isinstance(thing, Exchange):
            names, values = OF_EXCHANGES, publishes_of(thing)
        else:
            names, values = OF_TRAFFIC, traffic_of(thing)
        return self._with_details(thing, names, values, ranges.msg_rates) if any(values) else None

    def lengths(self, thing: Broker | VirtualHost | Queue, ready: int, unacked: int, ranges: Ranges) -> Stats:
        """`messages`, `messages_ready` and `messages_unacknowledged`, which the caller has counted."""
        return self._with_details(thing, OF_LENGTHS, (ready, unacked, ready + unacked), ranges.lengths)

    def detail(self, thing: Thing, name: str, asked: Range | None) -> Stats:
        """What stands in `<name>_details` alone."""
        history = self._histories.get(thing)
        if asked is None:
            return {"rate": 0.0 if history is None else history.rate(name)}
        return (history or History(names_of(thing))).details((name,), milliseconds(), asked)[0]

    def octets(self, thing: Connection | VirtualHost, ranges: Ranges) -> Stats:
        """`recv_oct` and `send_oct` with their details."""
        return self._with_details(thing, DATA, octets_of(thing.octets), ranges.data_rates)

    def churn(self, ranges: Ranges) -> Stats:
        """`churn_rates` of the broker."""
        return self._with_details(self._broker, CHURN, churn_of(self._broker), ranges.msg_rates)

    def idle_since(self, thing: Queue | Channel) -> str | None:
        """Since when nothing has happened to the messages there, None if that is not known."""
        history = self._histories.get(thing)
        return None if history is None or history.changed_at >= self._time else written(history.changed_at)

    def _with_details(self, thing: Thing, names: Sequence[str], values: Sequence[int], asked: Range | None) -> Stats:
        stats: Stats = {}
        history = self._histories.get(thing) or History(names_of(thing))
        found = history.details(names, milliseconds(), asked)
        for name, value, details in zip(names, values, found, strict=True):
            stats[name] = value
            stats[f"{name}_details"] = details
        return stats

    # the rounds

    async def close(self) -> None:
        """Make no more rounds."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def forget(self) -> None:
        """Forget the past, as `DELETE /api/reset` wants it. Counters stay."""
        self._histories.clear()
        self._time = 0

    async def _make_rounds(self, interval: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        wait = self._first_interval
        try:
            while loop.time() - self._asked_at < NOBODY_ASKS:
                await self.make_round()
                due = max(due + wait, loop.time())
                await asyncio.sleep(due - loop.time())
                wait = interval
        finally:
            self._task = None
            self.forget()

    async def make_round(self) -> None:
        """Look at everything once."""
        self._time_before, self._time = self._time, milliseconds()
        self.rounds += 1
        self._seen = 0
        broker = self._broker
        async for connection in in_slices(list(broker.connections)):
            if connection in broker.connections and connection.vhost is not None:
                self._look_at_connection(connection)
        lengths = (0, 0, 0)
        for vhost in list(broker.vhosts.values()):
            lengths_there = await self._look_at_vhost(vhost)
            lengths = (lengths[0] + lengths_there[0], lengths[1] + lengths_there[1], lengths[2] + lengths_there[2])
        self._note(broker, (*traffic_of(broker), *lengths, *churn_of(broker)))
        if self._seen != len(self._histories):
            async for thing, history in in_slices(list(self._histories.items())):
                if history.seen != self.rounds:
                    self._histories.pop(thing, None)

    def _look_at_connection(self, connection: Connection) -> None:
        connection.gather_octets()
        self._note(connection, octets_of(connection.octets))
        for channel in connection.channels.values():
            if not channel.closing:
                channel.gather_traffic()
                self._note(channel, traffic_of(channel))

    async def _look_at_vhost(self, vhost: VirtualHost) -> tuple[int, int, int]:
        """Gives how many messages its queues have ready, unacknowledged, and together."""
        async for exchange in in_slices(list(vhost.exchanges.values())):
            if exchange.publish_in and not exchange.deleted:
                self._note(exchange, publishes_of(exchange))
        ready = unacked = 0
        async for chunk in in_slices(in_chunks(list(vhost.queues.values()), LOOKED_AT_AT_ONCE)):
            for queue in chunk:
                if not queue.deleted:
                    ready_there, unacked_there = queue.ready_count(), int(queue.unacked)
                    ready += ready_there
                    unacked += unacked_there
                    self._note(queue, sample_of(queue, ready_there, unacked_there))
        lengths = (ready, unacked, ready + unacked)
        self._note(vhost, (*traffic_of(vhost), *lengths, *octets_of(vhost.octets)))
        return lengths

    def _note(self, thing: Thing, values: tuple[int, ...]) -> None:
        history = self._histories.get(thing)
        if history is None:
            distances = OF_NODES if isinstance(thing, (Broker, VirtualHost)) else SHORT
            history = self._histories[thing] = History(names_of(thing), distances)
            if self._time_before and not isinstance(thing, (Broker, VirtualHost)):
                history.add(self._time_before, (0,) * len(values))  # it is new: what it has came up since then
        history.seen = self.rounds
        self._seen += 1
        history.add(self._time, values)


def names_of(thing: Thing) -> tuple[str, ...]:
    """What is sampled of a thing."""
    if isinstance(thing, Queue):
        return OF_QUEUES
    if isinstance(thing, Channel):
        return OF_TRAFFIC
    if isinstance(thing, Connection):
        return DATA
    if isinstance(thing, Exchange):
        return OF_EXCHANGES
    return OF_VHOSTS if isinstance(thing, VirtualHost) else OF_BROKERS


def traffic_of(thing: Broker | VirtualHost | Channel) -> tuple[int, ...]:
    """The counters of OF_TRAFFIC. Those of a virtual host are as they were gathered last."""
    if isinstance(thing, Broker):
        parts = [vhost.traffic.values() for vhost in thing.vhosts.values()]
        counters: tuple[int, ...] = tuple(map(sum, zip(thing.former_traffic.values(), *parts, strict=True)))
    else:
        counters = thing.traffic.values()
    return (*counters, sum(counters[FIRST_DELIVERY:BEHIND_GETS]))


def traffic_of_queue(queue: Queue) -> tuple[int, ...]:
    """The counters of TRAFFIC_OF_QUEUES."""
    counters = queue.traffic.values()
    return (queue.published(), *counters[FIRST_DELIVERY:], sum(counters[FIRST_DELIVERY:BEHIND_GETS]))


def sample_of(queue: Queue, ready: int, unacked: int) -> tuple[int, ...]:
    """The counters of OF_QUEUES."""
    return (*traffic_of_queue(queue), ready, unacked, ready + unacked)


def publishes_of(exchange: Exchange) -> tuple[int, int]:
    """The counters of OF_EXCHANGES."""
    return int(exchange.publish_in), int(exchange.publish_out)


def octets_of(octets: Octets) -> tuple[int, int]:
    """The counters of DATA."""
    return int(octets.received), int(octets.sent)


def churn_of(broker: Broker) -> tuple[int, ...]:
    """The counters of CHURN."""
    return tuple(int(getattr(broker.churn, name)) for name in CHURN)


@lru_cache
def written(time: int) -> str:
    """A time in milliseconds as RabbitMQ writes it. Much has been idle since the same round."""
    return datetime.fromtimestamp(time / SECOND, UTC).isoformat(timespec="milliseconds")


def milliseconds() -> int:
    """The time since 1970."""
    return int(time.time() * 1000)


def added_up(parts: Sequence[Stats]) -> Stats:
    """The statistics of several things as those of one; samples have the same times in all of them."""
    total: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            there = total.get(name)
            if there is None or name == "timestamp":
                total[name] = value
            elif isinstance(value, dict):
                total[name] = added_up([there, value])
            elif isinstance(value, list):
                total[name] = [added_up(pair) for pair in zip(there, value, strict=False)]
            else:
                total[name] = there + value
    return total
