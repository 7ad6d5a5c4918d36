"""What was found where the configuration is read: values as texts, each with its place, and what is wrong.

Reading goes on behind an error, so that an operator is told of all of them at once.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from leveret.server.setting_table import Setting
from leveret.server.settings import SETTINGS

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


class UserParts:
    """The users that a file has with their parts, line by line, to be taken as one value."""

    def __init__(self) -> None:
        self._users: dict[str, dict[str, str]] = {}
        self._place = ""

    def add(self, parts: tuple[str, ...], text: str, place: str) -> None:
        """Take one part, under default_users.NAME.PART."""
        self._users.setdefault(parts[1], {})[parts[2]] = text
        self._place = self._place or place

    def give_to(self, reading: Reading) -> None:
        """Have the reading take them, if there are any."""
        if self._users:
            reading.take(SETTINGS["default_users"], json.dumps(self._users), self._place, "default_users")


def matches(pattern: str, parts: tuple[str, ...]) -> bool:
    """Whether a key is one that a key of the table stands for, in which a part that begins with $ may be anything."""
    wanted = pattern.split(".")
    return len(wanted) == len(parts) and all(
        one == other or one.startswith("$") for one, other in zip(wanted, parts, strict=True)
    )


def keys_of_users() -> list[str]:
    """The keys of what default users have, which are the same in both kinds of files."""
    return list(SETTINGS["default_users"].rabbitmq)


def from_environment(environment: Mapping[str, str]) -> Reading:
    """The settings that environment variables give. One that is empty is none.

    Kubernetes sets LEVERET_PORT and others for a service that is named leveret. They are not meant for the broker.
    """
    reading = Reading()
    known = {name: setting for setting in SETTINGS.values() for name in reversed(setting.environment)}
    for setting in SETTINGS.values():
        for name in reversed(setting.environment):
            text = environment.get(name, "")
            if text and not text.startswith("tcp://"):
                reading.take(setting, text, f"${name}")
    own = [name for name in known if name.startswith("LEVERET_")]
    for name in environment:
        if name.startswith("LEVERET_") and name not in known and difflib.get_close_matches(name, own, 1, 0.93):
            reading.warn_of_unknown(name, "environment", own)
    return reading


def from_flags(flags: Mapping[str, str]) -> Reading:
    """The settings that flags give, by the settings' names."""
    reading = Reading()
    for name, text in flags.items():
        reading.take(SETTINGS[name], text, SETTINGS[name].flag)
    return reading
