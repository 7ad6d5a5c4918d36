"""What a queue does while it is paused, beyond keeping its messages (that is shown through the HTTP API)."""

from __future__ import annotations

import pytest

from leveret.amqp.field_table import table_from_python
from leveret.amqp.methods import BasicAck, BasicConsume, BasicNack, BasicQos, QueueDelete, QueueDeleteOk
from leveret.amqp.properties import BasicProperties
from leveret.broker.pausing import pause, resume
from leveret.broker.publishing import AHEAD_OF_CONSUMERS
from tests.broker.driver import Client, Driver

QUORUM = {"x-queue-type": "quorum"}


def publish(client: Client, *bodies: bytes, expiration: str | None = None) -> None:
    for body in bodies:
        client.publish("", "queue", body, BasicProperties(expiration=expiration))
    client.driver.tick()


def consume(client: Client, tag: str, priority: int = 0) -> None:
    client.send(BasicConsume("queue", tag, arguments=table_from_python({"x-priority": priority})))
    client.driver.tick()
    client.take()


def test_asking_a_paused_queue_for_messages_is_a_use_of_it(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments={"x-expires": 1000})
    pause(driver.queue("queue"))
    for now in (0.9, 1.8, 2.7):
        driver.at(now)
        assert client.fetch("queue") is None
    driver.at(3.6)
    assert driver.queue_names() == {"queue"}
    driver.at(3.8)
    assert driver.queue_names() == set()


def test_publishers_are_not_slowed_for_consumers_that_may_not_have_messages(driver: Driver, client: Client) -> None:
    client.declare("queue")
    consume(client, "tag")
    pause(driver.queue("queue"))
    publish(client, *[bytes(1024 * 1024)] * (int(AHEAD_OF_CONSUMERS) // 1024 // 1024 + 1))
    assert not client.connection.outran_consumers


def test_what_is_paused_expires_and_goes_to_the_dead_letter_exchange(driver: Driver, client: Client) -> None:
    client.declare("dead")
    client.declare("queue", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    consume(client, "tag")
    pause(driver.queue("queue"))
    publish(client, b"late", expiration="0")
    assert client.bodies() == []
    driver.at(0.001)
    assert (driver.counts("queue"), driver.counts("dead")) == ((0, 0), (1, 0))


@pytest.mark.parametrize("overflow", ["drop-head", "reject-publish"])
def test_a_paused_queue_is_no_longer_than_it_may_be(driver: Driver, client: Client, overflow: str) -> None:
    client.declare("queue", arguments={"x-max-length": 2, "x-overflow": overflow})
    consume(client, "tag")
    pause(driver.queue("queue"))
    publish(client, b"1", b"2", b"3")
    resume(driver.queue("queue"))
    driver.tick()
    assert client.bodies() == ([b"2", b"3"] if overflow == "drop-head" else [b"1", b"2"])


@pytest.mark.parametrize("arguments", [{}, QUORUM])
def test_what_comes_back_to_a_paused_queue_waits_in_its_old_place(
    driver: Driver, client: Client, arguments: dict[str, object]
) -> None:
    client.declare("queue", arguments=arguments)
    client.send(BasicQos(0, 1, False))
    consume(client, "tag")
    publish(client, b"1", b"2")
    assert client.bodies() == [b"1"]
    pause(driver.queue("queue"))
    client.send(BasicNack(1, False, True))
    driver.tick()
    assert (client.bodies(), driver.counts("queue")) == ([], (2, 0))
    resume(driver.queue("queue"))
    driver.tick()
    assert client.bodies() == [b"1"]


def test_the_single_active_consumer_changes_while_a_queue_is_paused(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments={**QUORUM, "x-single-active-consumer": True})
    consume(client, "first")
    publish(client, b"1")
    assert client.bodies() == [b"1"]
    pause(driver.queue("queue"))
    publish(client, b"2")
    consume(client, "second", priority=1)
    client.send(BasicAck(1, False))
    driver.tick()
    assert client.bodies() == []
    resume(driver.queue("queue"))
    driver.tick()
    assert [received.method.consumer_tag for received in client.take()] == ["second"]  # type: ignore[attr-defined]


def test_a_paused_queue_is_deleted_and_its_name_is_free(driver: Driver, client: Client) -> None:
    client.declare("queue")
    pause(driver.queue("queue"))
    publish(client, b"gone")
    assert client.refusal(QueueDelete("queue", if_empty=True))[0] == 406
    other = driver.log_in()
    assert other.call(QueueDelete("queue", if_unused=True)).method == QueueDeleteOk(1)
    other.declare("queue")
    publish(other, b"here")
    received = other.fetch("queue")
    assert received is not None
    assert received.body == b"here"
