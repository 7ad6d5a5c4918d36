"""The kinds of values that settings have: how each is written, and what it is read as.

Every value has one form as text, the same in a flag, an environment variable and either configuration file, so that
there is one parser for each kind. `shown` gives that form back. ValueError from a parser tells the operator what is
wrong; whoever catches it says where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from leveret.broker.pattern import InvalidPattern, Pattern
from leveret.server.limits import parse_memory_limit, parse_size
from leveret.server.proxy_protocol import parse_network
from leveret.server.tls import parse_named_certificate

T = TypeVar("T")

DAY: Final = 24 * 60 * 60 * 1000  # milliseconds
LARGEST: Final = 2**31 - 1
NO_LIMIT: Final = -1
TRUE: Final = ("true", "on", "yes", "1")
FALSE: Final = ("false", "off", "no", "0")
# RabbitMQ's names and what they come to in Python's logging; `none` is above all that is ever logged.
LEVELS: Final = {
    "debug": 10,
    "info": 20,
    "notice": 25,
    "warning": 30,
    "error": 40,
    "critical": 50,
    "alert": 50,
    "emergency": 50,
    "none": 100,
}


def shown(value: object) -> str:
    """A value in the form in which it is written; nothing for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value)


def shown_size(value: object) -> str:
    """Octets with a unit, if that makes a short number of them that is exact."""
    if not isinstance(value, int):
        return shown(value)
    for power in range(4, 0, -1):
        for base, unit in ((1024, "iB"), (1000, "B")):
            number, rest = divmod(value, base**power)
            if number and not rest:
                prefix = "k" if (base, power) == (1000, 1) else "KMGT"[power - 1]
                return f"{number}{prefix}{unit}" if number < 10_000 else str(value)
    return str(value)


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of value: its name for people, its parser, and how it is shown, which the parser understands.

    `several` are given by repeating, or between commas. What has `parts` has a name too, and each part is a line of a
    file; anywhere else it is JSON.
    """

    metavar: str
    parse: Callable[[str], T]
    several: bool = False
    show: Callable[[object], str] = shown
    parts: Mapping[str, Kind[Any]] = field(default_factory=dict)


def text(value: str) -> str:
    """Any text but none at all."""
    if not value:
        raise ValueError("a text is needed")
    return value


def pattern(value: str) -> str:
    """A regular expression."""
    if value != ".*":
        try:
            Pattern(value)
        except InvalidPattern as error:
            raise ValueError(f"{value!r} is not a regular expression: {error}") from None
    return value


def node_name(value: str) -> str:
    """A name, with or without @ and a host."""
    if not re.fullmatch(r"[\w.-]+(@[\w.-]+)?", value, re.ASCII):
        raise ValueError(f"{value!r} is not a name such as leveret or leveret@host")
    return value


def path(value: str) -> Path:
    """A path, as it is: one that is relative starts from the folder in which the broker is started."""
    if not value or "\0" in value:
        raise ValueError(f"{value!r} is not a path")
    return Path(value)


def log_file(value: str) -> Path | None:
    """A path, or false or none."""
    return None if value.lower() in ("false", "none") else path(value)


def boolean(value: str) -> bool:
    """RabbitMQ's true, false, on and off, and what else people write for them."""
    if value.lower() in TRUE:
        return True
    if value.lower() in FALSE:
        return False
    raise ValueError(f"{value!r} is not true or false")


def number(lowest: int, highest: int, unit: str = "") -> Callable[[str], int]:
    """A parser for whole numbers in a range, which stand without their unit."""

    def parse(value: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) < 20 and lowest <= int(value) <= highest):
            of = f" of {unit}" if unit else ""
            raise ValueError(f"{value!r} is not a number{of} between {lowest} and {highest}")
        return int(value)

    return parse


def limit(value: str) -> int:
    """How many of something there may be: a number, -1 or infinity for no limit."""
    if value in ("-1", "infinity"):
        return NO_LIMIT
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ValueError(f"{value!r} is not a number, -1 or infinity")
    return int(value)


def channel_limit(value: str) -> int:
    """As `limit`, as far as the protocol can count channels; 0 is none."""
    if limit(value) > 65535:
        raise ValueError(f"{value!r} is more than 65535")
    return max(limit(value), 0)


def size(lowest: int = 0, highest: int = 2**63 - 1, between: str = "") -> Callable[[str], int]:
    """A parser for octets, with or without a unit, in a range that `between` tells people."""

    def parse(value: str) -> int:
        octets = parse_size(value)
        if not lowest <= octets <= highest:
            raise ValueError(f"{value!r} is not {between}")
        return octets

    return parse


def disk_limit(value: str) -> int | float:
    """Octets as an int; as a float, which has a point, a multiple of the memory that there is."""
    return float(value) if re.fullmatch(r"\d{0,6}\.\d{1,9}", value, re.ASCII) else parse_size(value)


def sync_mode(value: str) -> str:
    """always, never, or interval=MS."""
    name, _, milliseconds = value.partition("=")
    if value in ("always", "never"):
        return value
    if name == "interval" and milliseconds.isascii() and milliseconds.isdigit() and 0 < int(milliseconds) <= DAY:
        return value
    raise ValueError(f"{value!r} is not always, interval=MS or never")


def consumer_timeout(value: str) -> int:
    """Milliseconds; 0, or false as in RabbitMQ's configuration, for none."""
    return 0 if value.lower() in FALSE else number(1, 2**53, "milliseconds")(value)


def patience(value: str) -> int:
    """Milliseconds, or infinity, which is 24 days."""
    return LARGEST if value == "infinity" else number(1, LARGEST, "milliseconds")(value)


def one_of(*names: str) -> Kind[str]:
    """A kind whose values are some names."""

    def parse(value: str) -> str:
        if value not in names:
            raise ValueError(f"{value!r} is not one of {', '.join(names)}")
        return value

    return Kind("|".join(names), parse)


def level(value: str) -> str:
    """A level of the log, by RabbitMQ's names."""
    if value not in LEVELS:
        raise ValueError(f"{value!r} is not one of {', '.join(LEVELS)}")
    return value


def listed(parse: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    """A parser for values between commas; no text at all is none of them."""

    def parse_all(value: str) -> tuple[str, ...]:
        return tuple(parse(each.strip()) for each in value.split(",")) if value.strip() else ()

    return parse_all


def address(value: str) -> str:
    """A host, which may have a port of its own: HOST, HOST:PORT, IPv6 with a port as [::1]:5672."""
    host, port = split_address(value)
    if not host or any(each.isspace() for each in host):
        raise ValueError(f"{value!r} is not an address or a host name")
    if port:
        port_number(port)
    return value


def split_address(value: str) -> tuple[str, str]:
    """The host and the port of an address; the port is empty if it has none."""
    if value.startswith("["):
        host, _, port = value[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = value.partition(":")
    return (value, "") if ":" in port else (host, port)


def named_certificate(value: str) -> str:
    """HOST=CERTFILE or HOST=CERTFILE:KEYFILE."""
    parse_named_certificate(value)
    return value


def network(value: str) -> str:
    """A network such as 10.0.0.0/8, or an address."""
    parse_network(value)
    return value


port_number: Final = number(0, 65535)


def optional_port(value: str) -> int | None:
    """A port, or none."""
    return None if value == "none" else port_number(value)


TEXT: Final = Kind("TEXT", text)
TEXTS: Final = Kind("TEXT", listed(text), several=True)
PATH: Final = Kind("PATH", path)
FOLDER: Final = Kind("DIR", path)
LOG_FILE: Final = Kind("PATH", log_file)
BOOLEAN: Final = Kind("true|false", boolean)
PORT: Final = Kind("PORT", port_number)
OPTIONAL_PORT: Final = Kind("PORT|none", optional_port)
ADDRESSES: Final = Kind("HOST", listed(address), several=True)
LIMIT: Final = Kind("N", limit)
CHANNEL_LIMIT: Final = Kind("N", channel_limit)
SIZE: Final = Kind("SIZE", size(), show=shown_size)
SEGMENT_SIZE: Final = Kind("SIZE", size(64 * 1024, 1024**3, "between 64KiB and 1GiB"), show=shown_size)
FRAME_SIZE: Final = Kind("SIZE", size(4096, 1024**3, "between 4KiB and 1GiB"), show=shown_size)
MESSAGE_SIZE: Final = Kind("SIZE", size(1, LARGEST, "between 1 and 2147483647"), show=shown_size)
SOCKET_BUFFER: Final = Kind("SIZE", size(1, LARGEST, "between 1 and 2147483647"), show=shown_size)
MEMORY: Final = Kind("LIMIT", parse_memory_limit, show=shown_size)
DISK: Final = Kind("SIZE", disk_limit, show=shown_size)
SYNC: Final = Kind("always|interval=MS|never", sync_mode)
PATIENCE: Final = Kind("MS", patience)
NODE: Final = Kind("NAME", node_name)
PATTERN: Final = Kind("REGEX", pattern)
SECONDS: Final = Kind("SECONDS", number(0, 65535, "seconds"))
MILLISECONDS: Final = Kind("MS", number(1, LARGEST, "milliseconds"))
CONSUMER_TIMEOUT: Final = Kind("MS", consumer_timeout)
TLS_VERSIONS: Final = Kind("VERSION", listed(one_of("tlsv1.3", "tlsv1.2", "tlsv1.1", "tlsv1").parse), several=True)
NAMED_CERTIFICATES: Final = Kind("HOST=CERT[:KEY]", listed(named_certificate), several=True)
NETWORKS: Final = Kind("NETWORK", listed(network), several=True)
COUNT: Final = Kind("N", number(0, LARGEST))
POSITIVE: Final = Kind("N", number(1, LARGEST))
LEVEL: Final = Kind("LEVEL", level)
