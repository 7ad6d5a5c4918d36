"""Field tables: typed key and value pairs, in method arguments, message headers and client properties.

The grammar is RabbitMQ's (rabbit_binary_parser), which differs from the 0-9-1 specification and is what all clients
speak: `s` is a signed 16-bit number and not a short string, `l` and `L` both are signed 64-bit numbers.

A value keeps its wire letter, so that decoding and encoding loses nothing. Three things are normalised, as in
RabbitMQ: `L` becomes `l`, a true boolean is written as 1, and of a key that stands twice the first is kept (RabbitMQ
finds the first). Text that is not UTF-8 survives in `str` by surrogateescape. RabbitMQ cannot decode a float that is
not finite and drops the connection; here it is a value like any other.

Bounds are checked before every read, and nesting is limited, so that a hostile table can neither read past its end
nor exhaust the stack.
"""

from __future__ import annotations

from decimal import Decimal
from math import isfinite
from typing import Final, TypeAlias

from librt.strings import (
    BytesWriter,
    read_f32_be,
    read_f64_be,
    read_i16_be,
    read_i32_be,
    read_i64_be,
    write_f32_be,
    write_f64_be,
    write_i16_be,
    write_i32_be,
    write_i64_be,
)
from mypy_extensions import i16, i32, i64

from leveret.amqp.reply_codes import SYNTAX_ERROR, HardError

NESTING_LIMIT: Final = 64

TYPE_NAMES: Final[dict[str, str]] = {
    "t": "bool",
    "b": "byte",
    "B": "unsignedbyte",
    "s": "short",
    "u": "unsignedshort",
    "I": "signedint",
    "i": "unsignedint",
    "l": "long",
    "f": "float",
    "d": "double",
    "D": "decimal",
    "S": "longstr",
    "x": "binary",
    "A": "array",
    "T": "timestamp",
    "F": "table",
    "V": "void",
}

_INTEGER_RANGES: Final[dict[str, tuple[int, int]]] = {
    "b": (-(2**7), 2**7 - 1),
    "B": (0, 2**8 - 1),
    "s": (-(2**15), 2**15 - 1),
    "u": (0, 2**16 - 1),
    "I": (-(2**31), 2**31 - 1),
    "i": (0, 2**32 - 1),
    "l": (-(2**63), 2**63 - 1),
    "T": (0, 2**64 - 1),
}

_LARGEST_FLOAT: Final = 3.4028234663852886e38
_LARGEST_DECIMAL_SCALE: Final = 255
_LARGEST_DECIMAL: Final = 2**32 - 1
_LARGEST_LENGTH: Final = 2**31 - 1

_BOOL: Final = 0x74
_BYTE: Final = 0x62
_UNSIGNED_BYTE: Final = 0x42
_SHORT: Final = 0x73
_UNSIGNED_SHORT: Final = 0x75
_SIGNED_INT: Final = 0x49
_UNSIGNED_INT: Final = 0x69
_LONG: Final = 0x6C
_LONG_TOO: Final = 0x4C
_FLOAT: Final = 0x66
_DOUBLE: Final = 0x64
_DECIMAL: Final = 0x44
_LONGSTR: Final = 0x53
_BINARY: Final = 0x78
_ARRAY: Final = 0x41
_TIMESTAMP: Final = 0x54
_TABLE: Final = 0x46
_VOID: Final = 0x56


class FieldValue:
    """One value of a field table: its wire letter and, by that letter, a Python value.

    t bool; b B s u I i l T int (T counts seconds since 1970); f d float; D decimal.Decimal, never negative; S str;
    x bytes; A list[FieldValue]; F Table; V None. The letter decides, so 1 as `I` and 1 as `l` are not equal.
    """

    def __init__(self, kind: str, value: object) -> None:
        self.kind = kind
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldValue) and self.kind == other.kind and self.value == other.value

    def __repr__(self) -> str:
        return f"FieldValue({self.kind!r}, {self.value!r})"


Table: TypeAlias = dict[str, FieldValue]


def decode_table(data: bytes, at: int, end: int) -> Table:
    """Decode the entries that fill data[at:end]; the 4-byte length that stands before a table is not part of it.

    Raises HardError SYNTAX_ERROR unless whole entries fill the range exactly.
    """
    if not 0 <= at <= end <= len(data):
        raise _malformed("length")
    return _Decoder(data, at).table(end, 1)


def check_table(data: bytes, at: i64, end: i64) -> None:
    """Raise HardError SYNTAX_ERROR exactly when decode_table would, without building anything."""
    if at < 0 or at > end or end > len(data):
        raise _malformed("length")
    _check_entries(data, at, end, 1)


def encode_table(table: Table) -> bytes:
    """Encode a table, its 4-byte length first. Raises ValueError for what the wire cannot hold."""
    writer = BytesWriter()
    _write_table(writer, table)
    return writer.getvalue()


def decode_value(octets: bytes) -> FieldValue:
    """Decode one value, its letter first, as one that stands in a table.

    Raises HardError SYNTAX_ERROR unless it fills the octets exactly.
    """
    decoder = _Decoder(octets, 0)
    value = decoder.value(len(octets), 1)
    if not decoder.is_at(len(octets)):
        raise _malformed("octets after a value")
    return value


def encode_value(value: FieldValue) -> bytes:
    """Encode one value, its letter first. Raises ValueError for what the wire cannot hold."""
    writer = BytesWriter()
    _write_value(writer, value)
    return writer.getvalue()


def value_end(data: bytes, at: i64) -> i64:
    """Where the value ends whose letter is at `at`, in a table that check_table accepts."""
    width = _width(i64(data[at]))
    return at + 1 + width if width >= 0 else at + 5 + _unsigned_int(data, at + 1)


def from_python(value: object) -> FieldValue:
    """Wrap a plain Python value: bool t, int I or l by its size, str S, bytes x, float d, list A, dict F, None V.

    A Decimal becomes D and a FieldValue stays as it is. Raises ValueError for anything else.
    """
    if isinstance(value, FieldValue):
        return value
    if value is None:
        return FieldValue("V", None)
    if isinstance(value, bool):
        return FieldValue("t", value)
    if isinstance(value, int):
        return FieldValue("I" if -(2**31) <= value < 2**31 else "l", value)
    if isinstance(value, str):
        return FieldValue("S", value)
    if isinstance(value, bytes):
        return FieldValue("x", value)
    if isinstance(value, float):
        return FieldValue("d", value)
    if isinstance(value, list):
        return FieldValue("A", [from_python(element) for element in value])
    if isinstance(value, dict):
        return FieldValue("F", table_from_python(value))
    if isinstance(value, Decimal):
        return FieldValue("D", value)
    raise ValueError(f"no field table type for {type(value).__name__}")


def to_python(value: FieldValue) -> object:
    """Unwrap a value, nested ones too. The wire letters are lost."""
    inner = value.value
    if value.kind == "A" and isinstance(inner, list):
        return [to_python(element) for element in inner]
    if value.kind == "F" and isinstance(inner, dict):
        return table_to_python(inner)
    return inner


def table_from_python(values: dict[str, object]) -> Table:
    """Wrap every value of a plain dictionary; see from_python."""
    return {key: from_python(value) for key, value in values.items()}


def table_to_python(table: Table) -> dict[str, object]:
    """Unwrap every value of a table; see to_python."""
    return {key: to_python(value) for key, value in table.items()}


def _malformed(reason: str) -> HardError:
    return HardError(SYNTAX_ERROR, f"malformed field table: {reason}")


def _unsigned_int(data: bytes, at: i64) -> i64:
    return i64(read_i32_be(data, at)) & 0xFFFFFFFF


class _Decoder:
    """A cursor over the bytes of a table. `_take` is the only way forward, and it never passes the end it is given."""

    def __init__(self, data: bytes, at: i64) -> None:
        self._data = data
        self._at: i64 = at

    def is_at(self, end: i64) -> bool:
        return self._at == end

    def table(self, end: i64, depth: i64) -> Table:
        if depth > NESTING_LIMIT:
            raise _malformed("nested too deeply")
        table: Table = {}
        while self._at < end:
            length = i64(self._data[self._take(1, end)])
            start = self._take(length, end)
            key = self._data[start : start + length].decode("utf-8", "surrogateescape")
            value = self.value(end, depth)
            if key not in table:
                table[key] = value
        return table

    def _array(self, end: i64, depth: i64) -> list[FieldValue]:
        if depth > NESTING_LIMIT:
            raise _malformed("nested too deeply")
        values: list[FieldValue] = []
        while self._at < end:
            values.append(self.value(end, depth))
        return values

    def _take(self, width: i64, end: i64) -> i64:
        start = self._at
        if width > end - start:
            raise _malformed("a value passes its end")
        self._at = start + width
        return start

    def value(self, end: i64, depth: i64) -> FieldValue:
        kind = i64(self._data[self._take(1, end)])
        if kind == _LONGSTR:
            return FieldValue("S", self._octets(end).decode("utf-8", "surrogateescape"))
        if kind == _BOOL:
            return FieldValue("t", self._data[self._take(1, end)] != 0)
        if kind == _TABLE:
            return FieldValue("F", self.table(self._inner_end(end), depth + 1))
        if kind == _ARRAY:
            return FieldValue("A", self._array(self._inner_end(end), depth + 1))
        if kind == _BINARY:
            return FieldValue("x", self._octets(end))
        if kind == _VOID:
            return FieldValue("V", None)
        return self._number(kind, end)

    def _octets(self, end: i64) -> bytes:
        length = _unsigned_int(self._data, self._take(4, end))
        start = self._take(length, end)
        return self._data[start : start + length]

    def _inner_end(self, end: i64) -> i64:
        length = _unsigned_int(self._data, self._take(4, end))
        if length > end - self._at:
            raise _malformed("a value passes its end")
        return self._at + length

    def _number(self, kind: i64, end: i64) -> FieldValue:
        if kind == _SIGNED_INT:
            return FieldValue("I", int(read_i32_be(self._data, self._take(4, end))))
        if kind in (_LONG, _LONG_TOO):
            return FieldValue("l", int(read_i64_be(self._data, self._take(8, end))))
        if kind == _TIMESTAMP:
            seconds = int(read_i64_be(self._data, self._take(8, end)))
            return FieldValue("T", seconds if seconds >= 0 else seconds + 2**64)
        if kind == _DOUBLE:
            return FieldValue("d", read_f64_be(self._data, self._take(8, end)))
        if kind == _FLOAT:
            return FieldValue("f", read_f32_be(self._data, self._take(4, end)))
        if kind == _BYTE:
            octet = int(self._data[self._take(1, end)])
            return FieldValue("b", octet if octet < 0x80 else octet - 0x100)
        if kind == _UNSIGNED_BYTE:
            return FieldValue("B", self._data[self._take(1, end)])
        if kind == _SHORT:
            return FieldValue("s", int(read_i16_be(self._data, self._take(2, end))))
        if kind == _UNSIGNED_SHORT:
            return FieldValue("u", int(i64(read_i16_be(self._data, self._take(2, end))) & 0xFFFF))
        if kind == _UNSIGNED_INT:
            return FieldValue("i", int(_unsigned_int(self._data, self._take(4, end))))
        if kind == _DECIMAL:
            return FieldValue("D", self._decimal(end))
        raise _malformed(f"unknown type {int(kind)}")

    def _decimal(self, end: i64) -> Decimal:
        start = self._take(5, end)
        scale = self._data[start]
        unscaled = int(_unsigned_int(self._data, start + 1))
        digits = tuple([int(digit) for digit in str(unscaled)])
        return Decimal((0, digits, -scale))


def _check_entries(data: bytes, at: i64, end: i64, depth: i64) -> None:
    if depth > NESTING_LIMIT:
        raise _malformed("nested too deeply")
    while at < end:
        at += 1 + i64(data[at])
        at = _check_value(data, at, end, depth)


def _check_elements(data: bytes, at: i64, end: i64, depth: i64) -> None:
    if depth > NESTING_LIMIT:
        raise _malformed("nested too deeply")
    while at < end:
        at = _check_value(data, at, end, depth)


def _check_value(data: bytes, at: i64, end: i64, depth: i64) -> i64:
    """Check the value whose letter is at `at`; return where the next one starts, which is at most `end`."""
    if at >= end:
        raise _malformed("a value passes its end")
    kind = i64(data[at])
    at += 1
    width = _width(kind)
    if width < 0:
        if end - at < 4:
            raise _malformed("a value passes its end")
        width = _unsigned_int(data, at)
        at += 4
    if width > end - at:
        raise _malformed("a value passes its end")
    if kind == _TABLE:
        _check_entries(data, at, at + width, depth + 1)
    elif kind == _ARRAY:
        _check_elements(data, at, at + width, depth + 1)
    return at + width


def _width(kind: i64) -> i64:
    """The octets that follow a type letter, or -1 when a 4-byte length says how many."""
    if kind in (_LONGSTR, _TABLE, _ARRAY, _BINARY):
        return -1
    if kind in (_SIGNED_INT, _UNSIGNED_INT, _FLOAT):
        return 4
    if kind in (_BOOL, _BYTE, _UNSIGNED_BYTE):
        return 1
    if kind in (_LONG, _LONG_TOO, _TIMESTAMP, _DOUBLE):
        return 8
    if kind in (_SHORT, _UNSIGNED_SHORT):
        return 2
    if kind == _DECIMAL:
        return 5
    if kind == _VOID:
        return 0
    raise _malformed(f"unknown type {int(kind)}")


def _write_table(writer: BytesWriter, table: Table) -> None:
    entries = BytesWriter()
    for key, value in table.items():
        encoded = key.encode("utf-8", "surrogateescape")
        if len(encoded) > 255:
            raise ValueError("a field table key is longer than 255 bytes")
        entries.append(len(encoded))
        entries.write(encoded)
        _write_value(entries, value)
    _write_octets(writer, entries.getvalue())


def _write_octets(writer: BytesWriter, octets: bytes) -> None:
    if len(octets) > _LARGEST_LENGTH:
        raise ValueError("a field table value is longer than 2 GiB")
    write_i32_be(writer, i32(len(octets)))
    writer.write(octets)


def _write_value(writer: BytesWriter, field: FieldValue) -> None:
    kind = field.kind
    value = field.value
    if kind not in TYPE_NAMES:
        raise ValueError(f"unknown field table type {kind!r}")
    writer.append(ord(kind))
    if kind in _INTEGER_RANGES and isinstance(value, int):
        _write_integer(writer, kind, value)
    elif kind == "S" and isinstance(value, str):
        _write_octets(writer, value.encode("utf-8", "surrogateescape"))
    elif kind == "x" and isinstance(value, bytes):
        _write_octets(writer, value)
    elif kind == "t" and isinstance(value, bool):
        writer.append(1 if value else 0)
    elif kind == "F" and isinstance(value, dict):
        _write_table(writer, value)
    elif kind == "A" and isinstance(value, list):
        elements = BytesWriter()
        for element in value:
            _write_value(elements, element)
        _write_octets(writer, elements.getvalue())
    elif kind == "d" and isinstance(value, float):
        write_f64_be(writer, value)
    elif kind == "f" and isinstance(value, float):
        if isfinite(value) and abs(value) > _LARGEST_FLOAT:
            raise ValueError(f"{value} does not fit into a float")
        write_f32_be(writer, value)
    elif kind == "D" and isinstance(value, Decimal):
        _write_decimal(writer, value)
    elif kind != "V" or value is not None:
        raise ValueError(f"a {TYPE_NAMES[kind]} cannot hold {type(value).__name__}")


def _write_integer(writer: BytesWriter, kind: str, value: int) -> None:
    lowest, highest = _INTEGER_RANGES[kind]
    if not lowest <= value <= highest:
        raise ValueError(f"{value} does not fit into a {TYPE_NAMES[kind]}")
    if kind == "b" or kind == "B":
        writer.append(value & 0xFF)
    elif kind == "s" or kind == "u":
        write_i16_be(writer, i16(value if value < 2**15 else value - 2**16))
    elif kind == "I" or kind == "i":
        write_i32_be(writer, i32(value if value < 2**31 else value - 2**32))
    else:
        write_i64_be(writer, i64(value if value < 2**63 else value - 2**64))


def _write_decimal(writer: BytesWriter, value: Decimal) -> None:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or not -_LARGEST_DECIMAL_SCALE <= exponent <= 0:
        raise ValueError(f"the scale of {value} does not fit into a decimal")
    unscaled = int("".join([str(digit) for digit in digits]))
    if sign or unscaled > _LARGEST_DECIMAL:
        raise ValueError(f"{value} does not fit into a decimal")
    writer.append(-exponent)
    write_i32_be(writer, i32(unscaled if unscaled < 2**31 else unscaled - 2**32))
