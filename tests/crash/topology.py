"""The exchanges, queues and publishers of the load. They are declared once and never deleted during a run.

Each way of publishing has queues of its own: straight to a queue (two publishers in one), large bodies, a fanout to
two queues, a topic exchange with an overlap, transactions over two queues, and a chain of queues that dead-letter to
each other: all that goes in there at one end comes out at the other, soon after.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from tests.crash.messages import LARGE, MIXED, SMALL, Publisher
from tests.support.raw_client import (
    EXCHANGE_DECLARE,
    EXCHANGE_DECLARE_OK,
    QUEUE_DECLARE_OK,
    RawClient,
    Table,
    declare_queue,
    shortstr,
    table,
)

PASSIVE, DURABLE = 1, 2
QUEUE_BIND, QUEUE_BIND_OK = (50, 20), (50, 21)
QUEUE_UNBIND, QUEUE_UNBIND_OK = (50, 50), (50, 51)
QUEUE_PURGE, QUEUE_PURGE_OK = (50, 30), (50, 31)
QUEUE_DELETE, QUEUE_DELETE_OK = (50, 40), (50, 41)
EXCHANGE_DELETE, EXCHANGE_DELETE_OK = (40, 20), (40, 21)

DIRECT, LARGE_BODIES = "crash.direct", "crash.large"
FANOUT_1, FANOUT_2 = "crash.fanout.1", "crash.fanout.2"
TOPIC_EVEN, TOPIC_ALL = "crash.topic.even", "crash.topic.all"
TX_A, TX_B = "crash.tx.a", "crash.tx.b"
CHAIN_END = "crash.chain.end"
QUEUES = (DIRECT, LARGE_BODIES, FANOUT_1, FANOUT_2, TOPIC_EVEN, TOPIC_ALL, TX_A, TX_B, CHAIN_END)
CHAIN: dict[str, dict[str, object]] = {
    "crash.chain.ttl": {"x-message-ttl": 60, "x-dead-letter-routing-key": "crash.chain.limit"},
    "crash.chain.limit": {"x-max-length": 20, "x-message-ttl": 30, "x-dead-letter-routing-key": "crash.chain.quorum"},
    "crash.chain.quorum": {"x-queue-type": "quorum", "x-message-ttl": 20, "x-dead-letter-routing-key": CHAIN_END},
}
CHAIN_LIMIT = 5.0  # seconds for what is on its way through the chain

FANOUT, TOPIC, TX = "crash.fanout", "crash.topic", "crash.tx"
EXCHANGES = {FANOUT: "fanout", TOPIC: "topic", TX: "direct"}
BINDINGS = (
    (FANOUT_1, FANOUT, ""),
    (FANOUT_2, FANOUT, ""),
    (TOPIC_EVEN, TOPIC, "*.even"),
    (TOPIC_ALL, TOPIC, "number.#"),
    (TX_A, TX, "a"),
    (TX_B, TX, "b"),
    (TX_A, TX, "both"),
    (TX_B, TX, "both"),
)

PUBLISHERS = (
    Publisher(0, "direct-1", "", ((DIRECT, (DIRECT,)),), MIXED),
    Publisher(1, "direct-2", "", ((DIRECT, (DIRECT,)),), SMALL, transient_every=5),
    Publisher(2, "large", "", ((LARGE_BODIES, (LARGE_BODIES,)),), LARGE),
    Publisher(3, "fanout", FANOUT, (("", (FANOUT_1, FANOUT_2)),), MIXED),
    Publisher(
        4, "topic", TOPIC, (("number.even", (TOPIC_EVEN, TOPIC_ALL)), ("number.odd", (TOPIC_ALL,))), SMALL
    ),
    Publisher(5, "tx", TX, (("a", (TX_A,)), ("b", (TX_B,)), ("both", (TX_A, TX_B))), MIXED, transactional=True),
    Publisher(6, "chain", "", (("crash.chain.ttl", (CHAIN_END,)),), MIXED, dead_letters=True),
)  # fmt: skip


def declare_exchange(client: RawClient, name: str, kind: str, bits: int = DURABLE) -> None:
    """Declare an exchange; bits are passive 1, durable 2."""
    arguments = b"\0\0" + shortstr(name) + shortstr(kind) + bytes([bits]) + table()
    client.call(1, EXCHANGE_DECLARE, arguments, EXCHANGE_DECLARE_OK)


def binding_arguments(
    queue: str, exchange: str, key: str, bits: bytes = b"\0", arguments: Table | None = None
) -> bytes:
    """What queue.bind carries; queue.unbind has no bits."""
    return b"\0\0" + shortstr(queue) + shortstr(exchange) + shortstr(key) + bits + table(arguments)


def declare_all(port: int) -> None:
    """Declare what the load needs."""
    with RawClient(port).log_in(channels=(1,)) as client:
        for queue in QUEUES:
            client.declare(queue, DURABLE)
        for queue, arguments in CHAIN.items():
            client.send(declare_queue(1, queue, DURABLE, {"x-dead-letter-exchange": "", **arguments}))
            client.expect(QUEUE_DECLARE_OK)
        for exchange, kind in EXCHANGES.items():
            declare_exchange(client, exchange, kind)
        for queue, exchange, key in BINDINGS:
            client.call(1, QUEUE_BIND, binding_arguments(queue, exchange, key), QUEUE_BIND_OK)
        client.log_out()


def delete_all(port: int) -> None:
    """Remove what `declare_all` made, from a broker that is not the test's own."""
    with RawClient(port).log_in(channels=(1,)) as client:
        for queue in (*QUEUES, *CHAIN):
            client.call(1, QUEUE_DELETE, b"\0\0" + shortstr(queue) + b"\0", QUEUE_DELETE_OK)
        for exchange in EXCHANGES:
            client.call(1, EXCHANGE_DELETE, b"\0\0" + shortstr(exchange) + b"\0", EXCHANGE_DELETE_OK)
        client.log_out()


def await_chain(port: int) -> bool:
    """Wait until everything has come through the chain, or a queue of it is missing; False if that takes too long."""
    end = time.monotonic() + CHAIN_LIMIT
    while time.monotonic() < end:
        if not any(ready_counts(port, CHAIN).values()):
            return True
        time.sleep(0.01)
    return False


def counts(port: int) -> dict[str, int]:
    """The ready messages of each queue at which messages arrive, as long as no queue is missing."""
    return ready_counts(port, QUEUES)


def ready_counts(port: int, queues: Iterable[str]) -> dict[str, int]:
    """The ready messages of each of these queues, as long as no queue is missing."""
    found: dict[str, int] = {}
    with RawClient(port).log_in(channels=(1,)) as client:
        for queue in queues:
            client.send(declare_queue(1, queue, PASSIVE))
            got = client.next_frame()
            if got.method != QUEUE_DECLARE_OK:
                break
            reader = got.arguments
            reader.shortstr()
            found[queue] = reader.unpack("L")[0]
    return found
