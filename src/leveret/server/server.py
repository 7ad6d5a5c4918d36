"""`leveret serve`: from the configuration to a serving broker, and down again.

Starting makes the data folder, the broker, its listeners and the control socket, in this order, and says `ready`
when all of them serve. SIGTERM, SIGINT and `leveretctl stop` tell every client 320 CONNECTION_FORCED and give them
a moment to hear it. What systemd wants to know of this is told by `service_manager`.
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
from leveret.management.certificate_expiration import CertificateFiles
from leveret.server.alarms import AlarmWatch
from leveret.server.amqp_listeners import AmqpListeners
from leveret.server.configuration import Configuration
from leveret.server.control import CannotControl, ControlServer
from leveret.server.control_facts import Facts
from leveret.server.control_node import NodeChanges
from leveret.server.from_settings import (
    defaults_of,
    disk_free_limit,
    mechanisms,
    memory_limit,
    node_limits,
    node_name,
)
from leveret.server.limits import most_clients
from leveret.server.listener import CannotListen
from leveret.server.log_output import LogOutput
from leveret.server.maintenance import Maintenance
from leveret.server.management import API, METRICS, HttpListeners, open_http
from leveret.server.recent_log import RecentLog
from leveret.server.reload import Reload
from leveret.server.service_manager import ServiceManager, handed_sockets
from leveret.server.settings import Settings
from leveret.server.slow_work import WorkInThreads
from leveret.server.storage import CannotStart, open_storage
from leveret.server.tick import Tick

if TYPE_CHECKING:
    from leveret.management.node import HttpOptions, Node

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
    manager = ServiceManager(os.environ)
    handed = handed_sockets(os.environ)
    manager.tell("STATUS=reading the data folder")
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
    broker.mechanisms = mechanisms(settings)
    tick = Tick(broker, loop, most_clients())
    slow_work = broker.slow_work = WorkInThreads(tick)
    storage.restore(broker, tick)
    await define(settings, tick)
    listeners = AmqpListeners(tick, settings)
    management, metrics = HttpListeners(API), HttpListeners(METRICS)
    reload.also.extend([listeners.reload, management.reload, metrics.reload])
    try:
        await listeners.open(handed)
        await open_http(management, metrics, settings, handed)
    except CannotListen as error:
        raise CannotStart(str(error)) from None
    urls = listeners.urls() + management.urls() + metrics.urls()
    watch = alarm_watch(tick, settings)
    certificate_files = listeners.certificate_files() | management.certificate_files() | metrics.certificate_files()
    control = await open_control(reload, tick, listeners, urls, certificate_files, stopping, watch)
    log.info("Leveret %s (%s) on Python %s", __version__, description(), sys.version.split()[0])
    for file in configuration.files:
        log.info("configured by %s", file)
    for warning in configuration.warnings:
        log.warning("%s", warning)
    for name in handed:
        log.warning("systemd has handed over sockets named '%s', which nothing here serves", name)
    storage.report()
    for url in urls:
        log.info("listening on %s", url)
    watch.start()
    print(" ".join(["ready", *listeners.urls()[:1], *management.urls()[:1], *metrics.urls()[:1]]), flush=True)
    make_node = partial(managed_node, settings, tick, urls, reload.files, certificate_files, watch, output.recent)
    management.serve(make_node)
    metrics.serve(make_node)
    gc.freeze()  # what is there now stays: no need to look at it again and again
    manager.tell("READY=1", f"STATUS=listening on {', '.join(urls)}")
    manager.keep_watch(loop)
    await stopping.wait()
    log.info("stopping")
    manager.tell("STOPPING=1", "STATUS=closing connections")
    watch.stop()
    listeners.close()
    await asyncio.gather(management.close(), metrics.close(), say_goodbye(tick))
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


def alarm_watch(tick: Tick, settings: Settings) -> AlarmWatch:
    """The watch over memory and disk; a broker that keeps nothing on disk needs no room there."""
    data_dir = None if settings.ephemeral else settings.folder
    return AlarmWatch(tick, memory_limit(settings), data_dir, disk_free_limit(settings))


def managed_node(
    settings: Settings,
    tick: Tick,
    urls: list[str],
    files: Callable[[], tuple[list[str], list[str]]],
    certificate_files: CertificateFiles,
    watch: AlarmWatch,
    recent_log: RecentLog,
) -> Node:
    """What the HTTP API and the metrics see of this process."""
    from leveret.management.node import Node  # these come late, as all of the HTTP API does
    from leveret.management.rates import Rates

    http = http_options(settings)
    sampled = http.rates_mode != "none" and not http.without_statistics
    rates = Rates(tick.broker, settings.collect_statistics_interval / 1000 if sampled else None)
    return Node(
        tick.broker,
        tick.begin,
        settings.folder,
        urls,
        watch.limits,
        rates,
        files,
        certificate_files,
        recent_log,
        settings.prometheus_path,
        settings.prometheus_return_per_object_metrics,
        settings.prometheus_authentication,
        http,
    )


def http_options(settings: Settings) -> HttpOptions:
    """How the HTTP API is to be. RabbitMQ's detailed rates are not here."""
    from leveret.management.node import HttpOptions

    prefix = settings.management_path_prefix.strip("/")
    rates_mode = "none" if settings.management_rates_mode == "none" else "basic"
    return HttpOptions(
        f"/{prefix}" if prefix else "",
        rates_mode,
        settings.management_disable_stats,
        settings.management_enable_queue_totals,
        settings.management_max_body_size,
    )


async def open_control(
    reload: Reload,
    tick: Tick,
    listeners: AmqpListeners,
    urls: list[str],
    certificate_files: CertificateFiles,
    stopping: asyncio.Event,
    watch: AlarmWatch,
) -> ControlServer | None:
    """Open the control socket, if there is a data folder; CannotStart if that one is another broker's."""
    folder = reload.settings.folder
    if folder is None:
        return None
    node = NodeChanges(watch, reload, tick.broker.node, certificate_files)
    maintenance, facts = Maintenance(tick.broker, listeners), Facts(tick.broker, certificate_files)
    node_operations = {
        "set_vm_memory_high_watermark": node.set_memory_limit,
        "set_disk_free_limit": node.set_disk_free_limit,
        "set_log_level": node.set_log_level,
        "rotate_logs": node.rotate_logs,
        "environment": node.environment,
        "check_certificate_expiration": node.expiring_certificates,
        "suspend_listeners": maintenance.suspend_listeners,
        "resume_listeners": maintenance.resume_listeners,
        "drain": maintenance.drain,
        "revive": maintenance.revive,
        "certificates": facts.certificates,
        "tls": facts.tls,
        "os_env": facts.environment,
        "command_line_arguments": facts.command_line,
        "list_policies_that_match": facts.policies_that_match,
        "force_gc": facts.collect_garbage,
    }
    control = ControlServer(tick.broker, stopping.set, folder, urls, tick.begin, reload.files, node_operations)
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
