"""Content on its way in: its frames, its properties, and what the broker does with a message that it must look into."""

from __future__ import annotations

import struct

import pytest

from leveret.amqp.field_table import FieldValue, Table, table_from_python
from leveret.amqp.frame import FRAME_BODY, FRAME_HEADER, HEARTBEAT_FRAME, method_frame
from leveret.amqp.methods import (
    BasicConsume,
    BasicGet,
    BasicPublish,
    ChannelClose,
    ChannelCloseOk,
    ChannelOpen,
    ConnectionClose,
    ExchangeDeclare,
    Method,
    QueueBind,
    QueueDeclare,
)
from leveret.amqp.properties import BasicProperties, encode_content_header
from tests.broker.driver import Client, Driver, Received, refused

PUBLISH = method_frame(1, BasicPublish("", "queue").encode())
HALF = PUBLISH + b"\x02\0\x01\0\0\0\x0e" + encode_content_header(10, BasicProperties()) + b"\xce"


def frame(kind: int, payload: bytes, channel: int = 1) -> bytes:
    return struct.pack(">BHL", kind, channel, len(payload)) + payload + b"\xce"


def header(size: int, class_id: int = 60, weight: int = 0, flags: int = 0, properties: bytes = b"") -> bytes:
    return frame(FRAME_HEADER, struct.pack(">HHQH", class_id, weight, size & (2**64 - 1), flags) + properties)


def body(octets: bytes) -> bytes:
    return frame(FRAME_BODY, octets)


def fed(client: Client, data: bytes) -> list[Received]:
    client.feed(data)
    client.driver.tick()
    return client.take()


OUT_OF_ORDER = {
    "a header without a publish": (header(1), "expected method, got content header instead"),
    "a body without a publish": (body(b"x"), "expected method, got content body instead"),
    "a body before the header": (PUBLISH + body(b"x"), "expected content header, got content body instead"),
    "a second header": (HALF + header(1), "expected content body, got content header instead"),
    "a method instead of the header": (
        PUBLISH + PUBLISH,
        "expected content header for class 60, got non content header frame instead",
    ),
    "a method instead of the body": (
        HALF + PUBLISH,
        "expected content body for class 60, got non content body frame instead",
    ),
    "more body than announced": (
        HALF + body(b"01234567890"),
        "content body is larger than the content header announced",
    ),
    "a header of another class": (
        PUBLISH + header(1, class_id=50),
        "expected content header for class 60, got one for class 50 instead",
    ),
    "a header with a weight": (
        PUBLISH + header(1, weight=1),
        "expected content header for class 60, got one for class 60 instead",
    ),
}


@pytest.mark.parametrize("case", OUT_OF_ORDER)
def test_content_out_of_order_is_505(client: Client, case: str) -> None:
    data, text = OUT_OF_ORDER[case]
    closed = fed(client, data)
    assert isinstance(closed[0].method, ConnectionClose)
    assert refused(closed[0]) == (505, text)
    assert len(closed) == 1


def test_an_empty_body_frame_for_no_body_is_505(client: Client) -> None:
    client.feed(PUBLISH + header(0))
    assert refused(fed(client, body(b""))[0])[0] == 505


def test_empty_body_frames_in_between_say_nothing(client: Client) -> None:
    client.declare("queue")
    client.feed(PUBLISH + header(2) + body(b"") + body(b"a") + body(b"") + body(b"b"))
    assert client.call(BasicGet("queue", True)).body == b"ab"


def test_a_header_that_is_too_short_is_501(client: Client) -> None:
    assert refused(fed(client, PUBLISH + frame(FRAME_HEADER, b"\0\x3c\0\0\0\0\0\0\0\0\0\0\0"))[0]) == (
        501,
        "content header is too short",
    )


@pytest.mark.parametrize("size", [128 * 1024 * 1024 + 1, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("more", [b"", body(b"x")])
def test_a_body_that_is_too_large_is_refused_by_its_header(client: Client, size: int, more: bytes) -> None:
    client.declare("queue")
    closed = fed(client, PUBLISH + header(size) + more)[0]
    assert isinstance(closed.method, ChannelClose)
    assert refused(closed) == (406, f"message size {size} is larger than configured max size 134217728")
    client.send(ChannelCloseOk())
    client.call(ChannelOpen())
    assert client.declare("queue") == (0, 0)


def test_a_body_of_the_largest_size_is_awaited(client: Client) -> None:
    assert fed(client, PUBLISH + header(128 * 1024 * 1024)) == []


def test_a_hostile_size_cannot_put_broken_frames_before_another_client(driver: Driver, client: Client) -> None:
    """The size -50, in header and body frame alike, would cut the message off in the midst of its header."""
    client.declare("queue")
    reader = driver.log_in()
    reader.call(BasicConsume("queue", "tag", no_ack=True))
    cut_off = struct.pack(">HHqH", 60, 0, -50, 0x8000) + b"\x01\xce"
    hostile = frame(FRAME_HEADER, cut_off + HEARTBEAT_FRAME * 5 + b"\x08")
    client.feed(PUBLISH + hostile + struct.pack(">BHl", FRAME_BODY, 1, -50) + b"x" * 100)
    driver.tick()
    assert reader.take() == []
    assert reader.frames.at_rest
    assert refused(client.take()[0])[0] == 406


MALFORMED = {
    "octets that no flag stands for": header(1, flags=0, properties=b"x"),
    "a string that goes past the end": header(1, flags=0x8000, properties=b"\x05abc"),
    "nothing where a flag promises something": header(1, flags=0x1000),
    "a table that goes past the end": header(1, flags=0x2000, properties=b"\0\0\0\x05abc"),
    "a table of nonsense": header(1, flags=0x2000, properties=b"\0\0\0\x03abc"),
}


@pytest.mark.parametrize("case", MALFORMED)
@pytest.mark.parametrize("at_once", [True, False])
def test_malformed_properties_are_541(client: Client, case: str, at_once: bool) -> None:
    client.declare("queue")
    data = PUBLISH + MALFORMED[case]
    received = fed(client, data + body(b"x")) if at_once else fed(client, data) + fed(client, body(b"x"))
    assert refused(received[0])[0] == 541
    assert client.driver.counts("queue") == (0, 0)


def publish_and_get(client: Client, properties: BasicProperties) -> BasicProperties | None:
    client.publish("", "queue", b"body", properties)
    got = client.call(BasicGet("queue", True))
    assert got.body == b"body"
    return got.properties


@pytest.mark.parametrize(
    "properties",
    [
        BasicProperties(),
        BasicProperties(delivery_mode=1),
        BasicProperties(delivery_mode=2),
        BasicProperties(delivery_mode=7, priority=3),
        BasicProperties(headers={}, timestamp=2**64 - 1, type_="t", app_id="a", cluster_id="c", expiration="1"),
        BasicProperties(user_id="guest", reply_to="queue", correlation_id="c", message_id="m", content_type="t"),
        BasicProperties(headers={"CC": FieldValue("A", []), "x": FieldValue("V", None)}),
        BasicProperties(headers={"not CC": FieldValue("S", "CC")}, content_encoding="e"),
    ],
)
def test_properties_come_out_as_they_went_in(client: Client, properties: BasicProperties) -> None:
    client.declare("queue")
    assert publish_and_get(client, properties) == properties


def closed_by(client: Client, properties: BasicProperties) -> tuple[int, str]:
    client.publish("", "queue", b"", properties)
    client.driver.tick()
    closed = client.take()[-1]
    assert isinstance(closed.method, ChannelClose)
    assert (closed.method.failing_class_id, closed.method.failing_method_id) == (60, 40)
    return refused(closed)


def test_another_users_id_is_refused(client: Client) -> None:
    text = "user_id property set to 'somebody' but authenticated user was 'guest'"
    assert closed_by(client, BasicProperties(user_id="somebody")) == (406, text)


def test_a_reply_to_without_its_consumer_is_refused(client: Client) -> None:
    properties = BasicProperties(reply_to="amq.rabbitmq.reply-to")
    assert closed_by(client, properties) == (406, "fast reply consumer does not exist")


@pytest.mark.parametrize("name", ["CC", "BCC"])
@pytest.mark.parametrize(
    ("value", "type_name"), [(FieldValue("S", "queue"), "longstr"), (FieldValue("t", True), "bool")]
)
def test_copies_must_be_a_list(client: Client, name: str, value: FieldValue, type_name: str) -> None:
    text = f'invalid message: {{unacceptable_type_in_header,"{name}",{type_name}}}'
    assert closed_by(client, BasicProperties(headers={name: value})) == (406, text)


def strings(*texts: str) -> FieldValue:
    return FieldValue("A", [FieldValue("S", text) for text in texts])


def test_copies_go_to_each_queue_once(client: Client) -> None:
    for queue in ("a", "b", "c", "d"):
        client.declare(queue)
    ignored = FieldValue("I", 5)
    copies = FieldValue("A", [FieldValue("S", "b"), FieldValue("S", "a"), ignored])
    headers: Table = {"CC": copies, "BCC": strings("c", "missing"), "kept": FieldValue("t", True)}
    client.publish("", "a", b"", BasicProperties(headers=headers))
    shown = {"CC": copies, "kept": FieldValue("t", True)}
    for queue in ("a", "b", "c"):
        assert client.declare(queue)[0] == 1
        got = client.call(BasicGet(queue, True))
        assert got.properties == BasicProperties(headers=shown)
    assert client.declare("d")[0] == 0


def test_copies_in_a_message_of_several_frames(driver: Driver) -> None:
    client = driver.log_in(frame_max=4096)
    for queue in ("a", "b"):
        client.declare(queue)
    client.publish("", "a", b"x" * 10_000, BasicProperties(headers={"BCC": strings("b")}))
    for queue in ("a", "b"):
        got = client.call(BasicGet(queue, True))
        assert (got.body, got.properties) == (b"x" * 10_000, BasicProperties(headers={}))


@pytest.mark.parametrize("method", [BasicPublish("missing", ""), BasicPublish("amq.rabbitmq.trace", "")])
def test_a_refused_publish_closes_the_channel_and_its_content_is_ignored(client: Client, method: Method) -> None:
    client.feed(method_frame(1, method.encode()) + header(2) + body(b"ab"))
    client.send(QueueDeclare("ignored"))
    client.driver.tick()
    closed = client.take()
    assert len(closed) == 1
    assert refused(closed[0])[0] in (403, 404)
    assert client.driver.queue_names() == set()
    client.send(ChannelCloseOk())
    client.call(ChannelOpen())


def test_immediate_is_not_implemented(client: Client) -> None:
    assert client.refusal(BasicPublish("", "queue", immediate=True)) == (540, "immediate=true")


def test_contents_on_several_channels_may_be_interleaved(client: Client) -> None:
    client.declare("queue")
    for part in (
        lambda channel: method_frame(channel, BasicPublish("", "queue").encode()),
        lambda channel: frame(FRAME_HEADER, encode_content_header(2, BasicProperties()), channel),
        lambda channel: frame(FRAME_BODY, b"%d" % channel, channel),
        lambda channel: frame(FRAME_BODY, b"!", channel),
    ):
        for channel in (1, 2):
            client.feed(part(channel))
    client.driver.tick()
    assert [client.call(BasicGet("queue", True)).body for _ in range(2)] == [b"1!", b"2!"]


def test_half_a_message_ends_with_its_channel(client: Client) -> None:
    client.declare("queue")
    client.feed(HALF)
    client.lose()
    other = client.driver.log_in()
    assert other.declare("queue") == (0, 0)


def test_headers_and_keys_of_a_message_route_together(client: Client) -> None:
    """Copies and a headers exchange in one publish."""
    client.call(ExchangeDeclare("by headers", "headers"))
    for queue in ("a", "b"):
        client.declare(queue)
        client.call(QueueBind(queue, "by headers", arguments=table_from_python({"to": queue})))
    client.publish("by headers", "", b"", BasicProperties(headers={"to": FieldValue("S", "b"), "CC": strings("a")}))
    assert (client.declare("a")[0], client.declare("b")[0]) == (0, 1)
