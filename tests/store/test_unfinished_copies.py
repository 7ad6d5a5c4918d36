"""What a crash left half copied: a segment with originals, some of which have a copy and others don't."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.faults import crash_at
from tests.store.rig import Rig, restarted
from tests.store.test_copying import begin_copying, get_all, live, log_files, sparse
from tests.store.test_settling import numbers

KEPT = (3, 11)


def half_copied(folder: Path) -> Rig:
    """A broker after a crash while copies were written: 3 has one, 11 has none."""
    rig = sparse(folder, KEPT)
    rig.finish()  # the queue's own reading
    begin_copying(rig)
    rig.memory.fault = crash_at(rig.memory.operations, 0.75)
    rig.tick()
    rig.rest()
    rig = Rig(folder, rig.kill()).start()
    assert [segment.live for segment in rig.log.segments.values()] == [1, 1, 0]
    return rig


def test_nothing_is_kept_of_copies_that_are_not_wanted_any_more(tmp_path: Path) -> None:
    rig = sparse(tmp_path, KEPT)
    rig.compact()
    assert log_files(rig) == ["00000002.log"]
    assert len(rig.log.moved) == 2
    rig.queue("queue").purge()
    rig.finish()
    assert log_files(rig) == ["00000002.log"]
    assert rig.log.moved == {}
    rig.stop()


@pytest.mark.parametrize("compacted", ["before", "after", "never"])
@pytest.mark.parametrize("acked", [(3,), (11,), (3, 11)])
def test_what_is_acknowledged_stays_so(tmp_path: Path, compacted: str, acked: tuple[int, ...]) -> None:
    """A copy must not be removed as long as its original is there, which nothing says to be settled."""
    rig = half_copied(tmp_path)
    if compacted == "before":
        rig.compact()
    client = rig.client()
    found = get_all(rig, client, rig.queue("queue"))
    assert list(found) == [3, 11]
    for number in acked:
        client.channel.ack(found[number].tag, False)
    rig.finish()
    if compacted == "after":
        rig.compact()
    left = [number for number in KEPT if number not in acked]
    assert live(rig) == len(left)
    for _ in range(3):
        rig = restarted(rig)
        assert live(rig) == len(left)
        assert numbers(rig.take_all(rig.queue("queue"))) == left
        rig.compact()
    rig.queue("queue").purge()
    rig.clients[-1].channel.ack(0, True)
    rig.compact()
    assert log_files(rig) == [rig.log.active.name() + ".log"]
    rig.stop()
