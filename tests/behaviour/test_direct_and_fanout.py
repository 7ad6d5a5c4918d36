"""Routing by the default exchange, direct and fanout exchanges."""

from __future__ import annotations

import struct

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from pika.frame import Body, Header
from pika.spec import Basic, Connection

from tests.behaviour.conftest import Broker, Names
from tests.behaviour.expectations import await_errors, get_bodies, get_one, publish
from tests.behaviour.raw_connection import RawConnection


def declare(channel: BlockingChannel, names: Names, kind: str) -> str:
    exchange = names.exchange(kind)
    channel.exchange_declare(exchange, kind)
    return exchange


def test_the_default_exchange_routes_by_queue_name(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "hello")
    message = get_one(channel, queue)
    assert (message.exchange, message.routing_key, message.body) == ("", queue, b"hello")


def test_the_default_exchange_reaches_only_the_named_queue(channel: BlockingChannel, names: Names, queue: str) -> None:
    other = names.queue()
    channel.queue_declare(other)
    publish(channel, other, "hello")
    assert get_bodies(channel, queue) == []
    assert get_bodies(channel, other) == [b"hello"]


def test_direct_routes_by_the_equal_key(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names, "direct")
    channel.queue_bind(queue, exchange, "red")
    for key in ("red", "blue", "re", "redd", "Red", "", "red"):
        channel.basic_publish(exchange, key, key)
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"red", b"red"]


def test_direct_with_several_keys_to_one_queue(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names, "direct")
    for key in ("red", "blue", "red"):
        channel.queue_bind(queue, exchange, key)
    for key in ("red", "green", "blue"):
        channel.basic_publish(exchange, key, key)
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"red", b"blue"]


def test_direct_with_one_key_to_several_queues(channel: BlockingChannel, names: Names) -> None:
    exchange = declare(channel, names, "direct")
    queues = [names.queue() for _ in range(3)]
    for queue in queues:
        channel.queue_declare(queue)
        channel.queue_bind(queue, exchange, "red")
    channel.basic_publish(exchange, "red", b"copy")
    await_errors(channel)
    assert [get_bodies(channel, queue) for queue in queues] == [[b"copy"]] * 3


def test_direct_with_an_empty_key(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names, "direct")
    channel.queue_bind(queue, exchange, "")
    for key in ("", "x"):
        channel.basic_publish(exchange, key, b"[" + key.encode() + b"]")
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"[]"]


def test_direct_takes_wildcards_as_plain_characters(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names, "direct")
    channel.queue_bind(queue, exchange, "a.*")
    channel.queue_bind(queue, exchange, "#")
    for key in ("a.b", "a.*", "#"):
        channel.basic_publish(exchange, key, key)
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"a.*", b"#"]


def test_a_direct_exchange_does_not_know_queue_names(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names, "direct")
    channel.basic_publish(exchange, queue, b"lost")
    await_errors(channel)
    assert get_bodies(channel, queue) == []


def test_bindings_with_other_arguments_give_one_copy(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names, "direct")
    channel.queue_bind(queue, exchange, "red")
    channel.queue_bind(queue, exchange, "red", {"shade": "dark"})
    channel.basic_publish(exchange, "red", b"once")
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"once"]


def test_fanout_reaches_every_bound_queue_with_any_key(channel: BlockingChannel, names: Names) -> None:
    exchange = declare(channel, names, "fanout")
    queues = [names.queue() for _ in range(3)]
    for number, queue in enumerate(queues):
        channel.queue_declare(queue)
        channel.queue_bind(queue, exchange, f"key {number}")
    for key in ("", "key 1", "other"):
        channel.basic_publish(exchange, key, key)
    await_errors(channel)
    assert [get_bodies(channel, queue) for queue in queues] == [[b"", b"key 1", b"other"]] * 3


def test_fanout_gives_one_copy_for_several_bindings(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names, "fanout")
    for key in ("", "one", "two"):
        channel.queue_bind(queue, exchange, key)
    channel.basic_publish(exchange, "one", b"once")
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"once"]


def test_an_unbound_queue_gets_no_more(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names, "fanout")
    channel.queue_bind(queue, exchange)
    channel.basic_publish(exchange, "", b"bound")
    channel.queue_unbind(queue, exchange)
    channel.basic_publish(exchange, "", b"unbound")
    channel.queue_bind(queue, exchange)
    channel.basic_publish(exchange, "", b"bound again")
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"bound", b"bound again"]


def test_a_deleted_queue_takes_its_bindings_with_it(channel: BlockingChannel, names: Names) -> None:
    exchange, queue = declare(channel, names, "direct"), names.queue()
    channel.queue_declare(queue)
    channel.queue_bind(queue, exchange, "red")
    channel.queue_delete(queue)
    channel.queue_declare(queue)
    channel.basic_publish(exchange, "red", b"lost")
    await_errors(channel)
    assert get_bodies(channel, queue) == []


def test_predeclared_exchanges_route(channel: BlockingChannel, names: Names, queue: str) -> None:
    for exchange in ("amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"):
        channel.queue_bind(queue, exchange, names.unique)
        channel.basic_publish(exchange, names.unique, exchange)
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"amq.direct", b"amq.fanout", b"amq.topic", b"amq.headers", b"amq.match"]


def test_order_is_kept_in_a_queue(channel: BlockingChannel, queue: str) -> None:
    bodies = [str(number).encode() for number in range(500)]
    publish(channel, queue, *bodies)
    assert get_bodies(channel, queue) == bodies


def test_a_key_may_be_long_and_of_any_characters(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names, "direct")
    for key in ("k" * 255, "ключ.鍵.🔑", "\0 \t\x7f"):
        channel.queue_bind(queue, exchange, key)
        channel.basic_publish(exchange, key, key.encode())
        await_errors(channel)
        message = get_one(channel, queue)
        assert (message.routing_key, message.body) == (key, key.encode())


def short(octets: bytes) -> bytes:
    return bytes([len(octets)]) + octets


NO_UTF8 = short(b"\xff\x00\xfe")


@pytest.mark.parametrize(("class_id", "method_id"), [(50, 20), (50, 50), (40, 30), (40, 40)])
def test_a_binding_key_that_is_no_utf8_closes_the_connection(
    broker: Broker, queue: str, class_id: int, method_id: int
) -> None:
    destination = queue.encode() if class_id == 50 else b"amq.fanout"
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        start = struct.pack(">HHH", class_id, method_id, 0) + short(destination) + short(b"amq.direct") + NO_UTF8
        raw.send_payload(start + bytes(4 if method_id == 50 else 5))
        closed = raw.method()
        assert isinstance(closed, Connection.Close)
        assert (closed.reply_code, closed.reply_text) == (501, "FRAME_ERROR - Malformed UTF-8 in shortstr")
        assert (closed.class_id, closed.method_id) in {(0, 0), (class_id, method_id)}  # RabbitMQ does not say which


def test_the_key_of_a_message_may_be_any_octets(
    broker: Broker, channel: BlockingChannel, names: Names, queue: str
) -> None:
    exchange = declare(channel, names, "fanout")
    channel.queue_bind(queue, exchange)
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.send_payload(struct.pack(">HHH", 60, 40, 0) + short(exchange.encode()) + NO_UTF8 + b"\0")
        raw.socket.sendall(Header(1, 4, BasicProperties()).marshal() + Body(1, b"body").marshal())
        raw.send(Basic.Get(queue=queue, no_ack=True))
        expected = struct.pack(">HHQB", 60, 71, 1, 0) + short(exchange.encode()) + NO_UTF8 + bytes(4)
        assert raw.payload() == expected
