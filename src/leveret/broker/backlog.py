"""The part of a queue that is not in memory: places in the store, eight octets a message.

Messages come in at the tail, where they wait until they can be read back from disk; then only their place is kept,
in pages. Places are taken from the front in the order in which the messages came.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from librt.strings import BytesWriter, read_i64_be, write_i64_be
from mypy_extensions import i64, mypyc_attr

from leveret.broker.message import FAR, NEVER, Message

PAGE: Final[i64] = 8192  # octets
PLACE: Final[i64] = 8


@mypyc_attr(acyclic=True)
class Page:
    """Places that are read together, and what is known of their messages without reading them.

    `octets` are those of the bodies, `latest_time` is when the last message was taken in, and `latest_expiry` when the
    last of them expires by its own expiration. FAR: that is not known, or never.
    """

    def __init__(self, places: bytes, octets: i64, latest_time: i64, latest_expiry: i64) -> None:
        self.places: Final = places
        self.octets: Final[i64] = octets
        self.latest_time: Final[i64] = latest_time
        self.latest_expiry: Final[i64] = latest_expiry

    def count(self) -> i64:
        """How many messages it has."""
        return i64(len(self.places)) // PLACE

    def is_expired(self, ttl: i64, now: i64) -> bool:
        """Whether all its messages have expired in a queue with this TTL (below 0: without one)."""
        return self.latest_expiry <= now or (ttl >= 0 and self.latest_time + ttl <= now)


class Backlog:
    """Messages of one queue behind those in memory."""

    def __init__(self) -> None:
        self.tail: Final[deque[Message]] = deque()
        self.reading = False  # the store was asked for the places at the front
        self.placed: i64 = 0  # messages that only have a place
        self.taken: i64 = 0  # of them, those in the reader's hands
        self._pages: Final[deque[Page]] = deque()
        self._last = BytesWriter()
        self._last_octets: i64 = 0
        self._last_time: i64 = 0
        self._last_expiry: i64 = 0

    def count(self) -> int:
        """Messages in the backlog."""
        return int(self.placed + self.taken) + len(self.tail)

    def append_place(self, place: i64) -> None:
        """Add a message of which only the place is known."""
        self._append(place, 0, FAR, FAR)

    def _append_message(self, message: Message) -> None:
        expiry = FAR if message.expiration == NEVER else message.time + message.expiration
        self._append(message.place, message.body_size(), message.time, expiry)

    def _append(self, place: i64, octets: i64, time: i64, expiry: i64) -> None:
        write_i64_be(self._last, place)
        self._last_octets += octets
        if time > self._last_time:
            self._last_time = time
        if expiry > self._last_expiry:
            self._last_expiry = expiry
        self.placed += 1
        if len(self._last) >= PAGE:
            self.end_page()

    def end_page(self) -> None:
        """The places so far are to be read without those to come."""
        self._pages.append(self._take_last())

    def _take_last(self) -> Page:
        page = Page(self._last.getvalue(), self._last_octets, self._last_time, self._last_expiry)
        self._last = BytesWriter()
        self._last_octets = self._last_time = self._last_expiry = 0
        return page

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
            self._append_message(message)
        return int(freed)

    def take_places(self) -> bytes:
        """The places at the front, a page at most; they are in the reader's hands from now on."""
        page = self._pages.popleft() if self._pages else self._take_last()
        self.taken = page.count()
        self.placed -= self.taken
        return page.places

    def place(self, index: i64) -> i64:
        """The place that so many go before, of those that are not taken; there are `placed` of them."""
        for page in self._pages:
            if index < page.count():
                return place_at(page.places, index)
            index -= page.count()
        return place_at(self._last.getvalue(), index)

    def pages_of_places(self) -> list[bytes]:
        """The places that are neither taken nor in the tail, in order; they stay where they are."""
        return [*[page.places for page in self._pages], self._last.getvalue()]

    def take_expired(self, ttl: i64, now: i64) -> Page | None:
        """The page at the front if all its messages have expired, so that none of them need be read."""
        if not self.placed:
            return None
        if not self._pages:
            self.end_page()
        if not self._pages[0].is_expired(ttl, now):
            return None
        page = self._pages.popleft()
        self.placed -= page.count()
        return page

    def put_back(self, places: bytes) -> None:
        """Places that were taken and not read."""
        if places:
            self._pages.appendleft(Page(places, 0, FAR, FAR))
            self.placed += len(places) // PLACE


def place_at(places: bytes, index: i64) -> i64:
    """One of the places in a page."""
    return read_i64_be(places, index * PLACE)
