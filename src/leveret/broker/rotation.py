"""Whose turn it is: the consumers of one queue, by priority and in rotation.

Higher priority goes first; within a priority each message goes to the next consumer in turn. A consumer that has no
room is parked (taken out of its level) until its channel unparks it, so a queue never searches through consumers
that can't take anything.
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

    def add(self, consumer: Consumer) -> None:
        """Give the consumer its turn after those of its priority."""
        at = 0
        for level in self.levels:
            if level.priority == consumer.priority:
                level.waiting.append(consumer)
                return
            if level.priority > consumer.priority:
                at += 1
        level = Level(consumer.priority)
        level.waiting.append(consumer)
        self.levels.insert(at, level)

    def remove(self, consumer: Consumer) -> None:
        """Take a consumer out for good; a parked one is in no level."""
        if consumer.parked:
            return
        for at, level in enumerate(self.levels):
            if level.priority == consumer.priority:
                level.waiting.remove(consumer)
                if not level.waiting:
                    del self.levels[at]
                return

    def next_level(self) -> Level | None:
        """The highest level in which a consumer waits."""
        for level in self.levels:
            if level.waiting:
                return level
        return None
