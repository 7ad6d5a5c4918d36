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

from leveret.broker.redeclaring import MODES, STRICT
from leveret.server import setting_kinds as kinds
from leveret.server.access_settings import AccessSettings, TlsSettings
from leveret.server.limit_settings import AlarmSettings, LimitSettings
from leveret.server.log_settings import LogSettings
from leveret.server.service_settings import ServiceSettings
from leveret.server.setting_table import Setting, setting, settings_of
from leveret.store.segment import SEGMENT_SIZE

RELAXED_CHECKS: Final = "quorum_queue.property_equivalence.relaxed_checks_on_redeclaration"
DEFAULT_DATA_DIR: Final = Path("leveret-data")


@dataclass(frozen=True)
class ListenerSettings:
    """Where clients connect."""

    bind: tuple[str, ...] = setting(
        kinds.ADDRESSES,
        ("127.0.0.1",),
        "addresses or host names to listen on, * for all; one may have a port of its own, as in [::1]:5673",
        flag=True,
        rabbitmq="listeners.tcp listeners.tcp.$listener",
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
        flag=True,
        rabbitmq="proxy_protocol",
    )
    proxy_protocol_trusted_sources: tuple[str, ...] = setting(
        kinds.NETWORKS,
        (),
        "only connections from these networks begin with that header",
        flag=True,
        unset="all",
    )


@dataclass(frozen=True)
class DataSettings:
    """What is kept, and how."""

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
    redeclare: str = setting(
        kinds.one_of(*MODES),
        STRICT,
        "what to do when a queue or exchange is declared again otherwise: refuse it; refuse it, but take a quorum "
        "queue for a classic one; or keep what is there, log it once, and say ok",
        flag=True,
        rabbitmq=RELAXED_CHECKS,
    )
    node_name: str | None = setting(
        kinds.NODE,
        None,
        "the node's name, to which @ and the host's name are added if it has none",
        flag=True,
        environment="RABBITMQ_NODENAME",
        unset="leveret@ and the host's name",
    )


@dataclass(frozen=True)
class Settings(
    LogSettings,
    ServiceSettings,
    AccessSettings,
    TlsSettings,
    LimitSettings,
    AlarmSettings,
    DataSettings,
    ListenerSettings,
):
    """The settings of one broker, each of them as it came out."""

    @property
    def folder(self) -> Path | None:
        """The data folder; an ephemeral broker has one only if it is named, for its control socket."""
        if self.data_dir is None and self.ephemeral:
            return None
        return self.data_dir or DEFAULT_DATA_DIR


SETTINGS: Final[dict[str, Setting]] = settings_of(Settings)
