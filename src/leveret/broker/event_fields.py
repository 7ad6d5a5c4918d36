"""The headers of events: what RabbitMQ's plugin makes of the values that it is given.

It knows no field tables: they become arrays of texts in Erlang's notation, such as `{<<"x-expires">>,signedint,100}`.
What it does to other values is kept as well, since programs read it: numbers have 64 bits, and a list of pairs comes
out in reversed order.
"""

from __future__ import annotations

import ipaddress
from decimal import Decimal
from typing import Final

from leveret.amqp.field_table import TYPE_NAMES, FieldValue, Table
from leveret.broker.erlang_terms import escaped, printed_float

DEEPEST: Final = 30  # what is nested deeper is said in words
VISIBLE: Final = frozenset((*range(32, 127), *range(160, 256), 8, 9, 10, 11, 12, 13, 27))  # octets that Erlang prints


def field(value: object, depth: int = 0) -> FieldValue:
    """A value as a header has it. A dictionary becomes a table, an empty one an array, and None the text `null`."""
    if isinstance(value, FieldValue):
        return value
    if depth > DEEPEST:
        return FieldValue("S", "nested too deeply")
    if isinstance(value, bool):
        return FieldValue("t", value)
    if isinstance(value, int):
        return FieldValue("l", value) if -(2**63) <= value < 2**63 else FieldValue("S", str(value))
    if isinstance(value, float):
        return FieldValue("f", value)
    if isinstance(value, list | tuple) or value == {}:
        assert isinstance(value, list | tuple | dict)
        return FieldValue("A", [field(element, depth + 1) for element in value])
    if isinstance(value, dict):
        return FieldValue("F", {str(name): field(value[name], depth + 1) for name in reversed(value)})
    return FieldValue("S", "null" if value is None else str(value))


def code_points(text: str) -> list[int]:
    """A text that is a list in Erlang, which comes out as an array of numbers."""
    return [ord(letter) for letter in text]


def printed_table(table: Table) -> list[str]:
    """Each entry of a field table in Erlang's notation: `{<<"name">>,type,value}`."""
    return [printed_entry(name, value) for name, value in table.items()]


def printed_entry(name: str, value: FieldValue) -> str:
    """An entry of a field table in Erlang's notation."""
    return f"{{{printed_octets(name)},{TYPE_NAMES[value.kind]},{printed_value(value)}}}"


def printed_value(field_value: FieldValue) -> str:
    """The value of a field in Erlang's notation."""
    value = field_value.value
    if value is None:
        return "undefined"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | bytes):
        return printed_octets(value)
    if isinstance(value, float):
        return printed_float(value)
    if isinstance(value, Decimal):
        _, digits, exponent = value.as_tuple()
        return f"{{{-int(exponent)},{int(''.join(map(str, digits)))}}}"
    if isinstance(value, dict):
        return "[" + ",".join(printed_table(value)) + "]"
    if isinstance(value, list):
        return "[" + ",".join([f"{{{TYPE_NAMES[item.kind]},{printed_value(item)}}}" for item in value]) + "]"
    return str(value)


def printed_octets(value: str | bytes) -> str:
    """A text or octets: quoted if each octet by itself can be read in Latin-1, else as numbers."""
    octets = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    if not octets:
        return "<<>>"
    if not VISIBLE.issuperset(octets):
        return "<<" + ",".join([str(octet) for octet in octets]) + ">>"
    return f'<<"{escaped(octets.decode("utf-8", "surrogateescape"))}">>'


def printed_atom(text: str) -> str:
    """An atom, in quotes if it doesn't look like one."""
    if text[:1].islower() and text.isascii() and text.replace("_", "").replace("@", "").isalnum():
        return text
    return "'" + escaped(text).replace("'", "\\'") + "'"


def printed_address(host: str) -> str:
    """An IP address as Erlang's tuple of its numbers, such as `{127,0,0,1}`; other text stays as it is."""
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return "{" + ",".join([str(octet) for octet in address.packed]) + "}"
    packed = address.packed
    return "{" + ",".join([str(packed[at] << 8 | packed[at + 1]) for at in range(0, 16, 2)]) + "}"


def port_of(address: str) -> int:
    """The port of an address as `host:port`, 0 if it has none."""
    port = address.rpartition(":")[2]
    return int(port) if port.isdecimal() else 0
