"""Rows as text, the way rabbitmqctl prints them: table (tab-separated), pretty_table, csv, json and json_stream.

A row's cell is what the control socket sends: a string, a number, a truth value, null for nothing, a field table as
`[[key, type, value], ...]`, the definition of policies as `[[key, value], ...]`, a list of names, or a list of numbers,
which is an Erlang tuple (`{0,9,1}`).

In table and csv a field table is an Erlang term: `[{"x-max-length",5}]`, and an empty string in it is `[]`. There we
leave rabbitmqctl only where it can't be read: it prints text that is not Latin-1 as numbers, and numbers that might be
text as text. Its pretty_table draws in the terminal's line-drawing mode and ours in Unicode, which looks the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, TypeAlias

Cell: TypeAlias = "str | int | float | bool | list[Cell] | None"
Row: TypeAlias = list[Cell]

FORMATTERS: Final = ("table", "json", "csv", "pretty_table", "json_stream")
MACHINE_READABLE: Final = ("json", "csv", "json_stream")  # no word but the data
ADDRESSES: Final = ("host", "peer_host")
ERLANG_ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\v": "\\v",
    "\f": "\\f",
    "\r": "\\r",
    "\x1b": "\\e",
    "\x7f": "\\d",
}
NOT_UTF_8: Final = re.compile("[\ud800-\udfff]")


def lines(formatter: str, columns: list[str], rows: list[Row], headers: bool) -> Iterator[str]:
    """The lines of a listing. `headers` is for the formatters whose headers can be turned off: table and csv."""
    if formatter == "json":
        yield "["
        for at, row in enumerate(rows):
            yield ("," if at else "") + json_row(columns, row)
        yield "]"
    elif formatter == "json_stream":
        for row in rows:
            yield json_row(columns, row)
            yield ""
    elif formatter == "csv":
        if rows and headers:
            yield csv_line(list(columns))
        for row in rows:
            yield csv_line(row)
    elif formatter == "pretty_table":
        yield from pretty_table(columns, rows)
    else:
        if rows and headers:
            yield "\t".join(columns)
        for row in rows:
            yield "\t".join(map(plain, row))


# json


def json_row(columns: list[str], row: Row) -> str:
    """One row as a JSON object."""
    return json_text(
        {
            name: octets_of_address(value) if name in ADDRESSES and isinstance(value, str) else json_value(value)
            for name, value in zip(columns, row, strict=True)
        }
    )


def json_text(value: object) -> str:
    """A value as JSON on one line."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if not NOT_UTF_8.search(text):
        return text
    from leveret.amqp.text import well_formed  # with which all of the broker is loaded

    return well_formed(text)


def json_value(value: Cell) -> object:
    """A cell in rabbitmqctl's JSON: nothing is an empty string, a void field is `undefined`."""
    if value is None:
        return ""
    if is_definition(value):
        return {str(key): setting for key, setting in fields(value)}
    return [json_field(field) for field in fields(value)] if is_table(value) else value


def json_field(field: list[Cell]) -> list[object]:
    """A field, or an array's element, whose last two parts are its type and its value."""
    kind, value = field[-2], field[-1]
    shown: object = value
    if kind == "void":
        shown = "undefined"
    elif kind in ("table", "array"):
        shown = [json_field(inner) for inner in fields(value)]
    return [*field[:-1], shown]


def octets_of_address(host: str) -> object:
    """An IP address as the list of numbers that rabbitmqctl's JSON has; any other host as it is."""
    import ipaddress  # slow to load, and wanted by few

    try:
        packed = ipaddress.ip_address(host.partition("%")[0]).packed
    except ValueError:
        return host
    if len(packed) == 4:
        return list(packed)
    return [int.from_bytes(packed[at : at + 2], "big") for at in range(0, 16, 2)]


# table and csv


def csv_line(row: Row) -> str:
    """A line of CSV, every field quoted."""
    return ",".join('"' + plain(value).replace('"', '""') + '"' for value in row)


def plain(value: Cell) -> str:
    """A cell as the table shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, list):
        return str(value)
    if is_definition(value):
        return "[" + ", ".join(f"{{{binary(str(key))}, {plain(setting)}}}" for key, setting in fields(value)) + "]"
    if is_table(value):
        return erlang("table", value)
    if value and all(isinstance(part, int) for part in value):
        return "{" + ",".join(map(str, value)) + "}"
    return "[" + ", ".join(map(plain, value)) + "]"


def is_table(value: Cell) -> bool:
    """Whether a cell is a field table that is not empty."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)


def is_definition(value: Cell) -> bool:
    """Whether a cell is the definition of policies, and not empty."""
    return is_table(value) and len(fields(value)[0]) == 2


def fields(value: Cell) -> list[list[Cell]]:
    """The fields of a table, or the elements of an array."""
    return [field for field in value if isinstance(field, list)] if isinstance(value, list) else []


def erlang(kind: Cell, value: Cell) -> str:
    """A field's value as an Erlang term."""
    if kind == "table":
        return "[" + ",".join(f"{{{quoted(str(field[0]))},{erlang(*field[1:])}}}" for field in fields(value)) + "]"
    if kind == "array":
        return "[" + ",".join(erlang(*element) for element in fields(value)) + "]"
    if kind == "longstr":
        return quoted(str(value)) if value else "[]"
    if kind == "binary":
        return binary(str(value))
    if kind == "void":
        return "undefined"
    return plain(value)


def quoted(text: str) -> str:
    """An Erlang string."""
    return '"' + "".join(escaped(character) for character in text) + '"'


def escaped(character: str) -> str:
    """A character inside of an Erlang string."""
    return ERLANG_ESCAPES.get(character) or (character if character >= " " else f"\\{ord(character):03o}")


def binary(text: str) -> str:
    """An Erlang binary: text in quotes, anything else as numbers."""
    if text == "":
        return "<<>>"
    if NOT_UTF_8.search(text) or any(character < " " and character not in ERLANG_ESCAPES for character in text):
        return "<<" + ",".join(map(str, text.encode("utf-8", "surrogateescape"))) + ">>"
    return f"<<{quoted(text)}{'' if text.isascii() else '/utf8'}>>"


# pretty_table


def pretty_table(columns: list[str], rows: list[Row]) -> Iterator[str]:
    """A drawn table; nothing at all if there are no rows."""
    if not rows:
        return
    cells = [list(columns), *([plain(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    yield rule(widths, "┌┬┐")
    for at, line in enumerate(cells):
        if at:
            yield rule(widths, "├┼┤")
        yield "│" + "│".join(f" {text:<{width}} " for text, width in zip(line, widths, strict=True)) + "│"
    yield rule(widths, "└┴┘")


def rule(widths: list[int], corners: str) -> str:
    """A horizontal line of a drawn table."""
    return corners[0] + corners[1].join("─" * (width + 2) for width in widths) + corners[2]
