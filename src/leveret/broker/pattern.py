"""Regular expressions for names, as policies have them.

RabbitMQ's are PCRE. The library `regex` agrees with it in all that names are matched by in practice, and takes a limit
of time: a client chooses the names, and some expressions take for ever on some names. What takes too long is no match,
as in RabbitMQ, which counts steps. The library is loaded when the first expression is needed, because that takes a
quarter of a broker's start.
"""

from __future__ import annotations

from typing import Any, Final

LONGEST: Final = 0.02  # seconds for one name
PCRE_TEXTS: Final = {
    "unbalanced parenthesis": "unmatched parentheses",
    "bad escape (end of pattern)": "\\ at end of pattern",
    "unterminated character set": "missing terminating ] for character class",
}


class InvalidPattern(Exception):
    """What is no regular expression: why, in PCRE's words where it is one of the usual, and at which character."""

    def __init__(self, text: str, offset: int, pattern: str = "") -> None:
        super().__init__(text)
        self.pattern: Final = pattern
        self.text: Final = text
        self.offset: Final = offset


class Pattern:
    """A regular expression; it may match anywhere in a name."""

    def __init__(self, text: str) -> None:
        """Raises InvalidPattern."""
        self.text: Final = text
        self._expression: Final[Any] = compiled(text)

    def matches(self, name: str) -> bool:
        """Whether the name has a match in it."""
        try:
            found: object = self._expression.search(name, timeout=LONGEST)
            return found is not None
        except TimeoutError:
            return False


def compiled(text: str) -> Any:
    """The expression as the library has it, which has no types of its own; InvalidPattern if it is none."""
    import regex

    try:
        return regex.compile(text, regex.ASCII)
    except regex.error as error:
        raise InvalidPattern(PCRE_TEXTS.get(error.msg, error.msg), error.pos or 0, text) from None
    except (OverflowError, RecursionError) as error:
        raise InvalidPattern(str(error), 0, text) from None
