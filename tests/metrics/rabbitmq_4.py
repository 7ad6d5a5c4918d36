"""What the plugin of RabbitMQ 4 tells, by the families of `/metrics/detailed`, and what of it Leveret leaves out.

Counters are the names that end with `_total`; the other metrics are gauges.
"""

from __future__ import annotations

from collections.abc import Iterator

NONE: frozenset[str] = frozenset()
QUEUE = frozenset({"vhost", "queue"})
CHANNEL = frozenset({"channel"})
EXCHANGE = frozenset({"vhost", "exchange"})
PROTOCOL = frozenset({"protocol"})
GLOBAL_QUEUE = frozenset({"protocol", "queue_type"})
DEATH = frozenset({"queue_type", "dead_letter_strategy"})
FAMILIES: dict[str, tuple[frozenset[str], str]] = {
    "connection_churn_metrics": (
        NONE,
        "connections_opened_total connections_closed_total channels_opened_total channels_closed_total"
        " queues_declared_total queues_created_total queues_deleted_total",
    ),
    "node_coarse_metrics": (
        NONE,
        "process_open_fds process_resident_memory_bytes disk_space_available_bytes erlang_processes_used"
        " erlang_gc_runs_total erlang_gc_reclaimed_bytes_total erlang_scheduler_context_switches_total",
    ),
    "node_metrics": (
        NONE,
        "process_max_fds resident_memory_limit_bytes disk_space_available_limit_bytes erlang_processes_limit"
        " erlang_scheduler_run_queue erlang_net_ticktime_seconds erlang_uptime_seconds",
    ),
    "node_persister_metrics": (
        NONE,
        "io_read_ops_total io_read_bytes_total io_write_ops_total io_write_bytes_total io_sync_ops_total"
        " io_seek_ops_total io_reopen_ops_total schema_db_ram_tx_total schema_db_disk_tx_total msg_store_read_total"
        " msg_store_write_total queue_index_read_ops_total queue_index_write_ops_total io_read_time_seconds_total"
        " io_write_time_seconds_total io_sync_time_seconds_total io_seek_time_seconds_total",
    ),
    "auth_attempt_metrics": (
        PROTOCOL,
        "auth_attempts_total auth_attempts_succeeded_total auth_attempts_failed_total",
    ),
    "auth_attempt_detailed_metrics": (
        frozenset({"remote_address", "username", "protocol"}),
        "auth_attempts_detailed_total auth_attempts_detailed_succeeded_total auth_attempts_detailed_failed_total",
    ),
    "queue_coarse_metrics": (
        QUEUE,
        "queue_messages_ready queue_messages_unacked queue_messages queue_process_reductions_total",
    ),
    "queue_consumer_count": (QUEUE, "queue_consumers"),
    "queue_metrics": (
        QUEUE,
        "queue_consumers queue_consumer_capacity queue_consumer_utilisation queue_process_memory_bytes"
        " queue_messages_ram queue_messages_ram_bytes queue_messages_ready_ram queue_messages_unacked_ram"
        " queue_messages_persistent queue_messages_persistent_bytes queue_messages_bytes queue_messages_ready_bytes"
        " queue_messages_unacked_bytes queue_messages_paged_out queue_messages_paged_out_bytes"
        " queue_head_message_timestamp queue_disk_reads_total queue_disk_writes_total stream_segments",
    ),
    "queue_delivery_metrics": (
        QUEUE,
        "queue_get_ack_total queue_get_total queue_messages_delivered_ack_total queue_messages_delivered_total"
        " queue_messages_redelivered_total queue_messages_acked_total queue_get_empty_total",
    ),
    "queue_exchange_metrics": (
        frozenset({"vhost", "queue", "exchange"}),
        "queue_exchange_messages_published_total",
    ),
    "stream_consumer_metrics": (QUEUE, "stream_consumer_max_offset_lag"),
    "channel_metrics": (
        CHANNEL,
        "channel_consumers channel_messages_unacked channel_messages_unconfirmed channel_messages_uncommitted"
        " channel_acks_uncommitted consumer_prefetch channel_prefetch",
    ),
    "channel_process_metrics": (CHANNEL, "channel_process_reductions_total"),
    "channel_exchange_metrics": (
        CHANNEL | EXCHANGE,
        "channel_messages_published_total channel_messages_confirmed_total"
        " channel_messages_unroutable_returned_total channel_messages_unroutable_dropped_total",
    ),
    "channel_queue_metrics": (
        CHANNEL | QUEUE,
        "channel_get_ack_total channel_get_total channel_messages_delivered_ack_total"
        " channel_messages_delivered_total channel_messages_redelivered_total channel_messages_acked_total"
        " channel_get_empty_total",
    ),
    "channel_queue_exchange_metrics": (
        frozenset({"channel", "queue_vhost", "queue", "exchange_vhost", "exchange"}),
        "queue_messages_published_total",
    ),
    "connection_coarse_metrics": (
        CHANNEL,
        "connection_incoming_bytes_total connection_outgoing_bytes_total connection_process_reductions_total",
    ),
    "connection_metrics": (
        CHANNEL,
        "connection_incoming_packets_total connection_outgoing_packets_total connection_pending_packets"
        " connection_channels",
    ),
    "exchange_metrics": (
        EXCHANGE,
        "exchange_messages_published_total exchange_messages_confirmed_total"
        " exchange_messages_unroutable_returned_total exchange_messages_unroutable_dropped_total",
    ),
    "ra_metrics": (
        NONE,
        "raft_term_total raft_log_snapshot_index raft_log_last_applied_index raft_log_commit_index"
        " raft_log_last_written_index raft_entry_commit_latency_seconds",
    ),
}
CLUSTER_FAMILIES: dict[str, tuple[frozenset[str], str]] = {
    "vhost_status": (frozenset({"vhost"}), "vhost_status"),
    "exchange_bindings": (EXCHANGE | {"type"}, "exchange_bindings"),
    "exchange_names": (EXCHANGE | {"type"}, "exchange_name"),
}
# These have no family: they are in /metrics and /metrics/per-object.
GLOBAL: tuple[tuple[frozenset[str], str], ...] = (
    (
        GLOBAL_QUEUE,
        "acknowledged_total delivered_total delivered_consume_auto_ack_total delivered_consume_manual_ack_total"
        " delivered_get_auto_ack_total delivered_get_manual_ack_total get_empty_total redelivered_total",
    ),
    (
        PROTOCOL,
        "received_total received_confirm_total confirmed_total routed_total unroutable_dropped_total"
        " unroutable_returned_total",
    ),
    (
        DEATH,
        "dead_lettered_confirmed_total dead_lettered_delivery_limit_total dead_lettered_expired_total"
        " dead_lettered_maxlen_total dead_lettered_rejected_total",
    ),
)
TOTALS = "connections channels consumers queues unreachable_cluster_peers_count"
# What Leveret leaves out, by parts of names, with the reason.
ABSENT = {
    "erlang_processes": "Erlang",
    "erlang_gc": "Erlang",
    "erlang_scheduler": "Erlang",
    "erlang_net": "Erlang",
    "_process_reductions_total": "Erlang",
    "raft_": "Raft",
    "schema_db_": "the database of RabbitMQ",
    "msg_store_": "the files of RabbitMQ",
    "queue_index_": "the files of RabbitMQ",
    "io_read_": "the log is read by mapping it",
    "io_seek_": "the log is never sought in",
    "io_reopen_": "files stay open",
    "io_write_time_": "measured together with the sync",
    "queue_disk_": "queues don't read and write files themselves",
    "_paged_out": "nothing is moved to the disk: it is there already",
    "stream_": "streams",
    "auth_attempts_detailed_": "RabbitMQ tells it only if track_auth_attempt_source is set",
    "queue_exchange_messages_": "messages are not counted by pairs of an exchange and a queue",
    "exchange_messages_confirmed": "counted by channel",
    "exchange_messages_unroutable": "counted by channel",
    "dead_lettered_confirmed_": "dead-lettering at least once",
}
# Of labels that tell pairs apart the first is left: what a channel does is counted in one place.
ABSENT_LABELS = {
    "channel_exchange_metrics": {"exchange"},
    "channel_queue_metrics": {"queue"},
    "channel_queue_exchange_metrics": {"channel", "exchange", "exchange_vhost"},
}


def is_told(name: str) -> bool:
    """Whether Leveret has a metric."""
    return not any(part in name for part in ABSENT)


def kind(name: str) -> str:
    """The type of a metric."""
    return "counter" if name.endswith("_total") else "gauge"


def told_names(family: str) -> Iterator[str]:
    """The metrics of a family that Leveret has, without prefix."""
    return filter(is_told, {**FAMILIES, **CLUSTER_FAMILIES}[family][1].split())


def labels_of(family: str) -> set[str]:
    """The labels that the metrics of a family have here."""
    return set({**FAMILIES, **CLUSTER_FAMILIES}[family][0]) - ABSENT_LABELS.get(family, set())


def all_names() -> set[str]:
    """Every metric with every prefix that RabbitMQ 4 gives it."""
    of_families = {name for _, names in FAMILIES.values() for name in names.split()} | {"queue_info"}
    names = {prefix + name for name in of_families for prefix in ("rabbitmq_", "rabbitmq_detailed_")}
    names |= {f"rabbitmq_{name}" for name in TOTALS.split()} | {"rabbitmq_message_size_bytes"}
    names |= {f"rabbitmq_cluster_{name}" for _, more in CLUSTER_FAMILIES.values() for name in more.split()}
    return names | {f"rabbitmq_global_messages_{name}" for _, more in GLOBAL for name in more.split()}
