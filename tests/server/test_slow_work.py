"""Slow work runs beside the event loop, and what follows from it runs on the loop."""

from __future__ import annotations

import asyncio
import os
import threading
import time

from leveret.broker.broker import Broker
from leveret.server.slow_work import WorkInThreads
from leveret.server.tick import Tick


def test_the_loop_goes_on_while_slow_work_runs_and_hears_of_its_end() -> None:
    async def scenario() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        work = WorkInThreads(Tick(Broker("0", "test", time.time, os.urandom), loop))
        may_end, ended = threading.Event(), asyncio.Event()
        threads: list[int] = []

        def run() -> None:
            may_end.wait(5)
            threads.append(threading.get_ident())

        def done() -> None:
            threads.append(threading.get_ident())
            ended.set()

        work.submit(run, done)
        loop.call_later(0.01, may_end.set)  # never, if the loop stood still
        await asyncio.wait_for(ended.wait(), 5)
        return threads[0], threads[1]

    worker, told = asyncio.run(scenario())
    assert worker != threading.get_ident() and told == threading.get_ident()
