"""The methods of class queue: declare, bind, unbind, purge, delete, with RabbitMQ's checks and texts."""

from __future__ import annotations

import base64

from leveret.amqp.field_table import FieldValue
from leveret.amqp.methods import (
    Method,
    QueueBind,
    QueueBindOk,
    QueueDeclare,
    QueueDeclareOk,
    QueueDelete,
    QueueDeleteOk,
    QueuePurge,
    QueuePurgeOk,
    QueueUnbind,
    QueueUnbindOk,
)
from leveret.amqp.reply_codes import (
    ACCESS_REFUSED,
    COMMAND_INVALID,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    HardError,
    SoftError,
)
from leveret.broker.channel import Channel
from leveret.broker.direct_reply_to import REPLY_TO
from leveret.broker.exchange_methods import bind, check_binding, exchange_to_bind, unbind
from leveret.broker.limits import check_queue
from leveret.broker.permissions import CONFIGURE, EXCHANGE, QUEUE, READ, WRITE, check_access, check_any_access
from leveret.broker.queue import Queue
from leveret.broker.queue_arguments import (
    CLASSIC,
    QUORUM,
    check_queue_arguments,
    check_quorum_properties,
    compared_arguments,
    is_quorum,
)
from leveret.broker.redeclaring import QUEUE_TYPE, RELAXED, check_redeclared, flag
from leveret.broker.vhost import VirtualHost, check_exclusive_access, check_name_not_reserved, locked


def handle(channel: Channel, method: Method) -> None:
    """Handle a method of class queue."""
    vhost = channel.connection.vhost_opened()
    if isinstance(method, QueueDeclare):
        declare(channel, vhost, method)
    elif isinstance(method, QueueBind):
        name = queue_name(channel, method.queue)
        key = binding_key(method.queue, method.routing_key, name)
        check_binding(channel.connection, QUEUE, name, method.exchange, key)
        source = exchange_to_bind(vhost, method.exchange)  # of two that are missing, RabbitMQ names the exchange
        queue = named_queue(channel, vhost, name, bindable=True)
        bind(vhost, source, queue, key, method.arguments)
        if not method.nowait:
            channel.send(QueueBindOk())
    elif isinstance(method, QueueUnbind):
        unbind_queue(channel, vhost, method)
        channel.send(QueueUnbindOk())
    elif isinstance(method, QueuePurge):
        name = queue_name(channel, method.queue)
        check_access(channel.connection, READ, QUEUE, name)
        purged = named_queue(channel, vhost, name).purge()
        if not method.nowait:
            channel.send(QueuePurgeOk(purged))
    elif isinstance(method, QueueDelete):
        delete(channel, vhost, method)
    else:
        raise HardError(COMMAND_INVALID, f"unexpected method {method.name}")


def unbind_queue(channel: Channel, vhost: VirtualHost, method: QueueUnbind) -> None:
    """Remove a binding of a queue; a missing one is fine, and so is a missing queue or exchange."""
    name = queue_name(channel, method.queue)
    key = binding_key(method.queue, method.routing_key, name)
    check_binding(channel.connection, QUEUE, name, method.exchange, key)
    if name in vhost.queues or name.startswith(REPLY_TO):
        queue = named_queue(channel, vhost, name, bindable=True)
        unbind(vhost, method.exchange, queue, key, method.arguments)


def binding_key(named: str, routing_key: str, last_queue: str) -> str:
    """The binding key: with neither queue nor key named, it is the name of the last declared queue (queue.bind)."""
    return last_queue if named == "" and routing_key == "" else routing_key


def queue_name(channel: Channel, name: str) -> str:
    """The name of the queue that a method means; the empty one is the last that the channel declared, or 404."""
    if name == "":
        name = channel.last_queue
        if name == "":
            raise SoftError(NOT_FOUND, "no previously declared queue")
    return name


def named_queue(channel: Channel, vhost: VirtualHost, name: str, bindable: bool = False) -> Queue:
    """The queue of that name (`queue_name`).

    SoftError 404 if there is none, 405 if it is exclusive to another connection, 403 to bind a reply-to address.
    """
    if bindable and name.startswith(REPLY_TO):
        raise SoftError(ACCESS_REFUSED, "cannot bind or unbind to a volatile (direct reply-to) queue")
    queue = vhost.queue(name)
    check_exclusive_access(queue, channel.connection, vhost)
    return queue


def declare(channel: Channel, vhost: VirtualHost, method: QueueDeclare) -> None:
    """Declare a queue, or check the one that is there (SoftError 403, 404, 405, 406)."""
    name = method.queue.replace("\r", "").replace("\n", "")
    if name.startswith(REPLY_TO):
        queue = declare_reply_to(channel, vhost, name)
    elif method.passive:
        check_any_access(channel.connection, QUEUE, name)
        queue = vhost.queue(name)
        check_exclusive_access(queue, channel.connection, vhost)
        queue.redeclared()
    else:
        existing = vhost.queues.get(name) if name else None
        add_default_type(vhost, channel.connection.broker.defaults.queue_type, method)
        vhost.churn.queue_declared += 1
        if existing is None:
            queue = create(channel, vhost, name, method)
        else:
            queue = existing
            check_access(channel.connection, CONFIGURE, QUEUE, name)
            check_equivalent(channel, vhost, queue, method)
            queue.redeclared()
    channel.last_queue = queue.name
    if not method.nowait:
        queue.catch_up()
        consumers = 1 if queue.name.startswith(REPLY_TO) else len(queue.consumers)
        channel.send(QueueDeclareOk(queue.name, queue.ready_count(), consumers))


def declare_reply_to(channel: Channel, vhost: VirtualHost, name: str) -> Queue:
    """Declaring a direct reply-to address asks whether its consumer is still there."""
    if name == REPLY_TO:
        return vhost.new_queue(REPLY_TO, False, False, None, {})
    queue = vhost.reply_queues.get(name)
    if queue is None:
        raise SoftError(NOT_FOUND, f"no queue '{name}' in vhost '{vhost.name}'")
    return queue


def create(channel: Channel, vhost: VirtualHost, name: str, method: QueueDeclare) -> Queue:
    """Make a new queue; the empty name asks for one made by the server. Exclusive queues are never durable."""
    connection = channel.connection
    quorum = is_quorum(method.arguments)
    if name:
        check_name_not_reserved("queue", name)
    elif quorum:
        raise SoftError(PRECONDITION_FAILED, "Cannot declare a server-named queue for type rabbit_quorum_queue")
    else:
        random = connection.broker.random_octets(16)
        name = "amq.gen-" + base64.urlsafe_b64encode(random).decode().rstrip("=")
    check_access(connection, CONFIGURE, QUEUE, name)
    check_queue(name, vhost, connection.broker)
    dead_letter_exchange = method.arguments.get("x-dead-letter-exchange")
    if dead_letter_exchange is not None and dead_letter_exchange.kind == "S":
        check_access(connection, READ, QUEUE, name)
        check_access(connection, WRITE, EXCHANGE, str(dead_letter_exchange.value))
    what = f"queue '{name}' in vhost '{vhost.name}'"
    check_queue_arguments(method.arguments, what)
    if quorum:
        check_quorum_properties(method.durable, method.exclusive, method.auto_delete, what)
    owner = connection if method.exclusive else None
    queue = vhost.new_queue(name, method.durable and owner is None, method.auto_delete, owner, method.arguments)
    vhost.add_queue(queue)
    if owner is not None:
        owner.exclusive_queues[queue] = None
    return queue


def add_default_type(vhost: VirtualHost, node_default: str, method: QueueDeclare) -> None:
    """A declaration without a type is given the default type, if it can have that (RabbitMQ's rule).

    That is the virtual host's, or else the node's.
    """
    default = vhost.default_queue_type or node_default
    if default == "" or "x-queue-type" in method.arguments:
        return
    if default == QUORUM and (not method.durable or method.exclusive or method.auto_delete):
        default = CLASSIC
    method.arguments = {**method.arguments, "x-queue-type": FieldValue("S", default)}


def check_equivalent(channel: Channel, vhost: VirtualHost, queue: Queue, method: QueueDeclare) -> None:
    """SoftError 405 or 406 if a redeclare differs from the queue that is there."""
    durable = method.durable and not method.exclusive
    if method.exclusive != (queue.owner is not None):
        raise locked(queue, vhost)
    check_exclusive_access(queue, channel.connection, vhost)
    mode = channel.connection.broker.redeclare
    what = f"queue '{queue.name}' in vhost '{vhost.name}'"
    compared = compared_arguments(queue.arguments)
    if mode == RELAXED:
        check_queue_arguments(method.arguments, what)
    elif mode == QUEUE_TYPE and queue.is_quorum and not is_quorum(method.arguments):
        compared = tuple([name for name in compared if name != "x-queue-type"])
    properties = [
        flag("durable", queue.durable, durable, queue.durable),
        flag("auto_delete", queue.auto_delete, method.auto_delete, not queue.auto_delete),
    ]
    check_redeclared(mode, queue, properties, (queue.arguments, method.arguments), compared, what)


def delete(channel: Channel, vhost: VirtualHost, method: QueueDelete) -> None:
    """Delete a queue and answer; a missing one is fine. A consumer on the same channel hears of it after the answer."""
    name = queue_name(channel, method.queue)
    check_access(channel.connection, CONFIGURE, QUEUE, name)
    if name not in vhost.queues:
        answer_delete(channel, method, 0)
        return
    queue = named_queue(channel, vhost, name)
    if queue.is_quorum and (method.if_unused or method.if_empty):
        flag_name = "if-unused" if method.if_unused else "if-empty"
        raise HardError(
            NOT_IMPLEMENTED,
            f"cannot delete queue '{queue.name}' in vhost '{vhost.name}'. "
            f"queue.delete operations with {flag_name} flag set are not supported by quorum queues",
        )
    queue.catch_up()
    if method.if_empty and queue.ready_count():
        raise SoftError(PRECONDITION_FAILED, f"queue '{queue.name}' in vhost '{vhost.name}' not empty")
    if method.if_unused and queue.consumers:
        raise SoftError(PRECONDITION_FAILED, f"queue '{queue.name}' in vhost '{vhost.name}' in use")
    consumers = list(queue.consumers)
    answer_delete(channel, method, vhost.take_out_queue(queue))
    vhost.tell_cancelled(consumers)


def answer_delete(channel: Channel, method: QueueDelete, count: int) -> None:
    if not method.nowait:
        channel.send(QueueDeleteOk(count))
