"""The files of the segments, as the writing thread handles them: made, appended to, synced, removed.

The log that is being written stays open; `.settled` files are opened as they are needed and a few are kept open.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from leveret.store.files import Files
from leveret.store.segment import log_head, segment_name

OPEN_SETTLED: Final = 64


class SegmentFiles:
    """The directory of the message log."""

    def __init__(self, files: Files, directory: str) -> None:
        self.files: Final = files
        self.directory: Final = directory
        self._log = -1
        self._settled: Final[OrderedDict[int, int]] = OrderedDict()
        self._synced: Final[set[int]] = set()  # segments of which all that was settled is on the disk

    def path(self, number: int, ending: str) -> str:
        """The path of one of a segment's files."""
        return f"{self.directory}/{segment_name(number)}.{ending}"

    def begin(self, number: int) -> None:
        """Make a new segment, durably, and write to it from now on."""
        self._log = self.files.open_new(self.path(number, "log"))
        self.files.write(self._log, log_head())
        self.files.sync(self._log)
        self.files.sync_directory(self.directory)

    def finish(self, number: int, index: bytes) -> None:
        """Sync and close the segment that was written to, and leave its index beside it."""
        self.files.sync(self._log)
        self.files.close(self._log)
        self._log = -1
        descriptor = self.files.open_append(self.path(number, "index"))
        self.files.write(descriptor, index)
        self.files.close(descriptor)

    def append(self, pieces: list[bytes]) -> None:
        """Append to the log."""
        for piece in pieces:
            self.files.write(self._log, piece)

    def sync(self) -> None:
        """Sync the log."""
        self.files.sync(self._log)

    def settle(self, number: int, batch: bytes) -> None:
        """Append to a segment's `.settled` file."""
        self._synced.discard(number)
        self.files.write(self._settled_descriptor(number), batch)

    def octets(self) -> int:
        """How much is in the files; for any thread."""
        return sum([self.files.size(f"{self.directory}/{name}") for name in self.files.names(self.directory)])

    def mark(self, number: int, batch: bytes) -> None:
        """Append to a segment's `.settled` file from another thread than the writing one."""
        descriptor = self.files.open_append(self.path(number, "settled"))
        try:
            self.files.write(descriptor, batch)
        finally:
            self.files.close(descriptor)

    def sync_settled(self, numbers: list[int]) -> None:
        """Have on disk what was settled in these segments."""
        for number in numbers:
            if number not in self._synced:
                self.files.sync(self._settled_descriptor(number))
                self._synced.add(number)

    def remove(self, number: int) -> None:
        """Remove a segment's files: the log first and for good, or without the others it would come back to life."""
        descriptor = self._settled.pop(number, -1)
        if descriptor >= 0:
            self.files.close(descriptor)
        self._synced.discard(number)
        self.files.remove(self.path(number, "log"))
        self.files.sync_directory(self.directory)
        for ending in ("index", "settled"):
            self.files.remove(self.path(number, ending))

    def _settled_descriptor(self, number: int) -> int:
        descriptor = self._settled.pop(number, -1)
        if descriptor < 0:
            descriptor = self.files.open_append(self.path(number, "settled"))
            if len(self._settled) >= OPEN_SETTLED:
                self.files.close(self._settled.popitem(last=False)[1])
        self._settled[number] = descriptor
        return descriptor

    def close(self) -> None:
        """Close all files."""
        for descriptor in self._settled.values():
            self.files.close(descriptor)
        self._settled.clear()
        if self._log >= 0:
            self.files.close(self._log)
            self._log = -1
