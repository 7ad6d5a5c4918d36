"""Which columns a request asks for: `columns=name,message_stats.publish_details.rate`, RabbitMQ's way.

A column that an object doesn't have is left out. An object of which nothing is left is an empty list, since RabbitMQ
prints it so, and a list is filtered element by element.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Paths: TypeAlias = "Columns | None"  # None takes all there is


class Columns(dict[str, "Columns | None"]):
    """The names that are asked for at one level, each with what is asked for below it."""


def asked_for(query: Mapping[str, str]) -> Columns | None:
    """What the parameter `columns` asks for, None if there is none."""
    text = query.get("columns")
    if text is None:
        return None
    result = Columns()
    for path in text.split(","):
        add(result, [name for name in path.split(".") if name])
    return result


def add(columns: Columns, path: Sequence[str]) -> None:
    """Ask for one more column."""
    for name in path[:-1]:
        below = columns.setdefault(name, Columns())
        if below is None:
            return
        columns = below
    if path:
        columns[path[-1]] = None


def extracted(value: Any, columns: Columns | None) -> Any:
    """Of a value what is asked for."""
    if columns is None:
        return value
    if isinstance(value, dict):
        return {key: extracted(part, columns[key]) for key, part in value.items() if key in columns} or []
    if isinstance(value, list):
        return [extracted(part, columns) for part in value]
    return value


def dotted(value: Any, path: Sequence[str]) -> Any:
    """The part of a value that a dotted name leads to; 0 if there is none, which sorts before everything else."""
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return 0
        value = value[name]
    return value
