"""Frames: type, channel, payload length, payload, end octet.

Only building frames is here, and taking stored content apart again. A connection splits what it receives in its own
loop, because that loop is where the time goes.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, read_i32_be, write_i32_be
from mypy_extensions import i32, i64

from leveret.amqp.reply_codes import FRAME_ERROR, HardError, octets_text

FRAME_METHOD: Final = 1
FRAME_HEADER: Final = 2
FRAME_BODY: Final = 3
FRAME_HEARTBEAT: Final = 8
FRAME_END: Final = 0xCE

# 1 octet type, 2 channel, 4 payload length, and the end octet
FRAME_OVERHEAD: Final = 8
MIN_FRAME_MAX: Final = 4096

PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"
HEARTBEAT_FRAME: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"

_PAYLOAD_AT: Final = 7
_SNIPPET: Final = 16


def method_frame(channel: int, payload: bytes) -> bytes:
    """Return the frame of an encoded method."""
    writer = BytesWriter()
    _write_frame(writer, FRAME_METHOD, channel, payload)
    return writer.getvalue()


def content_frames(channel: int, header_payload: bytes, body: bytes, frame_max: int) -> bytes:
    """Return the header frame of a content and as many body frames as its body needs.

    `frame_max` limits each whole frame, in octets; 0 means no limit. The header must fit into one frame, the protocol
    has no way to split it; RabbitMQ sends a larger one all the same, and so does this. An empty body has no frame.
    Raises ValueError for a limit that leaves no room for a body.
    """
    size: i64 = len(body)
    room: i64 = frame_max - FRAME_OVERHEAD
    if frame_max == 0:
        room = size
    elif room <= 0:
        raise ValueError("frame_max leaves no room for a body")
    writer = BytesWriter()
    _write_frame(writer, FRAME_HEADER, channel, header_payload)
    if 0 < size <= room:
        _write_frame(writer, FRAME_BODY, channel, body)
        return writer.getvalue()
    at: i64 = 0
    while at < size:
        _write_frame(writer, FRAME_BODY, channel, body[at : at + room])
        at += room
    return writer.getvalue()


def split_content(content: bytes) -> tuple[bytes, bytes]:
    """Return the header payload and the body of what content_frames built. Raises ValueError for anything else."""
    after_header = _frame_end(content, 0, FRAME_HEADER)
    header_payload = content[_PAYLOAD_AT : after_header - 1]
    pieces: list[bytes] = []
    at = after_header
    while at < len(content):
        after = _frame_end(content, at, FRAME_BODY)
        pieces.append(content[at + _PAYLOAD_AT : after - 1])
        at = after
    return header_payload, pieces[0] if len(pieces) == 1 else b"".join(pieces)


def describe_frame(frame_type: int, payload: bytes) -> str:
    """Return how RabbitMQ shows a frame in a reply text: `type 1, first 16 octets = <<0,50,...>>`.

    Octets that all are printable ASCII stand as a quoted string.
    """
    which = "all" if len(payload) <= _SNIPPET else f"first {_SNIPPET}"
    octets = payload[:_SNIPPET]
    text = octets.decode("latin-1")
    if text and text.isascii() and text.isprintable():
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'type {frame_type}, {which} octets = <<"{quoted}">>'
    return f"type {frame_type}, {which} octets = {octets_text(octets)}"


def unknown_frame(frame_type: int, payload: bytes) -> HardError:
    """The error for a frame that makes no sense by itself: of an unknown type, or too short for its type.

    The text is RabbitMQ's: `type 1, all octets = <<0,50,0>>: unknown_frame`.
    """
    return HardError(FRAME_ERROR, describe_frame(frame_type, payload) + ": unknown_frame")


def _write_frame(writer: BytesWriter, frame_type: i64, channel: i64, payload: bytes) -> None:
    writer.append(int(frame_type))
    writer.append(int((channel >> 8) & 0xFF))
    writer.append(int(channel & 0xFF))
    write_i32_be(writer, i32(len(payload)))
    writer.write(payload)
    writer.append(FRAME_END)


def _frame_end(content: bytes, at: i64, frame_type: i64) -> i64:
    """Return where the frame at `at` ends, after checking that it is whole and of this type."""
    size: i64 = len(content)
    if size - at < FRAME_OVERHEAD or content[at] != frame_type:
        raise ValueError("not the frames of a content")
    length = i64(read_i32_be(content, at + 3))
    end = at + length + FRAME_OVERHEAD
    if length < 0 or end > size or content[end - 1] != FRAME_END:
        raise ValueError("not the frames of a content")
    return end


def invalid_frame_end(data: bytes, at: i64, after: i64) -> str:
    """RabbitMQ's text for a frame that doesn't end in the frame-end octet."""
    frame = describe_frame(data[at], data[at + 7 : after])
    return f"{frame}: {{invalid_frame_end_marker,{data[after]}}}"
