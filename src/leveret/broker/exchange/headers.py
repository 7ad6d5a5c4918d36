"""The headers exchange: to the destinations whose binding arguments match the message's headers.

`x-match` says how: `all` (the default) and `any` pass over arguments whose names start with `x-`; `all-with-x` and
`any-with-x` count them too. An argument without a value (void) asks only that the header be there. As in RabbitMQ,
`any` with nothing to match matches nothing, `all` with nothing to match matches everything, and integers are equal
by value whatever their width.
"""

from __future__ import annotations

from typing import Final

from leveret.amqp.field_table import TYPE_NAMES, FieldValue, Table
from leveret.amqp.properties import BasicProperties
from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError
from leveret.broker.binding import Binding, Destination
from leveret.broker.exchange.base import Exchange

MODES: Final = ("all", "any", "all-with-x", "any-with-x")
INTEGER_KINDS: Final = "bBsuIilL"
FLOAT_KINDS: Final = "fd"


class HeadersExchange(Exchange):
    """Routes by the message's headers."""

    type_name = "headers"
    routes_each_message = True

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self.patterns: dict[Binding, HeadersPattern] = {}

    def validate(self, binding: Binding) -> None:
        mode = binding.arguments.get("x-match")
        if mode is None:
            return
        if mode.kind != "S":
            raise SoftError(
                PRECONDITION_FAILED,
                f"Invalid x-match field type {TYPE_NAMES[mode.kind]} (value {mode.value}); expected longstr",
            )
        if mode.value not in MODES:
            raise SoftError(
                PRECONDITION_FAILED,
                f'Invalid x-match field value <<"{mode.value}">>; expected all, any, all-with-x, or any-with-x',
            )

    def index(self, binding: Binding) -> None:
        self.patterns[binding] = HeadersPattern(binding.arguments)

    def unindex(self, binding: Binding) -> None:
        del self.patterns[binding]

    def match(self, routing_key: str, properties: BasicProperties, found: list[Destination]) -> None:
        headers = properties.headers or {}
        for binding, pattern in self.patterns.items():
            if pattern.matches(headers):
                found.append(binding.destination)


class HeadersPattern:
    """What one binding asks of the headers."""

    def __init__(self, arguments: Table) -> None:
        mode = arguments.get("x-match")
        mode_name = "all" if mode is None else str(mode.value)
        with_x = mode_name.endswith("-with-x")
        self.any: Final = mode_name.startswith("any")
        self.wanted: Final = {
            name: value
            for name, value in arguments.items()
            if name != "x-match" and (with_x or not name.startswith("x-"))
        }

    def matches(self, headers: Table) -> bool:
        """Whether a message with these headers goes to the binding's destination."""
        for name, wanted in self.wanted.items():
            value = headers.get(name)
            found = value is not None and (wanted.kind == "V" or equal_values(wanted, value))
            if found and self.any:
                return True
            if not found and not self.any:
                return False
        return not self.any


def equal_values(wanted: FieldValue, value: FieldValue) -> bool:
    """Equality of header values: by value among the integer and among the float types, else type and value."""
    same_type = (
        wanted.kind == value.kind
        or (wanted.kind in INTEGER_KINDS and value.kind in INTEGER_KINDS)
        or (wanted.kind in FLOAT_KINDS and value.kind in FLOAT_KINDS)
    )
    return same_type and wanted.value == value.value
