"""basic.publish with mandatory, and what becomes of a message that reaches no queue."""

from __future__ import annotations

from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic, Confirm

from tests.behaviour.conftest import Broker, Names
from tests.behaviour.expectations import await_errors, channel_closed, get_bodies, wait_until
from tests.behaviour.raw_connection import RawConnection

Returned = tuple[Basic.Return, BasicProperties, bytes]


def collect_returns(channel: BlockingChannel) -> list[Returned]:
    returned: list[Returned] = []
    channel.add_on_return_callback(lambda _, method, properties, body: returned.append((method, properties, body)))
    return returned


def test_an_unroutable_message_is_returned_whole(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct")
    returned = collect_returns(channel)
    sent = BasicProperties(content_type="text/plain", headers={"a": 1}, correlation_id="id", delivery_mode=2)
    channel.basic_publish(exchange, "no.such.key", b"come back", sent, mandatory=True)
    wait_until(lambda: bool(returned), channel.connection)
    method, properties, body = returned[0]
    assert (method.reply_code, method.reply_text) == (312, "NO_ROUTE")
    assert (method.exchange, method.routing_key) == (exchange, "no.such.key")
    assert (properties, body) == (sent, b"come back")


def test_an_unroutable_empty_message_is_returned(channel: BlockingChannel, names: Names) -> None:
    returned = collect_returns(channel)
    missing = names.queue()
    channel.basic_publish("", missing, b"", mandatory=True)
    wait_until(lambda: bool(returned), channel.connection)
    method, properties, body = returned[0]
    assert (method.exchange, method.routing_key, body) == ("", missing, b"")
    assert properties == BasicProperties()


def test_a_large_unroutable_message_is_returned_in_frames(channel: BlockingChannel, names: Names) -> None:
    returned = collect_returns(channel)
    body = bytes(range(256)) * 2000
    channel.basic_publish("", names.queue(), body, mandatory=True)
    wait_until(lambda: bool(returned), channel.connection)
    assert returned[0][2] == body


def test_a_routed_message_is_not_returned(channel: BlockingChannel, queue: str) -> None:
    returned = collect_returns(channel)
    channel.basic_publish("", queue, b"arrived", mandatory=True)
    await_errors(channel)
    channel.connection.process_data_events(0)
    assert (returned, get_bodies(channel, queue)) == ([], [b"arrived"])


def test_without_mandatory_an_unroutable_message_is_dropped(channel: BlockingChannel, names: Names) -> None:
    returned = collect_returns(channel)
    channel.basic_publish("", names.queue(), b"lost")
    await_errors(channel)
    channel.connection.process_data_events(0)
    assert returned == []


def test_returns_come_in_the_order_of_publishing(channel: BlockingChannel, names: Names) -> None:
    returned = collect_returns(channel)
    missing = names.queue()
    for number in range(50):
        channel.basic_publish("", missing, str(number), mandatory=True)
    wait_until(lambda: len(returned) == 50, channel.connection)
    assert [body for _, _, body in returned] == [str(number).encode() for number in range(50)]


def test_the_return_comes_before_the_confirm(broker: Broker, names: Names) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Confirm.Select())
        raw.publish("", names.queue(), b"back", mandatory=True)
        assert [type(method).NAME for method in raw.methods(2)] == ["Basic.Return", "Basic.Ack"]


def test_immediate_is_not_implemented(broker: Broker, queue: str) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.publish("", queue, b"", immediate=True)
        closed = raw.method()
        assert (closed.reply_code, closed.reply_text) == (540, "NOT_IMPLEMENTED - immediate=true")
        assert (closed.class_id, closed.method_id) == (60, 40)


def test_a_missing_exchange_closes_even_with_mandatory(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    with channel_closed(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"):
        channel.basic_publish(exchange, "key", b"", mandatory=True)
        await_errors(channel)
