"""The firehose: while tracing is on in a virtual host, each publish and each delivery is copied to amq.rabbitmq.trace.

A copy has the body of the message, and in its headers what else there is to know of it, as in RabbitMQ. Its routing key
is `publish.` with the exchange's name or `deliver.` with the queue's. What a client was sent from the trace exchange is
not traced in turn, nor are dead letters when they enter a queue, and direct replies when they are delivered.

Whether tracing is on is not asked for each message. Switching it drops the cached routes, and those that are made while
it is on have the publish looked at more closely; consumers don't keep the head of their deliveries then, and whoever
makes one has the delivery traced. It is off again when the broker starts.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from leveret.amqp.field_table import FieldValue, Table, from_python
from leveret.amqp.properties import BasicProperties
from leveret.broker.direct_reply_to import REPLY_TO
from leveret.broker.own_messages import OwnMessages
from leveret.broker.publishing import selected_keys

if TYPE_CHECKING:
    from leveret.broker.channel import Channel
    from leveret.broker.exchange.base import Exchange
    from leveret.broker.message import Message
    from leveret.broker.queue import Queue
    from leveret.broker.vhost import VirtualHost

log: Final = logging.getLogger("leveret.broker")

TRACE_EXCHANGE: Final = "amq.rabbitmq.trace"


class Firehose:
    """The tracing of one virtual host."""

    def __init__(self, vhost: VirtualHost, exchange: Exchange) -> None:
        self.on = False
        self._vhost: Final = vhost
        self._copies: Final = OwnMessages(vhost, exchange)

    def switch(self, on: bool) -> None:
        """Begin or end tracing. May be repeated."""
        if on == self.on:
            return
        self.on = on
        log.info("tracing is %s for vhost '%s'", "on" if on else "off", self._vhost.name)
        self._vhost.epoch += 1
        for queue in self._vhost.queues.values():
            for consumer in queue.consumers:
                consumer.forget_head()

    def published(self, channel: Channel, message: Message, keys: list[str], queues: list[Queue]) -> None:
        """A client publishes a message with these routing keys, which goes to these queues."""
        if not self._copies.wanted():
            return
        exchange = message.address.exchange
        properties = message.properties()
        headers = self._headers(channel, message, keys, properties)
        names = [queue.name for queue in queues if not queue.is_delay_queue]
        if exchange == "":  # RabbitMQ doesn't look here whether there are such queues
            names = sorted({key for key in keys if not key.startswith(REPLY_TO)})
        headers.update(channel_headers(channel))
        headers["routed_queues"] = texts(names)
        self._copies.publish(f"publish.{exchange}", BasicProperties(headers=headers), message.body())

    def delivered(self, channel: Channel, queue: Queue, message: Message, redelivered: bool) -> None:
        """A queue's message is sent to a client."""
        if not self._copies.wanted() or message.address.exchange == TRACE_EXCHANGE or queue is channel.reply_queue:
            return
        properties = message.properties()
        keys = [message.address.routing_key, *selected_keys(properties.headers or {}, "CC")]
        headers = self._headers(channel, message, [*keys, *message.address.blind_keys], properties)
        headers["redelivered"] = FieldValue("I", int(redelivered))
        headers.update(channel_headers(channel))
        self._copies.publish(f"deliver.{queue.name}", BasicProperties(headers=headers), message.body())

    def _headers(self, channel: Channel, message: Message, keys: list[str], properties: BasicProperties) -> Table:
        return {
            "exchange_name": FieldValue("S", message.address.exchange),
            "routing_keys": texts(keys),
            "properties": FieldValue("F", properties_table(properties)),
            "node": FieldValue("S", channel.connection.broker.node),
        }


def channel_headers(channel: Channel) -> Table:
    """Where a message came from, or went to."""
    connection = channel.connection
    return {
        "vhost": FieldValue("S", connection.vhost_opened().name),
        "connection": FieldValue("S", connection.name),
        "channel": FieldValue("I", int(channel.number)),
        "user": FieldValue("S", connection.user),
    }


def texts(values: list[str]) -> FieldValue:
    """An array of long strings."""
    return FieldValue("A", [FieldValue("S", value) for value in values])


def properties_table(properties: BasicProperties) -> Table:
    """The properties that a message has, by their names, in RabbitMQ's order.

    RabbitMQ cuts a timestamp down to 32 bits; here one that doesn't fit keeps its own type.
    """
    timestamp = properties.timestamp
    headers = None if properties.headers is None else FieldValue("F", properties.headers)
    values: list[tuple[str, object]] = [
        ("cluster_id", properties.cluster_id),
        ("app_id", properties.app_id),
        ("user_id", properties.user_id),
        ("type", properties.type_),
        ("timestamp", timestamp if timestamp is None or timestamp < 1 << 31 else FieldValue("T", timestamp)),
        ("message_id", properties.message_id),
        ("expiration", properties.expiration),
        ("reply_to", properties.reply_to),
        ("correlation_id", properties.correlation_id),
        ("priority", properties.priority),
        ("delivery_mode", properties.delivery_mode),
        ("headers", headers),
        ("content_encoding", properties.content_encoding),
        ("content_type", properties.content_type),
    ]
    return {name: from_python(value) for name, value in values if value is not None}
