"""What the table of settings has on each of them, and the functions that read it. The table is in `settings`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from inspect import get_annotations
from typing import Any, Final, TypeVar, cast

from leveret.server.setting_kinds import Kind

T = TypeVar("T")
D = TypeVar("D")

PREFIX: Final = "LEVERET_"
METADATA: Final = "setting"
MASK: Final = "********"


@dataclass(frozen=True)
class Setting:
    """A setting. `name` is its attribute in Settings; everything else is as `setting` was told."""

    name: str
    section: str  # the first line of its class's docstring
    key: str  # in leveret.toml, with dots between tables
    kind: Kind[Any]
    default: object
    meaning: str
    flag: str  # empty if it has none
    environment: tuple[str, ...]  # the first that is set counts
    rabbitmq: tuple[str, ...]  # keys in rabbitmq.conf
    unset: str  # what None, or none of them, comes to, for people
    secret: bool  # never shown, never logged
    reloads: bool  # a SIGHUP is enough for another value
    planned: str  # the feature that it waits for; empty if it acts

    def shown(self, value: object) -> str:
        """A value for people, who don't see secrets."""
        if self.secret and value is not None:
            return MASK
        return self.kind.show(value) or self.unset or "none"

    def parse(self, text: str) -> object:
        """The value that a text stands for. ValueError says what is wrong, without the text if that is a secret."""
        try:
            return self.kind.parse(text)
        except ValueError as error:
            raise ValueError(f"this is no {self.kind.metavar}" if self.secret else str(error)) from None


def setting(
    kind: Kind[T],
    default: D,
    meaning: str,
    *,
    key: str = "",
    flag: bool = False,
    rabbitmq: str = "",
    environment: str = "",
    unset: str = "",
    secret: bool = False,
    reloads: bool = False,
    planned: str = "",
) -> T | D:
    """Declare a setting in the table. `rabbitmq` and `environment` hold names between spaces.

    `key` is where it stands in leveret.toml, if that is not just its name. In a key of rabbitmq.conf a part may stand
    for any name: in `a.$name` it tells several values apart, in `a.$item` it is the value, which is there if the line
    says true, in `a.$listener` it tells addresses with ports apart, and in
    `a.$group.b` it is the name of what has b as one of its parts.
    """
    told = {
        "kind": kind,
        "meaning": meaning,
        "key": key,
        "flag": flag,
        "rabbitmq": tuple(rabbitmq.split()),
        "environment": environment.split(),
        "unset": unset,
        "secret": secret,
        "reloads": reloads,
        "planned": planned,
    }
    return cast(T | D, field(default=default, metadata={METADATA: told}))


@cache
def settings_of(table: type) -> dict[str, Setting]:
    """The settings that a table declares, by name, in its order."""
    sections = {
        name: str(part.__doc__).splitlines()[0].removesuffix(".")
        for part in reversed(table.__mro__)
        for name in get_annotations(part)
    }
    result = {}
    for each in fields(table):
        told: dict[str, Any] = dict(each.metadata[METADATA])
        assert each.default is not MISSING
        told["key"] = told["key"] or each.name
        told["flag"] = f"--{each.name.replace('_', '-')}" if told["flag"] else ""
        told["environment"] = (f"{PREFIX}{each.name.upper()}", *told["environment"])
        result[each.name] = Setting(name=each.name, section=sections[each.name], default=each.default, **told)
    return result
