"""kombu, which carries Celery: producers and consumers, the prefetch, publishing again, the remote control."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import kombu
import kombu.pidbox
import pytest

from tests.clients.conftest import Broker, NewName

pytestmark = pytest.mark.any_broker

DEADLINE = 30


@pytest.fixture
def connection(broker: Broker) -> Iterator[kombu.Connection]:
    with kombu.Connection(broker.url, connect_timeout=DEADLINE) as connection:
        yield connection


def count(connection: kombu.Connection, queue: str) -> int:
    """The messages that are ready in the queue."""
    with connection.channel() as channel:
        found: int = channel.queue_declare(queue, passive=True).message_count
    return found


def drain(connection: kombu.Connection, received: list[Any], wanted: int) -> None:
    """Wait until as many messages have been received."""
    while len(received) < wanted:
        connection.drain_events(timeout=DEADLINE)


def test_the_broker_is_taken_for_rabbitmq(connection: kombu.Connection) -> None:
    connection.connect()
    properties = connection.connection.server_properties
    assert properties["product"] == "RabbitMQ"
    assert [int(part) for part in properties["version"].split(".")[:2]] >= [3, 3]


def test_published_messages_are_consumed(connection: kombu.Connection, new_name: NewName) -> None:
    exchange = kombu.Exchange(new_name(), type="topic", durable=True)
    queue = kombu.Queue(new_name(), exchange, routing_key="tasks.*")
    received: list[tuple[Any, kombu.Message]] = []
    producer = connection.Producer()
    with connection.Consumer(queue, callbacks=[lambda body, message: received.append((body, message))]):
        producer.publish({"n": 1}, exchange=exchange, routing_key="tasks.add", headers={"id": "a"}, priority=3)
        producer.publish("text", exchange=exchange, routing_key="tasks.add", compression="gzip", serializer="json")
        producer.publish("elsewhere", exchange=exchange, routing_key="other")
        drain(connection, received, 2)
        for _, message in received:
            message.ack()
    (first, message), (second, _) = received
    assert (first, second) == ({"n": 1}, "text")
    assert (message.content_type, message.headers["id"]) == ("application/json", "a")
    assert (message.properties["priority"], message.properties["delivery_mode"]) == (3, 2)
    assert message.delivery_info["routing_key"] == "tasks.add"
    assert not message.delivery_info["redelivered"]
    assert count(connection, queue.name) == 0


def test_requeued_and_rejected_messages(connection: kombu.Connection, new_name: NewName) -> None:
    with contextlib.closing(connection.SimpleQueue(new_name())) as queue:
        queue.put("again")
        message = queue.get(timeout=DEADLINE)
        assert not message.delivery_info["redelivered"]
        message.requeue()
        message = queue.get(timeout=DEADLINE)
        assert (message.payload, message.delivery_info["redelivered"]) == ("again", True)
        message.reject()
        assert queue.qsize() == 0
        with pytest.raises(queue.Empty):
            queue.get(block=False)


@pytest.mark.parametrize("way", ["global", "Celery's"])
def test_the_prefetch_is_changed_while_consuming(connection: kombu.Connection, new_name: NewName, way: str) -> None:
    """As Celery does for tasks with a time to come, and when its pool grows.

    Celery sets it for the whole channel, or not, by what kombu makes of the broker's name and version.
    """
    for_channel = way == "global" or not connection.qos_semantics_matches_spec
    received: list[kombu.Message] = []
    queue = kombu.Queue(new_name())
    consumer = connection.Consumer(queue, on_message=received.append)
    consumer.qos(prefetch_count=1, apply_global=for_channel)
    producer = connection.Producer()
    for number in range(5):
        producer.publish(number, routing_key=queue.name, declare=[queue(producer.channel)])
    with consumer:
        drain(connection, received, 1)
        assert count(connection, queue.name) == 4
        consumer.qos(prefetch_count=3, apply_global=for_channel)
        drain(connection, received, 3)
        assert count(connection, queue.name) == 2
        received[0].ack()
        drain(connection, received, 4)
        assert count(connection, queue.name) == 1
        assert len(received) == 4
    assert [message.payload for message in received] == [0, 1, 2, 3]


def test_publishing_is_retried_over_a_new_connection(broker: Broker, new_name: NewName) -> None:
    failures: list[Exception] = []
    options = {"confirm_publish": True}
    with kombu.Connection(broker.url, transport_options=options) as connection:
        queue = kombu.Queue(new_name())
        producer = connection.Producer()
        publish = connection.ensure(
            producer, producer.publish, errback=lambda error, interval: failures.append(error), max_retries=3
        )
        publish("before", routing_key=queue.name, declare=[queue])
        connection.connection.transport.sock.shutdown(socket.SHUT_RDWR)
        publish("after", routing_key=queue.name, declare=[queue])
        assert failures
        found = [connection.default_channel.basic_get(queue.name, no_ack=True).body for _ in range(2)]
    assert found == ["before", "after"]


def test_fanout_to_queues_that_end_with_their_consumer(broker: Broker, new_name: NewName) -> None:
    """Celery's event and control queues: not durable, not exclusive, auto-delete, with x-expires."""
    exchange = kombu.Exchange(new_name(), type="fanout", durable=False, auto_delete=True)
    queues = [
        kombu.Queue(new_name(), exchange, durable=False, exclusive=False, auto_delete=True, expires=60)
        for _ in range(2)
    ]
    received: list[tuple[str, Any]] = []

    def on_message(body: Any, message: kombu.Message) -> None:
        received.append((message.delivery_info["consumer_tag"], body))

    with kombu.Connection(broker.url) as consuming, kombu.Connection(broker.url) as publishing:
        with contextlib.ExitStack() as consumers:
            for queue in queues:
                consumers.enter_context(consuming.Consumer(queue, callbacks=[on_message], no_ack=True))
            publishing.Producer().publish("everyone", exchange=exchange)
            drain(consuming, received, 2)
        assert {body for _, body in received} == {"everyone"}
        assert len({tag for tag, _ in received}) == 2
        for queue in queues:
            with pytest.raises(publishing.channel_errors) as gone:
                count(publishing, queue.name)
            assert gone.value.code == 404


def test_remote_control(broker: Broker, new_name: NewName) -> None:
    """kombu.pidbox, with which `celery inspect` asks the workers: a fanout exchange, and reply queues."""
    mailbox: Any = kombu.pidbox.Mailbox(new_name(), type="fanout")
    done = threading.Event()
    ready = threading.Event()

    def answer() -> None:
        with kombu.Connection(broker.url) as connection:
            node = mailbox.Node("worker@here", state=None, channel=connection.default_channel)
            node.handlers["shout"] = lambda state, text="": text.upper()
            with node.listen():
                ready.set()
                while not done.is_set():
                    with contextlib.suppress(socket.timeout):
                        connection.drain_events(timeout=0.1)

    worker = threading.Thread(target=answer)
    worker.start()
    try:
        assert ready.wait(DEADLINE)
        with kombu.Connection(broker.url) as connection:
            answers = mailbox(connection).multi_call("shout", {"text": "hello"}, timeout=DEADLINE, limit=1)
        assert answers == [{"worker@here": "HELLO"}]
    finally:
        done.set()
        worker.join(DEADLINE)
        with kombu.Connection(broker.url) as connection:
            for exchange in (mailbox.exchange, mailbox.reply_exchange):
                connection.default_channel.exchange_delete(exchange.name)
