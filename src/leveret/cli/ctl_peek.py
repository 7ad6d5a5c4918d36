"""The command peek of leveretctl: one message of a queue, as `rabbitmq-queues peek` shows it.

RabbitMQ prints a body, or a list of headers, that is no text in forms that can't always be told apart or read, and its
JSON ends in a stack trace there. Here such are Erlang terms, and in JSON a body is text however it came.
"""

from __future__ import annotations

import re
from typing import Final

from leveret.cli.control_client import UNAVAILABLE, ControlFailure
from leveret.cli.ctl_changes import ask
from leveret.cli.ctl_client import connect, node_status, not_understood, rows_of
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_options import Options, UsageError
from leveret.cli.formatters import Cell, Row, binary, erlang, fields, json_field, json_text, lines
from leveret.cli.standard_streams import write

POSITION: Final = re.compile(r"\+?0*[1-9][0-9]{0,17}", re.ASCII)
COLUMNS: Final = ["keys", "values"]
ROUTING_KEYS: Final = "routing_keys"


def show_message(command: Command, options: Options, words: list[str]) -> int:
    """Print what is at a position. Raises UsageError, ControlFailure."""
    queue, position = words
    if not POSITION.fullmatch(position):
        raise UsageError('"position value must be a positive integer"', command)
    request: dict[str, object] = {
        "command": command.name, "vhost": options.vhost, "queue": queue, "position": int(position),
    }  # fmt: skip
    banner = [line.format(queue=queue, position=position) for line in command.banner] if options.banner else []
    with connect(options) as client:
        try:
            message = ask(client, request, banner).get("message")
        except ControlFailure as failure:
            if options.formatter == "json" and failure.is_refusal:
                answer = json_text({"message": str(failure), "result": "error"})
                raise ControlFailure(UNAVAILABLE, answer, "") from None
            raise
    if not isinstance(message, list):
        raise not_understood()
    if options.formatter == "json":
        shown = {str(field[0]): in_json(field) for field in sorted(message)}
        write([json_text({"message": shown, "result": "ok"})])
    else:
        rows: list[Row] = [[field[0], in_text(field)] for field in message]
        write(lines(options.formatter, COLUMNS, rows, options.headers and not options.silent))
    return 0


def in_json(field: list[Cell]) -> object:
    """The value of a key; routing keys are texts."""
    if field[0] == ROUTING_KEYS:
        return [element[-1] for element in fields(field[2])]
    return json_field(field)[-1]


def in_text(field: list[Cell]) -> str:
    """The value of a key, on one line."""
    key, kind, value = field
    if key == ROUTING_KEYS:
        return ", ".join(readable(str(element[-1])) for element in fields(value))
    return readable(value) if isinstance(value, str) else erlang(kind, value)


def readable(text: str) -> str:
    """A text as it is, or as an Erlang binary if it can't be shown on one line."""
    return text if text.isprintable() else binary(text)


def quorum_status(command: Command, options: Options, words: list[str]) -> int:
    """The one member that a quorum queue has here. Raises ControlFailure."""
    queue = words[0]
    columns = ["name", "type", "leader"]
    with connect(options) as client:
        request: dict[str, object] = {"command": "list_queues", "vhost": options.vhost, "columns": columns}
        found = {row[0]: row for row in rows_of(client.ask(request))}
        node = node_status(client).get("node_name")
    if options.banner:
        write([line.format(queue=queue, node=node) for line in command.banner])
    if queue not in found:
        raise ControlFailure(UNAVAILABLE, "not_found", "Error:\n")
    if found[queue][1] != "quorum":
        raise ControlFailure(UNAVAILABLE, "classic_queue_not_supported", "Error:\n")
    rows: list[Row] = [[str(node), "leader", "voter"]]
    write(lines(options.formatter, ["Node Name", "Raft State", "Membership"], rows, options.headers))
    return 0
