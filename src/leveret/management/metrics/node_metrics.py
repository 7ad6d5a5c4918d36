"""The metrics that a node has one of, or a few under fixed labels: all of them come from counters that are there."""

from __future__ import annotations

import platform
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from leveret.broker.alarms import DISK, MEMORY
from leveret.broker.broker import PRODUCT_VERSION
from leveret.broker.histogram import Histogram
from leveret.broker.login import PROTOCOLS
from leveret.broker.parameters import CLUSTER_ID
from leveret.broker.traffic import SIZE_BOUNDS
from leveret.management.metrics.families import COUNTER, GAUGE, UNTYPED, Description
from leveret.management.node import Node
from leveret.management.status import disk_free, open_descriptors, resident_memory

Samples: TypeAlias = Sequence[tuple[dict[str, str], int | float]]

AGGREGATED: Final = "aggregated"
PER_OBJECT: Final = "per-object"
DETAILED: Final = "detailed"
AMQP: Final = {"protocol": "amqp091"}


@dataclass(frozen=True)
class Valued:
    """A metric with its values."""

    description: Description
    samples: Samples


@dataclass(frozen=True)
class Measured:
    """A histogram with its name and what it is for people. The last count is of what is above all bounds."""

    name: str
    help: str
    bounds: Sequence[float]
    counts: Sequence[int]
    total: float
    labels: Mapping[str, str] = field(default_factory=dict)


def gauge(name: str, text: str, value: int | float | None) -> Valued:
    """A gauge without labels; without a value if it is not known."""
    return Valued(Description(name, GAUGE, text), [] if value is None else [({}, value)])


def counter(name: str, text: str, value: int | float) -> Valued:
    """A counter without labels."""
    return Valued(Description(name, COUNTER, text), [({}, value)])


def flag(name: str, text: str, on: bool) -> Valued:
    """What is on or off."""
    return Valued(Description(name, UNTYPED, text), [({}, int(on))])


def churn(node: Node) -> list[Valued]:
    """`connection_churn_metrics`."""
    churn = node.broker.churn
    return [
        counter("connections_opened_total", "Total number of connections opened", int(churn.connection_created)),
        counter(
            "connections_closed_total",
            "Total number of connections closed or terminated",
            int(churn.connection_closed),
        ),
        counter("channels_opened_total", "Total number of channels opened", int(churn.channel_created)),
        counter("channels_closed_total", "Total number of channels closed", int(churn.channel_closed)),
        counter("queues_declared_total", "Total number of queues declared", int(churn.queue_declared)),
        counter("queues_created_total", "Total number of queues created", int(churn.queue_created)),
        counter("queues_deleted_total", "Total number of queues deleted", int(churn.queue_deleted)),
    ]


def in_use(node: Node) -> list[Valued]:
    """`node_coarse_metrics`."""
    free = None if node.data_dir is None else disk_free(node.data_dir)
    sockets = len(node.broker.connections) + len(node.listeners)
    return [
        gauge("process_open_fds", "Open file descriptors", open_descriptors()),
        gauge("process_open_tcp_sockets", "Open TCP sockets", sockets),
        gauge("process_resident_memory_bytes", "Memory used in bytes", resident_memory()),
        gauge("disk_space_available_bytes", "Disk space available in bytes", free),
    ]


def limits(node: Node) -> list[Valued]:
    """`node_metrics`."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return [
        gauge("process_max_fds", "Open file descriptors limit", descriptors),
        gauge("process_max_tcp_sockets", "Open TCP sockets limit", descriptors),
        gauge("resident_memory_limit_bytes", "Memory high watermark in bytes", node.memory_limit),
        gauge("erlang_uptime_seconds", "Node uptime", node.broker.wall_clock() - node.broker.started_at),
        gauge("disk_space_available_limit_bytes", "Free disk space low watermark in bytes", node.disk_free_limit),
    ]


def writes(node: Node) -> list[Valued]:
    """`node_persister_metrics`: batches of the message log are the writes, and each sync is one."""
    figures = node.broker.store.figures
    batches, syncs = figures.batch_octets, figures.sync_seconds
    return [
        counter("io_write_ops_total", "Total number of I/O write operations", batches.count()),
        counter("io_write_bytes_total", "Total number of I/O bytes written", int(batches.total)),
        counter("io_sync_ops_total", "Total number of I/O sync operations", syncs.count()),
        counter("io_sync_time_seconds_total", "Total I/O sync time", syncs.total),
    ]


def logins(node: Node) -> list[Valued]:
    """`auth_attempt_metrics`."""
    attempts = node.broker.login_attempts
    total = {name: attempts.succeeded[name] + attempts.failed[name] for name in PROTOCOLS}
    return [
        by_protocol("auth_attempts_total", "Total number of authorization attempts", total),
        by_protocol(
            "auth_attempts_succeeded_total",
            "Total number of successful authentication attempts",
            attempts.succeeded,
        ),
        by_protocol("auth_attempts_failed_total", "Total number of failed authentication attempts", attempts.failed),
    ]


def by_protocol(name: str, text: str, counts: Mapping[str, int]) -> Valued:
    """A counter of logins."""
    return Valued(Description(name, COUNTER, text), [({"protocol": which}, count) for which, count in counts.items()])


OF_NODE: Final = {
    "connection_churn_metrics": churn,
    "node_coarse_metrics": in_use,
    "node_metrics": limits,
    "node_persister_metrics": writes,
    "auth_attempt_metrics": logins,
}


def alarms(node: Node) -> list[Valued]:
    """Which alarms are on. The third has no cause here: connections are refused before descriptors run out."""
    active = node.broker.alarms.active
    return [
        flag("alarms_file_descriptor_limit", "is 1 if file descriptor limit alarm is in effect", False),
        flag(
            "alarms_free_disk_space_watermark", "is 1 if free disk space watermark alarm is in effect", DISK in active
        ),
        flag("alarms_memory_used_watermark", "is 1 if VM memory watermark alarm is in effect", MEMORY in active),
    ]


def totals(node: Node, consumers: int) -> list[Valued]:
    """How much there is of everything. A node has no peers, so none is out of reach."""
    broker = node.broker
    return [
        gauge("connections", "Connections currently open", int(broker.usage.connections)),
        gauge("channels", "Channels currently open", int(broker.usage.channels)),
        gauge("consumers", "Consumers currently connected", consumers),
        gauge("queues", "Queues available", sum(len(vhost.queues) for vhost in broker.vhosts.values())),
        gauge("unreachable_cluster_peers_count", "Number of peers in the cluster the current node cannot reach.", 0),
    ]


def identity(node: Node, endpoint: str, client_version: str) -> list[Valued]:
    """What dashboards join everything with: who we are, and of which version."""
    broker = node.broker
    build = {
        "rabbitmq_version": PRODUCT_VERSION,
        "prometheus_plugin_version": PRODUCT_VERSION,
        "prometheus_client_version": client_version,
        "erlang_version": platform.python_version(),
        "product_name": "Leveret",
        "product_version": broker.version,
    }
    who = {
        "rabbitmq_node": broker.node,
        "rabbitmq_cluster": broker.parameters.cluster_name(),
        "rabbitmq_cluster_permanent_id": str(broker.parameters.all_global().get(CLUSTER_ID, "")),
        "rabbitmq_endpoint": endpoint,
    }
    return [
        Valued(Description("build_info", UNTYPED, "RabbitMQ & Erlang/OTP version info"), [(build, 1)]),
        Valued(Description("identity_info", UNTYPED, "RabbitMQ node & cluster identity info"), [(who, 1)]),
    ]


def measured(node: Node) -> list[Measured]:
    """All histograms: RabbitMQ's, and our own."""
    figures, sizes = node.broker.store.figures, node.broker.message_sizes
    return [
        Measured(
            "rabbitmq_message_size_bytes",
            "Size of messages received from publishers",
            SIZE_BOUNDS,
            sizes.counts(),
            int(sizes.octets),
            AMQP,
        ),
        own(
            "leveret_tick_seconds",
            "Time from the first socket that is read in a tick until everything it brought about is sent",
            node.broker.tick_seconds,
        ),
        own("leveret_store_sync_seconds", "Time that a sync of the message log takes", figures.sync_seconds),
        own("leveret_store_batch_bytes", "Size of the batches of the message log", figures.batch_octets),
        own(
            "leveret_confirm_seconds",
            "Time from the tick in which the first message of a batch was published until the batch is confirmed",
            figures.confirm_seconds,
        ),
    ]


def own(name: str, text: str, histogram: Histogram) -> Measured:
    """A histogram of our own."""
    return Measured(name, text, histogram.bounds, histogram.counts, histogram.total)


def own_gauges(node: Node) -> list[Valued]:
    """Our own gauges, whose names are whole."""
    return [
        gauge("leveret_store_segments", "Segments of the message log", node.broker.store.segment_count()),
        gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            node.broker.started_at,
        ),
    ]
