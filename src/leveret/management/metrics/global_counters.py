"""RabbitMQ's `global_*` metrics: what happened to messages since the start, by protocol and type of queue.

What is counted for queues of one type is what all channels counted, less what quorum queues counted. Both are read a
moment apart, between which the broker works, so a counter could seem to fall: it then stays what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from leveret.broker.broker import Broker
from leveret.broker.death_reasons import DELIVERY_LIMIT, EXPIRED, MAXLEN, REJECTED
from leveret.broker.traffic import FIELDS, Traffic
from leveret.management.http.slices import in_slices
from leveret.management.metrics.families import COUNTER, GAUGE, Description
from leveret.management.metrics.node_metrics import AMQP, Valued
from leveret.management.rates import traffic_of

CLASSIC: Final = {"queue_type": "rabbit_classic_queue"}
QUORUM: Final = {"queue_type": "rabbit_quorum_queue"}

BY_TYPE: Final = (
    ("acknowledged", ("ack",), "Total number of messages acknowledged by consumers"),
    (
        "delivered_consume_auto_ack",
        ("deliver_no_ack",),
        "Total number of messages delivered to consumers using basic.consume with automatic acknowledgment",
    ),
    (
        "delivered_consume_manual_ack",
        ("deliver",),
        "Total number of messages delivered to consumers using basic.consume with manual acknowledgment",
    ),
    (
        "delivered_get_auto_ack",
        ("get_no_ack",),
        "Total number of messages delivered to consumers using basic.get with automatic acknowledgment",
    ),
    (
        "delivered_get_manual_ack",
        ("get",),
        "Total number of messages delivered to consumers using basic.get with manual acknowledgment",
    ),
    (
        "delivered",
        ("deliver", "deliver_no_ack", "get", "get_no_ack"),
        "Total number of messages delivered to consumers",
    ),
    ("get_empty", ("get_empty",), "Total number of times basic.get operations fetched no message"),
    ("redelivered", ("redeliver",), "Total number of messages redelivered to consumers"),
)
OF_CHANNELS: Final = (
    ("confirmed", "confirm", "Total number of messages confirmed to publishers"),
    ("received", "publish", "Total number of messages received from publishers"),
    (
        "unroutable_dropped",
        "drop_unroutable",
        "Total number of messages published as non-mandatory into an exchange and dropped as unroutable",
    ),
    (
        "unroutable_returned",
        "return_unroutable",
        "Total number of messages published as mandatory into an exchange and returned to the publisher as unroutable",
    ),
)
DEATHS: Final = (
    ("expired", EXPIRED, "Total number of messages dead-lettered due to message TTL exceeded"),
    ("maxlen", MAXLEN, "Total number of messages dead-lettered due to overflow drop-head or reject-publish-dlx"),
    ("rejected", REJECTED, "Total number of messages dead-lettered due to basic.reject or basic.nack"),
    (
        "delivery_limit",
        DELIVERY_LIMIT,
        "Total number of messages dead-lettered due to delivery-limit exceeded",
    ),
)


class GlobalCounters:
    """The counters as they were told last, so that none falls."""

    def __init__(self, broker: Broker) -> None:
        self._broker: Final = broker
        self._told: Final[dict[tuple[str, str], int]] = {}

    async def valued(self, consumers: int) -> list[Valued]:
        """All of them as they are now; `consumers` have been counted."""
        broker = self._broker
        of_quorum = await self._of_quorum_queues()
        routed = int(broker.churn.routed)
        places = [exchange for vhost in broker.vhosts.values() for exchange in vhost.exchanges.values()]
        async for exchange in in_slices(places):
            routed += int(exchange.publish_out)
        publishers = awaited = 0
        async for connection in in_slices(list(broker.connections)):
            for channel in connection.channels.values():
                if not channel.closing:
                    channel.gather_traffic()
                    publishers += channel.traffic.publish > 0
                    awaited += int(channel.publish_tag)
        awaited += int(broker.churn.awaited_confirms)
        of_all = dict(zip(FIELDS, traffic_of(broker), strict=False))
        return [
            *self._by_type(of_all, of_quorum),
            *(self._counter(name, text, of_all[field]) for name, field, text in OF_CHANNELS),
            self._counter(
                "received_confirm",
                "Total number of messages received from publishers expecting confirmations",
                awaited,
            ),
            self._counter("routed", "Total number of messages routed to queues or streams", routed),
            *self._dead_lettered(),
            Valued(Description("global_publishers", GAUGE, "Current number of publishers"), [(AMQP, publishers)]),
            Valued(Description("global_consumers", GAUGE, "Current number of consumers"), [(AMQP, consumers)]),
        ]

    async def _of_quorum_queues(self) -> dict[str, int]:
        total = Traffic()
        self._broker.churn.of_quorum_queues.pour_into(total, Traffic())
        queues = [queue for vhost in self._broker.vhosts.values() for queue in vhost.queues.values() if queue.is_quorum]
        async for queue in in_slices(queues):
            queue.traffic.pour_into(total, Traffic())
        return dict(zip(FIELDS, total.values(), strict=True))

    def _by_type(self, of_all: Mapping[str, int], of_quorum: Mapping[str, int]) -> list[Valued]:
        result = []
        for name, fields, text in BY_TYPE:
            quorum = sum(of_quorum[field] for field in fields)
            others = sum(of_all[field] for field in fields) - quorum
            samples = [
                ({**AMQP, **CLASSIC}, self._risen(name, "classic", others)),
                ({**AMQP, **QUORUM}, self._risen(name, "quorum", quorum)),
            ]
            result.append(Valued(described(name, text), samples))
        return result

    def _counter(self, name: str, text: str, value: int) -> Valued:
        return Valued(described(name, text), [(AMQP, self._risen(name, "", value))])

    def _dead_lettered(self) -> list[Valued]:
        counts = self._broker.churn.dead_lettered
        strategy = {"dead_letter_strategy": "at_most_once"}
        result = []
        for name, reason, text in DEATHS:
            samples = [({**QUORUM, **strategy}, counts.get((reason, True), 0))]
            if reason != DELIVERY_LIMIT:
                samples.append(({**CLASSIC, **strategy}, counts.get((reason, False), 0)))
            result.append(Valued(described(f"dead_lettered_{name}", text), samples))
        return result

    def _risen(self, name: str, queue_type: str, value: int) -> int:
        told = self._told[name, queue_type] = max(value, self._told.get((name, queue_type), 0))
        return told


def described(name: str, text: str) -> Description:
    """A counter of messages."""
    return Description(f"global_messages_{name}_total", COUNTER, text)
