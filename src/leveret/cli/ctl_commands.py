"""The commands of leveretctl: what each takes, and what its help says."""

from __future__ import annotations

import sys
from typing import Final

from leveret.cli.formatters import FORMATTERS
from leveret.management.columns import COLUMNS

GENERAL_USAGE: Final = "leveretctl [--data-dir <folder>] [--timeout <timeout>] [--quiet] <command> [<command options>]"
GENERAL_OPTIONS: Final = (
    "-?, --help           displays command help",
    "    --version        displays the version",
    "    --data-dir       the broker's data folder (default: $LEVERET_DATA_DIR, else ./leveret-data)",
    "-t, --timeout <n>    operation timeout in seconds (default: 60)",
    "-q, --quiet          suppress informational messages",
    "-s, --silent         suppress informational messages and table header row",
    "-p, --vhost          for commands that are scoped to a virtual host, virtual host to use",
    f"    --formatter      result formatter to use: {', '.join(FORMATTERS)}",
    "-n, --node and -l, --longnames are accepted and mean nothing: the data folder says which broker is meant",
)


class Command:
    """One command. `listing` is the kind it lists, if it lists; the first of the formatters is the default."""

    def __init__(
        self,
        name: str,
        description: str,
        arguments: str,
        banner: tuple[str, ...] = (),
        listing: str = "",
        options: tuple[str, ...] = ("no-table-headers",),
        formatters: tuple[str, ...] = FORMATTERS,
    ) -> None:
        self.name: Final = name
        self.description: Final = description
        self.usage: Final = f"leveretctl [--data-dir <folder>] [--quiet] {name} {arguments}"
        self.banner: Final = banner
        self.listing: Final = listing
        self.options: Final = options
        self.formatters: Final = formatters


OF_VHOST: Final = "[--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]"
OF_NODE: Final = "[--no-table-headers] [<column> ...] [--timeout <timeout>]"
COMMANDS: Final = {
    command.name: command
    for command in (
        Command(
            "list_queues",
            "Lists queues and their properties",
            f"[--online] [--offline] [--local] {OF_VHOST}",
            ("Timeout: {timeout} seconds ...", "Listing queues for vhost {vhost} ..."),
            "queues",
            ("no-table-headers", "online", "offline", "local"),
        ),
        Command(
            "list_exchanges", "Lists exchanges", OF_VHOST, ("Listing exchanges for vhost {vhost} ...",), "exchanges"
        ),
        Command(
            "list_bindings",
            "Lists all bindings on a vhost",
            OF_VHOST,
            ("Listing bindings for vhost {vhost}...",),
            "bindings",
        ),
        Command(
            "list_connections",
            "Lists AMQP 0.9.1 connections for the node",
            OF_NODE,
            ("Listing connections ...",),
            "connections",
        ),
        Command("list_channels", "Lists all channels in the node", OF_NODE, ("Listing channels ...",), "channels"),
        Command(
            "list_consumers",
            "Lists all consumers for a vhost",
            OF_VHOST,
            ("Listing consumers in vhost {vhost} ...",),
            "consumers",
        ),
        Command(
            "status",
            "Displays status of a node",
            "[--unit <unit>] [--timeout <timeout>]",
            options=("unit",),
            formatters=("table", "pretty_table", "json"),
        ),
        Command(
            "stop",
            "Stops the broker, and returns when it has ended",
            "[--idempotent]",
            options=("idempotent",),
        ),
    )
}


def heading(text: str, bold: bool) -> str:
    """A heading, in bold for a terminal."""
    return f"\x1b[1m{text}\x1b[0m" if bold else text


def usage(command: Command | None, bold: bool) -> list[str]:
    """The usage of a command, or of leveretctl."""
    return [heading("Usage", bold), "", GENERAL_USAGE if command is None else command.usage]


def general_help() -> list[str]:
    """What leveretctl can do."""
    bold = sys.stdout.isatty()
    return [
        "",
        *usage(None, bold),
        "",
        heading("Commands", bold),
        "",
        "   help              Displays usage information for a command",
        "   version           Displays the version",
        *(f"   {command.name:<17} {command.description}" for command in COMMANDS.values()),
        "",
        heading("Options", bold),
        "",
        *(f"   {line}" for line in GENERAL_OPTIONS),
        "",
        "Use 'leveretctl help <command>' to learn more about a specific command",
    ]


def command_help(command: Command) -> list[str]:
    """What a command does and takes."""
    bold = sys.stdout.isatty()
    text = ["", *usage(command, bold), "", f"{command.description}.", ""]
    if command.listing:
        columns = ", ".join(sorted(COLUMNS[command.listing]))
        text += [heading("Arguments and Options", bold), "", "<column>", f"\tmust be one of {columns}", ""]
    for name, meaning in (
        ("online", "lists only queues that are available, which all are"),
        ("offline", "lists only queues that are not available, of which there are none"),
        ("local", "lists only queues of this node, which all are"),
        ("no-table-headers", "leaves out the row of column names"),
        ("unit", "<bytes | kb | mb | gb>: unit for sizes (default: gb)"),
        ("idempotent", "returns success if the broker is not running"),
    ):
        if name in command.options:
            text += [f"--{name}", f"\t{meaning}", ""]
    return [*text, heading("General Options", bold), "", *GENERAL_OPTIONS]
