"""The methods of class basic, but for publish and ack, which the connection handles on the spot."""

from __future__ import annotations

import base64

from mypy_extensions import i64

from leveret.amqp.methods import (
    BasicAck,
    BasicCancel,
    BasicCancelOk,
    BasicConsume,
    BasicConsumeOk,
    BasicGet,
    BasicGetEmpty,
    BasicGetOk,
    BasicNack,
    BasicQos,
    BasicQosOk,
    BasicRecover,
    BasicRecoverAsync,
    BasicRecoverOk,
    BasicReject,
    Method,
)
from leveret.amqp.reply_codes import (
    ACCESS_REFUSED,
    COMMAND_INVALID,
    NOT_ALLOWED,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    RESOURCE_LOCKED,
    HardError,
    SoftError,
)
from leveret.broker.channel import Channel
from leveret.broker.consumer import Consumer, write_content
from leveret.broker.consumer_timeout import timeout_of
from leveret.broker.direct_reply_to import REPLY_TO, reply_address
from leveret.broker.limits import check_consumer
from leveret.broker.permissions import QUEUE, READ, check_access
from leveret.broker.queue import Queue
from leveret.broker.queue_arguments import (
    check_consumer_arguments,
    consumer_priority,
)
from leveret.broker.queue_methods import named_queue, queue_name
from leveret.broker.settlement import REJECTED, REQUEUED, RETURNED
from leveret.broker.traffic import Traffic


def handle(channel: Channel, method: Method) -> None:
    """Handle a method of class basic."""
    if isinstance(method, BasicAck):
        channel.ack(tag_of(method.delivery_tag), method.multiple)
    elif isinstance(method, BasicNack):
        channel.reject(tag_of(method.delivery_tag), method.multiple, REQUEUED if method.requeue else REJECTED)
    elif isinstance(method, BasicReject):
        channel.reject(tag_of(method.delivery_tag), False, RETURNED if method.requeue else REJECTED)
    elif isinstance(method, BasicGet):
        get(channel, method)
    elif isinstance(method, BasicConsume):
        consume(channel, method)
    elif isinstance(method, BasicCancel):
        channel.cancel(method.consumer_tag)
        if not method.nowait:
            channel.send(BasicCancelOk(method.consumer_tag))
    elif isinstance(method, BasicQos):
        qos(channel, method)
    elif isinstance(method, BasicRecoverAsync):
        recover(channel, method.requeue)
    elif isinstance(method, BasicRecover):
        recover(channel, method.requeue)
        channel.send(BasicRecoverOk())
    else:
        raise HardError(COMMAND_INVALID, f"unexpected method {method.name}")


def tag_of(unsigned: int) -> i64:
    """A delivery tag from the wire; those of 2**63 and more, which are never given, become negative."""
    return i64(unsigned if unsigned < 1 << 63 else unsigned - (1 << 64))


def recover(channel: Channel, requeue: bool) -> None:
    """Put all unacked deliveries of the channel back. Redelivering to the same consumer (requeue false) is
    RabbitMQ's 540.
    """
    if not requeue:
        raise HardError(NOT_IMPLEMENTED, "requeue=false")
    channel.requeue_unacked(False)


def qos(channel: Channel, method: BasicQos) -> None:
    """Set the prefetch of the channel (global) or of each of its consumers; 0 means no limit. Both act at once.

    In RabbitMQ the prefetch of a consumer holds for consumers to come alone. Celery on RabbitMQ 4 changes it while
    it consumes and counts on being obeyed, so here it holds for the running ones too, until the next basic.consume
    shows that it was meant for a newcomer. As in RabbitMQ it lifts a prefetch of the channel that was set before: who
    wants both sets the channel's last.
    """
    if method.prefetch_size:
        raise HardError(NOT_IMPLEMENTED, f"prefetch_size!=0 ({method.prefetch_size})")
    if method.global_:
        channel.prefetch = method.prefetch_count
    else:
        channel.prefetch = 0
        channel.consumer_prefetch = method.prefetch_count
        channel.prefetch_changed = True
        for consumer in channel.consumers.values():
            if not consumer.no_ack:
                consumer.prefetch = method.prefetch_count
    channel.unpark()
    channel.send(BasicQosOk())


def get(channel: Channel, method: BasicGet) -> None:
    """Fetch one message, whatever the prefetch (SoftError 404, 405)."""
    vhost = channel.connection.vhost_opened()
    name = queue_name(channel, method.queue)
    check_access(channel.connection, READ, QUEUE, name)
    queue = named_queue(channel, vhost, name)
    if queue.is_quorum and queue.settings.single_active_consumer:
        raise SoftError(
            RESOURCE_LOCKED,
            f"cannot obtain access to locked queue '{queue.name}' in vhost '{vhost.name}'. "
            "basic.get operations are not supported by quorum queues with single active consumer",
        )
    taken = None
    if queue.paused:
        queue.unused_timer.renew()  # whoever asks uses it
    else:
        taken = queue.fetch(method.no_ack)
    if taken is None:
        count_get(channel.traffic, method.no_ack, False, False)
        count_get(queue.traffic, method.no_ack, False, False)
        channel.send(BasicGetEmpty())
        return
    message, position, redelivered = taken
    count_get(channel.traffic, method.no_ack, True, redelivered)
    count_get(queue.traffic, method.no_ack, True, redelivered)
    tag = channel.deliver_got(message, queue, position, method.no_ack)
    timeout = timeout_of(queue.settings, channel.connection.broker.limits)
    if timeout > 0 and not method.no_ack:
        channel.watch_got(tag, timeout)
    address = message.address
    channel.send(BasicGetOk(tag, redelivered, address.exchange, address.routing_key, queue.ready_count()))
    if redelivered:
        message = queue.as_redelivered(message, position, method.no_ack)
    write_content(channel, message)
    if vhost.firehose.on:
        vhost.firehose.delivered(channel, queue, message, redelivered)


def count_get(traffic: Traffic, no_ack: bool, found: bool, redelivered: bool) -> None:
    """Count a basic.get."""
    if not found:
        traffic.get_empty += 1
    elif no_ack:
        traffic.get_no_ack += 1
    else:
        traffic.get += 1
    if redelivered:
        traffic.redeliver += 1


def consume(channel: Channel, method: BasicConsume) -> None:
    """Subscribe to a queue (SoftError 403, 404, 405, 406; HardError 530 for a tag that is in use)."""
    connection = channel.connection
    vhost = connection.vhost_opened()
    tag = method.consumer_tag
    if tag in channel.consumers:
        raise HardError(NOT_ALLOWED, f"attempt to reuse consumer tag '{tag}'")
    if tag == "":
        random = connection.broker.random_octets(16)
        tag = "amq.ctag-" + base64.urlsafe_b64encode(random).decode().rstrip("=")
    if method.queue == REPLY_TO:
        consume_replies(channel, method, tag)
        return
    check_consumer(channel)
    name = queue_name(channel, method.queue)
    check_access(connection, READ, QUEUE, name)
    queue = named_queue(channel, vhost, name)
    what = f"queue '{queue.name}' in vhost '{vhost.name}'"
    check_consumer_arguments(method.arguments, queue.arguments, what)
    exclusive = method.exclusive and not queue.is_quorum  # RabbitMQ's quorum queues don't know the flag
    check_not_in_exclusive_use(channel, queue)
    if exclusive and (queue.consumers or queue.settings.single_active_consumer):
        raise SoftError(ACCESS_REFUSED, f"{what} in exclusive use")
    if channel.prefetch_changed:
        channel.prefetch_changed = False
        for other in channel.consumers.values():
            other.prefetch = other.declared_prefetch
        channel.unpark()
    consumer = Consumer(
        channel,
        queue,
        tag,
        method.no_ack,
        exclusive,
        channel.consumer_prefetch,
        consumer_priority(method.arguments),
        method.arguments,
    )
    channel.consumers[tag] = consumer
    if not method.nowait:
        channel.send(BasicConsumeOk(tag))
    queue.add_consumer(consumer)
    connection.broker.events.consumer_created(consumer)


def check_not_in_exclusive_use(channel: Channel, queue: Queue) -> None:
    """SoftError 403 if another consumer has the queue to itself."""
    if queue.exclusive_consumer is not None:
        vhost = channel.connection.vhost_opened()
        raise SoftError(ACCESS_REFUSED, f"queue '{queue.name}' in vhost '{vhost.name}' in exclusive use")


def consume_replies(channel: Channel, method: BasicConsume, tag: str) -> None:
    """Subscribe to direct reply-to: one such consumer for each channel, without acknowledgements."""
    if not method.no_ack:
        raise SoftError(PRECONDITION_FAILED, "reply consumer cannot acknowledge")
    if channel.reply_queue is not None:
        raise SoftError(PRECONDITION_FAILED, "reply consumer already set")
    connection = channel.connection
    vhost = connection.vhost_opened()
    address = reply_address(connection.broker.random_octets(16))
    queue = vhost.new_queue(address, False, True, connection, {})
    consumer = Consumer(channel, queue, tag, True, False, 0, 0, method.arguments)
    vhost.add_reply_queue(queue)
    channel.reply_queue = queue
    channel.consumers[tag] = consumer
    if not method.nowait:
        channel.send(BasicConsumeOk(tag))
    queue.add_consumer(consumer)
