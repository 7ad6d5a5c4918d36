"""The messages of a crash test, each made from its publisher and sequence number alone.

So a consumer can make the expected message anew and compare every octet, and nobody has to keep what was sent. A body
begins with who sent it, its place in the sequence, the size and the checksum of the rest, so that a damaged body is
told from an unknown message.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from random import Random

from tests.support.raw_client import Timestamp, shortstr, table

MAGIC = b"hare"
HEAD = struct.Struct(">4sHLLL")  # magic, publisher's number, sequence, size and CRC-32 of the rest
BLOCK_SIZE = 1 << 20

SMALL = (0, 7, 60, 61, 100, 130, 200, 333, 600, 900)
MIXED = (*SMALL * 4, 5_000, 20_000, 70_000)
LARGE = (200_000, 100, 131_036, 1_000, 100, 262_144, 40_000, 100)

CONTENT_TYPE, HEADERS, DELIVERY_MODE, PRIORITY = 0x8000, 0x2000, 0x1000, 0x0800
CORRELATION_ID, REPLY_TO, EXPIRATION, MESSAGE_ID = 0x0400, 0x0200, 0x0100, 0x0080
TIMESTAMP, TYPE, USER_ID, APP_ID = 0x0040, 0x0020, 0x0010, 0x0008
DEATHS = b"\x07x-deathA"
DAY = "86400000"  # as an expiration, in ms: no message lives that long here


class Damaged(Exception):
    """A body that isn't what any publisher sent."""


@dataclass(frozen=True)
class Publisher:
    """One publisher: where its messages go, and what they look like.

    `routes` are routing keys, taken in turn, each with the queues that get the message. Every `transient_every`th
    message is transient (0: none). With `dead_letters` the queues are where it is at last, as a dead letter.
    """

    number: int
    name: str
    exchange: str
    routes: tuple[tuple[str, tuple[str, ...]], ...]
    sizes: tuple[int, ...] = SMALL
    transient_every: int = 0
    transactional: bool = False
    dead_letters: bool = False

    def routing_key(self, sequence: int) -> str:
        return self.routes[sequence % len(self.routes)][0]

    def queues(self, sequence: int) -> tuple[str, ...]:
        return self.routes[sequence % len(self.routes)][1]

    def is_transient(self, sequence: int) -> bool:
        return self.transient_every > 0 and sequence % self.transient_every == self.transient_every - 1


def property_list(publisher: Publisher, sequence: int) -> bytes:
    """Property flags and values: the delivery mode alone, a few more, or all there are with a nested table."""
    mode = b"\x01" if publisher.is_transient(sequence) else b"\x02"
    variant = sequence % 8
    if variant == 1:
        flags = CONTENT_TYPE | DELIVERY_MODE | MESSAGE_ID
        return struct.pack(">H", flags) + shortstr("text/plain") + mode + shortstr(f"{publisher.name}-{sequence}")
    if variant == 5:
        headers: dict[str, object] = {
            "sequence": sequence,
            "publisher": publisher.name,
            "nested": {"list": [1, "two", 3.0, None, True], "octets": b"\x00\xff\xce"},
            "when": Timestamp(1_700_000_000 + sequence),
        }
        flags = CONTENT_TYPE | HEADERS | DELIVERY_MODE | PRIORITY | CORRELATION_ID | REPLY_TO
        flags |= EXPIRATION | MESSAGE_ID | TIMESTAMP | TYPE | USER_ID | APP_ID
        first = struct.pack(">H", flags) + shortstr("application/octet-stream") + table(headers) + mode + b"\x05"
        texts = (f"correlation {sequence}", "answers.here", DAY, f"message {sequence}")
        last = b"".join(shortstr(text) for text in ("crash", "guest", "härness"))
        return first + b"".join(shortstr(text) for text in texts) + struct.pack(">Q", sequence) + last
    return struct.pack(">H", DELIVERY_MODE) + mode


class Messages:
    """Makes the messages of a run, and knows them again."""

    def __init__(self, seed: str, publishers: tuple[Publisher, ...]) -> None:
        self.publishers = publishers
        block = Random(f"{seed} filler").randbytes(BLOCK_SIZE)
        self._filler = block + block

    def body(self, publisher: Publisher, sequence: int) -> bytes:
        """The body that a publisher sends at a place of its sequence."""
        size = publisher.sizes[(sequence * 7 + publisher.number) % len(publisher.sizes)]
        start = (sequence * 7919 + publisher.number * 104_729) % BLOCK_SIZE
        filler = self._filler[start : start + size]
        return HEAD.pack(MAGIC, publisher.number, sequence, size, zlib.crc32(filler)) + filler

    def identify(self, body: bytes) -> tuple[Publisher, int]:
        """Who sent a body, and when in its sequence; Damaged if that isn't what the publisher sent then."""
        if len(body) < HEAD.size:
            raise Damaged(f"a body of {len(body)} octets: {body!r}")
        magic, number, sequence, size, checksum = HEAD.unpack_from(body)
        if magic != MAGIC or not 0 <= number < len(self.publishers):
            raise Damaged(f"a body of {len(body)} octets that begins with {body[: HEAD.size]!r}")
        publisher = self.publishers[number]
        expected = self.body(publisher, sequence)
        if body != expected:
            agreed = next((at for at in range(len(body)) if body[at : at + 1] != expected[at : at + 1]), len(body))
            sound = size == len(body) - HEAD.size and checksum == zlib.crc32(body[HEAD.size :])
            raise Damaged(
                f"{publisher.name} {sequence}: {len(body)} octets instead of {len(expected)}, different from octet "
                f"{agreed} on, its own checksum {'right' if sound else 'wrong'}"
            )
        return publisher, sequence


def check_properties(publisher: Publisher, sequence: int, properties: bytes) -> None:
    """Damaged if the properties are not those that were sent; a dead letter must only say that it is one."""
    if publisher.dead_letters:
        if DEATHS not in properties:
            raise Damaged(f"{publisher.name} {sequence}: no record of its deaths in {properties!r}")
        return
    expected = property_list(publisher, sequence)
    if properties != expected:
        raise Damaged(f"{publisher.name} {sequence}: properties {properties!r} instead of {expected!r}")
