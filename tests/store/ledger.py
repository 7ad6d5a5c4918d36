"""What a broker was asked and what it promised, and the judgement of what is found after a crash.

What a queue holds is in order if its entries' levels fall and, within a level, their moments of publishing rise. A
moment is a count of events, or of operations on the files; whoever keeps the ledger says which. Messages are numbered,
and a number says the priority: it counts only in queues that have priorities.

Promised is, after a power loss: what was confirmed, or committed, is there unless a client settled it; what a
committed transaction settled is not; a transaction happened wholly or not at all; nothing is there twice, nothing
that was never published, nothing transient. If the process alone died, then also: what was settled stays away once
the batch with it was written, and what was delivered is marked as redelivered.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from leveret.store.definitions import Definitions
from leveret.store.reader import LogReader
from leveret.store.recovery import Recovery
from leveret.store.segment_files import SegmentFiles
from tests.store.faults import MemoryFiles
from tests.store.rig import DIRECTORY, number_of

NEVER = 1 << 60
NUMBERS = 1_000_000_000  # for each priority
Found = dict[str, list[tuple[int, bool]]]


@dataclass
class Entry:
    """A message in one queue, and the moments of what happened to it."""

    number: int
    persistent: bool
    published: int
    confirmed: int = NEVER
    delivered: int = NEVER
    settled: int = NEVER  # asked for
    written: int = NEVER  # the settle is in the files
    settled_by: Group | None = None
    level: int = 0

    def place(self) -> tuple[int, int]:
        """Where it stands in its queue."""
        return -self.level, self.published


@dataclass
class Group:
    """A transaction that was to be committed, or a message that was to move to the queue for dead letters."""

    issued: int
    is_move: bool = False  # then it is answered when it is written
    messages: list[Entry] = field(default_factory=list)
    settles: list[Entry] = field(default_factory=list)
    answered: int = NEVER


class Ledger:
    """Everything about the queues of one broker."""

    def __init__(self) -> None:
        self.queues: dict[str, dict[int, Entry]] = {}
        self.groups: list[Group] = []
        self.prioritised: set[str] = set()  # queues with priorities

    def level(self, queue: str, number: int) -> int:
        """The level in which a queue has a message."""
        return number // NUMBERS if queue in self.prioritised else 0

    def publish(self, queues: list[str], number: int, persistent: bool, at: int) -> list[Entry]:
        entries: list[Entry] = []
        for queue in queues:
            entry = Entry(number, persistent, at, level=self.level(queue, number))
            self.queues.setdefault(queue, {})[number] = entry
            entries.append(entry)
        return entries

    def confirm(self, number: int, at: int) -> None:
        for entries in self.queues.values():
            entry = entries.get(number)
            if entry is not None and entry.confirmed == NEVER:
                entry.confirmed = at

    def answer(self, group: Group, at: int) -> None:
        """A commit was answered."""
        group.answered = at
        for entry in group.messages:
            entry.confirmed = min(entry.confirmed, at)
        for entry in group.settles:
            entry.written = min(entry.written, at)

    def written(self, formed: int, at: int) -> None:
        """The batch that was formed at a moment is in the files, with what was settled until then."""
        for entries in self.queues.values():
            for entry in entries.values():
                if entry.settled <= formed and entry.settled_by is None and entry.written == NEVER:
                    entry.written = at
        for group in self.groups:
            if group.is_move and group.issued <= formed and group.answered == NEVER:
                self.answer(group, at)

    def judge(self, found: Found, at: int, killed: bool) -> None:
        """AssertionError if what was found after a crash at a moment is not what was promised."""
        for queue, messages in found.items():
            entries = self.queues.get(queue, {})
            numbers = [number for number, _ in messages]
            assert len(numbers) == len(set(numbers)), f"{queue}: something is there twice: {numbers}"
            places = [entries[number].place() for number in numbers if number in entries]
            assert places == sorted(places), f"{queue}: not in order: {numbers}"
            for number, redelivered in messages:
                entry = entries.get(number)
                assert entry is not None and entry.published <= at, f"{queue}: {number} was not published"
                assert entry.persistent, f"{queue}: transient {number} is back"
                self._judge_message(queue, entry, redelivered, at, killed)
            if all(entry.delivered > at for entry in entries.values()):
                assert not any(redelivered for _, redelivered in messages), f"{queue}: nothing was delivered"
        present = {queue: {number for number, _ in messages} for queue, messages in found.items()}
        for queue, entries in self.queues.items():
            for entry in entries.values():
                if entry.confirmed <= at and entry.persistent and entry.settled > at:
                    assert queue in present, f"{queue} is gone with {entry.number}"
                    assert entry.number in present[queue], f"{queue}: {entry.number} is lost"
        for group in self.groups:
            if group.issued <= at < group.answered:
                self._judge_group(group, present, at)

    def _judge_message(self, queue: str, entry: Entry, redelivered: bool, at: int, killed: bool) -> None:
        name = f"{queue}: {entry.number}"
        if entry.settled_by is not None:
            assert entry.settled_by.answered > at, f"{name} is back, which a committed transaction settled"
        if killed:
            assert entry.written > at, f"{name} is back, although it was written that it is settled"
            assert redelivered or entry.delivered > at, f"{name} is not marked as redelivered"

    def _judge_group(self, group: Group, present: dict[str, set[int]], at: int) -> None:
        messages = [entry for entry in group.messages if entry.settled > at and entry.persistent]
        settles = [entry for entry in group.settles if entry.confirmed <= at and entry.persistent]
        there = {self._is_present(entry, present) for entry in messages} - {None}
        gone = {None if found is None else not found for found in (self._is_present(each, present) for each in settles)}
        signs = there | (gone - {None})
        assert len(signs) <= 1, f"a transaction happened in part: {group}"

    def _is_present(self, entry: Entry, present: dict[str, set[int]]) -> bool | None:
        """Whether an entry was found; None if its queue is gone."""
        for queue, entries in self.queues.items():
            if entries.get(entry.number) is entry:
                return entry.number in present[queue] if queue in present else None
        return None

    def accept(self, found: Found) -> None:
        """What was found is what there is from now on, and what was promised once."""
        for queue in list(self.queues):
            if queue not in found:
                del self.queues[queue]
        for queue, messages in found.items():
            self.queues[queue] = {
                number: Entry(
                    number, True, at - len(messages), 0, 0 if redelivered else NEVER, level=self.level(queue, number)
                )
                for at, (number, redelivered) in enumerate(messages)
            }
        self.groups = []


def find(definitions: str, files: MemoryFiles) -> Found:
    """What a start finds in these files, which are not changed by it."""
    opened = Definitions(definitions)
    try:
        names = {queue.id: queue.name for queue in opened.load().queues}
    finally:
        opened.close()
    return find_queues(names, files)


def find_queues(names: dict[int, str], files: MemoryFiles) -> Found:
    """What a start finds for these queues."""
    segment_files = SegmentFiles(files.copy(), DIRECTORY)
    recovery = Recovery(segment_files, set(names), True)
    recovery.run()
    reader = LogReader(segment_files)
    found: Found = {}
    for queue_id in names:
        found[names[queue_id]] = []
    for (queue_id, _), queue in sorted(recovery.queues.items(), key=lambda item: (item[0][0], -item[0][1])):
        messages: list[tuple[int, bool]] = []
        while queue.backlog.placed:
            page = queue.backlog.take_places()
            for at in range(0, len(page), 8):
                message = reader.message(int.from_bytes(page[at : at + 8], "big"))
                assert message is not None, "a record that was indexed is damaged"
                messages.append((number_of(message.content), len(messages) < queue.redelivered))
        found[names[queue_id]] += messages
    reader.forget()
    return found
