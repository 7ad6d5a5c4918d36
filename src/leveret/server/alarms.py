"""The watch over memory and free disk that raises the broker's alarms, once a second.

An alarm is raised past its limit and clears a tenth away from it, so that it doesn't flap. Memory is what only this
process can give back: its resident pages without those that lie in files. An allocator keeps what was freed, so before
memory counts as short the free part is returned to the system; otherwise an alarm would outlast the backlog that it
was raised for.

While an alarm is on, nobody reads the blocked sockets and so nobody would notice when their clients go. The watch
does, and hangs up; what such a client had sent beyond its last taken message is lost with it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
from pathlib import Path
from typing import Final

from leveret.broker.alarms import DISK, MEMORY
from leveret.server.limits import shown
from leveret.server.tick import Tick

log: Final = logging.getLogger("leveret.alarms")

INTERVAL: Final = 1.0  # seconds
DEFAULT_DISK_FREE_LIMIT: Final = 1024**3  # octets, or twice a segment if that is more
STATISTICS: Final = Path("/proc/self/statm")
CLIENT_GONE: Final = int(getattr(select, "POLLRDHUP", 0))  # where there is none, POLLHUP is told of all the same


class ResidentMemory:
    """The process's memory. Raises OSError on systems that don't tell it as Linux does."""

    def __init__(self) -> None:
        self._file: Final = os.open(STATISTICS, os.O_RDONLY | os.O_CLOEXEC)
        self._page: Final = os.sysconf("SC_PAGE_SIZE")

    def read(self) -> int:
        """Octets that are resident and in no file."""
        _, resident, in_files = os.pread(self._file, 256, 0).split(b" ", 3)[:3]
        return (int(resident) - int(in_files)) * self._page

    def close(self) -> None:
        """Stop reading it."""
        os.close(self._file)


class AlarmWatch:
    """Raises and clears the alarms of one broker. Limits are octets, and may be changed; without a data folder no disk
    is watched."""

    def __init__(self, tick: Tick, memory_limit: int, data_dir: Path | None, disk_free_limit: int) -> None:
        self._tick: Final = tick
        self.memory_limit = memory_limit
        self._data_dir: Final = data_dir
        self.disk_free_limit = disk_free_limit
        self._memory: ResidentMemory | None = None
        self._next: asyncio.TimerHandle | None = None

    def limits(self) -> tuple[int, int]:
        """How much memory may be in use, and how much of the disk has to be free."""
        return self.memory_limit, self.disk_free_limit

    def start(self) -> None:
        """Check now, and once a second until `stop`."""
        try:
            self._memory = ResidentMemory()
        except OSError:
            # getrusage tells the peak alone: an alarm raised for it would never clear.
            log.warning("this system does not tell how much memory is in use: there is no memory alarm")
        self._run()

    def stop(self) -> None:
        """Leave the alarms as they are."""
        if self._next is not None:
            self._next.cancel()
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _run(self) -> None:
        self._next = self._tick.loop.call_later(INTERVAL, self._run)
        self.check()

    def check(self) -> None:
        """Look once at everything that is watched."""
        if self._memory is not None:
            self._check_memory(self._memory)
        if self._data_dir is not None:
            self._check_disk(self._data_dir)
        if self._tick.broker.alarms.active:
            self._hang_up_on_the_gone()

    def _check_memory(self, memory: ResidentMemory) -> None:
        on = MEMORY in self._tick.broker.alarms.active
        limit = self.memory_limit * 9 // 10 if on else self.memory_limit
        used = memory.read()
        if used > limit:
            return_free_memory()
            used = memory.read()
        if (used > limit) != on:
            self._set(MEMORY, not on, f"{shown(used)} in use, --memory-limit is {shown(self.memory_limit)}")

    def _check_disk(self, folder: Path) -> None:
        on = DISK in self._tick.broker.alarms.active
        limit = self.disk_free_limit * 11 // 10 if on else self.disk_free_limit
        try:
            found = os.statvfs(folder)
            free = found.f_bavail * found.f_frsize
            situation = f"{shown(free)} free for {folder}, --disk-free-limit is {shown(self.disk_free_limit)}"
        except OSError as error:
            free = -1
            situation = f"cannot tell how much is free for {folder}: {error.strerror}"
        if (free < limit) != on:
            self._set(DISK, not on, situation)

    def _set(self, name: str, on: bool, situation: str) -> None:
        if on:
            log.error("%s ALARM: %s; publishing connections are blocked until there is room", name.upper(), situation)
        else:
            log.warning("%s alarm cleared: %s", name, situation)
        self._tick.begin()
        self._tick.broker.set_alarm(name, on)

    def _hang_up_on_the_gone(self) -> None:
        blocked = {client.descriptor: client for client in self._tick.clients.values() if client.connection.blocked}
        poll = select.poll()
        for descriptor in blocked:
            poll.register(descriptor, CLIENT_GONE)
        for descriptor, _ in poll.poll(0):
            self._tick.begin()
            blocked[descriptor].hang_up()


def return_free_memory() -> None:
    """Have the C library return freed memory to the system, if it is one that can."""
    import ctypes  # takes milliseconds, and most brokers never need it

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
