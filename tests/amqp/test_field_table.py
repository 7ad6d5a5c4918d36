"""Field tables: every kind, lossless both ways, and nothing but protocol errors for anything malformed."""

from __future__ import annotations

import math
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret.amqp.field_table import (
    NESTING_LIMIT,
    TYPE_NAMES,
    FieldValue,
    Table,
    check_table,
    decode_table,
    decode_value,
    encode_table,
    encode_value,
    from_python,
    table_from_python,
    table_to_python,
    to_python,
    value_end,
)
from leveret.amqp.reply_codes import SYNTAX_ERROR, HardError
from tests.amqp import strategies

# the letter, its octets, the value: one of each kind
VECTORS = [
    ("t", "01", True),
    ("t", "00", False),
    ("b", "80", -128),
    ("b", "7f", 127),
    ("B", "ff", 255),
    ("s", "8000", -32768),
    ("s", "0102", 258),
    ("u", "ffff", 65535),
    ("I", "80000000", -(2**31)),
    ("I", "0000ea60", 60000),
    ("i", "ffffffff", 2**32 - 1),
    ("l", "8000000000000000", -(2**63)),
    ("l", "0000000000000005", 5),
    ("f", "3fc00000", 1.5),
    ("d", "c004000000000000", -2.5),
    ("D", "020000013a", Decimal("3.14")),
    ("D", "00ffffffff", Decimal(2**32 - 1)),
    ("S", "00000002c3a9", "é"),
    ("S", "00000001ff", "\udcff"),
    ("x", "00000003000102", b"\x00\x01\x02"),
    ("T", "ffffffffffffffff", 2**64 - 1),
    ("T", "0000000065f00000", 1710227456),
    ("V", "", None),
    ("A", "00000000", []),
    ("A", "00000004740156" + "56", [FieldValue("t", True), FieldValue("V", None), FieldValue("V", None)]),
    ("F", "00000000", {}),
    ("F", "0000000401617401", {"a": FieldValue("t", True)}),
]


def entry(kind: str, octets: bytes, key: bytes = b"k") -> bytes:
    return bytes([len(key)]) + key + kind.encode() + octets


def decode(entries: bytes) -> Table:
    return decode_table(entries, 0, len(entries))


def is_refused(entries: bytes) -> str:
    """Check that decoding and checking refuse the entries for one reason, and return it."""
    with pytest.raises(HardError) as by_decoding:
        decode(entries)
    with pytest.raises(HardError) as by_checking:
        check_table(entries, 0, len(entries))
    assert by_decoding.value.code == by_checking.value.code == SYNTAX_ERROR
    assert by_decoding.value.explanation.startswith("malformed field table: ")
    return by_decoding.value.explanation.removeprefix("malformed field table: ")


@pytest.mark.parametrize(("kind", "octets", "value"), VECTORS)
def test_known_octets(kind: str, octets: str, value: object) -> None:
    entries = entry(kind, bytes.fromhex(octets))
    table = decode(entries)
    assert table == {"k": FieldValue(kind, value)}
    assert type(table["k"].value) is type(value)
    assert encode_table(table) == struct.pack(">I", len(entries)) + entries
    check_table(entries, 0, len(entries))


def test_vectors_cover_every_type() -> None:
    assert {kind for kind, _, _ in VECTORS} == set(TYPE_NAMES)


def test_table_of_a_publisher() -> None:
    table = {"x-match": FieldValue("S", "all"), "n": FieldValue("I", 1)}
    assert encode_table(table).hex() == "00000017" + "07782d6d61746368" + "5300000003616c6c" + "016e" + "4900000001"


@given(strategies.tables)
def test_round_trip(table: Table) -> None:
    encoded = encode_table(table)
    assert struct.unpack_from(">I", encoded)[0] == len(encoded) - 4
    decoded = decode_table(encoded, 4, len(encoded))
    assert decoded == table
    assert list(decoded) == list(table)
    assert encode_table(decoded) == encoded
    check_table(encoded, 4, len(encoded))


@given(strategies.field_values, st.binary(max_size=20), st.binary(max_size=20))
def test_one_value_alone(value: FieldValue, before: bytes, after: bytes) -> None:
    encoded = encode_value(value)
    assert encode_table({"k": value})[4:] == b"\x01k" + encoded
    assert decode_value(encoded) == value
    assert value_end(before + encoded + after, len(before)) == len(before + encoded)


@pytest.mark.parametrize("octets", [b"", b"I\x00", b"VV", b"S\x00\x00\x00\x01", b"Z", b"F\x00\x00\x00\x01"])
def test_octets_that_are_not_one_value(octets: bytes) -> None:
    with pytest.raises(HardError):
        decode_value(octets)


@given(strategies.tables, st.binary(max_size=20), st.binary(max_size=20))
def test_only_the_given_range_is_read(table: Table, before: bytes, after: bytes) -> None:
    entries = encode_table(table)[4:]
    data = before + entries + after
    assert decode_table(data, len(before), len(before) + len(entries)) == table


@given(st.binary(max_size=200) | strategies.damaged(strategies.tables.map(lambda table: encode_table(table)[4:])))
def test_arbitrary_octets_raise_only_protocol_errors_and_checking_agrees(octets: bytes) -> None:
    try:
        table: Table | None = decode(octets)
    except HardError as error:
        assert error.code == SYNTAX_ERROR
        table = None
    if table is None:
        with pytest.raises(HardError):
            check_table(octets, 0, len(octets))
    else:
        check_table(octets, 0, len(octets))
        again = encode_table(table)
        assert encode_table(decode_table(again, 4, len(again))) == again


@pytest.mark.parametrize(("at", "end"), [(-1, 0), (0, 5), (3, 2), (5, 5), (0, 2**31)])
def test_ranges_outside_the_data(at: int, end: int) -> None:
    with pytest.raises(HardError):
        decode_table(b"\x01aV\x00", at, end)
    with pytest.raises(HardError):
        check_table(b"\x01aV\x00", at, end)


@pytest.mark.parametrize(("kind", "octets", "_value"), VECTORS)
def test_every_cut_is_refused(kind: str, octets: str, _value: object) -> None:
    entries = entry(kind, bytes.fromhex(octets))
    for length in range(1, len(entries)):
        assert is_refused(entries[:length]) == "a value passes its end"


def test_inner_length_past_the_outer_end() -> None:
    inner = entry("F", struct.pack(">I", 3) + b"\x01aV")
    assert is_refused(inner[:-1]) == "a value passes its end"
    assert is_refused(entry("A", struct.pack(">I", 2**32 - 1) + b"V")) == "a value passes its end"
    assert is_refused(entry("S", struct.pack(">I", 2**31))) == "a value passes its end"


@pytest.mark.parametrize("kind", ["Z", "\x00", "U", "n"])
def test_unknown_type(kind: str) -> None:
    assert is_refused(entry(kind, bytes(8))) == f"unknown type {ord(kind)}"
    assert is_refused(entry("A", struct.pack(">I", 1) + kind.encode())) == f"unknown type {ord(kind)}"


def test_both_letters_of_a_64_bit_number_are_read_and_one_is_written() -> None:
    assert decode(entry("L", struct.pack(">q", -7))) == {"k": FieldValue("l", -7)}
    check_table(entry("L", bytes(8)), 0, 11)
    assert encode_table({"k": FieldValue("l", -7)})[4:] == entry("l", struct.pack(">q", -7))


def test_any_octet_but_0_is_true() -> None:
    assert decode(entry("t", b"\x02")) == {"k": FieldValue("t", True)}


def test_first_of_two_equal_keys_counts() -> None:
    assert decode(entry("I", bytes(4)) + entry("t", b"\x01")) == {"k": FieldValue("I", 0)}


def test_key_that_is_not_utf8_survives() -> None:
    entries = entry("V", b"", key=b"\xff\xfe")
    table = decode(entries)
    assert list(table) == ["\udcff\udcfe"]
    assert encode_table(table)[4:] == entries


@pytest.mark.parametrize("octets", ["7ff8000000000000", "7ff0000000000000", "fff0000000000000"])
def test_doubles_that_are_not_finite_survive(octets: str) -> None:
    entries = entry("d", bytes.fromhex(octets))
    table = decode(entries)
    assert not math.isfinite(table["k"].value)  # type: ignore[arg-type]
    assert encode_table(table)[4:] == entries


@pytest.mark.parametrize("scale", [0, 1, 9, 10, 255])
@pytest.mark.parametrize("unscaled", [0, 7, 1000, 2**31, 2**32 - 1])
def test_decimals_keep_their_scale(scale: int, unscaled: int) -> None:
    entries = entry("D", struct.pack(">BI", scale, unscaled))
    table = decode(entries)
    assert encode_table(table)[4:] == entries
    value = table["k"].value
    assert isinstance(value, Decimal)
    assert value.as_tuple().exponent == -scale


def nested(kind: str, levels: int) -> bytes:
    """A table with `levels` tables, or arrays, inside one another."""
    value = b"V"
    for level in range(levels):
        inner = value if kind == "A" else b"\x01k" + value
        value = kind.encode() + struct.pack(">I", len(inner)) + inner
        assert level >= 0
    return b"\x01k" + value


@pytest.mark.parametrize("kind", ["A", "F"])
def test_nesting_is_limited(kind: str) -> None:
    deepest = nested(kind, NESTING_LIMIT - 1)
    assert encode_table(decode(deepest))[4:] == deepest
    check_table(deepest, 0, len(deepest))
    for levels in (NESTING_LIMIT, 10_000):
        assert is_refused(nested(kind, levels)) == "nested too deeply"


def test_values_are_equal_by_kind_and_value() -> None:
    assert FieldValue("I", 1) == FieldValue("I", 1)
    assert FieldValue("I", 1) != FieldValue("l", 1)
    assert FieldValue("I", 1) != FieldValue("I", 2)
    assert FieldValue("I", 1) != 1
    assert repr(FieldValue("A", [FieldValue("S", "x")])) == "FieldValue('A', [FieldValue('S', 'x')])"


@pytest.mark.parametrize(
    "value",
    [
        FieldValue("Z", 1),
        FieldValue("", 1),
        FieldValue("II", 1),
        FieldValue("I", "1"),
        FieldValue("S", b"x"),
        FieldValue("S", "\ud800"),
        FieldValue("x", "x"),
        FieldValue("t", 1),
        FieldValue("d", "1"),
        FieldValue("V", 0),
        FieldValue("A", {}),
        FieldValue("F", []),
        FieldValue("D", 1.5),
        FieldValue("D", Decimal("-1")),
        FieldValue("D", Decimal(2**32)),
        FieldValue("D", Decimal("NaN")),
        FieldValue("D", Decimal("1E+3")),
        FieldValue("D", Decimal("1E-256")),
        FieldValue("f", 1e300),
        FieldValue("b", 128),
        FieldValue("b", -129),
        FieldValue("B", 256),
        FieldValue("B", -1),
        FieldValue("s", 2**15),
        FieldValue("u", -1),
        FieldValue("I", 2**31),
        FieldValue("i", 2**32),
        FieldValue("l", 2**63),
        FieldValue("T", -1),
        FieldValue("T", 2**64),
    ],
    ids=repr,
)
def test_values_that_the_wire_cannot_hold(value: FieldValue) -> None:
    with pytest.raises(ValueError):
        encode_table({"k": value})
    with pytest.raises(ValueError):
        encode_table({"k": FieldValue("A", [value])})


def test_key_that_is_too_long() -> None:
    assert len(encode_table({"é" * 127 + "x": FieldValue("V", None)})) == 4 + 1 + 255 + 1
    with pytest.raises(ValueError):
        encode_table({"é" * 128: FieldValue("V", None)})


PLAIN = {
    "flag": True,
    "small": -(2**31),
    "large": 2**31,
    "text": "é",
    "octets": b"\x00",
    "number": 1.5,
    "price": Decimal("9.99"),
    "nothing": None,
    "list": [1, "two", [False], {"deep": None}],
    "table": {"inner": {"innermost": 5}},
}


def test_python_values_become_field_values_and_come_back() -> None:
    table = table_from_python(PLAIN)
    kinds = {key: value.kind for key, value in table.items()}
    assert kinds == {
        "flag": "t",
        "small": "I",
        "large": "l",
        "text": "S",
        "octets": "x",
        "number": "d",
        "price": "D",
        "nothing": "V",
        "list": "A",
        "table": "F",
    }
    encoded = encode_table(table)
    assert table_to_python(decode_table(encoded, 4, len(encoded))) == PLAIN


def test_field_value_is_not_wrapped_again() -> None:
    value = FieldValue("T", 5)
    assert from_python(value) is value
    assert to_python(value) == 5


def test_python_values_without_a_type() -> None:
    with pytest.raises(ValueError, match="no field table type for set"):
        from_python({1, 2})
