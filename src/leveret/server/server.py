"""`leveret serve`: from the configuration to a serving broker, and down again.

Starting makes the data folder, the broker, its listeners and the control socket, in this order, and says `ready`
when all of them serve. SIGTERM, SIGINT and `leveretctl stop` tell every client 320 CONNECTION_FORCED and give them
a moment to hear it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from leveret import __version__
from leveret.broker.broker import Broker
from leveret.broker.limits import NodeLimits
from leveret.build import description
from leveret.server.alarms import DEFAULT_DISK_FREE_LIMIT, AlarmWatch
from leveret.server.control import CannotControl, ControlServer
from leveret.server.limits import most_clients
from leveret.server.listener import CannotListen, Listener, listen_tcp, listen_unix
from leveret.server.password_checks import PasswordThreads
from leveret.server.storage import CannotStart, open_storage
from leveret.server.tick import Tick
from leveret.store.segment import SEGMENT_SIZE

log: Final = logging.getLogger("leveret")

GOODBYE: Final = 0.5  # seconds for clients to answer connection.close


@dataclass(frozen=True)
class Configuration:
    """What `leveret serve` was asked for. `data_dir` None means that nothing is on disk and nobody can control it."""

    bind: tuple[str, ...]
    port: int
    unix_socket: Path | None
    data_dir: Path | None
    ephemeral: bool
    memory_limit: int  # octets
    disk_free_limit: int | None = None  # octets; None takes the default
    sync: str = "always"  # or never, or interval=MS
    segment_size: int = SEGMENT_SIZE  # octets
    limits: NodeLimits = field(default_factory=NodeLimits)


async def serve(configuration: Configuration) -> None:
    """Run a broker until it is told to stop. Raises CannotStart."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    storage = open_storage(
        configuration.data_dir, configuration.ephemeral, configuration.sync, configuration.segment_size, loop
    )
    node = f"leveret@{socket.gethostname()}"
    broker = Broker(__version__, node, time.time, os.urandom, storage.store, configuration.limits)
    tick = Tick(broker, loop, most_clients())
    passwords = broker.slow_work = PasswordThreads(tick)
    storage.restore(broker, tick)
    try:
        listeners = await listen(tick, configuration)
    except CannotListen as error:
        raise CannotStart(str(error)) from None
    control = await open_control(configuration, tick, listeners, stopping)
    watch = alarm_watch(tick, configuration)
    log.info("Leveret %s (%s) on Python %s", __version__, description(), sys.version.split()[0])
    storage.report()
    for listener in listeners:
        log.info("listening on %s", listener.url)
    watch.start()
    gc.freeze()  # what is there now stays: no need to look at it again and again
    print(f"ready {listeners[0].url}", flush=True)
    await stopping.wait()
    log.info("stopping")
    watch.stop()
    for listener in listeners:
        listener.close()
    await say_goodbye(tick)
    passwords.close()
    await storage.close()
    if control is not None:
        await control.close()


async def listen(tick: Tick, configuration: Configuration) -> list[Listener]:
    """Open every listener that the configuration asks for."""
    listeners: list[Listener] = []
    port = configuration.port
    for host in configuration.bind:
        added = await listen_tcp(tick, host, port)
        port = int(added[0].sock.getsockname()[1])
        listeners += added
    if configuration.unix_socket is not None:
        listeners.append(listen_unix(tick, configuration.unix_socket))
    return listeners


def alarm_watch(tick: Tick, configuration: Configuration) -> AlarmWatch:
    """The watch over memory and disk; a broker that keeps nothing on disk needs no room there."""
    disk_free_limit = configuration.disk_free_limit
    if disk_free_limit is None:
        disk_free_limit = max(DEFAULT_DISK_FREE_LIMIT, 2 * configuration.segment_size)
    data_dir = None if configuration.ephemeral else configuration.data_dir
    return AlarmWatch(tick, configuration.memory_limit, data_dir, disk_free_limit)


async def open_control(
    configuration: Configuration, tick: Tick, listeners: list[Listener], stopping: asyncio.Event
) -> ControlServer | None:
    """Open the control socket, if there is a data folder; CannotStart if that one is another broker's."""
    if configuration.data_dir is None:
        return None
    urls = [listener.url for listener in listeners]
    control = ControlServer(tick.broker, stopping.set, configuration.data_dir, urls, tick.begin)
    try:
        await control.start()
    except CannotControl as error:
        for listener in listeners:
            listener.close()
        raise CannotStart(str(error)) from None
    return control


async def say_goodbye(tick: Tick) -> None:
    """Close every connection, and wait a moment for the clients to agree."""
    tick.begin()
    tick.broker.shut_down()
    deadline = tick.loop.time() + GOODBYE
    while tick.clients and tick.loop.time() < deadline:
        await asyncio.sleep(0.01)
    for client in list(tick.clients.values()):
        client.close()
