"""Work that takes longer than the event loop may stand still, such as checking a bcrypt password: a thread does it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final

from leveret.broker.login import SlowWork
from leveret.server.tick import Tick

THREADS: Final = 2


class WorkInThreads(SlowWork):
    """Does slow work beside the event loop, a few at once; the threads begin with the first."""

    def __init__(self, tick: Tick) -> None:
        self._tick: Final = tick
        self._threads: Final = ThreadPoolExecutor(THREADS, "slow work")

    def submit(self, run: Callable[[], None], done: Callable[[], None]) -> None:
        """Run the work in a thread, and call `done` in a tick."""
        self._threads.submit(run).add_done_callback(partial(self._tell, done))

    def _tell(self, done: Callable[[], None], _work: Future[None]) -> None:
        loop = self._tick.loop
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._tick.run, done)
