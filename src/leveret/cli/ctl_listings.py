"""The commands of leveretctl that show lists, of which limits are one."""

from __future__ import annotations

from typing import Final

from leveret.cli.control_client import DATA_ERROR, UNAVAILABLE, Client, ControlFailure
from leveret.cli.ctl_changes import ask, show_alone
from leveret.cli.ctl_client import connect, node_status, rows_of
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_options import Options, UsageError
from leveret.cli.formatters import Row, json_text, lines
from leveret.cli.standard_streams import write
from leveret.management.columns import COLUMNS, DEFAULT_COLUMNS, unsupported

# What rabbitmqctl gets in one piece it prints otherwise if there is nothing in it.
AT_ONCE: Final = ("permissions", "topic_permissions", "user_permissions", "user_topic_permissions")
NOTHING_AT_ONCE: Final = {"table": [""], "json": ["[]"]}
NO_LIMITS: Final = "{}"


def show_listing(command: Command, options: Options, words: list[str]) -> int:
    """A listing with the columns that were asked for."""
    given, columns = words[: len(command.words)], chosen_columns(command, words[len(command.words) :])
    user = given[0] if given else ""
    rows: list[Row] = []
    with connect(options) as client:
        request: dict[str, object] = {"command": command.name, "vhost": options.vhost, "columns": columns}
        if given:
            request["user"] = user
        timeout = float(options.timeout)
        banner = [line.format(vhost=options.vhost, timeout=timeout, user=user) for line in command.banner]
        answer = ask(client, request, banner if options.banner else [])
    if not options.offline:
        rows = rows_of(answer)
    headers = options.headers and (options.formatter == "csv" or not options.silent)
    if command.listing == "user_topic_permissions" and options.formatter == "table":
        headers = False  # as in RabbitMQ
    if not rows and command.listing in AT_ONCE:
        write(NOTHING_AT_ONCE.get(options.formatter, []))
        return 0
    write(lines(options.formatter, columns, rows, headers))
    return 0


def chosen_columns(command: Command, words: list[str]) -> list[str]:
    """The columns in the order they are shown, each once. Commas separate them as well as blanks."""
    columns = list(dict.fromkeys(name for word in words for name in word.split(",") if name))
    if wrong := unsupported(command.listing, columns):
        raise UsageError(f"Info key(s) {','.join(wrong)} are not supported", command)
    if not columns:
        return list(DEFAULT_COLUMNS[command.listing])
    if command.listing == "consumers":  # in an order of their own, as rabbitmqctl has them
        return [name for name in COLUMNS["consumers"] if name in columns]
    return columns


def show_limits(command: Command, options: Options, _words: list[str]) -> int:
    """The limits of a virtual host or a user, or of all that have any."""
    of_vhosts = command.listing == "vhost_limits"
    owner = "vhost" if of_vhosts else "user"
    banner = [line.format(vhost=options.vhost, user=options.user) for line in command.banner]
    if options.everywhere:
        banner = [f"Listing limits for all {owner}s ..."]
    with connect(options) as client:
        request: dict[str, object] = {"command": command.name, "columns": [owner, "limits"]}
        rows = rows_of(ask(client, request, banner if options.banner else []))
        if options.everywhere:
            set_ones = [row for row in rows if row[1] != NO_LIMITS]
            write(lines(options.formatter, [owner, "limits"], set_ones, options.headers and not options.silent))
            return 0
        limits = {str(name): str(value) for name, value in rows}
        if of_vhosts:
            show_vhost_limits(limits.get(options.vhost), client, options)
        else:
            show_user_limits(limits.get(options.user), options)
    return 0


def show_vhost_limits(limits: str | None, client: Client, options: Options) -> None:
    """The limits of one virtual host, None if there is no such one; nothing if it has none."""
    if limits is None:
        raise ControlFailure(DATA_ERROR, f"Virtual host '{options.vhost}' does not exist", "")
    if options.formatter == "json":
        if limits == NO_LIMITS:
            write(["[]"])
            return
        node = node_status(client).get("node_name")
        write([json_text({"node": node, "result": "ok", "value": limits})])
    elif limits != NO_LIMITS:
        show_alone(limits, options)


def show_user_limits(limits: str | None, options: Options) -> None:
    """The limits of one user, None if there is no such one."""
    if limits is None:
        raise ControlFailure(UNAVAILABLE, f'{{:no_such_user, "{options.user}"}}', "Error:\n")
    if options.formatter == "json":
        write([json_text({"message": limits})])
    else:
        show_alone(limits, options)
