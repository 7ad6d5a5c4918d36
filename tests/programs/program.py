"""A program under test: started as a user starts it, and read line by line as it prints.

Every wait has a deadline and ends as soon as what is waited for is there. A program that prints something else, or ends
too early, fails the test with what it wrote to standard error.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import IO

DEADLINE = 30.0
"""Seconds in which whatever is waited for must come; far more than is needed, for slow machines."""


def wait_until(condition: Callable[[], bool], deadline: float = DEADLINE) -> None:
    """Ask for a condition again and again until it holds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.02)


class Program:
    """A running program; `command` is its whole command line, `environment` what is added to our environment."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.command = command
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            start_new_session=True,  # so that what it starts itself can be killed with it
        )
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.errors: list[str] = []
        assert self.process.stdout is not None and self.process.stderr is not None
        self.readers = [
            threading.Thread(target=self._read_output, args=(self.process.stdout,), daemon=True),
            threading.Thread(target=self._read_errors, args=(self.process.stderr,), daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    def _read_output(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def _read_errors(self, stream: IO[str]) -> None:
        self.errors.extend(stream)

    def __str__(self) -> str:
        errors = "".join(self.errors) or "nothing on standard error"
        return f"{' '.join(self.command[1:])} (process {self.process.pid}): {errors}"

    def read_line(self) -> str | None:
        """The next line that the program prints, None when it has ended."""
        try:
            return self.lines.get(timeout=DEADLINE)
        except queue.Empty:
            raise AssertionError(f"no further line came from {self}") from None

    def expect(self, *lines: str) -> None:
        """Read as many lines; they must be exactly these."""
        for expected in lines:
            found = self.read_line()
            if found is None:
                self.readers[1].join(DEADLINE)
            assert found == expected, str(self)

    def expect_end(self, status: int = 0) -> None:
        """The program prints no further line and ends by itself with this exit status."""
        self.expect_silence_until_end()
        assert self.process.wait(DEADLINE) == status, str(self)

    def expect_silence_until_end(self) -> None:
        found = self.read_line()
        self.readers[1].join(DEADLINE)
        assert found is None, f"{found!r} {self}"

    def expect_logged(self, text: str) -> None:
        """Read on until a line on standard error has this text; what comes on standard output is not looked at."""

        def logged() -> bool:
            assert self.process.poll() is None, str(self)
            return any(text in line for line in self.errors)

        wait_until(logged)

    def interrupt(self) -> None:
        """Press Ctrl+C: the program says that it was interrupted, nothing else, and ends."""
        self.process.send_signal(signal.SIGINT)
        self.expect("Interrupted")
        self.expect_end()
        assert not self.errors, str(self)

    def kill(self) -> None:
        """End the program and all that it started at once, as a crash would (SIGKILL)."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE)

    def close(self) -> None:
        self.kill()
        for reader in self.readers:
            reader.join(DEADLINE)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
