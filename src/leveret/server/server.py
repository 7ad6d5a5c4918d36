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
from collections.abc import Callable
from dataclasses import fields
from typing import Final

from leveret import __version__
from leveret.broker.broker import Broker
from leveret.broker.defaults import Defaults, DefaultUser
from leveret.broker.limits import NodeLimits
from leveret.build import description
from leveret.server.alarms import DEFAULT_DISK_FREE_LIMIT, AlarmWatch
from leveret.server.configuration import Configuration
from leveret.server.control import CannotControl, ControlServer
from leveret.server.limit_settings import LimitSettings
from leveret.server.limits import most_clients, octets_of
from leveret.server.listener import CannotListen, Listener, SocketOptions, listen_tcp, listen_unix
from leveret.server.log_output import LogOutput
from leveret.server.reload import Reload
from leveret.server.setting_kinds import split_address
from leveret.server.settings import Settings
from leveret.server.storage import CannotStart, open_storage
from leveret.server.tick import Tick

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
    storage.restore(broker, tick)
    try:
        listeners = await listen(tick, settings)
    except CannotListen as error:
        raise CannotStart(str(error)) from None
    control = await open_control(reload, tick, listeners, stopping)
    watch = alarm_watch(tick, settings)
    log.info("Leveret %s (%s) on Python %s", __version__, description(), sys.version.split()[0])
    for file in configuration.files:
        log.info("configured by %s", file)
    for warning in configuration.warnings:
        log.warning("%s", warning)
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
    await storage.close()
    if control is not None:
        await control.close()


def node_name(settings: Settings) -> str:
    """The node's name, with that of the host."""
    name = settings.node_name or "leveret"
    return name if "@" in name else f"{name}@{socket.gethostname()}"


def defaults_of(settings: Settings) -> Defaults:
    """What a new broker, and a new virtual host, begins with."""
    first = DefaultUser(
        settings.default_user,
        settings.default_pass,
        settings.default_user_tags,
        configure=settings.default_permissions_configure,
        write=settings.default_permissions_write,
        read=settings.default_permissions_read,
    )
    others = [
        DefaultUser(user.name, user.password, user.tags, user.vhost_pattern, user.configure, user.write, user.read)
        for user in settings.default_users
    ]
    return Defaults(settings.default_vhost, first, others, settings.default_queue_type or "")


def node_limits(settings: Settings) -> NodeLimits:
    """The limits of the node, which have their names in the settings."""
    return NodeLimits(**{limit.name: getattr(settings, limit.name) for limit in fields(LimitSettings)})


async def listen(tick: Tick, settings: Settings) -> list[Listener]:
    """Open every listener that the settings ask for. Raises CannotListen."""
    options = SocketOptions(
        settings.tcp_backlog, settings.tcp_nodelay, settings.tcp_keepalive, settings.tcp_sndbuf, settings.tcp_recbuf
    )
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
    memory_limit = octets_of(settings.memory_limit, settings.memory_total)
    disk_free_limit = max(DEFAULT_DISK_FREE_LIMIT, 2 * settings.segment_size)
    if settings.disk_free_limit is not None:
        disk_free_limit = octets_of(settings.disk_free_limit, settings.memory_total)
    data_dir = None if settings.ephemeral else settings.folder
    return AlarmWatch(tick, memory_limit, data_dir, disk_free_limit)


async def open_control(
    reload: Reload, tick: Tick, listeners: list[Listener], stopping: asyncio.Event
) -> ControlServer | None:
    """Open the control socket, if there is a data folder; CannotStart if that one is another broker's."""
    folder = reload.settings.folder
    if folder is None:
        return None
    urls = [listener.url for listener in listeners]
    control = ControlServer(tick.broker, stopping.set, folder, urls, tick.begin, reload.files)
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
