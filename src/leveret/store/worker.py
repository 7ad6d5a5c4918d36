"""Threads that do what blocks: one job at a time, in order, and the result goes back to the event loop.

The threads touch no state of the broker. A job that fails ends the process, by way of the callback the owner gave:
what could not be written is never tried again, and nothing that depends on it is ever confirmed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

Post = Callable[[Callable[[], None]], None]


class Job:
    """Work for a thread, and what the event loop does when it is done."""

    def run(self) -> None:
        """The work; on the worker's thread."""
        raise NotImplementedError

    def done(self) -> None:
        """What follows from it; on the event loop."""
        raise NotImplementedError


class Worker:
    """A thread that runs jobs in order. `post` has something run on the event loop, `failed` takes a job's error."""

    def __init__(self, name: str, post: Post, failed: Callable[[BaseException], None]) -> None:
        self._post: Final = post
        self._failed: Final = failed
        self._jobs: Final[SimpleQueue[Job | None]] = SimpleQueue()
        self._runner: Final = threading.Thread(target=self._run, name=name, daemon=True)
        self._runner.start()

    def submit(self, job: Job) -> None:
        """Have a job run after those before it."""
        self._jobs.put(job)

    def stop(self) -> None:
        """Let the thread end when it has done what was submitted, and wait for it."""
        self._jobs.put(None)
        self._runner.join()

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            try:
                job.run()
            except BaseException as error:
                self._fail(error)
                return
            self._post(job.done)

    def _fail(self, error: BaseException) -> None:
        failure = Failure(self._failed, error)
        self._post(failure.report)


class Failure:
    """An error on its way to the event loop."""

    def __init__(self, failed: Callable[[BaseException], None], error: BaseException) -> None:
        self._failed: Final = failed
        self._error: Final = error

    def report(self) -> None:
        """Tell the owner."""
        self._failed(self._error)
