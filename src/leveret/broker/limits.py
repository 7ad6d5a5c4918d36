"""How much a node, a virtual host and a user may have open: RabbitMQ's limits, with its names and texts.

The limits of virtual hosts and users are set while the broker runs and kept by the store; those of the node come with
its configuration. What is open is counted as it opens and closes, so a check costs the same however much there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.amqp.reply_codes import NOT_ALLOWED, PRECONDITION_FAILED, HardError, SoftError
from leveret.broker.erlang_terms import printed, printed_pairs

if TYPE_CHECKING:
    from leveret.broker.broker import Broker
    from leveret.broker.channel import Channel
    from leveret.broker.connection import Connection
    from leveret.broker.vhost import VirtualHost

NO_LIMIT: Final = -1
CHANNEL_MAX: Final = 2047
FRAME_MAX: Final = 131072
INITIAL_FRAME_MAX: Final = 8192  # before the connection is open, so that strangers can't fill the memory
MAX_MESSAGE_SIZE: Final = 128 * 1024 * 1024  # RabbitMQ's limit until 4.0
HEARTBEAT: Final = 60  # seconds, suggested to clients
HANDSHAKE_TIMEOUT: Final = 10_000  # milliseconds
MAX_CONNECTIONS: Final = "max-connections"
MAX_QUEUES: Final = "max-queues"
MAX_CHANNELS: Final = "max-channels"
OF_VHOSTS: Final = (MAX_CONNECTIONS, MAX_QUEUES)
OF_USERS: Final = (MAX_CONNECTIONS, MAX_CHANNELS)
LARGEST: Final = (1 << 63) - 1


class InvalidLimits(Exception):
    """Limits that RabbitMQ would refuse; the text has a line for each reason, in RabbitMQ's words and order."""


class NodeLimits:
    """The limits of a node, by their names in rabbitmq.conf; -1 is none. A channel_max of 0 is none too.

    Sizes are octets, timeouts milliseconds, the heartbeat seconds. A heartbeat or consumer timeout of 0 is none.
    """

    def __init__(
        self,
        connection_max: int = NO_LIMIT,
        channel_max: int = CHANNEL_MAX,
        channel_max_per_node: int = NO_LIMIT,
        consumer_max_per_channel: int = NO_LIMIT,
        cluster_queue_limit: int = NO_LIMIT,
        cluster_exchange_limit: int = NO_LIMIT,
        vhost_max: int = NO_LIMIT,
        max_message_size: int = MAX_MESSAGE_SIZE,
        frame_max: int = FRAME_MAX,
        initial_frame_max: int = INITIAL_FRAME_MAX,
        heartbeat: int = HEARTBEAT,
        handshake_timeout: int = HANDSHAKE_TIMEOUT,
        consumer_timeout: int = 0,
    ) -> None:
        self.connection_max: Final = connection_max
        self.channel_max: Final = channel_max
        self.channel_max_per_node: Final = channel_max_per_node
        self.consumer_max_per_channel: Final = consumer_max_per_channel
        self.cluster_queue_limit: Final = cluster_queue_limit
        self.cluster_exchange_limit: Final = cluster_exchange_limit
        self.vhost_max: Final = vhost_max
        self.max_message_size: Final = max_message_size
        self.frame_max: Final = frame_max
        self.initial_frame_max: Final = initial_frame_max
        self.heartbeat: Final = heartbeat
        self.handshake_timeout: Final = handshake_timeout
        self.consumer_timeout: Final = consumer_timeout


class Usage:
    """What a node, a virtual host or a user has open, and the limits that were set for it.

    A limit below 0 is kept and listed, and is none.
    """

    def __init__(self) -> None:
        self.connections: i64 = 0
        self.channels: i64 = 0
        self.limits: dict[str, int] = {}

    def limit(self, name: str) -> int:
        """A limit; -1 if there is none."""
        return max(self.limits.get(name, NO_LIMIT), NO_LIMIT)


def reached(count: int, limit: int) -> bool:
    """Whether there is a limit and no more room below it."""
    return 0 <= limit <= count


def valid_limits(definition: dict[str, object], names: tuple[str, ...], what: str) -> dict[str, int]:
    """Limits from what somebody asks for; `what` is RabbitMQ's name for them. Raises InvalidLimits."""
    errors: list[str] = []
    unknown = [(name, value) for name, value in sorted(definition.items()) if name not in names]
    if unknown:
        errors.append(f"Unrecognised terms {printed_pairs(unknown)} in {what}")
    valid: dict[str, int] = {}
    for name in reversed(names):
        value = definition.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST:
            valid[name] = value
        elif name in definition:
            errors.append(f"{name} should be a number, actually was {printed(value)}")
    if errors:
        raise InvalidLimits("\n".join(errors))
    return valid


# the checks


def check_connection(connection: Connection, vhost: VirtualHost) -> None:
    """HardError 530 if the node, the virtual host or the user may have no other connection (connection.open)."""
    broker = connection.broker
    limit = broker.limits.connection_max
    if reached(broker.usage.connections, limit):
        raise HardError(NOT_ALLOWED, f"connection refused: node connection limit ({limit}) is reached", 10, 40)
    limit = vhost.usage.limit(MAX_CONNECTIONS)
    if reached(vhost.usage.connections, limit):
        raise HardError(
            NOT_ALLOWED,
            f"access to vhost '{vhost.name}' refused for user '{connection.user}': "
            f"connection limit ({limit}) is reached",
            10,
            40,
        )
    usage = broker.users.usage(connection.user)
    limit = usage.limit(MAX_CONNECTIONS)
    if reached(usage.connections, limit):
        raise HardError(
            NOT_ALLOWED,
            f"connection refused for user '{connection.user}': user connection limit ({limit}) is reached",
            10,
            40,
        )


def check_channel(connection: Connection) -> None:
    """HardError 530 if the connection, its user or the node may have no other channel (channel.open)."""
    opened = len(connection.channels)
    if connection.channel_max and opened >= connection.channel_max:
        raise HardError(
            NOT_ALLOWED,
            f"number of channels opened ({opened}) has reached the negotiated channel_max ({connection.channel_max})",
            20,
            10,
        )
    broker = connection.broker
    usage = broker.users.usage(connection.user)
    limit = usage.limit(MAX_CHANNELS)
    if reached(usage.channels, limit):
        raise HardError(
            NOT_ALLOWED,
            f"number of channels opened for user '{connection.user}' has reached the maximum allowed user limit of "
            f"{limit}",
            20,
            10,
        )
    limit = broker.limits.channel_max_per_node
    if reached(broker.usage.channels, limit):
        raise HardError(
            NOT_ALLOWED,
            f"number of channels opened on node '{broker.node}' has reached the maximum allowed limit of {limit}",
            20,
            10,
        )


def check_consumer(channel: Channel) -> None:
    """HardError 530 if the channel may have no other consumer (basic.consume). Direct reply-to doesn't count."""
    limit = channel.connection.broker.limits.consumer_max_per_channel
    if reached(len(channel.consumers) - (channel.reply_queue is not None), limit):
        raise HardError(NOT_ALLOWED, f"reached maximum ({limit}) of consumers per channel")


def check_queue(name: str, vhost: VirtualHost, broker: Broker) -> None:
    """SoftError 406 if the virtual host or the node may have no other queue (queue.declare)."""
    limit = vhost.usage.limit(MAX_QUEUES)
    if reached(len(vhost.queues), limit):
        raise SoftError(
            PRECONDITION_FAILED,
            f"cannot declare queue '{name}': queue limit in vhost '{vhost.name}' ({limit}) is reached",
        )
    limit = broker.limits.cluster_queue_limit
    if limit != NO_LIMIT and reached(sum([len(each.queues) for each in broker.vhosts.values()]), limit):
        raise SoftError(
            PRECONDITION_FAILED, f"cannot declare queue '{name}': queue limit in cluster ({limit}) is reached"
        )


def check_exchange(name: str, vhost: VirtualHost, broker: Broker) -> None:
    """SoftError 406 if the node may have no other exchange, the predeclared ones counted (exchange.declare)."""
    limit = broker.limits.cluster_exchange_limit
    if limit != NO_LIMIT and reached(sum([len(each.exchanges) for each in broker.vhosts.values()]), limit):
        raise SoftError(
            PRECONDITION_FAILED,
            f"cannot declare exchange '{name}' in vhost '{vhost.name}': exchange limit of {limit} is reached",
        )
