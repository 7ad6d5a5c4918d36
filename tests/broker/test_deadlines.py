"""Deadlines that connections left behind don't gather."""

from __future__ import annotations

from functools import partial

from leveret.broker.timers import Timers


def test_cancelled_timers_are_forgotten_before_they_are_due() -> None:
    timers = Timers()
    ran: list[int] = []
    kept = [timers.after(number, partial(ran.append, number)) for number in range(100)]
    for _ in range(10_000):
        timers.after(100_000.0, lambda: ran.append(-1)).cancel()
    assert timers.waiting == 100
    assert len(timers._heap) < 400
    kept[5].cancel()
    timers.run(50.0)
    assert ran == [number for number in range(51) if number != 5]
    assert timers.waiting == 49
    timers.run(200_000.0)
    assert ran[-1] == 99
    assert timers.waiting == 0
