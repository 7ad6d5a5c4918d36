"""Printing, for leveretctl: in UTF-8 whatever the locale, and names as they are."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TextIO


def write(text: Iterable[str], stream: TextIO | None = None) -> None:
    """Print lines in UTF-8; octets that the broker was given and that aren't UTF-8 come out as they went in."""
    buffer = (stream or sys.stdout).buffer
    for line in text:
        buffer.write(f"{line}\n".encode("utf-8", "surrogateescape"))
