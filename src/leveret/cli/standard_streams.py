"""The output of the commands, however whoever calls them has left it: closed, full, or read by nobody.

It is UTF-8 whatever the locale, as names are to a broker.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Final, TextIO

CANNOT_WRITE: Final = 74  # sysexits' EX_IOERR
INTERRUPTED: Final = 130  # as the shell says of a program that SIGINT ended
BROKEN_PIPE: Final = 141  # as the shell says of a program that SIGPIPE ended


class CannotWrite(Exception):
    """Standard output, or standard error, takes no more; the text says why."""


def write(text: Iterable[str], stream: TextIO | None = None) -> None:
    """Print lines; octets that the broker was given and that aren't UTF-8 come out as they went in."""
    buffer = (stream or sys.stdout).buffer
    for line in text:
        octets = f"{line}\n".encode("utf-8", "surrogateescape")
        try:
            buffer.write(octets)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CannotWrite(error.strerror) from None


def run_command(command: Callable[[], int]) -> int:
    """Run a command; gives its exit status, or one that says that it was interrupted or can't print."""
    open_closed_streams()
    try:
        try:
            return command()
        finally:
            flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        forget_output()
        return BROKEN_PIPE
    except CannotWrite as error:
        forget_output()
        print(f"Error: cannot write: {error}", file=sys.stderr)
        return CANNOT_WRITE


def flush() -> None:
    """Have what is printed go out. Raises CannotWrite, BrokenPipeError."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotWrite(error.strerror) from None


def open_closed_streams() -> None:
    """What goes to a stream that the caller has closed goes nowhere, rather than into the next file that is opened."""
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def forget_output() -> None:
    """What is left of the output goes nowhere, without complaint."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def use_utf8() -> None:
    """Start the program anew in UTF-8 if the locale has another encoding, in which arguments would mean other names."""
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
