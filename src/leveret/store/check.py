"""Verifying what is in a data folder while no broker has it: the message log, and the definitions.

Nothing is changed. Unlike a start, this reads every record and checks its CRC, and counts what is still wanted by the
records themselves; the indexes, which a start trusts, are compared with them.

One segment is in memory at a time, the last one first: groups settle only what was written before them, so whatever
was settled in a segment is known when its turn comes.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import zlib
from typing import Final

from librt.strings import BytesWriter, read_i32_be, read_i64_be
from mypy_extensions import i64

from leveret.store.definitions import CannotUseDefinitions, DamagedDefinitions, Definitions
from leveret.store.files import Files
from leveret.store.loaded_definitions import LoadedDefinitions
from leveret.store.record import COPIED, TRANSIENT, read_u32
from leveret.store.recovery import SegmentScan, Stretch
from leveret.store.segment import (
    INDEX_ENTRY,
    LOG_HEAD,
    OFFSET,
    SETTLED_HEAD,
    Settled,
    check_log_head,
    index_entries,
    index_has_groups,
    segment_name,
)

ENDINGS: Final = ("log", "settled", "index")


class Finding:
    """Something in a file that is not as it should be. `offset` is -1 if it is about the file as a whole."""

    def __init__(self, file: str, offset: int, text: str) -> None:
        self.file: Final = file
        self.offset: Final = offset
        self.text: Final = text


class QueueContent:
    """What the log holds for one queue. Octets are those of the bodies."""

    def __init__(self) -> None:
        self.messages: i64 = 0
        self.octets: i64 = 0
        self.lost: i64 = 0  # messages that stand in an index, and whose records are damaged


class LogCheck:
    """Verifies the message log in a directory."""

    def __init__(self, directory: str) -> None:
        self.directory: Final = directory
        self.damages: Final[list[Finding]] = []
        self.leftovers: Final[list[Finding]] = []  # what a crash leaves, and a start sees to or passes over
        self.queues: Final[dict[int, QueueContent]] = {}  # by the queues' ids
        self.segments = 0
        self.octets: i64 = 0  # in all files
        self.records: i64 = 0  # of messages
        self.transient: i64 = 0  # (message, queue) pairs that are not settled, and that no start brings back
        self.transient_octets: i64 = 0
        self.superseded: i64 = 0  # pairs that were copied forward, and whose old segment is still there
        self._files: Final = Files()
        self._group_settles: Final[dict[int, set[int]]] = {}  # by segment
        self._copied: Final[dict[int, dict[int, int]]] = {}  # by queue and position: octets, -1 if it is settled

    def run(self) -> None:
        """Read everything. Raises NewerFormat if a later version wrote it, PermissionError if it can't be read."""
        numbers = self._survey()
        for number in numbers:
            self._group_settles[number] = set()
        for number in reversed(numbers):
            self._segment(number, number == numbers[-1])
        self.segments = len(numbers)

    def _survey(self) -> list[int]:
        """The segments there are, in order; files that belong to none are noted."""
        numbers: list[int] = []
        others: list[tuple[str, int]] = []
        for name in sorted(self._files.names(self.directory)):
            stem, _, ending = name.partition(".")
            number = int(stem) if stem.isascii() and stem.isdigit() else -1
            if ending not in ENDINGS or stem != segment_name(number):
                self.leftovers.append(Finding(name, -1, "is no file of the message log"))
            elif ending == "log":
                numbers.append(number)
            else:
                others.append((name, number))
        known = set(numbers)
        for name, number in others:
            if number not in known:
                self.leftovers.append(Finding(name, -1, "is left of a segment that is gone"))
        return sorted(numbers)

    def _segment(self, number: int, last: bool) -> None:
        name = f"{segment_name(number)}.log"
        data = self._read(name)
        if data is None:
            return
        has_head = check_log_head(f"{self.directory}/{name}", data, last)
        scan = SegmentScan(number, data)
        scan.run()
        if not has_head and not scan.records:
            self._headless(name, data)
            return
        if not has_head:
            scan.damages.insert(0, Stretch(0, int(LOG_HEAD)))
        size = len(data)
        data = b""  # the index is read next: not both at once
        for place, queue_id in scan.group_settles:
            settles = self._group_settles.get(place >> 32)
            if settles is not None:
                settles.add(queue_id << 32 | int(i64(place) & OFFSET))
        pairs = self._settled(number) | self._group_settles.pop(number)
        entries = scan.entries.getvalue()
        lost = self._compare_index(scan, entries, pairs, last)
        self._note_stretches(name, scan.damages, size, last, lost)
        self._count(entries, pairs)

    def _headless(self, name: str, data: bytes) -> None:
        if data[LOG_HEAD:].strip(b"\0"):
            self.damages.append(Finding(name, 0, f"is no log: none of its {len(data)} octets can be read"))
        else:
            self.leftovers.append(Finding(name, 0, "was being made when the broker ended, and holds nothing"))

    def _note_stretches(self, name: str, stretches: list[Stretch], size: int, last: bool, lost: list[int]) -> None:
        for stretch, missing in zip(stretches, lost, strict=True):
            count = stretch.end - stretch.start
            if last and stretch.end == size:
                text = f"an unfinished write of {count} octets at the end, which the next start cuts off"
                self.leftovers.append(Finding(name, stretch.start, text))
            else:
                text = f"{count} octets are no record"
                if missing:
                    text += f"; {missing} live messages stood there, by the index"
                self.damages.append(Finding(name, stretch.start, text))

    # settled

    def _settled(self, number: int) -> set[int]:
        """The pairs that the segment's settled file has, as far as it is whole."""
        name = f"{segment_name(number)}.settled"
        settled = Settled()
        data = self._read(name)
        if data:
            stop = settled.read(data)
            if stop < len(data):
                rest = f"{len(data) - int(stop)} octets"
                if is_followed(data, stop):
                    text = f"{rest} are not read, because a batch is damaged: messages that were settled come back"
                    self.damages.append(Finding(name, int(stop), text))
                else:
                    text = f"an unfinished write of {rest} at the end: what it settled comes back"
                    self.leftovers.append(Finding(name, int(stop), text))
        return settled.pairs

    # index

    def _compare_index(self, scan: SegmentScan, entries: bytes, pairs: set[int], last: bool) -> list[int]:
        """Compare index and log; gives how many live messages the index has in each of the damaged stretches."""
        name = f"{segment_name(scan.number)}.index"
        lost = [0] * len(scan.damages)
        data = self._read(name)
        if data is None:
            if not last:
                self.leftovers.append(Finding(name, -1, "is missing: the next start reads the log instead"))
            return lost
        found = index_entries(data)
        if found is None:
            self.leftovers.append(Finding(name, -1, "is not whole: the next start reads the log instead"))
            return lost
        if scan.damages:
            found = self._without_damaged(found, scan.damages, pairs, lost)
        if found != entries:
            theirs, ours = len(found) // int(INDEX_ENTRY), len(entries) // int(INDEX_ENTRY)
            text = f"does not agree with the log, which has {ours} entries to its {theirs}"
            self.damages.append(Finding(name, -1, text))
        elif scan.group_settles and not index_has_groups(data):
            self.damages.append(Finding(name, -1, "does not tell that groups in the segment settled messages"))
        return lost

    def _without_damaged(self, found: bytes, stretches: list[Stretch], pairs: set[int], lost: list[int]) -> bytes:
        """An index without what lies in damaged stretches, which is counted as lost if it is live."""
        kept = BytesWriter()
        at: i64 = 0
        within = 0
        while at < len(found):
            offset = int(read_i32_be(found, at))
            while within < len(stretches) - 1 and stretches[within].end <= offset:
                within += 1
            if not stretches[within].start <= offset < stretches[within].end:
                kept.write(found[at : at + INDEX_ENTRY])
            elif not i64(read_i32_be(found, at + 4)) & TRANSIENT:
                queue_id = int(read_i64_be(found, at + 8))
                if queue_id << 32 | offset not in pairs:
                    lost[within] += 1
                    self._content(queue_id).lost += 1
            at += INDEX_ENTRY
        return kept.getvalue()

    # what is live

    def _count(self, entries: bytes, pairs: set[int]) -> None:
        """Count the pairs of a segment that are not settled."""
        at: i64 = 0
        before: i64 = -1
        while at < len(entries):
            offset = i64(read_i32_be(entries, at))
            if offset != before:
                self.records += 1
                before = offset
            flags = i64(read_i32_be(entries, at + 4))
            queue_id = int(read_i64_be(entries, at + 8))
            position = int(read_i64_be(entries, at + 16))
            settled = queue_id << 32 | int(offset) in pairs
            if not flags & TRANSIENT:
                self._count_pair(queue_id, position, flags & COPIED != 0, read_i64_be(entries, at + 24), settled)
            elif not settled:
                self.transient += 1
                self.transient_octets += read_i64_be(entries, at + 24)
            at += INDEX_ENTRY

    def _count_pair(self, queue_id: int, position: int, is_copy: bool, octets: i64, settled: bool) -> None:
        """Count a persistent message of one queue, once, though an older segment may have it as well as the copy."""
        copies = self._copied.get(queue_id)
        if copies is not None and position in copies:
            if not settled:
                self.superseded += 1
            elif copies[position] >= 0:  # settled in one place is settled in all
                self._add(queue_id, -1, -copies[position])
                copies[position] = -1
            return
        if is_copy:
            self._copied.setdefault(queue_id, {})[position] = -1 if settled else int(octets)
        if not settled:
            self._add(queue_id, 1, octets)

    def _add(self, queue_id: int, messages: i64, octets: i64) -> None:
        content = self._content(queue_id)
        content.messages += messages
        content.octets += octets

    def _content(self, queue_id: int) -> QueueContent:
        content = self.queues.get(queue_id)
        if content is None:
            content = self.queues[queue_id] = QueueContent()
        return content

    def _read(self, name: str) -> bytes | None:
        """A whole file, or None if it is missing or, which is damage, the disk does not give it."""
        try:
            data = self._files.read_whole(f"{self.directory}/{name}")
        except FileNotFoundError:
            return None
        except PermissionError:
            raise
        except OSError as error:
            self.damages.append(Finding(name, -1, f"cannot be read: {error.strerror}"))
            return None
        self.octets += len(data)
        return data


def is_followed(data: bytes, at: i64) -> bool:
    """Whether the last batch of a settled file is whole although one before it is not: more than a tail is missing."""
    end: i64 = len(data)
    start = end - SETTLED_HEAD - 8
    while start > at:
        if read_u32(data, start) * 8 == end - start - SETTLED_HEAD:
            entries = data[start + SETTLED_HEAD :]
            if zlib.crc32(entries) == int(read_u32(data, start + 4)):
                return True
        start -= 8
    return False


class DefinitionsCheck:
    """What a definitions file holds, all of it checked."""

    def __init__(self, version: int, loaded: LoadedDefinitions) -> None:
        self.version: Final = version
        self.loaded: Final = loaded


def check_definitions(path: str) -> DefinitionsCheck:
    """Verify the definitions, in a copy, since SQLite changes what it opens.

    Raises CannotUseDefinitions and its subclasses, and OSError if there is no such file or no room for the copy.
    """
    with tempfile.TemporaryDirectory(prefix="leveret-check-") as folder:
        copy = os.path.join(folder, os.path.basename(path))
        shutil.copyfile(path, copy)
        for ending in ("-wal", "-journal"):
            if os.path.exists(path + ending):
                shutil.copyfile(path + ending, copy + ending)
        try:
            return check_copy(copy)
        except CannotUseDefinitions as error:
            raise type(error)(str(error).replace(copy, path)) from None


def check_copy(path: str) -> DefinitionsCheck:
    """Verify a definitions file that may be changed."""
    definitions = Definitions(path)
    try:
        loaded = definitions.load()
    finally:
        definitions.close()
    database = sqlite3.connect(path)
    try:
        found = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise DamagedDefinitions(f"{path} is damaged: {' '.join(found.split())}")
        return DefinitionsCheck(definitions.found_format, loaded)
    except sqlite3.Error as error:
        raise DamagedDefinitions(f"{path} is damaged: {error}") from None
    finally:
        database.close()
