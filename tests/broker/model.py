"""What a broker must do with messages, in lists: the model that the stateful test compares the broker with.

A `Copy` is one message in one queue. It stands in exactly one place: in its queue's `ready`, in order of position; or
in a channel's `unacked` (or there in an uncommitted acknowledgement); or nowhere any more. What a client does is done
to the lists too, and the replies that must come are noted. Deliveries and confirms, whose moment is the broker's own
choice, are not foretold: `observation` takes them as they come and checks that they were right.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from dataclasses import dataclass, field

from leveret.amqp.field_table import FieldValue
from leveret.amqp.methods import (
    BasicCancel,
    BasicGetEmpty,
    BasicGetOk,
    BasicPublish,
    BasicReturn,
    ChannelClose,
    ChannelCloseOk,
    ChannelOpen,
    ChannelOpenOk,
    Method,
    TxCommitOk,
)
from leveret.amqp.properties import BasicProperties
from tests.broker.driver import CAPABILITIES, Client, Driver, publish_frames, split_frames

UNLIMITED = 1 << 30


@dataclass(eq=False)
class Message:
    exchange: str
    routing_key: str
    properties: BasicProperties
    body: bytes

    @property
    def identity(self) -> tuple[str | None, bytes]:
        """Tells it from all others: a message without a body has an id."""
        return self.properties.message_id, self.body[:16]


@dataclass(eq=False)
class Copy:
    """A message in one queue."""

    message: Message
    position: int
    redelivered: bool = False


@dataclass(eq=False)
class Queue:
    name: str
    auto_delete: bool
    owner: Connection | None
    ready: list[Copy] = field(default_factory=list)
    consumers: list[Consumer] = field(default_factory=list)
    alive: bool = True
    enqueued: int = 0
    given: Counter[Consumer] = field(default_factory=Counter)  # in this tick
    # what the second was given while the first, which had room, waited for its turn
    overtaken: Counter[tuple[Consumer, Consumer]] = field(default_factory=Counter)

    def enqueue(self, message: Message) -> None:
        self.ready.append(Copy(message, self.enqueued))
        self.enqueued += 1


@dataclass(eq=False)
class Consumer:
    channel: Channel
    queue: Queue
    tag: str
    no_ack: bool
    exclusive: bool
    priority: int
    declared_prefetch: int
    prefetch: int

    @property
    def held(self) -> int:
        return sum(delivery.consumer is self for delivery in self.channel.outstanding())

    @property
    def room(self) -> int:
        channel = self.channel
        if not channel.flow or channel.connection.client.stalled:
            return 0
        if self.no_ack:
            return UNLIMITED
        room = self.prefetch - self.held if self.prefetch else UNLIMITED
        return min(room, channel.prefetch - channel.held) if channel.prefetch else room


@dataclass(eq=False)
class Delivery:
    copy: Copy
    queue: Queue
    consumer: Consumer | None  # None if it was fetched

    def settle(self, requeue: bool) -> None:
        if requeue and self.queue.alive:
            self.copy.redelivered = True
            insort(self.queue.ready, self.copy, key=lambda copy: copy.position)


@dataclass
class Transaction:
    publications: list[tuple[Message, list[str], bool]] = field(default_factory=list)
    settled: list[tuple[int, Delivery, bool]] = field(default_factory=list)  # with tag and requeue


@dataclass
class Expected:
    """What must come on a channel; of channel.close only the code is compared."""

    method: Method
    message: Message | None = None
    publish: int | None = None  # the number of the publish that a return answers
    confirmed: int | None = None  # how many publishes must have been confirmed before: all, at a channel's end


@dataclass
class HalfPublish:
    message: Message
    keys: list[str]
    mandatory: bool
    rest: bytes


class Connection:
    """A client and its channels."""

    def __init__(self, client: Client, knows_cancel: bool, channels: int) -> None:
        self.client = client
        self.knows_cancel = knows_cancel
        self.channels = [Channel(self, number) for number in range(1, channels + 1)]
        self.expected: list[Expected] = []  # on channel 0


class Channel:
    """A channel. Closing makes it anew; what is still to come from before stays in `expected` and `confirmed`."""

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection = connection
        self.number = number
        self.expected: list[Expected] = []
        self.confirmed = 0  # publishes, as far as was heard
        self.reset()

    def reset(self) -> None:
        self.consumers: dict[str, Consumer] = {}
        self.unacked: dict[int, Delivery] = {}
        self.last_tag = 0
        self.prefetch = self.consumer_prefetch = 0
        self.flow = True
        self.confirming = False
        self.published = 0
        self.transaction: Transaction | None = None
        self.half: HalfPublish | None = None

    def outstanding(self) -> list[Delivery]:
        """Deliveries that count for prefetch: what a transaction acknowledged does until the commit."""
        settled = self.transaction.settled if self.transaction is not None else []
        return [*self.unacked.values(), *(delivery for _, delivery, _ in settled)]

    @property
    def held(self) -> int:
        return sum(delivery.consumer is not None for delivery in self.outstanding())

    def send(self, method: Method) -> None:
        self.connection.client.send(method, self.number)

    def expect(self, method: Method, message: Message | None = None, publish: int | None = None) -> None:
        self.expected.append(Expected(method, message, publish))


class Model:
    """The broker's queues and bindings, and the connections to it."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.queues: dict[str, Queue] = {}
        self.bindings: set[tuple[str, str, str]] = set()  # exchange, queue, key
        self.connections: list[Connection] = []
        self.messages = 0

    def connect(self, frame_max: int, knows_cancel: bool = True, channels: int = 2) -> Connection:
        capabilities = CAPABILITIES if knows_cancel else ()
        client = self.driver.client(frame_max).log_in(range(1, channels + 1), capabilities=capabilities)
        return Connection(client, knows_cancel, channels)

    @property
    def channels(self) -> list[Channel]:
        return [channel for connection in self.connections for channel in connection.channels]

    # queues

    def delete_queue(self, queue: Queue) -> None:
        del self.queues[queue.name]
        queue.alive = False
        queue.ready.clear()
        self.bindings = {binding for binding in self.bindings if binding[1] != queue.name}
        for consumer in queue.consumers:
            del consumer.channel.consumers[consumer.tag]
            if consumer.channel.connection.knows_cancel:
                consumer.channel.expect(BasicCancel(consumer.tag, True))
        queue.consumers.clear()

    def cancel(self, consumer: Consumer) -> None:
        queue = consumer.queue
        del consumer.channel.consumers[consumer.tag]
        queue.consumers.remove(consumer)
        if queue.auto_delete and not queue.consumers:
            self.delete_queue(queue)

    # publishing

    def message(self, exchange: str, key: str, size: int, with_properties: bool) -> Message:
        self.messages += 1
        body = (b"%d:" % self.messages).ljust(size, b".") if size else b""
        message_id = f"message {self.messages}" if with_properties or not size else None
        return Message(exchange, key, BasicProperties(message_id=message_id), body)

    def route(self, exchange: str, keys: list[str]) -> list[str]:
        """The names of the queues that the keys lead to; the default exchange gives any name."""
        if exchange == "":
            return list(dict.fromkeys(keys))
        return sorted({name for source, name, key in self.bindings if source == exchange and (key in keys or not key)})

    def take_in(self, channel: Channel, message: Message, names: list[str], mandatory: bool) -> None:
        queues = [self.queues[name] for name in names if name in self.queues]
        for queue in queues:
            queue.enqueue(message)
        if mandatory and not queues:
            returned = BasicReturn(312, "NO_ROUTE", message.exchange, message.routing_key)
            channel.expect(returned, message, channel.published if channel.confirming else None)

    def publish(
        self, channel: Channel, message: Message, copies: list[str], blind: bool, mandatory: bool, split: int | None
    ) -> None:
        """Publish with CC or BCC; with `split` only so many frames go, and `finish` sends the rest."""
        name = "BCC" if blind else "CC"
        sent = BasicProperties(message_id=message.properties.message_id)
        if copies:
            sent.headers = {name: FieldValue("A", [FieldValue("S", key) for key in copies])}
            message.properties.headers = {} if blind else sent.headers
        method = BasicPublish(message.exchange, message.routing_key, mandatory)
        client = channel.connection.client
        frames = split_frames(publish_frames(method, message.body, sent, channel.number, client.frame_max))
        cut = len(frames) if split is None else min(split, len(frames) - 1)
        channel.half = HalfPublish(message, [message.routing_key, *copies], mandatory, b"".join(frames[cut:]))
        client.feed(b"".join(frames[:cut]))
        if split is None:
            self.published(channel)

    def finish(self, channel: Channel) -> None:
        """Send the rest of a message."""
        assert channel.half is not None
        channel.connection.client.feed(channel.half.rest)
        self.published(channel)

    def published(self, channel: Channel) -> None:
        """The message arrived whole: only now it is routed."""
        half = channel.half
        assert half is not None
        channel.half = None
        names = self.route(half.message.exchange, half.keys)
        if channel.confirming:
            channel.published += 1
        if channel.transaction is not None:
            channel.transaction.publications.append((half.message, names, half.mandatory))
        else:
            self.take_in(channel, half.message, names, half.mandatory)

    # deliveries

    def get(self, channel: Channel, queue: Queue, no_ack: bool) -> None:
        if not queue.ready:
            channel.expect(BasicGetEmpty())
            return
        copy = queue.ready.pop(0)
        message = copy.message
        channel.last_tag += 1
        left = len(queue.ready)
        got = BasicGetOk(channel.last_tag, copy.redelivered, message.exchange, message.routing_key, left)
        channel.expect(got, message)
        if not no_ack:
            channel.unacked[channel.last_tag] = Delivery(copy, queue, None)

    def settle(self, channel: Channel, tag: int, multiple: bool, requeue: bool) -> None:
        """Acknowledge or reject; tag 0 with multiple is everything."""
        tags = [each for each in channel.unacked if each == tag or (multiple and (each < tag or tag == 0))]
        for each in sorted(tags):
            delivery = channel.unacked.pop(each)
            if channel.transaction is not None:
                channel.transaction.settled.append((each, delivery, requeue))
            else:
                delivery.settle(requeue)

    def requeue_all(self, channel: Channel) -> None:
        for delivery in channel.unacked.values():
            delivery.settle(True)
        channel.unacked.clear()

    # transactions

    def commit(self, channel: Channel) -> None:
        transaction, channel.transaction = channel.transaction, Transaction()
        assert transaction is not None
        for message, names, mandatory in transaction.publications:
            self.take_in(channel, message, names, mandatory)
        for _, delivery, requeue in transaction.settled:
            delivery.settle(requeue)
        channel.expect(TxCommitOk())

    def rollback(self, channel: Channel) -> None:
        assert channel.transaction is not None
        channel.unacked |= {tag: delivery for tag, delivery, _ in channel.transaction.settled}
        channel.transaction = Transaction()

    # the end of channels and connections

    def release(self, channel: Channel) -> None:
        for consumer in list(channel.consumers.values()):
            self.cancel(consumer)
        if channel.transaction is not None:
            self.rollback(channel)
        self.requeue_all(channel)

    def reopen(self, channel: Channel, refused: int | None = None) -> None:
        """The channel closed, by the client or (with a code) by the broker; it is opened again at once."""
        closed = ChannelCloseOk() if refused is None else ChannelClose(refused, "")
        channel.expected.append(Expected(closed, confirmed=channel.published))
        self.release(channel)
        channel.reset()
        if refused is not None:
            channel.send(ChannelCloseOk())
        channel.send(ChannelOpen())
        channel.expect(ChannelOpenOk())

    def disconnect(self, connection: Connection) -> None:
        for channel in connection.channels:
            self.release(channel)
        for queue in [queue for queue in self.queues.values() if queue.owner is connection]:
            self.delete_queue(queue)
