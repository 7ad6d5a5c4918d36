"""The command `leveretctl`: look at a running broker, set its policies and limits, and stop it.

It takes the arguments of rabbitmqctl and prints what rabbitmqctl prints, byte for byte where a script may read it:
standard output, the exit status and the words of an error. The banners go to standard output and are left out by -q.

It loads nothing of the broker, so that it starts at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Final

from leveret import __version__
from leveret.cli.control_client import TEMPORARY, USAGE, ControlFailure
from leveret.cli.ctl_actions import ACTIONS
from leveret.cli.ctl_client import whom, without_password
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_commands import GENERAL_OPTIONS, command_help, heading, usage
from leveret.cli.ctl_options import SOMEWHERE, Options, UsageError, split
from leveret.cli.ctl_program import Program, program
from leveret.cli.standard_streams import run_command, use_utf8, write

URL: Final = "--url"


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
    check_count(command, len(words) - 1)
    try:
        return ACTIONS[command.name](command, options, words[1:])
    except TimeoutError:
        raise ControlFailure(
            TEMPORARY,
            f"operation {command.name} on {whom(options)} timed out. Timeout value used: {options.timeout * 1000}",
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


def report_usage_error(error: UsageError, arguments: Sequence[str], called: Program) -> None:
    """Say what is wrong with the arguments, in rabbitmqctl's form."""
    given = ["Arguments given:", "\t" + " ".join(shown(arguments)), ""]
    write(
        [f"Error (argument validation): {error}", *given, *map(called.said, usage(error.command, sys.stderr.isatty()))],
        sys.stderr,
    )


def shown(arguments: Sequence[str]) -> Iterator[str]:
    """The arguments as they may be shown: without a password of --url, which has abbreviations too."""
    for before, argument in zip(("", *arguments), arguments, strict=False):
        name, equals, value = argument.partition("=")
        if len(before) > 2 and URL.startswith(before):
            yield without_password(argument)
        elif equals and len(name) > 2 and URL.startswith(name):
            yield f"{name}={without_password(value)}"
        else:
            yield argument


def run_and_report(arguments: Sequence[str], called: Program) -> int:
    """Run the command; gives the exit status, and says what was wrong."""
    try:
        return run(arguments, called)
    except UsageError as error:
        report_usage_error(error, arguments, called)
        return error.status
    except ControlFailure as failure:
        write([f"{failure.before}{failure}"], sys.stderr)
        return failure.status


def main(arguments: Sequence[str] | None = None, name: str | None = None) -> int:
    """Run the command, by the name that it is called by; gives the exit status."""
    if arguments is None:
        use_utf8()
        arguments = sys.argv[1:]
    called = program(sys.argv[0] if name is None else name)
    return run_command(lambda: run_and_report(arguments, called))


if __name__ == "__main__":
    sys.exit(main())
