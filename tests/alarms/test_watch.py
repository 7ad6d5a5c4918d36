"""The watch over memory and disk: when it raises and clears alarms, what it logs, and whom it hangs up on."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from leveret.broker.broker import Broker
from leveret.server import alarms
from leveret.server.alarms import DEFAULT_DISK_FREE_LIMIT, STATISTICS, AlarmWatch, ResidentMemory
from leveret.server.tick import Tick
from tests.alarms.in_process import KNOWS_BLOCKED, make_broker
from tests.support.raw_client import (
    CHANNEL_OPEN,
    PROTOCOL_HEADER,
    consume,
    declare_queue,
    method,
    open_vhost,
    publish,
    start_ok,
    tune_ok,
)

MEBI = 1 << 20


class Space(NamedTuple):
    """What statvfs tells of a file system with blocks of 1 octet."""

    f_bavail: int
    f_frsize: int = 1


class Machine:
    """What the watch is told of the machine."""

    def __init__(self) -> None:
        self.free = 1 << 40
        self.memory = 0
        self.freed_by_trim = 0
        self.trims = 0
        self.disk_error: OSError | None = None

    def statvfs(self, path: object) -> Space:
        if self.disk_error is not None:
            raise self.disk_error
        return Space(self.free)

    def return_free_memory(self) -> None:
        self.trims += 1
        self.memory -= self.freed_by_trim
        self.freed_by_trim = 0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(os, "statvfs", machine.statvfs)
    monkeypatch.setattr(ResidentMemory, "read", lambda _: machine.memory)
    monkeypatch.setattr(alarms, "return_free_memory", machine.return_free_memory)
    return machine


class Watched:
    """A broker with a watch that looks when it is told to; the limits are 1000 octets each."""

    def __init__(self, loop: asyncio.AbstractEventLoop, data_dir: Path | None) -> None:
        self.loop = loop
        self.broker: Broker = make_broker()
        self.tick = Tick(self.broker, loop)
        self.watch = AlarmWatch(self.tick, 1000, data_dir, 1000)

    def run_until(self, condition: Callable[[], object]) -> None:
        async def wait() -> None:
            while not condition():
                await asyncio.sleep(0.005)

        self.loop.run_until_complete(asyncio.wait_for(wait(), 10))

    def turn(self) -> None:
        """Let the broker do what there is to do."""

        async def turns() -> None:
            for _ in range(20):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def send(self, client: socket.socket, data: bytes) -> None:
        """Send it all while the broker runs, so that it may read."""
        client.setblocking(False)
        self.loop.run_until_complete(asyncio.wait_for(self.loop.sock_sendall(client, data), 10))

    @property
    def active(self) -> set[str]:
        return self.broker.alarms.active


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def watched(loop: asyncio.AbstractEventLoop, machine: Machine, tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(loop, tmp_path)
    watched.watch.start()
    yield watched
    watched.watch.stop()
    for client in list(watched.tick.clients.values()):
        client.close()


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "leveret.alarms"]


def test_a_disk_alarm_is_raised_below_the_limit_and_clears_a_tenth_above(
    watched: Watched, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []
    for free in (1001, 1000, 999, 1000, 1099, 500, 1100, 1099, 1000, 999):
        machine.free = free
        watched.watch.check()
        seen.append("disk" in watched.active)
    assert seen == [False, False, True, True, True, True, False, False, False, True]
    levels = [(level, message.split(":")[0]) for level, message in logged(caplog)]
    raised, cleared = (logging.ERROR, "DISK ALARM"), (logging.WARNING, "disk alarm cleared")
    assert levels == [raised, cleared, raised]


def test_a_memory_alarm_is_raised_above_the_limit_and_clears_a_tenth_below(
    watched: Watched, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []
    for used in (900, 1000, 1001, 1000, 901, 2000, 900, 901, 1000, 1001):
        machine.memory = used
        watched.watch.check()
        seen.append("memory" in watched.active)
    assert seen == [False, False, True, True, True, True, False, False, False, True]
    levels = [(level, message.split(":")[0]) for level, message in logged(caplog)]
    raised, cleared = (logging.ERROR, "MEMORY ALARM"), (logging.WARNING, "memory alarm cleared")
    assert levels == [raised, cleared, raised]


def test_both_alarms_go_their_own_ways(watched: Watched, machine: Machine) -> None:
    machine.free, machine.memory = 0, 5000
    watched.watch.check()
    assert watched.active == {"disk", "memory"}
    machine.free = 1 << 40
    watched.watch.check()
    assert watched.active == {"memory"}
    machine.memory = 0
    watched.watch.check()
    assert watched.active == set()


def test_memory_that_was_freed_already_is_returned_before_anyone_is_blocked(watched: Watched, machine: Machine) -> None:
    machine.memory = 1000
    watched.watch.check()
    assert machine.trims == 0
    machine.memory, machine.freed_by_trim = 1500, 600
    watched.watch.check()
    assert (machine.trims, watched.active) == (1, set())
    machine.memory = 1500
    watched.watch.check()
    assert watched.active == {"memory"}
    machine.freed_by_trim = 600
    watched.watch.check()
    assert (machine.memory, watched.active) == (900, set())


def test_a_disk_that_cannot_be_asked_is_short(
    watched: Watched, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.disk_error = OSError(5, "Input/output error")
    for _ in range(3):
        watched.watch.check()
    assert watched.active == {"disk"}
    ((_, message),) = logged(caplog)
    assert "Input/output error" in message
    machine.disk_error = None
    watched.watch.check()
    assert watched.active == set()


def test_without_a_folder_there_is_no_disk_alarm(loop: asyncio.AbstractEventLoop, machine: Machine) -> None:
    machine.free = 0
    watched = Watched(loop, None)
    watched.watch.start()
    machine.memory = 5000
    watched.watch.check()
    assert watched.active == {"memory"}
    watched.watch.stop()


def test_a_limit_of_0_watches_no_disk(loop: asyncio.AbstractEventLoop, machine: Machine, tmp_path: Path) -> None:
    machine.free = 0
    watched = Watched(loop, tmp_path)
    watch = AlarmWatch(watched.tick, 1000, tmp_path, 0)
    watch.check()
    assert watched.active == set()


def test_a_system_that_does_not_tell_its_memory_has_no_memory_alarm(
    loop: asyncio.AbstractEventLoop, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(alarms, "STATISTICS", tmp_path / "absent")
    machine.memory, machine.free = 5000, 0
    watched = Watched(loop, tmp_path)
    watched.watch.start()
    assert watched.active == {"disk"}
    assert "there is no memory alarm" in logged(caplog)[0][1]
    watched.watch.stop()


def test_it_looks_at_once_and_then_by_itself(
    loop: asyncio.AbstractEventLoop, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "INTERVAL", 0.01)
    machine.free = 0
    watched = Watched(loop, tmp_path)
    watched.watch.start()
    assert watched.active == {"disk"}
    machine.free = 1 << 40
    watched.run_until(lambda: not watched.active)
    machine.memory = 5000
    watched.run_until(lambda: watched.active)
    watched.watch.stop()


def test_the_default_leaves_a_gibibyte() -> None:
    assert DEFAULT_DISK_FREE_LIMIT == 1 << 30


@pytest.mark.skipif(not STATISTICS.exists(), reason="this system does not tell how much memory is in use")
def test_real_memory_grows_and_shrinks() -> None:
    memory = ResidentMemory()
    before = memory.read()
    ballast = b"x" * (64 * MEBI)
    held = memory.read()
    del ballast
    alarms.return_free_memory()
    after = memory.read()
    memory.close()
    assert before > MEBI
    assert 60 * MEBI < held - before < 80 * MEBI
    assert after < held - 50 * MEBI


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library can return what it keeps")
def test_freed_memory_between_what_is_in_use_is_returned() -> None:
    memory = ResidentMemory()
    pieces = [os.urandom(16) * 100 for _ in range(40_000)]
    held = memory.read()
    kept = pieces[::100]
    del pieces
    alarms.return_free_memory()
    after = memory.read()
    memory.close()
    assert len(kept) == 400
    assert held - after > 40 * MEBI


def connected(watched: Watched, stream: bytes) -> socket.socket:
    """A client that has logged in, opened channel 1 and sent the stream."""
    ours, theirs = socket.socketpair()
    watched.tick.add(theirs, "client", "broker", True)
    opening = [PROTOCOL_HEADER, start_ok(properties=KNOWS_BLOCKED), tune_ok(), open_vhost()]
    ours.sendall(b"".join([*opening, method(1, CHANNEL_OPEN, b"\0"), declare_queue(1, "mine", 4), stream]))
    return ours


def test_a_blocked_client_that_goes_is_noticed_behind_what_it_sent(watched: Watched, machine: Machine) -> None:
    machine.memory = 5000
    watched.watch.check()
    client = connected(watched, publish(1, "mine", b"one"))
    watched.run_until(lambda: [one for one in watched.broker.connections if one.blocked])
    watched.watch.check()
    assert "mine" in watched.broker.vhosts["/"].queues
    client.sendall(publish(1, "mine", b"two"))
    client.close()
    watched.watch.check()
    assert "mine" not in watched.broker.vhosts["/"].queues
    assert not watched.broker.connections
    assert not watched.tick.clients


def test_a_client_that_ends_its_side_alone_is_gone_too(watched: Watched, machine: Machine) -> None:
    """As it is when nothing is blocked."""
    machine.memory = 5000
    watched.watch.check()
    client = connected(watched, publish(1, "mine", b"one"))
    watched.run_until(lambda: [one for one in watched.broker.connections if one.blocked])
    client.shutdown(socket.SHUT_WR)
    watched.watch.check()
    assert not watched.broker.connections
    client.close()


def test_the_socket_of_a_blocked_connection_is_not_read_until_the_alarm_clears(
    watched: Watched, machine: Machine
) -> None:
    machine.memory = 5000
    watched.watch.check()
    client = connected(watched, publish(1, "mine", b"one"))
    watched.run_until(lambda: [one for one in watched.broker.connections if one.blocked])
    queue = watched.broker.vhosts["/"].queues["mine"]
    client.setblocking(False)
    backlog = publish(1, "mine", b"x" * 10_000) * 1000
    sent = client.send(backlog)
    with pytest.raises(BlockingIOError):
        while True:
            sent += client.send(backlog[sent:])
    watched.turn()
    with pytest.raises(BlockingIOError):
        client.send(backlog[sent:])
    assert sent < len(backlog)
    machine.memory = 0
    watched.watch.check()
    watched.send(client, backlog[sent:])
    watched.run_until(lambda: queue.ready_count() == 1001)
    client.close()


def test_a_client_that_does_not_read_is_read_again_all_the_same(watched: Watched, machine: Machine) -> None:
    """Such as one that writes a lot before it looks at its deliveries: it would wait for us, and we for it."""
    client = connected(watched, consume(1, "mine", "tag", 2) + declare_queue(1, "other"))
    watched.send(client, publish(1, "mine", b"x" * 10_000) * 100)
    watched.run_until(lambda: [one for one in watched.broker.connections if not one.writable])
    machine.memory = 5000
    watched.watch.check()
    client.sendall(publish(1, "other", b"one"))
    watched.run_until(lambda: [one for one in watched.broker.connections if one.blocked])
    machine.memory = 0
    watched.watch.check()
    client.sendall(publish(1, "other", b"two"))
    other = watched.broker.vhosts["/"].queues["other"]
    watched.run_until(lambda: other.ready_count() == 2)
    client.close()
