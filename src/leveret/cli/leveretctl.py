"""The command `leveretctl`: look at a running broker, set its policies and limits, and stop it.

It takes the arguments of rabbitmqctl and prints what rabbitmqctl prints, byte for byte where a script may read it:
standard output, the exit status and the words of an error. The banners go to standard output and are left out by -q.

It loads nothing of the broker, so that it starts at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

from leveret import __version__
from leveret.cli.control_client import SOFTWARE, TEMPORARY, UNAVAILABLE, USAGE, ControlFailure
from leveret.cli.ctl_access import access
from leveret.cli.ctl_access_commands import ACCESS_COMMANDS
from leveret.cli.ctl_changes import LIMITS, ask, change, rows_of, show_limits
from leveret.cli.ctl_client import connect
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_commands import DEFINITIONS_COMMANDS, GENERAL_OPTIONS, command_help, heading, usage
from leveret.cli.ctl_definitions import export_definitions, import_definitions
from leveret.cli.ctl_node_actions import ACTIONS
from leveret.cli.ctl_options import SOMEWHERE, Options, UsageError, split
from leveret.cli.ctl_output import write
from leveret.cli.ctl_peek import show_message
from leveret.cli.ctl_program import Program, program
from leveret.cli.formatters import Row, json_text, lines
from leveret.cli.status_report import status_report
from leveret.management.columns import COLUMNS, DEFAULT_COLUMNS, unsupported

INTERRUPTED: Final = 130  # as the shell says of a program that SIGINT ended
BROKEN_PIPE: Final = 141  # as the shell says of a program that SIGPIPE ended
# What rabbitmqctl gets in one piece it prints otherwise if there is nothing in it.
AT_ONCE: Final = ("permissions", "topic_permissions", "user_permissions", "user_topic_permissions")
NOTHING_AT_ONCE: Final = {"table": [""], "json": ["[]"]}


def run(arguments: Sequence[str], called: Program) -> int:
    """Do what the arguments say; gives the exit status. Raises UsageError, ControlFailure."""
    given, words = split(arguments, called.commands)
    if "version" in given or words[:1] == ["version"]:
        write([__version__])
        return 0
    if "help" in given or words[:1] == ["help"]:
        return show_help([word for word in words if word != "help"], called)
    if not words:
        write(general_help(called), sys.stderr)
        return USAGE
    command = called.commands.get(words[0])
    if command is None:
        write(["", f"Command '{words[0]}' not found. ", *general_help(called)], sys.stderr)
        return USAGE
    for name in given:
        if name in SOMEWHERE and name not in command.options:
            raise UsageError(f"Invalid options for this command:\n--{name} : {given[name]}", command)
    options = Options(given, command)
    try:
        check_count(command, len(words) - 1)
        if command.name in ACTIONS:
            return ACTIONS[command.name](command, options, words[1:])
        if command.listing in LIMITS:
            return show_limits(command, options)
        if command.listing:
            return show_listing(command, options, words[1:])
        if command in DEFINITIONS_COMMANDS:
            return (
                export_definitions(command, options, words[1])
                if command.words
                else import_definitions(command, options, words[1:])
            )
        if command in ACCESS_COMMANDS:
            return access(command, options, words[1:])
        if command.name == "status":
            return show_status(options)
        if command.name == "peek":
            return show_message(command, options, words[1:])
        return stop(options) if command.name in ("stop", "shutdown") else change(command, options, words[1:])
    except TimeoutError:
        raise ControlFailure(
            TEMPORARY,
            f"operation {command.name} on the broker with the data folder {options.data_dir.absolute()} timed out. "
            f"Timeout value used: {options.timeout * 1000}",
        ) from None


def check_count(command: Command, words: int) -> None:
    """UsageError if the command takes more words, or less."""
    if words < len(command.words):
        raise UsageError("not enough arguments.", command)
    if words > command.most:
        raise UsageError("too many arguments.", command)


def show_help(words: list[str], called: Program) -> int:
    """Help for a command, or for all."""
    if not words:
        write(general_help(called))
        return 0
    if words[0] not in called.commands:
        write(["Error:", "", f"Command '{words[0]}' not found."], sys.stderr)
        return USAGE
    write(command_help(called.commands[words[0]], called.said))
    return 0


def general_help(called: Program) -> list[str]:
    """What the program can do."""
    bold = sys.stdout.isatty()
    text = [
        "",
        *usage(None, bold),
        "",
        heading("Commands", bold),
        "",
        "   help                   Displays usage information for a command",
        "   version                Displays the version",
        *(f"   {command.name:<22} {command.description}" for command in called.commands.values()),
        "",
        heading("Options", bold),
        "",
        *(f"   {line}" for line in GENERAL_OPTIONS),
        "",
        "Use 'leveretctl help <command>' to learn more about a specific command",
    ]
    return [called.said(line) for line in text]


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


def show_status(options: Options) -> int:
    """The node's status, for people or as JSON."""
    with connect(options) as client:
        status = client.ask({"command": "status"}).get("status")
    if not isinstance(status, dict):
        raise ControlFailure(SOFTWARE, "the broker's answer is not understood")
    if options.formatter == "json":
        write([json_text(status)])
        return 0
    if not options.quiet:
        write([f"Status of node {status.get('node_name')} ..."])
    write(status_report(status, options.unit, bold=sys.stdout.isatty()))
    return 0


def stop(options: Options) -> int:
    """Stop the broker, and return when it has ended."""
    try:
        with connect(options) as client:
            stopping = client.stop().get("stopping")
            node = stopping.get("node") if isinstance(stopping, dict) else None
            if not options.quiet:
                write([f"Stopping and halting node {node} ..."])
                sys.stdout.flush()
            if options.waits:
                client.wait_for_end()
    except ControlFailure as failure:
        if failure.status != UNAVAILABLE or not options.idempotent:
            raise
        if not options.quiet:
            write([f"No broker is running with the data folder {options.data_dir.absolute()}"])
    return 0


def report_usage_error(error: UsageError, arguments: Sequence[str], called: Program) -> None:
    """Say what is wrong with the arguments, in rabbitmqctl's form."""
    given = ["Arguments given:", "\t" + " ".join(arguments), ""]
    write(
        [f"Error (argument validation): {error}", *given, *map(called.said, usage(error.command, sys.stderr.isatty()))],
        sys.stderr,
    )


def main(arguments: Sequence[str] | None = None, name: str | None = None) -> int:
    """Run the command, by the name that it is called by; gives the exit status."""
    called = program(sys.argv[0] if name is None else name)
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        try:
            return run(arguments, called)
        except UsageError as error:
            report_usage_error(error, arguments, called)
            return error.status
        except ControlFailure as failure:
            write([f"{failure.before}{failure}"], sys.stderr)
            return failure.status
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left goes nowhere, without complaint
        return BROKEN_PIPE


if __name__ == "__main__":
    sys.exit(main())
