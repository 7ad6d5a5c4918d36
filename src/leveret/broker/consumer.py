"""A consumer: one subscription of a channel to a queue, and the frames it gets its deliveries in.

A delivery is joined from pieces that repeat: the method frame up to the delivery tag (made anew only when the
length of the address changes), the address's own ending, and the content frames as they came. Only the delivery tag
is new each time.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from librt.strings import write_i64_be
from mypy_extensions import i64, mypyc_attr

from leveret.amqp.field_table import Table
from leveret.broker.consumer_timeout import AcknowledgementTimeout
from leveret.broker.message import Message, shortstr, write_readdressed
from leveret.broker.queue_settings import NONE

if TYPE_CHECKING:
    from leveret.broker.channel import Channel
    from leveret.broker.queue import Queue

UNLIMITED: Final[i64] = 1 << 40
NO_HEAD: Final[i64] = -1
LARGE_CONTENT: Final[i64] = 128 * 1024  # from here on content is not copied into the output buffer but kept beside it
OUTPUT_LIMIT: Final[i64] = 512 * 1024  # octets waiting for a connection's socket before its consumers are passed over


@mypyc_attr(acyclic=True)
class Delivery:
    """A message that a channel has been given and not settled yet.

    There are as many as messages in flight, so the garbage collector is spared them (acyclic): what could make a cycle
    of it, its channel's `unacked`, is emptied when the channel ends.
    """

    def __init__(
        self, message: Message, queue: Queue, position: i64, consumer: Consumer | None, delivered_at: float
    ) -> None:
        self.message: Final = message
        self.queue: Final = queue
        self.position: Final[i64] = position  # in the queue, where a requeue puts it back
        self.consumer: Final = consumer  # None if it was fetched by basic.get
        self.delivered_at: Final = delivered_at  # by `Timers.now`


class Consumer:
    """A subscription. `prefetch` 0 means no limit; consumers that don't acknowledge have none.

    A later basic.qos may change it while the consumer runs; `declared_prefetch` is what it was subscribed with.
    """

    def __init__(
        self,
        channel: Channel,
        queue: Queue,
        tag: str,
        no_ack: bool,
        exclusive: bool,
        prefetch: int,
        priority: int,
        arguments: Table,
    ) -> None:
        self.channel: Final = channel
        self.timers: Final = channel.connection.broker.timers
        self.queue: Final = queue
        self.tag: Final = tag
        self.no_ack: Final = no_ack
        self.exclusive: Final = exclusive
        self.priority: Final = priority
        self.arguments: Final = arguments
        self.declared_prefetch: Final[i64] = 0 if no_ack else prefetch
        self.prefetch: i64 = self.declared_prefetch
        self.unacked: i64 = 0
        self.parked = False  # out of the queue's rotation until its channel says that there may be room again
        self.cancelled = False
        self.timeout: i64 = NONE  # milliseconds that it may take to acknowledge a delivery
        self.acknowledgement_timeout: Final = AcknowledgementTimeout(self)
        self._prefix: Final = struct.pack(">HH", 60, 60) + shortstr(tag)
        self._head = b""
        self._head_for: i64 = NO_HEAD  # the address length that _head was made for

    def room(self) -> i64:
        """How many messages it may be given now; 0 if it has to wait."""
        channel = self.channel
        connection = channel.connection
        if connection.pending_output() >= OUTPUT_LIMIT or not connection.writable:
            connection.throttled = True
            return 0
        if not channel.flow_active:
            return 0
        if self.no_ack:
            return UNLIMITED
        room: i64 = UNLIMITED
        if self.prefetch:
            room = self.prefetch - self.unacked
        if channel.prefetch:
            channel_room: i64 = channel.prefetch - channel.consumers_unacked
            if channel_room < room:
                room = channel_room
        return room if room > 0 else 0

    def send(self, message: Message, position: i64, redelivered: bool) -> None:
        """Frame a delivery into the connection's output and remember it if it has to be acknowledged."""
        channel = self.channel
        connection = channel.connection
        tag: i64 = channel.delivery_tag + 1
        channel.delivery_tag = tag
        if not self.no_ack:
            channel.unacked[int(tag)] = Delivery(message, self.queue, position, self, self.timers.now)
            self.unacked += 1
            channel.consumers_unacked += 1
            if self.timeout != NONE:
                self.acknowledgement_timeout.note(tag)
        if redelivered:
            self.queue.traffic.redeliver += 1
            channel.traffic.redeliver += 1
            message = self.queue.as_redelivered(message, position, self.no_ack)
        address = message.address
        if address.size != self._head_for:
            self._make_head(message, redelivered)
        writer = connection.writer
        writer.write(self._head)
        write_i64_be(writer, tag)
        writer.write(address.redelivery if redelivered else address.first_delivery)
        if len(message.content) < LARGE_CONTENT and message.fits(channel.number, connection.frame_max):
            writer.write(message.content)
        else:
            write_content(channel, message)

    def _make_head(self, message: Message, redelivered: bool) -> None:
        """Make the head of this delivery; while tracing is on it is kept for no other, so that each comes by here."""
        self._head_for = message.address.size
        size = len(self._prefix) + 8 + 1 + int(self._head_for)
        self._head = struct.pack(">BHL", 1, int(self.channel.number), size) + self._prefix
        firehose = self.queue.vhost.firehose
        if firehose.on:
            self._head_for = NO_HEAD
            firehose.delivered(self.channel, self.queue, message, redelivered)

    def forget_head(self) -> None:
        """Have the next delivery's head made anew."""
        self._head_for = NO_HEAD


def write_content(channel: Channel, message: Message) -> None:
    """Write a message's content frames to a channel in the ways that `Consumer.send` does not do on the spot."""
    connection = channel.connection
    content = message.content
    if len(content) >= LARGE_CONTENT:
        if not message.fits(channel.number, connection.frame_max):
            content = message.framed_for(channel.number, connection.frame_max)
        connection.write_block(content)
    elif message.fits(channel.number, connection.frame_max):
        connection.writer.write(content)
    elif len(content) <= connection.frame_max and is_single_body_frame(message):
        write_readdressed(connection.writer, message, channel.number_octets)
    else:
        connection.writer.write(message.framed_for(channel.number, connection.frame_max))


def is_single_body_frame(message: Message) -> bool:
    """Whether the content has at most one body frame."""
    content = message.content
    header_end: i64 = 8 + len(message.header_payload())
    size: i64 = message.body_size()
    return len(content) == header_end + (8 + size if size else 0)
