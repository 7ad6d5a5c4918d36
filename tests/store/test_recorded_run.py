"""One run is recorded, operation by operation; then it is cut at each, in every way, and what is left is judged.

The run publishes with confirms to two queues, acknowledges, requeues, purges, commits transactions, pages out, fills
segments and copies forward.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from leveret.broker.settlement import REQUEUED
from tests.store.faults import LOSSES, AnyLoss, MemoryFiles, Operation
from tests.store.ledger import Entry, Group, Ledger, find, find_queues
from tests.store.rig import COPY_INTERVAL, THOROUGH, WRITER, Client, Got, Rig, restarted

SEGMENT_SIZE = 3000
SHARES = (0.0, 0.02, 0.5, 0.999)  # of the write that is cut


class Recorder:
    """Runs a broker on files that record, and keeps the ledger; moments are counts of operations."""

    def __init__(self, rig: Rig, ledger: Ledger) -> None:
        self.rig = rig
        self.ledger = ledger
        self.number = 1000
        self.client, self.transactional = rig.client(), rig.transactional()
        self.confirmed = 0
        self.group: Group | None = None
        self.formed = 0
        rig.memory.operations = 0
        rig.memory.recording = []

    @property
    def now(self) -> int:
        return self.rig.memory.operations

    def publish(self, queues: list[str], count: int, size: int = 100, persistent: bool = True) -> None:
        for _ in range(count):
            self.publish_one(self.client, queues, size, persistent)

    def publish_one(self, client: Client, queues: list[str], size: int, persistent: bool) -> list[Entry]:
        self.number += 1
        entries = self.ledger.publish(queues, self.number, persistent, self.now)
        self.rig.publish(client, [self.rig.queue(name) for name in queues], self.number, size, persistent)
        return entries

    def get(self, client: Client, queue: str, count: int) -> list[Got]:
        found: list[Got] = []
        for _ in range(count):
            got = self.rig.get(client, self.rig.queue(queue))
            assert got is not None
            entry = self.entry(queue, got)
            entry.delivered = min(entry.delivered, self.now)
            found.append(got)
        return found

    def entry(self, queue: str, got: Got) -> Entry:
        return self.ledger.queues[queue][got.number]

    def consume(self, queue: str, count: int) -> None:
        for got in self.get(self.client, queue, count):
            self.entry(queue, got).settled = self.now
            self.client.channel.ack(got.tag, False)

    def purge(self, queue: str) -> None:
        for entry in self.ledger.queues[queue].values():
            entry.settled = min(entry.settled, self.now)
        self.rig.queue(queue).purge()

    def move(self, source: str, targets: list[str], count: int, size: int = 100) -> None:
        """Acknowledge some messages and publish as many others, in one transaction."""
        taken = self.get(self.transactional, source, count)
        self.group = Group(self.now)
        for got in taken:
            self.transactional.channel.ack(got.tag, False)
            entry = self.entry(source, got)
            entry.settled, entry.settled_by = self.now, self.group
            self.group.settles.append(entry)
            if targets:
                self.group.messages += self.publish_one(self.transactional, targets, size, True)
        self.ledger.groups.append(self.group)
        self.rig.commit(self.transactional)

    def tick(self) -> None:
        if self.rig.log.writing is None:
            self.formed = self.now
        self.rig.tick()
        self.rig.rest()

    def finish(self) -> None:
        self.tick()
        while (thread := self.rig.works()) or not self.rig.store.idle():
            if thread:
                self.rig.turn(thread)
            if thread == WRITER:
                self.observe()
            self.tick()

    def observe(self) -> None:
        self.ledger.written(self.formed, self.now)
        tag = int(self.client.channel.confirmed_tag)
        for number in self.client.sent[self.confirmed : tag]:
            self.ledger.confirm(number, self.now)
        self.confirmed = tag
        if self.group is not None and self.transactional.connection.holds == 0:
            self.ledger.answer(self.group, self.now)
            self.group = None

    def compact(self) -> None:
        for _ in range(3):
            self.rig.pass_time_only(COPY_INTERVAL)
            self.finish()


def prepared(folder: Path) -> tuple[Rig, Ledger]:
    """A broker that has just started, with a segment of which little is wanted."""
    rig = Rig(folder, segment_size=SEGMENT_SIZE).start()
    rig.declare("one")
    rig.declare("two")
    client = rig.client()
    for number in range(20):
        rig.publish(client, [rig.queue("one")], number, 50)
    rig.finish()
    for number in range(20):
        got = rig.get(client, rig.queue("one"))
        assert got is not None
        if number not in (4, 17):
            client.channel.ack(got.tag, False)
    rig.finish()
    rig = restarted(rig)
    ledger = Ledger()
    for number in (4, 17):
        (entry,) = ledger.publish(["one"], number, True, 0)
        entry.confirmed = entry.delivered = 0
    return rig, ledger


def scenario(recorder: Recorder) -> None:
    """What the broker is asked to do."""
    recorder.publish(["one"], 5)
    recorder.finish()
    recorder.publish(["one", "two"], 5)
    recorder.finish()
    recorder.compact()
    recorder.consume("one", 6)
    recorder.finish()
    recorder.move("two", ["one", "two"], 3)
    recorder.finish()
    recorder.publish(["two"], 3, 2000)  # each in a segment of its own, nearly
    recorder.finish()
    recorder.consume("two", 4)
    recorder.publish(["one"], 12, 20)
    recorder.tick()
    recorder.move("one", [], 4)
    recorder.consume("one", 2)
    recorder.finish()
    held = recorder.get(recorder.client, "one", 3)
    for got in held:
        recorder.client.channel.reject(got.tag, False, REQUEUED)
    recorder.finish()
    recorder.publish(["one"], 4, 300, persistent=False)
    recorder.rig.store.residency.queue_limit = 0
    recorder.publish(["one"], 4, 300, persistent=False)
    recorder.publish(["one", "two"], 4, 300)
    recorder.finish()
    recorder.compact()
    recorder.move("two", ["one"], 2, 900)
    recorder.finish()
    recorder.consume("one", 20)
    recorder.compact()
    recorder.purge("two")
    recorder.publish(["two"], 2)
    recorder.finish()
    recorder.publish(["one"], 1, 100)
    recorder.tick()
    recorder.publish(["one"], 3, 5000)
    recorder.finish()
    recorder.consume("one", 10)
    recorder.compact()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MemoryFiles, list[Operation], Ledger, dict[int, str]]:
    """The folder, the files before the run, what was done to them, the ledger, and the queues by their ids."""
    folder = tmp_path_factory.mktemp("recorded")
    rig, ledger = prepared(folder)
    names = {int(queue.id): name for name, queue in rig.vhost.queues.items()}
    rig.memory.durable = dict(rig.memory.inodes)
    rig.memory.journal = []
    for inode in rig.memory.inodes.values():
        inode.synced = len(inode.data)
    before = rig.memory.copy()
    recorder = Recorder(rig, ledger)
    scenario(recorder)
    operations = rig.memory.recording
    assert operations is not None
    assert len(operations) == recorder.now
    rig.end()
    return folder, before, operations, ledger, names


Run = tuple[Path, MemoryFiles, list[Operation], Ledger, dict[int, str]]


def test_the_run_has_everything(run: Run) -> None:
    _, _, operations, ledger, _ = run
    assert {each.kind for each in operations} == {"create", "write", "sync", "sync directory", "remove"}
    logs = [each for each in operations if each.path.endswith(".log")]
    assert sum(each.kind == "create" for each in logs) > 8
    assert sum(each.kind == "remove" for each in logs) > 4
    assert operations.index(next(each for each in logs if each.kind == "remove")) < len(operations) / 2
    assert len(ledger.groups) == 3
    assert all(group.answered < len(operations) for group in ledger.groups)
    entries = [entry for queue in ledger.queues.values() for entry in queue.values()]
    assert sum(entry.confirmed <= len(operations) for entry in entries) > 50
    assert sum(entry.written < len(operations) for entry in entries) > 40


def test_a_power_loss_at_every_operation(run: Run) -> None:
    _, before, operations, ledger, names = run
    files = before.copy()
    random = Random(1)
    losses = (*LOSSES, *[AnyLoss(random)] * (20 if THOROUGH else 2))
    for at in range(len(operations) + 1):
        for loss in losses:
            found = find_queues(names, files.after_power_loss(loss))
            try:
                ledger.judge(found, at, False)
            except AssertionError as error:
                raise AssertionError(
                    f"{type(loss).__name__} before operation {at}: {operations[at - 1 : at + 1]}"
                ) from error
        if at < len(operations):
            files.apply(operations[at])


def test_a_kill_at_every_operation(run: Run) -> None:
    _, before, operations, ledger, names = run
    files = before.copy()
    for at, operation in enumerate(operations):
        for share in SHARES if operation.kind == "write" else (0.0,):
            found = files.killed()
            if share:
                found.inodes[operation.path].data += operation.data[: int(len(operation.data) * share)]
            try:
                ledger.judge(find_queues(names, found), at, True)
            except AssertionError as error:
                raise AssertionError(f"killed at operation {at}, {share} of it done: {operation}") from error
        files.apply(operation)


def test_life_goes_on_after_every_operation(run: Run) -> None:
    """A broker starts on what is left, writes more, and is killed or loses power too."""
    folder, before, operations, ledger, _ = run
    files = before.copy()
    random = Random(2)
    for at, operation in enumerate(operations):
        if THOROUGH or at % 5 == 0:
            found = files.after_power_loss(random.choice((*LOSSES, AnyLoss(random))))
            first = find(str(folder / "definitions.sqlite"), found)
            rig = Rig(folder, found, segment_size=SEGMENT_SIZE).start()
            client = rig.client()
            rig.publish(client, [rig.queue("one"), rig.queue("two")], 5000 + at, 100)
            rig.compact()
            assert client.confirmed() == [5000 + at]
            found = rig.memory.after_power_loss(random.choice((*LOSSES, AnyLoss(random))))
            rig.kill()
            second = find(str(folder / "definitions.sqlite"), found)
            ledger.judge({name: messages[:-1] for name, messages in second.items()}, at, False)
            for name, messages in second.items():
                assert [number for number, _ in messages] == [*(number for number, _ in first[name]), 5000 + at]
        files.apply(operation)
