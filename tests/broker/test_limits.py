"""Limits of the node, of virtual hosts and of users: what is refused at which point, and in which words."""

from __future__ import annotations

import pytest

from leveret.amqp.frame import PROTOCOL_HEADER
from leveret.amqp.methods import (
    BasicCancel,
    BasicConsume,
    BasicConsumeOk,
    ChannelClose,
    ChannelOpen,
    ChannelOpenOk,
    ConnectionClose,
    ConnectionOpen,
    ConnectionOpenOk,
    ConnectionTune,
    ConnectionTuneOk,
    ExchangeDeclare,
    ExchangeDeclareOk,
    ExchangeDelete,
    QueueDeclare,
    QueueDelete,
)
from leveret.broker.broker import Broker
from leveret.broker.limits import OF_USERS, OF_VHOSTS, InvalidLimits, NodeLimits, valid_limits
from tests.broker.driver import FRAME_MAX, Client, Driver, refused, start_ok


def driver_with(limits: NodeLimits) -> Driver:
    return Driver(Broker("1.2.3", "leveret@test", lambda: 0.0, lambda size: bytes(size), limits=limits))


def opening(driver: Driver) -> tuple[int, str] | None:
    """Open a connection; what it is refused with, if it is."""
    client = driver.client()
    client.feed(PROTOCOL_HEADER)
    client.send(start_ok(), 0)
    client.send(ConnectionTuneOk(100, FRAME_MAX, 0), 0)
    client.send(ConnectionOpen("/"), 0)
    driver.tick()
    last = client.take()[-1]
    return None if last.method == ConnectionOpenOk() else refused(last)


def opening_channel(client: Client, number: int) -> tuple[int, str] | None:
    reply = client.call(ChannelOpen(), number)
    return None if reply.method == ChannelOpenOk() else refused(reply)


# connections


def test_connections_of_the_node() -> None:
    driver = driver_with(NodeLimits(connection_max=2))
    first, _ = driver.log_in(), driver.log_in()
    assert opening(driver) == (530, "connection refused: node connection limit (2) is reached")
    first.send(ConnectionClose(200, "", 0, 0), 0)
    driver.tick()
    assert opening(driver) is None


def test_connections_of_a_virtual_host(driver: Driver) -> None:
    usage = driver.broker.vhosts["/"].usage
    usage.limits = {"max-connections": 1}
    first = driver.log_in()
    assert opening(driver) == (530, "access to vhost '/' refused for user 'guest': connection limit (1) is reached")
    first.lose()
    assert opening(driver) is None
    usage.limits = {"max-connections": 0}
    assert opening(driver) == (530, "access to vhost '/' refused for user 'guest': connection limit (0) is reached")
    usage.limits = {"max-connections": -1}
    assert opening(driver) is None
    usage.limits = {"max-queues": 0}
    assert opening(driver) is None


def test_connections_of_a_user(driver: Driver) -> None:
    driver.broker.users.usage("guest").limits = {"max-connections": 1}
    first = driver.log_in()
    assert opening(driver) == (530, "connection refused for user 'guest': user connection limit (1) is reached")
    first.lose()
    assert opening(driver) is None


def test_a_connection_that_was_refused_is_not_counted(driver: Driver) -> None:
    usage = driver.broker.vhosts["/"].usage
    usage.limits = {"max-connections": 1}
    client = driver.log_in()
    for _ in range(3):
        assert opening(driver) is not None
    assert usage.connections == 1
    client.lose()
    client.lose()
    assert usage.connections == driver.broker.usage.connections == 0


# channels


def test_channels_of_a_connection() -> None:
    driver = driver_with(NodeLimits(channel_max=2))
    client = driver.client()
    client.feed(PROTOCOL_HEADER)
    client.send(start_ok(), 0)
    driver.tick()
    tune = client.take()[-1].method
    assert isinstance(tune, ConnectionTune)
    assert tune.channel_max == 2
    client.send(ConnectionTuneOk(3, FRAME_MAX, 0), 0)
    driver.tick()
    text = "negotiated channel_max = 3 is higher than the maximum allowed value (2)"
    assert refused(client.take()[-1]) == (530, text)
    client = driver.client().log_in((1, 2), channel_max=2)
    text = "number of channels opened (2) has reached the negotiated channel_max (2)"
    assert opening_channel(client, 3) == (530, text)


@pytest.mark.parametrize("channel_max", [0, 65535])
def test_as_many_channels_of_a_connection_as_it_likes(channel_max: int) -> None:
    driver = driver_with(NodeLimits(channel_max=0))
    client = driver.client().log_in((), channel_max=channel_max)
    for number in (1, 65535, *range(2, 2100)):
        assert opening_channel(client, number) is None


def test_channels_of_the_node() -> None:
    driver = driver_with(NodeLimits(channel_max_per_node=3))
    first, second = driver.log_in(1, 2), driver.log_in(1)
    text = "number of channels opened on node 'leveret@test' has reached the maximum allowed limit of 3"
    assert opening_channel(second, 2) == (530, text)
    second = driver.log_in()
    first.call(ChannelClose(200, "", 0, 0), 2)
    assert opening_channel(second, 2) is None
    first.lose()
    assert driver.broker.usage.channels == 2


def test_channels_of_a_user(driver: Driver) -> None:
    driver.broker.users.usage("guest").limits = {"max-channels": 2}
    first, second = driver.log_in(1), driver.log_in(1)
    text = "number of channels opened for user 'guest' has reached the maximum allowed user limit of 2"
    assert opening_channel(second, 2) == (530, text)
    assert opening_channel(first, 2) is None


def test_a_channel_that_failed_counts_until_the_client_knows(driver: Driver) -> None:
    driver.broker.users.usage("guest").limits = {"max-channels": 2}
    client = driver.log_in(1, 2)
    assert client.refusal(QueueDelete("", if_empty=True))[0] == 404
    assert driver.broker.usage.channels == 2
    client.feed(bytes.fromhex("01 0001 00000004 0014 0029 ce"))  # channel.close-ok
    assert driver.broker.usage.channels == 1
    assert opening_channel(client, 3) is None


# consumers, queues, exchanges


def test_consumers_of_a_channel() -> None:
    driver = driver_with(NodeLimits(consumer_max_per_channel=2))
    client = driver.log_in(1, 2)
    client.declare("queue")
    assert client.call(BasicConsume("amq.rabbitmq.reply-to", "replies", no_ack=True)).method == BasicConsumeOk(
        "replies"
    )
    for tag in ("a", "b"):
        assert client.call(BasicConsume("queue", tag)).method == BasicConsumeOk(tag)
    assert client.call(BasicConsume("queue", "c"), 2).method == BasicConsumeOk("c")
    client.call(BasicCancel("b"))
    assert client.call(BasicConsume("queue", "d")).method == BasicConsumeOk("d")
    assert client.refusal(BasicConsume("queue", "e")) == (530, "reached maximum (2) of consumers per channel")


def test_queues_of_a_virtual_host(driver: Driver, client: Client) -> None:
    usage = driver.broker.vhosts["/"].usage
    usage.limits = {"max-queues": 2}
    client.declare("a")
    client.declare("b")
    client.declare("a")
    text = "cannot declare queue 'c': queue limit in vhost '/' (2) is reached"
    assert client.refusal(QueueDeclare("c")) == (406, text)
    client.call(QueueDelete("b"), 2)
    client.declare("c", 2)
    usage.limits = {"max-queues": -1}
    client.declare("d", 2)


def test_queues_of_the_node() -> None:
    driver = driver_with(NodeLimits(cluster_queue_limit=1))
    client = driver.log_in()
    client.declare("a")
    text = "cannot declare queue 'b': queue limit in cluster (1) is reached"
    assert client.refusal(QueueDeclare("b")) == (406, text)


def test_exchanges_of_the_node() -> None:
    driver = driver_with(NodeLimits(cluster_exchange_limit=9))
    client = driver.log_in(1, 2)
    assert client.call(ExchangeDeclare("a", "direct")).method == ExchangeDeclareOk()
    assert client.call(ExchangeDeclare("a", "direct")).method == ExchangeDeclareOk()
    text = "cannot declare exchange 'b' in vhost '/': exchange limit of 9 is reached"
    assert client.refusal(ExchangeDeclare("b", "direct")) == (406, text)
    client.call(ExchangeDelete("a"), 2)
    assert client.call(ExchangeDeclare("b", "direct"), 2).method == ExchangeDeclareOk()


# what may be set


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        ({"bogus": 7}, 'Unrecognised terms [{<<"bogus">>,7}] in limits'),
        ({"max-queues": "x"}, 'max-queues should be a number, actually was <<"x">>'),
        ({"max-queues": 1.5}, "max-queues should be a number, actually was 1.5"),
        ({"max-queues": True}, "max-queues should be a number, actually was true"),
        ({"max-queues": None}, "max-queues should be a number, actually was null"),
        ({"max-queues": 1 << 63}, f"max-queues should be a number, actually was {1 << 63}"),
        (
            {"max-connections": "y", "max-queues": "x", "bogus": 7},
            'Unrecognised terms [{<<"bogus">>,7}] in limits\nmax-queues should be a number, actually was <<"x">>\n'
            'max-connections should be a number, actually was <<"y">>',
        ),
    ],
)
def test_limits_that_are_refused(definition: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidLimits) as error:
        valid_limits(definition, OF_VHOSTS, "limits")
    assert str(error.value) == text


def test_limits_that_are_taken() -> None:
    assert valid_limits({"max-queues": 5, "max-connections": -1}, OF_VHOSTS, "limits") == {
        "max-queues": 5,
        "max-connections": -1,
    }
    assert valid_limits({"max-channels": 0}, OF_USERS, "user-limits") == {"max-channels": 0}
    assert valid_limits({}, OF_USERS, "user-limits") == {}
