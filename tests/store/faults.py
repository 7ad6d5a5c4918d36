"""Files in memory that lose what a disk may lose, and fail where they are told to.

What a process wrote outlives it: `killed` has all of it. What outlives the machine is only what was synced; of the
rest any part may be there, and the place of any part may hold zeros, or what was on the disk before.
`after_power_loss` asks a `Loss` what became of each file's unsynced end. Entries of the directory are kept in a
journal, as file systems have one: of the changes since the last sync some are there, in the order in which they were
made, and the later ones are not.

Every operation that changes something is counted. `fault` is called with it before it happens, and may raise, or make
only a part of it happen.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from leveret.store.files import Files

PAGE = 4096


class Crashed(Exception):
    """The machine, or the process, is gone: nothing of what was begun happens any more."""


@dataclass
class Inode:
    """A file's content, and how much of it is on the disk."""

    data: bytearray = field(default_factory=bytearray)
    synced: int = 0


@dataclass(frozen=True)
class Operation:
    """A change to the files. The path of a sync of the directory is the directory's."""

    kind: str  # create, write, sync, sync directory, truncate, remove
    path: str
    data: bytes = field(default=b"", repr=False)
    size: int = 0


Fault = Callable[["MemoryFiles", Operation], None]


class Loss:
    """What a power loss leaves: here, nothing that was not synced."""

    def entries(self, unsynced: int) -> int:
        """How many of the unsynced changes of the directory are there."""
        return 0

    def tail(self, unsynced: bytes) -> bytes:
        """What stands in the place of a file's unsynced end: as long as it was, or shorter."""
        return b""


class Kept(Loss):
    """All of it had reached the disk by chance, or the process alone died."""

    def entries(self, unsynced: int) -> int:
        return unsynced

    def tail(self, unsynced: bytes) -> bytes:
        return unsynced


class Torn(Kept):
    """The first part of each unsynced end is there; behind it is nothing."""

    def tail(self, unsynced: bytes) -> bytes:
        return unsynced[: len(unsynced) // 2]


class Zeroed(Kept):
    """The first part is there, and the file is as long as it was, but the rest is zeros."""

    def tail(self, unsynced: bytes) -> bytes:
        kept = unsynced[: len(unsynced) // 2]
        return kept + bytes(len(unsynced) - len(kept))


class Garbage(Kept):
    """The first part is there, and behind it what was on the disk before."""

    def tail(self, unsynced: bytes) -> bytes:
        kept = unsynced[: len(unsynced) // 2]
        return kept + Random(len(unsynced)).randbytes(len(unsynced) - len(kept))


class Holed(Kept):
    """The beginning is missing although the end is there: pages are written in any order."""

    def tail(self, unsynced: bytes) -> bytes:
        missing = min(PAGE, (len(unsynced) + 1) // 2)
        return bytes(missing) + unsynced[missing:]


class AnyLoss(Loss):
    """Something else for each file."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def entries(self, unsynced: int) -> int:
        return self.random.choice((0, unsynced, self.random.randint(0, unsynced)))

    def tail(self, unsynced: bytes) -> bytes:
        size = self.random.choice((0, len(unsynced), self.random.randint(0, len(unsynced))))
        kept = bytearray(unsynced[:size])
        for _ in range(self.random.choice((0, 0, 1, 3))):
            start = self.random.randint(0, size)
            count = min(size - start, self.random.choice((1, 8, PAGE)))
            kept[start : start + count] = self.random.choice((bytes(count), self.random.randbytes(count)))
        return bytes(kept)


LOSSES: tuple[Loss, ...] = (Loss(), Kept(), Torn(), Zeroed(), Garbage(), Holed())


class MemoryFiles(Files):
    """A file system with one directory that matters: the one that is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.inodes: dict[str, Inode] = {}
        self.durable: dict[str, Inode] = {}  # the directory as it was synced last
        self.journal: list[tuple[str, Inode | None]] = []  # entries made (and removed: None) since then
        self.operations = 0
        self.fault: Fault | None = None
        self.faults = 0  # operations that it did not let happen
        self.recording: list[Operation] | None = None
        self.dead = False
        self._descriptors: dict[int, Inode] = {}
        self._next = 3
        self._paths: dict[int, str] = {}
        self._lock = threading.RLock()

    # faults

    def _begin(self, kind: str, path: str, data: bytes = b"", size: int = 0) -> None:
        """An operation is about to happen."""
        if self.dead:
            raise Crashed
        operation = Operation(kind, path, data, size)
        if self.fault is not None:
            try:
                self.fault(self, operation)
            except BaseException:
                self.faults += 1
                raise
        self.operations += 1
        if self.recording is not None:
            self.recording.append(operation)

    def apply(self, operation: Operation) -> None:
        """Have an operation that was recorded happen here."""
        with self._lock:
            if operation.kind == "create":
                self._create(operation.path)
            elif operation.kind == "write":
                self.inodes[operation.path].data += operation.data
            elif operation.kind == "sync":
                self._synced(self.inodes[operation.path])
            elif operation.kind == "sync directory":
                self._directory_synced()
            elif operation.kind == "truncate":
                self._cut(self.inodes[operation.path], operation.size)
            else:
                assert operation.kind == "remove"
                self._unlink(operation.path)

    # crashes

    def killed(self) -> MemoryFiles:
        """What another process finds: everything."""
        return self.after_power_loss(Kept())

    def after_power_loss(self, loss: Loss) -> MemoryFiles:
        """What is found when the machine is on again; all of it is on the disk then."""
        with self._lock:
            entries = dict(self.durable)
            for path, inode in self.journal[: loss.entries(len(self.journal))]:
                if inode is None:
                    entries.pop(path, None)
                else:
                    entries[path] = inode
            found = MemoryFiles()
            for path, inode in entries.items():
                data = inode.data[: inode.synced] + loss.tail(bytes(inode.data[inode.synced :]))
                found.inodes[path] = Inode(data, len(data))
            found.durable = dict(found.inodes)
            return found

    def copy(self) -> MemoryFiles:
        """The same files with the same unsynced parts."""
        with self._lock:
            copies = {id(inode): Inode(inode.data[:], inode.synced) for inode in self._every_inode()}
            copy = MemoryFiles()
            copy.inodes = {path: copies[id(inode)] for path, inode in self.inodes.items()}
            copy.durable = {path: copies[id(inode)] for path, inode in self.durable.items()}
            copy.journal = [(path, None if inode is None else copies[id(inode)]) for path, inode in self.journal]
            return copy

    def _every_inode(self) -> list[Inode]:
        journalled = [inode for _, inode in self.journal if inode is not None]
        return [*self.inodes.values(), *self.durable.values(), *journalled]

    def total_size(self) -> int:
        """Octets in all files."""
        return sum(len(inode.data) for inode in self.inodes.values())

    # what a store asks for

    def open_new(self, path: str) -> int:
        with self._lock:
            if path in self.inodes:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
            self._begin("create", path)
            self._create(path)
            return self._open(path)

    def open_append(self, path: str) -> int:
        with self._lock:
            if path not in self.inodes:
                self._begin("create", path)
                self._create(path)
            return self._open(path)

    def open_read(self, path: str) -> int:
        with self._lock:
            return self._open(path)

    def write(self, descriptor: int, data: bytes) -> None:
        with self._lock:
            self._begin("write", self._paths[descriptor], data)
            self._descriptors[descriptor].data += data

    def sync(self, descriptor: int) -> None:
        with self._lock:
            self._begin("sync", self._paths[descriptor])
            self._synced(self._descriptors[descriptor])

    def sync_directory(self, path: str) -> None:
        with self._lock:
            self._begin("sync directory", path)
            self._directory_synced()

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        with self._lock:
            return bytes(self._descriptors[descriptor].data[offset : offset + size])

    def read_whole(self, path: str) -> bytes:
        with self._lock:
            return bytes(self._inode(path).data)

    def close(self, descriptor: int) -> None:
        with self._lock:
            del self._descriptors[descriptor], self._paths[descriptor]

    def truncate(self, path: str, size: int) -> None:
        with self._lock:
            self._begin("truncate", path, size=size)
            self._cut(self._inode(path), size)

    def remove(self, path: str) -> None:
        with self._lock:
            if path in self.inodes:
                self._begin("remove", path)
                self._unlink(path)

    def names(self, path: str) -> list[str]:
        with self._lock:
            return [name.removeprefix(path + "/") for name in self.inodes]

    # what becomes of them

    def _inode(self, path: str) -> Inode:
        inode = self.inodes.get(path)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return inode

    def _open(self, path: str) -> int:
        inode = self._inode(path)
        descriptor = self._next
        self._next += 1
        self._descriptors[descriptor] = inode
        self._paths[descriptor] = path
        return descriptor

    def _create(self, path: str) -> None:
        self.inodes[path] = Inode()
        self.journal.append((path, self.inodes[path]))

    def _unlink(self, path: str) -> None:
        del self.inodes[path]
        self.journal.append((path, None))

    def _synced(self, inode: Inode) -> None:
        inode.synced = len(inode.data)

    def _cut(self, inode: Inode, size: int) -> None:
        del inode.data[size:]
        inode.data += bytes(size - len(inode.data))
        inode.synced = size

    def _directory_synced(self) -> None:
        self.durable = dict(self.inodes)
        self.journal = []


def fail_at(number: int, error: int) -> Fault:
    """The operation of that number, and each after it, fails with this errno. Of a write half is written."""

    def fault(files: MemoryFiles, operation: Operation) -> None:
        if files.operations >= number:
            if operation.kind == "write" and files.operations == number:
                files.inodes[operation.path].data += operation.data[: len(operation.data) // 2]
                files.operations += 1
            raise OSError(error, os.strerror(error), operation.path)

    return fault


def crash_at(number: int, share: float = 0.0) -> Fault:
    """Nothing happens from the operation of that number on, but for a share of it if it is a write."""

    def fault(files: MemoryFiles, operation: Operation) -> None:
        if files.operations >= number:
            if operation.kind == "write":
                files.inodes[operation.path].data += operation.data[: int(len(operation.data) * share)]
            files.dead = True
            raise Crashed

    return fault
