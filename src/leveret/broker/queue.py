"""A queue: ready messages in order, consumers in rotation, and what is out with them.

Every message has a position, given by counting: `ready` holds those from `head` on without gaps, so positions need
not be stored. Messages leave at the head only, therefore one that comes back (requeue) always has a position below
`head`; such ones wait in `returned`, a heap by position, and go before `ready`. That keeps the original order
whatever is requeued, at no cost to messages that are not.

Only a window of whole messages is kept in memory. Once `ready` holds as much as the queue may have, what comes later
goes to `backlog`, where a message is a place in the store, and is read back before `ready` runs out.

Deliveries are made once a tick by `deliver`, after everything that arrived was enqueued.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.amqp.field_table import Table
from leveret.broker.backlog import Backlog, place_at
from leveret.broker.binding import Destination
from leveret.broker.consumer import OUTPUT_LIMIT, Consumer, Delivery
from leveret.broker.durability import NOT_STORED, SEGMENT_SHIFT, Store
from leveret.broker.message import Message
from leveret.broker.rotation import ConsumerRotation

if TYPE_CHECKING:
    from leveret.broker.connection import Connection


class Queue(Destination):
    """A queue. `owner` is the connection an exclusive queue belongs to."""

    def __init__(
        self,
        name: str,
        durable: bool,
        auto_delete: bool,
        owner: Connection | None,
        arguments: Table,
        touched: list[Queue],
        store: Store,
        id: int,
    ) -> None:
        super().__init__(name, "queue", durable)
        self.id: Final[i64] = id  # never used again, the store knows the queue by it
        self.auto_delete: Final = auto_delete
        self.owner: Final = owner
        self.arguments: Final = arguments
        self.deleted = False
        self.ready: Final[deque[Message]] = deque()
        self.head: i64 = 0
        self.next_position: i64 = 0
        self.redelivered_below: i64 = 0  # positions that a broker before this one had delivered
        self.backlog: Backlog | None = None
        self.window_bytes: i64 = 0  # content in `ready`
        self.store: Final = store
        self.residency: Final = store.residency
        self.marked_below: i64 = 0  # positions that the store takes for delivered, should the broker crash
        self.gone = False  # deleted, and the messages dropped
        self.returned: Final[list[tuple[int, Message]]] = []
        self.ready_bytes: i64 = 0
        self.unacked: i64 = 0
        self.unacked_bytes: i64 = 0
        self.consumers: Final[dict[Consumer, None]] = {}
        self.exclusive_consumer: Consumer | None = None
        self.rotation: Final = ConsumerRotation()
        self._touched: Final = touched  # the broker's list of queues that `deliver` is due for
        self._is_touched = False

    def restore(self, backlog: Backlog, next_position: i64, redelivered: i64, octets: i64) -> None:
        """Take over the messages that the store kept, of which the first so many had been delivered."""
        count: i64 = backlog.count()
        self.next_position = next_position
        self.head = next_position - count
        self.redelivered_below = self.marked_below = self.head + redelivered
        self.ready_bytes = octets
        if count:
            self.backlog = backlog

    def touch(self) -> None:
        """Ask for `deliver` at the end of this tick."""
        if not self._is_touched:
            self._is_touched = True
            self._touched.append(self)

    def ready_count(self) -> int:
        """Messages that wait for a consumer."""
        count = len(self.ready) + len(self.returned)
        return count if self.backlog is None else count + self.backlog.count()

    def enqueue(self, message: Message) -> None:
        """Put a message at the end."""
        position = self.next_position
        self.next_position = position + 1
        self.ready_bytes += message.body_size()
        if message.place != NOT_STORED and self.durable:
            message.add_target(self, position)
        if self.backlog is None and self.window_bytes < self.residency.queue_limit:
            size: i64 = len(message.content)
            self.window_bytes += size
            self.residency.resident += size
            self.ready.append(message)
        else:
            self._enqueue_behind(message, position)
        if not self._is_touched:
            self._is_touched = True
            self._touched.append(self)

    def _enqueue_behind(self, message: Message, position: i64) -> None:
        if self.backlog is None:
            self.backlog = Backlog()
        if message.place == NOT_STORED or not self.durable:
            message = self.store.page_out(message, self, position)
        self.residency.resident += len(message.content)
        self.backlog.tail.append(message)
        self.store.leaves_memory(self)

    def take(self) -> tuple[Message, i64, bool]:
        """Take the first message in memory: itself, its position, and whether it was delivered before."""
        returned = self.returned
        if returned:
            place, message = heapq.heappop(returned)
            self.ready_bytes -= message.body_size()
            return message, i64(place), True
        message = self.ready.popleft()
        size: i64 = len(message.content)
        self.window_bytes -= size
        self.residency.resident -= size
        self.ready_bytes -= message.body_size()
        position = self.head
        self.head = position + 1
        return message, position, position < self.redelivered_below

    def fill_window(self) -> None:
        """Bring the backlog's front into memory, by way of the store if it is not there any more."""
        backlog = self.backlog
        if backlog is None or backlog.reading or 2 * self.window_bytes > self.residency.queue_limit:
            return
        if backlog.placed:
            backlog.reading = True
            self.store.read_ahead(self, backlog.take_places())
            return
        tail = backlog.tail
        while tail and self.window_bytes < self.residency.queue_limit:
            message = tail.popleft()
            self.window_bytes += len(message.content)
            self.ready.append(message)
        if not tail:
            self.backlog = None

    def fill_window_now(self) -> None:
        """As `fill_window`, but waits for the disk: for basic.get, whose answer can't come later."""
        while not self.ready and not self.returned and self.backlog is not None:
            backlog = self.backlog
            if backlog.reading:
                self.store.finish_reading(self)
            elif backlog.placed:
                backlog.reading = True
                self.store.read_now(self, backlog.take_places())
            else:
                self.fill_window()

    def paged_in(self, messages: list[Message], lost: int, unread: bytes) -> None:
        """The store read messages at the front of the backlog; some were damaged, some are left for another time."""
        backlog = self.backlog
        if backlog is None:
            return
        backlog.reading = False
        backlog.taken = 0
        backlog.put_back(unread)
        for message in messages:
            size: i64 = len(message.content)
            self.window_bytes += size
            self.residency.resident += size
            self.ready.append(message)
        self.head += lost
        self.touch()

    def let_go(self, readable: i64) -> None:
        """What the backlog's tail holds can be read from the store up to a place: no need to keep it in memory."""
        if self.backlog is not None:
            self.residency.resident -= self.backlog.let_go(readable)

    def requeue(self, delivery: Delivery) -> None:
        """Put an unacked delivery back where it was; one of a deleted queue is gone."""
        self._take_back(delivery)
        if self.gone:
            self.forget(delivery.message)
        else:
            heapq.heappush(self.returned, (int(delivery.position), delivery.message))
            self.ready_bytes += delivery.message.body_size()
            self.touch()

    def settle(self, delivery: Delivery) -> None:
        """An unacked delivery is done with: acknowledged or rejected."""
        self._take_back(delivery)
        self.forget(delivery.message)

    def forget(self, message: Message) -> None:
        """A message leaves the queue for good."""
        if message.place != NOT_STORED and self._stored_here(message):
            self.store.settle(message, self)

    def _stored_here(self, message: Message) -> bool:
        """Whether a message with a place has it on behalf of this queue: it may be in a durable one as well."""
        return self.durable or not message.persistent

    def _take_back(self, delivery: Delivery) -> None:
        self.unacked -= 1
        self.unacked_bytes -= delivery.message.body_size()
        consumer = delivery.consumer
        if consumer is not None:
            consumer.unacked -= 1
            consumer.channel.consumers_unacked -= 1

    def hand_out(self, message: Message, position: i64, no_ack: bool) -> None:
        """A message was taken to be delivered: it is done with, or out with a channel that will settle it."""
        if not no_ack:
            self.hold(message)
            if position >= self.marked_below and message.place >= 0 and self._stored_here(message):
                self._mark_delivered(message, position)
        else:
            self.forget(message)

    def hold(self, message: Message) -> None:
        """A message is out with a channel that will settle it."""
        self.unacked += 1
        self.unacked_bytes += message.body_size()

    def purge(self) -> int:
        """Drop every ready message and say how many there were."""
        if self.backlog is not None and self.backlog.reading:
            self.store.finish_reading(self)
        count = self.ready_count()
        for message in self.ready:
            self.forget(message)
        for _, message in self.returned:
            self.forget(message)
        self.residency.resident -= self.window_bytes
        if self.backlog is not None:
            self._purge_backlog(self.backlog)
        self.head = self.next_position
        self.ready.clear()
        self.returned.clear()
        self.window_bytes = 0
        self.ready_bytes = 0
        return count

    def bury(self) -> None:
        """The queue's deletion is on disk: drop its messages."""
        self.purge()
        self.gone = True

    def _purge_backlog(self, backlog: Backlog) -> None:
        while backlog.placed:
            places = backlog.take_places()
            for index in range(len(places) // 8):
                self.store.settle_place(place_at(places, index), self)
        for message in backlog.tail:
            self.residency.resident -= len(message.content)
            self.forget(message)
        self.backlog = None

    def add_consumer(self, consumer: Consumer) -> None:
        """A channel subscribes; the caller has checked that it may."""
        self.consumers[consumer] = None
        self.rotation.add(consumer)
        if consumer.exclusive:
            self.exclusive_consumer = consumer
        self.touch()

    def remove_consumer(self, consumer: Consumer) -> None:
        """A subscription ends; what it has not acknowledged stays with its channel."""
        del self.consumers[consumer]
        self.rotation.remove(consumer)
        consumer.channel.parked.pop(consumer, None)
        consumer.cancelled = True
        if self.exclusive_consumer is consumer:
            self.exclusive_consumer = None

    def unpark(self, consumer: Consumer) -> None:
        """A parked consumer may have room again."""
        consumer.parked = False
        self.rotation.add(consumer)
        if self.ready or self.returned or self.backlog is not None:
            self.touch()

    def deliver(self) -> None:
        """Hand ready messages to the consumers that have room, until either runs out."""
        self._is_touched = False
        while True:
            if self._has_backlog():
                self.fill_window()
            self._deliver_ready()
            if self.ready or self.returned or not self._has_backlog():
                return
            self.fill_window()
            if not self.ready:
                return  # the rest is being read, or there is none

    def _has_backlog(self) -> bool:
        return self.backlog is not None

    def _deliver_ready(self) -> None:
        while self.ready or self.returned:
            level = self.rotation.next_level()
            if level is None:
                return
            waiting = level.waiting
            consumer = waiting[0]
            room = consumer.room()
            if room == 0:
                self.rotation.remove(consumer)
                consumer.parked = True
                consumer.channel.parked[consumer] = None
            elif len(waiting) == 1:
                self._deliver_run(consumer, room)
            else:
                waiting.rotate(-1)
                self._deliver_run(consumer, 1)

    def _deliver_run(self, consumer: Consumer, room: i64) -> None:
        """Deliver up to `room` messages in a row to one consumer, while its connection's output is below the limit."""
        connection = consumer.channel.connection
        count: i64 = len(self.ready) + len(self.returned)
        if room < count:
            count = room
        no_ack = consumer.no_ack
        while count > 0 and connection.pending_output() < OUTPUT_LIMIT:
            count -= 1
            message, position, redelivered = self.take()
            self.hand_out(message, position, no_ack)
            consumer.send(message, position, redelivered)
        connection.wake()

    def _mark_delivered(self, message: Message, position: i64) -> None:
        """Have the store take this message for delivered, and all behind it that are in memory and on their way too.

        One mark for many deliveries is what makes it cheap enough to have it written before the first of them goes out.
        Each segment gets its own, since any of them may be gone first. A crash then marks as redelivered some that were
        not: the flag says that they may have been.
        """
        self.marked_below = self.head
        place = message.place
        for behind in self.ready:
            if behind.place < 0 or not self._stored_here(behind):
                break
            self.marked_below += 1
            if behind.place >> SEGMENT_SHIFT != place >> SEGMENT_SHIFT:
                self.store.delivered(self, place)
            place = behind.place
        self.store.delivered(self, place)
