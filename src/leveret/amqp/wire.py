"""Reading and writing the elementary types of the wire: unsigned integers, short and long strings, tables, bits.

A Reader never passes the end of its bytes. Arguments that end too early, or go on after the last one, are answered as
RabbitMQ answers them: 501 FRAME_ERROR `cannot decode <<...>>` with the octets of the arguments.
"""

from __future__ import annotations

from typing import Final

from librt.strings import (
    BytesWriter,
    read_i16_be,
    read_i32_be,
    read_i64_be,
    write_i32_be,
    write_i64_be,
)
from mypy_extensions import i32, i64

from leveret.amqp.field_table import Table, decode_table, encode_table
from leveret.amqp.reply_codes import FRAME_ERROR, HardError, octets_text

_LARGEST_LENGTH: Final = 2**31 - 1


class Reader:
    """A cursor over the arguments of one method. Every read raises HardError when too few octets are left."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        if at < 0:
            raise ValueError("a reader cannot start before its first octet")
        self._data = data
        self._start: i64 = at
        self._at: i64 = at
        self._end: i64 = len(data)

    @property
    def position(self) -> int:
        """The index of the next octet to read."""
        return self._at

    @property
    def at_end(self) -> bool:
        """Whether every octet was read."""
        return self._at == self._end

    def undecodable(self) -> HardError:
        """The error for arguments that do not have the shape they must have."""
        return HardError(FRAME_ERROR, "cannot decode " + octets_text(self._data[self._start :]))

    def _take(self, width: i64) -> i64:
        start = self._at
        if width > self._end - start:
            raise self.undecodable()
        self._at = start + width
        return start

    def octet(self) -> int:
        """8 bits, unsigned; also how up to eight bit arguments are packed, the first one lowest."""
        return self._data[self._take(1)]

    def short(self) -> int:
        """16 bits, unsigned."""
        return i64(read_i16_be(self._data, self._take(2))) & 0xFFFF

    def long(self) -> int:
        """32 bits, unsigned."""
        return i64(read_i32_be(self._data, self._take(4))) & 0xFFFFFFFF

    def longlong(self) -> int:
        """64 bits, unsigned."""
        value = int(read_i64_be(self._data, self._take(8)))
        return value if value >= 0 else value + 2**64

    def timestamp(self) -> int:
        """Seconds since 1970, 64 bits, unsigned."""
        return self.longlong()

    def shortstr(self) -> str:
        """Up to 255 bytes of UTF-8. Raises HardError 501 for other bytes, as RabbitMQ does for most methods."""
        length = i64(self._data[self._take(1)])
        start = self._take(length)
        try:
            return self._data[start : start + length].decode("utf-8")
        except UnicodeDecodeError:
            raise HardError(FRAME_ERROR, "Malformed UTF-8 in shortstr") from None

    def shortstr_unchecked(self) -> str:
        """Up to 255 bytes of anything, kept by surrogateescape.

        RabbitMQ leaves out the UTF-8 check in methods that carry content, and in content properties.
        """
        length = i64(self._data[self._take(1)])
        start = self._take(length)
        return self._data[start : start + length].decode("utf-8", "surrogateescape")

    def longstr(self) -> bytes:
        """A 4-byte length and as many octets."""
        length = i64(read_i32_be(self._data, self._take(4))) & 0xFFFFFFFF
        start = self._take(length)
        return self._data[start : start + length]

    def table(self) -> Table:
        """A field table. Raises HardError 502 when its length is right but its entries are malformed."""
        length = i64(read_i32_be(self._data, self._take(4))) & 0xFFFFFFFF
        start = self._take(length)
        return decode_table(self._data, start, start + length)


class Writer:
    """Collects octets. Every write raises ValueError for a value that its type cannot hold."""

    def __init__(self) -> None:
        self._out = BytesWriter()

    def getvalue(self) -> bytes:
        """Everything written so far."""
        return self._out.getvalue()

    def octet(self, value: int) -> None:
        """8 bits, unsigned."""
        if not 0 <= value <= 0xFF:
            raise ValueError(f"{value} does not fit into an octet")
        self._out.append(value)

    def short(self, value: int) -> None:
        """16 bits, unsigned."""
        if not 0 <= value <= 0xFFFF:
            raise ValueError(f"{value} does not fit into a short")
        self._out.append(value >> 8)
        self._out.append(value & 0xFF)

    def long(self, value: int) -> None:
        """32 bits, unsigned."""
        if not 0 <= value <= 0xFFFFFFFF:
            raise ValueError(f"{value} does not fit into a long")
        write_i32_be(self._out, i32(value if value < 2**31 else value - 2**32))

    def longlong(self, value: int) -> None:
        """64 bits, unsigned."""
        if not 0 <= value <= 0xFFFFFFFFFFFFFFFF:
            raise ValueError(f"{value} does not fit into a longlong")
        write_i64_be(self._out, i64(value if value < 2**63 else value - 2**64))

    def timestamp(self, value: int) -> None:
        """Seconds since 1970, 64 bits, unsigned."""
        self.longlong(value)

    def shortstr(self, value: str) -> None:
        """At most 255 bytes of UTF-8; surrogate escapes become the bytes they stand for."""
        encoded = value.encode("utf-8", "surrogateescape")
        if len(encoded) > 255:
            raise ValueError("a short string is longer than 255 bytes")
        self._out.append(len(encoded))
        self._out.write(encoded)

    def longstr(self, value: bytes) -> None:
        """A 4-byte length and the octets."""
        if len(value) > _LARGEST_LENGTH:
            raise ValueError("a long string is longer than 2 GiB")
        write_i32_be(self._out, i32(len(value)))
        self._out.write(value)

    def table(self, value: Table) -> None:
        """A field table with its length."""
        self._out.write(encode_table(value))

    def bits(
        self, first: bool, second: bool = False, third: bool = False, fourth: bool = False, fifth: bool = False
    ) -> None:
        """Bit arguments that stand side by side, packed into one octet, the first one lowest."""
        self._out.append(
            (1 if first else 0)
            | (2 if second else 0)
            | (4 if third else 0)
            | (8 if fourth else 0)
            | (16 if fifth else 0)
        )

    def raw(self, octets: bytes) -> None:
        """Octets that are encoded already."""
        self._out.write(octets)
