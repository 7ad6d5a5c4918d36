"""Counters of what happens to messages, under the names of RabbitMQ's `message_stats`.

They only ever rise. Counting must cost next to nothing: a message adds to its channel, its exchange and its queue, or a
run of deliveries does so once. What a virtual host has is gathered from its channels when somebody asks, and when a
channel ends (`pour_into`), so that nothing is lost and nothing counted twice.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from mypy_extensions import i64

FIELDS: Final = (
    "publish",
    "confirm",
    "return_unroutable",
    "drop_unroutable",
    "deliver",
    "deliver_no_ack",
    "get",
    "get_no_ack",
    "get_empty",
    "ack",
    "redeliver",
)


SIZE_BOUNDS: Final = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000, 100_000_000)


class Traffic:
    """What happened to the messages of a channel, a queue or a virtual host.

    What a queue was published is counted by its positions (`Queue.published`).
    """

    def __init__(self) -> None:
        self.publish: i64 = 0
        self.confirm: i64 = 0
        self.return_unroutable: i64 = 0
        self.drop_unroutable: i64 = 0
        self.deliver: i64 = 0  # to be acknowledged
        self.deliver_no_ack: i64 = 0
        self.get: i64 = 0  # to be acknowledged
        self.get_no_ack: i64 = 0
        self.get_empty: i64 = 0
        self.ack: i64 = 0
        self.redeliver: i64 = 0  # those of the deliveries and gets that were not the first

    def values(self) -> tuple[int, ...]:
        """The counters in the order of FIELDS."""
        return (
            int(self.publish),
            int(self.confirm),
            int(self.return_unroutable),
            int(self.drop_unroutable),
            int(self.deliver),
            int(self.deliver_no_ack),
            int(self.get),
            int(self.get_no_ack),
            int(self.get_empty),
            int(self.ack),
            int(self.redeliver),
        )

    def pour_into(self, total: Traffic, poured: Traffic) -> None:
        """Add to a total what came up since the last time; `poured` remembers what has been added."""
        total.publish += self.publish - poured.publish
        total.confirm += self.confirm - poured.confirm
        total.return_unroutable += self.return_unroutable - poured.return_unroutable
        total.drop_unroutable += self.drop_unroutable - poured.drop_unroutable
        total.deliver += self.deliver - poured.deliver
        total.deliver_no_ack += self.deliver_no_ack - poured.deliver_no_ack
        total.get += self.get - poured.get
        total.get_no_ack += self.get_no_ack - poured.get_no_ack
        total.get_empty += self.get_empty - poured.get_empty
        total.ack += self.ack - poured.ack
        total.redeliver += self.redeliver - poured.redeliver
        poured.publish = self.publish
        poured.confirm = self.confirm
        poured.return_unroutable = self.return_unroutable
        poured.drop_unroutable = self.drop_unroutable
        poured.deliver = self.deliver
        poured.deliver_no_ack = self.deliver_no_ack
        poured.get = self.get
        poured.get_no_ack = self.get_no_ack
        poured.get_empty = self.get_empty
        poured.ack = self.ack
        poured.redeliver = self.redeliver


def count_deliveries(queue: Traffic, channel: Traffic, no_ack: bool, count: i64) -> None:
    """So many messages of a queue went to a consumer of a channel."""
    if no_ack:
        queue.deliver_no_ack += count
        channel.deliver_no_ack += count
    else:
        queue.deliver += count
        channel.deliver += count


class MessageSizes:
    """How large the messages were that clients have published: octets of their bodies, by RabbitMQ's bounds.

    Counters of their own for what is usual spare each message a walk through a list.
    """

    def __init__(self) -> None:
        self.octets: i64 = 0
        self._up_to_100: i64 = 0
        self._up_to_1_000: i64 = 0
        self._up_to_10_000: i64 = 0
        self._larger: Final = [0] * (len(SIZE_BOUNDS) + 1)

    def add(self, size: i64) -> None:
        """Count a message."""
        self.octets += size
        if size <= 100:
            self._up_to_100 += 1
        elif size <= 1_000:
            self._up_to_1_000 += 1
        elif size <= 10_000:
            self._up_to_10_000 += 1
        else:
            self._larger[bisect_left(SIZE_BOUNDS, int(size))] += 1

    def counts(self) -> list[int]:
        """How many messages each bound has that are larger than the bound before; at last those above all bounds."""
        return [int(self._up_to_100), int(self._up_to_1_000), int(self._up_to_10_000), *self._larger[3:]]


class Octets:
    """What came from the sockets of a connection, or of a virtual host's connections, and went to them."""

    def __init__(self) -> None:
        self.received: i64 = 0
        self.reads: i64 = 0
        self.sent: i64 = 0
        self.sends: i64 = 0

    def came(self, size: i64) -> None:
        """So much came with one read, or nothing, if none was made."""
        self.received += size
        if size:
            self.reads += 1

    def pour_into(self, total: Octets, poured: Octets) -> None:
        """As `Traffic.pour_into`."""
        total.received += self.received - poured.received
        total.reads += self.reads - poured.reads
        total.sent += self.sent - poured.sent
        total.sends += self.sends - poured.sends
        poured.received, poured.reads, poured.sent, poured.sends = self.received, self.reads, self.sent, self.sends


class Churn:
    """How many connections, channels and queues have come and gone, under RabbitMQ's names, and what went with them."""

    def __init__(self) -> None:
        self.connection_created: i64 = 0
        self.connection_closed: i64 = 0
        self.channel_created: i64 = 0
        self.channel_closed: i64 = 0
        self.queue_declared: i64 = 0  # also those that were there
        self.queue_created: i64 = 0
        self.queue_deleted: i64 = 0
        self.awaited_confirms: i64 = 0  # publishes on confirming channels that have ended
        self.routed: i64 = 0  # messages that exchanges which are gone led to queues
        self.of_quorum_queues: Final = Traffic()  # of those that were deleted
        self.dead_lettered: Final[dict[tuple[str, bool], int]] = {}  # by reason, and whether the queue is quorum

    def queue_is_gone(self, traffic: Traffic, is_quorum: bool) -> None:
        """A queue was deleted."""
        self.queue_deleted += 1
        if is_quorum:
            traffic.pour_into(self.of_quorum_queues, Traffic())

    def channels(self, more: i64) -> None:
        """So many channels have come, or have gone if they are less than none."""
        if more > 0:
            self.channel_created += more
        else:
            self.channel_closed -= more
