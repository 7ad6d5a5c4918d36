"""Listings: rows of what a broker has, column by column, under RabbitMQ's names.

A column is a function of one item and the broker, so a row costs only the columns that are asked for, and each of them
is a matter of attributes and counts: none walks through a queue's messages. None says that there is nothing to say.

Rows are made as they are asked for. Whoever lists a large broker may stop between two rows and let it work: each
collection is copied when it is reached, and what was deleted meanwhile is left out.

RabbitMQ's process identifiers become those of `broker.process_ids`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Generic, TypeAlias, TypeVar

from leveret.amqp.field_table import Table
from leveret.broker.arguments import effective_type
from leveret.broker.binding import Binding
from leveret.broker.broker import Broker
from leveret.broker.channel import Channel
from leveret.broker.connection import Connection
from leveret.broker.connection_state import EXPECT_HEADER, STATE_NAMES
from leveret.broker.consumer import Consumer
from leveret.broker.encryption import Certificate, Encryption
from leveret.broker.exchange.base import Exchange
from leveret.broker.limits import Usage
from leveret.broker.message import Message
from leveret.broker.pausing import state_of
from leveret.broker.permissions import Permission, TopicPermission
from leveret.broker.policy import Policy, definition_of
from leveret.broker.policy_definition import effective_definition
from leveret.broker.process_ids import channel_pid, pid
from leveret.broker.queue import Queue
from leveret.broker.users import User
from leveret.broker.vhost import VirtualHost
from leveret.management import access_listings
from leveret.management.parameters import Parameter, parameters

Value: TypeAlias = str | int | float | bool | list[str] | list[tuple[str, str | int]] | tuple[int, ...] | Table | None
Item = TypeVar("Item")

PROTOCOL: Final = (0, 9, 1)


class Listing(Generic[Item]):
    """One kind of item: where they are, and what each of their columns says.

    `items` takes the broker and the name of a virtual host; what RabbitMQ lists for the whole node ignores the latter.
    An unknown virtual host has nothing in it.
    """

    def __init__(
        self,
        items: Callable[[Broker, str], Iterator[Item]],
        columns: Mapping[str, Callable[[Item, Broker], Value]],
    ) -> None:
        self.items: Final = items
        self.columns: Final = columns

    def rows(self, broker: Broker, vhost: str, columns: Sequence[str]) -> Iterator[list[Value]]:
        """A row for each item, with these columns. KeyError for a column that there isn't."""
        extractors = [self.columns[name] for name in columns]
        for item in self.items(broker, vhost):
            yield [extract(item, broker) for extract in extractors]


# the items


def queues(broker: Broker, vhost: str) -> Iterator[Queue]:
    """The queues of a virtual host."""
    found = broker.vhosts.get(vhost)
    for queue in list(found.queues.values()) if found is not None else ():
        if not queue.deleted:
            yield queue


def exchanges(broker: Broker, vhost: str) -> Iterator[Exchange]:
    """The exchanges of a virtual host, the default exchange among them."""
    found = broker.vhosts.get(vhost)
    for exchange in list(found.exchanges.values()) if found is not None else ():
        if not exchange.deleted:
            yield exchange


def bindings(broker: Broker, vhost: str) -> Iterator[Binding]:
    """The bindings of a virtual host, first those of every queue to the default exchange (AMQP 0-9-1, 3.1.3.1)."""
    found = broker.vhosts.get(vhost)
    if found is None:
        return
    for queue in queues(broker, vhost):
        yield Binding(found.default_exchange, queue, queue.name, {})
    for exchange in exchanges(broker, vhost):
        yield from list(exchange.bindings.values())


def connections(broker: Broker, _vhost: str) -> Iterator[Connection]:
    """Every connection."""
    for connection in list(broker.connections):
        if connection in broker.connections:
            yield connection


def channels(broker: Broker, vhost: str) -> Iterator[Channel]:
    """Every open channel."""
    for connection in connections(broker, vhost):
        for channel in list(connection.channels.values()):
            if not channel.closing:
                yield channel


def consumers(broker: Broker, vhost: str) -> Iterator[Consumer]:
    """The consumers of a virtual host's queues."""
    for queue in queues(broker, vhost):
        for consumer in list(queue.consumers):
            if not consumer.cancelled:
                yield consumer


def policies(broker: Broker, vhost: str) -> Iterator[tuple[str, Policy]]:
    """The policies of a virtual host, whose name is given with each."""
    for policy in broker.vhosts[vhost].policies.listed(operator=False):
        yield vhost, policy


def operator_policies(broker: Broker, vhost: str) -> Iterator[tuple[str, Policy]]:
    """The operator policies of a virtual host, whose name is given with each."""
    for policy in broker.vhosts[vhost].policies.listed(operator=True):
        yield vhost, policy


def global_parameters(broker: Broker, _vhost: str) -> Iterator[tuple[str, object]]:
    """Every global parameter."""
    yield from broker.parameters.all_global().items()


def vhost_limits(broker: Broker, _vhost: str) -> Iterator[tuple[str, Usage]]:
    """Every virtual host with its limits, also where there are none."""
    for name, vhost in list(broker.vhosts.items()):
        yield name, vhost.usage


def user_limits(broker: Broker, _vhost: str) -> Iterator[tuple[str, Usage]]:
    """Every user with their limits, also where there are none."""
    for user in broker.users.all():
        yield user.name, user.usage


# what several columns have in common


def queue_type(queue: Queue) -> str:
    """What the queue was declared to be, in RabbitMQ's words."""
    return effective_type(queue.arguments.get("x-queue-type"))


def name_of(policy: Policy | None) -> str | None:
    """A policy's name."""
    return None if policy is None else policy.name


def policy_definition(queue: Queue) -> list[tuple[str, str | int]]:
    """What the policies of a queue come to."""
    return list(effective_definition(definition_of(queue.policy), definition_of(queue.operator_policy)).items())


def as_json(value: Mapping[str, object]) -> str:
    """What was given as JSON, in the form in which RabbitMQ shows it."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def json_text(value: object) -> str:
    """A parameter's value as it was given."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def node_of_replicated(queue: Queue, broker: Broker) -> str | None:
    """The one node that holds a queue of a replicated type; RabbitMQ says nothing of it for a classic queue."""
    return None if queue_type(queue) == "classic" else broker.node


def persistent(queue: Queue, total: int) -> int | None:
    """How much of a queue is persistent, where that is certain without looking at every message."""
    return None if queue.durable and total else 0


def head(queue: Queue) -> Message | None:
    """The message that would be delivered next."""
    return queue.in_turn().first()


def head_timestamp(queue: Queue) -> int | None:
    """The timestamp property of the message that would be delivered next, in seconds since 1970."""
    message = head(queue)
    return message.properties().timestamp if message is not None else None


def consumer_capacity(queue: Queue) -> int | float:
    """1.0 if a message could be delivered at once, 0.0 if all consumers have their fill, 0 if there are none.

    RabbitMQ gives the fraction of the last seconds; this is the moment's.
    """
    if not queue.consumers:
        return 0
    return 1.0 if queue.rotation.next_level() is not None else 0.0


def total_bytes(queue: Queue) -> int:
    """Octets of the bodies that the queue holds, ready and out."""
    octets = int(queue.ready_octets() + queue.unacked_bytes)
    return octets if queue.retries is None else octets + queue.retries.octets()


def total_messages(queue: Queue) -> int:
    """Messages that the queue holds, ready and out. Whoever sorts by it asks every queue."""
    retries = queue.retries
    messages = queue.ready_count() + queue.unacked
    return messages if retries is None else messages + retries.count()


def delayed(queue: Queue) -> int:
    """Messages that came back and wait for another try."""
    return 0 if queue.retries is None else queue.retries.count()


def activity(consumer: Consumer) -> str:
    """Whether a consumer is given messages, in RabbitMQ's words."""
    queue = consumer.queue
    if not queue.settings.single_active_consumer:
        return "up"
    return "single_active" if queue.active_consumer is consumer else "waiting"


def of_tls(read: Callable[[Encryption], str | None]) -> Callable[[Connection, Broker], Value]:
    """A column about the TLS of a connection."""
    return lambda connection, broker: None if connection.encryption is None else read(connection.encryption)


def of_certificate(read: Callable[[Certificate], str]) -> Callable[[Connection, Broker], Value]:
    """A column about the certificate that a client has shown."""
    return of_tls(lambda tls: None if tls.certificate is None else read(tls.certificate))


def host_and_port(address: str) -> tuple[str, int | None]:
    """The parts of `host:port` or `[host]:port`; a Unix socket has no port."""
    host, colon, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if colon and port.isdigit() else (address, None)


# the columns


def nothing(_item: object, _broker: Broker) -> None:
    """The value of a column that has nothing to say here."""


def zero(_item: object, _broker: Broker) -> int:
    """The value of a count of what never happens here."""
    return 0


QUEUES: Final[dict[str, Callable[[Queue, Broker], Value]]] = {
    "name": lambda queue, broker: queue.name,
    "durable": lambda queue, broker: queue.durable,
    "auto_delete": lambda queue, broker: queue.auto_delete,
    "arguments": lambda queue, broker: queue.arguments,
    "policy": lambda queue, broker: name_of(queue.policy),
    "operator_policy": lambda queue, broker: name_of(queue.operator_policy),
    "effective_policy_definition": lambda queue, broker: policy_definition(queue),
    "pid": lambda queue, broker: pid(broker, queue),
    "owner_pid": lambda queue, broker: None if queue.owner is None else pid(broker, queue.owner),
    "exclusive": lambda queue, broker: queue.owner is not None,
    "exclusive_consumer_pid": lambda queue, broker: (
        None if queue.exclusive_consumer is None else channel_pid(broker, queue.exclusive_consumer.channel)
    ),
    "exclusive_consumer_tag": lambda queue, broker: (
        None if queue.exclusive_consumer is None else queue.exclusive_consumer.tag
    ),
    "messages_ready": lambda queue, broker: queue.ready_count(),
    "messages_unacknowledged": lambda queue, broker: int(queue.unacked),
    "messages_delayed": lambda queue, broker: delayed(queue),
    "messages": lambda queue, broker: total_messages(queue),
    "messages_ready_ram": lambda queue, broker: queue.ready_count(),
    "messages_unacknowledged_ram": lambda queue, broker: int(queue.unacked),
    "messages_ram": lambda queue, broker: total_messages(queue),
    "messages_persistent": lambda queue, broker: persistent(queue, total_messages(queue)),
    "message_bytes": lambda queue, broker: total_bytes(queue),
    "message_bytes_ready": lambda queue, broker: int(queue.ready_octets()),
    "message_bytes_unacknowledged": lambda queue, broker: int(queue.unacked_bytes),
    "message_bytes_ram": lambda queue, broker: total_bytes(queue),
    "message_bytes_persistent": lambda queue, broker: persistent(queue, total_bytes(queue)),
    "head_message_timestamp": lambda queue, broker: head_timestamp(queue),
    "disk_reads": zero,
    "disk_writes": zero,
    "consumers": lambda queue, broker: len(queue.consumers),
    "consumer_utilisation": lambda queue, broker: consumer_capacity(queue),
    "consumer_capacity": lambda queue, broker: consumer_capacity(queue),
    "memory": lambda queue, broker: total_bytes(queue),  # of the bodies: nothing else is counted for each queue
    "slave_pids": nothing,
    "synchronised_slave_pids": nothing,
    "mirror_pids": nothing,
    "synchronised_mirror_pids": nothing,
    "state": lambda queue, broker: state_of(queue),
    "type": lambda queue, broker: queue_type(queue),
    "leader": node_of_replicated,
    "members": lambda queue, broker: [node] if (node := node_of_replicated(queue, broker)) else None,
    "online": lambda queue, broker: [node] if (node := node_of_replicated(queue, broker)) else None,
}

EXCHANGES: Final[dict[str, Callable[[Exchange, Broker], Value]]] = {
    "name": lambda exchange, broker: exchange.name,
    "type": lambda exchange, broker: exchange.type_name,
    "durable": lambda exchange, broker: exchange.durable,
    "auto_delete": lambda exchange, broker: exchange.auto_delete,
    "internal": lambda exchange, broker: exchange.internal,
    "arguments": lambda exchange, broker: exchange.arguments,
    "policy": lambda exchange, broker: name_of(exchange.policy),
    "messages_delayed": lambda exchange, broker: (
        0 if exchange.delay_queue is None else exchange.delay_queue.ready_count()
    ),
}

BINDINGS: Final[dict[str, Callable[[Binding, Broker], Value]]] = {
    "source_name": lambda binding, broker: binding.source.name,
    "source_kind": lambda binding, broker: binding.source.kind,
    "destination_name": lambda binding, broker: binding.destination.name,
    "destination_kind": lambda binding, broker: binding.destination.kind,
    "routing_key": lambda binding, broker: binding.routing_key,
    "arguments": lambda binding, broker: binding.arguments,
}

CONNECTIONS: Final[dict[str, Callable[[Connection, Broker], Value]]] = {
    "pid": lambda connection, broker: pid(broker, connection),
    "name": lambda connection, broker: connection.name,
    "port": lambda connection, broker: host_and_port(connection.local)[1],
    "host": lambda connection, broker: host_and_port(connection.local)[0],
    "peer_port": lambda connection, broker: host_and_port(connection.peer)[1],
    "peer_host": lambda connection, broker: host_and_port(connection.peer)[0],
    "ssl": lambda connection, broker: connection.encryption is not None,
    "ssl_protocol": of_tls(lambda tls: tls.protocol),
    "ssl_key_exchange": of_tls(lambda tls: tls.key_exchange),
    "ssl_cipher": of_tls(lambda tls: tls.cipher),
    "ssl_hash": of_tls(lambda tls: tls.mac),
    "peer_cert_subject": of_certificate(lambda shown: shown.subject),
    "peer_cert_issuer": of_certificate(lambda shown: shown.issuer),
    "peer_cert_validity": of_certificate(lambda shown: shown.validity),
    "state": lambda connection, broker: STATE_NAMES[connection.state],
    "channels": lambda connection, broker: len(connection.channels),
    "protocol": lambda connection, broker: None if connection.state == EXPECT_HEADER else PROTOCOL,
    "auth_mechanism": lambda connection, broker: connection.auth_mechanism or None,
    "user": lambda connection, broker: connection.user,
    "vhost": lambda connection, broker: None if connection.vhost is None else connection.vhost.name,
    "container_id": nothing,
    "timeout": lambda connection, broker: connection.heartbeat,
    "frame_max": lambda connection, broker: int(connection.frame_max),
    "channel_max": lambda connection, broker: connection.channel_max,
    "client_properties": lambda connection, broker: connection.client_properties,
    "recv_oct": nothing,
    "recv_cnt": nothing,
    "send_oct": nothing,
    "send_cnt": nothing,
    "send_pend": lambda connection, broker: int(connection.pending_output()),
    "connected_at": lambda connection, broker: int(connection.connected_at * 1000),
}

CHANNELS: Final[dict[str, Callable[[Channel, Broker], Value]]] = {
    "pid": lambda channel, broker: channel_pid(broker, channel),
    "connection": lambda channel, broker: pid(broker, channel.connection),
    "name": lambda channel, broker: f"{channel.connection.name} ({int(channel.number)})",
    "number": lambda channel, broker: int(channel.number),
    "user": lambda channel, broker: channel.connection.user,
    "vhost": lambda channel, broker: channel.connection.vhost_opened().name,
    "transactional": lambda channel, broker: channel.transaction is not None,
    "confirm": lambda channel, broker: channel.confirming,
    "consumer_count": lambda channel, broker: len(channel.consumers),
    "messages_unacknowledged": lambda channel, broker: len(channel.unacked),
    "messages_uncommitted": lambda channel, broker: (
        0 if channel.transaction is None else len(channel.transaction.publications)
    ),
    "acks_uncommitted": lambda channel, broker: (
        0 if channel.transaction is None else len(channel.transaction.settlements)
    ),
    "messages_unconfirmed": lambda channel, broker: int(channel.publish_tag - channel.confirmed_tag),
    "prefetch_count": lambda channel, broker: channel.consumer_prefetch,
    "global_prefetch_count": lambda channel, broker: int(channel.prefetch),
}

CONSUMERS: Final[dict[str, Callable[[Consumer, Broker], Value]]] = {
    "queue_name": lambda consumer, broker: consumer.queue.name,
    "channel_pid": lambda consumer, broker: channel_pid(broker, consumer.channel),
    "consumer_tag": lambda consumer, broker: consumer.tag,
    "ack_required": lambda consumer, broker: not consumer.no_ack,
    "prefetch_count": lambda consumer, broker: int(consumer.prefetch),
    "active": lambda consumer, broker: activity(consumer) != "waiting",
    "activity_status": lambda consumer, broker: activity(consumer),
    "arguments": lambda consumer, broker: consumer.arguments,
}

POLICIES: Final[dict[str, Callable[[tuple[str, Policy], Broker], Value]]] = {
    "vhost": lambda item, broker: item[0],
    "name": lambda item, broker: item[1].name,
    "pattern": lambda item, broker: item[1].pattern.text,
    "apply-to": lambda item, broker: item[1].apply_to,
    "definition": lambda item, broker: as_json(item[1].told),
    "priority": lambda item, broker: item[1].priority,
}

PARAMETERS: Final[dict[str, Callable[[Parameter, Broker], Value]]] = {
    "component": lambda parameter, broker: parameter.component,
    "name": lambda parameter, broker: parameter.name,
    "value": lambda parameter, broker: json_text(parameter.value),
}

GLOBAL_PARAMETERS: Final[dict[str, Callable[[tuple[str, object], Broker], Value]]] = {
    "name": lambda item, broker: item[0],
    "value": lambda item, broker: json_text(item[1]),
}

VHOST_LIMITS: Final[dict[str, Callable[[tuple[str, Usage], Broker], Value]]] = {
    "vhost": lambda item, broker: item[0],
    "limits": lambda item, broker: as_json(item[1].limits),
}

USER_LIMITS: Final[dict[str, Callable[[tuple[str, Usage], Broker], Value]]] = {
    "user": lambda item, broker: item[0],
    "limits": lambda item, broker: as_json(item[1].limits),
}

AnyListing: TypeAlias = (
    Listing[Queue]
    | Listing[Exchange]
    | Listing[Binding]
    | Listing[Connection]
    | Listing[Channel]
    | Listing[Consumer]
    | Listing[tuple[str, Policy]]
    | Listing[Parameter]
    | Listing[tuple[str, object]]
    | Listing[tuple[str, Usage]]
    | Listing[User]
    | Listing[VirtualHost]
    | Listing[Permission]
    | Listing[TopicPermission]
)
LISTINGS: Final[dict[str, AnyListing]] = {
    "queues": Listing(queues, QUEUES),
    "exchanges": Listing(exchanges, EXCHANGES),
    "bindings": Listing(bindings, BINDINGS),
    "connections": Listing(connections, CONNECTIONS),
    "channels": Listing(channels, CHANNELS),
    "consumers": Listing(consumers, CONSUMERS),
    "policies": Listing(policies, POLICIES),
    "operator_policies": Listing(operator_policies, POLICIES),
    "parameters": Listing(parameters, PARAMETERS),
    "global_parameters": Listing(global_parameters, GLOBAL_PARAMETERS),
    "vhost_limits": Listing(vhost_limits, VHOST_LIMITS),
    "user_limits": Listing(user_limits, USER_LIMITS),
    "users": Listing(access_listings.users, access_listings.USERS),
    "vhosts": Listing(access_listings.vhosts, access_listings.VHOSTS),
    "permissions": Listing(access_listings.permissions, access_listings.PERMISSIONS_FOR_VHOST),
    "user_permissions": Listing(access_listings.user_permissions, access_listings.PERMISSIONS_OF_USER),
    "topic_permissions": Listing(access_listings.topic_permissions, access_listings.TOPICS_FOR_VHOST),
    "user_topic_permissions": Listing(access_listings.user_topic_permissions, access_listings.TOPICS_OF_USER),
}
