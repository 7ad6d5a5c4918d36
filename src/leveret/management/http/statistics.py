"""The statistics of things: what happened to their messages, how fast, and how that was in the past.

`rates_mode` is `basic` or `none`: RabbitMQ's `detailed` mode, which tells them by pairs of a channel and a queue, is
not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from leveret.broker.broker import Broker
from leveret.broker.channel import Channel
from leveret.broker.connection import Connection
from leveret.broker.exchange.base import Exchange
from leveret.broker.queue import Queue
from leveret.broker.vhost import VirtualHost
from leveret.management.history import Range
from leveret.management.http.access import is_monitor
from leveret.management.http.call import Call
from leveret.management.http.errors import bad_request
from leveret.management.http.lists import ABSENT, ListColumns
from leveret.management.rates import DATA, OF_LENGTHS, Thing, added_up

SAMPLED: Final = ("lengths", "msg_rates", "data_rates", "node_stats")
SAMPLES: Final = 500  # of one counter in one answer


def check_ranges(query: Mapping[str, str]) -> None:
    """Refused if more samples are asked for than RabbitMQ gives, or none."""
    for kind in SAMPLED:
        age, step = query.get(f"{kind}_age", ""), query.get(f"{kind}_incr", "")
        if age.isdecimal() and step.isdecimal() and not is_possible(age, step):
            raise bad_request(f"Invalid range parameters: age {age}, incr {step}")


def is_possible(age: str, step: str) -> bool:
    """Whether there can be a sample every so many seconds for such a time."""
    return len(age) < 10 and len(step) < 10 and int(age) > 0 and int(step) > 0 and int(age) // int(step) <= SAMPLES


def of_queues(call: Call) -> ListColumns[Queue]:
    """The columns with the statistics of queues, as a call asks for them."""
    check_ranges(call.query)
    return {
        "idle_since": lambda queue, broker: idle_since(call, queue),
        "message_stats": lambda queue, broker: message_stats(call, queue),
        **{f"{name}_details": details(call, name, call.ranges.lengths) for name in OF_LENGTHS},
    }


def details(call: Call, name: str, asked: Range | None) -> Callable[[Thing, Broker], Any]:
    """The column with the rate of a counter, and its past if that is asked for."""
    rates = call.node.rates
    return lambda thing, broker: rates.detail(thing, name, asked)


def of_channels(call: Call) -> ListColumns[Channel]:
    """The columns with the statistics of channels."""
    check_ranges(call.query)
    return {
        "idle_since": lambda channel, broker: idle_since(call, channel),
        "message_stats": lambda channel, broker: message_stats(call, channel),
    }


def idle_since(call: Call, thing: Queue | Channel) -> object:
    """Since when nothing has happened; absent where that is not known, or something happens."""
    return call.node.rates.idle_since(thing) or ABSENT


def of_connections(call: Call) -> ListColumns[Connection]:
    """The columns with the statistics of connections."""
    check_ranges(call.query)
    return {
        "recv_oct": lambda connection, broker: int(connection.octets.received),
        "send_oct": lambda connection, broker: int(connection.octets.sent),
        "recv_cnt": lambda connection, broker: int(connection.octets.reads),
        "send_cnt": lambda connection, broker: int(connection.octets.sends),
        **{f"{name}_details": details(call, name, call.ranges.data_rates) for name in DATA},
    }


def message_stats(call: Call, thing: Queue | Channel | Exchange | VirtualHost | Broker) -> object:
    """`message_stats`, which are absent where nothing has happened yet, or where nobody wants statistics."""
    if call.without_statistics:
        return ABSENT
    stats = call.node.rates.message_stats(thing, call.ranges)
    return ABSENT if stats is None else stats


def of_vhost(call: Call, vhost: VirtualHost, ready: int, unacked: int) -> dict[str, Any]:
    """All statistics of a virtual host, whose messages have been counted."""
    check_ranges(call.query)
    rates = call.node.rates
    stats = rates.lengths(vhost, ready, unacked, call.ranges) | rates.octets(vhost, call.ranges)
    found = rates.message_stats(vhost, call.ranges)
    return stats if found is None else {**stats, "message_stats": found}


def of_overview(call: Call, vhosts: list[VirtualHost], ready: int, unacked: int) -> dict[str, Any]:
    """The statistics of the broker, or of the virtual hosts that a user may see; their messages have been counted."""
    check_ranges(call.query)
    rates = call.node.rates
    if is_monitor(call.user):
        stats = rates.message_stats(call.broker, call.ranges)
        totals = rates.lengths(call.broker, ready, unacked, call.ranges)
    else:
        parts = [rates.message_stats(vhost, call.ranges) for vhost in vhosts]
        stats = added_up([part for part in parts if part is not None])
        totals = {"messages": ready + unacked, "messages_ready": ready, "messages_unacknowledged": unacked}
    return {"message_stats": stats or {}, "churn_rates": rates.churn(call.ranges), "queue_totals": totals}
