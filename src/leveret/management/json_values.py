"""JSON from outside, as far as it can be kept and shown again.

Python reads more than that: NaN, numbers beyond the largest float, halves of characters, and nesting so deep that it is
over the limit where somebody else has called already. What is stored must not be any of it, or the lists that it
stands in could never be answered again.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Final

DEEPEST: Final = 100  # levels of lists and objects


class NotJson(Exception):
    """Why a text is no JSON that can be kept."""


def decoded(text: str | bytes) -> object:
    """The value that a text stands for. Raises NotJson."""
    try:
        value: object = json.loads(text, parse_constant=refuse_constant, parse_float=finite)
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except ValueError as error:
        raise NotJson(str(error)) from None
    check(value)
    return value


def check(value: object) -> None:
    """NotJson for a value that is nested too deeply, or that has a half of a character in it."""
    level = [value]
    for _ in range(DEEPEST + 1):
        if not level:
            break
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
