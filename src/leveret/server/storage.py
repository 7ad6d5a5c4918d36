"""The data folder and the store in it, as a server opens them at its start and closes them at its end.

A store that can't write ends the process at once: what it promised is on the disk, and after a failed write or sync
nobody knows what else is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from leveret.broker.broker import Broker
from leveret.broker.defaults import Defaults
from leveret.broker.durability import Store
from leveret.server.data_dir import CannotUse, DataDirectory
from leveret.server.tick import Tick
from leveret.store.definitions import CannotUseDefinitions
from leveret.store.files import Files
from leveret.store.local import LocalStore
from leveret.store.recovery import Damage, Recovery
from leveret.store.segment import NewerFormat

log: Final = logging.getLogger("leveret.store")

STATUS_FAILED: Final = 74  # sysexits' EX_IOERR
LAST_WRITES: Final = 2.0  # seconds for what is pending when the broker stops


class CannotStart(Exception):
    """The broker can't start; the text is for the operator."""


class Storage:
    """What a server keeps its state with: nothing, or a data folder."""

    def __init__(self, store: Store, directory: DataDirectory | None) -> None:
        self.store: Final = store
        self._directory: Final = directory
        self.tick: Tick | None = None
        self._recovery: Recovery | None = None
        self._seconds = 0.0

    def restore(self, broker: Broker, tick: Tick) -> None:
        """Give the broker what was kept. Raises CannotStart."""
        self.tick = tick
        if not isinstance(self.store, LocalStore) or self._directory is None:
            return
        begin = time.monotonic()
        try:
            self._recovery = self.store.restore(broker)
        except (NewerFormat, OSError) as error:
            raise CannotStart(f"cannot read the message log: {error}") from None
        self._seconds = time.monotonic() - begin
        tick.begin()  # for what has expired meanwhile, and for what will

    def report(self) -> None:
        """Log what was found in the data folder, and set aside what could not be read."""
        if isinstance(self.store, LocalStore) and self.store.sync != "always":
            log.warning("sync is %s: a power failure loses messages that were confirmed", self.store.sync)
        recovery = self._recovery
        if recovery is None or self._directory is None:
            return
        log.info(
            "recovered %s messages in %s queues from %s segments in %.2f s",
            recovery.messages,
            len({queue_id for queue_id, _ in recovery.queues}),
            len(recovery.segments),
            self._seconds,
        )
        set_aside(recovery.damages, self._directory.damaged)
        if recovery.torn:
            log.warning("cut %s octets of an unfinished write from the end of the message log", recovery.torn)

    async def close(self) -> None:
        """Write what is pending and let go of the folder."""
        if isinstance(self.store, LocalStore) and self.tick is not None:
            deadline = time.monotonic() + LAST_WRITES
            while not self.store.idle() and time.monotonic() < deadline:
                self.tick.begin()
                await asyncio.sleep(0.002)
            self.store.close()
        if self._directory is not None:
            self._directory.close()


def open_storage(
    path: Path | None,
    ephemeral: bool,
    sync: str,
    segment_size: int,
    loop: asyncio.AbstractEventLoop,
    defaults: Defaults,
) -> Storage:
    """Open the data folder and the store in it; a new one begins with the defaults. Raises CannotStart."""
    try:
        directory = None if path is None else DataDirectory(path)
    except CannotUse as error:
        raise CannotStart(str(error)) from None
    if directory is None or ephemeral:
        return Storage(Store(), directory)
    mailbox = Mailbox(loop)
    try:
        directory.messages.mkdir(mode=0o700, exist_ok=True)
        store = LocalStore(
            str(directory.definitions),
            str(directory.messages),
            Files(),
            sync,
            mailbox.post,
            fail,
            segment_size,
            defaults,
        )
    except (CannotUseDefinitions, OSError) as error:
        directory.close()
        raise CannotStart(str(error)) from None
    storage = Storage(store, directory)
    mailbox.storage = storage
    return storage


class Mailbox:
    """How the store's threads have something run on the event loop, as part of a tick."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Final = loop
        self.storage: Storage | None = None

    def post(self, action: Callable[[], None]) -> None:
        """Run an action in a tick; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits for the result
            self._loop.call_soon_threadsafe(self._run, action)

    def _run(self, action: Callable[[], None]) -> None:
        if self.storage is not None and self.storage.tick is not None:
            self.storage.tick.run(action)
        else:
            action()


def fail(error: BaseException) -> None:
    """The store can't go on: say why and end."""
    log.critical("the store failed, and the broker ends: %s", error, exc_info=not isinstance(error, OSError))
    logging.shutdown()
    os._exit(STATUS_FAILED)


def set_aside(damages: list[Damage], folder: Path) -> None:
    """Keep what could not be read in files of its own, and log where it was."""
    for damage in damages:
        path = folder / f"{damage.number:08d}-{damage.offset}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            path.write_bytes(damage.octets)
            became = f"set aside in {path}"
        except OSError as error:
            became = f"could not be set aside: {error}"
        log.error(
            "segment %s is damaged from octet %s on: %s octets %s",
            damage.number,
            damage.offset,
            len(damage.octets),
            became,
        )
