"""What one command of leveretctl takes, and what it says of itself."""

from __future__ import annotations

from typing import Final

from leveret.cli.formatters import FORMATTERS

ANY_NUMBER: Final = 1 << 30


class Command:
    """One command. `listing` is the kind it lists, if it lists; the first of the formatters is the default.

    It takes as many words behind its name as `words` has, and up to `most` if that is more.
    """

    def __init__(
        self,
        name: str,
        description: str,
        arguments: str,
        banner: tuple[str, ...] = (),
        listing: str = "",
        options: tuple[str, ...] = ("no-table-headers",),
        formatters: tuple[str, ...] = FORMATTERS,
        words: tuple[str, ...] = (),
        most: int = 0,
        outcome: str = "",
    ) -> None:
        self.name: Final = name
        self.description: Final = description
        self.usage: Final = f"leveretctl [--data-dir <folder>] [--quiet] {name} {arguments}"
        self.banner: Final = banner
        self.listing: Final = listing
        self.options: Final = options
        self.formatters: Final = formatters
        self.words: Final = words
        self.most: Final = max(most, len(words))
        self.outcome: Final = outcome  # what it says when it is done, however quiet it is to be
