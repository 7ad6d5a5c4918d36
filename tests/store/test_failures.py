"""A disk that is full, or broken: nothing is confirmed that is not there, and the next start finds all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from leveret.store.files import Files
from tests.store.faults import LOSSES, Fault, MemoryFiles, Operation, fail_at
from tests.store.rig import READER, WRITER, Client, Rig
from tests.store.test_settling import numbers


def prepared(folder: Path) -> MemoryFiles:
    """What a broker left that has one segment, of which little is wanted."""
    rig = Rig(folder).start()
    rig.declare("queue")
    client = rig.client()
    for number in range(40):
        rig.publish(client, [rig.queue("queue")], number, 100)
    rig.finish()
    for _ in range(37):
        assert rig.get(client, rig.queue("queue"), no_ack=True) is not None
    rig.finish()
    return rig.kill()


class Life:
    """Publishes, acknowledges, rolls, commits and compacts, and knows what it was promised."""

    def __init__(self, folder: Path, files: MemoryFiles, fault: Fault | None) -> None:
        self.rig = Rig(folder, files).start()
        files.operations = 0
        files.fault = fault
        self.client = self.rig.client()
        self.acked: set[int] = set()
        self.published = {37, 38, 39}
        self.committed = {37, 38, 39}

    def publish(self, *numbers: int, size: int = 100) -> None:
        for number in numbers:
            self.rig.publish(self.client, [self.rig.queue("queue")], number, size)
            self.published.add(number)
        self.rig.finish()

    def consume(self, client: Client, count: int) -> None:
        for _ in range(count):
            got = self.rig.get(client, self.rig.queue("queue"))
            if got is not None:
                client.channel.ack(got.tag, False)
                self.acked.add(got.number)
        self.rig.finish()

    def run(self) -> None:
        self.publish(*range(100, 105))
        self.consume(self.client, 1)
        if not self.rig.failures:
            self.rig.compact()  # 38 and 39 move
        transactional = self.rig.transactional()
        for number in range(200, 205):
            self.rig.publish(transactional, [self.rig.queue("queue")], number, 10)
            self.published.add(number)
        self.consume(transactional, 4)
        self.rig.commit(transactional)
        self.rig.finish()
        if transactional.connection.holds == 0 and not self.rig.failures:
            self.committed |= set(range(200, 205))
        self.publish(*range(300, 303), size=400_000)
        self.consume(self.client, 20)  # all of it, and the segment is given up
        self.publish(*range(400, 403))

    def promised(self) -> set[int]:
        """What was confirmed or committed, and not acknowledged."""
        return (set(self.client.confirmed()) | self.committed) - self.acked


def test_every_operation_may_fail(tmp_path: Path) -> None:
    base = prepared(tmp_path)
    at = 0
    while True:
        error = (errno.ENOSPC, errno.EIO)[at % 2]
        files = base.copy()
        life = Life(tmp_path, files, fail_at(at, error))
        life.run()
        life.rig.end()
        if not files.faults:
            assert life.rig.failures == []
            break
        assert life.rig.failures
        assert {getattr(failure, "errno", None) for failure in life.rig.failures} == {error}
        for loss in LOSSES:
            again = Rig(tmp_path, files.after_power_loss(loss)).start()
            found = numbers(again.take_all(again.queue("queue")))
            assert found == sorted(set(found)), "in order, and nothing twice"
            assert life.promised() <= set(found) <= life.published
            again.finish()
            assert again.failures == []
            again.end()
        at += 1
    assert at > 30
    assert life.promised() == {400, 401, 402}
    kinds = {operation.kind for operation in recorded_operations(tmp_path, base)}
    assert kinds == {"create", "write", "sync", "sync directory", "remove"}


def recorded_operations(folder: Path, base: MemoryFiles) -> list[Operation]:
    """What such a life does to its files."""
    files = base.copy()
    life = Life(folder, files, None)
    files.recording = []
    life.run()
    life.rig.end()
    return files.recording


def test_nothing_is_confirmed_after_a_failure(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    client = rig.client()
    queue = rig.declare("queue")
    rig.finish()
    rig.memory.fault = fail_at(rig.memory.operations, errno.ENOSPC)
    for number in range(3):
        rig.publish(client, [queue], number)
        rig.tick()
    rig.turn(WRITER)
    for _ in range(3):
        rig.tick()
    assert client.confirmed() == []
    assert len(rig.failures) == 1
    rig.end()


def test_a_start_may_fail_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    rig.declare("queue")
    for number in range(5):
        rig.publish(rig.client(), [rig.queue("queue")], number)
    rig.finish()
    files = rig.kill()
    at = 0
    while True:
        tried = files.copy()
        tried.fault = fail_at(at, errno.ENOSPC)
        rig = Rig(tmp_path, tried)
        try:
            rig.start()
        except OSError:
            again = Rig(tmp_path, tried.killed()).start()
            assert numbers(again.take_all(again.queue("queue"))) == list(range(5))
            again.end()
            at += 1
            continue
        rig.end()
        break
    assert at > 3


class Unreadable(MemoryFiles):
    """A disk that can't be read any more, once it is told so."""

    broken = False

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(descriptor, size, offset)


def unreadable(folder: Path) -> tuple[Rig, Unreadable]:
    """A broker with a queue that is on the disk alone, which breaks."""
    rig = Rig(folder).start()
    rig.declare("queue")
    for number in range(5):
        rig.publish(rig.client(), [rig.queue("queue")], number)
    rig.finish()
    found = rig.kill()
    files = Unreadable()
    files.inodes, files.durable = found.inodes, found.durable
    rig = Rig(folder, files).start()
    files.broken = True
    return rig, files


def test_a_read_ahead_that_fails(tmp_path: Path) -> None:
    rig, _ = unreadable(tmp_path)
    rig.consume(rig.client(), rig.queue("queue"))
    rig.tick()
    rig.turn(READER)
    (failure,) = rig.failures
    assert isinstance(failure, OSError)
    rig.end()


@pytest.mark.parametrize("ask", ["get", "purge"])
def test_who_waits_for_a_read_ahead_that_fails_does_not_wait_forever(tmp_path: Path, ask: str) -> None:
    rig, _ = unreadable(tmp_path)
    consumer = rig.client()
    rig.consume(consumer, rig.queue("queue"))
    rig.tick()
    consumer.channel.cancel("tag")
    if ask == "get":
        with pytest.raises(OSError):
            rig.get(rig.client(), rig.queue("queue"))
    else:
        assert rig.queue("queue").purge() == 5
    rig.turn(READER)
    assert rig.failures
    assert all(isinstance(failure, OSError) for failure in rig.failures)
    rig.end()


def test_a_get_that_can_not_read(tmp_path: Path) -> None:
    rig, _ = unreadable(tmp_path)
    with pytest.raises(OSError):
        rig.get(rig.client(), rig.queue("queue"))
    (failure,) = rig.failures
    assert isinstance(failure, OSError)
    rig.end()


def test_a_mark_that_can_not_be_written(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    client = rig.client()
    queue = rig.declare("queue")
    rig.publish(client, [queue], 1)
    rig.finish()
    rig.memory.fault = fail_at(rig.memory.operations, errno.EIO)
    rig.get(client, queue)
    assert rig.failures
    assert all(isinstance(failure, OSError) for failure in rig.failures)
    rig.end()


def test_definitions_that_can_not_be_committed(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    client = rig.client()
    rig.store.definitions.close()
    queue = rig.declare("queue")
    rig.publish(client, [queue], 1)
    rig.store.hold_for_definitions(client.connection)
    rig.tick()
    rig.turn(WRITER)
    rig.turn("leveret-definitions")
    rig.tick()
    assert len(rig.failures) == 1
    assert client.confirmed() == []
    assert client.connection.holds == 1
    rig.end()


# the real file system


@pytest.fixture
def short_writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """os.write takes a few octets at a time. What it took is in the list."""
    taken: list[int] = []
    write: Callable[..., int] = os.write

    def short(descriptor: int, data: bytes | memoryview) -> int:
        count = write(descriptor, bytes(data)[: len(taken) % 5 + 1])
        taken.append(count)
        return count

    monkeypatch.setattr(os, "write", short)
    return taken


def test_short_writes_are_gone_on_with(tmp_path: Path, short_writes: list[int]) -> None:
    files = Files()
    descriptor = files.open_new(str(tmp_path / "file"))
    data = bytes(range(200))
    files.write(descriptor, data)
    files.write(descriptor, b"")
    files.close(descriptor)
    assert len(short_writes) > 60
    assert files.read_whole(str(tmp_path / "file")) == data


def test_a_store_whose_writes_are_short(tmp_path: Path, short_writes: list[int]) -> None:
    rig = Rig(tmp_path, Files()).start()
    client = rig.client()
    queue = rig.declare("queue")
    for number in range(5):
        rig.publish(client, [queue], number, 50)
    rig.finish()
    assert rig.get(client, queue, no_ack=True) is not None
    rig.stop()
    assert len(short_writes) > 100
    rig = Rig(tmp_path, Files()).start()
    assert numbers(rig.take_all(rig.queue("queue"))) == [1, 2, 3, 4]
    rig.stop()


def test_the_real_files(tmp_path: Path) -> None:
    files = Files()
    path = str(tmp_path / "file")
    descriptor = files.open_new(path)
    with pytest.raises(FileExistsError):
        files.open_new(path)
    files.write(descriptor, b"one")
    appending = files.open_append(path)
    files.write(appending, b"two")
    files.write(descriptor, b"three")
    files.sync(descriptor)
    files.sync_directory(str(tmp_path))
    assert files.names(str(tmp_path)) == ["file"]
    reading = files.open_read(path)
    assert files.read(reading, 6, 2) == b"etwoth"
    assert files.read(reading, 100, 8) == b"ree"
    assert files.read(reading, 5, 100) == b""
    files.truncate(path, 4)
    assert files.read_whole(path) == b"onet"
    for each in (descriptor, appending, reading):
        files.close(each)
    files.remove(path)
    files.remove(path)
    assert files.names(str(tmp_path)) == []
    with pytest.raises(FileNotFoundError):
        files.read_whole(path)


def test_the_files_in_memory_do_as_the_real_ones(tmp_path: Path) -> None:
    """The same broker leaves the same files."""
    folders = [tmp_path / "real", tmp_path / "memory"]
    left: list[dict[str, bytes]] = []
    for folder in folders:
        folder.mkdir()
        rig = Rig(folder, Files() if folder is folders[0] else None).start()
        client = rig.client()
        queue = rig.declare("queue")
        for number in range(20):
            rig.publish(client, [queue], number, 30_000)
        rig.finish()
        for _ in range(12):
            rig.get(client, queue, no_ack=True)
        rig.finish()
        rig.end()
        if isinstance(rig.files, MemoryFiles):
            left.append({path.rpartition("/")[2]: bytes(each.data) for path, each in rig.memory.inodes.items()})
        else:
            left.append({path.name: path.read_bytes() for path in folder.glob("0*")})
    assert left[0] == left[1]
    assert len(left[0]) == 2


def test_the_disk_in_memory_loses_what_was_not_synced() -> None:
    """The crash model itself: what it must lose, and what it must not."""
    files = MemoryFiles()
    first = files.open_new("d/first")
    files.write(first, b"synced")
    files.sync(first)
    files.sync_directory("d")
    files.write(first, b"lost")
    files.open_new("d/second")
    files.remove("d/second")
    nothing, everything, torn = files.after_power_loss(LOSSES[0]), files.killed(), files.after_power_loss(LOSSES[2])
    assert {path: bytes(inode.data) for path, inode in nothing.inodes.items()} == {"d/first": b"synced"}
    assert {path: bytes(inode.data) for path, inode in everything.inodes.items()} == {"d/first": b"syncedlost"}
    assert bytes(torn.inodes["d/first"].data) == b"syncedlo"
    files.remove("d/first")
    assert list(files.after_power_loss(LOSSES[0]).inodes) == ["d/first"]
    files.sync_directory("d")
    assert list(files.after_power_loss(LOSSES[0]).inodes) == []
    replayed = MemoryFiles()
    for operation in (Operation("create", "d/a"), Operation("write", "d/a", b"abc"), Operation("sync", "d/a")):
        replayed.apply(operation)
    assert replayed.after_power_loss(LOSSES[0]).inodes == {}
    replayed.apply(Operation("sync directory", "d"))
    assert bytes(replayed.after_power_loss(LOSSES[0]).inodes["d/a"].data) == b"abc"
