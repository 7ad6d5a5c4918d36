"""JSON from outside, as far as it can be kept and shown again.

Python reads more than that: NaN, numbers beyond the largest float, halves of characters, and nesting so deep that it is
over the limit where somebody else has called already. What is stored must not be any of it, or the lists that it
stands in could never be answered again.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf, isfinite
from typing import Final

DEEPEST: Final = 100  # levels of lists and objects


class NotJson(Exception):
    """Why a text is no JSON that can be kept."""


def decoded(text: str | bytes, most: float = inf) -> object:
    """The value that a text stands for. Raises NotJson, also if there are more values in it than `most`.

    May run in another thread. The hook lets others have the interpreter, which the decoder alone would not.
    """
    with without_collection():
        try:
            value: object = json.loads(text, object_hook=unchanged, parse_constant=refuse_constant, parse_float=finite)
        except RecursionError:
            raise NotJson("it is nested too deeply") from None
        except ValueError as error:
            raise NotJson(str(error)) from None
        check(value, most)
    return value


def unchanged(value: dict[str, object]) -> dict[str, object]:
    """The same object."""
    return value


def check(value: object, most: float) -> None:
    """NotJson for a value that is nested too deeply, or that has too much or a half of a character in it."""
    level = [value]
    count = 0
    for _ in range(DEEPEST + 1):
        if not level:
            break
        count += len(level)
        if count > most:
            raise NotJson("there are too many values in it")
        below: list[object] = []
        for each in level:
            if isinstance(each, dict):
                below += each
                below += each.values()
            elif isinstance(each, list):
                below += each
            elif isinstance(each, str) and not each.isascii():
                check_characters(each)
        level = below
    else:
        raise NotJson("it is nested too deeply")


def check_characters(text: str) -> None:
    """NotJson for a half of a character, unless it stands for an octet of a name that is not in UTF-8."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise NotJson("there is half a character in it") from None


def refuse_constant(name: str) -> object:
    """Python reads NaN and Infinity, which are no JSON."""
    raise ValueError(f"unexpected {name}")


def finite(text: str) -> float:
    """A number with a fraction or an exponent."""
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


@contextmanager
def without_collection() -> Iterator[None]:
    """Look for no garbage meanwhile: nearly all that an import makes stays, and a look at all of it is a pause."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
