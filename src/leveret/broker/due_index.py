"""Where delayed messages that are not in memory stand in the store, in the order in which they are due.

An entry is a position and a place, sixteen octets. A position is the time when the message is due with a sequence
number in its low bits, so that the store brings the order back after a restart without reading a message.

Entries stand in buckets by the highest octet in which their position differs from `_base`, and by its value there: a
radix heap. It asks only that no bucket be opened before its time. Opening one that is large divides it among finer
ones, in portions, so an entry is moved a few times in all however long it waits, and adding one costs the same with
one entry as with millions. What is due soon, a small bucket, is a heap (`_first`).
"""

from __future__ import annotations

import heapq
from typing import Final

from librt.strings import BytesWriter, read_i64_be, write_i64_be
from mypy_extensions import i64

SEQUENCE_BITS: Final[i64] = 20
SEQUENCES: Final[i64] = 1 << SEQUENCE_BITS
CLASSES: Final[i64] = 4096
LATEST: Final[i64] = (1 << 42) - 1 - CLASSES  # milliseconds since 1970, in the year 2109: later is as good as never
NOWHERE: Final[i64] = 1 << 62  # behind every position
ENTRY: Final[i64] = 16
SMALL_BUCKET: Final[i64] = 4096  # entries
PORTION: Final[i64] = 16_384  # entries that are moved before others have their turn


def first_position(time: i64) -> i64:
    """The lowest position of what is due at this time, milliseconds since 1970."""
    return min(time, LATEST) << SEQUENCE_BITS


def due_time(position: i64) -> i64:
    """When what has this position is due: milliseconds since 1970."""
    return position >> SEQUENCE_BITS


class DuePositions:
    """Gives each message of a queue a position that no other one has that waits.

    Sequence numbers are counted for classes of due times rather than for each time, which bounds the memory. Should a
    class have given all of its numbers while one of its messages still waits, the next millisecond's is taken.
    """

    def __init__(self) -> None:
        self._next: Final[dict[int, int]] = {}  # sequence number, by class
        self._latest: Final[dict[int, int]] = {}  # due time, by class

    def note(self, position: i64) -> None:
        """A broker before this one gave this position."""
        due = due_time(position)
        at = int(due % CLASSES)
        following = int(position % SEQUENCES) + 1
        if following > self._next.get(at, 0):
            self._next[at] = following
        if due > self._latest.get(at, 0):
            self._latest[at] = int(due)

    def give(self, due: i64, now: i64) -> i64:
        """A position for a message that is due then."""
        due = min(due, LATEST)
        position: i64 = due << SEQUENCE_BITS
        for later in range(int(CLASSES)):
            at = int((due + later) % CLASSES)
            sequence: i64 = self._next.get(at, 0)
            if sequence == SEQUENCES and self._latest[at] < now:
                sequence = self._next[at] = 0
            if sequence < SEQUENCES:
                position = ((due + later) << SEQUENCE_BITS) + sequence
                break
        self.note(position)
        return position


class DueIndex:
    """Positions and places. All that is added later is due after the limit that was last asked for."""

    def __init__(self, small_bucket: i64 = SMALL_BUCKET, portion: i64 = PORTION) -> None:
        self._small_bucket: Final[i64] = small_bucket
        self._portion: Final[i64] = portion
        self.count: i64 = 0
        self._base: i64 = 0
        self._first: list[tuple[int, int]] = []  # a heap of what is below `_bound`
        self._bound: i64 = 0
        self._buckets: dict[int, BytesWriter] = {}  # lower keys first
        self._start: i64 = NOWHERE  # of the lowest bucket: no position in a bucket is below it
        self._spreading = b""  # the bucket that is being divided
        self._spread: i64 = 0  # octets of it that are done

    def add(self, position: i64, place: i64) -> None:
        """Add a message."""
        self.count += 1
        self._put(position, place)

    def _put(self, position: i64, place: i64) -> None:
        if position < self._bound:
            heapq.heappush(self._first, (int(position), int(place)))
            return
        difference = position ^ self._base
        shift: i64 = 0
        while difference >> shift > 255:
            shift += 8
        key = int((shift << 8) + (position >> shift & 255))
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = BytesWriter()
            start = position >> shift << shift
            if start < self._start:
                self._start = start
        write_i64_be(bucket, position)
        write_i64_be(bucket, place)

    def earliest(self) -> i64:
        """A position that no entry is below, and that is at most some steps before the first one's."""
        if self._spreading:
            return self._base
        return self._first[0][0] if self._first else self._start

    def prepare(self, limit: i64) -> bool:
        """Have the first of what is up to this position at hand; False if that takes more than may be done at once."""
        left = self._portion
        while left > 0:
            if self._spreading:
                left -= self._go_on_spreading(left)
            elif self._first or self._start > limit:
                return True
            else:
                left -= self._open_bucket()
        return False

    def _open_bucket(self) -> i64:
        """Take the lowest bucket, which is the next in order; gives how many entries were moved."""
        key = min(self._buckets)
        shift = i64(key) >> 8
        entries = self._buckets.pop(key).getvalue()
        self._base = self._bound = self._start
        count = i64(len(entries)) // ENTRY
        self._start = self._start_of(min(self._buckets)) if self._buckets else NOWHERE
        if count > self._small_bucket and shift > 0:
            self._spreading, self._spread = entries, 0
            return 0
        self._bound = ((self._base >> shift) + 1) << shift  # compiled, 1 << shift would have 32 bits
        at: i64 = 0
        while at < len(entries):
            self._first.append((int(read_i64_be(entries, at)), int(read_i64_be(entries, at + 8))))
            at += ENTRY
        heapq.heapify(self._first)
        return count

    def _start_of(self, key: i64) -> i64:
        """The lowest position that may be in the bucket with this key."""
        shift = key >> 8
        above = self._base >> shift >> 8 << 8
        return (above + (key & 255)) << shift

    def _go_on_spreading(self, most: i64) -> i64:
        entries = self._spreading
        end = min(self._spread + most * ENTRY, i64(len(entries)))
        moved = (end - self._spread) // ENTRY
        while self._spread < end:
            self._put(read_i64_be(entries, self._spread), read_i64_be(entries, self._spread + 8))
            self._spread += ENTRY
        if end == len(entries):
            self._spreading = b""
        return moved

    def take(self, limit: i64, most: int) -> list[tuple[int, int]]:
        """Take the first entries up to this position, as many as are at hand: none only if there are none."""
        taken: list[tuple[int, int]] = []
        while self._first and self._first[0][0] <= limit and len(taken) < most:
            taken.append(heapq.heappop(self._first))
        self.count -= len(taken)
        return taken

    def put_back(self, position: i64, place: i64) -> None:
        """Add an entry again that was taken."""
        self.count += 1
        heapq.heappush(self._first, (int(position), int(place)))

    def clear(self) -> list[int]:
        """Take everything: the places, in no order."""
        places = [place for _, place in self._first]
        rest = [bucket.getvalue() for bucket in self._buckets.values()]
        rest.append(self._spreading[int(self._spread) :])
        for entries in rest:
            places += [int(read_i64_be(entries, at + 8)) for at in range(0, len(entries), int(ENTRY))]
        self._first, self._buckets, self._spreading = [], {}, b""
        self._start, self.count = NOWHERE, 0
        return places
