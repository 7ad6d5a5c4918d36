"""A durable queue knows after a kill what it has, so a publisher that is not sure may publish again."""

from __future__ import annotations

import signal

import pika
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from tests.behaviour.expectations import get_bodies, get_one
from tests.support.broker_process import BrokerProcess

ARGUMENTS = {"x-message-deduplication": True, "x-max-priority": 2}


def publish(channel: BlockingChannel, *identifiers: str) -> None:
    for identifier in identifiers:
        properties = BasicProperties(
            headers={"x-deduplication-header": identifier}, delivery_mode=2, priority=len(identifier) - 1
        )
        channel.basic_publish("", "work", identifier, properties)


def test_a_queue_knows_what_it_has_after_a_kill(fresh_broker: BrokerProcess) -> None:
    with pika.BlockingConnection(pika.URLParameters(fresh_broker.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("work", durable=True, arguments=ARGUMENTS)
        publish(channel, "a", "b", "dd")
        assert get_one(channel, "work").body == b"dd"
        assert get_one(channel, "work", auto_ack=False).body == b"a"
        publish(channel, "c")  # confirmed when all before it is on the disk
    fresh_broker.stop(signal.SIGKILL)
    fresh_broker.start()
    with pika.BlockingConnection(pika.URLParameters(fresh_broker.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        publish(channel, "a", "b", "c", "e")
        assert get_bodies(channel, "work") == [b"a", b"b", b"c", b"e"]
        publish(channel, "a", "dd", "dd")
        assert get_bodies(channel, "work") == [b"dd", b"a"]
