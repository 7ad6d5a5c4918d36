"""A virtual host: its exchanges and queues, and the way a message takes between them.

`epoch` counts every change that may alter where a message goes; whoever caches a route keeps the epoch it was made
in and forgets it when they differ.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.amqp.field_table import Table
from leveret.amqp.properties import BasicProperties
from leveret.amqp.reply_codes import ACCESS_REFUSED, NOT_FOUND, RESOURCE_LOCKED, SoftError
from leveret.broker.binding import Binding, Destination
from leveret.broker.dead_letter import DeadLetters
from leveret.broker.deduplication import Admission
from leveret.broker.delay import delay_of
from leveret.broker.delay_queue import DelayQueue
from leveret.broker.durability import Store
from leveret.broker.events import INTERNAL_USER
from leveret.broker.exchange.base import Exchange
from leveret.broker.exchange.direct import DirectExchange
from leveret.broker.exchange.types import make_exchange
from leveret.broker.firehose import TRACE_EXCHANGE, Firehose
from leveret.broker.limits import Usage
from leveret.broker.message import Address, Message
from leveret.broker.policy import Policies
from leveret.broker.queue import Queue
from leveret.broker.queue_arguments import CLASSIC, QUORUM
from leveret.broker.timers import Timers
from leveret.broker.traffic import Churn, Octets, Traffic

if TYPE_CHECKING:
    from leveret.broker.connection import Connection
    from leveret.broker.consumer import Consumer
    from leveret.broker.events import Events

log: Final = logging.getLogger("leveret.queue")

PREDECLARED: Final = (
    ("amq.direct", "direct", False),
    ("amq.fanout", "fanout", False),
    ("amq.topic", "topic", False),
    ("amq.headers", "headers", False),
    ("amq.match", "headers", False),
    (TRACE_EXCHANGE, "topic", True),
)
ADDRESSES_KEPT: Final = 10_000  # so that publishers with ever new routing keys don't fill the memory


class InvalidQueueType(Exception):
    """There are no queues of that type, which is the text."""


class VirtualHost:
    """The namespace that a connection opens."""

    def __init__(
        self, name: str, touched: list[Queue], store: Store, timers: Timers, churn: Churn, events: Events
    ) -> None:
        self.name: Final = name
        self.description = ""
        self.tags: list[str] = []
        self.default_queue_type = ""  # of queues whose declaration names none; if it is empty they are classic
        self.protected = False  # from being deleted
        self.touched: Final = touched
        self.store: Final = store
        self.timers: Final = timers
        self.events: Final = events
        self.policies: Final = Policies(name, store, events)
        self.usage: Final = Usage()
        self.churn: Final = churn  # the broker's
        self.traffic: Final = Traffic()  # as far as it was gathered from the channels
        self.octets: Final = Octets()  # as far as they were gathered from the connections
        self.dead_letters: Final = DeadLetters(self)
        self.queues: Final[dict[str, Queue]] = {}
        self.exchanges: Final[dict[str, Exchange]] = {}
        self.reply_queues: Final[dict[str, Queue]] = {}  # of direct reply-to consumers, by address
        self.epoch: i64 = 0
        self._addresses: Final[dict[tuple[str, str], Address]] = {}
        self.default_exchange: Final = DirectExchange("", True, False, False, {})
        self.exchanges[""] = self.default_exchange
        for exchange_name, type_name, internal in PREDECLARED:
            self.exchanges[exchange_name] = make_exchange(type_name, exchange_name, True, False, internal, {})
        self.firehose: Final = Firehose(self, self.exchanges[TRACE_EXCHANGE])

    def __repr__(self) -> str:
        return f"vhost '{self.name}'"

    def address(self, exchange: str, routing_key: str) -> Address:
        """The one Address for this pair, shared so that deliveries of it are framed alike."""
        key = (exchange, routing_key)
        address = self._addresses.get(key)
        if address is None:
            if len(self._addresses) >= ADDRESSES_KEPT:
                self._addresses.clear()
            address = self._addresses[key] = Address(exchange, routing_key)
        return address

    def exchange(self, name: str) -> Exchange:
        """The exchange of that name, or SoftError 404."""
        exchange = self.exchanges.get(name)
        if exchange is None:
            raise SoftError(NOT_FOUND, f"no exchange '{name}' in vhost '{self.name}'")
        return exchange

    def queue(self, name: str) -> Queue:
        """The queue of that name, or SoftError 404."""
        queue = self.queues.get(name)
        if queue is None:
            raise SoftError(NOT_FOUND, f"no queue '{name}' in vhost '{self.name}'")
        return queue

    def find_queue(self, name: str) -> Queue | None:
        """The queue, or the direct reply-to consumer, that the default exchange leads to by that name."""
        return self.queues.get(name) or self.reply_queues.get(name)

    def add_exchange(self, exchange: Exchange) -> None:
        """A new exchange, of a name that is free."""
        self.policies.apply_to_exchange(exchange)
        self.exchanges[exchange.name] = exchange
        self.epoch += 1
        log.debug("exchange '%s' of type %s added to vhost '%s'", exchange.name, exchange.type_name, self.name)
        if exchange.durable:
            self.store.exchange_added(self.name, exchange)
        self.events.exchange_created(self, exchange)

    def new_queue(
        self, name: str, durable: bool, auto_delete: bool, owner: Connection | None, arguments: Table
    ) -> Queue:
        """A queue of this virtual host that stands in no listing yet."""
        return Queue(self, name, durable, auto_delete, owner, arguments, self.store.new_queue_id(durable))

    def delay_queue(self, exchange: Exchange) -> DelayQueue:
        """The queue in which an exchange keeps what it delays."""
        queue = exchange.delay_queue
        if queue is None:
            queue_id = self.store.new_queue_id(exchange.durable)
            queue = exchange.delay_queue = DelayQueue(self, exchange, queue_id)
            if queue.durable:
                self.store.queue_added(self.name, queue)
        return queue

    def add_queue(self, queue: Queue) -> None:
        """A new queue, of a name that is free."""
        self.policies.apply_to_queue(queue)
        queue.user = self.events.acting()
        self.queues[queue.name] = queue
        self.churn.queue_created += 1
        self.epoch += 1
        log.debug("queue '%s' added to vhost '%s'", queue.name, self.name)
        if queue.durable:
            self.store.queue_added(self.name, queue)
        self.events.queue_created(queue)

    def reapply_policies(self) -> Iterator[None]:
        """Apply the policies that there are now to everything, one thing at a time, between which others may work."""
        for exchange in list(self.exchanges.values()):
            if not exchange.deleted and self.policies.apply_to_exchange(exchange):
                self.epoch += 1
            yield
        for queue in list(self.queues.values()):
            if not queue.deleted:
                self.policies.apply_to_queue(queue)
            yield

    def add_reply_queue(self, queue: Queue) -> None:
        """A direct reply-to consumer subscribes."""
        self.reply_queues[queue.name] = queue
        self.epoch += 1

    def remove_reply_queue(self, queue: Queue) -> None:
        """A direct reply-to consumer is gone, with the answers it has not been sent."""
        queue.end()
        self.reply_queues.pop(queue.name, None)
        self.epoch += 1
        queue.bury()

    def add_binding(self, binding: Binding) -> bool:
        """Bind; False if the same binding is there already. SoftError if the exchange type refuses it."""
        self.epoch += 1
        added = binding.source.bind(binding)
        if added and binding.durable():
            self.store.binding_added(self.name, binding)
        if added:
            self.events.binding_created(self, binding)
        return added

    def remove_binding(self, binding: Binding) -> None:
        """Unbind, and delete the source if it is an auto-delete exchange that nothing is bound to any more.

        With that one its own bindings go, and so on. A chain of such exchanges may be longer than the stack is deep.
        """
        self.epoch += 1
        to_remove = [binding]
        while to_remove:
            removed = to_remove.pop()
            source = removed.source
            if source.unbind(removed.identity) is None:
                continue
            if removed.durable():
                self.store.binding_removed(self.name, removed)
            if source.auto_delete and not source.bindings:
                to_remove += self._take_out(source)
            self.events.binding_deleted(self, removed)

    def delete_exchange(self, exchange: Exchange) -> None:
        """Delete an exchange with all bindings from it and to it."""
        for binding in self._take_out(exchange):
            self.remove_binding(binding)

    def _take_out(self, exchange: Exchange) -> list[Binding]:
        """Delete an exchange with all bindings from it; gives those to it, which are still to be removed."""
        exchange.deleted = True
        self.churn.routed += exchange.publish_out
        self.epoch += 1
        log.debug("exchange '%s' deleted from vhost '%s'", exchange.name, self.name)
        del self.exchanges[exchange.name]
        if exchange.durable:
            self.store.exchange_deleted(self.name, exchange)
        self.events.exchange_deleted(self, exchange)
        if exchange.delay_queue is not None:
            exchange.delay_queue.end()
            self._drop_messages(exchange.delay_queue)
        for binding in list(exchange.bindings.values()):
            exchange.unbind(binding.identity)
            self.events.binding_deleted(self, binding)
        return list(exchange.bindings_to)

    def delete_queue(self, queue: Queue) -> int:
        """Delete a queue with its bindings, tell its consumers, and say how many ready messages went with it."""
        consumers = list(queue.consumers)
        count = self.take_out_queue(queue)
        self.tell_cancelled(consumers)
        return count

    def take_out_queue(self, queue: Queue) -> int:
        """As `delete_queue`, but its consumers are still to be told (`tell_cancelled`)."""
        queue.catch_up()
        count = queue.ready_count()
        queue.end()
        self.churn.queue_is_gone(queue.traffic, queue.is_quorum)
        self.epoch += 1
        del self.queues[queue.name]
        log.debug("queue '%s' deleted from vhost '%s', with %d ready messages", queue.name, self.name, count)
        if queue.owner is not None:
            queue.owner.exclusive_queues.pop(queue, None)
        acting = self.events.act_as(INTERNAL_USER)  # RabbitMQ says so of the bindings
        for binding in list(queue.bindings_to):
            self.remove_binding(binding)
        self.events.act_as(acting)
        for consumer in list(queue.consumers):
            queue.remove_consumer(consumer)
        self._drop_messages(queue)
        self.events.queue_deleted(queue)
        return count

    def tell_cancelled(self, consumers: list[Consumer]) -> None:
        """The queue of these consumers was deleted."""
        for consumer in consumers:
            consumer.channel.consumer_cancelled_by_server(consumer)

    def _drop_messages(self, queue: Queue) -> None:
        """A queue was deleted: its messages go when that is on disk, if it has to be."""
        if queue.durable:
            self.store.queue_deleted(self.name, queue)
        else:
            queue.bury()

    def end(self) -> list[Queue]:
        """The virtual host is deleted, and nobody has it open any more. Gives its durable queues, to be buried."""
        self.events.vhost_emptied(self)
        queues: list[Queue] = list(self.queues.values())
        for exchange in self.exchanges.values():
            exchange.deleted = True
            self.churn.routed += exchange.publish_out
            if exchange.delay_queue is not None:
                queues.append(exchange.delay_queue)
        durable: list[Queue] = []
        for queue in queues:
            queue.end()
            if queue.is_quorum:
                queue.traffic.pour_into(self.churn.of_quorum_queues, Traffic())
            if queue.durable:
                durable.append(queue)
            else:
                queue.bury()
        self.epoch += 1
        self.queues.clear()
        self.exchanges.clear()
        return durable

    def delete_if_unused(self, queue: Queue) -> None:
        """A consumer went: delete the queue if it is auto-delete and that was the last one."""
        if queue.auto_delete and not queue.consumers and not queue.deleted:
            acting = self.events.act_as(INTERNAL_USER)
            self.delete_queue(queue)
            self.events.act_as(acting)

    def route(
        self,
        exchange: Exchange,
        routing_keys: list[str],
        properties: BasicProperties,
        message: Message | None = None,
        admissions: list[Admission] | None = None,
    ) -> tuple[list[Queue], bool]:
        """The queues a message goes to, each once, and whether more than its routing key was asked on the way.

        An exchange that delays the message leaves it to its delay queue. One that matches nothing passes it to its
        alternate exchange; exchanges bound to exchanges are followed, each visited once, so that cycles end. An
        exchange that remembers its messages is told of this one; without a message, no message is on its way and the
        route is only looked for. One that drops duplicates does so if there is a list for those that it lets pass.
        """
        queues: dict[Queue, None] = {}
        visited: dict[Exchange, None] = {exchange: None}
        to_visit: list[Exchange] = [exchange]
        each_message = False
        while to_visit:
            current = to_visit.pop()
            if current.routes_each_message or current.delays:
                each_message = True
                if admissions is not None and not self._admits(current, properties, admissions):
                    continue
                if message is not None and current.delays and delay_of(properties) > 0:
                    queues[self.delay_queue(current)] = None
                    continue
                if message is not None:
                    current.remember(message, properties)
            for destination in self._matches(current, routing_keys, properties):
                if isinstance(destination, Queue):
                    queues[destination] = None
                elif isinstance(destination, Exchange) and destination not in visited:
                    visited[destination] = None
                    to_visit.append(destination)
        return list(queues), each_message

    def _admits(self, exchange: Exchange, properties: BasicProperties, admissions: list[Admission]) -> bool:
        """Whether a message is no duplicate; what remembers it is added to the list."""
        identifiers = exchange.identifiers
        identity = None if identifiers is None else identifiers.identity(properties.headers)
        if identifiers is None or identity is None:
            return True
        if identifiers.knows(identity, self.timers.time_ms):
            return False
        identifiers.remember(identity, self.timers.time_ms)
        admissions.append(Admission(identifiers, identity))
        return True

    def _matches(self, exchange: Exchange, routing_keys: list[str], properties: BasicProperties) -> list[Destination]:
        found: list[Destination] = []
        if exchange is self.default_exchange:
            for key in routing_keys:
                queue = self.find_queue(key)
                if queue is not None:
                    found.append(queue)
            return found
        for key in routing_keys[:1] if exchange.goes_to_one else routing_keys:
            exchange.match(key, properties, found)
        if not found and exchange.alternate is not None:
            alternate = self.exchanges.get(exchange.alternate)
            if alternate is not None:
                found.append(alternate)
        return found


def check_default_queue_type(name: str) -> None:
    """InvalidQueueType if queues can't be of that type by default; they can of none."""
    if name not in ("", CLASSIC, QUORUM):
        raise InvalidQueueType(name)


def check_exclusive_access(queue: Queue, connection: object, vhost: VirtualHost) -> None:
    """SoftError 405 if the queue is exclusive to another connection (AMQP 0-9-1 `exclusive`, RabbitMQ's text)."""
    if queue.owner is not None and queue.owner is not connection:
        raise locked(queue, vhost)


def locked(queue: Queue, vhost: VirtualHost) -> SoftError:
    """The error for a queue that is exclusive to somebody else, or not as exclusive as a redeclare wants it."""
    return SoftError(
        RESOURCE_LOCKED,
        f"cannot obtain exclusive access to locked queue '{queue.name}' in vhost '{vhost.name}'. "
        "It could be originally declared on another connection or the exclusive property value does not match that "
        "of the original declaration.",
    )


def check_name_not_reserved(kind: str, name: str) -> None:
    """SoftError 403 if a client may not declare that name: `amq.` is kept for the broker."""
    if name.startswith("amq."):
        raise SoftError(ACCESS_REFUSED, f"{kind} name '{name}' contains reserved prefix 'amq.*'")
