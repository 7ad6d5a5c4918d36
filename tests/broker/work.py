"""What clients do to a broker at random, each action in step with the model.

An action draws what it needs with `choose`, so that hypothesis can drive it, or a plain generator of random numbers.
One that finds nothing to act on does nothing. Several may fall into one tick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from leveret.amqp.field_table import Table, table_from_python
from leveret.amqp.methods import (
    BasicAck,
    BasicCancel,
    BasicCancelOk,
    BasicConsume,
    BasicConsumeOk,
    BasicGet,
    BasicNack,
    BasicQos,
    BasicQosOk,
    BasicRecover,
    BasicRecoverAsync,
    BasicRecoverOk,
    BasicReject,
    ChannelClose,
    ChannelFlow,
    ChannelFlowOk,
    ConfirmSelect,
    ConfirmSelectOk,
    ConnectionClose,
    ConnectionCloseOk,
    ExchangeDeclare,
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
    TxCommit,
    TxRollback,
    TxRollbackOk,
    TxSelect,
    TxSelectOk,
)
from tests.broker.driver import Driver
from tests.broker.model import Channel, Consumer, Expected, Model, Queue, Transaction
from tests.broker.observation import observe_tick

T = TypeVar("T")

FRAME_MAXES = (4096, 131072, 131072)
QUEUES = ("first", "second", "passing", "own")  # passing is auto-delete, own is exclusive
TARGETS = (*QUEUES, "missing")
BINDINGS = {
    "first": (("direct", "red"), ("fanout", "")),
    "second": (("direct", "red"), ("direct", "blue")),
    "passing": (("fanout", ""), ("direct", "blue")),
    "own": (("fanout", ""), ("direct", "red")),
}
ADDRESSES = (*(("", name) for name in TARGETS), ("direct", "red"), ("direct", "blue"), ("fanout", ""))
SIZES = (30, 30, 30, 0, 6_000, 300_000)  # in one frame, without a body, in several frames, not copied into the output
YES_OR_NO = (True, False)
SELDOM = (False, False, False, True)


class Choose(Protocol):
    """Takes one of several."""

    def __call__(self, options: Sequence[T], /) -> T: ...


class Work:
    """Three connections with two channels each, four queues, two exchanges."""

    def __init__(self) -> None:
        self.model = Model(Driver())
        self.waiting = 0  # actions that come before the tick ends
        self.tags = 0
        model = self.model
        for number, frame_max in enumerate(FRAME_MAXES):
            model.connections.append(model.connect(frame_max, knows_cancel=number > 0))
        client = model.connections[0].client
        for exchange in ("direct", "fanout"):
            client.call(ExchangeDeclare(exchange, exchange))
        for channel, name in zip(model.channels, QUEUES, strict=False):
            self._declare(channel, name)
            self._rebind(channel, model.queues[name])
        for channel, transactional in zip(model.channels[2:], (True, False, False, True), strict=True):
            self._select(channel, transactional)
        for channel, prefetch in zip(model.channels, (2, 1, 0, 3, 0, 2), strict=True):
            self._limit(channel, prefetch, False)
            self._consume(channel, model.queues["first"], False, 0, False)

    def act(self, name: str, choose: Choose) -> None:
        """One action, and the end of the tick if it is time."""
        getattr(self, name)(choose)
        if self.waiting:
            self.waiting -= 1
        else:
            self._tick()

    def _tick(self) -> None:
        self.waiting = 0
        observe_tick(self.model)

    def longer_tick(self, choose: Choose) -> None:
        self.waiting = choose(range(2, 7))

    # what the actions are about

    def _free(self) -> list[Channel]:
        """The channels that no half message keeps busy: always some."""
        return [channel for channel in self.model.channels if channel.half is None]

    def _usable(self, channel: Channel) -> list[Queue]:
        return [queue for queue in self.model.queues.values() if queue.owner in (None, channel.connection)]

    # queues

    def declare(self, choose: Choose) -> None:
        self._declare(choose(self._free()), choose(QUEUES))

    def _declare(self, channel: Channel, name: str) -> None:
        queue = self.model.queues.get(name)
        channel.send(QueueDeclare(name, exclusive=name == "own", auto_delete=name == "passing"))
        if queue is None:
            owner = channel.connection if name == "own" else None
            queue = self.model.queues[name] = Queue(name, name == "passing", owner)
        if queue.owner in (None, channel.connection):
            channel.expect(QueueDeclareOk(name, len(queue.ready), len(queue.consumers)))
        else:
            self.model.reopen(channel, refused=405)

    def keep_up(self, choose: Choose) -> None:
        """Count, rebind, purge or delete a queue."""
        channel = choose(self._free())
        queues = self._usable(channel)
        if queues:
            actions = (self._count, self._rebind, self._rebind, self._purge, self._delete)
            choose(actions)(channel, choose(queues))

    def _count(self, channel: Channel, queue: Queue) -> None:
        channel.send(QueueDeclare(queue.name, passive=True))
        channel.expect(QueueDeclareOk(queue.name, len(queue.ready), len(queue.consumers)))

    def _delete(self, channel: Channel, queue: Queue) -> None:
        channel.send(QueueDelete(queue.name))
        channel.expect(QueueDeleteOk(len(queue.ready)))
        self.model.delete_queue(queue)

    def _purge(self, channel: Channel, queue: Queue) -> None:
        channel.send(QueuePurge(queue.name))
        channel.expect(QueuePurgeOk(len(queue.ready)))
        queue.ready.clear()

    def _rebind(self, channel: Channel, queue: Queue) -> None:
        """Add the bindings that a queue has here; take them away if they are there."""
        for exchange, key in BINDINGS[queue.name]:
            if (exchange, queue.name, key) in self.model.bindings:
                channel.send(QueueUnbind(queue.name, exchange, key))
                channel.expect(QueueUnbindOk())
                self.model.bindings.remove((exchange, queue.name, key))
            else:
                channel.send(QueueBind(queue.name, exchange, key))
                channel.expect(QueueBindOk())
                self.model.bindings.add((exchange, queue.name, key))

    # publishing

    def publish(self, choose: Choose) -> None:
        channel, address, size, mandatory = choose(self._free()), choose(ADDRESSES), choose(SIZES), choose(YES_OR_NO)
        plain = choose(YES_OR_NO)
        for _ in range(choose(range(1, 5))):
            message = self.model.message(*address, size, not plain)
            self.model.publish(channel, message, [], False, mandatory, None)
        self.waiting = max(self.waiting, choose(range(4)))

    def publish_with_copies(self, choose: Choose) -> None:
        copies = [choose(TARGETS) for _ in range(choose(range(1, 4)))]
        message = self.model.message("", choose(TARGETS), 30, True)
        self.model.publish(choose(self._free()), message, copies, choose(SELDOM), choose(YES_OR_NO), None)

    def begin_publish(self, choose: Choose) -> None:
        """Send some frames of a message, unless too many are begun already."""
        free = self._free()
        if len(free) > 4:
            message = self.model.message("", choose(TARGETS), choose(SIZES), True)
            self.model.publish(choose(free), message, [], False, choose(YES_OR_NO), choose(range(1, 4)))

    def finish_publish(self, choose: Choose) -> None:
        begun = [channel for channel in self.model.channels if channel.half is not None]
        if begun:
            self.model.finish(choose(begun))

    # consuming

    def consume(self, choose: Choose) -> None:
        channel = choose(self._free())
        queues = self._usable(channel)
        if queues:
            self._consume(channel, choose(queues), choose(SELDOM), choose((0, 0, 0, 5, -1)), choose(SELDOM))

    def _consume(self, channel: Channel, queue: Queue, no_ack: bool, priority: int, exclusive: bool) -> None:
        self.tags += 1
        tag = f"tag{self.tags}"
        arguments: Table = table_from_python({"x-priority": priority}) if priority else {}
        channel.send(BasicConsume(queue.name, tag, no_ack=no_ack, exclusive=exclusive, arguments=arguments))
        if any(other.exclusive for other in queue.consumers) or (exclusive and queue.consumers):
            self.model.reopen(channel, refused=403)
            return
        for other in channel.consumers.values():
            other.prefetch = other.declared_prefetch
        prefetch = 0 if no_ack else channel.consumer_prefetch
        consumer = Consumer(channel, queue, tag, no_ack, exclusive, priority, prefetch, prefetch)
        channel.consumers[tag] = consumer
        queue.consumers.append(consumer)
        channel.expect(BasicConsumeOk(tag))

    def cancel(self, choose: Choose) -> None:
        consumers = [consumer for channel in self._free() for consumer in channel.consumers.values()]
        if consumers:
            consumer = choose(consumers)
            consumer.channel.send(BasicCancel(consumer.tag))
            self.model.cancel(consumer)
            consumer.channel.expect(BasicCancelOk(consumer.tag))

    def limit(self, choose: Choose) -> None:
        self._limit(choose(self._free()), choose(range(4)), choose(YES_OR_NO))

    def _limit(self, channel: Channel, count: int, of_channel: bool) -> None:
        channel.send(BasicQos(0, count, of_channel))
        channel.expect(BasicQosOk())
        if of_channel:
            channel.prefetch = count
            return
        channel.prefetch = 0
        channel.consumer_prefetch = count
        for consumer in channel.consumers.values():
            if not consumer.no_ack:
                consumer.prefetch = count

    def get(self, choose: Choose) -> None:
        channel = choose(self._free())
        queues = self._usable(channel)
        if queues:
            queue, no_ack = choose(queues), choose(SELDOM)
            channel.send(BasicGet(queue.name, no_ack))
            self.model.get(channel, queue, no_ack)

    def flow(self, choose: Choose) -> None:
        """Stop a channel, or let one go on that is stopped."""
        channels = self._free()
        stopped = [channel for channel in channels if not channel.flow]
        active = choose(YES_OR_NO)
        channel = choose(stopped if active and stopped else channels)
        channel.send(ChannelFlow(active))
        channel.expect(ChannelFlowOk(active))
        channel.flow = active

    # settling

    def settle(self, choose: Choose) -> None:
        """Acknowledge, reject or requeue one delivery, all up to it, or all."""
        holding = [channel for channel in self._free() if channel.unacked]
        if not holding:
            return
        channel = choose([channel for channel in holding if channel.transaction] or holding)
        method = choose((BasicAck, BasicAck, BasicNack, BasicReject))
        multiple = method is not BasicReject and choose(YES_OR_NO)
        requeue = method is not BasicAck and choose(YES_OR_NO)
        tag = choose(sorted(channel.unacked) + [0] * multiple)
        if method is BasicAck:
            channel.send(BasicAck(tag, multiple))
        elif method is BasicReject:
            channel.send(BasicReject(tag, requeue))
        else:
            channel.send(BasicNack(tag, multiple, requeue))
        self.model.settle(channel, tag, multiple, requeue)

    def recover(self, choose: Choose) -> None:
        channel, answered = choose(self._free()), choose(YES_OR_NO)
        channel.send(BasicRecover(True) if answered else BasicRecoverAsync(True))
        self.model.requeue_all(channel)
        if answered:
            channel.expect(BasicRecoverOk())

    # confirms and transactions

    def select(self, choose: Choose) -> None:
        """Begin confirms or transactions; seldom both on one channel, which is refused."""
        channel = choose(self._free())
        if channel.confirming or channel.transaction is not None:
            self._select(channel, channel.confirming == choose(SELDOM))
        else:
            self._select(channel, choose(YES_OR_NO))

    def _select(self, channel: Channel, transactional: bool) -> None:
        channel.send(TxSelect() if transactional else ConfirmSelect())
        if channel.confirming if transactional else channel.transaction is not None:
            self.model.reopen(channel, refused=406)
        elif transactional:
            channel.transaction = channel.transaction or Transaction()
            channel.expect(TxSelectOk())
        else:
            channel.confirming = True
            channel.expect(ConfirmSelectOk())

    def end_transaction(self, choose: Choose) -> None:
        channels = [channel for channel in self._free() if channel.transaction is not None]
        settling = [channel for channel in channels if channel.transaction is not None and channel.transaction.settled]
        if not channels:
            return
        channel = choose(settling or channels)
        if choose(YES_OR_NO):
            channel.send(TxCommit())
            self.model.commit(channel)
        else:
            channel.send(TxRollback())
            self.model.rollback(channel)
            channel.expect(TxRollbackOk())

    # errors and ends

    def close_channel(self, choose: Choose) -> None:
        """End a channel properly, or by settling what it does not hold; seldom, for it ends much work."""
        if not choose(SELDOM):
            return
        channel = choose(self._free())
        if choose(YES_OR_NO):
            channel.send(ChannelClose(200, "done"))
            self.model.reopen(channel)
        else:
            channel.send(BasicAck(channel.last_tag + 1000))
            self.model.reopen(channel, refused=406)

    def end_connection(self, choose: Choose) -> None:
        """End a connection, properly or not, and begin another in its place; seldom, for it ends much work."""
        if not choose(SELDOM):
            return
        number = choose(range(len(FRAME_MAXES)))
        connection = self.model.connections[number]
        client = connection.client
        if choose(YES_OR_NO) and not client.stalled:
            client.send(ConnectionClose(200, "done"), 0)
            connection.expected.append(Expected(ConnectionCloseOk()))
        else:
            client.lose()
        self.model.disconnect(connection)
        self._tick()
        self.model.connections[number] = self.model.connect(FRAME_MAXES[number], knows_cancel=number > 0)

    # sockets that are full

    def stall(self, choose: Choose) -> None:
        """A socket takes no more, unless there is such a one already: then it goes on."""
        stalled = [connection.client for connection in self.model.connections if connection.client.stalled]
        if stalled:
            stalled[0].resume()
        else:
            choose(self.model.connections).client.stall()
