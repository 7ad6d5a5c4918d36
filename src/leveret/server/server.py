"""`leveret serve`: from the configuration to a serving broker, and down again.

Starting takes the data folder, restores the broker, opens its listeners and the control socket, in this order, and
says `ready` when all of them serve. SIGTERM, SIGINT and `leveretctl stop` end it. What systemd wants to know of this is
told by `service_manager`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from leveret import __version__
from leveret.build import description
from leveret.management.status import node_status
from leveret.server.alarms import AlarmWatch
from leveret.server.all_listeners import AllListeners
from leveret.server.configuration import Configuration
from leveret.server.control import CannotControl, ControlServer
from leveret.server.control_commands import ControlCommands
from leveret.server.control_facts import Facts
from leveret.server.control_maintenance import Maintenance
from leveret.server.control_node import NodeChanges
from leveret.server.from_settings import disk_free_limit, memory_limit
from leveret.server.listener import CannotListen
from leveret.server.log_output import LogOutput
from leveret.server.managed_node import managed_node
from leveret.server.reload import Reload
from leveret.server.running_broker import RunningBroker
from leveret.server.service_manager import HandedSockets, ServiceManager, handed_sockets
from leveret.server.settings import Settings
from leveret.server.storage import CannotStart
from leveret.server.tick import Tick

log: Final = logging.getLogger("leveret")


async def serve(configuration: Configuration, output: LogOutput, configure_again: Callable[[], Configuration]) -> None:
    """Run a broker until it is told to stop. SIGHUP has the configuration made anew. Raises CannotStart."""
    settings, loop, stopping = configuration.settings, asyncio.get_running_loop(), asyncio.Event()
    reload = Reload(configuration, output, configure_again)
    heed_signals(loop, stopping.set, reload.reload)
    manager, handed = ServiceManager(os.environ), handed_sockets(os.environ)

    manager.tell("STATUS=reading the data folder")
    running = RunningBroker(settings, loop)
    await running.restore()

    listeners = AllListeners(running.tick, settings)
    reload.also.append(listeners.reload)
    watch = alarm_watch(running.tick, settings)
    try:
        await listeners.open(handed)
        control = await open_control(running, listeners, watch, reload, stopping.set)
    except (CannotListen, CannotControl) as error:
        await listeners.close()
        raise CannotStart(str(error)) from None

    report(configuration, running, listeners, handed)
    watch.start()
    say_ready(listeners.main_urls())
    listeners.serve_http(partial(managed_node, settings, running.tick, listeners, watch, reload, output.recent))
    gc.freeze()  # what is there now stays: no need to look at it again and again
    manager.tell("READY=1", f"STATUS=listening on {', '.join(listeners.urls)}")
    manager.keep_watch(loop)

    await stopping.wait()
    log.info("stopping")
    manager.tell("STOPPING=1", "STATUS=closing connections")
    watch.stop()
    await asyncio.gather(listeners.close(), running.say_goodbye())
    await running.close()
    if control is not None:
        await control.close()


def heed_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], object], reload: Callable[[], None]) -> None:
    """From now on SIGTERM and SIGINT stop the broker, and SIGHUP reloads its configuration."""
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)


def alarm_watch(tick: Tick, settings: Settings) -> AlarmWatch:
    """The watch over memory and disk; a broker that keeps nothing on disk needs no room there."""
    data_dir = None if settings.ephemeral else settings.folder
    return AlarmWatch(tick, memory_limit(settings), data_dir, disk_free_limit(settings))


async def open_control(
    running: RunningBroker,
    listeners: AllListeners,
    watch: AlarmWatch,
    reload: Reload,
    on_stop: Callable[[], None],
) -> ControlServer | None:
    """Open the control socket, if there is a data folder. Raises CannotControl if that one is another broker's."""
    folder, broker = reload.settings.folder, running.broker
    if folder is None:
        return None
    operations = {
        **NodeChanges(watch, reload, broker.node, listeners.certificate_files).commands,
        **Maintenance(broker, listeners.amqp).commands,
        **Facts(broker, listeners.certificate_files).commands,
    }
    folder = folder.absolute()
    commands = ControlCommands(
        broker, running.tick.begin, lambda: node_status(broker, folder, listeners.urls, *reload.files()), operations
    )
    control = ControlServer(commands, folder, on_stop)
    await control.start()
    return control


def say_ready(urls: list[str]) -> None:
    """Say so on standard output. A broker that serves goes on if nobody reads that."""
    try:
        os.write(sys.stdout.fileno(), f"{' '.join(['ready', *urls])}\n".encode("utf-8", "surrogateescape"))
    except OSError as error:
        log.warning("cannot say on standard output that the broker is ready: %s", error.strerror)


def report(
    configuration: Configuration, running: RunningBroker, listeners: AllListeners, handed: HandedSockets
) -> None:
    """Log what was started, and what there is to say of it. What is left of `handed` nobody serves."""
    log.info("Leveret %s (%s) on Python %s", __version__, description(), sys.version.split()[0])
    for file in configuration.files:
        log.info("configured by %s", file)
    for warning in configuration.warnings:
        log.warning("%s", warning)
    for name in handed:
        log.warning("systemd has handed over sockets named '%s', which nothing here serves", name)
    running.storage.report()
    for url in listeners.urls:
        log.info("listening on %s", url)
