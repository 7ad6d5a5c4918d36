"""The consumers of the load, with habits as programs have them; each shows the ledger all that it gets.

Now and then a consumer asks for something that is answered, behind its acknowledgements: the answer says that the
broker has processed them.
"""

from __future__ import annotations

import struct
import time
from typing import NamedTuple

from tests.crash.ledger import Delivery
from tests.crash.messages import Damaged, Publisher, check_properties
from tests.crash.worker import BASIC_NACK, Life, Worker, check_open, read_content
from tests.support.raw_client import (
    BASIC_ACK,
    BASIC_CONSUME_OK,
    BASIC_DELIVER,
    BASIC_GET,
    BASIC_GET_EMPTY,
    BASIC_GET_OK,
    BASIC_QOS,
    BASIC_QOS_OK,
    QUEUE_DECLARE_OK,
    Frame,
    RawClient,
    Reader,
    consume,
    declare_queue,
    method,
    shortstr,
)

BASIC_CANCEL, BASIC_CANCEL_OK = (60, 30), (60, 31)
BASIC_REJECT = (60, 90)
REQUEUE = 2  # a bit of basic.nack
PASSIVE = 1  # a bit of queue.declare
QUIET = 0.2  # seconds without a frame before a drain asks whether the queue is empty


class Habit(NamedTuple):
    """How a consumer behaves. Shares are of the deliveries, in the order of the fields, `stay` is in seconds."""

    name: str
    prefetch: int
    batch: int = 1  # acknowledges every so many
    multiple: bool = False  # ... with one basic.ack
    requeue: float = 0.0
    reject: float = 0.0  # dropped, like acknowledged
    hold: float = 0.0  # neither acknowledged nor given back
    stay: float = 1000.0
    vanish: bool = False  # cuts the connection instead of leaving in order
    by_get: bool = False


HABITS = (
    Habit("patient", prefetch=100),
    Habit("single", prefetch=1),
    Habit("batching", prefetch=200, batch=20, multiple=True),
    Habit("moody", prefetch=50, requeue=0.1, reject=0.05),
    Habit("holding", prefetch=300, hold=0.3),
    Habit("restless", prefetch=100, batch=7, multiple=True, stay=0.3),
    Habit("vanishing", prefetch=100, stay=0.3, vanish=True),
    Habit("getting", prefetch=10, by_get=True),
)

Message = tuple[str, int]  # a publisher's name and a sequence number


class Consumer(Worker):
    """A consumer of one queue on one connection at a time."""

    def __init__(self, life: Life, queue: str, habit: Habit) -> None:
        super().__init__(life, f"consumer {queue} {habit.name}")
        self.queue = queue
        self.habit = habit
        self.client: RawClient
        self.deliveries = 0
        self.cancelled = False
        self.unsettled: dict[int, Message] = {}  # by delivery tag
        self.due: list[int] = []  # delivery tags to acknowledge
        self.settled: list[Message] = []  # acknowledged since the last question
        self.asked: list[Message] = []  # acknowledged before a question whose answer hasn't come
        self.asking = False

    def work(self) -> None:
        while not self.life.ending.is_set():
            with self.connect() as self.client:
                self.attend()
            self.life.ending.wait(self.random.uniform(0, 0.2))

    def attend(self) -> None:
        """Consume for as long as the habit says, then leave."""
        self.cancelled = self.asking = False
        for kept in (self.unsettled, self.due, self.settled, self.asked):
            kept.clear()
        self.ask()
        if not self.habit.by_get:
            self.client.send(consume(1, self.queue, "tag"))
        end = time.monotonic() + self.habit.stay * self.random.uniform(0.2, 1.8)
        while not self.life.ending.is_set() and time.monotonic() < end:
            if self.habit.by_get and not self.asking:
                self.client.send(method(1, BASIC_GET, b"\0\0" + shortstr(self.queue) + b"\0"))
                self.ask()
            self.take_frame(0.05)
        self.leave()

    def take_frame(self, seconds: float) -> None:
        try:
            self.handle(self.client.next_frame(seconds))
        except TimeoutError:
            self.settle()
            self.ask()

    def leave(self) -> None:
        """Go in order, or vanish with deliveries unread; from a dead broker only take its last words."""
        if self.life.broker_gone:
            self.hear_out(self.client)
            return
        if self.habit.vanish and not self.life.ending.is_set():
            self.ledger.abandoned(self.queue)
            self.ledger.given_back(self.queue, self.unsettled.values())
            self.client.reset()
        else:
            if not self.habit.by_get:
                self.client.send(method(1, BASIC_CANCEL, shortstr("tag") + b"\0"))
                while not self.cancelled:
                    self.handle(self.client.next_frame())
            # Whatever was delivered is known now, and only then given back by the close.
            while self.asking:
                self.handle(self.client.next_frame())
            self.ledger.given_back(self.queue, self.unsettled.values())
            self.client.log_out()

    def handle(self, got: Frame) -> None:
        check_open(got)
        if got.method == BASIC_DELIVER:
            reader = got.arguments
            reader.shortstr()
            self.take(reader)
        elif got.method == BASIC_GET_OK:
            self.take(got.arguments)
        elif got.method == BASIC_QOS_OK:
            self.ledger.processed(self.queue, self.asked)
            self.asked, self.asking = [], False
        elif got.method == BASIC_CANCEL_OK:
            self.cancelled = True
        elif got.method not in (BASIC_CONSUME_OK, BASIC_GET_EMPTY):
            super().handle(got)

    def ask(self) -> None:
        """Send basic.qos, which is answered and changes nothing, unless an answer is still awaited."""
        if not self.asking:
            self.asked, self.settled, self.asking = self.settled, [], True
            self.client.send(method(1, BASIC_QOS, struct.pack(">LHB", 0, self.habit.prefetch, 0)))

    def take(self, reader: Reader) -> None:
        """A message: tell the ledger, and decide what to do with it."""
        tag, redelivered = reader.unpack("QB")
        exchange, key = reader.shortstr(), reader.shortstr()
        content = read_content(self.client)
        try:
            publisher, sequence = self.life.messages.identify(content.body)
            check_properties(publisher, sequence, content.properties)
            check_address(publisher, sequence, exchange, key, self.queue)
        except Damaged as error:
            self.ledger.add("changed", f"in {self.queue}: {error}")
            return
        message = (publisher.name, sequence)
        self.ledger.delivered(Delivery(self.queue, *message, bool(redelivered), (self.name, id(self.client))))
        self.unsettled[tag] = message
        self.deliveries += 1
        if not self.life.ending.is_set():
            self.decide(tag)

    def decide(self, tag: int) -> None:
        """Give the message back, drop it, hold it, or acknowledge it when the batch is full."""
        habit, chance = self.habit, self.random.random()
        if chance < habit.requeue:
            self.ledger.given_back(self.queue, [self.unsettled.pop(tag)])
            self.client.send(method(1, BASIC_NACK, struct.pack(">QB", tag, REQUEUE)))
        elif chance < habit.requeue + habit.reject:
            self.ledger.settling(self.queue, [self.unsettled[tag]])
            self.settled.append(self.unsettled.pop(tag))
            self.client.send(method(1, BASIC_REJECT, struct.pack(">QB", tag, 0)))
        elif chance >= habit.requeue + habit.reject + habit.hold:
            self.due.append(tag)
            if len(self.due) >= habit.batch:
                self.settle()
        if self.deliveries % 50 == 0:
            self.ask()

    def settle(self) -> None:
        """Acknowledge what is due."""
        if not self.due:
            return
        tags = [tag for tag in self.unsettled if tag <= self.due[-1]] if self.habit.multiple else self.due
        messages = [self.unsettled.pop(tag) for tag in tags]
        self.ledger.settling(self.queue, messages)
        if self.habit.multiple:
            self.client.send(method(1, BASIC_ACK, struct.pack(">QB", self.due[-1], 1)))
        else:
            self.client.send(b"".join(method(1, BASIC_ACK, struct.pack(">QB", tag, 0)) for tag in tags))
        self.settled += messages
        self.due = []


def check_address(publisher: Publisher, sequence: int, exchange: str, key: str, queue: str) -> None:
    """Damaged if a delivery names another exchange or routing key than the publish, or the last queue's as its key."""
    expected = (publisher.exchange, queue if publisher.dead_letters else publisher.routing_key(sequence))
    if (exchange, key) != expected:
        raise Damaged(f"{publisher.name} {sequence}: from {(exchange, key)}, but published to {expected}")


class Drain(Consumer):
    """Takes everything out of one queue and acknowledges it; nobody else consumes from it meanwhile."""

    def __init__(self, life: Life, queue: str) -> None:
        super().__init__(life, queue, Habit("draining", prefetch=2000, batch=100, multiple=True))
        self.ready = -1

    def work(self) -> None:
        with self.connect() as self.client:
            self.ask()
            self.client.send(consume(1, self.queue, "tag"))
            while not self.found_empty():
                pass
            self.ledger.emptied(self.queue)
            self.client.log_out()

    def found_empty(self) -> bool:
        """Take what comes; True if the queue says that it is empty, and nothing had been delivered meanwhile."""
        while not self.is_quiet():
            pass
        before, self.ready = self.deliveries, -1
        self.client.send(declare_queue(1, self.queue, PASSIVE))
        while self.ready < 0:
            self.handle(self.client.next_frame())
        return self.ready == 0 and self.deliveries == before

    def is_quiet(self) -> bool:
        """Take a frame; True if none comes and every delivery is acknowledged, and that processed."""
        try:
            self.handle(self.client.next_frame(QUIET))
        except TimeoutError:
            self.settle()
            if not self.settled:
                return not self.asking
            self.ask()
        return False

    def handle(self, got: Frame) -> None:
        if got.method == QUEUE_DECLARE_OK:
            reader = got.arguments
            reader.shortstr()
            self.ready = reader.unpack("L")[0]
        else:
            super().handle(got)
