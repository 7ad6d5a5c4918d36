"""What the settings come to, for the parts that a server is made of."""

from __future__ import annotations

import socket
from dataclasses import fields

from leveret.broker.defaults import DefaultLimits, DefaultPolicy, Defaults, DefaultUser
from leveret.broker.limits import NodeLimits
from leveret.broker.mechanisms import KNOWN_MECHANISMS
from leveret.broker.policy import make_policy
from leveret.server.alarms import DEFAULT_DISK_FREE_LIMIT
from leveret.server.limit_settings import LimitSettings
from leveret.server.limits import octets_of
from leveret.server.listener import SocketOptions
from leveret.server.setting_kinds import split_address
from leveret.server.settings import Settings

LOOPBACK: tuple[str, ...] = ("127.0.0.1",)


def node_name(settings: Settings) -> str:
    """The node's name, with that of the host."""
    name = settings.node_name or "leveret"
    return name if "@" in name else f"{name}@{socket.gethostname()}"


def defaults_of(settings: Settings) -> Defaults:
    """What a new broker, and a new virtual host, begins with."""
    first = DefaultUser(
        settings.default_user,
        settings.default_pass,
        settings.default_user_tags,
        configure=settings.default_permissions_configure,
        write=settings.default_permissions_write,
        read=settings.default_permissions_read,
    )
    others = [
        DefaultUser(user.name, user.password, user.tags, user.vhost_pattern, user.configure, user.write, user.read)
        for user in settings.default_users
    ]
    limits = [DefaultLimits(each.pattern, dict(each.limits)) for each in settings.default_limits_vhosts]
    made = settings.load_definitions is None
    queue_type = settings.default_queue_type or ""
    return Defaults(settings.default_vhost, first, others, queue_type, made, limits, operator_policies(settings))


def operator_policies(settings: Settings) -> list[DefaultPolicy]:
    """The operator policies that new virtual hosts begin with."""
    return [
        DefaultPolicy(
            each.vhost_pattern,
            make_policy(each.name, each.queue_pattern, each.apply_to, dict(each.definition), 0, operator=True),
        )
        for each in settings.default_policies_operator
    ]


def node_limits(settings: Settings) -> NodeLimits:
    """The limits of the node, which have their names in the settings."""
    return NodeLimits(**{limit.name: getattr(settings, limit.name) for limit in fields(LimitSettings)})


def memory_limit(settings: Settings) -> int:
    """How many octets of memory may be in use."""
    return octets_of(settings.memory_limit, settings.memory_total)


def disk_free_limit(settings: Settings) -> int:
    """How many octets have to be free for the data folder."""
    if settings.disk_free_limit is not None:
        return octets_of(settings.disk_free_limit, settings.memory_total)
    return max(DEFAULT_DISK_FREE_LIMIT, 2 * settings.segment_size)


def socket_options(settings: Settings) -> SocketOptions:
    """What sockets are set to."""
    return SocketOptions(
        settings.tcp_backlog, settings.tcp_nodelay, settings.tcp_keepalive, settings.tcp_sndbuf, settings.tcp_recbuf
    )


def mechanisms(settings: Settings) -> tuple[str, ...]:
    """The SASL mechanisms by which clients may log in; others that RabbitMQ has are not offered."""
    return tuple(each for each in settings.auth_mechanisms if each in KNOWN_MECHANISMS)


def management_hosts(settings: Settings) -> tuple[str, ...]:
    """Where the HTTP API is: if nothing else is said, on the hosts where AMQP is."""
    return settings.management_bind or hosts_of_amqp(settings)


def metrics_hosts(settings: Settings) -> tuple[str, ...]:
    """Where the metrics are: if nothing else is said, on the hosts where AMQP is."""
    return settings.prometheus_bind or hosts_of_amqp(settings)


def hosts_of_amqp(settings: Settings) -> tuple[str, ...]:
    """The hosts of the plain AMQP listeners, or those with TLS; loopback, if there is only a Unix socket."""
    addresses = settings.bind or settings.tls_bind
    return tuple(dict.fromkeys(split_address(address)[0] for address in addresses)) or LOOPBACK
