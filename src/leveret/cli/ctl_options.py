"""The options of leveretctl, with rabbitmqctl's names and defaults."""

from __future__ import annotations

import getopt
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from leveret.cli import DEFAULT_DATA_DIR
from leveret.cli.control_client import USAGE
from leveret.cli.ctl_command import Command
from leveret.cli.formatters import MACHINE_READABLE
from leveret.cli.status_report import UNITS
from leveret.management.periods import SECONDS

SHORT: Final = {
    "p": "vhost", "n": "node", "t": "timeout", "q": "quiet", "s": "silent", "l": "longnames", "?": "help",
    "d": "description", "e": "if-empty", "u": "if-unused", "P": "pid",
    "m": "minimal", "v": "verbose", "a": "all", "N": "number",
}  # fmt: skip
SHORT_OF_PLUGINS: Final = {**SHORT, "E": "enabled", "e": "implicitly-enabled"}
WITH_VALUE: Final = (
    "vhost", "node", "timeout", "formatter", "data-dir", "unit", "priority", "apply-to", "user",
    "format",
    "description", "tags", "default-queue-type", "limit", "per-connection-delay", "pid", "address", "url",
    "within", "number", "object-type", "address-family",
)  # fmt: skip
EVERYWHERE: Final = (
    "vhost", "node", "timeout", "quiet", "silent", "longnames", "help", "version", "formatter", "data-dir",
    "url",
)  # fmt: skip
SOMEWHERE: Final = (
    "no-table-headers", "online", "offline", "local", "unit", "idempotent", "priority", "apply-to", "global", "user",
    "format", "skip-if-unchanged",
    "description", "tags", "default-queue-type", "pre-hashed-password", "limit", "per-connection-delay",
    "if-empty", "if-unused", "pid", "used", "address", "no-wait", "wait", "experimental", "all", "enabled", "minimal",
    "implicitly-enabled", "verbose", "within", "number", "object-type", "address-family", "across-all-vhosts",
)  # fmt: skip
INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
DEFAULT_TIMEOUT: Final = 60
FIFTY_LINES: Final = "50"
FOUR_WEEKS: Final = "4"  # weeks are the default


class UsageError(Exception):
    """Arguments that mean nothing; `command` is what they were for, if that much is known."""

    def __init__(self, text: str, command: Command | None = None, status: int = USAGE) -> None:
        super().__init__(text)
        self.status: Final = status
        self.command: Final = command


class Options:
    """What was asked for besides the command and the words behind it."""

    def __init__(self, given: dict[str, str], command: Command) -> None:
        self.vhost: Final = given.get("vhost", "/")
        self.vhost_if_given: Final = given.get("vhost")
        self.silent: Final = "silent" in given
        self.quiet: Final = self.silent or "quiet" in given
        self.headers: Final = "no-table-headers" not in given
        self.offline: Final = "offline" in given and "online" not in given and "local" not in given
        self.on_this_machine: Final = "offline" in given
        self.idempotent: Final = "idempotent" in given
        self.formatter: Final = one_of(given, "formatter", command.formatters, command)
        self.unit: Final = unit(given, command)
        self.within: Final = number({"within": FOUR_WEEKS, **given}, "within", command)
        self.timeout: Final = seconds(given, command)
        self.priority: Final = priority(given, command)
        self.apply_to: Final = given.get("apply-to", "all")
        self.everywhere: Final = "global" in given
        self.format: Final = given.get("format", "json").lower()
        self.skip_if_unchanged: Final = "skip-if-unchanged" in given
        self.user: Final = given.get("user", "guest")
        self.description: Final = given.get("description")
        self.tags: Final = given.get("tags")
        self.default_queue_type: Final = given.get("default-queue-type")
        self.pre_hashed: Final = "pre-hashed-password" in given
        self._has_timeout: Final = "timeout" in given
        self.if_empty: Final = "if-empty" in given
        self.if_unused: Final = "if-unused" in given
        self.used: Final = "used" in given
        self.waits: Final = "no-wait" not in given
        self.address: Final = given.get("address")
        self.limit: Final = number(given, "limit", command)
        self.pid: Final = number(given, "pid", command) if "pid" in given else None
        self.all: Final = "all" in given
        self.number: Final = number({"number": FIFTY_LINES, **given}, "number", command)
        self.object_type: Final = given.get("object-type", "queue")
        self.address_family: Final = given.get("address-family", "IPv4")
        self.across_all_vhosts: Final = "across-all-vhosts" in given
        self.minimal: Final = "minimal" in given
        self.url: Final = url(given)
        self.banner: Final = not self.quiet and self.formatter not in MACHINE_READABLE
        self.data_dir: Final = Path(given.get("data-dir") or os.environ.get("LEVERET_DATA_DIR") or DEFAULT_DATA_DIR)

    def timeout_or(self, default: int) -> int:
        """The timeout in seconds if it is given, of which 0 is to look once; or else the command's own."""
        return self.timeout if self._has_timeout else default


def url(given: dict[str, str]) -> str | None:
    """The HTTP API that is asked, if one is. A flag that names a data folder counts more than a variable."""
    return given.get("url") or (None if given.get("data-dir") else os.environ.get("LEVERET_URL") or None)


def one_of(given: dict[str, str], name: str, choices: Sequence[str], command: Command) -> str:
    """An option's value, the first of the choices if it isn't given."""
    value = given.get(name, choices[0])
    if value not in choices:
        raise UsageError(f"--{name} {value} is not supported, use one of {', '.join(dict.fromkeys(choices))}", command)
    return value


def unit(given: dict[str, str], command: Command) -> str:
    """The unit of sizes, or of time for a command that looks ahead, with RabbitMQ's words for any other."""
    if "within" not in command.options:
        return one_of(given, "unit", ("gb", *UNITS), command)
    value = given.get("unit", "weeks")
    if value not in SECONDS:
        raise UsageError(f"unit '{value}' is not supported. Please use one of: {', '.join(SECONDS)}", command)
    return value


def seconds(given: dict[str, str], command: Command) -> int:
    """The timeout."""
    text = given.get("timeout", str(DEFAULT_TIMEOUT))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"Invalid options for this command:\n-t : {text}", command)
    return int(text)


def priority(given: dict[str, str], command: Command) -> int:
    """The priority of a policy."""
    text = given.get("priority", "0")
    if not INTEGER.fullmatch(text):
        raise UsageError(f"Invalid options for this command:\n--priority : {text}", command)
    return int(text)


def number(given: dict[str, str], name: str, command: Command) -> int:
    """The number that an option is, 0 if it isn't given."""
    text = given.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"Invalid options for this command:\n--{name} : {text}", command)
    return int(text)


def split(arguments: Sequence[str], commands: Mapping[str, Command]) -> tuple[dict[str, str], list[str]]:
    """Options and the words among which they stood, in any order; for plugins some letters mean something else."""
    letters = SHORT_OF_PLUGINS if "is_enabled" in commands else SHORT
    long = [f"{name}=" if name in WITH_VALUE else name for name in EVERYWHERE + SOMEWHERE]
    short = "".join(f"{letter}:" if name in WITH_VALUE else letter for letter, name in letters.items())
    try:
        pairs, words = getopt.gnu_getopt(list(arguments), short, long)
    except getopt.GetoptError as error:
        dashes = "-" if len(error.opt) == 1 else "--"
        command = next((commands[word] for word in arguments if word in commands), None)
        raise UsageError(f"Invalid options for this command:\n{dashes}{error.opt} : ", command) from None
    options = {flag[2:] if flag.startswith("--") else letters[flag[1]]: value for flag, value in pairs}
    return options, words
