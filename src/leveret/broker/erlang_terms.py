"""Values as RabbitMQ's errors print them: in Erlang's notation, all on one line.

Strings stand as binaries (`<<"abc">>`), JSON objects as maps. Where Erlang would break a long term into lines, this
does not.
"""

from __future__ import annotations

import math
from typing import Final

_ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\v": "\\v",
    "\f": "\\f",
    "\r": "\\r",
    "\x1b": "\\e",
}


def printed(value: object) -> str:
    """A value of JSON, or of a field table, as Erlang's `~tp` prints it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return printed_float(value)
    if isinstance(value, str):
        return printed_binary(value)
    if isinstance(value, dict):
        pairs = sorted((printed(key), printed(item)) for key, item in value.items())
        return "#{" + ",".join(f"{key} => {item}" for key, item in pairs) + "}"
    if isinstance(value, list):
        return printed_list(value)
    return str(value)


def printed_pairs(pairs: list[tuple[str, object]]) -> str:
    """A list of names with their values."""
    return "[" + ",".join(f"{{{printed(name)},{printed(value)}}}" for name, value in pairs) + "]"


def printed_list(values: list[object]) -> str:
    """A list; one of printable code points is Erlang's string."""
    letters = [chr(item) for item in values if type(item) is int and 0 < item <= 0x10FFFF]
    if letters and len(letters) == len(values) and printable("".join(letters)):
        return f'"{escaped("".join(letters))}"'
    return "[" + ",".join(printed(item) for item in values) + "]"


def printed_binary(text: str) -> str:
    """A string: quoted if all of it can be read, else as its octets."""
    if not printable(text):
        octets = text.encode(errors="surrogateescape")
        return "<<" + ",".join(str(octet) for octet in octets) + ">>"
    if not text:
        return "<<>>"
    return f'<<"{escaped(text)}"{"" if text.isascii() else "/utf8"}>>'


def printable(text: str) -> bool:
    """Whether Erlang prints this text as such."""
    return all(letter in _ESCAPES or letter.isprintable() for letter in text)


def escaped(text: str) -> str:
    """Text as it stands between Erlang's quotes."""
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


def printed_float(value: float) -> str:
    """The shortest digits that give this number, as a decimal fraction or with an exponent, whichever is shorter."""
    if not math.isfinite(value):
        return repr(value)
    mantissa, _, exponent = repr(value).partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    significant = (whole + fraction).lstrip("0")
    digits = significant.rstrip("0")
    if not digits:
        return sign + "0.0"
    # How many digits stand before the decimal point; negative: how many zeros behind it.
    point = len(significant) - len(fraction) + int(exponent or 0)
    cost = len(str(point - 1)) + 1 + (2 if len(digits) == 1 else 1)
    if 0 < point < len(digits):
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if point <= 0 and (point == 0 or 2 - point <= cost):
        return f"{sign}0.{'0' * -point}{digits}"
    if point > 0 and point - len(digits) + 2 <= cost and abs(value) < 2.0**53:
        return f"{sign}{digits}{'0' * (point - len(digits))}.0"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}e{point - 1}"
