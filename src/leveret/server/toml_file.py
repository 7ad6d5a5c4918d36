"""leveret.toml: the settings under their keys, in tables or with dots between.

A key that nobody knows is ignored with a warning. TOML's parser doesn't tell lines, so they are looked up in the text,
for people: a key that stands there in an unusual form may have none.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from leveret.server.reading import Groups, Reading, with_parts
from leveret.server.setting_kinds import shown
from leveret.server.setting_table import Setting
from leveret.server.settings import SETTINGS

TABLE: Final = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?")
KEY: Final = re.compile(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
PART: Final = re.compile(r"[\w-]+|\"[^\"]*\"|'[^']*'")
AT_LINE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def read_toml(path: Path, text: str) -> Reading:
    """The settings in the text of one file."""
    reading = Reading()
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = AT_LINE.search(str(error))
        line = found[1] if found and found[1] else len(text.splitlines())
        reading.errors.append(f"{path}:{line}: {AT_LINE.sub('', str(error))}")
        return reading
    lines = lines_of_keys(text)
    by_key = {setting.key: setting for setting in SETTINGS.values() if not setting.kind.parts}
    groups = Groups()
    for parts, value in flatten(content, ()):
        key = ".".join(parts)
        place = f"{path}:{lines[parts]}" if parts in lines else str(path)
        group, pattern = with_parts(parts)
        setting = group or by_key.get(key)
        if setting is None:
            reading.warn_of_unknown(key, place, by_key)
            continue
        try:
            given = text_of(value, setting)
        except ValueError as error:
            reading.errors.append(f"{place}: {key}: {error}")
            continue
        if group is not None:
            groups.add(group, pattern, parts, given, place, reading)
        else:
            reading.take(setting, given, place, key)
    groups.give_to(reading)
    return reading


def flatten(table: dict[str, object], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every key with its value, in parts."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from flatten(value, (*above, name))
        else:
            yield (*above, name), value


def text_of(value: object, setting: Setting) -> str:
    """A value in the form that it has everywhere else."""
    if isinstance(value, list):
        if not (setting.kind.several or setting.kind.parts):
            raise ValueError("one value is needed, not several")
        texts = [shown(each) for each in value]
        if any("," in each for each in texts):
            raise ValueError("no value may have a comma in it")
        return ",".join(texts)
    if not isinstance(value, str | int | float):
        raise ValueError("a text, a number, true or false is needed")
    return shown(value)


def lines_of_keys(text: str) -> dict[tuple[str, ...], int]:
    """The line of each key that stands at the beginning of one."""
    result: dict[tuple[str, ...], int] = {}
    above: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        table = TABLE.fullmatch(line.rstrip("\r"))
        key = KEY.match(line)
        if table is not None:
            above = parts_of(table[1])
        elif key is not None:
            result.setdefault((*above, *parts_of(key[1])), number)
    return result


def parts_of(key: str) -> tuple[str, ...]:
    """The parts of a key as it is written."""
    return tuple(part.strip("\"'") for part in PART.findall(key))
