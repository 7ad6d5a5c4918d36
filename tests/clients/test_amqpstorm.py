"""AMQPStorm: publishing with and without confirms, consuming, basic.get, rejecting and requeueing, transactions."""

from __future__ import annotations

from collections.abc import Iterator

import amqpstorm
import pytest

from tests.clients.conftest import Broker, NewName

pytestmark = pytest.mark.any_broker


@pytest.fixture
def connection(broker: Broker) -> Iterator[amqpstorm.Connection]:
    with amqpstorm.UriConnection(f"{broker.url}%2F?heartbeat=10") as connection:
        yield connection


@pytest.fixture
def channel(connection: amqpstorm.Connection) -> Iterator[amqpstorm.Channel]:
    with connection.channel() as channel:
        yield channel


@pytest.fixture
def queue(channel: amqpstorm.Channel, new_name: NewName) -> str:
    name = new_name()
    channel.queue.declare(name)
    return name


def get(channel: amqpstorm.Channel, queue: str, no_ack: bool = False) -> amqpstorm.Message:
    message = channel.basic.get(queue, no_ack=no_ack)
    assert isinstance(message, amqpstorm.Message), "the queue is empty"
    return message


def test_published_messages_are_consumed(channel: amqpstorm.Channel, queue: str) -> None:
    channel.basic.qos(10)
    for number in range(50):
        properties = {"headers": {"number": number}, "content_type": "text/plain"}
        amqpstorm.Message.create(channel, f"message {number}", properties).publish(queue)
    received: list[amqpstorm.Message] = []

    def on_message(message: amqpstorm.Message) -> None:
        received.append(message)
        message.ack()
        if len(received) == 50:
            channel.stop_consuming()

    channel.basic.consume(on_message, queue)
    channel.start_consuming()
    assert [message.body for message in received] == [f"message {number}" for number in range(50)]
    assert [message.properties["headers"]["number"] for message in received] == list(range(50))
    assert channel.queue.declare(queue, passive=True)["message_count"] == 0


def test_publishing_is_confirmed(channel: amqpstorm.Channel, queue: str) -> None:
    channel.confirm_deliveries()
    for number in range(20):
        assert channel.basic.publish(f"message {number}", queue) is True
    assert channel.queue.declare(queue, passive=True)["message_count"] == 20


def test_a_message_for_no_queue_is_returned(channel: amqpstorm.Channel, queue: str) -> None:
    channel.confirm_deliveries()
    with pytest.raises(amqpstorm.AMQPMessageError, match="NO_ROUTE"):
        channel.basic.publish("nobody", f"{queue}-not", mandatory=True)
    assert channel.basic.publish("somebody", queue, mandatory=True) is True


def test_messages_are_fetched_one_by_one(channel: amqpstorm.Channel, queue: str) -> None:
    assert channel.basic.get(queue) is None
    channel.basic.publish("first", queue)
    channel.basic.publish("second", queue)
    first = get(channel, queue)
    assert first.body == "first"
    first.ack()
    assert get(channel, queue, no_ack=True).body == "second"
    assert channel.basic.get(queue) is None


def test_rejected_messages_come_again_when_they_are_to(channel: amqpstorm.Channel, queue: str) -> None:
    channel.basic.publish("again", queue)
    channel.basic.publish("next", queue)
    message = get(channel, queue)
    assert not message.redelivered
    message.reject(requeue=True)
    message = get(channel, queue)
    assert (message.body, message.redelivered) == ("again", True)
    message.nack(requeue=True)
    message = get(channel, queue)
    assert (message.body, message.redelivered) == ("again", True)
    message.reject(requeue=False)
    assert get(channel, queue, no_ack=True).body == "next"
    assert channel.basic.get(queue) is None


def test_a_transaction_is_committed_or_rolled_back(channel: amqpstorm.Channel, queue: str) -> None:
    channel.tx.select()
    channel.basic.publish("rolled back", queue)
    channel.tx.rollback()
    channel.basic.publish("committed", queue)
    assert channel.queue.declare(queue, passive=True)["message_count"] == 0
    channel.tx.commit()
    assert get(channel, queue, no_ack=True).body == "committed"
    assert channel.basic.get(queue, no_ack=True) is None


def test_a_closed_channel_says_why(connection: amqpstorm.Connection, new_name: NewName) -> None:
    name = new_name()
    channel = connection.channel()
    with pytest.raises(amqpstorm.AMQPChannelError, match=f"NOT_FOUND - no queue '{name}' in vhost '/'") as closed:
        channel.queue.declare(name, passive=True)
    assert closed.value.error_code == 404
    with connection.channel() as other:
        assert other.queue.declare(name)["message_count"] == 0
