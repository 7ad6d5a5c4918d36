"""Which queues a publish reaches: found anew whenever something changed on the way, and not remembered without bounds.

A connection remembers the route of a publish it has seen. Every test here publishes the same before and after a change.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from leveret.amqp.field_table import table_from_python
from leveret.amqp.methods import (
    BasicCancel,
    BasicConsume,
    BasicGet,
    BasicPublish,
    ChannelClose,
    ExchangeBind,
    ExchangeDeclare,
    ExchangeDelete,
    ExchangeUnbind,
    Method,
    QueueBind,
    QueueDelete,
    QueueUnbind,
)
from leveret.amqp.properties import BasicProperties
from leveret.broker.message import Address
from leveret.broker.routing import Route
from tests.broker.driver import Client, Driver, publish_frames, split_frames


def exchange(client: Client, name: str, type_: str = "direct", alternate: str = "", auto_delete: bool = False) -> None:
    arguments = table_from_python({"alternate-exchange": alternate}) if alternate else {}
    client.call(ExchangeDeclare(name, type_, auto_delete=auto_delete, arguments=arguments))


def do(client: Client, *methods: Method) -> None:
    for method in methods:
        assert client.call(method).method.name.endswith("-ok")


class Repeated:
    """A publish that is repeated: to exchange "start" with key "key"."""

    def __init__(self, client: Client, publisher: Client) -> None:
        self.client = client
        self.publisher = publisher
        for queue in ("first", "second"):
            client.declare(queue)

    def reached(self) -> set[str]:
        """The queues that the publish reaches now; nothing if it is returned."""
        self.publisher.publish("start", "key", b"same", mandatory=True)
        self.publisher.driver.tick()
        returned = self.publisher.take()
        reached = {queue for queue in ("first", "second") if self.client.call(BasicGet(queue, True)).body == b"same"}
        assert len(returned) == (not reached)
        return reached


@pytest.fixture
def repeated(driver: Driver, client: Client) -> Repeated:
    return Repeated(client, driver.log_in())


def test_bind_and_unbind(client: Client, repeated: Repeated) -> None:
    exchange(client, "start")
    assert repeated.reached() == set()
    do(client, QueueBind("first", "start", "key"))
    assert repeated.reached() == {"first"}
    do(client, QueueBind("second", "start", "key"))
    assert repeated.reached() == {"first", "second"}
    do(client, QueueUnbind("first", "start", "key"))
    assert repeated.reached() == {"second"}


def test_delete_and_declare_a_queue(client: Client, repeated: Repeated) -> None:
    exchange(client, "start")
    do(client, QueueBind("first", "start", "key"), QueueBind("second", "start", "key"))
    assert repeated.reached() == {"first", "second"}
    do(client, QueueDelete("first"))
    client.declare("first")
    assert repeated.reached() == {"second"}


def test_delete_and_declare_an_exchange(client: Client, repeated: Repeated) -> None:
    exchange(client, "start")
    do(client, QueueBind("first", "start", "key"))
    assert repeated.reached() == {"first"}
    do(client, ExchangeDelete("start"))
    exchange(client, "start", "fanout")
    assert repeated.reached() == set()
    do(client, QueueBind("second", "start", "another"))
    assert repeated.reached() == {"second"}


def test_exchange_to_exchange(client: Client, repeated: Repeated) -> None:
    exchange(client, "start")
    exchange(client, "next", "fanout")
    do(client, QueueBind("first", "next"))
    assert repeated.reached() == set()
    do(client, ExchangeBind("next", "start", "key"))
    assert repeated.reached() == {"first"}
    do(client, QueueBind("second", "next"))
    assert repeated.reached() == {"first", "second"}
    do(client, ExchangeUnbind("next", "start", "key"))
    assert repeated.reached() == set()
    do(client, ExchangeBind("next", "start", "key"))
    assert repeated.reached() == {"first", "second"}
    do(client, ExchangeDelete("next"))
    assert repeated.reached() == set()


def test_an_alternate_exchange_that_comes_and_goes(client: Client, repeated: Repeated) -> None:
    exchange(client, "start", alternate="other")
    assert repeated.reached() == set()
    exchange(client, "other", "fanout")
    do(client, QueueBind("second", "other"))
    assert repeated.reached() == {"second"}
    do(client, QueueBind("first", "start", "key"))
    assert repeated.reached() == {"first"}
    do(client, QueueUnbind("first", "start", "key"))
    assert repeated.reached() == {"second"}
    do(client, ExchangeDelete("other"))
    assert repeated.reached() == set()


def test_an_auto_delete_exchange_ends_with_its_last_binding(client: Client, repeated: Repeated) -> None:
    exchange(client, "start", "fanout")
    exchange(client, "next", "fanout", auto_delete=True)
    do(client, ExchangeBind("next", "start"), QueueBind("first", "next"))
    assert repeated.reached() == {"first"}
    do(client, QueueUnbind("first", "next"))
    assert repeated.reached() == set()
    exchange(client, "next", "fanout")
    do(client, QueueBind("first", "next"))
    assert repeated.reached() == set()


def test_a_route_by_headers_is_found_for_each_message(client: Client, repeated: Repeated) -> None:
    exchange(client, "start")
    exchange(client, "filter", "headers")
    do(client, ExchangeBind("filter", "start", "key"))
    do(client, QueueBind("first", "filter", arguments=table_from_python({"colour": "red"})))
    publisher = repeated.publisher
    for colour, count in (("red", 1), ("blue", 0), ("red", 1), (None, 0)):
        headers = None if colour is None else table_from_python({"colour": colour})
        publisher.publish("start", "key", b"", BasicProperties(headers=headers))
        assert client.declare("first")[0] == count
        client.call(BasicGet("first", True))


def test_exchanges_that_lead_in_a_circle(client: Client, repeated: Repeated) -> None:
    for name in ("start", "next"):
        exchange(client, name, "fanout")
    do(client, ExchangeBind("next", "start"), ExchangeBind("start", "next"), ExchangeBind("next", "next"))
    do(client, QueueBind("first", "start"), QueueBind("first", "next"), QueueBind("second", "next"))
    assert repeated.reached() == {"first", "second"}
    assert counts(client) == {"first": 0, "second": 0}  # each got it once
    do(client, ExchangeDelete("next"))
    assert repeated.reached() == {"first"}


def counts(client: Client) -> dict[str, int]:
    return {queue: client.declare(queue)[0] for queue in ("first", "second")}


HALF_A_MESSAGE = publish_frames(BasicPublish("", "queue", True), b"ab", frame_max=9)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_message_is_routed_when_it_is_whole(driver: Driver, client: Client, frames: int) -> None:
    """What changes between its frames counts."""
    publisher = driver.log_in()
    client.declare("queue")
    all_frames = split_frames(HALF_A_MESSAGE)
    assert len(all_frames) == 4
    publisher.feed(b"".join(all_frames[:frames]))
    do(client, QueueDelete("queue"))
    client.declare("queue")
    publisher.feed(b"".join(all_frames[frames:]))
    driver.tick()
    assert client.declare("queue") == (1, 0)
    assert publisher.take() == []


def test_a_message_whose_queue_goes_between_its_frames_is_returned(driver: Driver, client: Client) -> None:
    publisher = driver.log_in()
    client.declare("queue")
    first, *rest = split_frames(HALF_A_MESSAGE)
    publisher.feed(first)
    do(client, QueueDelete("queue"))
    publisher.feed(b"".join(rest))
    driver.tick()
    assert publisher.bodies() == [b"ab"]


@pytest.mark.parametrize("end", [BasicCancel("replies"), ChannelClose(200, "done")])
def test_a_reply_address_ends_with_its_consumer(driver: Driver, client: Client, end: Method) -> None:
    requester = driver.log_in()
    requester.call(BasicConsume("amq.rabbitmq.reply-to", "replies", no_ack=True))
    client.declare("requests")
    requester.publish("", "requests", b"question", BasicProperties(reply_to="amq.rabbitmq.reply-to"))
    driver.tick()
    properties = client.call(BasicGet("requests", True)).properties
    assert properties is not None
    assert properties.reply_to is not None
    for _ in range(2):
        client.publish("", properties.reply_to, b"answer", mandatory=True)
    driver.tick()
    assert requester.bodies() == [b"answer", b"answer"]
    requester.call(end)
    client.publish("", properties.reply_to, b"too late", mandatory=True)
    driver.tick()
    assert client.bodies() == [b"too late"]


def alive(kind: type) -> int:
    gc.collect()
    return sum(isinstance(each, kind) for each in gc.get_objects())


def publish_keys(client: Client, keys: int, address: Callable[[int], tuple[str, str]]) -> None:
    for number in range(keys):
        client.publish(*address(number), b"")
    client.driver.tick()


def test_what_is_remembered_of_ever_new_keys_is_bounded(driver: Driver, client: Client) -> None:
    client.call(ExchangeDeclare("start"))
    client.declare("first")
    client.call(QueueBind("first", "start", "key7"))
    routes, addresses = alive(Route), alive(Address)
    publish_keys(client, 25_000, lambda number: ("start", f"key{number}"))
    assert 0 < alive(Route) - routes <= 2048
    assert alive(Address) - addresses <= 10_000 + 2048  # compiled, addresses are not the collector's, and not seen here
    publish_keys(client, 10, lambda number: ("start", f"key{number}"))
    assert client.declare("first") == (2, 0)


def test_what_a_connection_remembers_ends_with_it(driver: Driver, client: Client) -> None:
    client.call(ExchangeDeclare("start"))
    routes = alive(Route)
    publisher = driver.log_in()
    publish_keys(publisher, 100, lambda number: ("start", f"key{number}"))
    assert alive(Route) == routes + 100
    publisher.lose()
    driver.tick()
    del driver.clients[publisher.connection], publisher
    assert alive(Route) == routes
