"""Load that is all routing: many bindings, or many queues for each message. Raw sockets, as in `amqpload.py`.

One connection publishes transient messages of 100 octets, another consumes from all the queues without
acknowledgements and counts octets: keys, tags and headers are of one length each, so every delivery is as long as the
first. The publisher stays at most so many messages ahead of what was delivered. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import struct
import threading
import time

amqpload = importlib.import_module("amqpload")  # beside this file; untyped, and kept as it is

BODY = b"x" * 100
QUEUES = 10  # that the bindings lead to, in turn
BLOCK = 65536  # octets sent at once, about
WARM_UP = 1.0  # seconds
SHORT_PAUSE = 0.0005  # seconds


class Topology:
    """An exchange with its bindings and queues, and the messages to publish, encoded."""

    def __init__(self, port: int, kind: str, queues: int) -> None:
        self.connection = amqpload.Connection(port)
        self.exchange = f"routing-{os.getpid()}"
        self.queues = [f"{self.exchange}-{number:04}" for number in range(queues)]
        self.messages: list[bytes] = []
        self.copies = 1  # deliveries of each message
        for queue in self.queues:
            self.connection.declare(queue)
        name = amqpload.shortstr(self.exchange)
        self.connection.call(40, 10, b"\0\0" + name + amqpload.shortstr(kind) + b"\0" + amqpload.table(), (40, 11))

    def bind(self, number: int, key: str, **arguments: str) -> None:
        """Bind a queue, the next in turn, without waiting for the answer."""
        names = (self.queues[number % len(self.queues)], self.exchange, key)
        payload = b"\0\0" + b"".join(map(amqpload.shortstr, names)) + b"\1" + amqpload.table(**arguments)
        self.connection.sock.sendall(amqpload.method(1, 50, 20, payload))

    def complete(self) -> None:
        """Wait until all that was bound is bound."""
        self.connection.declare(self.queues[0])

    def remove(self) -> None:
        """Delete it all."""
        for queue in self.queues:
            self.connection.delete(queue)
        self.connection.call(40, 20, b"\0\0" + amqpload.shortstr(self.exchange) + b"\0", (40, 21))


def topic(port: int) -> Topology:
    """10,000 binding keys, a third of them each of the kinds a.b.*, a.b.# and *.b.c; each message matches one."""
    topology = Topology(port, "topic", QUEUES)
    for number in range(10_000):
        topology.bind(number, (f"area.{number:05}.*", f"area.{number:05}.#", f"*.{number:05}.state")[number % 3])
        topology.messages.append(amqpload.message(topology.exchange, f"area.{number:05}.state", BODY))
    return topology


def headers(port: int) -> Topology:
    """1,000 bindings that want two headers; each message has these and a third one, and matches one binding."""
    topology = Topology(port, "headers", QUEUES)
    for number in range(1_000):
        topology.bind(number, "", area=f"{number:05}", kind="state")
        table = amqpload.table(format="json", area=f"{number:05}", kind="state")
        header = struct.pack(">HHQH", 60, 0, len(BODY), 0x2000) + table
        publish = b"\0\0" + amqpload.shortstr(topology.exchange) + b"\0\0"
        frames = amqpload.method(1, 60, 40, publish) + amqpload.frame(2, 1, header) + amqpload.frame(3, 1, BODY)
        topology.messages.append(frames)
    return topology


def fanout(port: int) -> Topology:
    """1,000 queues, and each message goes to all of them."""
    topology = Topology(port, "fanout", 1_000)
    for number in range(1_000):
        topology.bind(number, "")
    topology.messages.append(amqpload.message(topology.exchange, "", BODY))
    topology.copies = 1_000
    return topology


class Counter(threading.Thread):
    """Consumes from all the queues and counts the deliveries."""

    def __init__(self, port: int, queues: list[str]) -> None:
        super().__init__(daemon=True)
        self.connection = amqpload.Connection(port)
        self.count = 0
        for number, queue in enumerate(queues):
            names = amqpload.shortstr(queue) + amqpload.shortstr(f"{number:04}")
            self.connection.call(60, 20, b"\0\0" + names + b"\2" + amqpload.table(), (60, 21))

    def run(self) -> None:
        unit = sum(len(self.connection.read()[2]) + 8 for _ in range(3))
        octets, buffer = unit + len(self.connection.buffer), bytearray(1 << 20)
        while received := self.connection.sock.recv_into(buffer):
            octets += received
            self.count = octets // unit


def publish(port: int, topology: Topology, counter: Counter, ahead: int) -> None:
    """Publish the messages again and again, in an order that is no order; never ends."""
    connection = amqpload.Connection(port)
    messages = topology.messages
    random.Random(0).shuffle(messages)
    many = messages * (1 + ahead // len(messages))
    size = max(1, min(ahead, BLOCK // len(messages[0])))
    blocks = [many[at : at + size] for at in range(0, len(many), size)]
    sent = 0
    while True:
        for block in blocks:
            while sent + len(block) - counter.count / topology.copies > ahead:
                time.sleep(SHORT_PAUSE)
            connection.sock.sendall(b"".join(block))
            sent += len(block)


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("kind", choices=("topic", "headers", "fanout"))
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--ahead", type=int, default=4000, help="messages that may be on their way")
    parser.add_argument("--pid", type=int, help="of no use here")
    options = parser.parse_args()
    topology: Topology = {"topic": topic, "headers": headers, "fanout": fanout}[options.kind](options.port)
    topology.complete()
    counter = Counter(options.port, topology.queues)
    counter.start()
    load = (options.port, topology, counter, options.ahead)
    threading.Thread(target=publish, args=load, daemon=True).start()
    time.sleep(WARM_UP)
    begun, before = time.perf_counter(), counter.count
    time.sleep(options.seconds)
    delivered, elapsed = counter.count - before, time.perf_counter() - begun
    print(json.dumps({"kind": options.kind, "delivered_per_s": round(delivered / elapsed)}), flush=True)
    topology.remove()


if __name__ == "__main__":
    main()
