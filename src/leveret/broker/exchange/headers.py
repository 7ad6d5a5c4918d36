"""The headers exchange: to the destinations whose binding arguments match the message's headers.

`x-match` says how: `all` (the default) and `any` pass over arguments whose names start with `x-`; `all-with-x` and
`any-with-x` count them too. An argument without a value (void) asks only that the header be there. As in RabbitMQ,
`any` with nothing to match matches nothing, `all` with nothing to match matches everything, and integers are equal
by value whatever their width.

A message is not compared with every binding. A binding stands in an index under what it wants: under all of it where
any of it is enough, and where it wants all, under what the fewest others stand under. Only the bindings that the
message's own headers lead to are compared in full.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from leveret.amqp.field_table import TYPE_NAMES, FieldValue, Table
from leveret.amqp.properties import BasicProperties
from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError
from leveret.broker.binding import Binding, Destination
from leveret.broker.exchange.base import Exchange

MODES: Final = ("all", "any", "all-with-x", "any-with-x")
INTEGER_KINDS: Final = "bBsuIilL"
FLOAT_KINDS: Final = "fd"
COMPARED_ONLY: Final = "VFA"  # no value to look up: void is any value, tables and arrays can't be a key
IndexKey: TypeAlias = tuple[str, str, object]  # a header's name, the family of its value's type and the value


class HeadersExchange(Exchange):
    """Routes by the message's headers."""

    type_name = "headers"
    routes_each_message = True

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self.patterns: Final[dict[Binding, HeadersPattern]] = {}
        self.unconditional: Final[dict[HeadersPattern, None]] = {}
        self.by_value: Final[dict[IndexKey, dict[HeadersPattern, None]]] = {}

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
        pattern = self.patterns[binding] = HeadersPattern(binding)
        if pattern.any:
            pattern.indexed_by = [index_key(name, value) for name, value in pattern.wanted.items()]
        elif pattern.wanted:
            pattern.indexed_by = [self.rarest(pattern)]
        else:
            self.unconditional[pattern] = None
        for key in pattern.indexed_by:
            self.by_value.setdefault(key, {})[pattern] = None

    def rarest(self, pattern: HeadersPattern) -> IndexKey:
        """Under which of the values that it wants a pattern has the fewest others beside it."""
        rarest: IndexKey | None = None
        fewest = 0
        for name, value in pattern.wanted.items():
            key = index_key(name, value)
            others = len(self.by_value.get(key, {}))
            if rarest is None or others < fewest:
                rarest, fewest = key, others
        assert rarest is not None
        return rarest

    def unindex(self, binding: Binding) -> None:
        pattern = self.patterns.pop(binding)
        self.unconditional.pop(pattern, None)
        for key in pattern.indexed_by:
            patterns = self.by_value[key]
            del patterns[pattern]
            if not patterns:
                del self.by_value[key]

    def match(self, routing_key: str, properties: BasicProperties, found: list[Destination]) -> None:
        for pattern in self.unconditional:
            found.append(pattern.destination)
        headers = properties.headers
        if headers is None or not self.by_value:
            return
        for name, value in headers.items():
            key = index_key(name, value)
            self.match_indexed(self.by_value.get(key), headers, found)
            if key[1]:
                self.match_indexed(self.by_value.get((name, "", None)), headers, found)

    def match_indexed(
        self, patterns: dict[HeadersPattern, None] | None, headers: Table, found: list[Destination]
    ) -> None:
        """Append the destinations of those patterns that match the headers."""
        if patterns is not None:
            for pattern in patterns:
                if pattern.matches(headers):
                    found.append(pattern.destination)


class HeadersPattern:
    """What one binding asks of the headers."""

    def __init__(self, binding: Binding) -> None:
        mode = binding.arguments.get("x-match")
        mode_name = "all" if mode is None else str(mode.value)
        with_x = mode_name.endswith("-with-x")
        self.destination: Final = binding.destination
        self.any: Final = mode_name.startswith("any")
        self.wanted: Final = {
            name: value
            for name, value in binding.arguments.items()
            if name != "x-match" and (with_x or not name.startswith("x-"))
        }
        self.indexed_by: list[IndexKey] = []

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


def index_key(name: str, value: FieldValue) -> IndexKey:
    """The same for values that are equal; for values that can't be looked up, one that stands for any value."""
    kind = value.kind
    if kind == "S":
        return name, kind, value.value
    if kind in COMPARED_ONLY:
        return name, "", None
    if kind in INTEGER_KINDS:
        return name, "I", value.value
    return name, "f" if kind in FLOAT_KINDS else kind, value.value
