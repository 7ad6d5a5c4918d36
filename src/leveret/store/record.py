"""The records of the message log.

A record is `size u32, crc32 u32, payload`; the CRC is the payload's. A payload begins with its kind and flags:

    message:  kind u8, flags u8, targets u16, time i64 (ms), frame_max i32, targets x (queue id i64, position i64),
              exchange shortstr, routing key shortstr, content frames; the flags' high half are the targets' high bits
    group:    kind u8, flags u8, entries u16 (0), settles i32, settles x (place i64, queue id i64),
              whole message records

A transient message looks like any other but for its kind, and counts for nothing after a restart. A group is what
happens wholly or not at all: its CRC covers all of it. The message records in it have places of their own, and a flag
by which they are nothing to whoever finds them without their group.
"""

from __future__ import annotations

import zlib
from typing import Final

from librt.strings import BytesWriter, read_i16_be, read_i32_be, read_i64_be, write_i16_be, write_i32_be, write_i64_be
from mypy_extensions import i16, i32, i64

from leveret.broker.expiry import expiration_of
from leveret.broker.message import NEVER, Address, Message, Target

RECORD_HEAD: Final[i64] = 8
MESSAGE: Final[i64] = 1
TRANSIENT: Final[i64] = 2
GROUP: Final[i64] = 3
COPIED: Final[i64] = 4  # flag: copied forward, so it is older than its place says
MEMBER: Final[i64] = 8  # flag: part of a group
DELIVERED: Final[i64] = 8  # flag of an index entry: the queue had delivered it before it was written
EXPIRES: Final[i64] = 16  # flag of an index entry: the message has an expiration of its own
DELIVERED_BIT: Final[i64] = 1 << 62  # the same, in a target's position
TARGETS_AT: Final[i64] = 16  # in a message payload
TARGET: Final[i64] = 16
GROUP_HEAD: Final[i64] = 8
ADDRESSES_KEPT: Final = 10_000


def message_head(scratch: BytesWriter, message: Message, kind: i64, flags: i64) -> bytes:
    """A message payload up to the content frames."""
    scratch.truncate(0)
    scratch.append(int(kind))
    targets = message.targets
    assert targets is not None
    write_target_count(scratch, flags, len(targets))
    write_i64_be(scratch, message.time)
    write_i32_be(scratch, i32(message.frame_max))
    for target in targets:
        write_i64_be(scratch, target.queue.id)
        write_i64_be(scratch, target.position | (DELIVERED_BIT if was_delivered(target) else 0))
    scratch.write(message.address.encoded)
    return scratch.getvalue()


def pairs_head(message: Message, kind: i64, flags: i64, pairs: list[tuple[int, int]], delivered: set[int]) -> bytes:
    """A message payload up to the content frames, for queue ids and positions; some of the queues had delivered it."""
    writer = BytesWriter()
    writer.append(int(kind))
    write_target_count(writer, flags, len(pairs))
    write_i64_be(writer, message.time)
    write_i32_be(writer, i32(message.frame_max))
    for queue_id, position in pairs:
        write_i64_be(writer, queue_id)
        write_i64_be(writer, position | (DELIVERED_BIT if queue_id in delivered else 0))
    writer.write(message.address.encoded)
    return writer.getvalue()


def write_target_count(writer: BytesWriter, flags: i64, count: i64) -> None:
    """A message's flags and how many targets it has: at most 1,048,575, of which the flags' octet has the high bits."""
    writer.append(int(flags | count >> 16 << 4))
    write_i16_be(writer, i16(count & 0xFFFF))


def write_record_head(writer: BytesWriter, size: i64, crc: int) -> None:
    """Size and CRC, before a payload."""
    write_i32_be(writer, i32(size))
    write_u32(writer, crc)


def write_u32(writer: BytesWriter, value: int) -> None:
    """An unsigned 32 bit number."""
    write_i32_be(writer, i32(value if value < 1 << 31 else value - (1 << 32)))


def read_u32(data: bytes, at: i64) -> i64:
    """An unsigned 32 bit number."""
    return i64(read_i32_be(data, at)) & 0xFFFFFFFF


def payload_size(data: bytes, at: i64) -> i64:
    """The size of the payload of the record at `at`, or -1 if it can't be one or doesn't end within data."""
    left: i64 = len(data) - at - RECORD_HEAD
    if left < GROUP_HEAD:
        return -1
    size = i64(read_i32_be(data, at))
    return size if GROUP_HEAD <= size <= left else -1


def is_intact(data: bytes, at: i64, size: i64) -> bool:
    """Whether the payload of the record at `at` is what its CRC says."""
    payload = data[at + RECORD_HEAD : at + RECORD_HEAD + size]
    return zlib.crc32(payload) == int(read_u32(data, at + 4))


def has_message_shape(data: bytes, at: i64, size: i64) -> bool:
    """Whether a payload at `at` can be a message's: its targets and names end within it."""
    if size < TARGETS_AT + 2:
        return False
    end = at + size
    names: i64 = at + TARGETS_AT + target_count(data, at) * TARGET
    if names >= end:
        return False
    key: i64 = names + 1 + data[names]
    return key < end and key + 1 + data[key] + 22 <= end


def target_count(data: bytes, at: i64) -> i64:
    """How many targets the message payload at `at` has."""
    return (i64(read_i16_be(data, at + 2)) & 0xFFFF) | (i64(data[at + 1]) >> 4 << 16)


def target_queue(data: bytes, at: i64, index: i64) -> i64:
    """The queue id of a target of the message payload at `at`."""
    return read_i64_be(data, at + TARGETS_AT + index * TARGET)


def target_position(data: bytes, at: i64, index: i64) -> i64:
    """The position of a target of the message payload at `at`."""
    return read_i64_be(data, at + TARGETS_AT + index * TARGET + 8) & ~DELIVERED_BIT


def target_delivered(data: bytes, at: i64, index: i64) -> bool:
    """Whether a target of the message payload at `at` had delivered it when it was written."""
    return read_i64_be(data, at + TARGETS_AT + index * TARGET + 8) & DELIVERED_BIT != 0


def was_delivered(target: Target) -> bool:
    """Whether the target has delivered the message that is about to be written."""
    return target.queue.head > target.position


def index_flags(message: Message, kind: i64) -> i64:
    """The flags of an index entry that follow from the message."""
    flags: i64 = 0 if kind == MESSAGE else TRANSIENT
    return flags if message.expiration == NEVER else flags | EXPIRES


def message_time(data: bytes, at: i64) -> i64:
    """When the message of the payload at `at` was taken in: milliseconds since 1970."""
    return read_i64_be(data, at + 4)


def message_content(data: bytes, at: i64) -> i64:
    """Where the content frames of the message payload at `at` begin."""
    names: i64 = at + TARGETS_AT + target_count(data, at) * TARGET
    key: i64 = names + 1 + data[names]
    return key + 1 + data[key]


class AddressBook:
    """The addresses of messages that were read back, each made once while it is in use often."""

    def __init__(self) -> None:
        self._known: Final[dict[bytes, Address]] = {}

    def address(self, encoded: bytes) -> Address:
        """The address with these encoded names."""
        address = self._known.get(encoded)
        if address is None:
            if len(self._known) >= ADDRESSES_KEPT:
                self._known.clear()
            cut: i64 = 1 + encoded[0]
            exchange = encoded[1:cut].decode("utf-8", "surrogateescape")
            address = Address(exchange, encoded[cut + 1 :].decode("utf-8", "surrogateescape"))
            self._known[encoded] = address
        return address


def parse_message(data: bytes, at: i64, size: i64, book: AddressBook) -> Message:
    """The message of the intact message payload at `at`."""
    names: i64 = at + TARGETS_AT + target_count(data, at) * TARGET
    content = message_content(data, at)
    address = book.address(data[names:content])
    persistent = i64(data[at]) == MESSAGE
    frames = data[content : at + size]
    return Message(
        address, frames, i64(read_i32_be(data, at + 12)), persistent, message_time(data, at), expiration_of(frames)
    )
