"""Text that has to fit into a number of octets."""

from __future__ import annotations


def shortened(text: str, most: int) -> str:
    """What fits of a text into `most` octets of UTF-8, with no character cut in two: some clients refuse such text."""
    encoded = text.encode("utf-8", "surrogateescape")
    end = most
    if len(encoded) <= end:
        return text
    while end > most - 3 and encoded[end] & 0xC0 == 0x80:
        end -= 1
    return encoded[:end].decode("utf-8", "surrogateescape")
