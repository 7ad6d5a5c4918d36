"""Subscriptions, prefetch and direct reply-to, in-process."""

from __future__ import annotations

import gc

import pytest

from leveret.amqp.field_table import table_from_python
from leveret.amqp.methods import (
    BasicCancel,
    BasicCancelOk,
    BasicConsume,
    BasicConsumeOk,
    BasicDeliver,
    BasicGet,
    BasicGetEmpty,
    BasicQos,
    ChannelClose,
    ChannelCloseOk,
    ChannelFlow,
    ChannelOpen,
    Method,
    QueueBind,
    QueueDeclare,
    QueueDeclareOk,
    QueueDelete,
    QueuePurge,
    QueueUnbind,
)
from leveret.amqp.properties import BasicProperties
from leveret.broker.rotation import Level
from tests.broker.driver import Client, Driver

REPLY_TO = "amq.rabbitmq.reply-to"


def publish(client: Client, count: int, queue: str = "queue") -> None:
    for number in range(count):
        client.publish("", queue, b"%d" % number)
    client.driver.tick()


def deliveries(client: Client) -> list[tuple[str, bytes | None]]:
    return [(each.method.consumer_tag, each.body) for each in client.take() if isinstance(each.method, BasicDeliver)]


def reopen(client: Client, channel: int = 1) -> None:
    client.send(ChannelCloseOk(), channel)
    client.call(ChannelOpen(), channel)


def test_a_consumer_without_a_tag_is_given_one(client: Client) -> None:
    client.declare("queue")
    tags = []
    for _ in range(2):
        reply = client.call(BasicConsume("queue")).method
        assert isinstance(reply, BasicConsumeOk)
        assert reply.consumer_tag.startswith("amq.ctag-")
        tags.append(reply.consumer_tag)
    assert len(set(tags)) == 2


def test_a_tag_in_use_is_an_error_of_the_connection(client: Client) -> None:
    client.declare("queue")
    client.call(BasicConsume("queue", "tag"))
    assert client.call(BasicConsume("queue", "tag"), 2).method == BasicConsumeOk("tag")
    assert client.refusal(BasicConsume("queue", "tag")) == (530, "attempt to reuse consumer tag 'tag'")


def test_an_exclusive_consumer_has_the_queue_to_itself(client: Client) -> None:
    client.declare("queue")
    text = "queue 'queue' in vhost '/' in exclusive use"
    client.call(BasicConsume("queue", "tag", exclusive=True))
    assert client.refusal(BasicConsume("queue", "other"), 2) == (403, text)
    reopen(client, 2)
    client.call(BasicCancel("tag"))
    client.call(BasicConsume("queue", "other"), 2)
    assert client.refusal(BasicConsume("queue", "tag", exclusive=True)) == (403, text)


@pytest.mark.parametrize(("value", "type_name"), [("high", "longstr"), (True, "bool"), (1.5, "double")])
def test_a_priority_is_an_integer(client: Client, value: object, type_name: str) -> None:
    client.declare("queue")
    code, text = client.refusal(BasicConsume("queue", arguments=table_from_python({"x-priority": value})))
    assert code == 406
    assert text == f"invalid arg 'x-priority' for queue 'queue' in vhost '/': \"expected integer, got {type_name}\""


def test_priorities(driver: Driver, client: Client) -> None:
    """Whoever has room and the highest priority is served first, in turns with its equals, whenever it came."""
    client.declare("queue")
    client.call(BasicQos(0, 2))
    for tag, priority in (("none", None), ("low", -5), ("high", 10), ("high too", 10), ("between", 5)):
        arguments = {} if priority is None else table_from_python({"x-priority": priority})
        client.call(BasicConsume("queue", tag, arguments=arguments))
    publish(client, 11)
    assert deliveries(client) == [
        *(("high", b"0"), ("high too", b"1"), ("high", b"2"), ("high too", b"3")),
        *(("between", b"4"), ("between", b"5"), ("none", b"6"), ("none", b"7"), ("low", b"8"), ("low", b"9")),
    ]
    client.send(BasicCancel("low"))
    client.send(BasicCancel("high"))
    driver.tick()
    assert driver.counts("queue") == (1, 10)


def levels() -> int:
    """How many levels of priority there are, in all queues."""
    gc.collect()
    return sum(isinstance(each, Level) for each in gc.get_objects())


def test_priorities_that_nobody_has_any_more_are_forgotten(driver: Driver, client: Client) -> None:
    """Consumers that come with ever new priorities, have no room, and go again leave nothing to search through."""
    before = levels()
    client.declare("queue")
    client.call(BasicQos(0, 1))
    publish(client, 200)
    for priority in range(100):
        client.send(BasicConsume("queue", "tag", arguments=table_from_python({"x-priority": priority})))
        driver.tick()
        client.send(BasicCancel("tag"))
        driver.tick()
    client.take()
    assert levels() <= before + 1


def test_cancelling_is_answered_even_for_an_unknown_tag(driver: Driver, client: Client) -> None:
    assert client.call(BasicCancel("unknown")).method == BasicCancelOk("unknown")
    client.declare("queue")
    client.send(BasicConsume("queue", "tag", nowait=True))
    client.send(BasicCancel("tag", nowait=True))
    publish(client, 1)
    assert client.take() == []
    assert client.declare("queue") == (1, 0)


def test_an_auto_delete_queue_goes_with_its_last_consumer(driver: Driver, client: Client) -> None:
    client.call(QueueDeclare("queue", auto_delete=True))
    client.call(BasicConsume("queue", "one"))
    client.call(BasicConsume("queue", "two"), 2)
    client.call(BasicCancel("one"))
    assert driver.queue_names() == {"queue"}
    client.call(ChannelClose(200, "done"), 2)
    assert driver.queue_names() == set()


@pytest.mark.parametrize("capabilities", [(), ("consumer_cancel_notify",)])
def test_consumers_of_a_deleted_queue_are_told_if_they_understand(
    driver: Driver, client: Client, capabilities: tuple[str, ...]
) -> None:
    consumer = driver.client().log_in(capabilities=capabilities)
    client.declare("queue")
    consumer.call(BasicConsume("queue", "tag"))
    client.call(QueueDelete("queue"))
    told = [received.method for received in consumer.take()]
    assert told == ([BasicCancel("tag", True)] if capabilities else [])
    client.declare("queue")
    assert consumer.call(BasicConsume("queue", "tag")).method == BasicConsumeOk("tag")


def test_a_prefetch_size_is_not_implemented(client: Client) -> None:
    assert client.refusal(BasicQos(1, 0)) == (540, "prefetch_size!=0 (1)")


def test_a_channels_prefetch_is_shared(driver: Driver, client: Client) -> None:
    """Over queues, too; consumers without acknowledgements and basic.get are outside of it."""
    client.call(BasicQos(0, 3, True))
    for queue in ("a", "b"):
        client.declare(queue)
        client.call(BasicConsume(queue, queue))
    publish(client, 2, "a")
    publish(client, 3, "b")
    assert deliveries(client) == [("a", b"0"), ("a", b"1"), ("b", b"0")]
    assert client.call(BasicGet("b")).body == b"1"
    client.send(BasicConsume("b", "free", no_ack=True))
    driver.tick()
    assert deliveries(client) == [("free", b"2")]


def test_a_stopped_channel_is_given_nothing(driver: Driver, client: Client) -> None:
    client.declare("queue")
    client.call(BasicConsume("queue", "tag"))
    client.call(ChannelFlow(False))
    publish(client, 2)
    assert deliveries(client) == []
    assert client.call(BasicGet("queue", True), 2).body == b"0"
    client.send(ChannelFlow(True))
    driver.tick()
    assert deliveries(client) == [("tag", b"1")]


def test_an_empty_queue(client: Client) -> None:
    client.declare("queue")
    assert client.call(BasicGet("queue")).method == BasicGetEmpty()


# direct reply-to


class Requester:
    """A client that consumes replies."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.client = driver.log_in(1, 2)
        self.client.declare("requests")
        consume = BasicConsume(REPLY_TO, "replies", no_ack=True)
        assert self.client.call(consume).method == BasicConsumeOk("replies")

    def address(self, channel: int = 1) -> str:
        self.client.publish("", "requests", b"", BasicProperties(reply_to=REPLY_TO), channel=channel)
        properties = self.client.call(BasicGet("requests", True)).properties
        assert properties is not None
        assert properties.reply_to is not None
        return properties.reply_to


@pytest.fixture
def requester(driver: Driver) -> Requester:
    return Requester(driver)


def test_replies_come_in_order_and_are_not_counted(driver: Driver, client: Client, requester: Requester) -> None:
    address = requester.address()
    assert address.startswith(f"{REPLY_TO}.")
    assert requester.address() == address
    requester.client.call(BasicQos(0, 1, True))
    publish(client, 5, address)
    assert deliveries(requester.client) == [("replies", b"%d" % number) for number in range(5)]
    assert driver.queue_names() == {"requests"}


def test_a_request_of_several_frames_keeps_its_body(driver: Driver, client: Client, requester: Requester) -> None:
    body = b"x" * 300_000
    requester.client.publish("", "requests", body, BasicProperties(reply_to=REPLY_TO, headers={}))
    got = client.call(BasicGet("requests"))
    assert got.body == body
    assert got.properties == BasicProperties(reply_to=requester.address(), headers={})


def test_a_reply_waits_while_the_requester_does_not_read(driver: Driver, client: Client, requester: Requester) -> None:
    address = requester.address()
    requester.client.stall()
    publish(client, 2, address)
    requester.client.resume()
    driver.tick()
    assert deliveries(requester.client) == [("replies", b"0"), ("replies", b"1")]


def test_an_address_may_be_asked_for_while_it_lives(client: Client, requester: Requester) -> None:
    address = requester.address()
    assert client.call(QueueDeclare(REPLY_TO, passive=True)).method == QueueDeclareOk(REPLY_TO, 0, 1)
    assert client.call(QueueDeclare(address, passive=True)).method == QueueDeclareOk(address, 0, 1)
    requester.client.call(BasicCancel("replies"))
    assert client.refusal(QueueDeclare(address, passive=True)) == (404, f"no queue '{address}' in vhost '/'")


def test_a_channel_may_consume_replies_again(driver: Driver, client: Client, requester: Requester) -> None:
    old = requester.address()
    requester.client.call(BasicCancel("replies"))
    requester.client.call(BasicConsume(REPLY_TO, "again", no_ack=True))
    new = requester.address()
    assert new != old
    publish(client, 1, old)
    publish(client, 1, new)
    assert deliveries(requester.client) == [("again", b"0")]


REFUSED: list[tuple[Method, tuple[int, str]]] = [
    (BasicConsume(REPLY_TO, "more", no_ack=True), (406, "reply consumer already set")),
    (BasicConsume(REPLY_TO, "more"), (406, "reply consumer cannot acknowledge")),
    *[
        (method, (403, "cannot bind or unbind to a volatile (direct reply-to) queue"))
        for method in (QueueBind(REPLY_TO, "amq.direct"), QueueUnbind(f"{REPLY_TO}.x", "amq.direct"))
    ],
    (QueuePurge(REPLY_TO), (404, f"no queue '{REPLY_TO}' in vhost '/'")),
    (BasicGet(REPLY_TO), (404, f"no queue '{REPLY_TO}' in vhost '/'")),
]


@pytest.mark.parametrize(("method", "refusal"), REFUSED, ids=[repr(method) for method, _ in REFUSED])
def test_what_is_refused_of_replies(requester: Requester, method: Method, refusal: tuple[int, str]) -> None:
    assert requester.client.refusal(method) == refusal


def test_another_channel_of_the_requester_has_no_address(requester: Requester) -> None:
    client = requester.client
    client.publish("", "requests", b"", BasicProperties(reply_to=REPLY_TO), channel=2)
    client.driver.tick()
    closed = client.take()[0].method
    assert isinstance(closed, ChannelClose)
    assert closed.reply_text.endswith("fast reply consumer does not exist")


def test_replies_do_not_wait_without_their_consumer(driver: Driver, client: Client, requester: Requester) -> None:
    """What was published in the tick in which the consumer goes is dropped with it."""
    address = requester.address()
    client.publish("", address, b"late")
    requester.client.lose()
    driver.tick()
    client.publish("", address, b"too late", mandatory=True)
    driver.tick()
    assert client.bodies() == [b"too late"]
