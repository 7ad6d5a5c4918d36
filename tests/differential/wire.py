"""AMQP values with their types, both ways: what a scenario sends, and what a broker answered, with nothing lost.

`tests.support.raw_client` reads a long and a short as the same int; here a header that comes back with another type of
integer is a difference. So a value is a `Typed`: the type octet of RabbitMQ's dialect and the value. Tables keep their
order, since RabbitMQ's headers have one.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from tests.support.raw_client import FIXED_SIZE_FIELDS, Reader, longstr, shortstr


class Typed(NamedTuple):
    """A field value and its type octet. A table's value is a `TypedTable`, an array's a tuple, a decimal's a pair."""

    kind: str
    value: object

    def __repr__(self) -> str:
        return f"{self.kind}:{self.value!r}"


TypedTable = tuple[tuple[str, Typed], ...]

PROPERTIES = (
    ("content_type", "s"),
    ("content_encoding", "s"),
    ("headers", "F"),
    ("delivery_mode", "B"),
    ("priority", "B"),
    ("correlation_id", "s"),
    ("reply_to", "s"),
    ("expiration", "s"),
    ("message_id", "s"),
    ("timestamp", "Q"),
    ("type", "s"),
    ("user_id", "s"),
    ("app_id", "s"),
    ("cluster_id", "s"),
)
CONTENT = ("basic.deliver", "basic.get-ok", "basic.return")
# What brokers send, with the types of the arguments: s and S are strings, ? is a bit, the others are struct's.
METHODS = {
    (10, 50): ("connection.close", "code:H text:s class:H method:H"),
    (10, 51): ("connection.close-ok", ""),
    (20, 11): ("channel.open-ok", "reserved:S"),
    (20, 40): ("channel.close", "code:H text:s class:H method:H"),
    (20, 41): ("channel.close-ok", ""),
    (40, 11): ("exchange.declare-ok", ""),
    (40, 21): ("exchange.delete-ok", ""),
    (40, 31): ("exchange.bind-ok", ""),
    (40, 51): ("exchange.unbind-ok", ""),
    (50, 11): ("queue.declare-ok", "queue:s messages:L consumers:L"),
    (50, 21): ("queue.bind-ok", ""),
    (50, 31): ("queue.purge-ok", "messages:L"),
    (50, 41): ("queue.delete-ok", "messages:L"),
    (50, 51): ("queue.unbind-ok", ""),
    (60, 11): ("basic.qos-ok", ""),
    (60, 21): ("basic.consume-ok", "consumer:s"),
    (60, 30): ("basic.cancel", "consumer:s nowait:?"),
    (60, 31): ("basic.cancel-ok", "consumer:s"),
    (60, 50): ("basic.return", "code:H text:s exchange:s key:s"),
    (60, 60): ("basic.deliver", "consumer:s tag:Q redelivered:? exchange:s key:s"),
    (60, 71): ("basic.get-ok", "tag:Q redelivered:? exchange:s key:s messages:L"),
    (60, 72): ("basic.get-empty", "reserved:s"),
    (60, 80): ("basic.ack", "tag:Q multiple:?"),
    (60, 111): ("basic.recover-ok", ""),
    (60, 120): ("basic.nack", "tag:Q multiple:?"),
    (85, 11): ("confirm.select-ok", ""),
    (90, 11): ("tx.select-ok", ""),
    (90, 21): ("tx.commit-ok", ""),
    (90, 31): ("tx.rollback-ok", ""),
}


def encoded(typed: Typed) -> bytes:
    """A field value with its type octet."""
    kind, value = typed
    if kind in FIXED_SIZE_FIELDS:
        data = struct.pack(">" + FIXED_SIZE_FIELDS[kind], value)
    elif kind == "V":
        data = b""
    elif kind == "D":
        assert isinstance(value, tuple)
        data = struct.pack(">Bl", *value)
    elif kind == "F":
        assert isinstance(value, tuple)
        data = encoded_table(value)
    elif kind == "A":
        assert isinstance(value, tuple)
        data = longstr(b"".join(encoded(one) for one in value))
    else:
        assert isinstance(value, str | bytes) and kind in "Sx", typed
        data = longstr(value)
    return kind.encode() + data


def encoded_table(items: TypedTable) -> bytes:
    """A field table with its length."""
    return longstr(b"".join(shortstr(key) + encoded(value) for key, value in items))


def encoded_properties(properties: Mapping[str, object]) -> bytes:
    """The flags and the values of a content header; the headers are a TypedTable."""
    flags, values = 0, b""
    for at, (name, kind) in enumerate(PROPERTIES):
        if name not in properties:
            continue
        value = properties[name]
        flags |= 1 << (15 - at)
        if kind == "s":
            assert isinstance(value, str)
            values += shortstr(value)
        elif kind == "F":
            assert isinstance(value, tuple)
            values += encoded_table(value)
        else:
            values += struct.pack(">" + kind, value)
    return struct.pack(">H", flags) + values


class TypedReader(Reader):
    """Takes AMQP values off a payload, and keeps their types."""

    def typed(self) -> Typed:
        kind = chr(self.unpack("B")[0])
        if kind == "F":
            return Typed(kind, self.typed_table())
        if kind == "A":
            inner, values = TypedReader(self.longstr()), []
            while not inner.ended:
                values.append(inner.typed())
            return Typed(kind, tuple(values))
        if kind == "D":
            return Typed(kind, self.unpack("Bl"))
        self.at -= 1
        return Typed(kind, self.field())

    def typed_table(self) -> TypedTable:
        inner, items = TypedReader(self.longstr()), []
        while not inner.ended:
            key = inner.shortstr()
            items.append((key, inner.typed()))
        return tuple(items)

    def argument(self, kind: str) -> object:
        """One argument of a method, or one property."""
        if kind == "s":
            return self.shortstr()
        if kind == "S":
            return self.longstr()
        if kind == "F":
            return self.typed_table()
        return self.unpack(kind)[0]


def decoded_method(payload: bytes) -> tuple[str, dict[str, object]]:
    """Name and arguments of a method that a broker sent; KeyError for one that no scenario asks for."""
    reader = TypedReader(payload)
    class_id, method_id = reader.unpack("HH")
    name, layout = METHODS[(class_id, method_id)]
    arguments = {}
    for part in layout.split():
        argument, _, kind = part.partition(":")
        arguments[argument] = reader.argument(kind)
    return name, arguments


def decoded_properties(payload: bytes) -> dict[str, object]:
    """The properties in a content header's payload, by name, in the order of the wire."""
    reader = TypedReader(payload[12:])
    flags = reader.unpack("H")[0]
    properties = {name: reader.argument(kind) for at, (name, kind) in enumerate(PROPERTIES) if flags >> (15 - at) & 1}
    assert reader.ended, f"properties with something behind them: {payload!r}"
    return properties
