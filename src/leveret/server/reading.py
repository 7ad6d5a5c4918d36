"""What was found where the configuration is read: values as texts, each with its place, and what is wrong.

Reading goes on behind an error, so that an operator is told of all of them at once.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from leveret.server.rabbitmq_keys import why_ignored_variable
from leveret.server.setting_table import Setting
from leveret.server.settings import SETTINGS

NAME: Final = "$group"  # stands for the name of a group in a key of the table
OF_FILE: Final = "_FILE"  # ends the variable that names a file with the value, which these settings may have
IN_FILES: Final = (
    "default_user",
    "default_pass",
    "default_vhost",
    "tls_password",
    "management_tls_password",
    "prometheus_tls_password",
)
ALIKE: Final = 0.8  # how much of an unknown key a known one must have to be meant, perhaps


@dataclass(frozen=True)
class Given:
    """A value that was given for a setting, and where: file and line, environment variable, or flag."""

    text: str
    source: str


@dataclass
class Reading:
    """What one source has. `unknown` counts the keys that it has and nobody knows."""

    given: dict[str, Given] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unknown: int = 0

    def take(self, setting: Setting, text: str, place: str, key: str = "") -> None:
        """Take a value in the place of an earlier one. One that is not allowed is an error, which names the key."""
        try:
            setting.parse(text)
        except ValueError as error:
            self.errors.append(f"{place}: {key}: {error}" if key else f"{place}: {error}")
        self.given[setting.name] = Given(text, place)

    def warn_of_unknown(self, key: str, place: str, known: Iterable[str]) -> None:
        """Nobody knows this key, so it is ignored; perhaps another one was meant."""
        self.unknown += 1
        alike = difflib.get_close_matches(key, known, 1, ALIKE)
        meant = f"; did you mean '{alike[0]}'?" if alike else ""
        self.warnings.append(f"{place}: '{key}' is unknown and ignored{meant}")

    def add(self, later: Reading) -> None:
        """What was read later counts."""
        self.given.update(later.given)
        self.warnings += later.warnings
        self.errors += later.errors
        self.unknown += later.unknown


class Groups:
    """The values of settings that have a name and parts, such as default users: gathered line by line, taken as one."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, dict[str, str]]] = {}
        self._places: dict[str, str] = {}

    def add(
        self, setting: Setting, pattern: str, key: tuple[str, ...], text: str, place: str, reading: Reading
    ) -> None:
        """Take one part, in whose pattern $group stands for the name. One that is not allowed is an error."""
        at = pattern.split(".").index(NAME)
        part = key[at + 1]
        try:
            setting.kind.parts[part].parse(text)
        except ValueError as error:
            reading.errors.append(f"{place}: {'.'.join(key)}: {error}")
            return
        self._groups.setdefault(setting.name, {}).setdefault(key[at], {})[part] = text
        self._places.setdefault(setting.name, place)

    def give_to(self, reading: Reading) -> None:
        """Have the reading take them, if there are any."""
        for name, groups in self._groups.items():
            setting = SETTINGS[name]
            reading.take(setting, json.dumps(groups), self._places[name], setting.key)


def matches(pattern: str, parts: tuple[str, ...]) -> bool:
    """Whether a key is one that a key of the table stands for, in which a part that begins with $ may be anything."""
    wanted = pattern.split(".")
    return len(wanted) == len(parts) and all(
        one == other or one.startswith("$") for one, other in zip(wanted, parts, strict=True)
    )


def with_parts(key: tuple[str, ...]) -> tuple[Setting | None, str]:
    """The setting that has a name and parts, and one of these by that key; both kinds of files have the same keys."""
    for setting in SETTINGS.values():
        if setting.kind.parts:
            for pattern in setting.rabbitmq:
                if matches(pattern, key):
                    return setting, pattern
    return None, ""


def from_environment(environment: Mapping[str, str]) -> Reading:
    """The settings that environment variables give. One that is empty is none; RabbitMQ's that do nothing are told.

    Kubernetes sets LEVERET_PORT and others for a service that is named leveret. They are not meant for the broker.
    """
    reading = Reading()
    known = {name: setting for setting in SETTINGS.values() for name in reversed(setting.environment)}
    for setting in SETTINGS.values():
        for name in reversed(setting.environment):
            text = environment.get(name, "")
            if text and not text.startswith("tcp://"):
                reading.take(setting, text, f"${name}")
            elif setting.name in IN_FILES and environment.get(name + OF_FILE):
                take_from_file(setting, environment[name + OF_FILE], f"${name}{OF_FILE}", reading)
    own = [name for name in known if name.startswith("LEVERET_")]
    for name in environment:
        if name.startswith("LEVERET_") and name not in known and difflib.get_close_matches(name, own, 1, 0.93):
            reading.warn_of_unknown(name, "environment", own)
        elif name not in known and (reason := why_ignored_variable(name)):
            reading.warnings.append(f"environment: '{name}' is ignored: {reason}")
    return reading


def take_from_file(setting: Setting, path: str, place: str, reading: Reading) -> None:
    """Take what is in a file, without the ends of lines behind it: passwords come so in containers."""
    try:
        text = Path(path).read_text().rstrip("\r\n")
    except OSError as error:
        reading.errors.append(f"{place}: {path}: {error.strerror}")
    except UnicodeDecodeError:
        reading.errors.append(f"{place}: {path}: this is not a text in UTF-8")
    else:
        reading.take(setting, text, place)


def from_flags(flags: Mapping[str, str]) -> Reading:
    """The settings that flags give, by the settings' names."""
    reading = Reading()
    for name, text in flags.items():
        reading.take(SETTINGS[name], text, SETTINGS[name].flag)
    return reading
