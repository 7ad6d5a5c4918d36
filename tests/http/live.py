"""Something to look at: a client with channels, consumers and messages, the same on every broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pika

QUEUE = "live-queue"
EXCLUSIVE = "live-exclusive"
EXCHANGE = "live-exchange"
TAG = "live-tag"


@contextmanager
def live_client(port: int, name: str = "live") -> Iterator[pika.BlockingConnection]:
    """A client that has consumed three messages of `QUEUE` without acknowledging them."""
    parameters = pika.ConnectionParameters("127.0.0.1", port, client_properties={"connection_name": name})
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare(EXCHANGE, "topic", durable=True, arguments={"alternate-exchange": "amq.fanout"})
    channel.queue_declare(QUEUE, durable=True)
    channel.queue_declare(EXCLUSIVE, exclusive=True, arguments={"x-single-active-consumer": True})
    channel.queue_bind(QUEUE, EXCHANGE, "a.b", {"x-number": 1, "x-text": "one"})
    channel.exchange_bind("amq.topic", EXCHANGE, "#")
    channel.basic_qos(prefetch_count=7)
    channel.basic_consume(QUEUE, lambda *_: None, consumer_tag=TAG, arguments={"x-priority": 3})
    channel.basic_consume(EXCLUSIVE, lambda *_: None, auto_ack=True)
    for _ in range(3):
        channel.basic_publish(EXCHANGE, "a.b", b"hello")
    connection.process_data_events(0.05)
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()
        with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)) as last:
            cleaner = last.channel()
            cleaner.queue_delete(QUEUE)
            cleaner.exchange_delete(EXCHANGE)
