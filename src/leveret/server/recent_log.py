"""The last lines of the log, in memory, for the HTTP API to show.

There are at most MOST_LINES of them with MOST_OCTETS in all, whoever follows them and however slowly: a follower knows
which line it saw last and takes those behind it that are still there, so nothing is kept for it. Lines come from any
thread; followers are of one event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

MOST_LINES: Final = 500
MOST_OCTETS: Final = 96 * 1024
LONGEST: Final = 2000  # characters of a line; the rest is left out
OVERHEAD: Final = 150  # octets that a line takes beside its text


class Line(NamedTuple):
    """A line. `number` rises, and is about the time in milliseconds since 1970, so that it goes on after a restart."""

    number: int
    level: str
    source: str  # the logger's name
    text: str  # all of it, as the log has it

    @property
    def message(self) -> str:
        """The text behind time and level."""
        return self.text.partition("] ")[2]


class Follower:
    """Somebody who is told that there are new lines. `changed` is set then, and when the log ends."""

    def __init__(self) -> None:
        self.changed: Final = asyncio.Event()
        self._loop: Final = asyncio.get_running_loop()

    def wake(self) -> None:
        """There is something new; may be called by any thread."""
        self._loop.call_soon_threadsafe(self.changed.set)


class RecentLog(logging.Handler):
    """Keeps the lines that it handles, as its formatter makes them. `level_of` names a record's level."""

    def __init__(self, level_of: Callable[[logging.LogRecord], str]) -> None:
        super().__init__()
        self.followers: Final[set[Follower]] = set()
        self.ended = False  # nobody follows it any more
        self._level_of: Final = level_of
        self._lines: Final[deque[Line]] = deque()
        self._octets = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; `handle` lets one thread in at a time."""
        try:
            self._keep(record)
        except Exception:
            self.handleError(record)

    def _keep(self, record: logging.LogRecord) -> None:
        before = self._lines[-1].number if self._lines else 0
        number = max(int(record.created * 1000), before + 1)
        line = Line(number, self._level_of(record), record.name, self.format(record)[:LONGEST])
        self._lines.append(line)
        self._octets += size_of(line)
        while len(self._lines) > MOST_LINES or self._octets > MOST_OCTETS:
            self._octets -= size_of(self._lines.popleft())
        for follower in list(self.followers):
            follower.wake()

    def lines(self, after: int = 0) -> list[Line]:
        """Those that are kept, of numbers above this, oldest first."""
        self.acquire()
        try:
            return [line for line in self._lines if line.number > after]
        finally:
            self.release()

    def end(self) -> None:
        """Have everybody who follows it go."""
        self.ended = True
        for follower in list(self.followers):
            follower.wake()


def size_of(line: Line) -> int:
    """About what a line takes: one octet a character is right for nearly all."""
    return len(line.text) + OVERHEAD
