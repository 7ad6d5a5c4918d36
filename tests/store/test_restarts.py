"""What a killed broker had promised of its queues' features, seen through clients: deadlines, priorities, dead letters.

The broker is a program of its own, killed by SIGKILL. The time it was down is waited for: a deadline is to pass in it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from tests.support.broker_process import BrokerProcess

TTL = 1000  # milliseconds, of messages and of a queue that is not used
PATIENCE = 10.0  # seconds
LETTERS = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "letters"}


@contextmanager
def channel_to(broker: BrokerProcess) -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel
    finally:
        if connection.is_open:
            connection.close()


def publish(channel: BlockingChannel, queue: str, body: str, **properties: object) -> None:
    """Publish a persistent message, and wait until it is confirmed."""
    basic = pika.BasicProperties(delivery_mode=2, **properties)  # type: ignore[arg-type]
    channel.basic_publish("", queue, body.encode(), basic, mandatory=True)


def take_all(channel: BlockingChannel, queue: str) -> list[tuple[str, list[str]]]:
    """Everything in a queue, each with the reasons of its deaths."""
    found: list[tuple[str, list[str]]] = []
    while True:
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method is None or properties is None or body is None:
            return found
        deaths = (properties.headers or {}).get("x-death", [])
        found.append((body.decode(), [f"{death['queue']} {death['reason']}" for death in deaths]))


def bodies(channel: BlockingChannel, queue: str) -> list[str]:
    return [body for body, _ in take_all(channel, queue)]


def await_end_of(broker: BrokerProcess, queue: str) -> None:
    """Wait until a queue is gone. Publishing to it is no use that would keep it."""
    end = time.monotonic() + PATIENCE
    with channel_to(broker) as channel:
        while time.monotonic() < end:
            try:
                publish(channel, queue, "probe")
            except pika.exceptions.UnroutableError:
                return
            time.sleep(0.02)
    pytest.fail(f"queue {queue} is still there")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path) as process:
        yield process


def restart(broker: BrokerProcess, down: float = 0.0) -> None:
    """Kill the broker, and start it again when so many seconds have passed."""
    broker.stop(signal.SIGKILL)
    time.sleep(down)
    broker.start()


def test_deadlines_survive(broker: BrokerProcess) -> None:
    """A message's time goes on while the broker is down; a queue that nobody uses has all of its time again."""
    with channel_to(broker) as channel:
        channel.queue_declare("letters", durable=True)
        channel.queue_declare("ttl", durable=True, arguments={"x-message-ttl": TTL, **LETTERS})
        channel.queue_declare("plain", durable=True, arguments=LETTERS)
        channel.queue_declare("unused", durable=True, arguments={"x-expires": TTL})
        publish(channel, "ttl", "a")
        publish(channel, "plain", "b", expiration=str(TTL))
        publish(channel, "plain", "c")
    restart(broker, down=TTL / 1000)
    started = time.monotonic()
    with channel_to(broker) as channel:
        assert take_all(channel, "ttl") == []
        assert bodies(channel, "plain") == ["c"]
        assert sorted(take_all(channel, "letters")) == [("a", ["ttl expired"]), ("b", ["plain expired"])]
        if time.monotonic() - started < 0.5 * TTL / 1000:
            publish(channel, "unused", "probe")  # it is there
    await_end_of(broker, "unused")
    assert time.monotonic() - started > 0.5 * TTL / 1000
    restart(broker)
    with channel_to(broker) as channel, pytest.raises(ChannelClosedByBroker, match="NOT_FOUND"):
        channel.queue_declare("unused", passive=True)


def test_priorities_order_and_dead_letters_survive(broker: BrokerProcess) -> None:
    with channel_to(broker) as channel:
        channel.queue_declare("letters", durable=True, arguments={"x-max-priority": 9})
        channel.queue_declare("source", durable=True, arguments={"x-max-priority": 9, **LETTERS})
        for number in range(20):
            publish(channel, "source", str(number), priority=number % 5)
        for _ in range(4):
            method, _properties, _body = channel.basic_get("source")
            assert method is not None
            channel.basic_reject(method.delivery_tag or 0, requeue=False)
        publish(channel, "letters", "behind")  # and with its confirm the moves before it are on the disk
    restart(broker)
    with channel_to(broker) as channel:
        expected = sorted(range(20), key=lambda number: (-(number % 5), number))
        assert bodies(channel, "source") == [str(number) for number in expected[4:]]
        assert take_all(channel, "letters") == [
            *[(str(number), ["source rejected"]) for number in expected[:4]],
            ("behind", []),
        ]
