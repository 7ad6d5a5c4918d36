"""Runs a broker under load, kills it again and again, and lets the ledger judge what comes back.

A run is a row of lives. In each, publishers and consumers with changing habits work for a random while, then the
broker gets SIGKILL (sometimes SIGTERM, sometimes SIGKILL again while it is still starting). After each start its
definitions are inspected, its queues counted and its log read; now and then, and at the end, everything is consumed.
What the clients do follows from the seed; what the threads and the kernel make of it, differs from run to run.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.crash import topology
from tests.crash.consuming import HABITS, Consumer, Drain
from tests.crash.definitions import DefinitionChanger, Definitions, Inspection, delete_definitions
from tests.crash.ledger import Ledger
from tests.crash.messages import Messages
from tests.crash.publishing import ConfirmingPublisher, TransactionalPublisher
from tests.crash.worker import Life, Worker
from tests.support.broker_process import BrokerProcess

RESTART_LIMIT = 10.0  # seconds
HANG_LIMIT = 60.0  # seconds after which a start is given up
WORKER_LIMIT = 20.0  # seconds that a worker may need after the end of a life
RECOVERY_LINE = re.compile(r"^.*\b[Rr]ecover.*$", re.MULTILINE)
CLEAN_SHARE, EARLY_SHARE = 0.1, 0.15  # lives that end by SIGTERM; that end before the broker is ready


class CrashedBroker(BrokerProcess):
    """A broker whose starts are timed, never waited for without end, and perhaps killed on the way."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(folder, *arguments)
        self.start_seconds = 0.0
        self.read_from = 0  # where this life's log begins

    def start(self) -> None:
        self.read_from = self.log_path.stat().st_size if self.log_path.exists() else 0
        begin = time.monotonic()
        watch = threading.Timer(HANG_LIMIT, self.kill)
        watch.start()
        try:
            super().start()
        finally:
            watch.cancel()
            self.start_seconds = time.monotonic() - begin

    def start_and_kill(self, delay: float) -> bool:
        """Start, with SIGKILL after `delay` seconds; True if the broker had said that it serves."""
        self.process = None
        killer = threading.Timer(delay, self.kill)
        killer.start()
        try:
            self.start()
        except AssertionError:
            return False
        finally:
            killer.join()
            self.stop(signal.SIGKILL)
        return True

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> None:
        """Send a signal and don't wait."""
        if self.process is not None:
            self.process.send_signal(number)

    def logged(self) -> str:
        """What this life has logged."""
        with self.log_path.open() as log:
            log.seek(self.read_from)
            return log.read()

    def size(self) -> int:
        """Octets in the data folder."""
        return sum(path.stat().st_size for path in self.data_dir.rglob("*") if path.is_file())


@dataclass
class Plan:
    """What a run does. Times are in seconds."""

    seed: str
    kills: int
    shortest: float = 0.05
    longest: float = 2.0
    drain_every: int = 20  # kills
    keep_going: bool = False  # after a violation
    arguments: tuple[str, ...] = ()


@dataclass
class Crash:
    """A run of one broker in `folder`. `sabotage` may change the dead broker's data folder before it starts again."""

    plan: Plan
    folder: Path
    ledger: Ledger = field(default_factory=Ledger)
    definitions: Definitions = field(default_factory=Definitions)
    sabotage: Callable[[Path], None] = lambda folder: None
    positions: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    slowest_start: float = 0.0
    recovered: int = 0  # messages that were there after a start, over all starts

    def __post_init__(self) -> None:
        self.random = Random(self.plan.seed)
        self.messages = Messages(self.plan.seed, topology.PUBLISHERS)
        self.ledger.remade = {one.name for one in topology.PUBLISHERS if one.dead_letters}
        self.broker = CrashedBroker(self.folder, *self.plan.arguments)

    def run(self) -> None:
        """The whole run; what was wrong is in the ledger afterwards."""
        try:
            self.broker.start()
            topology.declare_all(self.broker.port)
            self.say(f"seed {self.plan.seed}, broker in {self.folder}")
            kills = 0
            while kills < self.plan.kills and (self.plan.keep_going or not self.ledger.violations):
                kills += self.live()
                self.restart()
                if self.random.random() < EARLY_SHARE and kills < self.plan.kills:
                    kills += self.kill_while_starting()
                if kills % self.plan.drain_every == 0:
                    self.drain()
            self.drain()
        finally:
            status = self.broker.stop() if self.broker.process is not None else 0
        if status != 0:
            self.ledger.add("restart", f"the last stop gave status {status}")
        self.read_log()

    def rehearse(self, port: int, seconds: float) -> None:
        """One life without a crash, with a broker that somebody else started and that keeps nothing of it."""
        topology.declare_all(port)
        try:
            self.broker.port = port
            life = Life(port, self.ledger, self.messages, self.random)
            workers = self.workers(life)
            for worker in workers:
                worker.start()
            time.sleep(seconds)
            life.end(broker_gone=False)
            join(workers, self.ledger)
            self.drain()
            Inspection(port, self.definitions, self.ledger).run(restarted=False)
        finally:
            topology.delete_all(port)
            delete_definitions(port)

    def live(self) -> int:
        """A life under load, and its end; gives the number of kills."""
        life = Life(self.broker.port, self.ledger, self.messages, self.random)
        before = self.ledger.counts.copy()
        workers = self.workers(life)
        duration = self.random.choice((1.0, 1.0, 0.2)) * self.random.uniform(self.plan.shortest, self.plan.longest)
        orderly = self.random.random() < CLEAN_SHARE
        for worker in workers:
            worker.start()
        time.sleep(duration)
        if orderly:
            self.broker.end(signal.SIGTERM)
        else:
            self.broker.kill()
        life.end(broker_gone=True)
        status = self.broker.stop(signal.SIGKILL) if not orderly else self.broker.stop()
        join(workers, self.ledger)
        if orderly and status != 0:
            self.ledger.add("restart", f"a stop in order gave status {status}")
        self.ledger.life_ended(orderly)
        done = self.ledger.counts - before
        self.say(
            f"{'stopped' if orderly else 'killed '} after {duration:4.2f} s: "
            f"{done['sent']:5} sent {done['confirmed']:5} confirmed {done['transactions']:4} transactions "
            f"{done['delivered']:5} delivered {done['settled']:5} settled{came_back(done)}"
        )
        return 0 if orderly else 1

    def workers(self, life: Life) -> list[Worker]:
        """Every publisher, none to three consumers of each queue, and the one who changes definitions."""
        workers: list[Worker] = [DefinitionChanger(life, self.definitions)]
        for publisher in topology.PUBLISHERS:
            kind = TransactionalPublisher if publisher.transactional else ConfirmingPublisher
            workers.append(kind(life, publisher, self.positions))
        for queue in topology.QUEUES:
            habits = self.random.sample(HABITS, self.random.choice((0, 1, 1, 1, 2, 3)))
            workers += [Consumer(life, queue, habit) for habit in habits]
        return workers

    def restart(self) -> None:
        """Start again, and look at the definitions, the queues and the log."""
        self.sabotage(self.broker.data_dir)
        self.broker.start()
        Inspection(self.broker.port, self.definitions, self.ledger).run()
        self.await_chain()
        found = topology.counts(self.broker.port)
        owed = possible = 0
        for queue in topology.QUEUES:
            if queue not in found:
                self.ledger.add("definitions", f"queue {queue} is missing")
                break
            self.ledger.counted(queue, found[queue])
            least, most = self.ledger.bounds(queue)
            owed, possible = owed + least, possible + most
        self.recovered += sum(found.values())
        recovery = self.read_log()
        self.slowest_start = max(self.slowest_start, self.broker.start_seconds)
        if self.broker.start_seconds > RESTART_LIMIT:
            self.ledger.add("restart", f"it took {self.broker.start_seconds:.1f} s")
        self.say(
            f"    life {self.ledger.life}: started in {self.broker.start_seconds:4.2f} s with {sum(found.values())} "
            f"messages ({owed} to {possible} expected), {self.broker.size() >> 20} MiB on disk; {recovery}"
        )

    def kill_while_starting(self) -> int:
        """Kill the running broker at rest, then again while it starts, perhaps several times."""
        self.broker.stop(signal.SIGKILL)
        self.ledger.life_ended()
        kills = 1
        while True:
            delay = self.random.uniform(0.02, 1.2) * self.broker.start_seconds
            ready = self.broker.start_and_kill(delay)
            self.ledger.life_ended()
            kills += 1
            self.say(f"killed  {delay:4.2f} s after its start, {'just ready' if ready else 'not yet ready'}")
            if ready or self.random.random() < 0.5:
                self.restart()
                return kills

    def read_log(self) -> str:
        """The line about the recovery; a traceback is a violation, and so is silence about it."""
        logged = self.broker.logged()
        if "Traceback" in logged:
            self.ledger.add("restart", f"the log has a traceback:\n{logged[logged.index('Traceback') :][:4000]}")
        found = RECOVERY_LINE.search(logged)
        if found is None and self.ledger.life > 1:
            self.ledger.add("restart", f"the broker doesn't say what it recovered: {logged[:1000]!r}")
        return found[0].strip() if found else "no word of a recovery"

    def drain(self) -> None:
        """Consume everything that is left."""
        begin, before = time.monotonic(), self.ledger.counts.copy()
        self.await_chain()
        life = Life(self.broker.port, self.ledger, self.messages, self.random)
        drains = [Drain(life, queue) for queue in topology.QUEUES]
        for drain in drains:
            drain.start()
        join(drains, self.ledger, limit=60 + 10 * WORKER_LIMIT)
        life.end(broker_gone=False)
        done = self.ledger.counts - before
        self.say(
            f"    drained {done['delivered']} messages in {time.monotonic() - begin:.2f} s, "
            f"{self.broker.size() >> 20} MiB on disk{came_back(done)}"
        )

    def await_chain(self) -> None:
        """Let what is on its way arrive."""
        if not topology.await_chain(self.broker.port):
            self.ledger.add("lost", f"{topology.CHAIN_LIMIT} s were not enough for the chain of dead letters")

    def say(self, line: str) -> None:
        """A line about the run, for whoever watches it."""
        self.lines.append(line)
        print(line, flush=True)

    def summary(self) -> str:
        """The totals, and the violations in full."""
        ledger = self.ledger
        lines = [f"{count:9} {name}" for name, count in sorted(ledger.counts.items())]
        lines += [
            f"{self.definitions.answered:9} definitions changed",
            f"{self.slowest_start:9.2f} s for the slowest start",
        ]
        lines.append(f"{ledger.slowest_confirm:9.2f} s for the slowest confirm")
        lines += [f"{count:9} VIOLATIONS: {rule}" for rule, count in sorted(ledger.violation_counts.items())]
        lines += [f"  {violation.rule}: {violation.text}" for violation in ledger.violations]
        return "\n".join(lines)


def came_back(counts: Counter[str]) -> str:
    """The acknowledged messages that came back, by what was known of their acknowledgement."""
    return "".join(f", {count} {name}" for name, count in sorted(counts.items()) if "came back" in name)


def join(workers: list[Worker] | list[Drain], ledger: Ledger, limit: float = WORKER_LIMIT) -> None:
    """Wait for the workers' ends; one that doesn't come to its end is a violation."""
    end = time.monotonic() + limit
    for worker in workers:
        worker.join(max(end - time.monotonic(), 0))
        if worker.is_alive():
            ledger.add("unexpected", f"{worker.name} doesn't end")
