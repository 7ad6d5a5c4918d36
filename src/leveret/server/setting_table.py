"""What the table of settings has on each of them, and the functions that read it. The table is in `settings`."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, Final, TypeVar, cast

from leveret.server.setting_kinds import Kind, shown

T = TypeVar("T")
D = TypeVar("D")

PREFIX: Final = "LEVERET_"
METADATA: Final = "setting"


@dataclass(frozen=True)
class Setting:
    """A setting. `name` is its attribute in Settings; everything else is as `setting` was told."""

    name: str
    key: str  # in leveret.toml, with dots between tables
    kind: Kind[Any]
    default: object
    meaning: str
    flag: str  # empty if it has none
    environment: tuple[str, ...]  # the first that is set counts
    rabbitmq: tuple[str, ...]  # keys in rabbitmq.conf; a part that is $name stands for any
    unset: str  # what None comes to, for people
    secret: bool  # never shown, never logged
    planned: str  # the feature that it waits for; empty if it acts

    def shown(self, value: object) -> str:
        """A value for people, who don't see secrets."""
        if self.secret and value is not None:
            return "********"
        return shown(value) or self.unset or "none"


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
    planned: str = "",
) -> T | D:
    """Declare a setting in the table. `rabbitmq` and `environment` hold names between spaces.

    `key` is where it stands in leveret.toml, if that is not just its name.
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
        "planned": planned,
    }
    return cast(T | D, field(default=default, metadata={METADATA: told}))


@cache
def settings_of(table: type) -> dict[str, Setting]:
    """The settings that a table declares, by name, in its order."""
    result = {}
    for each in fields(table):
        told: dict[str, Any] = dict(each.metadata[METADATA])
        assert each.default is not MISSING
        told["key"] = told["key"] or each.name
        told["flag"] = f"--{each.name.replace('_', '-')}" if told["flag"] else ""
        told["environment"] = (f"{PREFIX}{each.name.upper()}", *told["environment"])
        result[each.name] = Setting(name=each.name, default=each.default, **told)
    return result
