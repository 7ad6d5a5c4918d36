"""The messages that a delayed exchange keeps: by the time when they are due, in memory and in the store.

A window of whole messages is kept in memory, whenever they are due. What comes when it is full waits in `_tail` until
it is written; then only its position and its place are kept (`broker.due_index`), and it is read back when it is due.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Final

from librt.strings import BytesWriter, write_i64_be
from mypy_extensions import i64

from leveret.broker.backing_queue import BackingQueue
from leveret.broker.backlog import PAGE, PLACE, place_at
from leveret.broker.due_index import NOWHERE, DueIndex, DuePositions, due_time, first_position
from leveret.broker.durability import NOT_STORED
from leveret.broker.message import FAR, Message

if TYPE_CHECKING:
    from leveret.broker.queue import Queue

PLACES_READ: Final = int(PAGE // PLACE)  # at once


class DelayedMessages(BackingQueue):
    """What waits in a delay queue. Of its base class it uses what the store is told; `ready` stays empty."""

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue, 0)
        self._near: Final[list[tuple[int, Message]]] = []  # a heap
        self._tail: Final[deque[tuple[int, Message]]] = deque()
        self._index: Final = DueIndex()
        self._positions = DuePositions()
        self._read: list[tuple[int, int]] = []  # what the store is reading
        self.unfinished = False  # whether `take_due` has to be asked again before it can tell

    def restore_delayed(self, entries: bytes, octets: i64, positions: DuePositions) -> None:
        """Take over what the store kept: positions and places, in no order."""
        for at in range(0, len(entries) // 8, 2):
            self._index.add(place_at(entries, at), place_at(entries, at + 1))
        self.ready_bytes = octets
        self._positions = positions

    def waiting(self) -> int:
        """How many messages there are."""
        return len(self._near) + len(self._tail) + len(self._read) + int(self._index.count)

    def delay(self, message: Message, due: i64, now: i64) -> None:
        """Keep a message until then; times are milliseconds since 1970."""
        position = self._positions.give(due, now)
        self.ready_bytes += message.body_size()
        if message.place != NOT_STORED and self.durable:
            message.add_target(self, position)
        if not self._tail and self.window_bytes < self.residency.queue_limit:
            self._keep_near(position, message)
            return
        if message.place == NOT_STORED or not self.durable:
            message = self.store.page_out(message, self, position)
        self.residency.resident += len(message.content)
        self._tail.append((int(position), message))
        self.store.leaves_memory(self)

    def _keep_near(self, position: i64, message: Message) -> None:
        size: i64 = len(message.content)
        self.window_bytes += size
        self.residency.resident += size
        heapq.heappush(self._near, (int(position), message))

    def take_due(self, now: i64) -> Message | None:
        """Take the first message that is due; None if there is none, or if it is not known yet or not in memory.

        Then `unfinished` says whether to ask again at the next opportunity; what is being read touches the queue.
        """
        self.unfinished = False
        if self._read:
            return None
        limit = first_position(now + 1) - 1
        if self._near and self._near[0][0] < limit:
            limit = self._near[0][0]
        if not self._index.prepare(limit):
            self.unfinished = True
            return None
        self._read = self._index.take(limit, PLACES_READ)
        if self._read:
            places = BytesWriter()
            for _, place in self._read:
                write_i64_be(places, place)
            self.store.read_ahead(self, places.getvalue())
            return None
        if not self._near or due_time(self._near[0][0]) > now:
            return None
        _, message = heapq.heappop(self._near)
        size: i64 = len(message.content)
        self.window_bytes -= size
        self.residency.resident -= size
        self.ready_bytes -= message.body_size()
        self._correct_octets()
        return message

    def _correct_octets(self) -> None:
        """Of messages that were damaged nobody knows how large they were; when nothing is left, it is certain."""
        if not self._near and self.waiting() == 0:
            self.ready_bytes = 0

    def next_due(self) -> i64:
        """When to ask for what is due again: milliseconds since 1970, FAR if there is nothing to wait for."""
        position = self._index.earliest()
        if self._near and self._near[0][0] < position:
            position = self._near[0][0]
        return FAR if position == NOWHERE else due_time(position)

    def is_reading(self) -> bool:
        """Whether the store is reading what is due."""
        return bool(self._read)

    def paged_in(self, messages: list[Message], lost: int, unread: bytes) -> None:
        read, self._read = self._read, []
        for (position, _), message in zip(read, messages, strict=False):
            self._keep_near(position, message)
        left = len(unread) // int(PLACE)
        for index in range(left):
            self._index.put_back(read[len(read) - left + index][0], place_at(unread, index))
        self._correct_octets()
        self.queue.touch()

    def let_go(self, readable: i64) -> bool:
        tail = self._tail
        while tail:
            position, message = tail[0]
            if message.place < 0 or message.place >= readable:
                return False
            tail.popleft()
            self.residency.resident -= len(message.content)
            self._index.add(position, message.place)
            self.queue.touch()  # it may be due
        return True

    def purge(self) -> int:
        if self._read:
            self.store.finish_reading(self)
        count = self.waiting()
        for _, message in self._near:
            self.forget(message)
        for _, message in self._tail:
            self.residency.resident -= len(message.content)
            self.forget(message)
        for place in self._index.clear():
            self.store.settle_place(place, self.id)
        self.residency.resident -= self.window_bytes
        self._near.clear()
        self._tail.clear()
        self.window_bytes = self.ready_bytes = 0
        return count
