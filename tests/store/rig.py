"""A broker with its store on files in memory, driven step by step: the test is the event loop.

The store's threads are real, but what they have to say waits until the test takes it with `turn`, thread by thread,
so that nothing depends on their speed. Messages carry their number in the body; what comes out is known by it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue

from leveret.amqp.field_table import table_from_python
from leveret.amqp.frame import content_frames
from leveret.amqp.methods import BasicDeliver, BasicGet, BasicGetOk, BasicPublish, decode_method
from leveret.amqp.properties import BasicProperties, encode_content_header
from leveret.broker import basic_methods, transaction_methods
from leveret.broker.broker import Broker
from leveret.broker.channel import Channel
from leveret.broker.connection import Connection
from leveret.broker.consumer import Consumer
from leveret.broker.publishing import publish
from leveret.broker.queue import Queue
from leveret.broker.routing import find_route
from leveret.broker.transaction import Transaction
from leveret.broker.vhost import VirtualHost
from leveret.store.files import Files
from leveret.store.local import COPY_INTERVAL, LocalStore
from leveret.store.log import SPARSE
from leveret.store.recovery import Recovery
from leveret.store.segment import SEGMENT_SIZE
from tests.store.faults import MemoryFiles

WRITER, READER, DEFINITIONS = "leveret-writer", "leveret-reader", "leveret-definitions"
PATIENCE = 20.0  # seconds for one job of a thread
DIRECTORY = "messages"
# The longer forms of the tests run with this many examples of what is drawn at random, and with every variant.
EXAMPLES = int(os.environ.get("LEVERET_STORE_EXAMPLES", "0"))
THOROUGH = EXAMPLES > 0
NO_ARGUMENTS: Mapping[str, str | int] = {}
DIGITS = 12  # of the number that a body begins with


@dataclass(frozen=True)
class Got:
    """A delivery."""

    number: int
    redelivered: bool
    tag: int


@dataclass
class Client:
    """A channel with a connection of its own."""

    connection: Connection
    channel: Channel
    sent: list[int] = field(default_factory=list)  # numbers of messages, in the order of their publish tags
    delivered: list[Got] = field(default_factory=list)

    def confirmed(self) -> list[int]:
        """Numbers of the messages that were confirmed."""
        return self.sent[: int(self.channel.confirmed_tag)]

    def take_output(self) -> list[Got]:
        """Decode the messages that were sent to the client, as if its socket had taken them."""
        found = messages_in(b"".join(self.connection.take_output()))
        self.delivered += found
        self.connection.drained()
        return found


class Rig:
    """One life of a broker."""

    def __init__(
        self,
        folder: Path,
        files: Files | None = None,
        sync: str = "always",
        segment_size: int = SEGMENT_SIZE,
        time_of_day: float = 1.7e9,
        sparse: int = int(SPARSE),
    ) -> None:
        self.folder = folder
        self.segment_size = segment_size
        self.time_of_day = time_of_day  # seconds since 1970
        self.files: Files = MemoryFiles() if files is None else files
        self.failures: list[BaseException] = []
        self.said: dict[str, SimpleQueue[Callable[[], None]]] = {
            name: SimpleQueue() for name in (WRITER, READER, DEFINITIONS)
        }
        directory = str(folder) if files is not None and not isinstance(files, MemoryFiles) else DIRECTORY
        definitions = str(folder / "definitions.sqlite")
        self.store = LocalStore(
            definitions, directory, self.files, sync, self._post, self.failures.append, segment_size
        )
        self.broker = Broker("0", "test", lambda: self.time_of_day, bytes, self.store)
        self.broker.timers.set_time(0.0)
        self.log = self.store._log
        self.log.sparse = sparse
        self.recovery: Recovery | None = None
        self.clients: list[Client] = []

    @property
    def vhost(self) -> VirtualHost:
        return self.broker.vhosts["/"]

    @property
    def memory(self) -> MemoryFiles:
        assert isinstance(self.files, MemoryFiles)
        return self.files

    def start(self) -> Rig:
        """Read what is there, as a broker does that starts. If it can't, its threads end."""
        try:
            self.recovery = self.store.restore(self.broker)
        except BaseException:
            self.store.close()
            raise
        return self

    def _post(self, action: Callable[[], None]) -> None:
        self.said[threading.current_thread().name].put(action)

    # the event loop

    def turn(self, thread: str) -> None:
        """Take in the result of a thread's next job."""
        self.said[thread].get(timeout=PATIENCE)()

    def tick(self) -> None:
        self.broker.end_tick()
        for connection in self.broker.take_dirty():
            for client in self.clients:
                if client.connection is connection:
                    client.take_output()

    def rest(self) -> None:
        """Wait until the threads that write have done what they were given; what they have to say waits on."""
        end = time.monotonic() + PATIENCE
        while (self.log.writing is not None and self.said[WRITER].empty()) or (
            self.said[DEFINITIONS].qsize() < self.store._commit_number - self.store._committed and not self.failures
        ):
            assert time.monotonic() < end, "a thread does not come to an end"
            time.sleep(0.0002)

    def works(self) -> str:
        """A thread that has a job whose result was not taken in yet, or nothing."""
        log = self.log
        if log.writing is not None:
            return WRITER
        if self.store._committed < self.store._commit_number:
            return DEFINITIONS
        if self.store._reading or self.is_copying():
            return READER
        return ""

    def is_copying(self) -> bool:
        """Whether a segment is being read to be copied."""
        log = self.log
        waiting = set(log._to_copy)
        if log.writing is not None:
            waiting |= set(log.writing.to_copy)
        return any(
            segment.copying and segment not in waiting and number not in log.copied_from
            for number, segment in log.segments.items()
        )

    def finish(self) -> None:
        """Tick until everything is written and read that is to be."""
        self.tick()
        while not self.failures:
            thread = self.works()
            if thread:
                self.turn(thread)
                self.tick()
            elif self.broker.touched or not self.store.idle():
                self.tick()
            elif (due := self.broker.timers.next_due()) is not None and due <= self.broker.timers.now:
                self.pass_time_only(0)
                self.tick()
            else:
                return

    def pass_time_only(self, seconds: float) -> None:
        timers = self.broker.timers
        self.time_of_day += seconds
        timers.run(timers.now + seconds)

    def pass_time(self, seconds: float) -> None:
        self.pass_time_only(seconds)
        self.finish()

    def compact(self) -> None:
        """Let the store look for segments that are nearly empty, often enough."""
        for _ in range(4):
            self.pass_time(COPY_INTERVAL)

    # what clients do

    def client(self) -> Client:
        """A client that wants confirms."""
        connection = self.broker.connect("127.0.0.1:1", "127.0.0.1:5672", True)
        connection.user = "guest"
        connection.begin_running(self.vhost)
        connection.frame_max = 131072
        channel = Channel(connection, 1)
        channel.confirming = True
        connection.channels[1] = channel
        client = Client(connection, channel)
        self.clients.append(client)
        return client

    def transactional(self) -> Client:
        """A client that uses transactions."""
        client = self.client()
        client.channel.confirming = False
        client.channel.transaction = Transaction()
        return client

    def declare(self, name: str, durable: bool = True, arguments: Mapping[str, str | int] = NO_ARGUMENTS) -> Queue:
        """A new queue; the names of its arguments are given without `x-`."""
        table = table_from_python({f"x-{key}": value for key, value in arguments.items()})
        queue = self.vhost.new_queue(name, durable, False, None, table)
        self.vhost.add_queue(queue)
        return queue

    def queue(self, name: str) -> Queue:
        return self.vhost.queue(name)

    def publish(
        self,
        client: Client,
        queues: list[Queue],
        number: int,
        size: int = 0,
        persistent: bool = True,
        priority: int | None = None,
        expiration: int | None = None,
    ) -> None:
        """Publish a message of at least `size` octets that goes to these queues; its expiration is in milliseconds."""
        route = find_route(client.connection, BasicPublish("", queues[0].name))
        route.queues[:] = queues
        client.sent.append(number)
        publish(client.channel, route, content(number, size, persistent, priority, expiration))

    def get(self, client: Client, queue: Queue, no_ack: bool = False) -> Got | None:
        """basic.get."""
        client.take_output()
        basic_methods.get(client.channel, BasicGet(queue.name, no_ack))
        found = client.take_output()
        if not found:
            return None
        client.delivered.pop()
        return found[0]

    def consume(self, client: Client, queue: Queue, prefetch: int = 0, no_ack: bool = False) -> Consumer:
        """basic.consume: deliveries are in `client.delivered` after a tick."""
        consumer = Consumer(client.channel, queue, "tag", no_ack, False, prefetch, 0, {})
        client.channel.consumers["tag"] = consumer
        queue.add_consumer(consumer)
        return consumer

    def commit(self, client: Client) -> None:
        """tx.commit; it is answered when the client's connection is not held any more."""
        transaction_methods.commit(client.channel)

    def take_all(self, queue: Queue) -> list[tuple[int, bool]]:
        """Get everything in a queue, without acknowledging it: numbers and redelivered flags."""
        client = self.client()
        found: list[tuple[int, bool]] = []
        while (got := self.get(client, queue)) is not None:
            found.append((got.number, got.redelivered))
        return found

    # the end

    def end(self) -> None:
        """End the threads, whether they still can write or not."""
        self.store.close()

    def stop(self) -> None:
        """End as a broker does that is told to."""
        self.finish()
        self.end()

    def kill(self) -> MemoryFiles:
        """End as by SIGKILL, and give what the next process finds."""
        files = self.memory
        found = files.killed()
        files.dead = True
        self.end()
        return found


def restarted(rig: Rig, later: float = 0.0) -> Rig:
    """Kill a broker, and start another one in its place, so many seconds later."""
    return Rig(rig.folder, rig.kill(), rig.store.sync, rig.segment_size, rig.time_of_day + later).start()


@lru_cache(maxsize=8)
def frames(size: int, persistent: bool, priority: int | None, expiration: int | None) -> bytes:
    """The content frames of a message of this size without a number."""
    expires = None if expiration is None else str(expiration)
    properties = BasicProperties(delivery_mode=2 if persistent else 1, priority=priority, expiration=expires)
    return content_frames(1, encode_content_header(size, properties), bytes(size), 131072)


def content(
    number: int, size: int, persistent: bool, priority: int | None = None, expiration: int | None = None
) -> bytes:
    """The content frames of a message, of which the body begins with its number."""
    empty = frames(max(size, DIGITS), persistent, priority, expiration)
    at = 7 + int.from_bytes(empty[3:7], "big") + 1 + 7
    return empty[:at] + b"%0*d" % (DIGITS, number) + empty[at + DIGITS :]


def number_of(content: bytes) -> int:
    """The number in the body of a message with these content frames."""
    at = 7 + int.from_bytes(content[3:7], "big") + 1 + 7
    return int(content[at : at + DIGITS])


def messages_in(data: bytes) -> list[Got]:
    """The messages in the frames that were sent to a client."""
    found: list[Got] = []
    method: BasicDeliver | BasicGetOk | None = None
    body = b""
    missing = at = 0
    while at < len(data):
        kind, size = data[at], int.from_bytes(data[at + 3 : at + 7], "big")
        payload = data[at + 7 : at + 7 + size]
        at += size + 8
        if kind == 1:
            decoded = decode_method(payload)
            method = decoded if isinstance(decoded, BasicDeliver | BasicGetOk) else None
        elif kind == 2:
            missing, body = int.from_bytes(payload[4:12], "big"), b""
        else:
            body += payload[: DIGITS - len(body)]
            missing -= size
        if method is not None and kind != 1 and missing == 0:
            found.append(Got(int(body), method.redelivered, method.delivery_tag))
            method = None
    return found
