"""All settings of a broker: their names, kinds, defaults and meaning, and under which names they can be set.

This table, with the parts that Settings inherits, is the only place that knows a setting. Its flag, its environment
variables, its keys in leveret.toml and in RabbitMQ's rabbitmq.conf, `leveret config` and the tables in
docs/configuration.md all come from here. `server.configuration` adds up what is set where.

A setting with `planned` is read and checked, and nothing acts by it yet: the text says what it waits for. To have it
act, use it, and take `planned` away; `flag=True` gives it a flag.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leveret.broker import limits
from leveret.server import setting_kinds as kinds
from leveret.server.access_settings import AccessSettings
from leveret.server.log_settings import LogSettings
from leveret.server.service_settings import ServiceSettings
from leveret.server.setting_table import Setting, setting, settings_of
from leveret.store.segment import SEGMENT_SIZE

DEFAULT_DATA_DIR: Final = Path("leveret-data")


@dataclass(frozen=True)
class Settings(ServiceSettings, AccessSettings, LogSettings):
    """The settings of one broker, each of them as it came out."""

    # where clients connect
    bind: tuple[str, ...] = setting(
        kinds.ADDRESSES,
        ("127.0.0.1",),
        "addresses or host names to listen on, * for all; one may have a port of its own, as in [::1]:5673",
        flag=True,
        rabbitmq="listeners.tcp listeners.tcp.$name",
        environment="RABBITMQ_NODE_IP_ADDRESS",
    )
    port: int = setting(kinds.PORT, 5672, "TCP port, 0 for a free one", flag=True, environment="RABBITMQ_NODE_PORT")
    unix_socket: Path | None = setting(kinds.PATH, None, "listen on this Unix socket as well", flag=True)
    tcp_backlog: int = setting(
        kinds.POSITIVE,
        1024,
        "how many connections may wait to be accepted",
        key="tcp.backlog",
        rabbitmq="tcp_listen_options.backlog",
    )
    tcp_nodelay: bool = setting(
        kinds.BOOLEAN, True, "send small packets at once", key="tcp.nodelay", rabbitmq="tcp_listen_options.nodelay"
    )
    tcp_keepalive: bool = setting(
        kinds.BOOLEAN,
        True,
        "have the system find out when a peer is gone",
        key="tcp.keepalive",
        rabbitmq="tcp_listen_options.keepalive",
    )
    tcp_sndbuf: int | None = setting(
        kinds.SOCKET_BUFFER,
        None,
        "size of a socket's send buffer",
        key="tcp.sndbuf",
        rabbitmq="tcp_listen_options.sndbuf",
        unset="the system's",
    )
    tcp_recbuf: int | None = setting(
        kinds.SOCKET_BUFFER,
        None,
        "size of a socket's receive buffer",
        key="tcp.recbuf",
        rabbitmq="tcp_listen_options.recbuf",
        unset="the system's",
    )
    proxy_protocol: bool = setting(
        kinds.BOOLEAN,
        False,
        "expect the header of the PROXY protocol on each connection",
        rabbitmq="proxy_protocol",
        planned="the PROXY protocol",
    )

    # what is kept
    data_dir: Path | None = setting(
        kinds.FOLDER,
        None,
        "folder for all that is kept, and for the control socket",
        flag=True,
        unset=f"./{DEFAULT_DATA_DIR}",
    )
    ephemeral: bool = setting(kinds.BOOLEAN, False, "keep everything in memory, nothing on disk", flag=True)
    sync: str = setting(
        kinds.SYNC,
        "always",
        "when messages are forced to the disk: before each confirm, every so many milliseconds, or when the system "
        "likes; with the last two a power failure loses confirmed messages",
        flag=True,
    )
    segment_size: int = setting(
        kinds.SEGMENT_SIZE,
        SEGMENT_SIZE,
        "how large a file of the message log becomes before the next is begun, 64KiB to 1GiB",
        flag=True,
    )

    # limits
    memory_limit: int | float = setting(
        kinds.MEMORY,
        0.6,
        "block publishers when this much memory is in use: a size such as 2GiB, or a share of what the machine or "
        "container allows",
        flag=True,
        rabbitmq="vm_memory_high_watermark.relative vm_memory_high_watermark.absolute",
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
    connection_max: int = setting(
        kinds.LIMIT,
        limits.NO_LIMIT,
        "how many connections may be open",
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
        kinds.LIMIT, limits.NO_LIMIT, "how many channels may be open", flag=True, rabbitmq="channel_max_per_node"
    )
    consumer_max_per_channel: int = setting(
        kinds.LIMIT,
        limits.NO_LIMIT,
        "how many consumers a channel may have",
        flag=True,
        rabbitmq="consumer_max_per_channel",
    )
    cluster_queue_limit: int = setting(
        kinds.LIMIT, limits.NO_LIMIT, "how many queues there may be", flag=True, rabbitmq="cluster_queue_limit"
    )
    cluster_exchange_limit: int = setting(
        kinds.LIMIT,
        limits.NO_LIMIT,
        "how many exchanges there may be, the predeclared ones counted",
        flag=True,
        rabbitmq="cluster_exchange_limit",
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
        kinds.MILLISECONDS,
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

    @property
    def folder(self) -> Path | None:
        """The data folder; an ephemeral broker has one only if it is named, for its control socket."""
        if self.data_dir is None and self.ephemeral:
            return None
        return self.data_dir or DEFAULT_DATA_DIR


SETTINGS: Final[dict[str, Setting]] = settings_of(Settings)
