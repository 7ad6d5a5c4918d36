"""Methods with nowait are done without an answer, and their errors close the channel all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.amqp_object import Method
from pika.spec import Basic, Channel, Exchange, Queue

from tests.behaviour.conftest import Broker, Names
from tests.behaviour.expectations import channel_closed, get_one, publish, ready_count
from tests.behaviour.raw_connection import RawConnection


@pytest.fixture
def raw(broker: Broker) -> Iterator[RawConnection]:
    with RawConnection(broker.port) as connection:
        connection.open_channel()
        yield connection


def done(raw: RawConnection, method: Method) -> None:
    """Send a method and check that nothing answers it."""
    raw.send(method)
    assert isinstance(raw.call(Basic.Qos()), Basic.QosOk)


def test_declare_and_bind(raw: RawConnection, channel: BlockingChannel, names: Names) -> None:
    queue, source, destination = names.queue(), names.exchange(), names.exchange()
    for method in (
        Queue.Declare(queue=queue, nowait=True),
        Queue.Declare(queue=queue, nowait=True),
        Exchange.Declare(exchange=source, type="fanout", nowait=True),
        Exchange.Declare(exchange=source, passive=True, nowait=True),
        Exchange.Declare(exchange=destination, type="fanout", nowait=True),
        Exchange.Bind(source=source, destination=destination, nowait=True),
        Queue.Bind(queue=queue, exchange=destination, nowait=True),
    ):
        done(raw, method)
    channel.basic_publish(source, "", b"through")
    publish(channel, queue, "direct")
    assert [get_one(channel, queue).body for _ in range(2)] == [b"through", b"direct"]


def test_unbind_and_delete(raw: RawConnection, channel: BlockingChannel, names: Names) -> None:
    queue, exchange = names.queue(), names.exchange()
    channel.queue_declare(queue)
    channel.exchange_declare(exchange, "fanout")
    publish(channel, queue, "purged")
    done(raw, Queue.Purge(queue=queue, nowait=True))
    assert ready_count(channel, queue) == 0
    done(raw, Exchange.Unbind(source="amq.fanout", destination=exchange, nowait=True))
    done(raw, Exchange.Delete(exchange=exchange, nowait=True))
    done(raw, Queue.Delete(queue=queue, nowait=True))
    with channel_closed(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        channel.queue_declare(queue, passive=True)


def test_cancel(raw: RawConnection, channel: BlockingChannel, queue: str) -> None:
    done(raw, Basic.Cancel(consumer_tag="unknown", nowait=True))
    raw.call(Basic.Consume(queue=queue, consumer_tag="mine"))
    done(raw, Basic.Cancel(consumer_tag="mine", nowait=True))
    publish(channel, queue, "left")
    assert ready_count(channel, queue) == 1


def test_an_error_closes_the_channel(raw: RawConnection, names: Names) -> None:
    queue = names.queue()
    closed = raw.call(Queue.Bind(queue=queue, exchange="amq.direct", nowait=True))
    assert isinstance(closed, Channel.Close)
    assert (closed.reply_code, closed.reply_text) == (404, f"NOT_FOUND - no queue '{queue}' in vhost '/'")
    assert (closed.class_id, closed.method_id) == (50, 20)
