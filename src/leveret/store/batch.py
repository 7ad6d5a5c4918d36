"""What one turn of the writing thread does: the steps, in order, and what follows when they are done."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.broker.channel import Channel
from leveret.broker.connection import Connection
from leveret.broker.durability import NOT_STORED, LogEntry
from leveret.broker.message import Message
from leveret.store.segment import Segment
from leveret.store.segment_files import SegmentFiles
from leveret.store.worker import Job

if TYPE_CHECKING:
    from leveret.store.log import MessageLog


class Step:
    """One thing to do with the segments' files."""

    def run(self, files: SegmentFiles) -> None:
        """Do it."""
        raise NotImplementedError


class Append(Step):
    """Append records to the active segment."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces: Final = pieces

    def run(self, files: SegmentFiles) -> None:
        files.append(self.pieces)


class Roll(Step):
    """Close the active segment and begin another."""

    def __init__(self, old: int, index: bytes, new: int) -> None:
        self.old: Final = old
        self.index: Final = index
        self.new: Final = new

    def run(self, files: SegmentFiles) -> None:
        files.finish(self.old, self.index)
        files.begin(self.new)


class Settle(Step):
    """Append to a segment's settled file."""

    def __init__(self, number: int, entries: bytes) -> None:
        self.number: Final = number
        self.entries: Final = entries

    def run(self, files: SegmentFiles) -> None:
        files.settle(self.number, self.entries)


class Remove(Step):
    """Remove a segment. If it held groups, what these settled elsewhere has to be on the disk there first."""

    def __init__(self, number: int, sync_first: list[int]) -> None:
        self.number: Final = number
        self.sync_first: Final = sync_first

    def run(self, files: SegmentFiles) -> None:
        files.sync_settled(self.sync_first)
        files.remove(self.number)


class Group(LogEntry):
    """What happens wholly or not at all. What it settles is written beside the segments when it is on the disk itself.

    But one that is early takes messages from a queue and brings others to one whose definition is not on the disk
    yet. It settles nothing before the definition is there, and then by another group: a crash may leave both, rather
    than neither.
    """

    def __init__(self, settled: Iterable[tuple[Message, i64]] = ()) -> None:
        self.messages: Final[list[Message]] = []
        self.settled: Final = list(settled)  # messages, and the id of the queue that is done with each
        self.octets: i64 = 0  # content of the messages

    def is_ahead_of(self, uncommitted: dict[int, int]) -> bool:
        """Whether a queue that it takes from may be defined on the disk when one that it brings to is not.

        So it is if the definition of the latter is in a later commit: this has them by the queues' ids, of those that
        are not done.
        """
        if not uncommitted:
            return False
        latest = 0
        for message in self.messages:
            for target in message.targets or []:
                latest = max(latest, uncommitted.get(int(target.queue.id), 0))
        return any(uncommitted.get(int(queue_id), 0) < latest for _, queue_id in self.settled)


class Copy(LogEntry):
    """A record that is copied out of a segment that is nearly empty."""

    def __init__(
        self,
        old_place: i64,
        kind: i64,
        message: Message,
        pairs: list[tuple[int, int]],
        delivered: set[int],
    ) -> None:
        self.old_place: Final[i64] = old_place
        self.kind: Final[i64] = kind
        self.message: Final = message
        self.pairs = pairs  # queue id and position, of those that are not settled
        self.delivered: Final = delivered  # ids of the queues that had delivered it
        self.new_place: i64 = NOT_STORED


class Batch(Job):
    """What one turn of the writing thread does."""

    def __init__(self, log: MessageLog) -> None:
        self.log: Final = log
        self.steps: Final[list[Step]] = []
        self.synced = False  # whether the log is synced at the end
        self.readable: i64 = 0  # all places before this one can be read when the batch is done
        self.octets: i64 = 0
        self.sync_seconds = 0.0  # how long the sync took
        self.waiting_since = 0.0  # the tick of the first publish that it confirms
        self.commit = 0  # definitions that must be committed before anything is confirmed
        self.confirms: list[tuple[Channel, int]] = []
        self.held: list[Connection] = []
        self.settles: list[tuple[int, int]] = []  # places and queue ids: what groups settled that are on the disk then
        self.early: Final[list[Group]] = []  # groups that settle nothing yet
        self.copies: Final[list[Copy]] = []
        self.settling: Final[set[int]] = set()  # segments closed in it with groups whose settles are not written
        self.to_copy: list[Segment] = []  # segments whose settles are all written then

    def run(self) -> None:
        """Write and sync; on the writing thread."""
        files = self.log.segment_files
        for step in self.steps:
            step.run(files)
        if self.synced:
            begin = time.monotonic()
            files.sync()
            self.sync_seconds = time.monotonic() - begin

    def done(self) -> None:
        """Confirm and go on; on the event loop."""
        self.log.completed(self)
