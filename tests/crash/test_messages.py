"""A body tells who sent it, and any change to it or to its properties is found."""

from __future__ import annotations

import struct

import pytest

from tests.crash.messages import HEAD, Damaged, Messages, Publisher, check_properties, property_list
from tests.crash.topology import PUBLISHERS
from tests.support.raw_client import Reader

MESSAGES = Messages("a seed", PUBLISHERS)


@pytest.mark.parametrize("publisher", [one for one in PUBLISHERS if not one.dead_letters], ids=lambda one: one.name)
def test_every_message_is_known_again(publisher: Publisher) -> None:
    for sequence in range(80):
        body = MESSAGES.body(publisher, sequence)
        assert MESSAGES.identify(body) == (publisher, sequence)
        check_properties(publisher, sequence, property_list(publisher, sequence))


def test_sizes_are_varied_and_some_bodies_need_several_frames() -> None:
    sizes = {len(MESSAGES.body(publisher, sequence)) for publisher in PUBLISHERS for sequence in range(100)}
    assert len(sizes) >= 15
    assert min(sizes) == HEAD.size
    assert max(sizes) > 262_144


@pytest.mark.parametrize("position", [0, 5, 8, 13, 17, 20, 500])
def test_a_changed_octet_is_found(position: int) -> None:
    body = bytearray(MESSAGES.body(PUBLISHERS[2], 4))
    body[position] ^= 1
    with pytest.raises(Damaged):
        MESSAGES.identify(bytes(body))


@pytest.mark.parametrize("size", [0, 3, HEAD.size, 1000])
def test_a_body_cut_short_is_found(size: int) -> None:
    with pytest.raises(Damaged):
        MESSAGES.identify(MESSAGES.body(PUBLISHERS[2], 0)[:size])


def test_a_body_with_the_filler_of_another_message_is_found() -> None:
    one, other = (MESSAGES.body(PUBLISHERS[0], sequence) for sequence in (4, 17))
    with pytest.raises(Damaged, match="its own checksum wrong"):
        MESSAGES.identify(one[: HEAD.size] + other[HEAD.size :])


def test_changed_properties_are_found() -> None:
    for sequence in (0, 1, 5):
        properties = property_list(PUBLISHERS[0], sequence)
        with pytest.raises(Damaged):
            check_properties(PUBLISHERS[0], sequence, properties[:-1] + b"\x03")


def test_the_full_properties_are_well_formed() -> None:
    reader = Reader(property_list(PUBLISHERS[0], 5))
    assert struct.pack(">H", *reader.unpack("H")) == b"\xbf\xf8"
    assert reader.shortstr() == "application/octet-stream"
    assert reader.table()["publisher"] == "direct-1"
    assert reader.unpack("BB") == (2, 5)
    assert [reader.shortstr() for _ in range(4)] == ["correlation 5", "answers.here", "86400000", "message 5"]
    assert reader.unpack("Q") == (5,)
    assert [reader.shortstr() for _ in range(3)] == ["crash", "guest", "härness"]
    assert reader.ended
