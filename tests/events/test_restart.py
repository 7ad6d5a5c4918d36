"""What a restart leaves of events and tracing: bindings and events are kept, and tracing is off."""

from __future__ import annotations

import pika

from tests.http.client import Api
from tests.support.broker_process import BrokerProcess


def keys_in(url: str, count: int) -> list[str]:
    """The routing keys of so many messages of the queue `kept`, which are on their way or there."""
    found: list[str] = []
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        for method, _, _ in channel.consume("kept", auto_ack=True, inactivity_timeout=10):
            assert method is not None, found
            found.append(method.routing_key)
            if len(found) == count:
                return found
    raise AssertionError(found)


def test_a_restart(fresh_broker: BrokerProcess) -> None:
    with pika.BlockingConnection(pika.URLParameters(fresh_broker.url)) as connection:
        channel = connection.channel()
        channel.queue_declare("kept", durable=True)
        channel.queue_bind("kept", "amq.rabbitmq.event", "queue.*")
        channel.queue_bind("kept", "amq.rabbitmq.trace", "#")
        channel.queue_declare("first")
        channel.queue_delete("first")
    api = Api(fresh_broker.http_port)
    assert api.put("/api/vhosts/%2F", {"tracing": True}).status == 204
    api.close()
    fresh_broker.stop()
    fresh_broker.start()
    api = Api(fresh_broker.http_port)
    assert api.get("/api/vhosts/%2F")["tracing"] is False
    api.close()
    with pika.BlockingConnection(pika.URLParameters(fresh_broker.url)) as connection:
        channel = connection.channel()
        channel.basic_publish("", "nowhere", b"not traced")
        channel.queue_declare("second")
    assert keys_in(fresh_broker.url, 3) == ["queue.created", "queue.deleted", "queue.created"]
