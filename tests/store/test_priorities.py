"""Priorities after a restart: when one is at its end the next has its turn, though all of them are still on disk."""

from __future__ import annotations

from pathlib import Path

from tests.store.rig import Rig, restarted
from tests.store.test_settling import numbers

PRESSURE = 1 << 40  # so that little is kept in memory
LETTERS: dict[str, str | int] = {"dead-letter-exchange": "", "dead-letter-routing-key": "end"}


def test_all_priorities_expire(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    rig.declare("end")
    queue = rig.declare("queue", arguments={"max-priority": 2, "message-ttl": 1000, **LETTERS})
    client = rig.client()
    for number in range(9):
        rig.publish(client, [queue], number, priority=number % 3)
    rig.finish()
    rig = restarted(rig, later=2.0)
    rig.finish()
    assert rig.queue("queue").ready_count() == 0
    assert sorted(numbers(rig.take_all(rig.queue("end")))) == list(range(9))
    rig.stop()


def test_all_priorities_are_delivered(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    queue = rig.declare("queue", arguments={"max-priority": 2})
    client = rig.client()
    for number in range(9):
        rig.publish(client, [queue], number, size=40_000, priority=number % 3)
    rig.finish()
    rig = restarted(rig)
    rig.store.residency.resident += PRESSURE
    rig.tick()
    client = rig.client()
    rig.consume(client, rig.queue("queue"), no_ack=True)
    rig.finish()
    assert [got.number for got in client.delivered] == [2, 5, 8, 1, 4, 7, 0, 3, 6]
    rig.store.residency.resident -= PRESSURE
    rig.stop()
