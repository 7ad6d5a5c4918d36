"""A message is bytes: the content frames as the publisher sent them, and the address it sent them to.

Keeping the frames whole lets a delivery to a consumer on a channel of the same number copy them as they are; only
another channel number or a smaller frame_max makes it frame the content anew. One message stands in every queue it
was routed to, so what was published is never changed; what differs from queue to queue (position, redelivered) is
kept by the queue.

There may be millions of messages, so the garbage collector is spared them (acyclic): nothing that a message refers to
outlives its way through the broker and refers back to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from librt.strings import BytesWriter, read_i16_be, read_i32_be, read_i64_be
from mypy_extensions import i64, mypyc_attr

from leveret.amqp.frame import FRAME_OVERHEAD, content_frames, split_content
from leveret.amqp.properties import PRIORITY, BasicProperties, decode_properties, property_at
from leveret.broker.durability import NOT_STORED, LogEntry

if TYPE_CHECKING:
    from leveret.broker.backing_queue import BackingQueue

FRAME_HEAD: Final = 7  # octets before a frame's payload
BODY_SIZE_AT: Final = FRAME_HEAD + 4  # of the content frames: class id and weight come before it
FLAGS_AT: Final = FRAME_HEAD + 12
PROPERTIES_AT: Final = FRAME_HEAD + 14
NEVER: Final[i64] = -1  # the expiration of a message that has none
FAR: Final[i64] = 1 << 60  # a time that never comes


def shortstr(text: str) -> bytes:
    """A short string on the wire; the caller knows that it is no longer than 255 octets."""
    data = text.encode("utf-8", "surrogateescape")
    return bytes([len(data)]) + data


@mypyc_attr(acyclic=True)
class Address:
    """Exchange and routing key of a publish, with the bytes that every delivery of it ends in."""

    def __init__(self, exchange: str, routing_key: str, blind_keys: tuple[str, ...] = ()) -> None:
        self.exchange: Final = exchange
        self.routing_key: Final = routing_key
        self.blind_keys: Final = blind_keys  # of BCC, for dead-lettering; not kept on disk
        self.encoded: Final = shortstr(exchange) + shortstr(routing_key)
        self.size: Final[i64] = len(self.encoded)
        self.first_delivery: Final = b"\x00" + self.encoded + b"\xce"
        self.redelivery: Final = b"\x01" + self.encoded + b"\xce"


@mypyc_attr(acyclic=True)
class Target:
    """A queue that the store keeps a message for, and the message's position in it."""

    def __init__(self, queue: BackingQueue, position: i64) -> None:
        self.queue: Final = queue
        self.position: Final[i64] = position


@mypyc_attr(acyclic=True)
class Message(LogEntry):
    """What was published: address, content frames, and what routing had to learn from the properties anyway.

    `time` is when it was taken in, in milliseconds since 1970; `expiration` is how long its publisher lets it wait in a
    queue from then on, in milliseconds, or NEVER. `place` is where the store has it; `targets` are those it is to be
    stored for, until it is written.
    """

    def __init__(
        self, address: Address, content: bytes, frame_max: i64, persistent: bool, time: i64, expiration: i64
    ) -> None:
        self.address: Final = address
        self.content: Final = content
        self.frame_max: Final[i64] = frame_max  # no frame of the content is larger
        self.persistent = persistent
        self.time: i64 = time
        self.expiration: Final[i64] = expiration
        self.place: i64 = NOT_STORED
        self.targets: list[Target] | None = None

    def copy(self, time: i64) -> Message:
        """The same message anew, taken in at this time, in no queue and no store."""
        return Message(self.address, self.content, self.frame_max, self.persistent, time, self.expiration)

    def add_target(self, queue: BackingQueue, position: i64) -> None:
        """The store is to keep the message for a queue."""
        if self.targets is None:
            self.targets = [Target(queue, position)]
        else:
            self.targets.append(Target(queue, position))

    def body_size(self) -> i64:
        """Octets of the body."""
        return read_i64_be(self.content, BODY_SIZE_AT)

    def body(self) -> bytes:
        """The body without its frames."""
        return split_content(self.content)[1]

    def properties(self) -> BasicProperties:
        """The content header's properties, decoded anew at each call."""
        return decode_properties(self.header_payload(), FLAGS_AT - FRAME_HEAD)

    def header_payload(self) -> bytes:
        """The content header frame's payload: class, weight, body size, property flags and list."""
        return self.content[FRAME_HEAD : FRAME_HEAD + self.header_size()]

    def header_size(self) -> i64:
        """Octets of the content header frame's payload."""
        return i64(read_i32_be(self.content, 3))

    def with_properties(self, properties: BasicProperties, address: Address, time: i64, expiration: i64) -> Message:
        """The same body as another message: with these properties, at this address, taken in at this time."""
        return self.with_encoded(properties.encode(), address, time, expiration)

    def with_encoded(self, properties: bytes, address: Address, time: i64, expiration: i64) -> Message:
        """As `with_properties`, which are encoded already: the property flags and the property list."""
        content = self.content
        header_end = FRAME_HEAD + self.header_size() + 1
        header = content[FRAME_HEAD:FLAGS_AT] + properties
        frame = content[:3] + len(header).to_bytes(4, "big") + header + content[header_end - 1 :]
        frame_max = self.frame_max
        if len(header) + FRAME_OVERHEAD > frame_max:
            frame_max = len(header) + FRAME_OVERHEAD  # a header can't be divided
        return Message(address, frame, frame_max, self.persistent, time, expiration)

    def fits(self, number: i64, frame_max: i64) -> bool:
        """Whether the content frames can go out on this channel number and frame_max just as they are."""
        content = self.content
        return (i64(read_i16_be(content, 1)) & 0xFFFF) == number and (
            self.frame_max <= frame_max or len(content) <= frame_max
        )

    def framed_for(self, number: i64, frame_max: i64) -> bytes:
        """The content frames for another channel number or frame_max."""
        header, body = split_content(self.content)
        return content_frames(int(number), header, body, int(frame_max))


def priority_of(message: Message, default: i64) -> i64:
    """The priority property of a message."""
    if i64(read_i16_be(message.content, FLAGS_AT)) & PRIORITY == 0:
        return default
    header = message.header_payload()
    return i64(header[property_at(header, PRIORITY)])


def write_readdressed(writer: BytesWriter, message: Message, channel_octets: bytes) -> None:
    """Write a content of one header and at most one body frame with another channel number (its two octets)."""
    content = message.content
    header_end = FRAME_HEAD + i64(read_i32_be(content, 3)) + 1
    writer.write(b"\x02")
    writer.write(channel_octets)
    writer.write(content[3:header_end])
    if header_end < len(content):
        writer.write(b"\x03")
        writer.write(channel_octets)
        writer.write(content[header_end + 3 :])
