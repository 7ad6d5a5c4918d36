"""A segment of the message log: its files, and the count of what in it is still wanted.

    00000042.log      magic, format version, then records (record.py)
    00000042.settled  batches `count u32, crc32 u32, count x i64` of entries `queue id << 32 | mark | offset`: the queue
                      is done with the message at that offset, or, with the mark, had delivered everything up to it
    00000042.index    magic, version, count, crc32, then 32 octets for each (message, queue): written when the segment
                      is closed, so that a start need not read the bodies; without it the log itself is read

`live` counts the (message, queue) pairs that are not settled; a closed segment without any is deleted.
"""

from __future__ import annotations

import zlib
from typing import Final

from librt.strings import BytesWriter, read_i32_be, read_i64_be, write_i32_be, write_i64_be
from mypy_extensions import i32, i64

from leveret.store.record import read_u32, write_u32

FORMAT_VERSION: Final = 1
LOG_MAGIC: Final = b"LEVERETL"
INDEX_MAGIC: Final = b"LEVERETI"
LOG_HEAD: Final[i64] = 16  # magic, version u32, 4 octets of nothing
INDEX_HEAD: Final[i64] = 24  # magic, version u32, count u32, crc32 u32, groups u32
INDEX_ENTRY: Final[i64] = 32  # offset u32, flags u32, queue id i64, position i64, body size i64
SEGMENT_SIZE: Final = 32 * 1024 * 1024  # octets, unless the operator wants another size
OFFSET: Final[i64] = 0x7FFFFFFF
DELIVERED_MARK: Final[i64] = 0x80000000
SETTLED_HEAD: Final[i64] = 8


class NewerFormat(Exception):
    """A file was written by a newer version than this one can read."""


class Segment:
    """What is known of one segment while the broker runs."""

    def __init__(self, number: int) -> None:
        self.number: Final[i64] = number
        self.size: i64 = LOG_HEAD
        self.live: i64 = 0
        self.total: i64 = 0
        self.closed = False
        self.settles = BytesWriter()  # entries not written yet
        self.index = BytesWriter()  # entries of the index to be, until the segment is closed
        self.has_groups = False
        self.sync_before_removal = False  # settles elsewhere stand in for what is in this one
        self.readers = 0  # read-aheads that are under way: it must not be deleted meanwhile
        self.copying = False
        self.settled_while_copying: Final[set[int]] = set()
        self.delivered_while_copying: Final[dict[int, int]] = {}  # by queue id: the highest offset
        self.moved_in: list[int] = []  # old places of records that were copied into this segment
        self.sources: Final[set[int]] = set()  # segments of which it has copies: it must not go before them
        self.superseded: Final[set[int]] = set()  # entries that had a copy already when the broker started
        self.restored_for: set[int] | None = None  # if it was there at the start: the queues it was read for

    def name(self) -> str:
        """The files' name without its ending."""
        return segment_name(int(self.number))

    def settle(self, queue_id: i64, offset: i64) -> None:
        """A queue is done with a message."""
        entry: i64 = queue_id << 32 | offset
        write_i64_be(self.settles, entry)
        self.live -= 1
        if self.copying:
            self.settled_while_copying.add(int(entry))

    def note_delivered(self, queue_id: i64, offset: i64) -> None:
        """A queue delivered everything up to a message."""
        write_i64_be(self.settles, queue_id << 32 | DELIVERED_MARK | offset)
        self.remember_delivered(queue_id, offset)

    def remember_delivered(self, queue_id: i64, offset: i64) -> None:
        """A mark was written that a copy in the making may have missed."""
        if self.copying and offset > self.delivered_while_copying.get(int(queue_id), -1):
            self.delivered_while_copying[int(queue_id)] = int(offset)

    def add(self, offset: i64, flags: i64, queue_id: i64, position: i64, size: i64) -> None:
        """A message for a queue was appended; the size is its body's."""
        self.live += 1
        self.total += 1
        write_index_entry(self.index, offset, flags, queue_id, position, size)

    def take_settles(self) -> bytes:
        """The batch of entries to be written, or nothing."""
        if len(self.settles) == 0:
            return b""
        entries = self.settles.getvalue()
        self.settles = BytesWriter()
        return settled_batch(entries)

    def take_index(self) -> bytes:
        """The index file of the segment, which is being closed."""
        entries = self.index.getvalue()
        self.index = BytesWriter()
        return index_file(entries, self.has_groups)


def settled_batch(entries: bytes) -> bytes:
    """Entries as they stand in a settled file."""
    head = BytesWriter()
    write_i32_be(head, i32(len(entries) // 8))
    write_u32(head, zlib.crc32(entries))
    return head.getvalue() + entries


def mark_batch(queue_id: i64, offset: i64) -> bytes:
    """A batch of one mark: the queue delivered everything up to an offset."""
    entry = BytesWriter()
    write_i64_be(entry, queue_id << 32 | DELIVERED_MARK | offset)
    return settled_batch(entry.getvalue())


def segment_name(number: int) -> str:
    """The name of a segment's files without the ending."""
    return f"{number:08d}"


def log_head() -> bytes:
    """What a log file begins with."""
    writer = BytesWriter()
    writer.write(LOG_MAGIC)
    write_i32_be(writer, i32(FORMAT_VERSION))
    write_i32_be(writer, i32(0))
    return writer.getvalue()


def check_log_head(name: str, data: bytes, last: bool) -> bool:
    """Whether a file begins as a log does; NewerFormat if it does in a version to come.

    If the last one has nothing in it yet, what stands there may be any part of a head that was being written.
    """
    if last and len(data) <= LOG_HEAD:
        return data == log_head()
    if len(data) < LOG_HEAD or data[:8] != LOG_MAGIC:
        return False
    version = int(read_i32_be(data, 8))
    if version > FORMAT_VERSION:
        raise NewerFormat(f"{name} has format version {version}, and this broker knows up to {FORMAT_VERSION}")
    return True


def index_file(entries: bytes, has_groups: bool) -> bytes:
    """An index file with these entries; it says whether groups in the segment settled messages of any segment."""
    writer = BytesWriter()
    writer.write(INDEX_MAGIC)
    write_i32_be(writer, i32(FORMAT_VERSION))
    write_i32_be(writer, i32(len(entries) // INDEX_ENTRY))
    groups = b"\0\0\0\1" if has_groups else bytes(4)
    write_u32(writer, index_crc(entries, writer.getvalue() + groups))
    writer.write(groups)
    writer.write(entries)
    return writer.getvalue()


def index_entries(data: bytes) -> bytes | None:
    """The entries of an index file, or None if it is not whole."""
    if len(data) < INDEX_HEAD or data[:8] != INDEX_MAGIC or int(read_i32_be(data, 8)) != FORMAT_VERSION:
        return None
    entries = data[INDEX_HEAD:]
    if len(entries) != read_u32(data, 12) * INDEX_ENTRY:
        return None
    return entries if index_crc(entries, data[:16] + data[20:24]) == int(read_u32(data, 16)) else None


def index_crc(entries: bytes, head: bytes) -> int:
    """The CRC of an index file, but for itself. The head counts too: one of zeros must not stand for no entries."""
    return zlib.crc32(entries, zlib.crc32(head))


def index_has_groups(data: bytes) -> bool:
    """Whether a whole index file says that the segment's groups have to be read from the log."""
    return int(read_i32_be(data, 20)) != 0


def write_index_entry(writer: BytesWriter, offset: i64, flags: i64, queue_id: i64, position: i64, size: i64) -> None:
    """One entry of an index."""
    write_i32_be(writer, i32(offset))
    write_i32_be(writer, i32(flags))
    write_i64_be(writer, queue_id)
    write_i64_be(writer, position)
    write_i64_be(writer, size)


class Settled:
    """What a `.settled` file says."""

    def __init__(self) -> None:
        self.pairs: Final[set[int]] = set()  # queue id << 32 | offset
        self.delivered: Final[set[int]] = set()  # the same, for marks: delivered up to there

    def read(self, data: bytes) -> i64:
        """Take in the batches of a file up to the first that is not whole, and give where it begins."""
        at: i64 = 0
        end: i64 = len(data)
        while end - at >= SETTLED_HEAD:
            count = read_u32(data, at)
            start = at + SETTLED_HEAD
            if count * 8 > end - start:
                break
            stop = start + count * 8
            if zlib.crc32(data[start:stop]) != int(read_u32(data, at + 4)):
                break
            while start < stop:
                self._take(read_i64_be(data, start))
                start += 8
            at = stop
        return at

    def delivered_whole(self, entries: bytes) -> set[int]:
        """Ids of the queues that had delivered all that a segment with these index entries has for them.

        Their mark is at a record that was being written when the broker was killed.
        """
        last: i64 = i64(read_i32_be(entries, len(entries) - INDEX_ENTRY)) if entries else -1
        # Compiled by mypyc 2.4, int(OFFSET) is -1: a constant of 31 bits is doubled in 32 bits.
        return {mark >> 32 for mark in self.delivered if i64(mark) & OFFSET > last}

    def _take(self, entry: i64) -> None:
        if entry & DELIVERED_MARK:
            self.delivered.add(int(entry - DELIVERED_MARK))
        else:
            self.pairs.add(int(entry))
