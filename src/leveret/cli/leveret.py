"""The command `leveret`: `leveret serve` runs a broker."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from leveret import __version__
from leveret.build import description

LOG_LEVELS = ("debug", "info", "warning", "error", "none")
DEFAULT_DATA_DIR = "leveret-data"


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
    serve = commands.add_parser("serve", help="run a broker")
    serve.add_argument(
        "--bind",
        action="append",
        metavar="HOST",
        help="address or host name to listen on, may be given more than once (default: 127.0.0.1)",
    )
    serve.add_argument("--port", type=port_number, default=5672, help="TCP port, 0 for a free one (default: 5672)")
    serve.add_argument("--unix-socket", type=Path, metavar="PATH", help="listen on this Unix socket as well")
    serve.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help=f"folder for all that is kept (default: $LEVERET_DATA_DIR, else ./{DEFAULT_DATA_DIR})",
    )
    serve.add_argument("--ephemeral", action="store_true", help="keep everything in memory, nothing on disk")
    serve.add_argument("--log-level", choices=LOG_LEVELS, default="info", help="what to log (default: info)")
    return result


def port_number(text: str) -> int:
    """A TCP port, 0 included."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 65535")
    return int(text)


def set_up_logging(level: str) -> None:
    """Log to standard error."""
    logging.basicConfig(
        stream=sys.stderr,
        format="%(asctime)s.%(msecs)03d [%(levelname)s] %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        level=logging.CRITICAL + 1 if level == "none" else level.upper(),
    )


def data_dir(arguments: argparse.Namespace) -> Path | None:
    """The data folder; an ephemeral broker has one only if it is named, for its control socket."""
    named = arguments.data_dir or os.environ.get("LEVERET_DATA_DIR")
    if named is None and arguments.ephemeral:
        return None
    return Path(named or DEFAULT_DATA_DIR)


def run_server(arguments: argparse.Namespace) -> int:
    """`leveret serve`: 0 when it was told to stop, 1 with one line when it can't start."""
    from leveret.server.server import CannotStart, Configuration, serve

    set_up_logging(arguments.log_level)
    configuration = Configuration(
        bind=tuple(arguments.bind or ("127.0.0.1",)),
        port=arguments.port,
        unix_socket=arguments.unix_socket,
        data_dir=data_dir(arguments),
        ephemeral=arguments.ephemeral,
    )
    try:
        asyncio.run(serve(configuration))
    except CannotStart as error:
        print(f"leveret: {error}", file=sys.stderr)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives the exit status."""
    return run_server(parser().parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
