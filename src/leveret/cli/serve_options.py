"""The options of `leveret serve` and `leveret config`: the flags of the table of settings, and which file to read."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping

from leveret.server.configuration import PLACES, Configuration, configure
from leveret.server.setting_kinds import BOOLEAN
from leveret.server.setting_table import Setting
from leveret.server.settings import SETTINGS


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting that has one. What is not given is left out, so that other sources count."""
    parser.add_argument(
        "--config",
        metavar="PATH",
        help="leveret.toml or RabbitMQ's rabbitmq.conf, or the folder of either "
        f"(default: $LEVERET_CONFIG, $RABBITMQ_CONFIG_FILE, or the first of {', '.join(map(str, PLACES))})",
    )
    for setting in SETTINGS.values():
        if setting.flag:
            add_option(parser, setting)


def add_option(parser: argparse.ArgumentParser, setting: Setting) -> None:
    """Add the flag of a setting. One that is true or false is true by itself."""
    more = " (may be given more than once)" if setting.kind.several else ""
    meaning = f"{setting.meaning}{more} (default: {setting.shown(setting.default)})".replace("%", "%%")
    if setting.kind is BOOLEAN:
        parser.add_argument(
            setting.flag,
            dest=setting.name,
            type=checked(setting),
            nargs="?",
            const="true",
            default=argparse.SUPPRESS,
            metavar=setting.kind.metavar,
            help=meaning,
        )
    else:
        parser.add_argument(
            setting.flag,
            dest=setting.name,
            type=checked(setting),
            action="append" if setting.kind.several else "store",
            default=argparse.SUPPRESS,
            metavar=setting.kind.metavar,
            help=meaning,
        )


def checked(setting: Setting) -> Callable[[str], str]:
    """A check of a flag's value, which stays a text: one parser adds up all sources."""

    def check(text: str) -> str:
        try:
            setting.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    return check


def flags_of(arguments: argparse.Namespace) -> dict[str, str]:
    """The flags that were given, by their settings' names."""
    given: Mapping[str, str | list[str]] = vars(arguments)
    return {
        name: value if isinstance(value, str) else ",".join(value) for name, value in given.items() if name in SETTINGS
    }


def configuration_of(arguments: argparse.Namespace) -> Configuration:
    """The configuration that a command line asks for. Raises InvalidConfiguration."""
    return configure(flags_of(arguments), os.environ, arguments.config)
