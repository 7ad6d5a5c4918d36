"""`leveret serve`: from the configuration to a serving broker, and down again.

Starting makes the data folder, the broker, its listeners and the control socket, in this order, and says `ready`
when all of them serve. SIGTERM, SIGINT and `leveretctl stop` tell every client 320 CONNECTION_FORCED and give them
a moment to hear it. SIGHUP has certificates read again.
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
from leveret.broker.mechanisms import DEFAULT_MECHANISMS
from leveret.broker.redeclaring import STRICT
from leveret.build import description
from leveret.server.alarms import DEFAULT_DISK_FREE_LIMIT, AlarmWatch
from leveret.server.amqp_listeners import AmqpListeners
from leveret.server.certificate import DISTINGUISHED_NAME
from leveret.server.control import CannotControl, ControlServer
from leveret.server.limits import most_clients
from leveret.server.listener import CannotListen
from leveret.server.proxy_protocol import Network
from leveret.server.service_manager import ServiceManager, handed_sockets
from leveret.server.storage import CannotStart, open_storage
from leveret.server.tick import Tick
from leveret.server.tls import DEPTH, VERIFY_NONE, NamedCertificate
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
    redeclare: str = STRICT
    limits: NodeLimits = field(default_factory=NodeLimits)
    tls_bind: tuple[str, ...] = ()
    tls_port: int = 5671
    tls_certfile: Path | None = None
    tls_keyfile: Path | None = None
    tls_password: str | None = None
    tls_cacertfile: Path | None = None
    tls_verify: str = VERIFY_NONE
    tls_fail_if_no_peer_cert: bool = False
    tls_depth: int = DEPTH
    tls_versions: tuple[str, ...] = ("tlsv1.3", "tlsv1.2")
    tls_ciphers: tuple[str, ...] = ()
    tls_sni: tuple[NamedCertificate, ...] = ()
    tls_cert_login_from: str = DISTINGUISHED_NAME
    tls_cert_login_san_type: str = "dns"
    tls_cert_login_san_index: int = 0
    tls_handshake_timeout: int = 5000  # milliseconds
    auth_mechanisms: tuple[str, ...] = DEFAULT_MECHANISMS
    proxy_protocol: bool = False
    proxy_protocol_trusted_sources: tuple[Network, ...] = ()


async def serve(configuration: Configuration) -> None:
    """Run a broker until it is told to stop. Raises CannotStart."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    listeners = AmqpListeners()
    loop.add_signal_handler(signal.SIGHUP, listeners.reload)
    manager = ServiceManager(os.environ)
    handed = handed_sockets(os.environ)
    manager.tell("STATUS=reading the data folder")
    storage = open_storage(
        configuration.data_dir, configuration.ephemeral, configuration.sync, configuration.segment_size, loop
    )
    node = f"leveret@{socket.gethostname()}"
    broker = Broker(
        __version__, node, time.time, os.urandom, storage.store, configuration.limits, configuration.redeclare
    )
    broker.mechanisms = configuration.auth_mechanisms
    tick = Tick(broker, loop, most_clients())
    storage.restore(broker, tick)
    try:
        await listeners.open(tick, configuration, handed)
    except CannotListen as error:
        raise CannotStart(str(error)) from None
    control = await open_control(configuration, tick, listeners, stopping)
    watch = alarm_watch(tick, configuration)
    log.info("Leveret %s (%s) on Python %s", __version__, description(), sys.version.split()[0])
    storage.report()
    for name in handed:
        log.warning("systemd has handed over sockets named '%s', which nothing here serves", name)
    for url in listeners.urls():
        log.info("listening on %s", url)
    watch.start()
    gc.freeze()  # what is there now stays: no need to look at it again and again
    print(f"ready {listeners.opened[0].url}", flush=True)
    manager.tell("READY=1", f"STATUS=listening on {', '.join(listeners.urls())}")
    manager.keep_watch(loop)
    await stopping.wait()
    log.info("stopping")
    manager.tell("STOPPING=1", "STATUS=closing connections")
    watch.stop()
    listeners.close()
    await say_goodbye(tick)
    await storage.close()
    if control is not None:
        await control.close()


def alarm_watch(tick: Tick, configuration: Configuration) -> AlarmWatch:
    """The watch over memory and disk; a broker that keeps nothing on disk needs no room there."""
    disk_free_limit = configuration.disk_free_limit
    if disk_free_limit is None:
        disk_free_limit = max(DEFAULT_DISK_FREE_LIMIT, 2 * configuration.segment_size)
    data_dir = None if configuration.ephemeral else configuration.data_dir
    return AlarmWatch(tick, configuration.memory_limit, data_dir, disk_free_limit)


async def open_control(
    configuration: Configuration, tick: Tick, listeners: AmqpListeners, stopping: asyncio.Event
) -> ControlServer | None:
    """Open the control socket, if there is a data folder; CannotStart if that one is another broker's."""
    if configuration.data_dir is None:
        return None
    control = ControlServer(tick.broker, stopping.set, configuration.data_dir, listeners.urls(), tick.begin)
    try:
        await control.start()
    except CannotControl as error:
        listeners.close()
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
