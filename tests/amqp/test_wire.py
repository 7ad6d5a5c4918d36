"""The elementary types: limits of each, and no read past the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret.amqp.field_table import FieldValue
from leveret.amqp.reply_codes import FRAME_ERROR, SYNTAX_ERROR, HardError
from leveret.amqp.wire import Reader, Writer
from tests.amqp import strategies

NUMBERS = [
    ("octet", 1),
    ("short", 2),
    ("long", 4),
    ("longlong", 8),
    ("timestamp", 8),
]


def written(write: Callable[[Writer], None]) -> bytes:
    writer = Writer()
    write(writer)
    return writer.getvalue()


@pytest.mark.parametrize(("kind", "width"), NUMBERS)
@given(data=st.data())
def test_numbers(kind: str, width: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, 2 ** (8 * width) - 1))
    writer = Writer()
    getattr(writer, kind)(value)
    assert writer.getvalue() == value.to_bytes(width, "big")
    reader = Reader(writer.getvalue())
    assert getattr(reader, kind)() == value
    assert reader.at_end


@pytest.mark.parametrize(("kind", "width"), NUMBERS)
def test_limits_of_numbers(kind: str, width: int) -> None:
    for value in (-1, 2 ** (8 * width)):
        with pytest.raises(ValueError):
            getattr(Writer(), kind)(value)
    writer = Writer()
    getattr(writer, kind)(2 ** (8 * width) - 1)
    assert writer.getvalue() == b"\xff" * width


@given(strategies.short_strings)
def test_short_strings(value: str) -> None:
    octets = written(lambda writer: writer.shortstr(value))
    assert octets == bytes([len(value.encode())]) + value.encode()
    assert Reader(octets).shortstr() == value
    assert Reader(octets).shortstr_unchecked() == value


@given(st.binary(max_size=255))
def test_short_strings_of_any_octets(octets: bytes) -> None:
    encoded = bytes([len(octets)]) + octets
    value = Reader(encoded).shortstr_unchecked()
    assert written(lambda writer: writer.shortstr(value)) == encoded


@pytest.mark.parametrize("octets", [b"\xff\xfe", b"\xc0\x80", b"\xc3", b"\xed\xa0\x80"])
def test_short_string_that_is_not_utf8(octets: bytes) -> None:
    with pytest.raises(HardError) as error:
        Reader(bytes([len(octets)]) + octets).shortstr()
    assert error.value.text == "FRAME_ERROR - Malformed UTF-8 in shortstr"


def test_short_string_is_limited_in_bytes() -> None:
    assert len(written(lambda writer: writer.shortstr("x" * 255))) == 256
    with pytest.raises(ValueError):
        Writer().shortstr("x" * 256)
    with pytest.raises(ValueError):
        Writer().shortstr("é" * 128)


@given(st.binary(max_size=1000))
def test_long_strings(value: bytes) -> None:
    octets = written(lambda writer: writer.longstr(value))
    assert octets == len(value).to_bytes(4, "big") + value
    assert Reader(octets).longstr() == value


@pytest.mark.parametrize(
    ("bits", "octet"),
    [
        ((True,), 1),
        ((False,), 0),
        ((False, True), 2),
        ((False, False, True), 4),
        ((False, False, False, True), 8),
        ((False, False, False, False, True), 16),
        ((True, True, True, True, True), 31),
    ],
)
def test_bits(bits: tuple[bool, ...], octet: int) -> None:
    assert written(lambda writer: writer.bits(*bits)) == bytes([octet])


def test_reading_starts_where_it_is_told_and_keeps_its_place() -> None:
    reader = Reader(b"\x00\x01\x02\x03a\xff", 1)
    assert reader.position == 1
    assert reader.short() == 0x0102
    assert reader.position == 3
    assert not reader.at_end
    with pytest.raises(HardError):
        reader.longlong()
    assert reader.position == 3


@pytest.mark.parametrize(
    "kind", ["octet", "short", "long", "longlong", "timestamp", "shortstr", "shortstr_unchecked", "longstr", "table"]
)
def test_reading_past_the_end(kind: str) -> None:
    whole = {
        "shortstr": b"\x02ab",
        "shortstr_unchecked": b"\x02ab",
        "longstr": b"\x00\x00\x00\x01a",
        "table": b"\x00\x00\x00\x03\x01aV",
    }
    encoded = whole.get(kind, bytes(dict(NUMBERS).get(kind, 0)))
    getattr(Reader(encoded), kind)()
    for length in range(len(encoded)):
        with pytest.raises(HardError) as error:
            getattr(Reader(b"\xaa" + encoded[:length], 1), kind)()
        assert error.value.code == FRAME_ERROR
        octets = ",".join(str(octet) for octet in encoded[:length])
        assert error.value.text == f"FRAME_ERROR - cannot decode <<{octets}>>"


def test_starting_outside() -> None:
    for at in (2, 2**40):
        with pytest.raises(HardError):
            Reader(b"a", at).octet()
    with pytest.raises(ValueError):
        Reader(b"a", -1)


def test_length_of_4_gib() -> None:
    for kind in ("longstr", "table"):
        with pytest.raises(HardError) as error:
            getattr(Reader(b"\xff\xff\xff\xffab"), kind)()
        assert error.value.code == FRAME_ERROR


def test_tables() -> None:
    octets = written(lambda writer: writer.table({"a": FieldValue("t", True)}))
    assert octets == b"\x00\x00\x00\x04\x01at\x01"
    reader = Reader(octets + b"rest")
    assert reader.table() == {"a": FieldValue("t", True)}
    assert reader.position == len(octets)


def test_malformed_table_of_the_right_length_is_a_syntax_error() -> None:
    with pytest.raises(HardError) as error:
        Reader(b"\x00\x00\x00\x03\x01aZ").table()
    assert error.value.code == SYNTAX_ERROR


def test_raw_octets_are_written_as_they_are() -> None:
    assert written(lambda writer: writer.raw(b"\x00\xff")) == b"\x00\xff"
