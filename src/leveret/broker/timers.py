"""Deadlines of the broker: heartbeats, handshakes, closes that were never answered.

The owner of the broker tells the time by calling `run`, so a test can hold it still. A heap keeps the earliest
deadline in front; a cancelled timer stays in the heap until it is due, which is cheaper than searching for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final


class Timer:
    """One action at one moment, unless it is cancelled before."""

    def __init__(self, due: float, action: Callable[[], None]) -> None:
        self.due: Final = due
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Forget the action. Cancelling a timer that already ran does nothing."""
        self.action = None


class Timers:
    """All timers of one broker. Times are seconds on the owner's monotonic clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    def after(self, delay: float, action: Callable[[], None]) -> Timer:
        """Run `action` once `delay` seconds have passed."""
        timer = Timer(self.now + delay, action)
        self._count += 1
        heapq.heappush(self._heap, (timer.due, self._count, timer))
        return timer

    def run(self, now: float) -> None:
        """Set the time and run what is due, earliest first."""
        self.now = now
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            action = timer.action
            if action is not None:
                timer.action = None
                action()

    def next_due(self) -> float | None:
        """When `run` has something to do again, or None."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None
