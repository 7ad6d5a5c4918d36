"""What is measured: the rows of the benchmark, the load of each, and the figures it gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One figure of a row: its key in the load generator's output, what it says, and which way is better."""

    key: str
    title: str
    lower_is_better: bool = False
    compared: bool = True


@dataclass(frozen=True)
class Row:
    """One measurement: a load generator's arguments (none: the start of the broker) and the figures it gives."""

    name: str
    load: tuple[str, ...]
    metrics: tuple[Metric, ...]
    program: str = "amqpload.py"


def confirmed(size: int) -> Row:
    """Persistent messages of one size to a durable queue, with publisher confirms and acknowledgements."""
    load = ("throughput", "--size", str(size), "--mode", "confirm")
    title = f"{size:,} B, persistent, confirms, acks: delivered a second"
    return Row(f"confirmed-{size}", load, (Metric("delivered_per_s", title),))


def throughput(size: int) -> Row:
    """Transient messages of one size to a consumer without acknowledgements."""
    load = ("throughput", "--size", str(size), "--mode", "auto")
    title = f"{size:,} B, transient, no-ack: delivered a second"
    return Row(f"throughput-{size}", load, (Metric("delivered_per_s", title),))


def routing(kind: str, title: str, *options: str) -> Row:
    """Messages that each take a look at many bindings, or go to many queues."""
    metrics = (Metric("delivered_per_s", f"{title}: delivered a second"),)
    return Row(f"routing-{kind}", (kind, *options), metrics, "routing_load.py")


ROWS = (
    Row(
        "start",
        (),
        (
            Metric("ready_s", "start to the first open connection, s", lower_is_better=True),
            Metric("idle_mb", "resident memory when idle, MB", lower_is_better=True),
        ),
    ),
    Row(
        "connections",
        ("connections", "--count", "500"),
        (
            Metric("kb_each", "memory for an idle connection with one channel, kB", lower_is_better=True),
            Metric("per_s", "connections opened a second, one after the other"),
        ),
    ),
    Row(
        "queues",
        ("queues", "--count", "2000"),
        (
            Metric("declares_per_s", "transient queues declared a second, one after the other"),
            Metric("deletes_per_s", "queues deleted a second, one after the other"),
            Metric("kb_each", "memory for an empty queue, kB", lower_is_better=True),
        ),
    ),
    Row("churn", ("churn",), (Metric("cycles_per_s", "connect, declare, publish, get, delete, close: cycles/s"),)),
    Row(
        "confirm",
        ("confirm", "--count", "2000", "--size", "100"),
        (
            Metric("p50_ms", "persistent, one confirm at a time: p50, ms", lower_is_better=True),
            Metric("p99_ms", "persistent, one confirm at a time: p99, ms", lower_is_better=True),
        ),
    ),
    Row(
        "latency",
        ("latency", "--rate", "5000", "--size", "100"),
        (
            Metric("p50_ms", "end-to-end latency at 5,000 a second: p50, ms", lower_is_better=True),
            Metric("p99_ms", "end-to-end latency at 5,000 a second: p99, ms", lower_is_better=True),
        ),
    ),
    throughput(16),
    throughput(100),
    throughput(1024),
    throughput(16384),
    Row(
        "ack-100",
        ("throughput", "--size", "100", "--mode", "ack"),
        (
            Metric("delivered_per_s", "100 B, transient, manual acks, prefetch 1000: delivered a second"),
            Metric("delivered_share", "the same, delivered in % of published", compared=False),
        ),
    ),
    confirmed(100),
    confirmed(1024),
    routing("topic", "topic routing, 10,000 bindings"),
    routing("headers", "headers routing, 1,000 bindings"),
    routing("fanout", "fanout to 1,000 queues", "--ahead", "100"),
    Row(
        "priority-queue",
        ("priority",),
        (Metric("delivered_per_s", "priority queue, 10 levels, 100 B, no-ack: delivered a second"),),
        "queue_load.py",
    ),
    Row(
        "ttl-queue",
        ("ttl", "--count", "1000000"),
        (
            Metric("fill_per_s", "TTL queue: 1,000,000 messages of 100 B that expire: taken in a second"),
            Metric("expire_per_s", "the same: dropped a second when all expire at once"),
        ),
        "queue_load.py",
    ),
    Row(
        "chain",
        ("chain", "--count", "5000"),
        (Metric("moves_per_s", "chain of 28 TTL queues, 5,000 messages of 100 B: dead letters moved a second"),),
        "queue_load.py",
    ),
    Row(
        "durable-queues",
        ("queues", "--count", "2000", "--durable"),
        (
            Metric("declares_per_s", "durable queues declared a second, one after the other"),
            Metric("deletes_per_s", "durable queues deleted a second, one after the other"),
        ),
    ),
    Row(
        "backlog",
        ("backlog", "--count", "1000000", "--size", "1024", "--persistent"),
        (
            Metric("fill_per_s", "backlog of 1,000,000 persistent 1 KiB messages: confirmed a second"),
            Metric("drain_per_s", "the same: delivered and acknowledged a second"),
            Metric("rss_full_mb", "the same: resident memory when full, MB", lower_is_better=True),
        ),
    ),
)
