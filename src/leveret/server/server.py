"""`leveret serve`: from the configuration to a serving broker, and down again.

Starting makes the data folder, the broker, its listeners and the control socket, in this order, and says `ready`
when all of them serve. SIGTERM, SIGINT and `leveretctl stop` tell every client 320 CONNECTION_FORCED and give them
a moment to hear it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leveret import __version__
from leveret.broker.broker import Broker
from leveret.build import description
from leveret.server.control import CannotControl, ControlServer
from leveret.server.listener import CannotListen, Listener, listen_tcp, listen_unix
from leveret.server.tick import Tick

log: Final = logging.getLogger("leveret")

GOODBYE: Final = 0.5  # seconds for clients to answer connection.close


class CannotStart(Exception):
    """The broker can't start; the text is for the operator."""


@dataclass(frozen=True)
class Configuration:
    """What `leveret serve` was asked for. `data_dir` None means that nothing is on disk and nobody can control it."""

    bind: tuple[str, ...]
    port: int
    unix_socket: Path | None
    data_dir: Path | None
    ephemeral: bool


async def serve(configuration: Configuration) -> None:
    """Run a broker until it is told to stop. Raises CannotStart."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if configuration.data_dir is not None:
        make_data_dir(configuration.data_dir)
    broker = Broker(__version__, f"leveret@{socket.gethostname()}", time.time, os.urandom)
    tick = Tick(broker, loop)
    try:
        listeners = await listen(tick, configuration)
    except CannotListen as error:
        raise CannotStart(str(error)) from None
    control = await open_control(configuration, broker, listeners, stopping)
    log.info("Leveret %s (%s) on Python %s", __version__, description(), sys.version.split()[0])
    for listener in listeners:
        log.info("listening on %s", listener.url)
    print(f"ready {listeners[0].url}", flush=True)
    await stopping.wait()
    log.info("stopping")
    for listener in listeners:
        listener.close()
    await say_goodbye(tick)
    if control is not None:
        await control.close()


def make_data_dir(path: Path) -> None:
    """Make the data folder, or raise CannotStart if it can't be written to."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CannotStart(f"cannot make the data folder {path}: {error.strerror}") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise CannotStart(f"cannot write to the data folder {path}")


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


async def open_control(
    configuration: Configuration, broker: Broker, listeners: list[Listener], stopping: asyncio.Event
) -> ControlServer | None:
    """Open the control socket, if there is a data folder; CannotStart if that one is another broker's."""
    if configuration.data_dir is None:
        return None
    control = ControlServer(broker, stopping.set, configuration.data_dir, [listener.url for listener in listeners])
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
