"""A queue: its messages, the consumers in rotation, and what is out with them.

Deliveries are made once a tick by `deliver`, after everything that arrived was enqueued; then what has expired or is
too much is dropped. Who asks in between how much there is has the queue `catch_up` first.

What a queue was declared with beyond the ordinary (arguments, policies) is in `settings`. A queue that has none of it
pays one comparison for each message (`governed`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.amqp.field_table import Table
from leveret.broker import expiry, length_limit, single_active
from leveret.broker.backing_queue import BackingQueue
from leveret.broker.binding import Destination
from leveret.broker.consumer import OUTPUT_LIMIT, Consumer, Delivery
from leveret.broker.death_reasons import DELIVERY_LIMIT, MAXLEN, REJECTED
from leveret.broker.deduplication import Identity, queue_identifiers
from leveret.broker.delayed_retry import DelayedRetries
from leveret.broker.delivery_limit import DeliveryCounts
from leveret.broker.durability import LEVEL_SHIFT
from leveret.broker.expiry import HeadTimer, UnusedTimer
from leveret.broker.message import NEVER, Message, priority_of
from leveret.broker.queue_settings import DISABLED, NONE, REJECT_PUBLISH_DLX, QueueSettings, effective_settings
from leveret.broker.rotation import ConsumerRotation
from leveret.broker.traffic import Traffic, count_deliveries

if TYPE_CHECKING:
    from leveret.broker.connection import Connection
    from leveret.broker.policy import Policy
    from leveret.broker.vhost import VirtualHost

DROPS_AT_ONCE: Final = 1000  # messages that a queue drops before others have their turn
DROPS_FOR_GET: Final = 20_000  # for the sake of one basic.get, which finds nothing if there is still more to drop
BACKED_UP_DELAY: Final[i64] = 20  # milliseconds until it drops more, if the store has more to write than it should


class Queue(Destination):
    """A queue. `owner` is the connection an exclusive queue belongs to; `id` is never used for another queue."""

    is_delay_queue = False  # whether it is the broker's own, behind a delayed exchange

    def __init__(
        self,
        vhost: VirtualHost,
        name: str,
        durable: bool,
        auto_delete: bool,
        owner: Connection | None,
        arguments: Table,
        id: int,
    ) -> None:
        super().__init__(name, "queue", durable)
        self.vhost: Final = vhost
        self.id: Final[i64] = id
        self.auto_delete: Final = auto_delete
        self.owner: Final = owner
        self.arguments: Final = arguments
        self.user = ""  # who declared it, if that is known
        self.paused = False  # its messages stay in it, until somebody resumes it
        self.store: Final = vhost.store
        self.deleted = False
        self.gone = False  # deleted, and the messages dropped
        self.policy: Policy | None = None
        self.operator_policy: Policy | None = None
        self.settings = effective_settings(arguments, {}, {})
        self.is_quorum: Final = self.settings.type == "quorum"
        self.backing = BackingQueue(self, 0)  # of the priority in turn
        self.levels: Final = [self.backing]  # those of all priorities that were ever used, highest first
        self.governed = False  # whether `enqueue` has more to do than to append
        self.limited = False
        self.expiring = False  # whether any message may have a deadline
        self.counts: DeliveryCounts | None = None
        self.retries: DelayedRetries | None = None
        self.identifiers: Final = queue_identifiers(arguments)  # of what it has, if duplicates are to be dropped
        self.traffic: Final = Traffic()
        self.unacked: i64 = 0
        self.unacked_bytes: i64 = 0
        self.consumers: Final[dict[Consumer, None]] = {}
        self.exclusive_consumer: Consumer | None = None
        self.active_consumer: Consumer | None = None  # the one that x-single-active-consumer lets have messages
        self.handing_over = False  # when the active consumer has nothing unacked any more, it is another's turn
        self.rotation: Final = ConsumerRotation()
        self.head_timer: Final = HeadTimer(self)
        self.unused_timer: Final = UnusedTimer(self)
        self._touched: Final = vhost.touched  # the broker's list of queues that `deliver` is due for
        self._is_touched = False
        self.drops_left = 0  # before others have their turn
        self.apply(self.settings)

    def apply(self, settings: QueueSettings) -> None:
        """Act by these settings from now on; what is too long or too old by them goes at the end of the tick."""
        self.settings = settings
        self.limited = length_limit.is_limited(settings)
        self.expiring = self.expiring or settings.message_ttl != NONE
        self.governed = settings.max_priority != NONE or length_limit.refuses(settings) or self.identifiers is not None
        retries = settings.delayed_retry_type != DISABLED
        if retries and self.retries is None:
            self.retries = DelayedRetries(self)
        if settings.delivery_limit != NONE or self.is_quorum or retries:
            if self.counts is None:
                self.counts = DeliveryCounts(settings)
            self.counts.settings = settings
        else:
            self.counts = None
        for consumer in self.consumers:
            consumer.acknowledgement_timeout.apply(settings)
        self.unused_timer.renew()
        if (self.limited or self.expiring) and self.ready_count():
            self.touch()

    def level(self, priority: i64) -> BackingQueue:
        """The messages of a priority."""
        at = 0
        for known in self.levels:
            if known.priority == priority:
                return known
            if known.priority < priority:
                break
            at += 1
        self.levels.insert(at, BackingQueue(self, priority))
        return self.levels[at]

    def in_turn(self) -> BackingQueue:
        """The messages that are delivered next: those of the highest priority that there are."""
        if len(self.levels) > 1:
            for level in self.levels:
                if not level.is_empty():
                    self.backing = level
                    break
        return self.backing

    def touch(self) -> None:
        """Ask for `deliver` at the end of this tick."""
        if not self._is_touched:
            self._is_touched = True
            self._touched.append(self)

    def ready_count(self) -> int:
        """Messages that wait for a consumer."""
        if len(self.levels) == 1:
            return self.backing.count()
        return sum([level.count() for level in self.levels])

    def ready_octets(self) -> i64:
        """Octets of the bodies of the messages that wait for a consumer."""
        octets = self.backing.ready_bytes
        if len(self.levels) > 1:
            octets = 0
            for level in self.levels:
                octets += level.ready_bytes
        return octets

    def published(self) -> int:
        """Messages that came in since the queue was made, or the broker started."""
        return int(sum([level.next_position - level.first_position for level in self.levels]))

    # messages in

    def enqueue(self, message: Message) -> bool:
        """Put a message at the end, or among those of its priority; False if the queue is full and refuses it."""
        if self.governed or message.expiration != NEVER:
            return self._enqueue_governed(message)
        self.backing.append(message)
        if not self._is_touched:
            self._is_touched = True
            self._touched.append(self)
        return True

    def _enqueue_governed(self, message: Message) -> bool:
        settings = self.settings
        identity: Identity | None = None
        if self.identifiers is not None:
            identity = self.identifiers.identity_of(message)
            if identity is not None and self._has_identity(identity):
                return True
        if length_limit.refuses(settings):
            self.catch_up()
            if length_limit.would_exceed(self, message):
                if settings.overflow == REJECT_PUBLISH_DLX and settings.dead_letter_exchange is not None:
                    self.vhost.dead_letters.move(self, message, MAXLEN, False)
                return False
        if message.expiration != NEVER:
            self.expiring = True
        backing = self.backing
        if settings.max_priority != NONE:
            backing = self.level(min(priority_of(message, settings.default_priority), settings.max_priority))
        if identity is not None and self.identifiers is not None:
            self.identifiers.entered(identity, backing.next_position, self.vhost.timers.time_ms)
        backing.append(message)
        self.touch()
        return True

    def _has_identity(self, identity: Identity) -> bool:
        """Whether a message that comes is a duplicate."""
        if self.identifiers is None or not self.identifiers.knows(identity, self.vhost.timers.time_ms):
            return False
        self.catch_up()
        return self.identifiers.knows(identity, self.vhost.timers.time_ms)

    def put_back(self, message: Message, position: i64) -> None:
        """A message that was out with a channel is ready again, in its old place."""
        backing = self.backing
        if len(self.levels) > 1:
            backing = self.level(position >> LEVEL_SHIFT)
        backing.put_back(message, position)
        if self.deleted:
            return
        if self.limited:
            self._drop_excess()
        if self.expiring:
            self.drops_left = DROPS_AT_ONCE
            expiry.expire_head(self)
        self.touch()

    # settling

    def requeue(self, delivery: Delivery, counted: bool) -> None:
        """Put an unacked delivery back where it was, unless it came back too often; one of a deleted queue is gone."""
        self._take_back(delivery)
        message, position = delivery.message, delivery.position
        if self.gone:
            self.backing.forget(message)
        elif counted and self.counts is not None and self.counts.returned(position):
            self.drop(message, position, DELIVERY_LIMIT)
        elif self.retries is None or not self.retries.take(message, position, counted, self.counts):
            self.put_back(message, position)

    def settle(self, delivery: Delivery) -> None:
        """An unacked delivery is acknowledged."""
        self._take_back(delivery)
        self.traffic.ack += 1
        if self.counts is not None:
            self.counts.forget(delivery.position)
        if self.identifiers is not None:
            self.identifiers.acknowledged(delivery.message, delivery.position)
        self.backing.forget(delivery.message)

    def reject(self, delivery: Delivery) -> None:
        """An unacked delivery is not wanted."""
        self._take_back(delivery)
        self.drop(delivery.message, delivery.position, REJECTED)

    def drop(self, message: Message, position: i64, reason: str) -> None:
        """A message that is neither ready nor out leaves the queue; to the dead letter exchange, if there is one."""
        if self.counts is not None:
            self.counts.forget(position)
        if self.identifiers is not None:
            self.identifiers.dropped(message, position)
        if self.settings.dead_letter_exchange is None or self.deleted:
            self.backing.forget(message)
        else:
            self.vhost.dead_letters.move(self, message, reason, True)

    def _take_back(self, delivery: Delivery) -> None:
        self.unacked -= 1
        self.unacked_bytes -= delivery.message.body_size()
        consumer = delivery.consumer
        if consumer is not None:
            consumer.unacked -= 1
            consumer.channel.consumers_unacked -= 1
            if self.handing_over and consumer.unacked == 0 and consumer is self.active_consumer:
                single_active.activate_next(self)

    def fetch(self, no_ack: bool) -> tuple[Message, i64, bool] | None:
        """Take and hand out the message that is next, None if there is none: for basic.get."""
        self.unused_timer.renew()
        self.catch_up()
        drops_left = DROPS_FOR_GET
        while True:
            backing = self.in_turn()
            backing.fill_window_now()
            if backing.first() is None:
                if len(self.levels) > 1 and self.ready_count():
                    continue  # this level's messages were damaged, another's are not
                return None
            if self.expiring and expiry.has_expired(self, backing):
                if drops_left == 0:
                    self.go_on_later()
                    return None
                drops_left -= 1
                expiry.drop_first(self, backing)
                continue
            message, position, redelivered = backing.take()
            self.hand_out(message, position, no_ack)
            if self.expiring:
                expiry.expire_head(self)
            return message, position, redelivered

    def redeclared(self) -> None:
        """A client declared the queue again, or asked after it: a use (RabbitMQ: not of a quorum queue)."""
        if not self.is_quorum:
            self.unused_timer.renew()

    def hand_out(self, message: Message, position: i64, no_ack: bool) -> None:
        """A message was taken to be delivered: it is done with, or out with a channel that will settle it."""
        if not no_ack:
            self.hold(message)
            self.backing.mark_delivered(message, position)
        else:
            if self.identifiers is not None:
                self.identifiers.acknowledged(message, position)
            self.backing.forget(message)

    def hold(self, message: Message) -> None:
        """A message is out with a channel that will settle it."""
        self.unacked += 1
        self.unacked_bytes += message.body_size()

    def as_redelivered(self, message: Message, position: i64, no_ack: bool) -> Message:
        """The message as it is delivered when it came back; with `no_ack` it does not come back again."""
        if self.counts is None:
            return message
        shown = self.counts.shown(message, position)
        if no_ack:
            self.counts.forget(position)
        return shown

    def purge(self) -> int:
        """Drop every ready message and say how many there were."""
        self.catch_up()
        count = 0
        for level in self.levels:
            if self.counts is not None:
                for position, _ in level.returned:
                    self.counts.forget(position)
            if self.identifiers is not None:
                self.identifiers.purged(level)
            count += level.purge()
        return count if self.retries is None else count + self.retries.drop()

    def end(self) -> None:
        """The queue is deleted: nothing is due any more."""
        self.deleted = True
        self.head_timer.cancel()
        self.unused_timer.cancel()

    def bury(self) -> None:
        """The queue's deletion is on disk: drop its messages."""
        for level in self.levels:
            level.purge()
        if self.retries is not None:
            self.retries.drop()
        self.gone = True

    # consumers

    def add_consumer(self, consumer: Consumer) -> None:
        """A channel subscribes; the caller has checked that it may."""
        self.consumers[consumer] = None
        consumer.acknowledgement_timeout.apply(self.settings)
        if consumer.exclusive:
            self.exclusive_consumer = consumer
        if not self.settings.single_active_consumer:
            self.rotation.add(consumer)
        else:
            single_active.added(self, consumer)
        self.unused_timer.cancel()
        self.touch()

    def remove_consumer(self, consumer: Consumer) -> None:
        """A subscription ends; what it has not acknowledged stays with its channel."""
        del self.consumers[consumer]
        consumer.cancelled = True
        consumer.acknowledgement_timeout.cancel()
        self.vhost.events.consumer_deleted(consumer)
        if self.exclusive_consumer is consumer:
            self.exclusive_consumer = None
        if not self.settings.single_active_consumer:
            self.take_out(consumer)
        elif self.active_consumer is consumer:
            single_active.removed(self, consumer)
        if not self.consumers:
            self.unused_timer.renew()

    def take_out(self, consumer: Consumer) -> None:
        """A consumer gets no more messages."""
        self.rotation.remove(consumer)
        consumer.channel.parked.pop(consumer, None)
        consumer.parked = False

    def unpark(self, consumer: Consumer) -> None:
        """A parked consumer may have room again."""
        consumer.parked = False
        self.rotation.add(consumer)
        if not self.in_turn().is_empty():
            self.touch()

    # the end of a tick

    def deliver(self) -> None:
        """Hand ready messages to the consumers that have room, until either runs out; then drop what has to go."""
        self._is_touched = False
        if not self.deleted:
            self._deliver_and_drop()

    def catch_up(self) -> None:
        """Do before the end of the tick what is due then, if it decides on what the queue has: somebody asks."""
        if self._is_touched and (self.limited or self.expiring):
            self._deliver_and_drop()

    def _deliver_and_drop(self) -> None:
        if self.expiring:
            self.drops_left = 0 if self.store.backed_up() else DROPS_AT_ONCE
        while self._deliver_level(self.in_turn()):
            pass
        if self.limited:
            self._drop_excess()
        if self.expiring:
            expiry.expire_head(self)

    def _deliver_level(self, backing: BackingQueue) -> bool:
        """Deliver what is in memory of the priority in turn; whether there may be more that can be delivered."""
        if backing.backlog is not None and (self.consumers or backing.first() is None):
            backing.fill_window()
        if not self._deliver_ready(backing):
            return False
        if self.has_backlog(backing):
            backing.fill_window()
            if backing.ready:
                return True
            if self.has_backlog(backing):
                return False  # it is being read
        return len(self.levels) > 1 and not self.in_turn().is_empty()

    def has_backlog(self, backing: BackingQueue) -> bool:
        """Whether a priority has messages on the disk."""
        return backing.backlog is not None

    def _deliver_ready(self, backing: BackingQueue) -> bool:
        """Deliver what is in memory; False if the consumers had no room for all of it."""
        while backing.ready or backing.returned:
            level = self.rotation.next_level()
            if level is None:
                return False
            if self.expiring and expiry.is_overdue(self, backing):
                if self.drops_left <= 0:
                    return False  # `expiry.expire_head` sees to it that it goes on
                expiry.drop_first(self, backing)
                continue
            waiting = level.waiting
            consumer = waiting[0]
            room = consumer.room()
            if room == 0:
                self.rotation.remove(consumer)
                consumer.parked = True
                consumer.channel.parked[consumer] = None
            elif len(waiting) == 1:
                self._deliver_run(backing, consumer, 1 if self.expiring else room)
            else:
                waiting.rotate(-1)
                self._deliver_run(backing, consumer, 1)
        return True

    def _deliver_run(self, backing: BackingQueue, consumer: Consumer, room: i64) -> None:
        """Deliver up to `room` messages in a row to one consumer, while its connection's output is below the limit."""
        connection = consumer.channel.connection
        count: i64 = len(backing.ready) + len(backing.returned)
        if room < count:
            count = room
        most = count
        no_ack = consumer.no_ack
        while count > 0 and connection.pending_output() < OUTPUT_LIMIT:
            count -= 1
            message, position, redelivered = backing.take()
            self.hand_out(message, position, no_ack)
            consumer.send(message, position, redelivered)
        count_deliveries(self.traffic, consumer.channel.traffic, no_ack, most - count)
        connection.wake()

    # what has to go

    def _drop_excess(self) -> None:
        if not length_limit.refuses(self.settings) and not length_limit.drop_excess(self, DROPS_AT_ONCE):
            self.go_on_later()

    def go_on_later(self) -> None:
        """There is more to drop, but others have their turn before, clients too; and the disk, if it can't follow."""
        self.head_timer.set(self.vhost.timers.time_ms + (BACKED_UP_DELAY if self.store.backed_up() else 0))
