"""The broker of a server with what it lives on: the tick that drives it, the storage that keeps it, its threads.

It is restored before anybody may reach it, and ends by telling every client 320 CONNECTION_FORCED, with a moment for
them to hear it; then what is pending is written.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final

from leveret import __version__
from leveret.broker.broker import Broker
from leveret.broker.parameters import CLUSTER_NAME
from leveret.server.from_settings import defaults_of, mechanisms, node_limits, node_name
from leveret.server.limits import most_clients
from leveret.server.settings import Settings
from leveret.server.slow_work import WorkInThreads
from leveret.server.storage import CannotStart, open_storage
from leveret.server.tick import Tick

GOODBYE: Final = 0.5  # seconds for clients to answer connection.close


class RunningBroker:
    """A broker that these settings ask for."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        """Take the data folder, and make the broker, with nothing in it yet. Raises CannotStart."""
        self._settings: Final = settings
        defaults = defaults_of(settings)
        self.storage: Final = open_storage(
            settings.folder, settings.ephemeral, settings.sync, settings.segment_size, loop, defaults
        )
        self.broker: Final = Broker(
            __version__,
            node_name(settings),
            time.time,
            os.urandom,
            self.storage.store,
            node_limits(settings),
            settings.redeclare,
            defaults,
            frozenset(settings.loopback_users),
        )
        self.broker.mechanisms = mechanisms(settings)
        self.tick: Final = Tick(self.broker, loop, most_clients())
        self._slow_work: Final = WorkInThreads(self.tick)
        self.broker.slow_work = self._slow_work

    async def restore(self) -> None:
        """Give the broker what was kept, and what the settings define. Raises CannotStart."""
        self.storage.restore(self.broker, self.tick)
        await self._define()

    async def _define(self) -> None:
        """Load the definitions and set the cluster's name, if the settings say so.

        They are on the disk when this returns.
        """
        settings = self._settings
        if settings.load_definitions is None and settings.cluster_name is None:
            return
        from leveret.management.definitions.loading import CannotLoad, load_definitions  # most starts don't need it

        self.tick.begin()
        if settings.load_definitions is not None:
            try:
                load_definitions(self.broker, settings.load_definitions, settings.skip_if_unchanged)
            except CannotLoad as error:
                raise CannotStart(str(error)) from None
        if settings.cluster_name is not None:
            self.broker.parameters.set_global(CLUSTER_NAME, settings.cluster_name)
        committed = asyncio.Event()
        self.broker.store.when_committed(committed.set)
        await committed.wait()

    async def say_goodbye(self) -> None:
        """Close every connection, and wait a moment for the clients to agree."""
        self.tick.begin()
        self.broker.shut_down()
        deadline = self.tick.loop.time() + GOODBYE
        while self.tick.clients and self.tick.loop.time() < deadline:
            await asyncio.sleep(0.01)
        for client in list(self.tick.clients.values()):
            client.close()

    async def close(self) -> None:
        """Write what is pending, and leave the data folder to others."""
        self._slow_work.close()
        await self.storage.close()
