"""The families of metrics that are told of each object: which metrics they have, and the values of one object.

Names, types and help texts are those of RabbitMQ's plugin; what only Erlang has is left out. A family's values are
taken from an object at once, in a row, so that those of one object agree with each other. None is no value.

What queues, exchanges and virtual hosts are is told beside what they count: `queue_info` to join their type with, and
the families with the prefix `rabbitmq_cluster_`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from leveret.broker.broker import Broker
from leveret.broker.channel import Channel
from leveret.broker.connection import Connection
from leveret.broker.exchange.base import Exchange
from leveret.broker.process_ids import channel_pid, pid
from leveret.broker.queue import Queue
from leveret.broker.vhost import VirtualHost
from leveret.management.listings import (
    consumer_capacity,
    head_timestamp,
    persistent,
    total_bytes,
    total_messages,
)

Item = TypeVar("Item")
Row: TypeAlias = Sequence[int | float | None]
Located: TypeAlias = tuple[VirtualHost, Exchange]

GAUGE: Final = "gauge"
COUNTER: Final = "counter"
UNTYPED: Final = "untyped"


@dataclass(frozen=True)
class Description:
    """A metric: its name without prefix, and a counter's with `_total`; its type, and what it is for people."""

    name: str
    kind: str
    help: str


@dataclass(frozen=True)
class Family(Generic[Item]):
    """Metrics that are told together. `summed` tells whether they have a sum over all objects."""

    name: str
    metrics: tuple[Description, ...]
    labels: Callable[[Item, Broker], dict[str, str]]
    row: Callable[[Item], Row]
    summed: bool = True
    prefix: str = "rabbitmq_detailed_"


def gauges(**helps: str) -> tuple[Description, ...]:
    """Descriptions of gauges."""
    return tuple(Description(name, GAUGE, text) for name, text in helps.items())


def counters(**helps: str) -> tuple[Description, ...]:
    """Descriptions of counters."""
    return tuple(Description(name, COUNTER, text) for name, text in helps.items())


# queues


def of_queue(queue: Queue, _broker: Broker) -> dict[str, str]:
    """The labels of a queue."""
    return {"vhost": queue.vhost.name, "queue": queue.name}


def what_a_queue_is(queue: Queue, _broker: Broker) -> dict[str, str]:
    """The labels of `queue_info`. One node leads all its queues."""
    kind = "quorum" if queue.is_quorum else "classic"
    return {**of_queue(queue, _broker), "queue_type": f"rabbit_{kind}_queue", "membership": "leader"}


def lengths(queue: Queue) -> Row:
    """How many messages a queue has."""
    return queue.ready_count(), int(queue.unacked), total_messages(queue)


def consumers(queue: Queue) -> Row:
    """How many consumers a queue has."""
    return (len(queue.consumers),)


def details(queue: Queue) -> Row:
    """What else there is to say of a queue's state."""
    messages, octets, capacity = total_messages(queue), total_bytes(queue), consumer_capacity(queue)
    return (
        len(queue.consumers),
        capacity,
        capacity,
        octets,
        messages,
        octets,
        queue.ready_count(),
        int(queue.unacked),
        persistent(queue, messages),
        persistent(queue, octets),
        octets,
        int(queue.ready_octets()),
        int(queue.unacked_bytes),
        head_timestamp(queue),
    )


def deliveries(thing: Queue | Channel) -> Row:
    """What of a queue was delivered, or what was delivered on a channel."""
    traffic = thing.traffic
    return (
        int(traffic.get),
        int(traffic.get_no_ack),
        int(traffic.deliver),
        int(traffic.deliver_no_ack),
        int(traffic.redeliver),
        int(traffic.ack),
        int(traffic.get_empty),
    )


DELIVERIES_OF_CHANNEL: Final = counters(
    channel_get_ack_total="Total number of messages fetched with basic.get in manual acknowledgement mode",
    channel_get_total="Total number of messages fetched with basic.get in automatic acknowledgement mode",
    channel_messages_delivered_ack_total="Total number of messages delivered to consumers in manual acknowledgement"
    " mode",
    channel_messages_delivered_total="Total number of messages delivered to consumers in automatic acknowledgement"
    " mode",
    channel_messages_redelivered_total="Total number of messages redelivered to consumers",
    channel_messages_acked_total="Total number of messages acknowledged by consumers",
    channel_get_empty_total="Total number of times basic.get operations fetched no message",
)
DELIVERIES_OF_QUEUE: Final = counters(
    queue_get_ack_total="Total number of messages fetched from a queue with basic.get in manual acknowledgement mode",
    queue_get_total="Total number of messages fetched from a queue with basic.get in automatic acknowledgement mode",
    queue_messages_delivered_ack_total="Total number of messages delivered from a queue to consumers in manual"
    " acknowledgement mode",
    queue_messages_delivered_total="Total number of messages delivered from a queue to consumers in automatic"
    " acknowledgement mode",
    queue_messages_redelivered_total="Total number of messages redelivered from a queue to consumers",
    queue_messages_acked_total="Total number of messages acknowledged by consumers on a queue",
    queue_get_empty_total="Total number of times basic.get operations fetched no message on a queue",
)
CONSUMERS: Final = gauges(queue_consumers="Consumers on a queue")
QUEUES: Final[tuple[Family[Queue], ...]] = (
    Family(
        "queue_coarse_metrics",
        gauges(
            queue_messages_ready="Messages ready to be delivered to consumers",
            queue_messages_unacked="Messages delivered to consumers but not yet acknowledged",
            queue_messages="Sum of ready and unacknowledged messages - total queue depth",
        ),
        of_queue,
        lengths,
    ),
    Family(
        "queue_metrics",
        CONSUMERS
        + gauges(
            queue_consumer_capacity="Consumer capacity",
            queue_consumer_utilisation="Same as consumer capacity",
            queue_process_memory_bytes="Memory in bytes used by the Erlang queue process",
            queue_messages_ram="Ready and unacknowledged messages stored in memory",
            queue_messages_ram_bytes="Size of ready and unacknowledged messages stored in memory",
            queue_messages_ready_ram="Ready messages stored in memory",
            queue_messages_unacked_ram="Unacknowledged messages stored in memory",
            queue_messages_persistent="Persistent messages",
            queue_messages_persistent_bytes="Size in bytes of persistent messages",
            queue_messages_bytes="Size in bytes of ready and unacknowledged messages",
            queue_messages_ready_bytes="Size in bytes of ready messages",
            queue_messages_unacked_bytes="Size in bytes of all unacknowledged messages",
            queue_head_message_timestamp="Timestamp of the first message in the queue, if any",
        ),
        of_queue,
        details,
    ),
    Family("queue_delivery_metrics", DELIVERIES_OF_QUEUE, of_queue, deliveries),
    Family(
        "channel_queue_exchange_metrics",
        counters(queue_messages_published_total="Total number of messages published to queues"),
        lambda queue, broker: {"queue_vhost": queue.vhost.name, "queue": queue.name},
        lambda queue: (queue.published(),),
    ),
    Family("queue_consumer_count", CONSUMERS, of_queue, consumers, summed=False),
)
QUEUE_INFO: Final[Family[Queue]] = Family(
    "queue_info",  # which cannot be asked for by this name: it comes with the families that have it
    gauges(queue_info="A metric with a constant '1' value and labels that provide some queue details"),
    what_a_queue_is,
    lambda queue: (1,),
    summed=False,
)
WITH_QUEUE_INFO: Final = frozenset({"queue_coarse_metrics", "queue_consumer_count", "queue_metrics"})
NOT_SUMMED: Final = frozenset({"queue_head_message_timestamp"})


# channels


def of_channel(channel: Channel, broker: Broker) -> dict[str, str]:
    """The label of a channel."""
    return {"channel": channel_pid(broker, channel)}


def of_channel_in_vhost(channel: Channel, broker: Broker) -> dict[str, str]:
    """The labels of a channel where messages are counted."""
    return {"channel": channel_pid(broker, channel), "vhost": channel.connection.vhost_opened().name}


def channel_state(channel: Channel) -> Row:
    """What a channel has on its hands."""
    transaction = channel.transaction
    return (
        len(channel.consumers),
        len(channel.unacked),
        int(channel.publish_tag - channel.confirmed_tag),
        0 if transaction is None else len(transaction.publications),
        0 if transaction is None else len(transaction.settlements),
        channel.consumer_prefetch,
        int(channel.prefetch),
    )


def publishes(channel: Channel) -> Row:
    """What was published on a channel."""
    traffic = channel.traffic
    return int(traffic.publish), int(traffic.confirm), int(traffic.return_unroutable), int(traffic.drop_unroutable)


CHANNELS: Final[tuple[Family[Channel], ...]] = (
    Family(
        "channel_metrics",
        gauges(
            channel_consumers="Consumers on a channel",
            channel_messages_unacked="Delivered but not yet acknowledged messages",
            channel_messages_unconfirmed="Published but not yet confirmed messages",
            channel_messages_uncommitted="Messages received in a transaction but not yet committed",
            channel_acks_uncommitted="Message acknowledgements in a transaction not yet committed",
            consumer_prefetch="Limit of unacknowledged messages for each consumer",
            channel_prefetch="Total limit of unacknowledged messages for all consumers on a channel",
        ),
        of_channel,
        channel_state,
    ),
    Family(
        "channel_exchange_metrics",
        counters(
            channel_messages_published_total="Total number of messages published into an exchange on a channel",
            channel_messages_confirmed_total="Total number of messages published into an exchange and confirmed on the"
            " channel",
            channel_messages_unroutable_returned_total="Total number of messages published as mandatory into an"
            " exchange and returned to the publisher as unroutable",
            channel_messages_unroutable_dropped_total="Total number of messages published as non-mandatory into an"
            " exchange and dropped as unroutable",
        ),
        of_channel_in_vhost,
        publishes,
    ),
    Family("channel_queue_metrics", DELIVERIES_OF_CHANNEL, of_channel_in_vhost, deliveries),
)


# connections


def of_connection(connection: Connection, broker: Broker) -> dict[str, str]:
    """The label of a connection, which has RabbitMQ's name for it."""
    return {"channel": pid(broker, connection)}


def octets(connection: Connection) -> Row:
    """How much a connection has received and sent."""
    return int(connection.octets.received), int(connection.octets.sent)


def connection_state(connection: Connection) -> Row:
    """How often that was, and what waits."""
    counts = connection.octets
    return int(counts.reads), int(counts.sends), int(connection.pending_output() > 0), len(connection.channels)


CONNECTIONS: Final[tuple[Family[Connection], ...]] = (
    Family(
        "connection_coarse_metrics",
        counters(
            connection_incoming_bytes_total="Total number of bytes received on a connection",
            connection_outgoing_bytes_total="Total number of bytes sent on a connection",
        ),
        of_connection,
        octets,
    ),
    Family(
        "connection_metrics",
        counters(
            connection_incoming_packets_total="Total number of packets received on a connection",
            connection_outgoing_packets_total="Total number of packets sent on a connection",
        )
        + gauges(
            connection_pending_packets="Number of packets waiting to be sent on a connection",
            connection_channels="Channels on a connection",
        ),
        of_connection,
        connection_state,
    ),
)


# exchanges and virtual hosts


def of_exchange(place: Located, _broker: Broker) -> dict[str, str]:
    """The labels of an exchange."""
    vhost, exchange = place
    return {"vhost": vhost.name, "exchange": exchange.name}


def of_typed_exchange(place: Located, broker: Broker) -> dict[str, str]:
    """The labels of an exchange, with its type."""
    return {**of_exchange(place, broker), "type": place[1].type_name}


EXCHANGES: Final[tuple[Family[Located], ...]] = (
    Family(
        "exchange_metrics",
        counters(exchange_messages_published_total="Total number of messages published into an exchange"),
        of_exchange,
        lambda place: (int(place[1].publish_in),),
    ),
)
NAMED_EXCHANGES: Final[tuple[Family[Located], ...]] = (
    Family(
        "exchange_bindings",
        gauges(exchange_bindings="Number of bindings for an exchange. This value is cluster-wide."),
        of_typed_exchange,
        lambda place: (len(place[1].bindings),),
        summed=False,
        prefix="rabbitmq_cluster_",
    ),
    Family(
        "exchange_names",
        gauges(
            exchange_name="Enumerates exchanges without any additional info. This value is cluster-wide. A cheaper"
            " alternative to `exchange_bindings`"
        ),
        of_typed_exchange,
        lambda place: (1,),
        summed=False,
        prefix="rabbitmq_cluster_",
    ),
)
VHOSTS: Final[tuple[Family[VirtualHost], ...]] = (
    Family(
        "vhost_status",
        gauges(vhost_status="Whether a given vhost is running"),
        lambda vhost, broker: {"vhost": vhost.name},
        lambda vhost: (1,),
        summed=False,
        prefix="rabbitmq_cluster_",
    ),
)
