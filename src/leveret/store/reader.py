"""Reading messages back: what a queue asks for by its places, in the order in which they stand.

Neighbours in a log are read together: a stretch of the file is kept until a place lies outside of it. Stretches are
short while places are far from each other, as when delayed messages are due in another order than they came in. What
is damaged is logged with its place and counted, and the rest is served.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from librt.strings import BytesWriter, write_i64_be
from mypy_extensions import i64

from leveret.broker.backing_queue import BackingQueue
from leveret.broker.backlog import place_at
from leveret.broker.durability import SEGMENT_SHIFT
from leveret.broker.message import Message
from leveret.store.record import (
    GROUP_HEAD,
    RECORD_HEAD,
    AddressBook,
    has_message_shape,
    is_intact,
    parse_message,
    payload_size,
    read_u32,
)
from leveret.store.segment import OFFSET, Segment
from leveret.store.segment_files import SegmentFiles
from leveret.store.worker import Job

if TYPE_CHECKING:
    from leveret.store.local import LocalStore

log: Final = logging.getLogger("leveret.store")

STRETCH: Final = 512 * 1024  # octets read at once
SHORT_STRETCH: Final = 8 * 1024  # and where it turned out that this serves one message alone
READ_AHEAD: Final[i64] = 4 * 1024 * 1024  # octets of content read for one queue before the rest is left for later
OPEN_LOGS: Final = 32


class LogReader:
    """Reads records of any segment; for one thread."""

    def __init__(self, segment_files: SegmentFiles) -> None:
        self._files: Final = segment_files
        self._book: Final = AddressBook()
        self._open: Final[OrderedDict[int, int]] = OrderedDict()
        self._stretch = b""
        self._stretch_number = -1
        self._stretch_at: i64 = 0
        self._stretch_size = STRETCH

    def message(self, place: i64) -> Message | None:
        """The message at a place, or None if it is damaged."""
        number = int(place >> SEGMENT_SHIFT)
        offset: i64 = place & OFFSET
        at: i64 = offset - self._stretch_at
        if number != self._stretch_number or at < 0 or payload_size(self._stretch, at) < 0:
            self._read_stretch(number, offset)
            at = 0
        size = payload_size(self._stretch, at)
        payload: i64 = at + RECORD_HEAD
        if size < 0 or not is_intact(self._stretch, at, size) or not has_message_shape(self._stretch, payload, size):
            log.error("damaged record at %s of segment %s: its message is lost", int(offset), number)
            return None
        message = parse_message(self._stretch, payload, size, self._book)
        message.place = place
        return message

    def _read_stretch(self, number: int, offset: i64) -> None:
        """Read from a place on, enough for the whole record there."""
        descriptor = self._descriptor(number)
        files = self._files.files
        if number == self._stretch_number and 0 <= offset - self._stretch_at < STRETCH:
            self._stretch_size = min(2 * self._stretch_size, STRETCH)
        elif self._stretch_number >= 0:
            self._stretch_size = max(self._stretch_size // 2, SHORT_STRETCH)
        stretch = files.read(descriptor, self._stretch_size, int(offset))
        if len(stretch) >= RECORD_HEAD:
            size: i64 = RECORD_HEAD + read_u32(stretch, 0)
            if size > len(stretch) and GROUP_HEAD < size <= OFFSET:
                stretch = files.read(descriptor, int(size), int(offset))
        self._stretch, self._stretch_number, self._stretch_at = stretch, number, offset

    def _descriptor(self, number: int) -> int:
        descriptor = self._open.pop(number, -1)
        if descriptor < 0:
            descriptor = self._files.files.open_read(self._files.path(number, "log"))
            if len(self._open) >= OPEN_LOGS:
                self._files.files.close(self._open.popitem(last=False)[1])
        self._open[number] = descriptor
        return descriptor

    def forget(self) -> None:
        """Let go of what was read, and of the files: segments may be removed."""
        self._stretch, self._stretch_number = b"", -1
        for descriptor in self._open.values():
            self._files.files.close(descriptor)
        self._open.clear()


class ReadAhead(Job):
    """Reads a page of one queue's backlog."""

    def __init__(
        self, store: LocalStore, reader: LogReader, queue: BackingQueue, places: list[int], pinned: list[Segment]
    ):
        self.store: Final = store
        self.reader: Final = reader
        self.queue: Final = queue
        self.places: Final = places
        self.pinned: Final = pinned
        self.messages: Final[list[Message]] = []
        self.lost: Final[list[int]] = []
        self.read = 0  # of the places
        self.finished: Final = threading.Event()
        self.handed_over = False

    def run(self) -> None:
        """Read; on the reading thread."""
        try:
            self._read_messages()
        finally:
            self.finished.set()  # also if it failed: somebody may wait, and what failed is told to the owner
        self.reader.forget()

    def _read_messages(self) -> None:
        octets: i64 = 0
        for place in self.places:
            if octets >= READ_AHEAD:
                break
            message = self.reader.message(place)
            self.read += 1
            if message is None:
                self.lost.append(place)
            else:
                octets += len(message.content)
                self.messages.append(message)

    def unread(self) -> bytes:
        """The places that were left for another time."""
        return page_of(self.places[self.read :])

    def done(self) -> None:
        """Hand the messages to the queue; on the event loop, once."""
        if not self.handed_over:
            self.handed_over = True
            self.store.read_done(self)


def page_of(places: list[int]) -> bytes:
    """A page of a backlog with these places."""
    writer = BytesWriter()
    for place in places:
        write_i64_be(writer, place)
    return writer.getvalue()


def places_of(page: bytes) -> list[int]:
    """The places in a page of a backlog."""
    return [int(place_at(page, index)) for index in range(len(page) // 8)]
