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
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from leveret import __version__
from leveret.broker.broker import Broker
from leveret.broker.parameters import CLUSTER_NAME
from leveret.build import description
from leveret.server.alarms import AlarmWatch
from leveret.server.configuration import Configuration
from leveret.server.control import CannotControl, ControlServer
from leveret.server.control_node import NodeChanges
from leveret.server.from_settings import (
    defaults_of,
    disk_free_limit,
    management_hosts,
    memory_limit,
    node_limits,
    node_name,
    socket_options,
)
from leveret.server.limits import most_clients
from leveret.server.listener import CannotListen, Listener, listen_tcp, listen_unix
from leveret.server.log_output import LogOutput
from leveret.server.management import ManagementListeners, listen_http
from leveret.server.reload import Reload
from leveret.server.setting_kinds import split_address
from leveret.server.settings import Settings
from leveret.server.slow_work import WorkInThreads
from leveret.server.storage import CannotStart, open_storage
from leveret.server.tick import Tick

if TYPE_CHECKING:
    from leveret.management.node import Node

log: Final = logging.getLogger("leveret")

GOODBYE: Final = 0.5  # seconds for clients to answer connection.close


async def serve(configuration: Configuration, output: LogOutput, configure_again: Callable[[], Configuration]) -> None:
    """Run a broker until it is told to stop. SIGHUP has the configuration made anew. Raises CannotStart."""
    settings = configuration.settings
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    reload = Reload(configuration, output, configure_again)
    loop.add_signal_handler(signal.SIGHUP, reload.reload)
    defaults = defaults_of(settings)
    storage = open_storage(settings.folder, settings.ephemeral, settings.sync, settings.segment_size, loop, defaults)
    broker = Broker(
        __version__,
        node_name(settings),
        time.time,
        os.urandom,
        storage.store,
        node_limits(settings),
        settings.redeclare,
        defaults,
        frozenset(settings.loopback_users),
    )
    tick = Tick(broker, loop, most_clients())
    slow_work = broker.slow_work = WorkInThreads(tick)
    storage.restore(broker, tick)
    await define(settings, tick)
    try:
        listeners = await listen(tick, settings)
        management = await listen_for_management(settings)
    except CannotListen as error:
        raise CannotStart(str(error)) from None
    urls = [listener.url for listener in listeners] + management.urls
    watch = alarm_watch(tick, settings)
    control = await open_control(reload, tick, listeners, urls, stopping, watch)
    log.info("Leveret %s (%s) on Python %s", __version__, description(), sys.version.split()[0])
    for file in configuration.files:
        log.info("configured by %s", file)
    for warning in configuration.warnings:
        log.warning("%s", warning)
    storage.report()
    for url in urls:
        log.info("listening on %s", url)
    watch.start()
    print(" ".join(["ready", listeners[0].url, *management.urls[:1]]), flush=True)
    management.serve(partial(managed_node, settings, tick, urls, reload.files, watch))
    gc.freeze()  # what is there now stays: no need to look at it again and again
    await stopping.wait()
    log.info("stopping")
    watch.stop()
    for listener in listeners:
        listener.close()
    await asyncio.gather(management.close(), say_goodbye(tick))
    slow_work.close()
    await storage.close()
    if control is not None:
        await control.close()


async def define(settings: Settings, tick: Tick) -> None:
    """Load the definitions and set the cluster's name, if the settings say so. Raises CannotStart.

    They are on the disk when this returns.
    """
    if settings.load_definitions is None and settings.cluster_name is None:
        return
    from leveret.management.definitions.loading import CannotLoad, load_definitions  # most starts don't need it

    tick.begin()
    if settings.load_definitions is not None:
        try:
            load_definitions(tick.broker, settings.load_definitions, settings.skip_if_unchanged)
        except CannotLoad as error:
            raise CannotStart(str(error)) from None
    if settings.cluster_name is not None:
        tick.broker.parameters.set_global(CLUSTER_NAME, settings.cluster_name)
    committed = asyncio.Event()
    tick.broker.store.when_committed(committed.set)
    await committed.wait()


async def listen(tick: Tick, settings: Settings) -> list[Listener]:
    """Open every listener that the settings ask for. Raises CannotListen."""
    options = socket_options(settings)
    listeners: list[Listener] = []
    port = settings.port
    for address in settings.bind:
        host, own_port = split_address(address)
        added = await listen_tcp(tick, host, int(own_port) if own_port else port, options)
        if not own_port:
            port = int(added[0].sock.getsockname()[1])
        listeners += added
    if settings.unix_socket is not None:
        listeners.append(listen_unix(tick, settings.unix_socket, options))
    if not listeners:
        raise CannotListen("there is nothing to listen on: bind is none, and there is no unix_socket")
    return listeners


def alarm_watch(tick: Tick, settings: Settings) -> AlarmWatch:
    """The watch over memory and disk; a broker that keeps nothing on disk needs no room there."""
    data_dir = None if settings.ephemeral else settings.folder
    return AlarmWatch(tick, memory_limit(settings), data_dir, disk_free_limit(settings))


def managed_node(
    settings: Settings,
    tick: Tick,
    urls: list[str],
    files: Callable[[], tuple[list[str], list[str]]],
    watch: AlarmWatch,
) -> Node:
    """What the HTTP API sees of this process."""
    from leveret.management.node import Node  # these come late, as all of the HTTP API does
    from leveret.management.rates import Rates

    rates = Rates(tick.broker, settings.collect_statistics_interval / 1000)
    return Node(tick.broker, tick.begin, settings.folder, urls, watch.limits, rates, files)


async def listen_for_management(settings: Settings) -> ManagementListeners:
    """Open the sockets of the HTTP API, if there is to be one. Raises CannotListen."""
    if settings.management_port is None:
        return ManagementListeners([])
    return await listen_http(management_hosts(settings), settings.management_port)


async def open_control(
    reload: Reload,
    tick: Tick,
    listeners: list[Listener],
    urls: list[str],
    stopping: asyncio.Event,
    watch: AlarmWatch,
) -> ControlServer | None:
    """Open the control socket, if there is a data folder; CannotStart if that one is another broker's."""
    folder = reload.settings.folder
    if folder is None:
        return None
    node = NodeChanges(watch, reload)
    node_operations = {
        "set_vm_memory_high_watermark": node.set_memory_limit,
        "set_disk_free_limit": node.set_disk_free_limit,
        "set_log_level": node.set_log_level,
        "rotate_logs": node.rotate_logs,
        "environment": node.environment,
    }
    control = ControlServer(tick.broker, stopping.set, folder, urls, tick.begin, reload.files, node_operations)
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
