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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from leveret import __version__
from leveret.broker.broker import Broker
from leveret.broker.limits import NodeLimits
from leveret.broker.redeclaring import STRICT
from leveret.broker.users import Defaults
from leveret.build import description
from leveret.server.alarms import DEFAULT_DISK_FREE_LIMIT, AlarmWatch
from leveret.server.control import CannotControl, ControlServer
from leveret.server.limits import most_clients
from leveret.server.listener import CannotListen, Listener, listen_tcp, listen_unix
from leveret.server.management import ManagementListeners, listen_http
from leveret.server.password_checks import PasswordThreads
from leveret.server.storage import CannotStart, open_storage
from leveret.server.tick import Tick
from leveret.store.segment import SEGMENT_SIZE

if TYPE_CHECKING:
    from leveret.management.node import Node

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
    redeclare: str = STRICT
    limits: NodeLimits = field(default_factory=NodeLimits)
    management_port: int | None = None  # of the HTTP API, on the hosts of `bind`; None for no API
    load_definitions: Path | None = None  # a file, or a folder of files, in RabbitMQ's JSON
    skip_if_unchanged: bool = False  # don't load definitions that were the last to be loaded


async def serve(configuration: Configuration) -> None:
    """Run a broker until it is told to stop. Raises CannotStart."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    defaults = Defaults(made=configuration.load_definitions is None)
    storage = open_storage(
        configuration.data_dir, configuration.ephemeral, configuration.sync, configuration.segment_size, loop, defaults
    )
    node = f"leveret@{socket.gethostname()}"
    broker = Broker(
        __version__,
        node,
        time.time,
        os.urandom,
        storage.store,
        configuration.limits,
        configuration.redeclare,
        defaults,
    )
    tick = Tick(broker, loop, most_clients())
    passwords = broker.slow_work = PasswordThreads(tick)
    storage.restore(broker, tick)
    await load(configuration, tick)
    try:
        listeners = await listen(tick, configuration)
        management = await listen_for_management(configuration)
    except CannotListen as error:
        raise CannotStart(str(error)) from None
    urls = [listener.url for listener in listeners] + management.urls
    control = await open_control(configuration, tick, listeners, urls, stopping)
    watch = alarm_watch(tick, configuration)
    log.info("Leveret %s (%s) on Python %s", __version__, description(), sys.version.split()[0])
    storage.report()
    for url in urls:
        log.info("listening on %s", url)
    watch.start()
    print(" ".join(["ready", listeners[0].url, *management.urls[:1]]), flush=True)
    management.serve(partial(managed_node, configuration, tick, urls))
    gc.freeze()  # what is there now stays: no need to look at it again and again
    await stopping.wait()
    log.info("stopping")
    watch.stop()
    for listener in listeners:
        listener.close()
    await asyncio.gather(management.close(), say_goodbye(tick))
    passwords.close()
    await storage.close()
    if control is not None:
        await control.close()


async def load(configuration: Configuration, tick: Tick) -> None:
    """Load the definitions that the configuration names; they are on the disk when this returns. Raises CannotStart."""
    if configuration.load_definitions is None:
        return
    from leveret.management.definitions.loading import CannotLoad, load_definitions  # most starts don't need it

    tick.begin()
    try:
        load_definitions(tick.broker, configuration.load_definitions, configuration.skip_if_unchanged)
    except CannotLoad as error:
        raise CannotStart(str(error)) from None
    committed = asyncio.Event()
    tick.broker.store.when_committed(committed.set)
    await committed.wait()


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
    data_dir = None if configuration.ephemeral else configuration.data_dir
    return AlarmWatch(tick, configuration.memory_limit, data_dir, disk_free_limit(configuration))


def disk_free_limit(configuration: Configuration) -> int:
    """How many octets have to be free for the data folder."""
    if configuration.disk_free_limit is not None:
        return configuration.disk_free_limit
    return max(DEFAULT_DISK_FREE_LIMIT, 2 * configuration.segment_size)


def managed_node(configuration: Configuration, tick: Tick, urls: list[str]) -> Node:
    """What the HTTP API sees of this process."""
    from leveret.management.node import Node  # these come late, as all of the HTTP API does
    from leveret.management.rates import Rates

    limits = configuration.memory_limit, disk_free_limit(configuration)
    return Node(tick.broker, tick.begin, configuration.data_dir, urls, *limits, Rates(tick.broker))


async def listen_for_management(configuration: Configuration) -> ManagementListeners:
    """Open the sockets of the HTTP API, if there is to be one."""
    if configuration.management_port is None:
        return ManagementListeners([])
    return await listen_http(configuration.bind, configuration.management_port)


async def open_control(
    configuration: Configuration, tick: Tick, listeners: list[Listener], urls: list[str], stopping: asyncio.Event
) -> ControlServer | None:
    """Open the control socket, if there is a data folder; CannotStart if that one is another broker's."""
    if configuration.data_dir is None:
        return None
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
