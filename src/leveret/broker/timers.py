"""Deadlines of the broker: heartbeats, handshakes, closes that were never answered, expiry, late acknowledgements.

The owner of the broker tells the time by calling `run`, so a test can hold it still. A heap keeps the earliest
deadline in front; a cancelled timer stays in the heap, which is cheaper than searching for it, until it is due or until
most of the heap is such: a heartbeat may be due in hours, and connections may come and go by the thousand.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from mypy_extensions import i64

FEW: Final = 64  # cancelled timers that may stay in the heap


class Timer:
    """One action at one moment, unless it is cancelled before."""

    def __init__(self, timers: Timers, due: float, action: Callable[[], None]) -> None:
        self._timers: Final = timers
        self.due: Final = due
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Forget the action. Cancelling a timer that already ran does nothing."""
        if self.action is not None:
            self.action = None
            self._timers.waiting -= 1


class Timers:
    """All timers of one broker. Times are seconds on the owner's monotonic clock.

    `time_ms` is the time of day at `now`, milliseconds since 1970, for what has to mean the same after a restart.
    """

    def __init__(self, wall_clock: Callable[[], float] | None = None) -> None:
        self.now = 0.0
        self.time_ms: i64 = 0
        self._wall_clock: Final = wall_clock
        self.waiting = 0  # timers that are neither cancelled nor done
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    def after(self, delay: float, action: Callable[[], None]) -> Timer:
        """Run `action` once `delay` seconds have passed."""
        if len(self._heap) > 2 * self.waiting + FEW:
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
        timer = Timer(self, self.now + delay, action)
        self.waiting += 1
        self._count += 1
        heapq.heappush(self._heap, (timer.due, self._count, timer))
        return timer

    def set_time(self, now: float) -> None:
        """It is now so late."""
        self.now = now
        self.time_ms = i64((now if self._wall_clock is None else self._wall_clock()) * 1000)

    def run(self, now: float) -> None:
        """Set the time and run what is due, earliest first; what an action sets for now is due at the next run.

        So work that goes on from timer to timer lets others have their turn in between.
        """
        self.set_time(now)
        latest = self._count
        while self._heap and self._heap[0][0] <= now and self._heap[0][1] <= latest:
            timer = heapq.heappop(self._heap)[2]
            action = timer.action
            if action is not None:
                timer.cancel()
                action()

    def next_due(self) -> float | None:
        """When `run` has something to do again, or None."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None
