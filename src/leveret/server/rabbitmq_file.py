"""RabbitMQ's rabbitmq.conf, as an operator has it: `key = value` line by line, # before comments.

A value may stand in single quotes, and then has # and spaces in it; $(NAME) stands for an environment variable. The
last of several lines for one key counts, whichever file it is in. A line that is none of this is an error, as in
RabbitMQ; a key that we don't know is ignored with a warning, unlike in RabbitMQ, so that any file serves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from leveret.broker.redeclaring import QUEUE_TYPE, STRICT
from leveret.server.rabbitmq_keys import is_so_anyway, why_ignored
from leveret.server.reading import Groups, Reading, matches
from leveret.server.setting_kinds import BOOLEAN, port_number, split_address
from leveret.server.setting_table import Setting
from leveret.server.settings import RELAXED_CHECKS, SETTINGS

WORD: Final = r"(?:\\\.|[A-Za-z0-9_-])+"
LINE: Final = re.compile(
    rf"\s*(?P<key>{WORD}(?:\.{WORD})*)\s*=\s*(?:'(?P<quoted>[^']*)'|(?P<bare>[^#\s](?:[^#]*[^#\s])?))\s*(?:#.*)?"
)
NO_LINE: Final = re.compile(r"\s*(?:#.*)?")
DOT: Final = re.compile(r"(?<!\\)\.")
VARIABLE: Final = re.compile(r"\$\((\w+)\)", re.ASCII)
ENCRYPTED: Final = "encrypted:"
NONE: Final = "none"
UNIX: Final = re.compile(r"(?:unix|local):(.+?)(?::0)?")  # a listener that is a Unix socket
HTTPS_IN_OLDER_FORM: Final = "management.listener.ssl"
PORTS: Final = {"bind": "port", "tls_bind": "tls_port"}  # settings of listeners, and of the port that goes with them

RELATIVE: Final = ".relative"
ABSOLUTE: Final = ".absolute"


@dataclass(frozen=True)
class Line:
    """A line that gives something: its key, as it is and in parts, its value, and where it stands."""

    key: str
    parts: tuple[str, ...]
    value: str
    place: str


def read_rabbitmq(texts: Mapping[Path, str], environment: Mapping[str, str]) -> Reading:
    """The settings in the texts of some files, which count as one, with the last file at its end."""
    reading = Reading()
    groups = Groups()
    several: dict[str, list[Line]] = {}
    lines = [line for path, text in texts.items() for line in lines_of(path, text, environment, reading)]
    absolute = {line.key.removesuffix(ABSOLUTE) for line in lines if line.key.endswith(ABSOLUTE)}
    for line in with_one_form_of_https(lines):
        setting, pattern = find(line.parts)
        if setting is None:
            warn(line, reading)
        elif line.key.endswith(RELATIVE) and line.key.removesuffix(RELATIVE) in absolute:
            counts = line.key.removesuffix(RELATIVE) + ABSOLUTE
            reading.warnings.append(f"{line.place}: '{line.key}' is ignored: there is {counts}, which counts")
        elif setting.kind.parts:
            groups.add(setting, pattern, line.parts, line.value, line.place, reading)
        elif setting.kind.several:
            several.setdefault(setting.name, []).append(line)
        else:
            take(setting, line, reading)
    for name, lines in several.items():
        last = {line.key: line for line in lines}
        take_several(SETTINGS[name], list(last.values()), reading)
    groups.give_to(reading)
    return reading


def lines_of(path: Path, text: str, environment: Mapping[str, str], reading: Reading) -> list[Line]:
    """The lines that give something, with their variables replaced."""
    result = []
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{path}:{number}"
        found = LINE.fullmatch(line)
        if found is None:
            if NO_LINE.fullmatch(line) is None:
                reading.errors.append(f"{place}: this is not 'key = value'")
            continue
        value = found["bare"] if found["quoted"] is None else found["quoted"]
        missing = [name for name in VARIABLE.findall(value) if name not in environment]
        if missing:
            reading.errors.append(f"{place}: {found['key']}: there is no environment variable {missing[0]}")
        elif value.startswith(ENCRYPTED):
            reading.errors.append(f"{place}: {found['key']}: encrypted values can't be read")
        else:
            value = VARIABLE.sub(lambda variable: environment[variable[1]], value)
            parts = tuple(part.replace("\\.", ".") for part in DOT.split(found["key"]))
            result.append(Line(found["key"], parts, value, place))
    return result


def with_one_form_of_https(lines: list[Line]) -> list[Line]:
    """The lines, with those of the HTTP API's older form as they are in the newer, if they ask for TLS.

    `management.listener.ssl = true` makes `management.listener.port` a port with TLS and of nothing else.
    """
    values = {line.key: line.value for line in lines}
    if values.get(HTTPS_IN_OLDER_FORM) != "true":
        return lines
    renamed = []
    for line in lines:
        if line.key != HTTPS_IN_OLDER_FORM and line.parts[:2] == ("management", "listener"):
            parts = line.parts[3:] if line.parts[2] == "ssl_opts" else line.parts[2:]
            line = replace(line, parts=("management", "ssl", *parts))
        if line.key != HTTPS_IN_OLDER_FORM:
            renamed.append(line)
    return renamed


def find(parts: tuple[str, ...]) -> tuple[Setting | None, str]:
    """The setting that a key is for, and the key under which the table has it."""
    for setting in SETTINGS.values():
        for pattern in setting.rabbitmq:
            if matches(pattern, parts):
                return setting, pattern
    return None, ""


def warn(line: Line, reading: Reading) -> None:
    """Tell that a key is ignored, and why, unless it asks for what is so in any case."""
    if is_so_anyway(line.key, line.value):
        return
    reason = why_ignored(line.key)
    if reason:
        reading.warnings.append(f"{line.place}: '{line.key}' is ignored: {reason}")
        return
    reading.warn_of_unknown(line.key, line.place, (key for setting in SETTINGS.values() for key in setting.rabbitmq))


def take(setting: Setting, line: Line, reading: Reading) -> None:
    """Take the one value of a setting.

    A multiple of the memory may be a whole number, which is no size then. Whether checks on redeclares are relaxed is
    true or false in RabbitMQ, which is a part of what we have there.
    """
    value = line.value
    if line.key == RELAXED_CHECKS and value in ("true", "false"):
        value = QUEUE_TYPE if value == "true" else STRICT
    if line.key == "disk_free_limit.relative" and value.isdigit():
        value += ".0"
    reading.take(setting, value, line.place, line.key)


def take_several(setting: Setting, lines: list[Line], reading: Reading) -> None:
    """Take what several lines make up."""
    values: list[str] = []
    listeners: list[Line] = []
    for line in lines:
        _, pattern = find(line.parts)
        if pattern.endswith("$listener"):
            listeners.append(line)
        elif pattern.endswith("$item"):
            take_item(line, values, reading)
        elif "$" in pattern:
            values.append(line.value)
        elif line.value == NONE:
            reading.take(setting, "", line.place, line.key)
            return
        elif pattern in ("listeners.tcp", "listeners.ssl", "loopback_users"):
            reading.errors.append(f"{line.place}: {line.key}: {line.value!r} is not {NONE}")
        else:
            values.append(line.value)
    if listeners:
        take_listeners(setting, listeners, reading)
    else:
        reading.take(setting, ",".join(values), lines[0].place, lines[0].key)


def take_item(line: Line, values: list[str], reading: Reading) -> None:
    """Take the last part of the key, if the line says that it is there."""
    try:
        there = BOOLEAN.parse(line.value)
    except ValueError as error:
        reading.errors.append(f"{line.place}: {line.key}: {error}")
        return
    item = line.parts[-1]
    if item in values:
        values.remove(item)
    if there:
        values.append(item)


def take_listeners(setting: Setting, lines: list[Line], reading: Reading) -> None:
    """Take the addresses to listen on. The port of the first becomes the port; others keep theirs beside the host."""
    found: list[tuple[str, str]] = []
    for line in lines:
        unix = UNIX.fullmatch(line.value)
        if unix is not None and setting.name == "bind":
            reading.take(SETTINGS["unix_socket"], unix[1], line.place, line.key)
            continue
        try:
            found.append(host_and_port(line.value))
        except ValueError as error:
            reading.errors.append(f"{line.place}: {line.key}: {error}")
    if found:
        common = found[0][1]
        hosts = [host if port == common else f"[{host}]:{port}" for host, port in found]
        reading.take(setting, ",".join(hosts), lines[0].place, lines[0].key)
        reading.take(SETTINGS[PORTS[setting.name]], common, lines[0].place, lines[0].key)
    else:
        reading.take(setting, "", lines[0].place, lines[0].key)


def host_and_port(value: str) -> tuple[str, str]:
    """Where a listener is: a port alone is on all addresses; an IPv6 address may have its brackets, or not."""
    if value.isascii() and value.isdigit():
        host, port = "*", value
    elif value.startswith("["):
        host, port = split_address(value)
    else:
        host, _, port = value.rpartition(":")
    if not host or not port:
        raise ValueError(f"{value!r} is not a port, or an address with a port such as 127.0.0.1:5672")
    port_number(port)
    return host, port
