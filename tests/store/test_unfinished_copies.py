"""What a crash left half copied: a segment with originals, some of which have a copy and others don't."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from leveret.store.batch import Copy
from tests.store.faults import AnyLoss, Crashed, Kept, MemoryFiles, crash_at
from tests.store.rig import EXAMPLES, READER, Rig, restarted
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


class Lives:
    """A broker that copies much and is always brought down at it, and what its queues have to have."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.folder = folder
        self.size = self.random.choice((400, 3000, 3000, 40_000))
        self.number = 0
        self.wanted: dict[str, set[int]] = {"one": set(), "two": set()}  # and confirmed
        self.unsure: dict[str, set[int]] = {"one": set(), "two": set()}  # of them: maybe settled
        self.start(MemoryFiles())
        for name in self.wanted:
            self.rig.declare(name)
        self.rig.finish()

    def start(self, files: MemoryFiles) -> None:
        self.rig = Rig(self.folder, files, segment_size=self.size, sparse=self.random.choice((1, 8)))
        self.rig.start()

    def publish(self) -> None:
        client = self.rig.client()
        for _ in range(self.random.randrange(30)):
            self.number += 1
            names = self.random.choice((["one"], ["two"], ["one", "two"]))
            self.rig.publish(client, [self.rig.queue(name) for name in names], self.number, self.random.choice((0, 99)))
            for name in names:
                self.wanted[name].add(self.number)
        self.rig.finish()
        assert len(client.confirmed()) == len(client.sent)

    def settle(self) -> None:
        """Have most messages settled, by transactions, so that it is certain also after a power loss."""
        client = self.rig.transactional()
        self.held: list[tuple[str, int, int]] = []
        for name, wanted in self.wanted.items():
            found = get_all(self.rig, client, self.rig.queue(name))
            assert set(found) - wanted <= self.unsure[name]
            assert wanted <= set(found)
            wanted.clear()
            wanted |= set(found)
            self.unsure[name] = set()
            kept = self.random.choice((0.05, 0.1, 0.3, 0.5))
            for number, got in found.items():
                if self.random.random() < kept:
                    self.held.append((name, number, got.tag))
                else:
                    client.channel.ack(got.tag, False)
                    wanted.discard(number)
        self.rig.commit(client)
        self.rig.finish()
        assert client.connection.holds == 0
        self.client = client

    def copy(self) -> None:
        """Have copied forward what is left, and go down at some time; meanwhile more is settled."""
        rig, random = self.rig, self.random
        for _ in range(8):
            if any(isinstance(entry, Copy) for entry in rig.log.pending):
                break
            rig.pass_time_only(1.5)
            self.go_on()
        share = random.choice((0.2, 0.4, 0.6, 0.8, 1))
        rig.memory.fault = crash_at(rig.memory.operations + random.choice((0, 0, 1, 2, 5, 8)), share)
        for _ in range(random.randrange(4)):
            self.go_on()
            rig.pass_time_only(1.5)

    def go_on(self) -> None:
        """Until there is something to be copied, or nothing to do."""
        rig, random = self.rig, self.random
        rig.tick()
        while not rig.failures and (thread := rig.works()):
            if self.held and random.random() < 0.1:
                name, number, tag = self.held.pop(random.randrange(len(self.held)))
                self.client.channel.ack(tag, False)
                rig.commit(self.client)
                self.wanted[name].discard(number)
                self.unsure[name].add(number)
            rig.turn(thread)
            if thread == READER and rig.memory.fault is None:
                return
            rig.tick()

    def crash(self) -> None:
        loss = self.random.choice((Kept(), AnyLoss(self.random)))
        found = self.rig.memory.after_power_loss(loss)
        self.rig.kill()
        for _ in range(self.random.choice((0, 0, 1, 2))):  # the start crashes too
            found.fault = crash_at(self.random.randrange(6), self.random.random())
            rig = Rig(self.folder, found, segment_size=self.size)
            try:
                rig.start()
                rig.end()
            except Crashed:
                pass
            found = found.after_power_loss(loss)
        self.start(found)

    def end(self) -> None:
        """When nothing is wanted any more, nothing is left."""
        self.settle()
        self.client.channel.ack(0, True)
        self.rig.commit(self.client)
        self.rig.compact()
        assert log_files(self.rig) == [self.rig.log.active.name() + ".log"]
        assert not self.rig.log.moved
        self.rig.stop()


@pytest.mark.parametrize("seed", range(EXAMPLES or 12))
def test_lives_that_end_while_copying(tmp_path: Path, seed: int) -> None:
    lives = Lives(tmp_path, seed)
    for _ in range(10):
        lives.publish()
        lives.settle()
        lives.copy()
        lives.crash()
    lives.end()
