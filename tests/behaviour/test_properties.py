"""Message properties and headers arrive as they were sent."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from pika.compat import long
from pika.spec import Basic

from tests.behaviour.conftest import Broker
from tests.behaviour.expectations import Consumer, await_errors, channel_closed, get_bodies, get_one
from tests.behaviour.raw_connection import RawConnection

PROPERTIES: dict[str, object] = {
    "content_type": "application/json",
    "content_encoding": "gzip",
    "headers": {"a": 1},
    "delivery_mode": 2,
    "priority": 9,
    "correlation_id": "correlation",
    "reply_to": "reply.queue",
    "expiration": "600000",
    "message_id": "message",
    "timestamp": 1_709_209_800,
    "type": "kind",
    "user_id": "guest",
    "app_id": "program",
    "cluster_id": "cluster",
}

HEADERS: dict[str, object] = {
    "string": "text",
    "empty string": "",
    "unicode": "ünïcödé 🐇",
    "long string": "x" * 70_000,
    "bytes": b"\x00\xff\x80",
    "true": True,
    "false": False,
    "int": 5,
    "negative": -5,
    "largest 32": 2**31 - 1,
    "smallest 32": -(2**31),
    "long": long(5),
    "largest 64": 2**63 - 1,
    "smallest 64": -(2**63),
    "decimal": Decimal("12.345"),
    "timestamp": datetime(2024, 2, 29, 12, 30, tzinfo=UTC),
    "none": None,
    "array": [1, "two", True, None, [b"deep"], {"in": "array"}],
    "empty array": [],
    "table": {"a": 1, "b": {"c": [{"d": "e"}]}},
    "empty table": {},
    "ключ": "non-ASCII key",
    "x-custom": "kept",
}


def round_trip(channel: BlockingChannel, queue: str, properties: BasicProperties) -> BasicProperties:
    channel.basic_publish("", queue, b"body", properties)
    await_errors(channel)
    return get_one(channel, queue).properties


def test_all_properties_together(channel: BlockingChannel, queue: str) -> None:
    properties = BasicProperties(**PROPERTIES)  # type: ignore[arg-type]
    assert round_trip(channel, queue, properties) == properties


@pytest.mark.parametrize("name", PROPERTIES)
def test_each_property_alone(channel: BlockingChannel, queue: str, name: str) -> None:
    properties = BasicProperties(**{name: PROPERTIES[name]})  # type: ignore[arg-type]
    received = round_trip(channel, queue, properties)
    assert received == properties
    assert getattr(received, name) == PROPERTIES[name]


def test_no_properties(channel: BlockingChannel, queue: str) -> None:
    assert round_trip(channel, queue, BasicProperties()) == BasicProperties()


def test_properties_come_to_a_consumer_too(channel: BlockingChannel, queue: str) -> None:
    properties = BasicProperties(**PROPERTIES)  # type: ignore[arg-type]
    consumer = Consumer(channel, queue)
    channel.basic_publish("", queue, b"body", properties)
    assert consumer.wait_for(1)[0].properties == properties


@pytest.mark.parametrize("name", HEADERS)
def test_each_kind_of_header(channel: BlockingChannel, queue: str, name: str) -> None:
    headers = {name: HEADERS[name]}
    received = round_trip(channel, queue, BasicProperties(headers=headers)).headers
    assert received == headers
    assert isinstance(received[name], type(HEADERS[name]))  # True is no 1, bytes are no text


def test_all_headers_together(channel: BlockingChannel, queue: str) -> None:
    assert round_trip(channel, queue, BasicProperties(headers=HEADERS)).headers == HEADERS


def entry(name: bytes, kind: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + kind + value


def sized(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


RAW_FIELDS = {
    "boolean": entry(b"k", b"t", b"\x01"),
    "signed 8": entry(b"k", b"b", b"\x80"),
    "unsigned 8": entry(b"k", b"B", b"\xff"),
    "signed 16": entry(b"k", b"s", b"\x80\x00"),
    "unsigned 16": entry(b"k", b"u", b"\xff\xff"),
    "signed 32": entry(b"k", b"I", b"\x80\x00\x00\x00"),
    "unsigned 32": entry(b"k", b"i", b"\xff\xff\xff\xff"),
    "signed 64": entry(b"k", b"l", b"\x80" + bytes(7)),
    "float": entry(b"k", b"f", struct.pack(">f", 1.5)),
    "double": entry(b"k", b"d", struct.pack(">d", -0.1)),
    "decimal": entry(b"k", b"D", b"\x02\x00\x00\x01\x00"),
    "timestamp": entry(b"k", b"T", struct.pack(">Q", 1_709_209_800)),
    "long string": entry(b"k", b"S", sized(b"\xff\x00 not UTF-8")),
    "byte array": entry(b"k", b"x", sized(b"\x00\xff")),
    "table": entry(b"k", b"F", sized(entry(b"in", b"s", b"\x00\x05"))),
    "array": entry(b"k", b"A", sized(b"s\x00\x05" + b"V" + b"S" + sized(b"x"))),
    "void": entry(b"k", b"V", b""),
    "same name twice": entry(b"k", b"I", b"\x00\x00\x00\x01") + entry(b"k", b"I", b"\x00\x00\x00\x02"),
    "unsorted names": entry(b"z", b"V", b"") + entry(b"a", b"V", b""),
    "empty name": entry(b"", b"V", b""),
}


@pytest.mark.parametrize("name", RAW_FIELDS)
def test_a_header_table_is_delivered_octet_for_octet(
    broker: Broker, channel: BlockingChannel, queue: str, name: str
) -> None:
    content_header = struct.pack(">HHQH", 60, 0, 0, 1 << 13) + sized(RAW_FIELDS[name])
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.send(Basic.Publish(exchange="", routing_key=queue))
        raw.send_payload(content_header, 2)
        raw.call(Basic.Get(queue=queue, no_ack=True))
        assert raw.payload() == content_header


def test_the_user_id_must_be_the_users_own(channel: BlockingChannel, queue: str) -> None:
    text = "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'"
    with channel_closed(406, text):
        channel.basic_publish("", queue, b"", BasicProperties(user_id="somebody"))
        await_errors(channel)


def test_an_empty_user_id_is_not_the_users_own(channel: BlockingChannel, queue: str) -> None:
    text = "PRECONDITION_FAILED - user_id property set to '' but authenticated user was 'guest'"
    with channel_closed(406, text):
        channel.basic_publish("", queue, b"", BasicProperties(user_id=""))
        await_errors(channel)


def test_priority_does_not_change_the_order_of_a_plain_queue(channel: BlockingChannel, queue: str) -> None:
    for priority in (1, 9, 0, 5):
        channel.basic_publish("", queue, str(priority), BasicProperties(priority=priority))
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"1", b"9", b"0", b"5"]


@pytest.mark.parametrize("delivery_mode", [1, 2])
def test_delivery_modes(channel: BlockingChannel, queue: str, delivery_mode: int) -> None:
    assert round_trip(channel, queue, BasicProperties(delivery_mode=delivery_mode)).delivery_mode == delivery_mode


def test_strings_that_are_no_utf8_are_passed_on(broker: Broker, queue: str) -> None:
    content_header = struct.pack(">HHQH", 60, 0, 0, 1 << 15) + b"\x04\xff\xfe\x00\x80"
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.send(Basic.Publish(exchange="", routing_key=queue))
        raw.send_payload(content_header, 2)
        raw.call(Basic.Get(queue=queue, no_ack=True))
        assert raw.payload() == content_header
