"""The message log: what was persisted goes to the active segment in batches, one at a time, each with one sync.

While a batch is being written the next one gathers in `pending`, without a timer: an idle log writes at once, a busy
one writes more at a time. A message that all its queues are done with before its batch is formed is never written.

A batch is formed on the event loop (places are given, records made), written by the writing thread, and completed on
the event loop again. Settles go with the next batch, each beside its own segment; nothing waits for their sync. Only
what a group settles waits, for the group's: or a power failure could keep that a message was moved, and not where to.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

from librt.strings import BytesWriter, write_i16_be, write_i32_be, write_i64_be
from mypy_extensions import i16, i32, i64

from leveret.broker.backing_queue import BackingQueue
from leveret.broker.channel import Channel
from leveret.broker.connection import Connection
from leveret.broker.durability import NOT_STORED, PENDING, SEGMENT_SHIFT, LogEntry
from leveret.broker.message import Message
from leveret.store.batch import Append, Batch, Copy, Group, Remove, Roll, Settle
from leveret.store.record import (
    COPIED,
    DELIVERED,
    GROUP,
    MEMBER,
    MESSAGE,
    RECORD_HEAD,
    TARGET,
    TRANSIENT,
    index_flags,
    message_head,
    pairs_head,
    was_delivered,
    write_record_head,
)
from leveret.store.segment import LOG_HEAD, OFFSET, Segment, mark_batch
from leveret.store.segment_files import SegmentFiles
from leveret.store.worker import Worker

LARGE_CONTENT: Final[i64] = 64 * 1024  # content from here on is written from where it is, not copied into the batch
SHRINK_AT: Final[i64] = 1024 * 1024  # an active segment that is all settled is given up from this size on
LARGEST_GROUP: Final[i64] = 1 << 30  # octets of a group from which on it goes on in another record: a size is 31 bits
SPARSE: Final[i64] = 8  # a closed segment with less than one pair in so many alive is copied forward


class MessageLog:
    """The log's state on the event loop."""

    def __init__(
        self,
        segment_files: SegmentFiles,
        writer: Worker,
        always_sync: bool,
        on_done: Callable[[Batch], None],
        segment_size: int,
    ) -> None:
        self.segment_size: Final[i64] = segment_size
        self.sparse = SPARSE  # a test may have more copied
        self.segment_files: Final = segment_files
        self.writer: Final = writer
        self.on_done: Final = on_done
        self.sync_due = False  # in the modes that don't sync each batch: the next one is to be synced
        self._unsynced = False
        self._unsynced_settles: list[tuple[int, int]] = []  # places and queue ids that groups in it settled
        self.always_sync: Final = always_sync
        self.uncommitted: Final[dict[int, int]] = {}  # by queue id: the commit of its definition, until that is done
        self.segments: Final[dict[int, Segment]] = {}
        self.active = Segment(0)
        self.pending: list[LogEntry] = []
        self.pending_octets: i64 = 0
        self.writing: Batch | None = None
        self.waiting_since = 0.0  # the tick in which the first of them came, 0.0 for none
        self.waiting: dict[Channel, None] = {}  # channels that publish and want to know when it is on disk
        self.held: list[Connection] = []  # connections that wait for the next batch
        self.behind: dict[BackingQueue, None] = {}  # queues with messages that leave memory when they can be read back
        self.moved: Final[dict[int, int]] = {}  # places of records that were copied forward, or lost (NOT_STORED)
        self.copied_from: Final[dict[int, set[int]]] = {}  # segments being copied: entries settled since they were read
        self._dirty: dict[Segment, None] = {}  # segments with settles to write
        self._emptied: list[Segment] = []
        self._sparse: dict[Segment, None] = {}  # closed segments of which little is alive
        self._long_sparse: dict[Segment, None] = {}  # those that were so the last time they were looked at
        self._to_copy: list[Segment] = []
        self._scratch: Final = BytesWriter()
        self._records = BytesWriter()
        self._pieces: list[bytes] = []

    def begin(self, number: int) -> None:
        """Write to a new segment from now on."""
        self.active = Segment(number)
        self.segments[number] = self.active
        self.segment_files.begin(number)

    def adopt(self, segment: Segment) -> None:
        """Take over a segment that was there at the start, with the settles that it has to be given yet."""
        self.segments[int(segment.number)] = segment
        if len(segment.settles):
            self._dirty[segment] = None
        self.consider(segment)

    # settling

    def settle(self, message: Message, queue_id: i64) -> None:
        """A queue is done with a message."""
        if message.place == PENDING:
            targets = message.targets
            if targets is not None:
                message.targets = [target for target in targets if target.queue.id != queue_id]
        else:
            self.settle_place(message.place, queue_id)

    def settle_place(self, place: i64, queue_id: i64) -> None:
        """A queue is done with the message at a place."""
        place = self.resolve(place)
        if place == NOT_STORED:
            return
        segment = self.segments[int(place >> SEGMENT_SHIFT)]
        if len(segment.settles) == 0:
            self._dirty[segment] = None
        segment.settle(queue_id, place & OFFSET)
        if segment.closed:
            self.consider(segment)

    def consider(self, segment: Segment) -> None:
        """A closed segment may not be worth its disk space any more."""
        if segment.live == 0:
            self._emptied.append(segment)
        elif segment.live * self.sparse < segment.total or segment.superseded:
            self._sparse[segment] = None

    def note_delivered(self, queue_id: i64, place: i64) -> None:
        """A queue delivered everything up to a place."""
        place = self.resolve(place)
        if place != NOT_STORED:
            self._mark_delivered(self.segments[int(place >> SEGMENT_SHIFT)], queue_id, place & OFFSET)

    def mark_now(self, queue_id: i64, place: i64) -> None:
        """As `note_delivered`, but the mark is written when this returns: the delivery goes out in this tick."""
        place = self.resolve(place)
        if place != NOT_STORED:
            number = int(place >> SEGMENT_SHIFT)
            self.segment_files.mark(number, mark_batch(queue_id, place & OFFSET))
            self.segments[number].remember_delivered(queue_id, place & OFFSET)

    def resolve(self, place: i64) -> i64:
        """Where a record is now, if it was copied forward; NOT_STORED if it turned out to be damaged then.

        What was copied is settled in its new place from that moment on, although the old segment may still be there.
        """
        moved = self.moved
        while int(place) in moved:
            place = moved[int(place)]
        return place

    # batches

    def start_batch(self, commit: int) -> None:
        """Form a batch of all that is pending and have it written; does nothing while one is being written."""
        if self.writing is not None or not self._has_work():
            return
        batch = Batch(self)
        batch.commit = commit
        for entry in self.pending:
            if isinstance(entry, Message):
                self._add_message(batch, entry)
            elif isinstance(entry, Group):
                self._add_group(batch, entry)
            elif isinstance(entry, Copy):
                self._add_copy(batch, entry)
        self.pending = []
        self.pending_octets = 0
        self._flush_records(batch)
        if self._may_shrink():
            self._roll(batch)
        self._add_settles(batch)
        self._add_removals(batch)
        batch.confirms = [(channel, int(channel.unsynced_tag)) for channel in self.waiting]
        self.waiting = {}
        batch.waiting_since, self.waiting_since = self.waiting_since, 0.0
        batch.held, self.held = self.held, []
        batch.readable = (self.active.number << SEGMENT_SHIFT) + self.active.size
        self.writing = batch
        self._unsynced = self._unsynced or batch.octets > 0
        if self._unsynced and (self.always_sync or self.sync_due or batch.copies or batch.early or batch.settling):
            batch.synced = True
            batch.settles, self._unsynced_settles = self._unsynced_settles, []
            self._unsynced = self.sync_due = False
        if batch.steps or batch.synced:
            self.writer.submit(batch)
        else:
            batch.done()

    def _has_work(self) -> bool:
        return bool(
            self.pending
            or self._dirty
            or self.waiting
            or self.held
            or (self.sync_due and self._unsynced)
            or self._to_copy
            or self._may_shrink()
            or any(not self._is_in_use(segment) for segment in self._emptied)
        )

    def _add_message(self, batch: Batch, message: Message) -> None:
        targets = message.targets
        if not targets:
            return  # every queue was done with it already
        kind = MESSAGE if message.persistent and targets[0].queue.durable else TRANSIENT
        head = message_head(self._scratch, message, kind, 0)
        offset = self._append(batch, head, message.content)
        active = self.active
        flags = index_flags(message, kind)
        size = message.body_size()
        for target in targets:
            target_flags = flags | (DELIVERED if was_delivered(target) else 0)
            active.add(offset, target_flags, target.queue.id, target.position, size)
        message.place = (active.number << SEGMENT_SHIFT) + offset
        message.targets = None

    def _append(self, batch: Batch, head: bytes, content: bytes) -> i64:
        """Append a record to the batch and give its offset in the active segment."""
        size: i64 = len(head) + len(content)
        self._make_room(batch, size)
        crc = zlib.crc32(content, zlib.crc32(head))
        write_record_head(self._records, size, crc)
        self._records.write(head)
        if len(content) >= LARGE_CONTENT:
            self._pieces.append(self._records.getvalue())
            self._pieces.append(content)
            self._records = BytesWriter()
        else:
            self._records.write(content)
        offset = self.active.size
        self.active.size = offset + RECORD_HEAD + size
        batch.octets += RECORD_HEAD + size
        return offset

    def _make_room(self, batch: Batch, size: i64) -> None:
        if self.active.size + RECORD_HEAD + size > self.segment_size and self.active.size > LOG_HEAD:
            self._flush_records(batch)
            self._roll(batch)

    def _flush_records(self, batch: Batch) -> None:
        if len(self._records):
            self._pieces.append(self._records.getvalue())
            self._records = BytesWriter()
        if self._pieces:
            batch.steps.append(Append(self._pieces))
            self._pieces = []

    def _roll(self, batch: Batch) -> None:
        old = self.active
        old.closed = True
        if self._unsynced_settles:
            batch.settling.add(int(old.number))
        number = int(old.number) + 1
        self.active = Segment(number)
        self.segments[number] = self.active
        batch.steps.append(Roll(int(old.number), old.take_index(), number))
        self.consider(old)

    def copy_sparse(self) -> None:
        """Have those segments copied forward that have been sparse since the last time this was called.

        A queue that is being consumed leaves each segment sparse for a moment before it is empty: that is not worth
        copying. What waits for a sync to be settled has it in every mode, or its segments would never go.
        """
        self.sync_due = self.sync_due or bool(self._unsynced_settles)
        for segment in self._long_sparse:
            if segment.live and segment in self._sparse and not segment.copying:
                segment.copying = True
                self._to_copy.append(segment)
        self._long_sparse, self._sparse = self._sparse, {}
        for segment in self._long_sparse:
            if segment.live and not segment.copying:
                self._sparse[segment] = None

    def _may_shrink(self) -> bool:
        return self.active.live == 0 and self.active.size >= SHRINK_AT

    def _mark_delivered(self, segment: Segment, queue_id: i64, offset: i64) -> None:
        if len(segment.settles) == 0:
            self._dirty[segment] = None
        segment.note_delivered(queue_id, offset)

    def _add_group(self, batch: Batch, group: Group) -> None:
        self._cancel_passing(group)
        settled = [(int(self.resolve(message.place)), int(queue_id)) for message, queue_id in group.settled]
        settled = [(place, queue_id) for place, queue_id in settled if place >= 0]
        if settled and group.is_ahead_of(self.uncommitted):
            batch.early.append(group)
            settled = []
        messages: list[Message] = []
        size: i64 = 0
        for message in group.messages:
            targets = message.targets
            if not targets:
                continue  # every queue was done with it already
            if size >= LARGEST_GROUP:
                self._add_group_record(batch, messages, [])
                messages, size = [], 0
            messages.append(message)
            size += len(message.content) + len(targets) * TARGET
        self._add_group_record(batch, messages, settled)
        self._unsynced_settles += settled

    def _cancel_passing(self, group: Group) -> None:
        """What a group brought to a queue and took from it again was never there."""
        settled = list(group.settled)
        group.settled.clear()
        for message, queue_id in settled:
            if message.place == PENDING:
                self.settle(message, queue_id)
            else:
                group.settled.append((message, queue_id))

    def _add_group_record(self, batch: Batch, messages: list[Message], settled: list[tuple[int, int]]) -> None:
        if not messages and not settled:
            return
        heads = [message_head(BytesWriter(), message, MESSAGE, MEMBER) for message in messages]
        payload = BytesWriter()
        payload.append(int(GROUP))
        payload.append(0)
        write_i16_be(payload, i16(0))
        write_i32_be(payload, i32(len(settled)))
        for place, queue_id in settled:
            write_i64_be(payload, place)
            write_i64_be(payload, queue_id)
        size: i64 = len(payload)
        for message, head in zip(messages, heads, strict=True):
            size += RECORD_HEAD + len(head) + len(message.content)
        self._make_room(batch, size)
        offset = self.active.size + RECORD_HEAD + len(payload)
        for message, head in zip(messages, heads, strict=True):
            content = message.content
            write_record_head(payload, len(head) + len(content), zlib.crc32(content, zlib.crc32(head)))
            payload.write(head)
            payload.write(content)
            self._place_in_group(message, offset)
            offset += RECORD_HEAD + len(head) + len(content)
        self._append(batch, payload.getvalue(), b"")
        if settled:
            self.active.has_groups = True

    def _place_in_group(self, message: Message, offset: i64) -> None:
        targets = message.targets
        assert targets is not None
        flags = index_flags(message, MESSAGE)
        for target in targets:
            target_flags = flags | (DELIVERED if was_delivered(target) else 0)
            self.active.add(offset, target_flags, target.queue.id, target.position, message.body_size())
        message.place = (self.active.number << SEGMENT_SHIFT) + offset
        message.targets = None

    def _add_copy(self, batch: Batch, copy: Copy) -> None:
        head = pairs_head(copy.message, copy.kind, COPIED, copy.pairs, copy.delivered)
        offset = self._append(batch, head, copy.message.content)
        flags = COPIED | index_flags(copy.message, copy.kind)
        for queue_id, position in copy.pairs:
            pair_flags = flags | (DELIVERED if queue_id in copy.delivered else 0)
            self.active.add(offset, pair_flags, queue_id, position, copy.message.body_size())
        copy.new_place = (self.active.number << SEGMENT_SHIFT) + offset
        batch.copies.append(copy)

    def _add_settles(self, batch: Batch) -> None:
        for segment in self._dirty:
            entries = segment.take_settles()
            if entries and not self._is_removable(segment, batch):
                batch.steps.append(Settle(int(segment.number), entries))
        self._dirty = {}
        batch.to_copy, self._to_copy = self._to_copy, []

    def _is_removable(self, segment: Segment, batch: Batch) -> bool:
        """Whether nothing needs a segment any more. What a group in it settled is written with the next batch."""
        return (
            segment.closed
            and segment.live == 0
            and int(segment.number) not in batch.settling
            and not self._is_in_use(segment)
        )

    def _is_in_use(self, segment: Segment) -> bool:
        """Whether a segment has to wait for others, though nothing in it be wanted.

        What was copied into it would come back to life with the original, should that outlast it.
        """
        return segment.readers > 0 or segment.copying or any(number in self.segments for number in segment.sources)

    def _add_removals(self, batch: Batch) -> None:
        kept: list[Segment] = []
        emptied = {int(segment.number): segment for segment in self._emptied}
        for number in sorted(emptied):  # a crash in between must not take what settles, and leave what it settled
            segment = emptied[number]
            if number not in self.segments:
                continue
            if not self._is_removable(segment, batch):
                kept.append(segment)
                continue
            del self.segments[number]
            self._forget_moves(segment)
            sync_first = list(self.segments) if segment.has_groups or segment.sync_before_removal else []
            batch.steps.append(Remove(number, sync_first))
        self._emptied = kept
        if self.active.live == 0:
            self._forget_moves(self.active)  # it may stay for long

    def _forget_moves(self, segment: Segment) -> None:
        """Nobody asks any more for what was copied into a segment."""
        for old in segment.moved_in:
            self.moved.pop(old, None)
        segment.moved_in = []

    def idle(self) -> bool:
        """Whether there is nothing to write, nor being written."""
        return self.writing is None and not self._has_work()

    # completion

    def completed(self, batch: Batch) -> None:
        """A batch is written and, if it had to be, synced."""
        self.writing = None
        for place, queue_id in batch.settles:
            self.settle_place(place, queue_id)
        for queue in list(self.behind):
            if queue.let_go(batch.readable):
                del self.behind[queue]
        if batch.copies:
            self._finish_copies(batch.copies)
        self.on_done(batch)

    def complete_early(self, batch: Batch) -> bool:
        """The definitions are committed: what the early groups of a batch take goes with the next. Whether any does."""
        rest: list[LogEntry] = [Group(group.settled) for group in batch.early]
        self.pending += rest
        return bool(rest)

    def _finish_copies(self, copies: list[Copy]) -> None:
        """The copies are on disk: the records they were made from are not needed any more."""
        sources: dict[Segment, None] = {}
        for copy in copies:
            source = self.segments[int(copy.old_place >> SEGMENT_SHIFT)]
            target = self.segments[int(copy.new_place >> SEGMENT_SHIFT)]
            sources[source] = None
            self.moved[int(copy.old_place)] = int(copy.new_place)
            target.moved_in.append(int(copy.old_place))
            target.sources.add(int(source.number))
        for source in sources:
            self.give_up(source)
        for copy in copies:
            self._catch_up(copy, self.segments[int(copy.old_place >> SEGMENT_SHIFT)])
        for source in sources:
            del self.copied_from[int(source.number)]

    def _catch_up(self, copy: Copy, source: Segment) -> None:
        """Note for a copy what happened to its original since that was read."""
        offset = int(copy.old_place & OFFSET)
        for queue_id, _ in copy.pairs:
            if queue_id << 32 | offset in source.settled_while_copying:
                self.settle_place(copy.new_place, queue_id)
            elif offset <= source.delivered_while_copying.get(queue_id, -1):
                self.note_delivered(queue_id, copy.new_place)

    def add_copies(self, source: Segment, copies: list[Copy], lost: list[int]) -> None:
        """What was alive in a sparse segment was read: write it again, but for what was settled meanwhile."""
        for place in lost:
            self.moved[place] = int(NOT_STORED)
        source_settled = source.settled_while_copying
        for copy in copies:
            offset = int(copy.old_place & OFFSET)
            copy.pairs = [pair for pair in copy.pairs if pair[0] << 32 | offset not in source_settled]
            if copy.pairs:
                self.pending.append(copy)
                self.copied_from[int(source.number)] = source_settled
        if int(source.number) not in self.copied_from:
            self.give_up(source)

    def give_up(self, source: Segment) -> None:
        """Everything alive in a segment was copied: nothing points into it but through `moved`."""
        source.copying = False
        source.live = 0
        source.sync_before_removal = True  # what was settled in the copies since
        for old in source.moved_in:
            new = self.moved.get(self.moved.get(old, -1))
            if new is None:
                self.moved.pop(old, None)
            else:
                self.moved[old] = new
                if new != NOT_STORED:
                    self.segments[new >> 32].moved_in.append(old)
        source.moved_in = []
        self._emptied.append(source)
