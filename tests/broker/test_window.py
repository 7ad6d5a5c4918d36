"""The window of a queue that has a backlog: whoever takes messages, its consumers go on."""

from __future__ import annotations

import os

from leveret.broker.broker import Broker
from leveret.broker.durability import Store
from tests.alarms.in_process import FedClient
from tests.support.raw_client import (
    BASIC_ACK,
    BASIC_DELIVER,
    BASIC_QOS,
    consume,
    declare_queue,
    get,
    method,
    publish,
)


def test_a_consumer_that_has_room_again_gets_what_is_in_the_backlog_alone() -> None:
    store = Store()
    store.residency.queue_limit = 100
    broker = Broker("test", "leveret@test", lambda: 1_700_000_000.0, os.urandom, store)
    consumer, getter = FedClient(broker), FedClient(broker)
    consumer.feed(declare_queue(1, "queue") + method(1, BASIC_QOS, b"\0\0\0\0\0\1\0"))
    consumer.feed(b"".join(publish(1, "queue", bytes(50)) for _ in range(8)))
    assert [frame.method for frame in consumer.feed(consume(1, "queue", "tag"))].count(BASIC_DELIVER) == 1
    queue = broker.vhosts["/"].queues["queue"]
    while queue.backing.ready:
        getter.feed(get(1, "queue"))
    assert queue.ready_count() > 0
    frames = consumer.feed(method(1, BASIC_ACK, bytes(7) + b"\1\0"))
    assert [frame.method for frame in frames].count(BASIC_DELIVER) == 1
