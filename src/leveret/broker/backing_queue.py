"""Ready messages in order: what a queue has of each priority level, or all of it if it has no priorities.

Every message has a position, given by counting: `ready` holds those from `head` on without gaps, so positions need
not be stored. Messages leave at the head only, therefore one that comes back (requeue) always has a position below
`head`; such ones wait in `returned`, a heap by position, and go before `ready`. That keeps the original order
whatever is requeued, at no cost to messages that are not.

Only a window of whole messages is kept in memory. Once `ready` holds as much as it may have, what comes later goes to
`backlog`, where a message is a place in the store, and is read back before `ready` runs out.

A position also says the priority, in its high bits, so that a restart finds the level without reading the message.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.broker.backlog import Backlog, place_at
from leveret.broker.durability import LEVEL_SHIFT, NOT_STORED, SEGMENT_SHIFT
from leveret.broker.message import NEVER, Message

if TYPE_CHECKING:
    from leveret.broker.queue import Queue


class BackingQueue:
    """The messages of one priority in a queue, 0 if it has no priorities."""

    def __init__(self, queue: Queue, priority: i64) -> None:
        self.queue: Final = queue
        self.id: Final[i64] = queue.id
        self.durable: Final = queue.durable
        self.store: Final = queue.store
        self.residency: Final = queue.store.residency
        self.priority: Final[i64] = priority
        self.ready: Final[deque[Message]] = deque()
        self.head: i64 = priority << LEVEL_SHIFT
        self.next_position: i64 = self.head
        self.first_position: i64 = self.head  # of what came in since the broker started
        self.redelivered_below: i64 = self.head  # positions that a broker before this one had delivered
        self.backlog: Backlog | None = None
        self.window_bytes: i64 = 0  # content in `ready`
        self.marked_below: i64 = self.head  # positions that the store takes for delivered, should the broker crash
        self.returned: Final[list[tuple[int, Message]]] = []
        self.ready_bytes: i64 = 0

    def restore(self, backlog: Backlog, next_position: i64, redelivered: i64, octets: i64) -> None:
        """Take over the messages that the store kept, of which the first so many had been delivered."""
        count: i64 = backlog.count()
        self.next_position = self.first_position = next_position
        self.head = next_position - count
        self.redelivered_below = self.marked_below = self.head + redelivered
        self.ready_bytes = octets
        if count:
            self.backlog = backlog

    def count(self) -> int:
        """Messages that wait for a consumer."""
        count = len(self.ready) + len(self.returned)
        return count if self.backlog is None else count + self.backlog.count()

    def is_empty(self) -> bool:
        """Whether no message waits, in memory or on disk."""
        return not self.ready and not self.returned and self.backlog is None

    def append(self, message: Message) -> None:
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
            self._append_behind(message, position)

    def _append_behind(self, message: Message, position: i64) -> None:
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

    def first(self) -> Message | None:
        """The message that `take` would take, None if there is none in memory."""
        if self.returned:
            return self.returned[0][1]
        return self.ready[0] if self.ready else None

    def put_back(self, message: Message, position: i64) -> None:
        """Put a message that was taken back where it was."""
        heapq.heappush(self.returned, (int(position), message))
        self.ready_bytes += message.body_size()

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
            if message.expiration != NEVER:
                self.queue.expiring = True
        self.head += lost
        if lost and self.count() == 0:
            self.ready_bytes = 0  # nobody knows how large the damaged ones were
        self.queue.touch()

    def drop_expired_page(self, ttl: i64, now: i64) -> bool:
        """Drop messages at the head of which the store knows the place alone, if it is certain that they have expired.

        They need not be read for that: a million that expire at once are a thousand pages.
        """
        backlog = self.backlog
        if backlog is None or backlog.reading or self.ready or self.returned:
            return False
        page = backlog.take_expired(ttl, now)
        if page is None:
            return False
        for index in range(int(page.count())):
            self.store.settle_place(place_at(page.places, index), self.id)
        self.head += page.count()
        self.ready_bytes -= page.octets
        if not backlog.placed and not backlog.tail:
            self.backlog = None
        return True

    def let_go(self, readable: i64) -> bool:
        """What the backlog's tail holds can be read from the store up to a place: no need to keep it in memory.

        Gives whether that was all, so that the queue need not be told of the next place.
        """
        if self.backlog is None:
            return True
        self.residency.resident -= self.backlog.let_go(readable)
        return not self.backlog.tail

    def forget(self, message: Message) -> None:
        """A message leaves the queue for good."""
        if message.place != NOT_STORED and self._stored_here(message):
            self.store.settle(message, self.id)

    def _stored_here(self, message: Message) -> bool:
        """Whether a message with a place has it on behalf of this queue: it may be in a durable one as well."""
        return self.durable or not message.persistent

    def mark_delivered(self, message: Message, position: i64) -> None:
        """A message is about to be delivered: the store has to know before it is, should the broker crash."""
        if position >= self.marked_below and message.place >= 0 and self._stored_here(message):
            self._mark_window(message)

    def _mark_window(self, message: Message) -> None:
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
                self.store.delivered(self.id, place)
            place = behind.place
        self.store.delivered(self.id, place)

    def purge(self) -> int:
        """Drop every message and say how many there were."""
        if self.backlog is not None and self.backlog.reading:
            self.store.finish_reading(self)
        count = self.count()
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

    def _purge_backlog(self, backlog: Backlog) -> None:
        while backlog.placed:
            places = backlog.take_places()
            for index in range(len(places) // 8):
                self.store.settle_place(place_at(places, index), self.id)
        for message in backlog.tail:
            self.residency.resident -= len(message.content)
            self.forget(message)
        self.backlog = None
