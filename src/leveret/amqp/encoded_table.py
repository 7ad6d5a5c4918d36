"""Field tables that stay encoded: their entries by key, cut out of the octets and put together again.

For whoever changes a few headers of a message and leaves the others alone, which costs a copy instead of decoding and
encoding them. Nobody can tell the difference: `normalized` brings a value into the form that it has after decoding and
encoding, which for nearly all values is the one that it has.

All tables here are well formed: check_table has accepted them.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, write_i32_be
from mypy_extensions import i32, i64

from leveret.amqp.field_table import decode_value, encode_value, value_end

_BOOL: Final = 0x74
_LONG_TOO: Final = 0x4C
_FLOAT: Final = 0x66
_ARRAY: Final = 0x41
_TABLE: Final = 0x46
_INSIDE: Final = 5  # where the octets of a table or an array begin: after its letter and its length


def split_table(data: bytes, at: i64, end: i64) -> dict[bytes, bytes]:
    """The values that fill data[at:end], each with its letter, by key; of a key that stands twice the first."""
    entries: dict[bytes, bytes] = {}
    while at < end:
        value_at = at + 1 + i64(data[at])
        after = value_end(data, value_at)
        key = data[at + 1 : value_at]
        if key not in entries:
            entries[key] = data[value_at:after]
        at = after
    return entries


def join_table(entries: dict[bytes, bytes]) -> bytes:
    """The table of these entries, its 4-byte length first."""
    size = 0
    for key, value in entries.items():
        size += 1 + len(key) + len(value)
    writer = BytesWriter()
    write_i32_be(writer, i32(size))
    for key, value in entries.items():
        writer.append(len(key))
        writer.write(key)
        writer.write(value)
    return writer.getvalue()


def sorted_by_key(entries: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The entries in the order in which Python sorts their keys as text."""
    keys = sorted(entries)
    if not b"".join(keys).isascii():
        keys.sort(key=_as_text)
    return {key: entries[key] for key in keys}


def normalized(value: bytes) -> bytes:
    """A value, its letter first, as encode_value writes what decode_value reads."""
    return value if _is_normal(value, 0, len(value), False) else encode_value(decode_value(value))


def _as_text(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


def _is_normal(data: bytes, at: i64, end: i64, keyed: bool) -> bool:
    """Whether values, or the entries of a table, are certainly in the form that they are written in."""
    keys: set[bytes] = set()
    while at < end:
        if keyed:
            start = at + 1
            at = start + i64(data[at])
            key = data[start:at]
            if key in keys:
                return False
            keys.add(key)
        kind = i64(data[at])
        after = value_end(data, at)
        if kind in (_TABLE, _ARRAY):
            if not _is_normal(data, at + _INSIDE, after, kind == _TABLE):
                return False
        elif kind in (_LONG_TOO, _FLOAT) or (kind == _BOOL and i64(data[at + 1]) > 1):
            return False  # reading a float may change one that is not a number
        at = after
    return True
