"""What the frames of a connection mean that are neither a publish nor an acknowledgement on an open channel.

Those two are nearly all of the traffic, and `connection` handles them in its own loop. What comes here is a method that
has to be decoded, content that comes in pieces, a heartbeat, or an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from librt.strings import read_i16_be
from mypy_extensions import i64

from leveret.amqp.frame import FRAME_OVERHEAD, describe_frame, unknown_frame
from leveret.amqp.methods import ChannelOpen, decode_method
from leveret.amqp.reply_codes import CHANNEL_ERROR, FRAME_ERROR, HardError, SoftError, with_method
from leveret.broker import channel_methods, connection_methods
from leveret.broker.connection_state import CLOSING, RUNNING

if TYPE_CHECKING:
    from leveret.broker.channel import Channel
    from leveret.broker.connection import Connection

METHOD: Final[i64] = 1
HEADER: Final[i64] = 2
BODY: Final[i64] = 3
HEARTBEAT: Final[i64] = 8
BASIC_PUBLISH: Final[i64] = (60 << 16) | 40
SHORTEST_HEADER: Final = 22  # octets of a frame with class, weight, size and flags


def handle_frame(connection: Connection, kind: i64, number: i64, channel: Channel | None, frame: bytes) -> None:
    """Handle a whole frame; HardError closes the connection."""
    if connection.state == CLOSING:
        if kind == METHOD and number == 0:
            connection_methods.handle_while_closing(connection, decode_method(frame[7:-1]))
        return
    if kind == HEARTBEAT:
        if number != 0 or len(frame) != FRAME_OVERHEAD:
            raise unknown_frame(int(kind), frame[7:-1])
        return
    if kind != METHOD and kind != HEADER and kind != BODY:
        raise unknown_frame(int(kind), frame[7:-1])
    if number == 0:
        if kind != METHOD:
            raise HardError(CHANNEL_ERROR, f"{describe_frame(int(kind), frame[7:-1])} on channel 0")
        connection_methods.handle(connection, decode_method(frame[7:-1]))
    elif connection.state != RUNNING:
        raise HardError(CHANNEL_ERROR, f"frame on channel {int(number)} before connection.open-ok")
    elif channel is not None:
        handle_on_channel(kind, channel, frame)
    else:
        method = decode_method(frame[7:-1]) if kind == METHOD else None
        if not isinstance(method, ChannelOpen):
            class_id, method_id = (0, 0) if method is None else (method.class_id, method.method_id)
            raise HardError(CHANNEL_ERROR, "expected 'channel.open'", class_id, method_id)
        channel_methods.open_channel(connection, int(number))


def handle_on_channel(kind: i64, channel: Channel, frame: bytes) -> None:
    """Handle a frame on a channel that is there."""
    if channel.closing:
        if kind == METHOD:
            channel_methods.handle_while_closing(channel, decode_method(frame[7:-1]))
        return
    try:
        if kind == METHOD:
            channel_methods.handle(channel, decode_method(frame[7:-1]))
        elif kind == HEADER:
            if len(frame) < SHORTEST_HEADER:
                raise HardError(FRAME_ERROR, "content header is too short")
            channel.content_header(frame, i64(read_i16_be(frame, 7)), i64(read_i16_be(frame, 9)))
        else:
            channel.content_body(frame)
    except SoftError as error:
        channel.fail(error if kind == METHOD else with_method(error, BASIC_PUBLISH))


def frame_too_large(size: i64, kind: int, frame_max: i64) -> HardError:
    """The error for a frame that is larger than was agreed on, in RabbitMQ's words; the size is one of 32 bits."""
    shown, most = int(size) & 0xFFFFFFFF, int(frame_max) - FRAME_OVERHEAD
    return HardError(FRAME_ERROR, f"type {kind}, all octets = <<>>: {{frame_too_large,{shown},{most}}}")
