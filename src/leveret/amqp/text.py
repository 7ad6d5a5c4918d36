"""Text as others can take it: not too long, and made of whole characters.

What is not UTF-8 stands in a `str` as lone surrogates (surrogateescape).
"""

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


def well_formed(text: str) -> str:
    """A text that strict readers of JSON take: octets that are not UTF-8 become U+FFFD, as RabbitMQ shows them.

    So do halves of characters, which stand for no octets.
    """
    try:
        octets = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        octets = text.encode("utf-8", "surrogatepass")
    return octets.decode("utf-8", "replace")
