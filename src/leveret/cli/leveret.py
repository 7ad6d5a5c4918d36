"""The command `leveret`: `leveret serve` runs a broker, `leveret check` verifies its data folder offline."""

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
from leveret.cli import DEFAULT_DATA_DIR
from leveret.cli.tls_options import add_tls, tls_options
from leveret.server.limits import parse_memory_limit, parse_size

LOG_LEVELS = ("debug", "info", "warning", "error", "none")
REDECLARE = ("strict", "queue-type", "relaxed")  # as `broker.redeclaring` has them
DAY = 24 * 60 * 60 * 1000  # milliseconds
LIMITS = (  # of the node, by their names in rabbitmq.conf
    ("connection_max", -1, "how many connections may be open"),
    ("channel_max", 2047, "how many channels a connection may have open, 0 for as many as it likes"),
    ("channel_max_per_node", -1, "how many channels may be open"),
    ("consumer_max_per_channel", -1, "how many consumers a channel may have"),
    ("cluster_queue_limit", -1, "how many queues there may be"),
    ("cluster_exchange_limit", -1, "how many exchanges there may be, the predeclared ones counted"),
)


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
    add_data_options(serve)
    add_limits(serve)
    add_tls(serve)
    serve.add_argument(
        "--redeclare",
        choices=REDECLARE,
        default=REDECLARE[0],
        help="what to do when a queue or exchange is declared again otherwise: refuse it; refuse it, but take a quorum "
        "queue for a classic one; or keep what is there, log it once, and say ok (default: strict)",
    )
    serve.add_argument("--log-level", choices=LOG_LEVELS, default="info", help="what to log (default: info)")
    check = commands.add_parser("check", help="verify the data folder of a stopped broker, and say what it holds")
    check.add_argument("data_dir", type=Path, metavar="DATA_DIR", help="the data folder; nothing in it is changed")
    check.add_argument("--json", action="store_true", help="print JSON on one line")
    return result


def add_data_options(serve: argparse.ArgumentParser) -> None:
    """The options about what is kept, where, and when it is safe there."""
    serve.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help=f"folder for all that is kept (default: $LEVERET_DATA_DIR, else ./{DEFAULT_DATA_DIR})",
    )
    serve.add_argument("--ephemeral", action="store_true", help="keep everything in memory, nothing on disk")
    serve.add_argument(
        "--sync",
        type=sync_mode,
        default="always",
        metavar="always|interval=MS|never",
        help="when messages are forced to the disk: before each confirm, every so many milliseconds, or when the "
        "system likes (default: always; with the others a power failure loses confirmed messages)",
    )
    serve.add_argument(
        "--segment-size",
        type=segment_size,
        default="32MiB",
        metavar="SIZE",
        help="how large a file of the message log becomes before the next is begun, 64KiB to 1GiB (default: 32MiB)",
    )


def add_limits(serve: argparse.ArgumentParser) -> None:
    """The options about how much there may be of something."""
    serve.add_argument(
        "--memory-limit",
        type=memory_limit,
        default="0.6",
        metavar="LIMIT",
        help="block publishers when this much memory is in use: a size such as 2GiB, "
        "or a share of what the machine or container allows (default: 0.6)",
    )
    serve.add_argument(
        "--disk-free-limit",
        type=size,
        metavar="SIZE",
        help="block publishers when less disk than this is free for the data folder (default: 1GiB)",
    )
    for name, default, meaning in LIMITS:
        shown = "none" if default < 0 else str(default)
        serve.add_argument(
            f"--{name.replace('_', '-')}",
            type=channel_limit if name == "channel_max" else limit,
            default=default,
            metavar="N",
            help=f"{meaning} (default: {shown})",
        )


def port_number(text: str) -> int:
    """A TCP port, 0 included."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 65535")
    return int(text)


def sync_mode(text: str) -> str:
    """always, never, or interval=MS."""
    name, _, milliseconds = text.partition("=")
    if text in ("always", "never"):
        return text
    if name == "interval" and milliseconds.isascii() and milliseconds.isdigit() and 0 < int(milliseconds) <= DAY:
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not always, interval=MS or never")


def size(text: str) -> int:
    """Octets."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def segment_size(text: str) -> int:
    """Octets, as many as a segment may have."""
    octets = size(text)
    if not 64 * 1024 <= octets <= 1024**3:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 64KiB and 1GiB")
    return octets


def limit(text: str) -> int:
    """How many of something there may be: a number, -1 or infinity for no limit."""
    if text in ("-1", "infinity"):
        return -1
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, -1 or infinity")
    return int(text)


def channel_limit(text: str) -> int:
    """As `limit`, as far as the protocol can count channels."""
    if limit(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is more than 65535")
    return max(limit(text), 0)


def memory_limit(text: str) -> int:
    """Octets, given as such or as a share of what there is."""
    try:
        return parse_memory_limit(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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
    from leveret.broker.limits import NodeLimits
    from leveret.server.server import Configuration, serve
    from leveret.server.storage import CannotStart

    set_up_logging(arguments.log_level)
    configuration = Configuration(
        bind=tuple(arguments.bind or ("127.0.0.1",)),
        port=arguments.port,
        unix_socket=arguments.unix_socket,
        data_dir=data_dir(arguments),
        ephemeral=arguments.ephemeral,
        memory_limit=arguments.memory_limit,
        disk_free_limit=arguments.disk_free_limit,
        sync=arguments.sync,
        segment_size=arguments.segment_size,
        redeclare=arguments.redeclare,
        limits=NodeLimits(**{name: getattr(arguments, name) for name, _, _ in LIMITS}),
        **tls_options(arguments),
    )
    try:
        asyncio.run(serve(configuration))
    except CannotStart as error:
        print(f"leveret: {error}", file=sys.stderr)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives the exit status."""
    given = parser().parse_args(arguments)
    if given.command == "check":
        from leveret.cli.check import run_check

        return run_check(given.data_dir, given.json)
    return run_server(given)


if __name__ == "__main__":
    sys.exit(main())
