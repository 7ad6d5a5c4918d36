"""Regular expressions for names, as policies have them.

They are Python's, which agree with RabbitMQ's (PCRE) in all that names are matched by in practice; the errors that are
met most are in PCRE's words. Who sets them administers the broker: one that takes very long on some name is not
guarded against.
"""

from __future__ import annotations

import re
import warnings
from typing import Final

PCRE_TEXTS: Final = {
    "missing ), unterminated subpattern": "missing )",
    "unbalanced parenthesis": "unmatched parentheses",
    "bad escape (end of pattern)": "\\ at end of pattern",
    "unterminated character set": "missing terminating ] for character class",
}


class InvalidPattern(Exception):
    """What is no regular expression: why, and at which character."""

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(text)
        self.text: Final = text
        self.offset: Final = offset


def in_pcre_words(error: re.error, text: str) -> InvalidPattern:
    """The error as RabbitMQ would give it, as far as it is one of the usual; what is missing is missed at the end."""
    known = PCRE_TEXTS.get(error.msg)
    if known is None or known == "unmatched parentheses":
        return InvalidPattern(known or error.msg, error.pos or 0)
    return InvalidPattern(known, len(text))


class Pattern:
    """A regular expression; it may match anywhere in a name."""

    def __init__(self, text: str) -> None:
        """Raises InvalidPattern."""
        self.text: Final = text
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", FutureWarning)  # of what looks like a POSIX class, which Python has not
                self._expression: Final = re.compile(text, re.ASCII)
        except re.error as error:
            raise in_pcre_words(error, text) from None
        except (FutureWarning, OverflowError, RecursionError) as error:
            raise InvalidPattern(str(error), 0) from None

    def matches(self, name: str) -> bool:
        """Whether the name has a match in it."""
        return self._expression.search(name) is not None
