"""The kinds of settings that say what new virtual hosts begin with: users, limits and operator policies.

Each has a name, and parts by RabbitMQ's names: in a file every part is a line, `default_users.NAME.tags = monitoring`;
as one text they are an object in JSON, by the names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from leveret.broker.limits import OF_VHOSTS
from leveret.broker.policy import ALL, APPLY_TO, InvalidPolicy, make_policy
from leveret.broker.policy_definition import OPERATOR_RULES
from leveret.server.setting_kinds import LIMIT, PATTERN, SIZE, TEXT, TEXTS, Kind, one_of

T = TypeVar("T")

EVERY: Final = ".*"
MILLISECONDS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
PART_OF_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|[smhdw])", re.ASCII)
DURATION: Final = re.compile(rf"(?:{PART_OF_DURATION.pattern})+", re.ASCII)
PASSWORD: Final = "password"


@dataclass(frozen=True)
class UserSetting:
    """A user that new virtual hosts begin with, if their name matches the pattern. No password is one that none has."""

    name: str
    password: str = field(default="", repr=False)
    tags: tuple[str, ...] = ()
    vhost_pattern: str = EVERY
    configure: str = EVERY
    write: str = EVERY
    read: str = EVERY

    def __str__(self) -> str:
        """What may be shown of it."""
        return f"{self.name} [{' '.join(self.tags)}] in {self.vhost_pattern}"


@dataclass(frozen=True)
class LimitsSetting:
    """Limits that new virtual hosts begin with, by RabbitMQ's names for them."""

    name: str
    limits: Mapping[str, int]
    pattern: str = EVERY

    def __str__(self) -> str:
        """In one line."""
        return f"{self.name} {dict(self.limits)} in {self.pattern}"


@dataclass(frozen=True)
class PolicySetting:
    """An operator policy that new virtual hosts begin with. It is a valid one."""

    name: str
    definition: Mapping[str, str | int]
    vhost_pattern: str = EVERY
    queue_pattern: str = EVERY
    apply_to: str = ALL

    def __str__(self) -> str:
        """In one line."""
        return f"{self.name} {dict(self.definition)} for {self.queue_pattern} in {self.vhost_pattern}"


def whole_number(value: str) -> int:
    """A number, of which the rules of policies say more."""
    if not (value.isascii() and value.isdigit() and len(value) < 20):
        raise ValueError(f"{value!r} is not a number")
    return int(value)


def duration(value: str) -> int:
    """Milliseconds, or a time such as 1h30m, in which there may be w, d, h, m, s and ms."""
    if value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    if not DURATION.fullmatch(value):
        raise ValueError(f"{value!r} is not milliseconds, or a time such as 1h30m")
    return int(sum(float(number) * MILLISECONDS[unit] for number, unit in PART_OF_DURATION.findall(value)))


def key_of(part: str) -> str:
    """What RabbitMQ calls a limit, or a key of a policy, that has this name in rabbitmq.conf."""
    return part.replace("_", "-")


TIME: Final = Kind("MS", duration)
NUMBER: Final = Kind("N", whole_number)
OF_USERS: Final[Mapping[str, Kind[Any]]] = {
    PASSWORD: TEXT,
    "tags": TEXTS,
    "vhost_pattern": PATTERN,
    "configure": PATTERN,
    "write": PATTERN,
    "read": PATTERN,
}
OF_LIMITS: Final[Mapping[str, Kind[Any]]] = {
    "pattern": PATTERN,
    **{name.replace("-", "_"): LIMIT for name in OF_VHOSTS},
}
KINDS_OF_KEYS: Final[Mapping[str, Kind[Any]]] = {
    "overflow": TEXT,
    "delayed-retry-type": TEXT,
    "queue-master-locator": TEXT,
    "max-length-bytes": SIZE,
    "max-in-memory-bytes": SIZE,
    "expires": TIME,
    "message-ttl": TIME,
}
OF_POLICIES: Final[Mapping[str, Kind[Any]]] = {
    "vhost_pattern": PATTERN,
    "queue_pattern": PATTERN,
    "apply_to": one_of(*APPLY_TO),
    **{name.replace("-", "_"): KINDS_OF_KEYS.get(name, NUMBER) for name in OPERATOR_RULES},
}


def user(name: str, parts: dict[str, Any]) -> UserSetting:
    """A user from the parts."""
    return UserSetting(name, **parts)


def limits(name: str, parts: dict[str, Any]) -> LimitsSetting:
    """Limits from the parts."""
    pattern = parts.pop("pattern", EVERY)
    return LimitsSetting(name, {key_of(part): value for part, value in parts.items()}, pattern)


def policy(name: str, parts: dict[str, Any]) -> PolicySetting:
    """An operator policy from the parts. ValueError if it says nothing, or what no policy may say."""
    places = {part: parts.pop(part) for part in ("vhost_pattern", "queue_pattern", "apply_to") if part in parts}
    made = PolicySetting(name, {key_of(part): value for part, value in parts.items()}, **places)
    try:
        make_policy(name, made.queue_pattern, made.apply_to, dict(made.definition), 0, operator=True)
    except InvalidPolicy as error:
        raise ValueError(f"{name}: {error}") from None
    return made


def by_name(make: Callable[[str, dict[str, Any]], T], kinds: Mapping[str, Kind[Any]]) -> Callable[[str], tuple[T, ...]]:
    """A parser for an object that has parts by name, as texts. ValueError never has a password in it."""

    def parse(value: str) -> tuple[T, ...]:
        try:
            told: dict[str, dict[str, str]] = json.loads(value)
            read = {
                name: {part: kinds[part].parse(text) for part, text in parts.items()} for name, parts in told.items()
            }
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError):
            raise ValueError("this is not an object in JSON with parts by name, all of them texts") from None
        return tuple(make(name, parts) for name, parts in read.items())

    return parse


def keys(beginning: str, kinds: Mapping[str, Kind[Any]]) -> str:
    """The keys of the parts, for the table of settings."""
    return " ".join(f"{beginning}.$group.{part}" for part in kinds)


USERS: Final = Kind("JSON", by_name(user, OF_USERS), parts=OF_USERS)
LIMITS: Final = Kind("JSON", by_name(limits, OF_LIMITS), parts=OF_LIMITS)
POLICIES: Final = Kind("JSON", by_name(policy, OF_POLICIES), parts=OF_POLICIES)
