"""The columns of each listing: RabbitMQ's names, in the order of its `list_*` commands, and those shown unasked.

They stand apart from what computes them so that leveretctl can check what it is asked for without loading the broker.
`leveret.management.listings` has a value for each.
"""

from __future__ import annotations

from typing import Final

POLICY_COLUMNS: Final = ("vhost", "name", "pattern", "apply-to", "definition", "priority")
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "queues": (
        "name",
        "durable",
        "auto_delete",
        "arguments",
        "policy",
        "operator_policy",
        "effective_policy_definition",
        "pid",
        "owner_pid",
        "exclusive",
        "exclusive_consumer_pid",
        "exclusive_consumer_tag",
        "messages_ready",
        "messages_unacknowledged",
        "messages_delayed",
        "messages",
        "messages_ready_ram",
        "messages_unacknowledged_ram",
        "messages_ram",
        "messages_persistent",
        "message_bytes",
        "message_bytes_ready",
        "message_bytes_unacknowledged",
        "message_bytes_ram",
        "message_bytes_persistent",
        "head_message_timestamp",
        "disk_reads",
        "disk_writes",
        "consumers",
        "consumer_utilisation",
        "consumer_capacity",
        "memory",
        "slave_pids",
        "synchronised_slave_pids",
        "mirror_pids",
        "synchronised_mirror_pids",
        "state",
        "type",
        "leader",
        "members",
        "online",
    ),
    "exchanges": ("name", "type", "durable", "auto_delete", "internal", "arguments", "policy", "messages_delayed"),
    "bindings": ("source_name", "source_kind", "destination_name", "destination_kind", "routing_key", "arguments"),
    "connections": (
        "pid",
        "name",
        "port",
        "host",
        "peer_port",
        "peer_host",
        "ssl",
        "ssl_protocol",
        "ssl_key_exchange",
        "ssl_cipher",
        "ssl_hash",
        "peer_cert_subject",
        "peer_cert_issuer",
        "peer_cert_validity",
        "state",
        "channels",
        "protocol",
        "auth_mechanism",
        "user",
        "vhost",
        "container_id",
        "timeout",
        "frame_max",
        "channel_max",
        "client_properties",
        "recv_oct",
        "recv_cnt",
        "send_oct",
        "send_cnt",
        "send_pend",
        "connected_at",
    ),
    "channels": (
        "pid",
        "connection",
        "name",
        "number",
        "user",
        "vhost",
        "transactional",
        "confirm",
        "consumer_count",
        "messages_unacknowledged",
        "messages_uncommitted",
        "acks_uncommitted",
        "messages_unconfirmed",
        "prefetch_count",
        "global_prefetch_count",
    ),
    "consumers": (
        "queue_name",
        "channel_pid",
        "consumer_tag",
        "ack_required",
        "prefetch_count",
        "active",
        "activity_status",
        "arguments",
    ),
    "policies": POLICY_COLUMNS,
    "operator_policies": POLICY_COLUMNS,
    "parameters": ("component", "name", "value"),
    "global_parameters": ("name", "value"),
    "vhost_limits": ("vhost", "limits"),
    "user_limits": ("user", "limits"),
}

DEFAULT_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "queues": ("name", "messages"),
    "exchanges": ("name", "type"),
    "bindings": COLUMNS["bindings"],
    "connections": ("user", "peer_host", "peer_port", "state"),
    "channels": ("pid", "user", "consumer_count", "messages_unacknowledged"),
    "consumers": tuple(name for name in COLUMNS["consumers"] if name != "activity_status"),
    **{
        kind: COLUMNS[kind]
        for kind in (
            "policies",
            "operator_policies",
            "parameters",
            "global_parameters",
            "vhost_limits",
            "user_limits",
        )
    },
}


def unsupported(listing: str, columns: list[str]) -> list[str]:
    """Which of the columns the listing doesn't have, in the order they were asked for."""
    known = COLUMNS[listing]
    return [name for name in columns if name not in known]
