"""The broker: everything that connections share, and the tick.

The owner feeds the connections whatever arrived, then calls `end_tick`: queues deliver, confirms go out, and
`dirty` lists the connections that have output to take. Nothing is delivered or confirmed in between, so a tick's
work is done in runs.

Clocks and randomness come from outside, so that a test can hold them still.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Sequence
from typing import Final

from leveret.amqp.field_table import Table, table_from_python
from leveret.broker.alarms import Alarms
from leveret.broker.channel import Channel
from leveret.broker.connection import Connection
from leveret.broker.defaults import Defaults
from leveret.broker.durability import Store
from leveret.broker.events import INTERNAL_USER, Events
from leveret.broker.failed_logins import FailedLogins
from leveret.broker.histogram import FAST_SECONDS, Histogram
from leveret.broker.limits import NO_LIMIT, NodeLimits, Usage, reached
from leveret.broker.login import LoginAttempts, SlowWork
from leveret.broker.mechanisms import DEFAULT_MECHANISMS
from leveret.broker.parameters import CLUSTER_ID, ID_SIZE, Parameters, new_cluster_id
from leveret.broker.permissions import Permissions
from leveret.broker.queue import Queue
from leveret.broker.redeclaring import STRICT
from leveret.broker.timers import Timers
from leveret.broker.traffic import Churn, MessageSizes, Traffic
from leveret.broker.users import Users
from leveret.broker.vhost import VirtualHost, check_default_queue_type

log: Final = logging.getLogger("leveret.broker")

# kombu and others choose their ways by product and version: these are the behaviours we follow
PRODUCT: Final = "RabbitMQ"
PRODUCT_VERSION: Final = "4.3.5"
DEFAULT_DESCRIPTION: Final = "Default virtual host"  # RabbitMQ's
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


class NoSuchVirtualHost(Exception):
    """There is no virtual host of that name, which is the text."""


class TooManyVirtualHosts(Exception):
    """The node may have no other virtual host; the text is RabbitMQ's."""


class ProtectedVirtualHost(Exception):
    """The virtual host of that name, which is the text, is protected from being deleted."""


class Broker:
    """All state of one broker.

    It begins with what `defaults` says, unless a store restores what there was. The users in `loopback_users` may not
    come from another machine.
    """

    def __init__(
        self,
        version: str,
        node: str,
        wall_clock: Callable[[], float],
        random_octets: Callable[[int], bytes],
        store: Store | None = None,
        limits: NodeLimits | None = None,
        redeclare: str = STRICT,
        defaults: Defaults | None = None,
        loopback_users: frozenset[str] = frozenset({"guest"}),
    ) -> None:
        self.store: Final = Store() if store is None else store
        self.version: Final = version
        self.node: Final = node
        self.wall_clock: Final = wall_clock
        self.random_octets: Final = random_octets
        self.started_at: Final = wall_clock()
        self.timers: Final = Timers(wall_clock)
        self.events: Final = Events(self)
        self.users: Final = Users(self, loopback_users)
        self.permissions: Final = Permissions(self)
        self.parameters: Final = Parameters(self)
        self.failed_logins: Final = FailedLogins(self.timers)
        self.login_attempts: Final = LoginAttempts()
        self.mechanisms: tuple[str, ...] = DEFAULT_MECHANISMS  # by which clients may log in, in order of preference
        self.slow_work = SlowWork()
        self.limits: Final = NodeLimits() if limits is None else limits
        self.redeclare: Final = redeclare  # how strictly redeclares are compared
        self.usage: Final = Usage()
        self.churn: Final = Churn()
        self.message_sizes: Final = MessageSizes()
        self.tick_seconds: Final = Histogram(FAST_SECONDS)
        self.former_traffic: Final = Traffic()  # of virtual hosts that were deleted
        self.touched: Final[list[Queue]] = []  # queues that may have something to deliver
        self.confirming: Final[list[Channel]] = []  # channels that owe confirms
        self.dirty: list[Connection] = []  # connections with output
        self.connections: Final[dict[Connection, None]] = {}
        self.alarms: Final = Alarms()
        self.vhosts: Final[dict[str, VirtualHost]] = {}
        self.server_properties: Final = server_properties(version, node)
        self.defaults: Final = Defaults() if defaults is None else defaults
        self.under_maintenance = False  # takes no clients, until the operator says so
        self._begin()

    def _begin(self) -> None:
        """Make what the store, if it keeps anything, has from its own beginning."""
        self.parameters.restore({}, {CLUSTER_ID: new_cluster_id(self.random_octets(ID_SIZE))})
        if not self.defaults.made:
            return
        vhost = self.defaults.vhost
        first = self.vhosts[vhost] = self.new_vhost(vhost, DEFAULT_DESCRIPTION)
        first.usage.limits = self.defaults.limits_of(vhost)
        for policy in self.defaults.operator_policies_of(vhost):
            first.policies.restore(policy, True)
        for _ in first.reapply_policies():
            pass
        users, permissions = self.defaults.first_users(self.random_octets)
        self.users.restore(users)
        self.permissions.restore(permissions, [])

    def connect(self, peer: str, local: str, from_loopback: bool) -> Connection:
        """A client connected. Addresses are `host:port`."""
        connection = Connection(self, peer, local, from_loopback)
        self.connections[connection] = None
        return connection

    # virtual hosts

    def vhost(self, name: str) -> VirtualHost:
        """The virtual host of that name, or NoSuchVirtualHost."""
        vhost = self.vhosts.get(name)
        if vhost is None:
            raise NoSuchVirtualHost(name)
        return vhost

    def new_vhost(
        self,
        name: str,
        description: str = "",
        tags: Sequence[str] = (),
        default_queue_type: str = "",
        protected: bool = False,
    ) -> VirtualHost:
        """A virtual host that nobody knows of yet."""
        vhost = VirtualHost(name, self.touched, self.store, self.timers, self.churn, self.events)
        vhost.description, vhost.tags, vhost.default_queue_type = description, list(tags), default_queue_type
        vhost.protected = protected
        if name == self.defaults.vhost:
            self.events.publish_in(vhost)
        return vhost

    def add_vhost(
        self, name: str, description: str = "", tags: Sequence[str] = (), default_queue_type: str = ""
    ) -> VirtualHost:
        """A new virtual host; one of that name that is there stays as it is.

        Nobody has permissions for it but the default users whose pattern matches its name; limits and operator policies
        are those that are the default for its name. An empty default queue type is none.

        Raises TooManyVirtualHosts, InvalidQueueType.
        """
        check_default_queue_type(default_queue_type)
        existing = self.vhosts.get(name)
        if existing is not None:
            return existing
        limit = self.limits.vhost_max
        if limit != NO_LIMIT and reached(len(self.vhosts), limit):
            raise TooManyVirtualHosts(f"cannot create vhost '{name}': vhost limit of {limit} is reached")
        vhost = self.vhosts[name] = self.new_vhost(name, description, tags, default_queue_type)
        self.store.vhost_set(vhost)
        self.events.vhost_created(vhost)
        limits = self.defaults.limits_of(name)
        if limits:
            self.set_vhost_limits(vhost, limits)
        for policy in self.defaults.operator_policies_of(name):
            vhost.policies.set(policy, True)
        for _ in vhost.reapply_policies():
            pass
        for default in self.defaults.users_of(name):
            if self.users.find(default.name) is None:
                user = default.user(self.random_octets)
                self.users.put(user.name, user.password_hash, user.hashing_algorithm, user.tags)
            self.permissions.set(default.name, name, default.configure, default.write, default.read)
        return vhost

    def describe_vhost(
        self,
        name: str,
        description: str | None = None,
        tags: Sequence[str] | None = None,
        default_queue_type: str | None = None,
        protected: bool | None = None,
    ) -> VirtualHost:
        """Change what is said of a virtual host; None is no change. Raises NoSuchVirtualHost, InvalidQueueType."""
        vhost = self.vhost(name)
        if default_queue_type is not None:
            check_default_queue_type(default_queue_type)
            vhost.default_queue_type = default_queue_type
        if description is not None:
            vhost.description = description
        if tags is not None:
            vhost.tags = list(tags)
        if protected is not None:
            vhost.protected = protected
        self.store.vhost_set(vhost)
        self.events.vhost_updated(vhost)
        return vhost

    def set_vhost_limits(self, vhost: VirtualHost, limits: dict[str, int]) -> None:
        """These limits instead of those that a virtual host had."""
        vhost.usage.limits = limits
        self.store.vhost_limits_set(vhost.name, limits)
        if limits:
            self.events.vhost_limits_set(vhost.name, limits)
        else:
            self.events.vhost_limits_cleared(vhost.name)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with everything in it, and close its connections.

        Raises NoSuchVirtualHost, ProtectedVirtualHost.
        """
        vhost = self.vhost(name)
        if vhost.protected:
            raise ProtectedVirtualHost(name)
        for connection in list(self.connections):
            if connection.vhost is vhost:
                connection.force_close(f"vhost '{name}' is deleted")
        vhost.traffic.pour_into(self.former_traffic, Traffic())
        self.permissions.forget_vhost(name)
        self.parameters.forget_vhost(name)
        del self.vhosts[name]
        self.store.vhost_deleted(name, vhost.end())
        self.events.vhost_deleted(name, bool(vhost.usage.limits))

    # the tick

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
        self.events.act_as(INTERNAL_USER)  # what came with requests is done
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
        self.events.alarm_changed(name, on)
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
