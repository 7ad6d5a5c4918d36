"""Load on queues that do more than keep messages in order: priorities, expiry, dead letters. Raw sockets, as in
`amqpload.py`.

`priority`: transient messages of 100 octets, their priorities 0 to 9 at random, go through one queue with
x-max-priority 10 to a consumer without acknowledgements, which is always a few thousand messages behind.
`ttl`: a queue with x-message-ttl takes in so many messages; then each of them expires at one and the same moment, by
the expiration it was published with, and the queue is watched until it is empty.
`chain`: so many messages go through 28 queues with x-message-ttl, each of which dead-letters to the next, as in
Celery's delayed delivery, and the last queue is watched until it has them all. Each prints one JSON line.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import random
import struct
import threading
import time
from typing import Any

from routing_load import BODY, SHORT_PAUSE, WARM_UP, Counter

amqpload = importlib.import_module("amqpload")  # beside this file; untyped, and kept as it is

PER_BLOCK = 500  # messages sent at once
SAMPLE = 50_000  # messages by which the time is estimated that all of them take
LONG = 3_600_000  # milliseconds
LINKS = 28  # queues of a chain
SHORT = 5  # milliseconds in each of them


def ready(connection: Any, queue: str, **arguments: int | str) -> int:
    """Messages in a queue, which is declared with these arguments unless it is there."""
    answer: bytes = connection.declare(queue, arguments=arguments)
    return int(struct.unpack_from(">L", answer, 5 + answer[4])[0])


def message(queue: str, flag: int, value: bytes) -> bytes:
    """A publish to a queue, of a message with one property."""
    publish = b"\0\0" + amqpload.shortstr("") + amqpload.shortstr(queue) + b"\0"
    header = struct.pack(">HHQH", 60, 0, len(BODY), flag) + value
    frames: bytes = amqpload.method(1, 60, 40, publish) + amqpload.frame(2, 1, header) + amqpload.frame(3, 1, BODY)
    return frames


def priority(options: argparse.Namespace) -> dict[str, float]:
    """Deliveries a second through a queue with priorities."""
    queue = f"priority-{os.getpid()}"
    setup = amqpload.Connection(options.port)
    setup.declare(queue, arguments={"x-max-priority": 10})
    counter = Counter(options.port, [queue])
    counter.start()
    choice = random.Random(0)
    blocks = [
        b"".join(message(queue, 0x0800, bytes([choice.randrange(10)])) for _ in range(PER_BLOCK)) for _ in range(20)
    ]

    def publish() -> None:
        connection, sent = amqpload.Connection(options.port), 0
        while True:
            for block in blocks:
                while sent + PER_BLOCK - counter.count > options.ahead:
                    time.sleep(SHORT_PAUSE)
                connection.sock.sendall(block)
                sent += PER_BLOCK

    threading.Thread(target=publish, daemon=True).start()
    time.sleep(WARM_UP)
    begun, before = time.perf_counter(), counter.count
    time.sleep(options.seconds)
    delivered, elapsed = counter.count - before, time.perf_counter() - begun
    setup.delete(queue)
    return {"delivered_per_s": round(delivered / elapsed)}


class Filler:
    """Fills a queue with messages that expire at a moment to come."""

    def __init__(self, port: int, queue: str) -> None:
        self.connection = amqpload.Connection(port)
        self.queue = queue
        self.connection.declare(queue, arguments={"x-message-ttl": LONG})

    def ready(self) -> int:
        """Messages in the queue, once everything published is in it."""
        return ready(self.connection, self.queue, **{"x-message-ttl": LONG})

    def publish(self, count: int, expiry: float) -> float:
        """Publish messages that expire at this time (of time.monotonic); gives how many seconds that took."""
        begun = time.monotonic()
        for _ in range(count // PER_BLOCK):
            left = max(1, int((expiry - time.monotonic()) * 1000))
            text = f"{left:09}"
            self.connection.sock.sendall(message(self.queue, 0x0100, amqpload.shortstr(text)) * PER_BLOCK)
        self.ready()
        return time.monotonic() - begun


def ttl(options: argparse.Namespace) -> dict[str, float]:
    """How fast a queue takes in messages that may expire, and how fast it drops them when they do."""
    filler = Filler(options.port, f"ttl-{os.getpid()}")
    sample = filler.publish(SAMPLE, time.monotonic() + LONG / 1000)
    filler.connection.delete(filler.queue)
    filler = Filler(options.port, filler.queue)
    expiry = time.monotonic() + 20 + 5 * sample * options.count / SAMPLE
    took = filler.publish(options.count, expiry)
    if filler.ready() != options.count:
        raise SystemExit("the first messages expired before the last were published")
    time.sleep(max(0.0, expiry - time.monotonic()))
    before = filler.ready()
    begun = time.monotonic()
    while filler.ready():
        time.sleep(0.01)
    dropped = time.monotonic() - begun
    filler.connection.delete(filler.queue)
    return {"fill_per_s": round(options.count / took), "expire_per_s": round(before / max(dropped, 0.001))}


def chain(options: argparse.Namespace) -> dict[str, float]:
    """How often a second a message goes from one queue of a chain to the next."""
    connection = amqpload.Connection(options.port)
    names = [f"chain-{os.getpid()}-{number}" for number in range(LINKS + 1)]
    for name, following in itertools.pairwise(names):
        to_next = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": following}
        connection.declare(name, arguments={"x-message-ttl": SHORT, **to_next})
    connection.declare(names[-1])
    begun = time.monotonic()
    for _ in range(options.count // PER_BLOCK):
        connection.sock.sendall(message(names[0], 0x1000, b"\1") * PER_BLOCK)
    while ready(connection, names[-1]) < options.count // PER_BLOCK * PER_BLOCK:
        time.sleep(0.01)
    took = time.monotonic() - begun
    for name in names:
        connection.delete(name)
    return {"moves_per_s": round(options.count // PER_BLOCK * PER_BLOCK * LINKS / took)}


LOADS = {"priority": priority, "ttl": ttl, "chain": chain}


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("kind", choices=LOADS)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--ahead", type=int, default=4000, help="messages that may be on their way")
    parser.add_argument("--count", type=int, default=1_000_000, help="messages that expire, or go through the chain")
    parser.add_argument("--pid", type=int, help="of no use here")
    options = parser.parse_args()
    print(json.dumps({"kind": options.kind, **LOADS[options.kind](options)}), flush=True)


if __name__ == "__main__":
    main()
