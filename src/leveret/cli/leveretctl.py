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
from leveret.cli.control_client import (
    SOFTWARE,
    TEMPORARY,
    UNAVAILABLE,
    USAGE,
    ControlClient,
    ControlFailure,
)
from leveret.cli.ctl_access import access
from leveret.cli.ctl_access_commands import ACCESS_COMMANDS
from leveret.cli.ctl_changes import LIMITS, ask, change, rows_of, show_limits
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_commands import COMMANDS, DEFINITIONS_COMMANDS, command_help, general_help, usage
from leveret.cli.ctl_definitions import export_definitions, import_definitions
from leveret.cli.ctl_options import SOMEWHERE, Options, UsageError, split
from leveret.cli.ctl_output import write
from leveret.cli.ctl_peek import show_message
from leveret.cli.formatters import Row, json_text, lines
from leveret.cli.status_report import status_report
from leveret.management.columns import COLUMNS, DEFAULT_COLUMNS, unsupported

INTERRUPTED: Final = 130  # as the shell says of a program that SIGINT ended
BROKEN_PIPE: Final = 141  # as the shell says of a program that SIGPIPE ended
# What rabbitmqctl gets in one piece it prints otherwise if there is nothing in it.
AT_ONCE: Final = ("permissions", "topic_permissions", "user_permissions", "user_topic_permissions")
NOTHING_AT_ONCE: Final = {"table": [""], "json": ["[]"]}


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say; gives the exit status. Raises UsageError, ControlFailure."""
    given, words = split(arguments)
    if "version" in given or words[:1] == ["version"]:
        write([__version__])
        return 0
    if "help" in given or words[:1] == ["help"]:
        return show_help([word for word in words if word != "help"])
    if not words:
        write(general_help(), sys.stderr)
        return USAGE
    command = COMMANDS.get(words[0])
    if command is None:
        write(["", f"Command '{words[0]}' not found. ", *general_help()], sys.stderr)
        return USAGE
    for name in given:
        if name in SOMEWHERE and name not in command.options:
            raise UsageError(f"Invalid options for this command:\n--{name} : {given[name]}", command)
    options = Options(given, command)
    try:
        check_count(command, len(words) - 1)
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
        return stop(options) if command.name == "stop" else change(command, options, words[1:])
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


def show_help(words: list[str]) -> int:
    """Help for a command, or for all."""
    if not words:
        write(general_help())
        return 0
    if words[0] not in COMMANDS:
        write(["Error:", "", f"Command '{words[0]}' not found."], sys.stderr)
        return USAGE
    write(command_help(COMMANDS[words[0]]))
    return 0


def show_listing(command: Command, options: Options, words: list[str]) -> int:
    """A listing with the columns that were asked for."""
    given, columns = words[: len(command.words)], chosen_columns(command, words[len(command.words) :])
    user = given[0] if given else ""
    rows: list[Row] = []
    with ControlClient(options.data_dir, options.timeout) as client:
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
    with ControlClient(options.data_dir, options.timeout) as client:
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
        with ControlClient(options.data_dir, options.timeout) as client:
            stopping = client.stop().get("stopping")
            node = stopping.get("node") if isinstance(stopping, dict) else None
            if not options.quiet:
                write([f"Stopping and halting node {node} ..."])
                sys.stdout.flush()
            client.wait_for_end()
    except ControlFailure as failure:
        if failure.status != UNAVAILABLE or not options.idempotent:
            raise
        if not options.quiet:
            write([f"No broker is running with the data folder {options.data_dir.absolute()}"])
    return 0


def report_usage_error(error: UsageError, arguments: Sequence[str]) -> None:
    """Say what is wrong with the arguments, in rabbitmqctl's form."""
    given = ["Arguments given:", "\t" + " ".join(arguments), ""]
    write([f"Error (argument validation): {error}", *given, *usage(error.command, sys.stderr.isatty())], sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        try:
            return run(arguments)
        except UsageError as error:
            report_usage_error(error, arguments)
            return USAGE
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
