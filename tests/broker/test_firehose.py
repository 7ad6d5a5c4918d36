"""The firehose in one process: what is copied when, and that it costs nothing and stays away where it is off."""

from __future__ import annotations

import pytest

from leveret.amqp.field_table import FieldValue, Table, table_to_python
from leveret.amqp.methods import (
    BasicConsume,
    BasicConsumeOk,
    BasicDeliver,
    BasicGet,
    BasicPublish,
    BasicReject,
    ChannelOpen,
    QueueBind,
    QueueDeclare,
    TxRollback,
    TxSelect,
)
from leveret.amqp.properties import BasicProperties
from leveret.broker.vhost import VirtualHost
from tests.broker.driver import Client, Driver, Received, publish_frames


@pytest.fixture
def vhost(driver: Driver) -> VirtualHost:
    return driver.broker.vhosts["/"]


@pytest.fixture
def publisher(driver: Driver) -> Client:
    client = driver.log_in()
    client.declare("q")
    return client


@pytest.fixture
def tracer(driver: Driver) -> Client:
    """A client whose queue `copies` is bound to the trace exchange, for all there is."""
    client = driver.log_in()
    client.declare("copies")
    client.call(QueueBind("copies", "amq.rabbitmq.trace", "#"))
    return client


def copies(client: Client) -> list[Received]:
    """The copies that came since this was last asked."""
    found: list[Received] = []
    while (copy := client.fetch("copies")) is not None:
        found.append(copy)
    return found


def keys(client: Client) -> list[str]:
    """The routing keys of the copies that came since this was last asked."""
    return [getattr(copy.method, "routing_key") for copy in copies(client)]  # noqa: B009


def headers_of(received: Received) -> Table:
    assert received.properties is not None and received.properties.headers is not None
    return received.properties.headers


def test_nothing_is_copied_while_it_is_off(
    driver: Driver, vhost: VirtualHost, publisher: Client, tracer: Client
) -> None:
    publisher.publish("", "q", b"before")
    assert publisher.fetch("q") is not None
    assert keys(tracer) == []
    vhost.firehose.switch(True)
    publisher.publish("", "q", b"during")
    assert publisher.fetch("q") is not None
    assert keys(tracer) == ["publish.", "deliver.q"]
    vhost.firehose.switch(False)
    publisher.publish("", "q", b"after")
    assert publisher.fetch("q") is not None
    assert keys(tracer) == []


def test_switching_reaches_running_consumers_and_cached_routes(
    driver: Driver, vhost: VirtualHost, publisher: Client, tracer: Client
) -> None:
    """The same publish and the same consumer, before, during and after."""
    assert isinstance(publisher.call(BasicConsume("q", "tag", no_ack=True)).method, BasicConsumeOk)
    expected: list[list[str]] = [[], ["publish.", "deliver.q"] * 2, []]
    for on, wanted in zip((False, True, False), expected, strict=True):
        vhost.firehose.switch(on)
        for _ in range(2):
            publisher.publish("", "q", b"x")
            driver.tick()
        assert [received.body for received in publisher.take()] == [b"x", b"x"]
        assert keys(tracer) == wanted


def test_a_large_message_that_comes_in_pieces_is_traced_if_it_is_on_when_it_ends(
    driver: Driver, vhost: VirtualHost, tracer: Client
) -> None:
    client = driver.log_in(frame_max=4096)
    client.declare("q")
    body = bytes(20_000)
    frames = publish_frames(BasicPublish("", "q"), body, frame_max=4096)
    client.feed(frames[:9000])
    vhost.firehose.switch(True)
    client.feed(frames[9000:])
    driver.tick()
    [copy] = copies(tracer)
    assert copy.body == body
    assert headers_of(copy)["routed_queues"] == FieldValue("A", [FieldValue("S", "q")])


def test_the_headers_of_a_publish(driver: Driver, vhost: VirtualHost, publisher: Client, tracer: Client) -> None:
    publisher.call(QueueBind("q", "amq.topic", "#"))
    vhost.firehose.switch(True)
    selected: Table = {name: FieldValue("A", [FieldValue("S", key)]) for name, key in (("CC", "k2"), ("BCC", "k3"))}
    properties = BasicProperties("t", "e", selected, 2, 3, timestamp=2**64 - 1)
    publisher.publish("amq.topic", "k1", b"body", properties)
    driver.tick()
    [copy] = copies(tracer)
    assert copy.body == b"body"
    assert copy.properties == BasicProperties(headers=headers_of(copy))
    assert list(headers_of(copy)) == [
        "exchange_name",
        "routing_keys",
        "properties",
        "node",
        "vhost",
        "connection",
        "channel",
        "user",
        "routed_queues",
    ]
    assert table_to_python(headers_of(copy)) == {
        "exchange_name": "amq.topic",
        "routing_keys": ["k1", "k2", "k3"],
        "properties": {
            "timestamp": 2**64 - 1,
            "priority": 3,
            "delivery_mode": 2,
            "headers": {"CC": ["k2"]},
            "content_encoding": "e",
            "content_type": "t",
        },
        "node": "leveret@test",
        "vhost": "/",
        "connection": "127.0.0.1:1000 -> 127.0.0.1:5672",
        "channel": 1,
        "user": "guest",
        "routed_queues": ["q"],
    }


def test_a_redelivery(driver: Driver, vhost: VirtualHost, publisher: Client, tracer: Client) -> None:
    publisher.declare("quorum", arguments={"x-queue-type": "quorum"})
    publisher.publish("", "quorum", b"x")
    driver.tick()
    vhost.firehose.switch(True)
    publisher.call(BasicGet("quorum"))
    publisher.send(BasicReject(1, True))
    publisher.call(BasicGet("quorum", no_ack=True))
    first, second = copies(tracer)
    assert list(headers_of(first))[3:] == ["node", "redelivered", "vhost", "connection", "channel", "user"]
    assert headers_of(first)["redelivered"] == FieldValue("I", 0)
    assert headers_of(second)["redelivered"] == FieldValue("I", 1)
    shown = headers_of(second)["properties"].value
    assert isinstance(shown, dict)
    assert table_to_python(shown) == {"headers": {"x-delivery-count": 1}}


def test_what_is_sent_from_the_trace_exchange_is_not_traced(
    driver: Driver, vhost: VirtualHost, publisher: Client, tracer: Client
) -> None:
    vhost.firehose.switch(True)
    tracer.call(BasicConsume("copies", "tag", no_ack=True))
    publisher.publish("", "q", b"x")
    driver.tick()
    received = tracer.take()
    assert [received.method.routing_key for received in received if isinstance(received.method, BasicDeliver)] == [
        "publish."
    ]


def test_a_traced_queue_that_takes_the_copies_comes_to_rest(driver: Driver, vhost: VirtualHost) -> None:
    """Its length limit has it look at itself while it delivers."""
    client = driver.log_in()
    client.declare("q", arguments={"x-max-length": 3, "x-overflow": "reject-publish"})
    client.call(QueueBind("q", "amq.rabbitmq.trace", "#"))
    client.call(BasicConsume("q", "tag", no_ack=True))
    vhost.firehose.switch(True)
    for body in (b"a", b"b", b"c", b"d", b"e"):
        client.publish("", "q", body)
    driver.tick()
    assert sorted(client.bodies()) == sorted([b"a", b"b", b"c", b"d", b"e"] * 3)


def test_a_transaction_is_traced_when_it_is_published_to(
    driver: Driver, vhost: VirtualHost, publisher: Client, tracer: Client
) -> None:
    vhost.firehose.switch(True)
    publisher.call(TxSelect())
    publisher.publish("", "q", b"x")
    publisher.call(TxRollback())
    assert keys(tracer) == ["publish."]


def test_direct_replies_are_traced_as_publishes_alone(
    driver: Driver, vhost: VirtualHost, publisher: Client, tracer: Client
) -> None:
    vhost.firehose.switch(True)
    publisher.call(BasicConsume("amq.rabbitmq.reply-to", "tag", no_ack=True))
    publisher.publish("", "q", b"request", BasicProperties(reply_to="amq.rabbitmq.reply-to"))
    request = publisher.fetch("q")
    assert request is not None and request.properties is not None and request.properties.reply_to is not None
    publisher.publish("", request.properties.reply_to, b"reply")
    driver.tick()
    assert publisher.bodies() == [b"reply"]
    published, delivered, replied = copies(tracer)
    assert headers_of(delivered)["exchange_name"] == FieldValue("S", "")
    shown = headers_of(published)["properties"].value
    assert isinstance(shown, dict)
    assert shown["reply_to"] == FieldValue("S", request.properties.reply_to)
    assert headers_of(replied)["routed_queues"] == FieldValue("A", [])


def test_only_the_delivery_of_a_dead_letter_is_traced(
    driver: Driver, vhost: VirtualHost, publisher: Client, tracer: Client
) -> None:
    arguments = {"x-message-ttl": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}
    publisher.declare("dies", arguments=arguments)
    vhost.firehose.switch(True)
    publisher.publish("", "dies", b"x")
    driver.tick()
    assert publisher.fetch("q") is not None
    assert keys(tracer) == ["publish.", "deliver.q"]


def test_other_virtual_hosts_are_left_alone(driver: Driver, publisher: Client, tracer: Client) -> None:
    driver.broker.add_vhost("other").firehose.switch(True)
    publisher.publish("", "q", b"x")
    assert publisher.fetch("q") is not None
    assert keys(tracer) == []


def test_names_as_long_as_can_be(driver: Driver, vhost: VirtualHost, publisher: Client, tracer: Client) -> None:
    """The routing key of the copy would be longer than a short string."""
    name = "ü" * 127
    publisher.declare(name)
    vhost.firehose.switch(True)
    publisher.publish("", name, b"x")
    assert publisher.fetch(name) is not None
    assert keys(tracer) == ["publish.", "deliver." + "ü" * 123]


def test_headers_nested_as_deep_as_can_be(
    driver: Driver, vhost: VirtualHost, publisher: Client, tracer: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """In the copy they would be deeper still, which clients and the broker itself need not be able to read."""
    nested = FieldValue("V", None)
    for _ in range(63):
        nested = FieldValue("F", {"a": nested})
    vhost.firehose.switch(True)
    publisher.publish("", "q", b"deep", BasicProperties(headers={"a": nested}))
    publisher.publish("", "q", b"flat")
    driver.tick()
    assert [copy.body for copy in copies(tracer)] == [b"flat"]
    assert caplog.messages == ["a message to 'amq.rabbitmq.trace' is left out: its headers are nested too deeply"]
    assert driver.counts("q")[0] == 2


def test_a_virtual_host_that_goes_takes_its_copies_along(driver: Driver, vhost: VirtualHost, tracer: Client) -> None:
    publisher = driver.log_in()
    publisher.declare("q")
    vhost.firehose.switch(True)
    publisher.publish("", "q", b"x")
    driver.broker.delete_vhost("/")
    driver.tick()
    assert driver.broker.vhosts == {}


def test_each_channel_says_its_number(driver: Driver, vhost: VirtualHost, publisher: Client, tracer: Client) -> None:
    publisher.call(ChannelOpen(), 7)
    vhost.firehose.switch(True)
    publisher.publish("", "q", b"x", channel=7)
    publisher.send(QueueDeclare("q", passive=True), 7)
    driver.tick()
    [copy] = copies(tracer)
    assert headers_of(copy)["channel"] == FieldValue("I", 7)
