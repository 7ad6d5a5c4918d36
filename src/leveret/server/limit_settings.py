"""The settings of the limits of a node: part of the table in `settings`."""

from __future__ import annotations

from dataclasses import dataclass

from leveret.broker import limits
from leveret.server import setting_kinds as kinds
from leveret.server.setting_table import setting


@dataclass(frozen=True)
class AlarmSettings:
    """When publishers are blocked."""

    memory_limit: int | float = setting(
        kinds.MEMORY,
        0.6,
        "block publishers when this much memory is in use: a size such as 2GiB, or a share of what the machine or "
        "container allows",
        flag=True,
        rabbitmq="vm_memory_high_watermark.relative vm_memory_high_watermark.absolute",
        environment="RABBITMQ_VM_MEMORY_HIGH_WATERMARK",
    )
    memory_total: int | None = setting(
        kinds.SIZE,
        None,
        "the memory that shares are of",
        rabbitmq="total_memory_available_override_value",
        unset="what the machine or container allows",
    )
    disk_free_limit: int | float | None = setting(
        kinds.DISK,
        None,
        "block publishers when less disk than this is free for the data folder: a size, or a multiple of the memory, "
        "which has a point",
        flag=True,
        rabbitmq="disk_free_limit.absolute disk_free_limit.relative",
        unset="1GiB, or twice a segment if that is more",
    )


@dataclass(frozen=True)
class LimitSettings:
    """The limits of the node.

    `broker.limits.NodeLimits` has each of them by this name.
    """

    connection_max: int = setting(
        kinds.LIMIT,
        limits.NO_LIMIT,
        "how many connections may be open, -1 for no limit",
        flag=True,
        rabbitmq="connection_max max_connections",
    )
    channel_max: int = setting(
        kinds.CHANNEL_LIMIT,
        limits.CHANNEL_MAX,
        "how many channels a connection may have open, 0 for as many as it likes",
        flag=True,
        rabbitmq="channel_max max_channels_per_connection",
    )
    channel_max_per_node: int = setting(
        kinds.LIMIT,
        limits.NO_LIMIT,
        "how many channels may be open, -1 for no limit",
        flag=True,
        rabbitmq="channel_max_per_node",
    )
    consumer_max_per_channel: int = setting(
        kinds.LIMIT,
        limits.NO_LIMIT,
        "how many consumers a channel may have, -1 for no limit",
        flag=True,
        rabbitmq="consumer_max_per_channel",
    )
    cluster_queue_limit: int = setting(
        kinds.LIMIT,
        limits.NO_LIMIT,
        "how many queues there may be, -1 for no limit",
        flag=True,
        rabbitmq="cluster_queue_limit",
    )
    cluster_exchange_limit: int = setting(
        kinds.LIMIT,
        limits.NO_LIMIT,
        "how many exchanges there may be, the predeclared ones counted, -1 for no limit",
        flag=True,
        rabbitmq="cluster_exchange_limit",
    )
    vhost_max: int = setting(
        kinds.LIMIT,
        limits.NO_LIMIT,
        "how many virtual hosts there may be, -1 for no limit",
        flag=True,
        rabbitmq="vhost_max",
    )
    max_message_size: int = setting(
        kinds.MESSAGE_SIZE,
        limits.MAX_MESSAGE_SIZE,
        "how large a message may be",
        flag=True,
        rabbitmq="max_message_size",
    )
    frame_max: int = setting(
        kinds.FRAME_SIZE, limits.FRAME_MAX, "how large a frame may be", flag=True, rabbitmq="frame_max"
    )
    initial_frame_max: int = setting(
        kinds.FRAME_SIZE,
        limits.INITIAL_FRAME_MAX,
        "how large a frame may be before the client has logged in",
        rabbitmq="initial_frame_max",
    )
    heartbeat: int = setting(
        kinds.SECONDS,
        limits.HEARTBEAT,
        "seconds that are suggested to clients as heartbeat, 0 for none",
        flag=True,
        rabbitmq="heartbeat",
    )
    handshake_timeout: int = setting(
        kinds.PATIENCE,
        limits.HANDSHAKE_TIMEOUT,
        "milliseconds that a client has to log in",
        rabbitmq="handshake_timeout",
    )
    consumer_timeout: int = setting(
        kinds.CONSUMER_TIMEOUT,
        0,
        "milliseconds for consumers to acknowledge, where neither they nor their queue nor a policy say so, 0 for ever",
        flag=True,
        rabbitmq="consumer_timeout",
    )
