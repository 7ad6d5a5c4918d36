"""What the broker asks of its store; `Store` itself keeps nothing, which is all that an ephemeral broker needs.

A message that is to survive, or that has to leave memory, is handed over by `persist` or `page_out` and has a place
in the store from then on: first PENDING, later a number. Each queue that the store knows it for settles it once;
when all have, the store forgets it. Nothing here waits: the store writes at the end of the tick and calls back.
What a client must not be told before it is on disk is held: the connection's output is not taken until the store
lets go of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from leveret.broker.histogram import BATCH_OCTETS, FAST_SECONDS, Histogram

if TYPE_CHECKING:
    from leveret.broker.backing_queue import BackingQueue
    from leveret.broker.binding import Binding
    from leveret.broker.channel import Channel
    from leveret.broker.connection import Connection
    from leveret.broker.exchange.base import Exchange
    from leveret.broker.message import Message
    from leveret.broker.permissions import Permission, TopicPermission
    from leveret.broker.policy import Policy
    from leveret.broker.queue import Queue
    from leveret.broker.users import User
    from leveret.broker.vhost import VirtualHost

NOT_STORED: Final[i64] = -1
PENDING: Final[i64] = -2
SEGMENT_SHIFT: Final[i64] = 32  # a place is a segment's number and, in the lower bits, an offset in it
LEVEL_SHIFT: Final[i64] = 54  # a position in a queue is a priority and, in the lower bits, a count


@mypyc_attr(acyclic=True)
class LogEntry:
    """What the store appends in order: a message, or several that stand or fall together."""


class Residency:
    """How much message content is in memory, and how much of it one queue may have before it pages out. Octets."""

    def __init__(self) -> None:
        self.resident: i64 = 0
        self.queue_limit: i64 = 1 << 60


class StoreFigures:
    """How long the store takes, measured once for each batch. Times are seconds."""

    def __init__(self) -> None:
        self.batch_octets: Final = Histogram(BATCH_OCTETS)
        self.sync_seconds: Final = Histogram(FAST_SECONDS)
        self.confirm_seconds: Final = Histogram(FAST_SECONDS)  # from the first publish of a batch to its confirms

    def written(self, octets: i64, synced: bool, sync_seconds: float) -> None:
        """A batch is on its way to the disk, or on it if it was synced."""
        if octets:
            self.batch_octets.observe(float(int(octets)))
        if synced:
            self.sync_seconds.observe(sync_seconds)


class Store:
    """A store that keeps nothing."""

    def __init__(self, keeps: bool = False) -> None:
        self.keeps: Final = keeps  # whether anything survives, so that it is worth waiting for
        self.residency: Final = Residency()
        self.figures: Final = StoreFigures()

    # messages

    def persist(self, message: Message) -> None:
        """The message is persistent and goes to a durable queue: its targets are added as it is enqueued."""

    def page_out(self, message: Message, queue: BackingQueue, position: i64) -> Message:
        """The message must be able to leave memory: gives this queue's own copy of it, pending in the store.

        The copy is transient: nobody was promised that it survives.
        """
        return message

    def leaves_memory(self, queue: BackingQueue) -> None:
        """Call `BackingQueue.let_go` when messages at the end of the queue can be read back."""

    def settle(self, message: Message, queue_id: i64) -> None:
        """A queue is done with a message that has a place."""

    def settle_place(self, place: i64, queue_id: i64) -> None:
        """A queue is done with a message that is not in memory."""

    def delivered(self, queue_id: i64, place: i64) -> None:
        """A queue may have delivered everything up to this place: what comes back after a crash is redelivered.

        The store knows it, short of a power failure, when this returns.
        """

    def read_ahead(self, queue: BackingQueue, places: bytes) -> None:
        """Read messages and hand them to `BackingQueue.paged_in`, later."""

    def read_now(self, queue: BackingQueue, places: bytes) -> None:
        """Read messages and hand them to `BackingQueue.paged_in` at once."""

    def read_place(self, place: i64) -> Message | None:
        """The message at a place, read at once; None if it is damaged. It stays where it is."""
        return None

    def finish_reading(self, queue: BackingQueue) -> None:
        """Wait for a read-ahead of this queue."""

    def await_sync(self, channel: Channel) -> None:
        """Call `Channel.confirm_through` when all that it has published so far is on disk."""

    def begin_group(self) -> None:
        """What is persisted and settled until `end_group` happens wholly or not at all. Groups may be nested."""

    def end_group(self, connection: Connection | None) -> None:
        """The group is complete; the connection's output, if there is one, is held until it is on disk."""

    # definitions

    def vhost_set(self, vhost: VirtualHost) -> None:
        """A virtual host was added, or what is said of it changed."""

    def vhost_deleted(self, name: str, queues: list[Queue]) -> None:
        """A virtual host was deleted with all in it; these queues are to be dropped when that is on disk."""
        for queue in queues:
            queue.bury()

    def user_set(self, user: User) -> None:
        """A user was added, or has another password or other tags."""

    def user_deleted(self, name: str) -> None:
        """A user was deleted, with permissions and limits."""

    def permission_set(self, permission: Permission) -> None:
        """A permission was set, perhaps in the place of another."""

    def permission_cleared(self, user: str, vhost: str) -> None:
        """A permission was removed."""

    def topic_permission_set(self, topic: TopicPermission) -> None:
        """A topic permission was set, perhaps in the place of another."""

    def topic_permission_cleared(self, user: str, vhost: str, exchange: str) -> None:
        """A topic permission was removed."""

    def new_queue_id(self, durable: bool) -> int:
        """An id that no other queue has; SoftError 406 if there is none left."""
        return 0

    def queue_added(self, vhost: str, queue: Queue) -> None:
        """A durable queue was declared."""

    def queue_paused(self, queue: Queue) -> None:
        """A durable queue was paused, or resumed."""

    def queue_deleted(self, vhost: str, queue: Queue) -> None:
        """A durable queue was deleted; its messages are to be dropped (`Queue.bury`) when that is on disk."""
        queue.bury()

    def exchange_added(self, vhost: str, exchange: Exchange) -> None:
        """A durable exchange was declared."""

    def exchange_deleted(self, vhost: str, exchange: Exchange) -> None:
        """An exchange was deleted."""

    def binding_added(self, vhost: str, binding: Binding) -> None:
        """A binding between durable things was made."""

    def binding_removed(self, vhost: str, binding: Binding) -> None:
        """A binding between durable things was removed."""

    def policy_set(self, vhost: str, policy: Policy, operator: bool) -> None:
        """A policy, or an operator policy, was set, perhaps in the place of one of its name."""

    def policy_cleared(self, vhost: str, name: str, operator: bool) -> None:
        """A policy, or an operator policy, was removed."""

    def vhost_limits_set(self, vhost: str, limits: dict[str, int]) -> None:
        """The limits of a virtual host are these from now on."""

    def user_limits_set(self, user: str, limits: dict[str, int]) -> None:
        """The limits of a user are these from now on."""

    def parameter_set(self, vhost: str, component: str, name: str, value: object) -> None:
        """A parameter of a virtual host has this value from now on, which is JSON."""

    def parameter_cleared(self, vhost: str, component: str, name: str) -> None:
        """A parameter of a virtual host was removed."""

    def global_parameter_set(self, name: str, value: object) -> None:
        """A global parameter has this value from now on, which is JSON."""

    def global_parameter_cleared(self, name: str) -> None:
        """A global parameter was removed."""

    def when_committed(self, callback: Callable[[], None]) -> None:
        """Call back when all changes made so far are committed; at once if there are none to wait for."""
        callback()

    def hold_for_definitions(self, connection: Connection) -> None:
        """Hold the connection's output until the changes made so far are committed, if there are any."""

    def describe(self) -> dict[str, object]:
        """What an operator may want to know of the store; nothing if it keeps nothing."""
        return {}

    def segment_count(self) -> int:
        """How many segments the message log has."""
        return 0

    # the tick

    def backed_up(self) -> bool:
        """Whether so much waits to be written that publishers should wait too."""
        return False

    def end_tick(self) -> None:
        """All that happened in this tick is known: write it."""
