"""Whose turn it is: the consumers of one queue, by priority and in rotation.

Higher priority goes first; within a priority each message goes to the next consumer in turn. A consumer that has no
room is parked (taken out of its level) until its channel unparks it, so a queue never searches through consumers
that can't take anything. While a queue is paused it is nobody's turn, but everybody keeps their place.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from leveret.broker.consumer import Consumer


class Level:
    """The consumers of one priority that are waiting for their turn."""

    def __init__(self, priority: int) -> None:
        self.priority: Final = priority
        self.waiting: Final[deque[Consumer]] = deque()


class ConsumerRotation:
    """The consumers of a queue that are not parked."""

    def __init__(self) -> None:
        self.levels: Final[list[Level]] = []  # highest priority first
        self._turns = self.levels  # those that are asked whose turn it is: none while the queue is paused

    def add(self, consumer: Consumer) -> None:
        """Give the consumer its turn after those of its priority."""
        at = self._index(consumer.priority)
        if at == len(self.levels) or self.levels[at].priority != consumer.priority:
            self.levels.insert(at, Level(consumer.priority))
        self.levels[at].waiting.append(consumer)

    def remove(self, consumer: Consumer) -> None:
        """Take a consumer out for good; a parked one waits in no level, but may have left an empty one."""
        at = self._index(consumer.priority)
        if at < len(self.levels) and self.levels[at].priority == consumer.priority:
            level = self.levels[at]
            if not consumer.parked:
                level.waiting.remove(consumer)
            if not level.waiting:
                del self.levels[at]

    def _index(self, priority: int) -> int:
        """Where the level of a priority is or would be: there may be as many levels as consumers."""
        low, high = 0, len(self.levels)
        while low < high:
            middle = (low + high) // 2
            if self.levels[middle].priority > priority:
                low = middle + 1
            else:
                high = middle
        return low

    def next_level(self) -> Level | None:
        """The highest level in which a consumer waits."""
        for level in self._turns:
            if level.waiting:
                return level
        return None

    def pause(self) -> None:
        """It is nobody's turn until `resume`."""
        self._turns = []

    def resume(self) -> None:
        """Go on with those who wait now."""
        self._turns = self.levels
