"""What a start finds in the message log: for each queue the places of its messages, in order, and what it had
delivered.

A closed segment has an index, so its bodies are not read; where the index is missing, the log itself is scanned.
The last segment's torn tail is cut: nothing in it was confirmed. Damage elsewhere is set aside in a file of its
own, logged with its place, and the rest is served.

Messages stand in the log in the order of their positions, but for those that were copied forward, and a few that dead
letters overtook on their way into the queue: these are gathered first and merged in where they belong. A crash may
leave a copy and its original, which have the same position: the newest one counts, and is settled if any of them is.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Set
from typing import Final

from librt.strings import BytesWriter, read_i16_be, read_i32_be, read_i64_be, write_i64_be
from mypy_extensions import i64

from leveret.amqp.properties import EXPIRATION
from leveret.broker.backlog import Backlog
from leveret.broker.due_index import DuePositions
from leveret.broker.durability import LEVEL_SHIFT, SEGMENT_SHIFT
from leveret.broker.message import BODY_SIZE_AT, FLAGS_AT
from leveret.store.record import (
    COPIED,
    DELIVERED,
    EXPIRES,
    GROUP,
    GROUP_HEAD,
    MEMBER,
    MESSAGE,
    RECORD_HEAD,
    TRANSIENT,
    has_message_shape,
    is_intact,
    message_content,
    payload_size,
    target_count,
    target_delivered,
    target_position,
    target_queue,
)
from leveret.store.segment import (
    DELIVERED_MARK,
    INDEX_ENTRY,
    LOG_HEAD,
    Segment,
    Settled,
    check_log_head,
    index_entries,
    index_file,
    index_has_groups,
    write_index_entry,
)
from leveret.store.segment_files import SegmentFiles

log: Final = logging.getLogger("leveret.store")

NOWHERE: Final[i64] = 1 << 62  # behind every position


class Damage:
    """A stretch of a log that is no record."""

    def __init__(self, number: int, offset: int, octets: bytes) -> None:
        self.number: Final = number
        self.offset: Final = offset
        self.octets: Final = octets


class CopiedMessage:
    """A message that was copied forward: where to last, and whether it was settled wherever it stands."""

    def __init__(self, place: i64, size: i64, settled: bool) -> None:
        self.place: Final[i64] = place
        self.size: Final[i64] = size
        self.settled = settled


class RecoveredQueue:
    """What a queue had of one priority."""

    def __init__(self, priority: i64) -> None:
        self.backlog: Final = Backlog()
        self.next_position: i64 = priority << LEVEL_SHIFT
        self.delivered_through: i64 = -1  # the highest position that was delivered
        self.redelivered: i64 = 0  # how many of the messages are not above it
        self.octets: i64 = 0
        self.expires = False  # whether any of the messages has an expiration of its own
        self.lowest: i64 = NOWHERE  # position of those that were not copied, in the part of the log that was surveyed
        self.copies: dict[int, CopiedMessage] = {}  # by position
        self._copied: list[int] = []  # positions of those that are wanted, in order
        self._copied_at = 0

    def survey(self, position: i64, place: i64, flags: i64, size: i64, settled: bool) -> None:
        """A persistent message stands at this place, before all that were surveyed until now."""
        if flags & EXPIRES and not settled:
            self.expires = True
        if flags & COPIED or position > self.lowest or (self.copies and int(position) in self.copies):
            self.note_copy(int(position), place, size, settled)
        else:
            self.lowest = position

    def note_copy(self, position: int, place: i64, size: i64, settled: bool) -> None:
        """A message that was copied stands at this place; the newest place comes first."""
        known = self.copies.get(position)
        if known is None:
            self.copies[position] = CopiedMessage(place, size, settled)
        elif settled:
            known.settled = True

    def begin(self) -> None:
        """All copies are known; the others come now."""
        self._copied = sorted([position for position, copy in self.copies.items() if not copy.settled])

    def count(self) -> int:
        """How many messages were found."""
        return self.backlog.count()

    def add(self, position: i64, place: i64, size: i64) -> None:
        """A message that is still wanted, in order."""
        while self._copied_at < len(self._copied) and self._copied[self._copied_at] < position:
            self._add_copied()
        self._append(position, place, size)

    def finish(self) -> None:
        """No more messages come."""
        while self._copied_at < len(self._copied):
            self._add_copied()
        self.copies = {}
        self._copied = []

    def _add_copied(self) -> None:
        position = self._copied[self._copied_at]
        self._copied_at += 1
        copy = self.copies[position]
        self._append(position, copy.place, copy.size)

    def _append(self, position: i64, place: i64, size: i64) -> None:
        self.backlog.append_place(place)
        if self.backlog.placed == 1:
            self.backlog.end_page()  # an expiring queue has its head read at once, and that alone
        self.octets += size
        if position <= self.delivered_through:
            self.redelivered += 1
        if position >= self.next_position:
            self.next_position = position + 1


class RecoveredDelays(RecoveredQueue):
    """What a delay queue had. Its positions are due times, in no order in the log."""

    def __init__(self) -> None:
        super().__init__(0)
        self.entries: Final = BytesWriter()  # of positions and places
        self.positions: Final = DuePositions()

    def survey(self, position: i64, place: i64, flags: i64, size: i64, settled: bool) -> None:
        self.positions.note(position)
        if flags & COPIED or (self.copies and int(position) in self.copies):
            self.note_copy(int(position), place, size, settled)

    def count(self) -> int:
        return len(self.entries) // 16

    def _append(self, position: i64, place: i64, size: i64) -> None:
        write_i64_be(self.entries, position)
        write_i64_be(self.entries, place)
        self.octets += size


class Recovery:
    """Reads a message log. `queues` has what was found for the wanted queues, by their ids and by priority."""

    def __init__(
        self, files: SegmentFiles, queue_ids: set[int], repair: bool, delay_queue_ids: Set[int] = frozenset()
    ) -> None:
        self.files: Final = files
        self.repair: Final = repair  # whether torn tails are cut and indexes written; else nothing is changed
        self.queues: Final[dict[tuple[int, int], RecoveredQueue]] = {}
        self.segments: Final[dict[int, Segment]] = {}
        self.damages: Final[list[Damage]] = []
        self.torn = 0  # octets cut from the tail
        self.scanned = 0  # segments that had no index
        self.messages = 0
        self.next_number = 1  # for the segment to be begun
        self.known_queue_ids: Final[set[int]] = set()  # also of queues that are gone, if something of them is left
        self._queue_ids: Final = queue_ids
        self._delay_queue_ids: Final = delay_queue_ids
        self._scanned: Final[dict[int, bytes]] = {}  # entries of segments without an index
        self._group_settles: Final[dict[int, set[int]]] = {}  # by segment: entries settled by groups

    def run(self) -> None:
        """Read everything. Raises NewerFormat, or OSError."""
        numbers = segment_numbers(self.files)
        self._clear_orphans(set(numbers))
        for number in reversed(numbers):
            self._survey(number, number == numbers[-1])
        for queue in self.queues.values():
            queue.begin()
        for number in numbers:
            if number in self.segments:
                self._collect(number)
        for queue in self.queues.values():
            queue.finish()
            self.messages += queue.count()

    def _queue(self, queue_id: int, position: i64) -> RecoveredQueue:
        """What is known so far of the messages of one queue and priority."""
        delays = queue_id in self._delay_queue_ids
        key = (queue_id, 0 if delays else int(position >> LEVEL_SHIFT))
        queue = self.queues.get(key)
        if queue is None:
            queue = self.queues[key] = RecoveredDelays() if delays else RecoveredQueue(position >> LEVEL_SHIFT)
        return queue

    def _clear_orphans(self, numbers: set[int]) -> None:
        """Files whose log is gone mean nothing; no segment must get their number."""
        for name in self.files.files.names(self.files.directory):
            stem, _, ending = name.partition(".")
            if stem.isdigit() and ending in ("log", "index", "settled"):
                self.next_number = max(self.next_number, int(stem) + 1)
                if self.repair and int(stem) not in numbers:
                    self.files.files.remove(f"{self.files.directory}/{name}")

    def _survey(self, number: int, last: bool) -> None:
        """First pass: index the segment if it has none; gather copies, deliveries and the settles of groups.

        It goes from the log's end to its beginning: what copies and groups tell of is older than they are.
        """
        segment = Segment(number)
        segment.closed = True
        segment.restored_for = self._queue_ids
        entries = self._entries(segment, last)
        if entries is None:
            return
        self.segments[number] = segment
        settled = self._settled(number)
        pairs = settled.pairs | self._group_settles.get(number, set())
        delivered_whole = settled.delivered_whole(entries)
        at: i64 = len(entries)
        while at > 0:
            at -= INDEX_ENTRY
            flags = i64(read_i32_be(entries, at + 4))
            offset = i64(read_i32_be(entries, at))
            queue_id = int(read_i64_be(entries, at + 8))
            self.known_queue_ids.add(queue_id)
            if queue_id in self._queue_ids:
                position = read_i64_be(entries, at + 16)
                queue = self._queue(queue_id, position)
                pair = queue_id << 32 | int(offset)
                was_delivered = flags & DELIVERED or pair in settled.delivered or queue_id in delivered_whole
                if was_delivered and position > queue.delivered_through:
                    queue.delivered_through = position
                if position >= queue.next_position:
                    queue.next_position = position + 1
                if not flags & TRANSIENT:
                    place = (number << SEGMENT_SHIFT) + offset
                    queue.survey(position, place, flags, read_i64_be(entries, at + 24), pair in pairs)

    def _settled(self, number: int) -> Settled:
        """What was settled in a segment; an unfinished write is cut, or what is written behind it would not be read."""
        settled = Settled()
        path = self.files.path(number, "settled")
        try:
            data = self.files.files.read_whole(path)
        except FileNotFoundError:
            return settled
        end = int(settled.read(data))
        if end < len(data) and self.repair:
            self.files.files.truncate(path, end)
        return settled

    def _collect(self, number: int) -> None:
        """Second pass: add the messages that are still wanted to their queues.

        What is settled, or was delivered, by something that stands elsewhere is left for the segment's own file: that
        other thing may go.
        """
        segment = self.segments[number]
        settled = read_settled(self.files, number)
        settles = self._group_settles.get(number, set()) - settled.pairs
        pairs = settled.pairs | settles
        entries = self._scanned.pop(number, None) or segment_entries(self.files, number)
        delivered: dict[RecoveredQueue, int] = {}  # the pair of the last message that was delivered
        at: i64 = 0
        while at < len(entries):
            flags = i64(read_i32_be(entries, at + 4))
            queue_id = int(read_i64_be(entries, at + 8))
            segment.total += 1
            if not flags & TRANSIENT:
                offset = i64(read_i32_be(entries, at))
                if queue_id in self._queue_ids:
                    pair = queue_id << 32 | int(offset)
                    place = (number << SEGMENT_SHIFT) + offset
                    position = read_i64_be(entries, at + 16)
                    queue = self._queue(queue_id, position)
                    copy = queue.copies.get(int(position)) if queue.copies else None
                    if position <= queue.delivered_through and pair not in pairs:
                        delivered[queue] = pair
                    if copy is None:
                        if pair not in pairs:
                            segment.live += 1
                            queue.add(position, place, read_i64_be(entries, at + 24))
                    elif copy.place != place:
                        segment.sync_before_removal = True
                        segment.superseded.add(pair)
                        self.segments[int(copy.place >> SEGMENT_SHIFT)].sources.add(number)
                    elif not copy.settled:
                        segment.live += 1
                    elif pair not in pairs:
                        settles.add(pair)
            at += INDEX_ENTRY
        for pair in settles:
            write_i64_be(segment.settles, pair)
        for pair in delivered.values():
            if pair not in settled.delivered:
                write_i64_be(segment.settles, pair | DELIVERED_MARK)

    def _entries(self, segment: Segment, last: bool) -> bytes | None:
        """The index entries of a segment; None if it holds nothing that could be served."""
        number = int(segment.number)
        path = self.files.path(number, "index")
        try:
            index = self.files.files.read_whole(path)
        except FileNotFoundError:
            index = b""
        entries = index_entries(index)
        if entries is not None and not last and not index_has_groups(index):
            return entries
        log_path = self.files.path(number, "log")
        data = self.files.files.read_whole(log_path)
        self.scanned += 1
        has_head = check_log_head(log_path, data, last)
        scan = SegmentScan(number, data)
        scan.run()
        if not has_head and not scan.records:
            if data[LOG_HEAD:].strip(b"\0"):
                self.damages.append(Damage(number, 0, data))
            else:
                self.torn += len(data)  # it was being begun
                if self.repair:
                    self.files.files.remove(log_path)
            return None
        if not has_head:
            scan.damages.insert(0, Stretch(0, int(LOG_HEAD)))
        end = len(data)
        if last:
            if scan.damages and scan.damages[-1].end == end:
                torn = scan.damages.pop()
                self.torn += torn.end - torn.start
                end = torn.start
            if self.repair:
                # Also if there is nothing to cut: this puts on the disk what the process before had not synced.
                self.files.files.truncate(log_path, end)
        segment.has_groups = bool(scan.group_settles)
        for stretch in scan.damages:
            self.damages.append(Damage(number, stretch.start, data[stretch.start : stretch.end]))
        for place, queue_id in scan.group_settles:
            settles = self._group_settles.setdefault(place >> 32, set())
            settles.add(queue_id << 32 | (place & 0x7FFFFFFF))
        entries = self._scanned[number] = scan.entries.getvalue()
        if self.repair:
            self.files.files.remove(path)
            descriptor = self.files.files.open_append(path)
            self.files.files.write(descriptor, index_file(entries, bool(scan.group_settles)))
            self.files.files.close(descriptor)
        return entries


class Stretch:
    """A part of a segment."""

    def __init__(self, start: int, end: int) -> None:
        self.start: Final = start
        self.end: Final = end


class SegmentScan:
    """Reads a log from its first record to its end."""

    def __init__(self, number: int, data: bytes) -> None:
        self.number: Final = number
        self.entries: Final = BytesWriter()
        self.damages: Final[list[Stretch]] = []
        self.group_settles: Final[list[tuple[int, int]]] = []
        self.records = 0
        self._data: Final = data

    def run(self) -> None:
        """Read; what is no record is noted and passed over."""
        data = self._data
        at: i64 = LOG_HEAD
        end: i64 = len(data)
        while at < end:
            size = record_at(data, at)
            if size < 0:
                start = at
                at += 1
                while at < end and record_at(data, at) < 0:
                    at += 1
                self.damages.append(Stretch(int(start), int(at)))
                continue
            self._record(at, size)
            at += RECORD_HEAD + size

    def _record(self, at: i64, size: i64) -> None:
        data = self._data
        payload = at + RECORD_HEAD
        self.records += 1
        if i64(data[payload]) != GROUP:
            self._message(at)
            return
        settles = i64(read_i32_be(data, payload + 4))
        inner: i64 = payload + GROUP_HEAD
        while settles > 0:
            self.group_settles.append((int(read_i64_be(data, inner)), int(read_i64_be(data, inner + 8))))
            inner += 16
            settles -= 1
        while inner < payload + size:
            inner_size = i64(read_i32_be(data, inner))
            self._message(inner)
            inner += RECORD_HEAD + inner_size

    def _message(self, at: i64) -> None:
        data = self._data
        payload = at + RECORD_HEAD
        content = message_content(data, payload)
        body_size = read_i64_be(data, content + BODY_SIZE_AT)
        flags: i64 = i64(data[payload + 1]) & COPIED
        if i64(read_i16_be(data, content + FLAGS_AT)) & EXPIRATION:
            flags |= EXPIRES
        if i64(data[payload]) == TRANSIENT:
            flags |= TRANSIENT
        for index in range(int(target_count(data, payload))):
            entry_flags = flags | (DELIVERED if target_delivered(data, payload, index) else 0)
            position = target_position(data, payload, index)
            write_index_entry(self.entries, at, entry_flags, target_queue(data, payload, index), position, body_size)


def record_at(data: bytes, at: i64) -> i64:
    """The size of the payload of the intact record at `at`, or -1 if there is none."""
    size = payload_size(data, at)
    if size < 0:
        return -1
    payload = at + RECORD_HEAD
    kind = i64(data[payload])
    if kind in (MESSAGE, TRANSIENT):
        if i64(data[payload + 1]) & MEMBER or not has_message_shape(data, payload, size):
            return -1
    elif kind != GROUP:
        return -1
    return size if is_intact(data, at, size) else -1


def segment_numbers(files: SegmentFiles) -> list[int]:
    """The numbers of the segments there are, in order."""
    numbers: list[int] = []
    for name in files.files.names(files.directory):
        stem, _dot, ending = name.partition(".")
        if ending == "log" and stem.isdigit():
            numbers.append(int(stem))
    return sorted(numbers)


def read_settled(files: SegmentFiles, number: int) -> Settled:
    """What was settled in a segment."""
    settled = Settled()
    with contextlib.suppress(FileNotFoundError):
        settled.read(files.files.read_whole(files.path(number, "settled")))
    return settled


def segment_entries(files: SegmentFiles, number: int) -> bytes:
    """The index entries of a closed segment, from its log if there is no whole index."""
    try:
        entries = index_entries(files.files.read_whole(files.path(number, "index")))
    except FileNotFoundError:
        entries = None
    if entries is None:
        scan = SegmentScan(number, files.files.read_whole(files.path(number, "log")))
        scan.run()
        entries = scan.entries.getvalue()
    return entries
