"""Field tables as JSON and back, as RabbitMQ's API has them.

JSON's integers become `long`, its fractions `double`. The way back loses the types: a timestamp is a number, void is
null, octets are text.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from leveret.amqp.field_table import FieldValue, Table, encode_table
from leveret.management.http.errors import bad_request

LARGEST_LONG: Final = 2**63 - 1


def plain_table(table: Table) -> dict[str, Any]:
    """A field table as a JSON object."""
    return {key: plain_value(field) for key, field in table.items()}


def plain_value(field: FieldValue) -> Any:
    """A value of a field table as JSON."""
    value = field.value
    if isinstance(value, dict):
        return plain_table(value)
    if isinstance(value, list):
        return [plain_value(element) for element in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value


def table_of(value: object) -> Table:
    """The field table that a JSON object stands for; PHP's empty list is an empty one. Refused if it can't be."""
    if value == []:
        return {}
    if not isinstance(value, Mapping):
        raise bad_request("arguments are an object")
    table = {key: field_of(part) for key, part in value.items()}
    try:
        encode_table(table)
    except (ValueError, OverflowError) as error:
        raise bad_request(str(error)) from None
    return table


def field_of(value: object) -> FieldValue:
    """The value in a field table that a JSON value stands for. Refused if there is none."""
    if value is None:
        raise bad_request("null_not_allowed")
    if isinstance(value, bool):
        return FieldValue("t", value)
    if isinstance(value, int):
        if abs(value) > LARGEST_LONG:
            raise bad_request(f"{value} is more than 64 bits have room for")
        return FieldValue("l", value)
    if isinstance(value, float):
        return FieldValue("d", value)
    if isinstance(value, str):
        return FieldValue("S", value)
    if isinstance(value, list):
        return FieldValue("A", [field_of(element) for element in value])
    return FieldValue("F", table_of(value))
