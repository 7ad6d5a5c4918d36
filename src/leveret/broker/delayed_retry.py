"""x-delayed-retry-type, -min and -max: a message that comes back waits before it is ready again (RabbitMQ 4.3).

It waits the minimum times the number of its returns, at most the maximum. `failed` means the returns that count
towards the delivery limit (`broker.delivery_limit`), `returned` the others, `all` both. What waits is neither ready
nor out with a consumer; it gets its old place in the queue back. It is in memory, as it was when it was delivered, and
stays the queue's in the store, so after a restart it is ready at once.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.broker.queue_settings import ALL_RETURNS, FAILED_ONLY, NONE, NOT_FAILED_ONLY
from leveret.broker.timers import Timer

if TYPE_CHECKING:
    from leveret.broker.delivery_limit import DeliveryCounts
    from leveret.broker.message import Message
    from leveret.broker.queue import Queue

BACK_AT_ONCE: Final = 1000  # messages that become ready before others have their turn


class DelayedRetries:
    """The messages of one queue that wait for another try."""

    def __init__(self, queue: Queue) -> None:
        self._queue: Final = queue
        self._waiting: Final[list[tuple[int, int, Message]]] = []  # a heap: when each is due, and its position
        self._timer: Timer | None = None
        self._due: i64 = 0  # of the timer

    def count(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    def octets(self) -> int:
        """Octets of their bodies."""
        return sum([int(message.body_size()) for _, _, message in self._waiting])

    def take(self, message: Message, position: i64, counted: bool, counts: DeliveryCounts | None) -> bool:
        """A message came back, counted towards the delivery limit or not: keep it if it has to wait."""
        settings = self._queue.settings
        if counts is None:
            return False  # no delayed retry any more
        if settings.delayed_retry_type == FAILED_ONLY:
            number = int(counts.count(position)) if counted else 0
        elif settings.delayed_retry_type == ALL_RETURNS or (
            settings.delayed_retry_type == NOT_FAILED_ONLY and not counted
        ):
            number = int(counts.came_back(position))
        else:
            number = 0
        delay = int(settings.delayed_retry_min) * number
        if settings.delayed_retry_max != NONE:
            delay = min(delay, int(settings.delayed_retry_max))
        if delay <= 0:
            return False
        due = int(self._queue.vhost.timers.time_ms) + delay
        heapq.heappush(self._waiting, (due, int(position), message))
        self._set_timer()
        return True

    def _set_timer(self) -> None:
        due: i64 = self._waiting[0][0]
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        timers = self._queue.vhost.timers
        self._due = due
        self._timer = timers.after(max(0, int(due - timers.time_ms)) / 1000, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._queue.vhost.timers.time_ms
        left = BACK_AT_ONCE
        while self._waiting and self._waiting[0][0] <= now and left > 0:
            _, position, message = heapq.heappop(self._waiting)
            self._queue.put_back(message, position)
            left -= 1
        if self._waiting:
            self._set_timer()

    def drop(self) -> int:
        """Drop what waits, and say how many messages these were."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        count = len(self._waiting)
        for _, position, message in self._waiting:
            if self._queue.counts is not None:
                self._queue.counts.forget(position)
            if self._queue.identifiers is not None:
                self._queue.identifiers.dropped(message, position)
            self._queue.backing.forget(message)
        self._waiting.clear()
        return count
