"""Frames: known octets, the limit on their size, and content taken apart again."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret.amqp import frame
from leveret.amqp.frame import (
    FRAME_BODY,
    FRAME_HEADER,
    FRAME_OVERHEAD,
    content_frames,
    describe_frame,
    method_frame,
    split_content,
    unknown_frame,
)


def frames(octets: bytes) -> list[tuple[int, int, bytes]]:
    """Split octets into (type, channel, payload)."""
    found = []
    while octets:
        frame_type, channel, size = struct.unpack_from(">BHI", octets)
        assert octets[7 + size] == 0xCE
        found.append((frame_type, channel, octets[7 : 7 + size]))
        octets = octets[8 + size :]
    return found


def test_constants() -> None:
    assert b"AMQP" + bytes([0, 0, 9, 1]) == frame.PROTOCOL_HEADER
    assert frames(frame.HEARTBEAT_FRAME) == [(frame.FRAME_HEARTBEAT, 0, b"")]
    assert len(frame.HEARTBEAT_FRAME) == FRAME_OVERHEAD
    assert frame.MIN_FRAME_MAX == 4096
    assert frame.FRAME_END == 0xCE


def test_method_frame() -> None:
    assert method_frame(1, b"\x00\x14\x00\x0a\x00") == bytes.fromhex("01 0001 00000005 0014000a00 ce")
    assert method_frame(0xFFFF, b"") == bytes.fromhex("01 ffff 00000000 ce")


@given(st.integers(0, 0xFFFF), st.binary(max_size=300))
def test_any_method_frame(channel: int, payload: bytes) -> None:
    assert frames(method_frame(channel, payload)) == [(frame.FRAME_METHOD, channel, payload)]


@given(
    channel=st.integers(0, 0xFFFF),
    header=st.binary(min_size=14, max_size=40),
    body=st.binary(max_size=400),
    frame_max=st.just(0) | st.integers(FRAME_OVERHEAD + 1, 500),
)
def test_content(channel: int, header: bytes, body: bytes, frame_max: int) -> None:
    content = content_frames(channel, header, body, frame_max)
    first, *rest = frames(content)
    assert first == (FRAME_HEADER, channel, header)
    assert all(found[:2] == (FRAME_BODY, channel) for found in rest)
    assert b"".join(payload for _, _, payload in rest) == body
    room = frame_max - FRAME_OVERHEAD if frame_max else len(body)
    assert [len(payload) for _, _, payload in rest[:-1]] == [room] * len(rest[:-1])
    assert all(0 < len(payload) <= room for _, _, payload in rest)
    assert split_content(content) == (header, body)


@pytest.mark.parametrize(("size", "count"), [(0, 0), (1, 1), (4088, 1), (4089, 2), (8176, 2), (8177, 3)])
def test_number_of_body_frames(size: int, count: int) -> None:
    assert len(frames(content_frames(1, bytes(14), bytes(size), 4096))) == 1 + count
    assert len(frames(content_frames(1, bytes(14), bytes(size), 0))) == 1 + min(count, 1)


@pytest.mark.parametrize("size", [4087, 4088, 4095, 4096, 4097, 131064, 131065])
def test_large_bodies(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    for frame_max in (0, 4096, 131072):
        content = content_frames(513, bytes(14), body, frame_max)
        room = frame_max - FRAME_OVERHEAD if frame_max else size
        expected = [(FRAME_BODY, 513, body[at : at + room]) for at in range(0, size, room)]
        assert frames(content) == [(FRAME_HEADER, 513, bytes(14)), *expected]
        assert split_content(content) == (bytes(14), body)


@pytest.mark.parametrize("frame_max", [-1, 1, FRAME_OVERHEAD])
def test_limit_without_room(frame_max: int) -> None:
    with pytest.raises(ValueError):
        content_frames(1, bytes(14), b"x", frame_max)


@given(st.binary(max_size=60), st.data())
def test_what_is_not_a_content_is_refused(octets: bytes, data: st.DataObject) -> None:
    content = content_frames(1, bytes(14), octets, 20)
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    try:
        header, body = split_content(cut)
    except ValueError:
        return
    # cut between two frames
    assert header == bytes(14)
    assert len(body) < len(octets)
    assert octets.startswith(body)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        method_frame(1, bytes(14)),
        content_frames(1, bytes(14), b"x", 0)[:-1] + b"\x00",
        content_frames(1, bytes(14), b"", 0) + method_frame(1, b"x"),
        b"\x02\x00\x01\xff\xff\xff\xff\xce",
    ],
)
def test_other_frames_are_refused(octets: bytes) -> None:
    with pytest.raises(ValueError):
        split_content(octets)


# RabbitMQ's own words for these frames
@pytest.mark.parametrize(
    ("frame_type", "payload", "text"),
    [
        (8, b"", "type 8, all octets = <<>>"),
        (1, b"\x00\x32\x00", "type 1, all octets = <<0,50,0>>"),
        (9, b"abc", 'type 9, all octets = <<"abc">>'),
        (9, b"\x01\x02\x03" * 10, "type 9, first 16 octets = <<1,2,3,1,2,3,1,2,3,1,2,3,1,2,3,1>>"),
        (9, b'a"\\', 'type 9, all octets = <<"a\\"\\\\">>'),
    ],
)
def test_frames_in_reply_texts(frame_type: int, payload: bytes, text: str) -> None:
    assert describe_frame(frame_type, payload) == text
    assert unknown_frame(frame_type, payload).text == f"FRAME_ERROR - {text}: unknown_frame"
