"""The command `leveret`: `leveret serve` runs a broker, `leveret config` shows what it would run with, and
`leveret check` verifies its data folder offline."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from leveret import __version__
from leveret.build import description
from leveret.cli.serve_options import add_options, configuration_of
from leveret.cli.standard_streams import run_command, use_utf8

# What leveretctl does under this and other names; it takes all the arguments behind them.
CONTROL: Final = {
    "ctl": "look at a running broker and change it, as rabbitmqctl does",
    "diagnostics": "check a running broker, as rabbitmq-diagnostics does",
    "queues": "look into queues, as rabbitmq-queues does",
    "plugins": "say what is built in, as rabbitmq-plugins does",
    "upgrade": "put a broker into maintenance and out of it, as rabbitmq-upgrade does",
}


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, like every other reason not to start."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> OneLineParser:
    """The command's arguments."""
    result = OneLineParser(prog="leveret", description="A message broker that speaks AMQP 0-9-1.")
    result.add_argument("--version", action="version", version=f"leveret {__version__} ({description()})")
    commands = result.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add_options(commands.add_parser("serve", help="run a broker"))
    config = commands.add_parser("config", help="look at the configuration without running a broker")
    actions = config.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_options(actions.add_parser("check", help="say whether a broker starts with it, and what it would warn of"))
    show = actions.add_parser("show", help="print every setting, and where its value came from")
    show.add_argument("--formatter", choices=("table", "json"), default="table", help="how (default: table)")
    add_options(show)
    check = commands.add_parser("check", help="verify the data folder of a stopped broker, and say what it holds")
    check.add_argument("data_dir", type=Path, metavar="DATA_DIR", help="the data folder; nothing in it is changed")
    check.add_argument("--json", action="store_true", help="print JSON on one line")
    for name, meaning in CONTROL.items():
        commands.add_parser(name, help=meaning, add_help=False)
    return result


def run_server(arguments: argparse.Namespace) -> int:
    """`leveret serve`: 0 when it was told to stop, 1 when it can't start, with a line for each reason."""
    from leveret.server.configuration import InvalidConfiguration
    from leveret.server.log_output import CannotLog, LogOutput
    from leveret.server.server import serve
    from leveret.server.storage import CannotStart

    output = LogOutput()
    try:
        configuration = configuration_of(arguments)
        output.apply(configuration.settings)
        asyncio.run(serve(configuration, output, lambda: configuration_of(arguments)))
    except InvalidConfiguration as error:
        for line in error.errors:
            print(f"leveret: {line}", file=sys.stderr)
        return 1
    except (CannotLog, CannotStart) as error:
        print(f"leveret: {error}", file=sys.stderr)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives the exit status."""
    if arguments is None:
        use_utf8()
        arguments = sys.argv[1:]
    words = list(arguments)
    if words and words[0] in CONTROL:
        from leveret.cli.leveretctl import main as control

        return control(words[1:], f"leveret {words[0]}")
    return run_command(lambda: run(words))


def run(words: list[str]) -> int:
    """Do what the arguments say, but for what leveretctl does; gives the exit status."""
    given = parser().parse_args(words)
    if given.command == "check":
        from leveret.cli.check import run_check

        return run_check(given.data_dir, given.json)
    if given.command == "config":
        from leveret.cli.config_command import run_config

        return run_config(given)
    return run_server(given)


if __name__ == "__main__":
    sys.exit(main())
