"""Threads for passwords whose hashes are slow on purpose, so that nobody else waits while one is checked.

They touch no state of the broker. There are few of them: what comes all at once waits in line, and does not take every
core from the event loop. They begin with the first password that needs them, which most brokers never see.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from leveret.broker.login import SlowWork
from leveret.server.tick import Tick

log: Final = logging.getLogger("leveret.connection")

THREADS: Final = 2


class PasswordThreads(SlowWork):
    """Runs slow work of one broker; what follows from it is done in a tick."""

    def __init__(self, tick: Tick) -> None:
        self._tick: Final = tick
        self._threads: ThreadPoolExecutor | None = None

    def submit(self, run: Callable[[], None], done: Callable[[], None]) -> None:
        """Run the work in a thread, and call `done` on the event loop, also if the work fails."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, "leveret-passwords")
        self._threads.submit(self._work, run, done)

    def _work(self, run: Callable[[], None], done: Callable[[], None]) -> None:
        try:
            run()
        except Exception:
            log.exception("internal error: a password could not be checked")
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits for the result
            self._tick.loop.call_soon_threadsafe(self._tick.run, done)

    def close(self) -> None:
        """Drop what waits; what is being checked comes to its end."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
