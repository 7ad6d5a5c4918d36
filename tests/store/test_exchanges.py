"""Exchanges after a restart: those that choose by a hash choose as before, and a history has been handed on safely."""

from __future__ import annotations

import signal

import pika
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.broker_process import BrokerProcess

KEYS = [f"key {number}" for number in range(40)]
HASHES = ("x-consistent-hash", "x-modulus-hash")
PERSISTENT = BasicProperties(delivery_mode=2)


def bodies(channel: BlockingChannel, queue: str) -> list[bytes]:
    """Take everything out of a queue."""
    found = []
    while (body := channel.basic_get(queue, auto_ack=True)[2]) is not None:
        found.append(body)
    return found


def routed(channel: BlockingChannel) -> list[list[bytes]]:
    """What the queues get of one message for each key, by each of the exchanges."""
    for exchange in HASHES:
        for key in KEYS:
            channel.basic_publish(exchange, key, f"{exchange} {key}")
    return [bodies(channel, f"q{number}") for number in range(3)]


def test_a_hash_chooses_as_before(fresh_broker: BrokerProcess) -> None:
    with pika.BlockingConnection(pika.URLParameters(fresh_broker.url)) as connection:
        channel = connection.channel()
        for exchange in HASHES:
            channel.exchange_declare(exchange, exchange, durable=True)
        for number in (2, 0, 1):
            channel.queue_declare(f"q{number}", durable=True)
            for exchange in HASHES:
                channel.queue_bind(f"q{number}", exchange, str(number + 1))
        before = routed(channel)
    assert all(before)
    fresh_broker.stop()
    fresh_broker.start()
    with pika.BlockingConnection(pika.URLParameters(fresh_broker.url)) as connection:
        assert routed(connection.channel()) == before


def test_a_history_that_was_handed_on_survives(fresh_broker: BrokerProcess) -> None:
    """In the durable queue, that is; the exchange itself has forgotten it, as RabbitMQ's has."""
    with pika.BlockingConnection(pika.URLParameters(fresh_broker.url)) as connection:
        channel = connection.channel()
        channel.exchange_declare("x", "x-recent-history", durable=True)
        channel.queue_declare("first", durable=True)
        channel.queue_declare("second", durable=True)
        channel.queue_bind("first", "x")
        channel.basic_publish("x", "", b"persistent", PERSISTENT)
        channel.basic_publish("x", "", b"transient")
        assert bodies(channel, "first") == [b"persistent", b"transient"]
        channel.queue_bind("second", "x")
        channel.confirm_delivery()
        channel.basic_publish("", "first", b"later", PERSISTENT)  # confirmed when all before it is on the disk
    fresh_broker.stop(signal.SIGKILL)
    fresh_broker.start()
    with pika.BlockingConnection(pika.URLParameters(fresh_broker.url)) as connection:
        channel = connection.channel()
        assert bodies(channel, "first") == [b"later"]
        assert bodies(channel, "second") == [b"persistent"]
        channel.queue_declare("third")
        channel.queue_bind("third", "x")
        assert bodies(channel, "third") == []
