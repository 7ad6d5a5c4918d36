"""What happens to messages is counted, at the channel, the queue and the exchange where it happens."""

from __future__ import annotations

import pytest

from leveret.amqp.methods import (
    BasicAck,
    BasicCancel,
    BasicConsume,
    BasicNack,
    BasicPublish,
    BasicQos,
    ChannelClose,
    ConfirmSelect,
    TxCommit,
    TxSelect,
)
from leveret.amqp.properties import BasicProperties
from leveret.broker.broker import Broker
from leveret.broker.traffic import FIELDS, Octets, Traffic
from tests.broker.driver import Client, Driver, publish_frames


def counted(traffic: Traffic) -> dict[str, int]:
    """The counters that are not 0."""
    return {name: value for name, value in zip(FIELDS, traffic.values(), strict=True) if value}


def channel_of(client: Client, number: int = 1) -> Traffic:
    return client.connection.channels[number].traffic


def publish(client: Client, count: int = 1, key: str = "q", mandatory: bool = False) -> None:
    for _ in range(count):
        client.publish("", key, b"x", mandatory=mandatory)
    client.driver.tick()


def test_publishing_and_confirming(driver: Driver, client: Client) -> None:
    client.declare("q")
    client.call(ConfirmSelect())
    publish(client, 5)
    publish(client, 2, "nowhere")
    publish(client, 1, "nowhere", mandatory=True)
    assert counted(channel_of(client)) == {
        "publish": 8,
        "confirm": 8,
        "return_unroutable": 1,
        "drop_unroutable": 2,
    }
    exchange = driver.broker.vhosts["/"].exchanges[""]
    assert (exchange.publish_in, exchange.publish_out) == (8, 5)
    assert driver.queue("q").published() == 5
    assert counted(driver.queue("q").traffic) == {}


def test_a_refused_publish_is_not_confirmed(driver: Driver, client: Client) -> None:
    client.declare("q", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    client.call(ConfirmSelect())
    publish(client, 3)
    assert counted(channel_of(client)) == {"publish": 3, "confirm": 1}


def test_messages_of_all_priorities_are_counted(driver: Driver, client: Client) -> None:
    client.declare("q", arguments={"x-max-priority": 3})
    for priority in (0, 3, 1, 3):
        client.feed(publish_frames(BasicPublish("", "q"), b"x", BasicProperties(priority=priority)))
    driver.tick()
    assert driver.queue("q").published() == 4


@pytest.mark.parametrize("consumers", [1, 2])
def test_deliveries_and_acknowledgements(driver: Driver, client: Client, consumers: int) -> None:
    client.declare("q")
    for number in range(consumers):
        client.call(BasicConsume("q", f"c{number}"), 1)
    publish(client, 6)
    client.send(BasicAck(1))
    client.send(BasicAck(4, True))
    client.send(BasicNack(5, requeue=True))
    driver.tick()
    expected = {"deliver": 7, "ack": 4, "redeliver": 1}
    assert counted(driver.queue("q").traffic) == expected
    assert counted(channel_of(client)) == {"publish": 6, **expected}


def test_deliveries_without_acknowledgement(driver: Driver, client: Client) -> None:
    client.declare("q")
    client.call(BasicConsume("q", "c", no_ack=True), 2)
    publish(client, 3)
    assert counted(driver.queue("q").traffic) == {"deliver_no_ack": 3}
    assert counted(channel_of(client, 2)) == {"deliver_no_ack": 3}
    client.take()
    client.call(BasicCancel("c"), 2)


def test_gets(driver: Driver, client: Client) -> None:
    client.declare("q")
    publish(client, 3)
    client.fetch("q")
    client.fetch("q", no_ack=False)
    client.send(BasicNack(2, requeue=True))
    client.fetch("q", no_ack=False)
    client.fetch("q")
    assert client.fetch("q") is None
    expected = {"get": 2, "get_no_ack": 2, "get_empty": 1, "redeliver": 1}
    assert counted(driver.queue("q").traffic) == expected
    assert counted(channel_of(client)) == {"publish": 3, **expected}


def test_a_transaction_counts_too(driver: Driver, client: Client) -> None:
    client.declare("q")
    client.call(TxSelect())
    publish(client, 2)
    publish(client, 1, "nowhere")
    client.call(TxCommit())
    assert counted(channel_of(client)) == {"publish": 3, "drop_unroutable": 1}
    client.fetch("q", no_ack=False)
    client.send(BasicAck(1))
    client.call(TxCommit())
    assert counted(channel_of(client))["ack"] == 1
    assert counted(driver.queue("q").traffic) == {"get": 1, "ack": 1}


def test_a_virtual_host_gathers_from_channels_that_are_open_and_that_were(driver: Driver, client: Client) -> None:
    vhost = driver.broker.vhosts["/"]
    client.declare("q")
    publish(client, 3)
    assert counted(vhost.traffic) == {}
    client.connection.channels[1].gather_traffic()
    client.connection.channels[1].gather_traffic()
    assert counted(vhost.traffic) == {"publish": 3}
    publish(client, 2)
    client.call(ChannelClose(200, "", 0, 0))
    assert counted(vhost.traffic) == {"publish": 5}
    client.connection.close_socket()
    assert counted(vhost.traffic) == {"publish": 5}
    assert vhost.octets.received == client.connection.octets.received > 0


def test_octets_that_came_are_counted(driver: Driver, client: Client) -> None:
    before = int(client.connection.octets.received), int(client.connection.octets.reads)
    client.feed(b"")
    client.send(BasicQos(0, 1, False))
    octets = client.connection.octets
    assert (octets.received - before[0], octets.reads - before[1]) == (19, 1)


def test_octets_are_gathered_once() -> None:
    octets, total, poured = Octets(), Octets(), Octets()
    octets.received, octets.sends = 5, 2
    octets.pour_into(total, poured)
    octets.received = 9
    octets.pour_into(total, poured)
    assert (total.received, total.sends) == (9, 2)


def test_what_comes_and_goes(driver: Driver) -> None:
    client = driver.log_in(1, 2)
    client.declare("q")
    client.declare("q")
    client.declare("r")
    driver.broker.vhosts["/"].delete_queue(driver.queue("r"))
    client.call(ChannelClose(200, "", 0, 0), 2)
    churn = driver.broker.churn
    assert (churn.connection_created, churn.connection_closed) == (1, 0)
    assert (churn.channel_created, churn.channel_closed) == (2, 1)
    assert (churn.queue_declared, churn.queue_created, churn.queue_deleted) == (3, 2, 1)
    client.connection.close_socket()
    assert (churn.connection_closed, churn.channel_closed) == (1, 2)


def test_a_stranger_who_says_nothing_is_no_connection(driver: Driver) -> None:
    broker: Broker = driver.broker
    driver.client().connection.close_socket()
    assert (broker.churn.connection_created, broker.churn.connection_closed) == (0, 0)
