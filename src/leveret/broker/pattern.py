"""Regular expressions for names, as policies have them.

RabbitMQ's are PCRE. The library `regex` agrees with it in all that names are matched by in practice, and takes a limit
of time: a client chooses the names, and some expressions take for ever on some names. What takes too long is no match,
as in RabbitMQ, which counts steps. An expression that took too long gets half the time from then on, so that a client
which knows of one can't stop the broker with a thousand names. The library is loaded when the first expression is
needed, because that takes a quarter of a broker's start.
"""

from __future__ import annotations

import logging
from typing import Any, Final

log: Final = logging.getLogger("leveret.broker")

LONGEST: Final = 0.02  # seconds for one name
SHORTEST: Final = 0.0005  # seconds, a hundred times what an expression needs that does no harm
LONGEST_TEXT: Final = 32768  # characters of an expression; more takes long to compile
SHOWN: Final = 100  # characters of it in the log
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
        self._patience = LONGEST
        self.took_too_long = False  # for some name

    def matches(self, name: str) -> bool:
        """Whether the name has a match in it."""
        try:
            found: object = self._expression.search(name, timeout=self._patience)
            return found is not None
        except TimeoutError:
            if not self.took_too_long:
                self.took_too_long = True
                log.warning("the regular expression '%s' takes too long, and then matches nothing", self.text[:SHOWN])
            self._patience = max(self._patience / 2, SHORTEST)
            return False


def compiled(text: str) -> Any:
    """The expression as the library has it, which has no types of its own; InvalidPattern if it is none."""
    import regex

    if len(text) > LONGEST_TEXT:
        raise InvalidPattern("regular expression is too large", LONGEST_TEXT, text)
    try:
        return regex.compile(text, regex.ASCII)
    except regex.error as error:
        raise InvalidPattern(PCRE_TEXTS.get(error.msg, error.msg), error.pos or 0, text) from None
    except (OverflowError, RecursionError) as error:
        raise InvalidPattern(str(error), 0, text) from None
