"""A single active consumer: who it is, and how its turn ends."""

from __future__ import annotations

from collections.abc import Sequence

from leveret.amqp.field_table import table_from_python
from leveret.amqp.methods import BasicAck, BasicCancel, BasicConsume, BasicNack, BasicQos
from tests.broker.driver import Client, Driver

QUORUM = {"x-queue-type": "quorum", "x-single-active-consumer": True}
CLASSIC = {"x-single-active-consumer": True}


def consume(client: Client, tag: str, priority: int = 0, channel: int = 1, prefetch: int = 1) -> None:
    client.send(BasicQos(0, prefetch, False), channel)
    client.send(BasicConsume("queue", tag, arguments=table_from_python({"x-priority": priority})), channel)
    client.driver.tick()


def publish(client: Client, bodies: Sequence[bytes]) -> None:
    for body in bodies:
        client.publish("", "queue", body)
    client.driver.tick()


def deliveries(client: Client) -> list[tuple[str, bytes]]:
    """Consumer tag and body of what was delivered since this was last asked."""
    return [
        (received.method.consumer_tag, received.body)  # type: ignore[attr-defined]
        for received in client.take()
        if received.body is not None
    ]


def test_the_turn_goes_to_the_highest_priority_and_then_to_the_longest_waiting(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments=CLASSIC)
    for tag, priority in (("first", 0), ("low", -1), ("second", 0), ("high", 5)):
        consume(client, tag, priority)
    for tag in ("first", "high", "second", "low"):
        publish(client, [tag.encode()])
        assert deliveries(client) == [(tag, tag.encode())]
        client.send(BasicCancel(tag))
    publish(client, [b"nobody's"])
    assert driver.counts("queue")[0] == 1


def test_a_higher_priority_takes_over_when_the_active_one_has_settled(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments=QUORUM)
    consume(client, "low", 0, prefetch=2)
    publish(client, [b"1", b"2", b"3"])
    assert deliveries(client) == [("low", b"1"), ("low", b"2")]
    consume(client, "high", 5, channel=2)
    client.send(BasicAck(1))
    driver.tick()
    assert deliveries(client) == []
    client.send(BasicNack(2, False, True))
    driver.tick()
    assert deliveries(client) == [("high", b"2")]


def test_what_a_cancelled_consumer_still_held_ends_nobodys_turn(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments=QUORUM)
    consume(client, "gone", 0)
    publish(client, [b"1", b"2", b"3"])
    client.send(BasicCancel("gone"))
    consume(client, "low", 0, channel=2)
    consume(client, "high", 5)
    assert deliveries(client) == [("gone", b"1"), ("low", b"2")]
    client.send(BasicAck(1))  # what the cancelled consumer held
    driver.tick()
    assert deliveries(client) == []
    client.send(BasicAck(1), 2)
    driver.tick()
    assert deliveries(client) == [("high", b"3")]


def test_a_consumer_that_lost_its_turn_while_it_had_no_room_gets_it_again(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments=QUORUM)
    consume(client, "low", 0)
    publish(client, [b"1", b"2", b"3"])  # it has no room for the second and third
    consume(client, "high", 5, channel=2)
    client.send(BasicAck(1))
    driver.tick()
    assert deliveries(client) == [("low", b"1"), ("high", b"2")]
    client.send(BasicCancel("high"), 2)
    driver.tick()
    assert deliveries(client) == [("low", b"3")]
    client.send(BasicAck(2))
    client.send(BasicAck(1), 2)
    publish(client, [b"4"])
    assert deliveries(client) == [("low", b"4")]


def test_the_active_one_may_end_while_it_hands_over(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments=QUORUM)
    consume(client, "low", 0)
    publish(client, [b"1"])
    consume(client, "high", 5, channel=2)
    assert deliveries(client) == [("low", b"1")]
    client.send(BasicCancel("low"))
    publish(client, [b"2"])
    assert deliveries(client) == [("high", b"2")]
    client.send(BasicNack(1, False, True))
    client.send(BasicAck(1), 2)
    driver.tick()
    assert deliveries(client) == [("high", b"1")]
