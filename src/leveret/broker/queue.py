"""A queue: ready messages in order, consumers in rotation, and what is out with them.

Every message has a position, given by counting: `ready` holds those from `head` on without gaps, so positions need
not be stored. Messages leave at the head only, therefore one that comes back (requeue) always has a position below
`head`; such ones wait in `returned`, a heap by position, and go before `ready`. That keeps the original order
whatever is requeued, at no cost to messages that are not.

Deliveries are made once a tick by `deliver`, after everything that arrived was enqueued.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.amqp.field_table import Table
from leveret.broker.binding import Destination
from leveret.broker.consumer import OUTPUT_LIMIT, Consumer, Delivery
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
    ) -> None:
        super().__init__(name, "queue")
        self.durable: Final = durable
        self.auto_delete: Final = auto_delete
        self.owner: Final = owner
        self.arguments: Final = arguments
        self.deleted = False
        self.ready: Final[deque[Message]] = deque()
        self.head: i64 = 0
        self.returned: Final[list[tuple[int, Message]]] = []
        self.ready_bytes: i64 = 0
        self.unacked: i64 = 0
        self.unacked_bytes: i64 = 0
        self.consumers: Final[dict[Consumer, None]] = {}
        self.exclusive_consumer: Consumer | None = None
        self.rotation: Final = ConsumerRotation()
        self._touched: Final = touched  # the broker's list of queues that `deliver` is due for
        self._is_touched = False

    def touch(self) -> None:
        """Ask for `deliver` at the end of this tick."""
        if not self._is_touched:
            self._is_touched = True
            self._touched.append(self)

    def ready_count(self) -> int:
        """Messages that wait for a consumer."""
        return len(self.ready) + len(self.returned)

    def enqueue(self, message: Message) -> None:
        """Put a message at the end."""
        self.ready.append(message)
        self.ready_bytes += message.body_size()
        if not self._is_touched:
            self._is_touched = True
            self._touched.append(self)

    def take(self) -> tuple[Message, i64, bool]:
        """Take the first ready message: itself, its position, and whether it was delivered before."""
        returned = self.returned
        if returned:
            place, message = heapq.heappop(returned)
            self.ready_bytes -= message.body_size()
            return message, i64(place), True
        message = self.ready.popleft()
        self.ready_bytes -= message.body_size()
        position = self.head
        self.head = position + 1
        return message, position, False

    def requeue(self, delivery: Delivery) -> None:
        """Put an unacked delivery back where it was; one of a deleted queue is gone."""
        self.settle(delivery)
        if not self.deleted:
            heapq.heappush(self.returned, (int(delivery.position), delivery.message))
            self.ready_bytes += delivery.message.body_size()
            self.touch()

    def settle(self, delivery: Delivery) -> None:
        """An unacked delivery is done with: acknowledged, rejected, or on its way back."""
        self.unacked -= 1
        self.unacked_bytes -= delivery.message.body_size()
        consumer = delivery.consumer
        if consumer is not None:
            consumer.unacked -= 1
            consumer.channel.consumers_unacked -= 1

    def hold(self, message: Message) -> None:
        """A message is out with a channel that will settle it."""
        self.unacked += 1
        self.unacked_bytes += message.body_size()

    def purge(self) -> int:
        """Drop every ready message and say how many there were."""
        count = self.ready_count()
        self.head += len(self.ready)
        self.ready.clear()
        self.returned.clear()
        self.ready_bytes = 0
        return count

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
        consumer.cancelled = True
        if self.exclusive_consumer is consumer:
            self.exclusive_consumer = None

    def unpark(self, consumer: Consumer) -> None:
        """A parked consumer may have room again."""
        consumer.parked = False
        if not consumer.cancelled:
            self.rotation.add(consumer)
            if self.ready or self.returned:
                self.touch()

    def deliver(self) -> None:
        """Hand ready messages to the consumers that have room, until either runs out."""
        self._is_touched = False
        while self.ready or self.returned:
            level = self.rotation.next_level()
            if level is None:
                return
            waiting = level.waiting
            consumer = waiting[0]
            room = consumer.room()
            if room == 0:
                waiting.popleft()
                consumer.parked = True
                consumer.channel.parked.append(consumer)
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
            if not no_ack:
                self.hold(message)
            consumer.send(message, position, redelivered)
        connection.wake()
