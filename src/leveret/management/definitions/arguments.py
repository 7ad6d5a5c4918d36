"""Arguments in JSON, in which RabbitMQ's definitions and its HTTP API have them. All integers become `long` in a table,
as RabbitMQ has it.
"""

from __future__ import annotations

import json
from decimal import Decimal
from math import isfinite
from typing import Final

from leveret.amqp.field_table import FieldValue, Table

LOWEST: Final = -(1 << 63)
HIGHEST: Final = (1 << 63) - 1
LONGEST_NAME: Final = 255  # octets


class InvalidArgument(Exception):
    """JSON that no field table can hold; says why."""


def table_of(arguments: dict[str, object]) -> Table:
    """The arguments that JSON stands for. Raises InvalidArgument."""
    table: Table = {}
    for name, value in arguments.items():
        if len(name.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
            raise InvalidArgument(f"the name of an argument is longer than {LONGEST_NAME} octets")
        table[name] = field_of(value)
    return table


def field_of(value: object) -> FieldValue:
    """One value as `table_of` has it."""
    if isinstance(value, bool):
        return FieldValue("t", value)
    if isinstance(value, int):
        if not LOWEST <= value <= HIGHEST:
            raise InvalidArgument(f"{value} does not fit into 64 bits")
        return FieldValue("l", value)
    if isinstance(value, str):
        return FieldValue("S", value)
    if isinstance(value, float):
        return FieldValue("d", value)
    if isinstance(value, list):
        return FieldValue("A", [field_of(element) for element in value])
    if isinstance(value, dict):
        return FieldValue("F", table_of(value))
    return FieldValue("V", None)


def json_of(table: Table) -> dict[str, object]:
    """Arguments as JSON shows them; the types of numbers are lost."""
    return {name: json_value(field) for name, field in table.items()}


def json_value(field: FieldValue) -> object:
    """One value as `json_of` has it: octets as text, decimals as numbers, numbers that are none as text."""
    value = field.value
    if isinstance(value, dict):
        return json_of(value)
    if isinstance(value, list):
        return [json_value(element) for element in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value


def canonical(table: Table) -> str:
    """A text that two tables share if they are the same in JSON."""
    return json.dumps(json_of(table), sort_keys=True) if table else ""
