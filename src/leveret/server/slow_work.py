"""Work that takes longer than the event loop may stand still, such as checking a bcrypt password: a thread does it.

The threads touch no state of the broker. There are few of them: what comes all at once waits in line, and does not take
every core from the event loop. They begin with the first work, which most brokers never see.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from leveret.broker.login import SlowWork
from leveret.server.tick import Tick

log: Final = logging.getLogger("leveret")

THREADS: Final = 2


class WorkInThreads(SlowWork):
    """Does slow work beside the event loop, a few at once."""

    def __init__(self, tick: Tick) -> None:
        self._tick: Final = tick
        self._threads: Final = ThreadPoolExecutor(THREADS, "slow work")

    def submit(self, run: Callable[[], None], done: Callable[[], None]) -> None:
        """Run the work in a thread, and call `done` in a tick, also if the work fails; after `close`, do neither."""
        with contextlib.suppress(RuntimeError):
            self._threads.submit(self._work, run, done)

    def _work(self, run: Callable[[], None], done: Callable[[], None]) -> None:
        try:
            run()
        except BaseException:  # a library in Rust that panics raises no Exception
            log.exception("internal error in work that a thread does")
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits for the result
            self._tick.loop.call_soon_threadsafe(self._tick.run, done)

    def close(self) -> None:
        """Drop what waits in line; what is being done comes to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
