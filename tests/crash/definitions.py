"""Durable definitions that come and go during the load, and what of them must be there after a crash.

The operations go out in order, a few at a time. Each is answered when it is durable; therefore, after a crash, the
broker's definitions are those after all the answered operations, or after some more of the sent ones, in their order.
A queue that was deleted and declared again is another one: none of the former's messages is in it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from tests.crash.ledger import Ledger
from tests.crash.messages import DELIVERY_MODE, HEADERS
from tests.crash.topology import (
    DURABLE,
    EXCHANGE_DELETE,
    EXCHANGE_DELETE_OK,
    QUEUE_BIND,
    QUEUE_BIND_OK,
    QUEUE_DELETE,
    QUEUE_DELETE_OK,
    QUEUE_UNBIND,
    QUEUE_UNBIND_OK,
    binding_arguments,
)
from tests.crash.worker import BASIC_RETURN, MANDATORY, PATIENCE, Life, Worker, check_open, read_content
from tests.support.raw_client import (
    BASIC_ACK,
    BASIC_GET,
    BASIC_GET_EMPTY,
    BODY,
    CHANNEL_CLOSE,
    CHANNEL_CLOSE_OK,
    CONFIRM_SELECT,
    CONFIRM_SELECT_OK,
    EXCHANGE_DECLARE,
    EXCHANGE_DECLARE_OK,
    QUEUE_DECLARE_OK,
    MethodId,
    RawClient,
    content_header,
    declare_queue,
    frame,
    method,
    publish_method,
    read_close,
    shortstr,
    table,
)

EXCHANGES = {"crash.definitions.direct": "direct", "crash.definitions.topic": "topic", "crash.definitions.x": "headers"}
QUEUES: dict[str, dict[str, object]] = {
    "crash.definitions.plain": {},
    "crash.definitions.ttl": {"x-message-ttl": 86_400_000},
    "crash.definitions.limited": {"x-max-length": 1_000_000, "x-overflow": "reject-publish"},
    "crash.definitions.table": {"nested": {"list": [1, "two", None], "octets": b"\xff"}},
}
PASSING, EXCLUSIVE = "crash.passing", "crash.exclusive"  # not durable; durable but exclusive: gone after a crash
PASSIVE, EXCLUSIVE_DURABLE = 1, 6
CONFIRMS = 2  # the channel for publishing

Entry = tuple[str, ...]  # ("exchange", name), ("queue", name) or ("binding", exchange, queue)
State = frozenset[Entry]


class Operation(NamedTuple):
    """An entry is added or removed."""

    adds: bool
    entry: Entry

    def applied(self, state: State) -> State:
        if self.adds:
            return state | {self.entry}
        gone = self.entry[1]
        if self.entry[0] == "binding":
            return state - {self.entry}
        return frozenset(one for one in state if gone not in one[1:])

    def request(self) -> tuple[bytes, MethodId]:
        """The method on channel 1, and its answer's id."""
        kind, name = self.entry[:2]
        if kind == "exchange":
            if self.adds:
                arguments = b"\0\0" + shortstr(name) + shortstr(EXCHANGES[name]) + bytes([DURABLE]) + table()
                return method(1, EXCHANGE_DECLARE, arguments), EXCHANGE_DECLARE_OK
            return method(1, EXCHANGE_DELETE, b"\0\0" + shortstr(name) + b"\0"), EXCHANGE_DELETE_OK
        if kind == "queue":
            if self.adds:
                return declare_queue(1, name, DURABLE, QUEUES[name]), QUEUE_DECLARE_OK
            return method(1, QUEUE_DELETE, b"\0\0" + shortstr(name) + b"\0"), QUEUE_DELETE_OK
        queue = self.entry[2]
        match = {"x-match": "all", "queue": queue} if EXCHANGES[name] == "headers" else None
        if self.adds:
            return method(1, QUEUE_BIND, binding_arguments(queue, name, queue, arguments=match)), QUEUE_BIND_OK
        return method(1, QUEUE_UNBIND, binding_arguments(queue, name, queue, b"", match)), QUEUE_UNBIND_OK


def possible_operations(state: State) -> list[Operation]:
    """Everything that would change the definitions."""
    entries: list[Entry] = [("exchange", name) for name in EXCHANGES]
    entries += [("queue", name) for name in QUEUES]
    exchanges = sorted(entry[1] for entry in state if entry[0] == "exchange")
    queues = sorted(entry[1] for entry in state if entry[0] == "queue")
    entries += [("binding", exchange, queue) for exchange in exchanges for queue in queues]
    return [Operation(entry not in state, entry) for entry in entries]


class Definitions:
    """What the client knows of the definitions, over all lives."""

    def __init__(self) -> None:
        self.state: State = frozenset()  # after the answered operations
        self.sent: list[Operation] = []  # and not answered
        self.answered = 0
        self.incarnations: dict[str, int] = dict.fromkeys(QUEUES, 0)  # of each queue, counted by its declarations
        self.undone: set[str] = set()  # queues whose deletion was sent before the crash, and was not done
        self.filled: dict[str, int] = dict.fromkeys(QUEUES, 0)  # confirmed messages in the present incarnation

    def candidates(self) -> Iterator[State]:
        """The states that the broker may be in after a crash."""
        state = self.state
        yield state
        for operation in self.sent:
            state = operation.applied(state)
            yield state

    def choose(self, random: Random) -> None:
        """Begin one to four operations, none of which touches what another one does."""
        state, touched = self.state, set[str]()
        for _ in range(random.randint(1, 4)):
            operations = [one for one in possible_operations(state) if touched.isdisjoint(one.entry[1:])]
            if not operations:
                return
            # What there is shall rather grow: a deletion takes bindings along.
            weights = [4 if one.adds else 1 for one in operations]
            operation = random.choices(operations, weights)[0]
            touched.update(operation.entry[1:])
            state = operation.applied(state)
            self.sent.append(operation)

    def answer(self) -> None:
        """The first of the sent operations was answered."""
        self.settle(self.sent.pop(0))

    def settle(self, operation: Operation) -> None:
        self.state = operation.applied(self.state)
        self.answered += 1
        kind, name = operation.entry[:2]
        if kind == "queue":
            self.filled[name] = 0
            self.incarnations[name] += operation.adds

    def resolve(self, found: State) -> bool:
        """After a crash: take over which of the sent operations were done; False if no number of them leads here."""
        for done, candidate in enumerate(self.candidates()):
            if candidate == found:
                for operation in self.sent[:done]:
                    self.settle(operation)
                self.undone = {one.entry[1] for one in self.sent[done:] if one.entry[0] == "queue" and not one.adds}
                self.sent.clear()
                return True
        return False


class DefinitionChanger(Worker):
    """Declares, binds, unbinds and deletes, and puts a few messages into the queues."""

    def __init__(self, life: Life, definitions: Definitions) -> None:
        super().__init__(life, "definitions")
        self.definitions = definitions

    def work(self) -> None:
        definitions = self.definitions
        with self.connect() as client:
            client.declare(PASSING)
            client.declare(EXCLUSIVE, EXCLUSIVE_DURABLE)
            open_confirming(client)
            while not self.life.ending.is_set():
                definitions.choose(self.random)
                requests = [operation.request() for operation in definitions.sent]
                client.send(b"".join(request for request, _ in requests))
                for _, answer in requests:
                    got = client.next_frame(PATIENCE)
                    if got.method != answer:
                        self.handle(got)
                    definitions.answer()
                queues = [entry[1] for entry in definitions.state if entry[0] == "queue"]
                if queues:
                    self.fill(client, self.random.choice(sorted(queues)))
                self.life.ending.wait(self.random.uniform(0, 0.02))
            if not self.life.broker_gone:
                client.log_out()

    def fill(self, client: RawClient, queue: str) -> None:
        """Put a message into a queue that says which of the queues of this name it was for."""
        client.send(publish(queue, str(self.definitions.incarnations[queue]).encode()))
        got = client.next_frame(PATIENCE)
        check_open(got)
        if got.method != BASIC_ACK:
            self.handle(got)
        self.definitions.filled[queue] += 1


def publish(key: str, body: bytes, exchange: str = "", mode: bytes = b"\x02") -> bytes:
    """A mandatory publish, with a header for the exchanges that route by it."""
    properties = struct.pack(">H", HEADERS | DELIVERY_MODE) + table({"queue": key}) + mode
    header = content_header(CONFIRMS, len(body), properties=properties)
    return publish_method(CONFIRMS, exchange, key, MANDATORY) + header + frame(BODY, CONFIRMS, body)


def open_confirming(client: RawClient) -> None:
    client.open_channel(CONFIRMS)
    client.call(CONFIRMS, CONFIRM_SELECT, b"\0", CONFIRM_SELECT_OK)


class Inspection:
    """Looks at a broker's definitions after a restart, and holds them against what the client knows."""

    def __init__(self, port: int, definitions: Definitions, ledger: Ledger) -> None:
        self.client = RawClient(port).log_in(channels=(1,))
        self.definitions = definitions
        self.ledger = ledger

    def run(self, restarted: bool = True) -> None:
        """Compare the definitions and the messages in the queues, and empty these."""
        with self.client:
            open_confirming(self.client)
            for name in (PASSING, EXCLUSIVE) if restarted else (EXCLUSIVE,):
                if self.is_there(declare_queue(1, name, PASSIVE), QUEUE_DECLARE_OK):
                    self.ledger.add("definitions", f"queue {name} came back")
            found = self.look()
            if not self.definitions.resolve(found):
                self.report(found)
            for queue in sorted(entry[1] for entry in found if entry[0] == "queue"):
                self.check_messages(queue)
            self.client.log_out()

    def report(self, found: State) -> None:
        definitions = self.definitions
        sent = [("+" if one.adds else "-") + " ".join(one.entry) for one in definitions.sent]
        self.ledger.add(
            "definitions",
            f"missing {sorted(definitions.state - found)}, too many {sorted(found - definitions.state)}, "
            f"with these unanswered: {sent}",
        )
        definitions.state = found
        definitions.sent.clear()

    def look(self) -> State:
        """What is there."""
        exchanges = [name for name in EXCHANGES if self.has_exchange(name)]
        queues = [name for name in QUEUES if self.is_there(declare_queue(1, name, PASSIVE), QUEUE_DECLARE_OK)]
        for name in queues:
            if not self.is_there(declare_queue(1, name, DURABLE, QUEUES[name]), QUEUE_DECLARE_OK):
                self.ledger.add("definitions", f"queue {name} has other arguments now")
        bindings = [
            ("binding", exchange, queue) for exchange in exchanges for queue in queues if self.is_bound(exchange, queue)
        ]
        return frozenset(
            [*(("exchange", name) for name in exchanges), *(("queue", name) for name in queues), *bindings]
        )

    def has_exchange(self, name: str) -> bool:
        """Whether an exchange is there, and is of its type."""
        kind = shortstr(EXCHANGES[name])
        passive = b"\0\0" + shortstr(name) + kind + bytes([PASSIVE]) + table()
        there = self.is_there(method(1, EXCHANGE_DECLARE, passive), EXCHANGE_DECLARE_OK)
        again = b"\0\0" + shortstr(name) + kind + bytes([DURABLE]) + table()
        if there and not self.is_there(method(1, EXCHANGE_DECLARE, again), EXCHANGE_DECLARE_OK):
            self.ledger.add("definitions", f"exchange {name} is another one now")
        return there

    def is_there(self, request: bytes, answer: MethodId) -> bool:
        """Send a declare: True if it is answered, False if the broker closes the channel instead."""
        self.client.send(request)
        got = self.client.next_frame(PATIENCE)
        if got.method == CHANNEL_CLOSE:
            assert read_close(got).code in (404, 406), read_close(got)
            self.client.send(method(1, CHANNEL_CLOSE_OK))
            self.client.open_channel(1)
            return False
        assert got.method == answer, got
        return True

    def is_bound(self, exchange: str, queue: str) -> bool:
        """Publish a transient message: it is returned unless the queue is bound to the exchange."""
        self.client.send(publish(queue, b"probe", exchange, b"\x01"))
        got = self.client.next_frame(PATIENCE)
        returned = got.method == BASIC_RETURN
        if returned:
            read_content(self.client)
            got = self.client.next_frame(PATIENCE)
        assert got.method == BASIC_ACK, got
        return not returned

    def check_messages(self, queue: str) -> None:
        """The messages in a queue are of this queue, not of an earlier one of its name, and none is missing."""
        bodies = list(self.take_all(queue))
        incarnation = str(self.definitions.incarnations[queue]).encode()
        others = {body for body in bodies if body not in (incarnation, b"probe")}
        if others:
            self.ledger.add("definitions", f"{queue} number {incarnation!r} has messages of its predecessors {others}")
        if bodies.count(incarnation) < self.definitions.filled[queue]:
            expected = self.definitions.filled[queue]
            rule, why = ("half", ": half deleted") if queue in self.definitions.undone else ("lost", "")
            found = f"{bodies.count(incarnation)} messages of {expected} confirmed ones"
            self.ledger.add(rule, f"{queue} has {found}{why}")
        self.definitions.filled[queue] = 0

    def take_all(self, queue: str) -> Iterator[bytes]:
        while True:
            self.client.send(method(1, BASIC_GET, b"\0\0" + shortstr(queue) + b"\1"))
            if self.client.next_frame(PATIENCE).method == BASIC_GET_EMPTY:
                return
            yield read_content(self.client).body


def delete_definitions(port: int) -> None:
    """Remove what a `DefinitionChanger` left in a broker that is not the test's own."""
    with RawClient(port).log_in(channels=(1,)) as client:
        for operation in [Operation(False, ("queue", name)) for name in (*QUEUES, PASSING)]:
            client.send(operation.request()[0])
            client.expect(QUEUE_DELETE_OK)
        for operation in [Operation(False, ("exchange", name)) for name in EXCHANGES]:
            client.send(operation.request()[0])
            client.expect(EXCHANGE_DELETE_OK)
        client.log_out()
