"""The broker: everything that connections share, and the tick.

The owner feeds the connections whatever arrived, then calls `end_tick`: queues deliver, confirms go out, and
`dirty` lists the connections that have output to take. Nothing is delivered or confirmed in between, so a tick's
work is done in runs.

Clocks and randomness come from outside, so that a test can hold them still.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from typing import Final

from leveret.amqp.field_table import Table, table_from_python
from leveret.broker.alarms import Alarms
from leveret.broker.channel import Channel
from leveret.broker.connection import Connection
from leveret.broker.durability import Store
from leveret.broker.limits import NodeLimits, Usage
from leveret.broker.mechanisms import DEFAULT_MECHANISMS
from leveret.broker.queue import Queue
from leveret.broker.redeclaring import STRICT
from leveret.broker.timers import Timers
from leveret.broker.users import Users
from leveret.broker.vhost import VirtualHost

log: Final = logging.getLogger("leveret.broker")

# kombu and others choose their ways by product and version: these are the behaviours we follow
PRODUCT: Final = "RabbitMQ"
PRODUCT_VERSION: Final = "4.3.5"
CAPABILITIES: Final = (
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
)


class Broker:
    """All state of one broker."""

    def __init__(
        self,
        version: str,
        node: str,
        wall_clock: Callable[[], float],
        random_octets: Callable[[int], bytes],
        store: Store | None = None,
        limits: NodeLimits | None = None,
        redeclare: str = STRICT,
    ) -> None:
        self.store: Final = Store() if store is None else store
        self.version: Final = version
        self.node: Final = node
        self.wall_clock: Final = wall_clock
        self.random_octets: Final = random_octets
        self.started_at: Final = wall_clock()
        self.timers: Final = Timers(wall_clock)
        self.users: Final = Users()
        self.mechanisms: tuple[str, ...] = DEFAULT_MECHANISMS  # by which clients may log in, in order of preference
        self.limits: Final = NodeLimits() if limits is None else limits
        self.redeclare: Final = redeclare  # how strictly redeclares are compared
        self.usage: Final = Usage()
        self.touched: Final[list[Queue]] = []  # queues that may have something to deliver
        self.confirming: Final[list[Channel]] = []  # channels that owe confirms
        self.dirty: list[Connection] = []  # connections with output
        self.connections: Final[dict[Connection, None]] = {}
        self.alarms: Final = Alarms()
        self.vhosts: Final = {"/": VirtualHost("/", self.touched, self.store, self.timers)}
        self.server_properties: Final = server_properties(version, node)

    def connect(self, peer: str, local: str, from_loopback: bool) -> Connection:
        """A client connected. Addresses are `host:port`."""
        connection = Connection(self, peer, local, from_loopback)
        self.connections[connection] = None
        return connection

    def end_tick(self) -> None:
        """Deliver and confirm. Queues that stop because of a full output are touched again when it drains.

        Queues that are touched meanwhile, because a dead letter came or much is to be dropped, are left in `touched`:
        another tick is due.
        """
        touched = self.touched
        due = touched.copy()
        touched.clear()  # who is touched from here on has its turn in the next tick, behind what clients sent meanwhile
        for queue in due:
            try:
                queue.deliver()
            except Exception:
                log.exception("internal error in queue '%s'", queue.name)
        self.store.end_tick()
        confirming = self.confirming
        for channel in confirming:
            channel.flush_confirms()
        confirming.clear()

    def take_dirty(self) -> list[Connection]:
        """The connections whose output is to be sent."""
        dirty = self.dirty
        self.dirty = []
        for connection in dirty:
            connection.is_dirty = False
        return [connection for connection in dirty if connection.holds == 0]

    def release(self, connection: Connection) -> None:
        """What the connection's output waited for is on disk."""
        connection.holds -= 1
        if connection.holds == 0:
            connection.wake()

    def set_alarm(self, name: str, on: bool) -> None:
        """Raise or clear an alarm (`broker.alarms` says what that does). May be repeated."""
        if not self.alarms.set(name, on):
            return
        if on:
            for vhost in self.vhosts.values():
                vhost.epoch += 1  # cached routes don't ask for alarms
        elif not self.alarms.active:
            for connection in list(self.connections):
                connection.unblock()

    def shut_down(self) -> None:
        """Tell every client that the broker is going."""
        for connection in list(self.connections):
            connection.force_close("broker forced connection closure with reason 'shutdown'")


def server_properties(version: str, node: str) -> Table:
    """What connection.start says of us: RabbitMQ's keys for the clients that read them, and our own beside them."""
    return table_from_python(
        {
            "capabilities": dict.fromkeys(CAPABILITIES, True),
            "cluster_name": node,
            "copyright": "Copyright the Leveret authors",
            "information": f"Leveret {version}, licensed under the Apache License 2.0",
            "platform": f"Python {platform.python_version()}",
            "product": PRODUCT,
            "version": PRODUCT_VERSION,
            "leveret_product": "Leveret",
            "leveret_version": version,
        }
    )
