"""The store against the ledger: anything in any order, crashes of every kind in between, and every promise is kept.

With LEVERET_STORE_EXAMPLES=1000 it runs as many examples as that.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from leveret.broker.queue import Queue
from leveret.broker.settlement import REJECTED, REQUEUED
from tests.store.faults import AnyLoss, Crashed, MemoryFiles, crash_at
from tests.store.ledger import NEVER, NUMBERS, Entry, Group, Ledger, find
from tests.store.rig import DEFINITIONS, EXAMPLES, READER, WRITER, Client, Rig

SEGMENT_SIZES = (400, 3000, 40_000, 1 << 25)
SIZES = st.sampled_from((0, 100, 1000, 30_000, 70_000))
PRESSURE = 1 << 40
MOST_QUEUES = 4
PRIORITIES = 3
LETTERS = "dead-letters"
DEAD_LETTERS: dict[str, str | int] = {"dead-letter-exchange": "", "dead-letter-routing-key": LETTERS}
KINDS: tuple[dict[str, str | int], ...] = (
    {},
    DEAD_LETTERS,
    {"max-priority": PRIORITIES},
    {**DEAD_LETTERS, "max-priority": PRIORITIES},
)


@dataclass
class Held:
    """A delivery that is not settled."""

    client: Client
    tag: int
    queue: str
    entry: Entry


class StoreMachine(RuleBasedStateMachine):
    """One broker, through all its lives."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="leveret-model-"))
        self.ledger = Ledger()
        self.now = 0
        self.number = 0
        self.queue_number = 0
        self.ids: set[int] = set()
        self.committed_ids: set[int] = set()
        self.ready: dict[str, dict[int, Entry]] = {}
        self.durable: dict[str, bool] = {}
        self.with_dead_letters: set[str] = set()
        self.persistent: set[int] = set()  # numbers of the messages that were published as persistent
        self.deleting: set[str] = set()
        self.held: list[Held] = []
        self.group: Group | None = None
        self.formed = 0
        self.is_alive = False
        self.is_transient_free = True  # in this life nothing was published that only paging could have stored

    @initialize(
        sync=st.sampled_from(("always", "always", "always", "interval=50", "never")),
        size=st.sampled_from(SEGMENT_SIZES),
        sparse=st.sampled_from((1, 8)),
    )
    def begin(self, sync: str, size: int, sparse: int) -> None:
        self.sync, self.size, self.sparse = sync, size, sparse
        self.start(MemoryFiles())
        self.declare_letters()
        self.declare(True, DEAD_LETTERS)

    def declare_letters(self) -> None:
        self.add_queue(LETTERS, True, {})
        self.finish()

    def start(self, files: MemoryFiles) -> None:
        self.rig = Rig(self.folder, files, self.sync, self.size, sparse=self.sparse).start()
        self.is_alive = True
        self.client, self.transactional = self.rig.client(), self.rig.transactional()
        self.confirmed = 0
        self.is_transient_free = True

    def teardown(self) -> None:
        try:
            if self.is_alive:
                self.consume_everything()
        finally:
            if self.is_alive:
                self.rig.end()
            shutil.rmtree(self.folder)

    # what happened

    def event(self) -> int:
        self.now += 1
        return self.now

    def settle(self, entry: Entry) -> None:
        entry.settled = self.event()

    def observe(self) -> None:
        """Note what the broker has promised since the last time."""
        tag = int(self.client.channel.confirmed_tag)
        for number in self.client.sent[self.confirmed : tag]:
            self.ledger.confirm(number, self.event())
        self.confirmed = tag
        if self.group is not None and self.transactional.connection.holds == 0:
            self.ledger.answer(self.group, self.event())
            self.group = None
        assert not self.rig.failures, self.rig.failures

    def tick(self) -> None:
        was_writing = self.rig.log.writing is not None
        begun = self.event()
        self.rig.tick()
        self.rig.rest()
        if self.rig.log.writing is not None and not was_writing:
            self.formed = begun
        elif not was_writing:
            self.ledger.written(begun, self.event())  # there was nothing to write
        self.observe()

    def turn(self, thread: str) -> None:
        self.rig.turn(thread)
        if thread == WRITER:
            self.ledger.written(self.formed, self.event())
        self.observe()

    # queues

    def queue(self, name: str) -> Queue:
        return self.rig.queue(name)

    def names(self, count: int) -> list[str]:
        return sorted(self.ready)[:count]

    @precondition(lambda self: len(self.ready) < MOST_QUEUES)
    @rule(durable=st.sampled_from((True, True, False)), arguments=st.sampled_from(KINDS))
    def declare(self, durable: bool, arguments: dict[str, str | int]) -> None:
        self.queue_number += 1
        name = f"queue-{self.queue_number}"
        if "max-priority" in arguments:
            self.ledger.prioritised.add(name)
        if "dead-letter-exchange" in arguments:
            self.with_dead_letters.add(name)
        self.add_queue(name, durable, arguments)

    def add_queue(self, name: str, durable: bool, arguments: dict[str, str | int]) -> None:
        queue = self.rig.declare(name, durable, arguments)
        assert queue.id not in self.ids
        if durable:
            self.ids.add(int(queue.id))
        self.ready[name] = {}
        self.durable[name] = durable

    @precondition(lambda self: len(self.ready) > 2)
    @rule(choice=st.integers(0, 100))
    def delete(self, choice: int) -> None:
        names = sorted(self.ready.keys() - {LETTERS})
        name = names[choice % len(names)]
        count = self.rig.vhost.delete_queue(self.queue(name))
        assert count == len(self.ready.pop(name))
        if self.durable[name]:
            self.deleting.add(name)
        else:
            self.ledger.queues.pop(name, None)

    @precondition(lambda self: self.ready)
    @rule(choice=st.integers(0, 100))
    def purge(self, choice: int) -> None:
        name = sorted(self.ready)[choice % len(self.ready)]
        assert self.queue(name).purge() == len(self.ready[name])
        for entry in self.ready[name].values():
            self.settle(entry)
        self.ready[name] = {}

    # messages

    def publish_one(self, client: Client, queues: list[str], size: int, persistent: bool, priority: int) -> list[Entry]:
        self.number += 1
        number = priority * NUMBERS + self.number
        if persistent:
            self.persistent.add(number)
        self.rig.publish(client, [self.queue(name) for name in queues], number, size, persistent, priority)
        kept = persistent and any(self.durable[name] for name in queues)
        entries: list[Entry] = []
        for name in queues:
            (entry,) = self.ledger.publish([name], number, kept and self.durable[name], self.event())
            self.ready[name][number] = entry
            entries.append(entry)
            if not entry.persistent:
                self.is_transient_free = False
        return entries

    @precondition(lambda self: self.ready)
    @rule(
        choice=st.integers(0, 100),
        spread=st.integers(1, MOST_QUEUES),
        sizes=st.lists(SIZES, min_size=1, max_size=8),
        persistent=st.sampled_from((True, True, True, False)),
        priority=st.integers(0, PRIORITIES),
    )
    def publish(self, choice: int, spread: int, sizes: list[int], persistent: bool, priority: int) -> None:
        names = sorted(self.ready)
        first = choice % len(names)
        queues = (names[first:] + names[:first])[:spread]
        for at, size in enumerate(sizes):
            self.publish_one(self.client, queues, size, persistent, (priority + at) % (PRIORITIES + 1))

    @precondition(lambda self: self.ready)
    @rule(choice=st.integers(0, 100), count=st.integers(1, 30), no_ack=st.booleans(), in_transaction=st.booleans())
    def get(self, choice: int, count: int, no_ack: bool, in_transaction: bool) -> None:
        name = sorted(self.ready)[choice % len(self.ready)]
        client = self.transactional if in_transaction and self.group is None else self.client
        for _ in range(count):
            ready = self.ready[name]
            assert self.queue(name).ready_count() == len(ready)
            got = self.rig.get(client, self.queue(name), no_ack)
            if not ready:
                assert got is None
                return
            assert got is not None, f"{name} has {sorted(ready)}"
            assert got.number == min(ready.values(), key=Entry.place).number
            entry = ready.pop(got.number)
            assert got.redelivered or entry.delivered == NEVER
            if no_ack:
                self.settle(entry)
            else:
                entry.delivered = min(entry.delivered, self.event())
                self.held.append(Held(client, got.tag, name, entry))

    @precondition(lambda self: any(each.client is self.client for each in self.held))
    @rule(choice=st.integers(0, 100), count=st.integers(1, 30), requeue=st.sampled_from((False, False, True)))
    def settle_some(self, choice: int, count: int, requeue: bool) -> None:
        mine = [each for each in self.held if each.client is self.client]
        for held in mine[choice % len(mine) :][:count]:
            self.held.remove(held)
            if requeue:
                self.client.channel.reject(held.tag, False, REQUEUED)
                self.put_back(held)
            else:
                self.client.channel.ack(held.tag, False)
                self.settle(held.entry)

    @precondition(lambda self: any(each.client is self.client for each in self.held))
    @rule(choice=st.integers(0, 100), count=st.integers(1, 10))
    def reject(self, choice: int, count: int) -> None:
        """Have messages dropped, or moved to the queue for dead letters; there each number may be once."""
        letters = self.ledger.queues.setdefault(LETTERS, {})
        mine = [each for each in self.held if each.client is self.client and each.queue in self.ready]
        for held in mine[choice % max(1, len(mine)) :][:count]:
            entry, moves = held.entry, held.queue in self.with_dead_letters
            if moves and entry.number in letters:
                continue
            self.held.remove(held)
            self.client.channel.reject(held.tag, False, REJECTED)
            self.settle(entry)
            if moves:
                self.move(entry)

    def move(self, entry: Entry) -> None:
        group = Group(self.event(), is_move=True, settles=[entry])
        persistent = entry.number in self.persistent
        group.messages = self.ledger.publish([LETTERS], entry.number, persistent, group.issued)
        self.ready[LETTERS][entry.number] = group.messages[0]
        entry.settled_by = group
        self.ledger.groups.append(group)
        if not persistent:
            self.is_transient_free = False

    def put_back(self, held: Held) -> None:
        if held.queue in self.ready:
            self.ready[held.queue][held.entry.number] = held.entry

    @precondition(lambda self: self.ready and self.group is None)
    @rule(
        spread=st.integers(0, MOST_QUEUES),
        sizes=st.lists(SIZES, max_size=4),
        persistent=st.sampled_from((True, True, False)),
        settles=st.integers(0, 10),
    )
    def commit(self, spread: int, sizes: list[int], persistent: bool, settles: int) -> None:
        group = Group(self.event())
        queues = sorted(self.ready)[:spread]
        for size in sizes:
            if queues:
                group.messages += self.publish_one(self.transactional, queues, size, persistent, size % PRIORITIES)
        for held in [each for each in self.held if each.client is self.transactional][:settles]:
            self.held.remove(held)
            self.transactional.channel.ack(held.tag, False)
            self.settle(held.entry)
            held.entry.settled_by = group
            group.settles.append(held.entry)
        self.rig.commit(self.transactional)
        self.ledger.groups.append(group)
        self.group = group
        self.observe()

    # time

    @rule()
    def end_tick(self) -> None:
        self.tick()

    @rule(thread=st.sampled_from((WRITER, WRITER, READER, DEFINITIONS)))
    def take_turn(self, thread: str) -> None:
        if self.rig.works() == thread:
            self.turn(thread)

    @rule()
    def finish(self) -> None:
        self.tick()
        while (thread := self.rig.works()) or not self.rig.store.idle():
            if thread:
                self.turn(thread)
            self.tick()
        self.check_live()

    @rule(seconds=st.sampled_from((0.05, 3.0, 3.0, 3.0)))
    def pass_time(self, seconds: float) -> None:
        self.rig.pass_time_only(seconds)
        self.tick()

    @rule()
    def begin_copying(self) -> None:
        """Segments that are nearly empty are about to be copied, or are being copied."""
        for _ in range(3):
            self.pass_time(3.0)
            while self.rig.works() in (WRITER, DEFINITIONS):
                self.turn(self.rig.works())
                self.tick()
        if self.rig.works() == READER and self.rig.is_copying():
            self.turn(READER)

    @rule()
    def press(self) -> None:
        """Other queues take all the memory, or give it back."""
        residency = self.rig.store.residency
        residency.resident += PRESSURE if residency.resident < PRESSURE // 2 else -PRESSURE
        self.tick()

    def check_live(self) -> None:
        """With nothing under way the store counts just what there is, and what is settled when it has been synced."""
        count = sum(segment.live for segment in self.rig.log.segments.values())
        count -= len(self.rig.log._unsynced_settles)
        wanted = sum(
            entry.persistent and entry.settled == NEVER
            for name, entries in self.ledger.queues.items()
            if name not in self.deleting or name in self.rig.vhost.queues
            for entry in entries.values()
        )
        held = sum(each.entry.persistent for each in self.held if each.queue in self.deleting)
        if self.is_transient_free:
            assert count == wanted + held
        else:
            assert count >= wanted + held

    # the end of a life

    @rule()
    def stop_and_start(self) -> None:
        """The broker is told to stop, and started again."""
        self.finish()
        self.is_alive = False
        self.rig.end()
        self.come_back(self.rig.memory.killed(), True)

    @rule(
        operations=st.none() | st.integers(0, 12),
        share=st.floats(0, 1),
        seed=st.none() | st.integers(0, 1 << 30),
        again=st.integers(0, 3),
    )
    def crash(self, operations: int | None, share: float, seed: int | None, again: int) -> None:
        """The process, or the machine, dies: at once, or so many operations on."""
        files = self.rig.memory
        self.is_alive = False
        if operations is not None:
            files.fault = crash_at(files.operations + operations, share)
            self.rig.tick()
            self.rig.rest()
        killed = seed is None or self.sync != "always"
        found = files.killed() if killed else files.after_power_loss(AnyLoss(Random(seed)))
        files.dead = True
        self.rig.end()
        for attempt in range(again):  # the next start crashes too
            found.fault = crash_at(attempt * 2, share)
            rig = Rig(self.folder, found, self.sync, self.size)
            try:
                rig.start()
                rig.end()
            except Crashed:
                pass
            found = found.killed() if killed else found.after_power_loss(AnyLoss(Random(seed)))
        self.come_back(found, killed)

    def come_back(self, files: MemoryFiles, killed: bool) -> None:
        found = find(str(self.folder / "definitions.sqlite"), files)
        for name in self.deleting - set(found):
            self.ledger.queues.pop(name, None)
        self.ledger.judge(found, self.event(), killed)
        self.ledger.accept(found)
        self.ready = {name: dict(entries) for name, entries in self.ledger.queues.items()}
        self.durable = dict.fromkeys(self.ready, True)
        self.deleting, self.held, self.group = set(), [], None
        self.persistent = {number for entries in self.ready.values() for number in entries}
        self.start(files)
        assert sorted(self.rig.vhost.queues) == sorted(self.ready)
        self.committed_ids |= {int(queue.id) for queue in self.rig.vhost.queues.values()}
        self.ids = set(self.committed_ids)  # one that was neither committed nor written may come again
        self.check_restored()
        if LETTERS not in self.ready:
            self.declare_letters()

    def check_restored(self) -> None:
        for name, ready in self.ready.items():
            assert self.queue(name).ready_count() == len(ready)
        assert sum(segment.live for segment in self.rig.log.segments.values()) == sum(map(len, self.ready.values()))

    def consume_everything(self) -> None:
        """Whatever was done before: when nothing is wanted any more, nothing is left."""
        self.finish()
        for channel in (self.client.channel, self.transactional.channel):
            channel.requeue_unacked(False)
        for held in self.held:
            self.put_back(held)
        self.held = []
        for choice, name in enumerate(sorted(self.ready)):
            self.get(choice, 3, True, False)
            self.queue(name).purge()
        self.rig.finish()
        for _ in range(4):
            self.rig.pass_time(3.0)
        log = self.rig.log
        assert sum(segment.live for segment in log.segments.values()) == 0
        assert len(log.segments) == 1
        assert not log.moved
        assert {path.rpartition("/")[2].partition(".")[0] for path in self.rig.memory.inodes} == {log.active.name()}
        assert self.rig.store.residency.resident in (0, PRESSURE)

    @invariant()
    def counts_agree(self) -> None:
        if self.is_alive:
            for name, ready in self.ready.items():
                assert self.queue(name).ready_count() == len(ready)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=EXAMPLES or 60,
    stateful_step_count=60 if EXAMPLES else 40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
