"""The part of a queue that is not in memory: places in the store, eight octets a message.

Messages come in at the tail, where they wait until they can be read back from disk; then only their place is kept,
in pages. Places are taken from the front in the order in which the messages came.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from librt.strings import BytesWriter, read_i64_be, write_i64_be
from mypy_extensions import i64

from leveret.broker.message import Message

PAGE: Final[i64] = 8192  # octets
PLACE: Final[i64] = 8


class Backlog:
    """Messages of one queue behind those in memory."""

    def __init__(self) -> None:
        self.tail: Final[deque[Message]] = deque()
        self.reading = False  # the store was asked for the places at the front
        self.placed: i64 = 0  # messages that only have a place
        self.taken: i64 = 0  # of them, those in the reader's hands
        self._pages: Final[deque[bytes]] = deque()
        self._last = BytesWriter()

    def count(self) -> int:
        """Messages in the backlog."""
        return int(self.placed + self.taken) + len(self.tail)

    def append_place(self, place: i64) -> None:
        """Add a message by its place."""
        write_i64_be(self._last, place)
        self.placed += 1
        if len(self._last) >= PAGE:
            self.end_page()

    def end_page(self) -> None:
        """The places so far are to be read without those to come."""
        self._pages.append(self._last.getvalue())
        self._last = BytesWriter()

    def let_go(self, readable: i64) -> int:
        """Drop from memory what stands in front of this place on disk, and give the octets of content let go."""
        tail = self.tail
        freed: i64 = 0
        while tail:
            message = tail[0]
            if message.place < 0 or message.place >= readable:
                break
            tail.popleft()
            freed += len(message.content)
            self.append_place(message.place)
        return int(freed)

    def take_places(self) -> bytes:
        """The places at the front, a page at most; they are in the reader's hands from now on."""
        page = self._pages.popleft() if self._pages else b""
        if not page:
            page = self._last.getvalue()
            self._last = BytesWriter()
        self.taken = len(page) // PLACE
        self.placed -= self.taken
        return page

    def put_back(self, places: bytes) -> None:
        """Places that were taken and not read."""
        if places:
            self._pages.appendleft(places)
            self.placed += len(places) // PLACE


def place_at(places: bytes, index: i64) -> i64:
    """One of the places in a page."""
    return read_i64_be(places, index * PLACE)
