"""The command `leveretctl`: look at a running broker, and stop it.

It takes the arguments of rabbitmqctl and prints what rabbitmqctl prints, byte for byte where a script may read it:
standard output, the exit status and the words of an error. The banners go to standard output and are left out by -q.

It loads nothing of the broker, so that it starts at once.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, TextIO

from leveret import __version__
from leveret.cli import DEFAULT_DATA_DIR
from leveret.cli.control_client import (
    SOFTWARE,
    TEMPORARY,
    UNAVAILABLE,
    USAGE,
    ControlClient,
    ControlFailure,
)
from leveret.cli.ctl_commands import COMMANDS, Command, command_help, general_help, usage
from leveret.cli.formatters import MACHINE_READABLE, Row, json_text, lines
from leveret.cli.status_report import UNITS, status_report
from leveret.management.columns import COLUMNS, DEFAULT_COLUMNS, unsupported

INTERRUPTED: Final = 130  # as the shell says of a program that SIGINT ended
BROKEN_PIPE: Final = 141  # as the shell says of a program that SIGPIPE ended
DEFAULT_TIMEOUT: Final = 60

SHORT: Final = {"p": "vhost", "n": "node", "t": "timeout", "q": "quiet", "s": "silent", "l": "longnames", "?": "help"}
WITH_VALUE: Final = ("vhost", "node", "timeout", "formatter", "data-dir", "unit")
EVERYWHERE: Final = (
    "vhost", "node", "timeout", "quiet", "silent", "longnames", "help", "version", "formatter", "data-dir",
)  # fmt: skip
SOMEWHERE: Final = ("no-table-headers", "online", "offline", "local", "unit", "idempotent")


class UsageError(Exception):
    """Arguments that mean nothing; `command` is what they were for, if that much is known."""

    def __init__(self, text: str, command: Command | None = None) -> None:
        super().__init__(text)
        self.command: Final = command


class Options:
    """What was asked for besides command and columns."""

    def __init__(self, given: dict[str, str], command: Command) -> None:
        self.vhost: Final = given.get("vhost", "/")
        self.silent: Final = "silent" in given
        self.quiet: Final = self.silent or "quiet" in given
        self.headers: Final = "no-table-headers" not in given
        self.offline: Final = "offline" in given and "online" not in given and "local" not in given
        self.idempotent: Final = "idempotent" in given
        self.formatter: Final = one_of(given, "formatter", command.formatters, command)
        self.unit: Final = one_of(given, "unit", ("gb", *UNITS), command)
        self.timeout: Final = seconds(given, command)
        self.data_dir: Final = Path(given.get("data-dir") or os.environ.get("LEVERET_DATA_DIR") or DEFAULT_DATA_DIR)


def one_of(given: dict[str, str], name: str, choices: Sequence[str], command: Command) -> str:
    """An option's value, the first of the choices if it isn't given."""
    value = given.get(name, choices[0])
    if value not in choices:
        raise UsageError(f"--{name} {value} is not supported, use one of {', '.join(dict.fromkeys(choices))}", command)
    return value


def seconds(given: dict[str, str], command: Command) -> int:
    """The timeout."""
    text = given.get("timeout", str(DEFAULT_TIMEOUT))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"Invalid options for this command:\n-t : {text}", command)
    return int(text)


def split(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Options and the words among which they stood, in any order."""
    long = [f"{name}=" if name in WITH_VALUE else name for name in EVERYWHERE + SOMEWHERE]
    short = "".join(f"{letter}:" if name in WITH_VALUE else letter for letter, name in SHORT.items())
    try:
        pairs, words = getopt.gnu_getopt(list(arguments), short, long)
    except getopt.GetoptError as error:
        dashes = "-" if len(error.opt) == 1 else "--"
        command = next((COMMANDS[word] for word in arguments if word in COMMANDS), None)
        raise UsageError(f"Invalid options for this command:\n{dashes}{error.opt} : ", command) from None
    options = {flag[2:] if flag.startswith("--") else SHORT[flag[1]]: value for flag, value in pairs}
    return options, words


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
        if command.listing:
            return show_listing(command, options, words[1:])
        if len(words) > 1 + (command.name == "stop"):
            raise UsageError("too many arguments.", command)
        return show_status(options) if command.name == "status" else stop(options)
    except TimeoutError:
        raise ControlFailure(
            TEMPORARY,
            f"operation {command.name} on the broker with the data folder {options.data_dir.absolute()} timed out. "
            f"Timeout value used: {options.timeout * 1000}",
        ) from None


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
    columns = chosen_columns(command, words)
    rows: list[Row] = []
    with ControlClient(options.data_dir, options.timeout) as client:
        answer = client.ask({"command": command.name, "vhost": options.vhost, "columns": columns})
    if not options.offline:
        found = answer.get("rows")
        if not isinstance(found, list):
            raise ControlFailure(SOFTWARE, "the broker's answer is not understood")
        rows = found
    if not options.quiet and options.formatter not in MACHINE_READABLE:
        write(line.format(vhost=options.vhost, timeout=float(options.timeout)) for line in command.banner)
    headers = options.headers and (options.formatter == "csv" or not options.silent)
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


def write(text: Iterable[str], stream: TextIO | None = None) -> None:
    """Print lines in UTF-8; octets that the broker was given and that aren't UTF-8 come out as they went in."""
    buffer = (stream or sys.stdout).buffer
    for line in text:
        buffer.write(f"{line}\n".encode("utf-8", "surrogateescape"))


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
            write([f"Error: {failure}"], sys.stderr)
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
