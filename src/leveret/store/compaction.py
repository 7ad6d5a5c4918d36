"""Copying forward: what is still wanted of a closed segment that is nearly empty is read, to be written again.

Which records these are stands in the segment's index and its settles, on disk; keeping it in memory for every
segment would cost more than reading it for the few that are copied. Settles that come in while it is read are kept
by the segment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from librt.strings import read_i32_be, read_i64_be
from mypy_extensions import i64

from leveret.broker.durability import LEVEL_SHIFT, SEGMENT_SHIFT
from leveret.store.batch import Copy
from leveret.store.reader import LogReader
from leveret.store.record import DELIVERED, MESSAGE, TRANSIENT
from leveret.store.recovery import read_settled, segment_entries
from leveret.store.segment import INDEX_ENTRY, Segment
from leveret.store.worker import Job

if TYPE_CHECKING:
    from leveret.store.local import LocalStore


class CopyForward(Job):
    """Reads what is alive in one segment."""

    def __init__(self, store: LocalStore, reader: LogReader, segment: Segment) -> None:
        self.store: Final = store
        self.reader: Final = reader
        self.segment: Final = segment
        self.copies: Final[list[Copy]] = []
        self.lost: Final[list[int]] = []  # places of damaged records

    def run(self) -> None:
        """Read; on the reading thread."""
        files = self.store.segment_files
        number = int(self.segment.number)
        settled = read_settled(files, number)
        entries = segment_entries(files, number)
        restored_for = self.segment.restored_for
        delivered_whole = settled.delivered_whole(entries)
        found: dict[int, list[tuple[int, int]]] = {}
        transient: set[int] = set()
        delivered: dict[tuple[int, int], int] = {}  # by queue id and level of positions
        at: i64 = 0
        while at < len(entries):
            offset = int(read_i32_be(entries, at))
            queue_id = int(read_i64_be(entries, at + 8))
            position = int(read_i64_be(entries, at + 16))
            pair = queue_id << 32 | offset
            flags = i64(read_i32_be(entries, at + 4))
            is_transient = flags & TRANSIENT != 0
            at += INDEX_ENTRY
            if restored_for is not None and (is_transient or queue_id not in restored_for):
                continue
            if pair in settled.delivered or flags & DELIVERED or queue_id in delivered_whole:
                level = (queue_id, position >> LEVEL_SHIFT)
                delivered[level] = max(position, delivered.get(level, -1))
            if pair not in settled.pairs and pair not in self.segment.superseded:
                found.setdefault(offset, []).append((queue_id, position))
            if is_transient:
                transient.add(offset)
        for offset, pairs in found.items():
            self._copy(offset, pairs, TRANSIENT if offset in transient else MESSAGE, delivered)
        self.reader.forget()

    def _copy(
        self, offset: int, pairs: list[tuple[int, int]], kind: i64, delivered: dict[tuple[int, int], int]
    ) -> None:
        place = (self.segment.number << SEGMENT_SHIFT) + offset
        message = self.reader.message(place)
        if message is None:
            self.lost.append(int(place))
            return
        gone = {
            queue_id
            for queue_id, position in pairs
            if position <= delivered.get((queue_id, position >> LEVEL_SHIFT), -1)
        }
        self.copies.append(Copy(place, kind, message, pairs, gone))

    def done(self) -> None:
        """Have the copies written; on the event loop."""
        self.store.copied(self)
