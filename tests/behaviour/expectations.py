"""What the black-box tests share: naming an expected refusal exactly, and waiting for a condition instead of for time.

Every expectation of this folder was checked against a RabbitMQ server; set LEVERET_TEST_PORT to its port to repeat it.
Where RabbitMQ's versions differ, Leveret follows the newest one that does not break old clients; such a test is marked
`leveret_only` with the reason, and is skipped against another broker.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker
from pika.spec import Basic, BasicProperties

DEADLINE = 10.0


def leveret_only(reason: str) -> pytest.MarkDecorator:
    """Mark a test of a rule that the RabbitMQ of LEVERET_TEST_PORT may not follow; `reason` says why."""
    return pytest.mark.skipif("LEVERET_TEST_PORT" in os.environ, reason=f"only Leveret: {reason}")


@contextmanager
def channel_closed(code: int, text: str) -> Iterator[None]:
    """The block must end with the broker closing the channel with exactly this reply code and reply text."""
    with pytest.raises(ChannelClosedByBroker) as caught:
        yield
    assert (caught.value.reply_code, caught.value.reply_text) == (code, text)


@contextmanager
def connection_closed(code: int, text: str) -> Iterator[None]:
    """The block must end with the broker closing the connection with exactly this reply code and reply text."""
    with pytest.raises(ConnectionClosedByBroker) as caught:
        yield
    assert (caught.value.reply_code, caught.value.reply_text) == (code, text)


def await_errors(channel: BlockingChannel) -> None:
    """Wait until the broker has handled everything sent on the channel; raises if it closed the channel meanwhile."""
    channel.exchange_declare("amq.direct", passive=True)


def wait_until(condition: Callable[[], bool], connection: BlockingConnection | None = None) -> None:
    """Wait until the condition holds, handling what arrives on the connection if one is given; fails after 10 s."""
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("the condition did not come true in time")
        if connection is not None:
            connection.process_data_events(0.01)
        else:
            time.sleep(0.005)


def get_bodies(channel: BlockingChannel, queue: str) -> list[bytes]:
    """Take every ready message out of the queue, in order."""
    bodies: list[bytes] = []
    while (message := get(channel, queue)) is not None:
        bodies.append(message.body)
    return bodies


class Message:
    """One message as a consumer or basic.get sees it."""

    def __init__(self, method: Basic.Deliver | Basic.GetOk, properties: BasicProperties, body: bytes) -> None:
        self.method = method
        self.properties = properties
        self.body = body
        self.tag: int = method.delivery_tag
        self.redelivered: bool = method.redelivered
        self.routing_key: str = method.routing_key
        self.exchange: str = method.exchange

    def __repr__(self) -> str:
        return f"Message({self.body[:40]!r}, tag={self.tag}, redelivered={self.redelivered})"


def get(channel: BlockingChannel, queue: str, auto_ack: bool = True) -> Message | None:
    """basic.get: the message at the head of the queue, or None if there is none."""
    method, properties, body = channel.basic_get(queue, auto_ack=auto_ack)
    return None if method is None else Message(method, properties, body)


def get_one(channel: BlockingChannel, queue: str, auto_ack: bool = True) -> Message:
    """basic.get of a message that must be there."""
    message = get(channel, queue, auto_ack)
    assert message is not None
    return message


def ready_count(channel: BlockingChannel, queue: str) -> int:
    """The number of ready messages, from a passive declare."""
    count = channel.queue_declare(queue, passive=True).method.message_count
    assert isinstance(count, int)
    return count


def consumer_count(channel: BlockingChannel, queue: str) -> int:
    """The number of consumers, from a passive declare."""
    count = channel.queue_declare(queue, passive=True).method.consumer_count
    assert isinstance(count, int)
    return count


def publish(channel: BlockingChannel, queue: str, *bodies: str | bytes) -> None:
    """Publish to a queue through the default exchange and wait until the broker has handled it."""
    for body in bodies:
        channel.basic_publish("", queue, body)
    await_errors(channel)


def give_all_back(channel: BlockingChannel, how: str) -> None:
    """All that is unacked on the channel goes back: by recover, by nack, or by the channel's close."""
    if how == "recover":
        channel.basic_recover(requeue=True)
    elif how == "nack":
        channel.basic_nack(0, multiple=True, requeue=True)
        await_errors(channel)
    else:
        channel.close()


class Consumer:
    """A consumer that keeps what it is given, acknowledging nothing by itself."""

    def __init__(
        self,
        channel: BlockingChannel,
        queue: str,
        auto_ack: bool = False,
        exclusive: bool = False,
        tag: str | None = None,
        arguments: dict[str, object] | None = None,
    ) -> None:
        self.channel = channel
        self.queue = queue
        self.messages: list[Message] = []
        self.cancelled = False
        channel.add_on_cancel_callback(self._on_cancel)
        self.tag = channel.basic_consume(
            queue, self._on_message, auto_ack=auto_ack, exclusive=exclusive, consumer_tag=tag, arguments=arguments
        )

    def _on_message(
        self, channel: BlockingChannel, method: Basic.Deliver, properties: BasicProperties, body: bytes
    ) -> None:
        self.messages.append(Message(method, properties, body))

    def _on_cancel(self, frame: object) -> None:
        self.cancelled = self.cancelled or getattr(frame, "method").consumer_tag == self.tag  # noqa: B009

    @property
    def bodies(self) -> list[bytes]:
        return [message.body for message in self.messages]

    def wait_for(self, count: int) -> list[Message]:
        """Wait until `count` messages have come in all, and return them."""
        wait_until(lambda: len(self.messages) >= count, self.channel.connection)
        assert len(self.messages) == count, self.messages
        return self.messages

    def settle(self) -> list[bytes]:
        """The bodies received, once everything that the queue had to deliver by now has come.

        The answer to the first declare leaves the queue after its deliveries, that to the second one leaves the channel
        after them.
        """
        self.channel.queue_declare(self.queue, passive=True)
        self.channel.queue_declare(self.queue, passive=True)
        self.channel.connection.process_data_events(0)
        return self.bodies
