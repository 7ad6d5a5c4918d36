"""Consumer timeout, with the clock held still: when it comes, what it takes away, and that nothing piles up."""

from __future__ import annotations

from leveret.amqp.field_table import table_from_python
from leveret.amqp.methods import BasicAck, BasicCancel, BasicConsume, BasicNack, ChannelClose, ChannelOpen
from leveret.broker.queue_settings import effective_settings
from tests.broker.driver import Client, Driver, refused

TIMEOUT = {"x-consumer-timeout": 1000}


def consume(client: Client, timeout: int | None = 1000, tag: str = "tag") -> None:
    arguments: dict[str, object] = {} if timeout is None else {"x-consumer-timeout": timeout}
    client.send(BasicConsume("queue", tag, arguments=table_from_python(arguments)))
    client.driver.tick()


def publish(client: Client, count: int = 1) -> None:
    for _ in range(count):
        client.publish("", "queue")
    client.driver.tick()


def names(client: Client) -> list[str]:
    return [received.method.name for received in client.take()]


def test_each_delivery_has_its_own_time(driver: Driver, client: Client) -> None:
    client.declare("queue")
    consume(client)
    publish(client)
    driver.at(0.6)
    publish(client)
    client.send(BasicAck(1))
    driver.at(1.599)
    assert names(client) == ["basic.consume-ok", "basic.deliver", "basic.deliver"]
    driver.at(1.6)
    assert names(client) == ["basic.cancel"]
    assert driver.counts("queue") == (1, 0)


def test_settling_what_was_taken_back_is_no_error_but_once(driver: Driver, client: Client) -> None:
    client.declare("queue")
    consume(client)
    publish(client, 2)
    driver.at(1.0)
    client.take()
    client.send(BasicAck(1))
    client.send(BasicNack(2, False, False))
    driver.tick()
    assert client.take() == []
    assert driver.counts("queue") == (2, 0)
    client.send(BasicAck(1))
    driver.tick()
    assert refused(client.take()[0]) == (406, "unknown delivery tag 1")


def test_a_timeout_does_not_count_towards_the_delivery_limit_whatever_the_client_knows(driver: Driver) -> None:
    client = driver.client().log_in((1,), capabilities=())
    client.declare("queue", arguments={"x-queue-type": "quorum", "x-delivery-limit": 0})
    consume(client)
    publish(client)
    driver.at(1.0)
    assert refused(client.take()[-1])[0] == 406
    assert driver.counts("queue") == (1, 0)


def test_a_policy_may_shorten_the_time_of_a_consumer(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments={"x-consumer-timeout": 100_000})
    consume(client, None)
    publish(client)
    queue = driver.queue("queue")
    queue.apply(effective_settings(table_from_python({"x-consumer-timeout": 500}), {}, {}))
    driver.at(0.5)
    assert names(client)[-1] == "basic.cancel"


def test_without_a_timeout_any_more_nothing_is_taken_back(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments=TIMEOUT)
    waiting = driver.broker.timers.waiting
    consume(client, None)
    publish(client)
    driver.queue("queue").apply(effective_settings({}, {}, {}))
    assert driver.broker.timers.waiting == waiting
    driver.at(100.0)
    assert driver.counts("queue") == (0, 1)


def test_what_is_settled_does_not_pile_up_until_its_time(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments={"x-consumer-timeout": 1_000_000})
    consume(client)
    consumer = next(iter(driver.queue("queue").consumers))
    waiting = driver.broker.timers.waiting
    publish(client)  # and never settled
    for tag in range(2, 1000):
        publish(client)
        client.send(BasicAck(tag))
    driver.tick()
    assert len(consumer.acknowledgement_timeout._delivered) < 200
    assert driver.broker.timers.waiting == waiting + 1


def test_what_was_fetched_and_settled_does_not_pile_up(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments=TIMEOUT)
    waiting = driver.broker.timers.waiting
    publish(client, 500)
    for tag in range(1, 501):
        client.fetch("queue", no_ack=False)
        client.send(BasicAck(tag))
    driver.tick()
    assert driver.broker.timers.waiting <= waiting + 1


def test_what_was_fetched_times_out_with_its_channel(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments=TIMEOUT)
    client.declare("slow", arguments={"x-consumer-timeout": 60_000})
    client.publish("", "slow")
    publish(client)
    client.fetch("slow", no_ack=False)
    client.fetch("queue", no_ack=False)
    driver.at(0.999)
    assert client.take() == []
    driver.at(1.0)
    code, text = refused(client.take()[0])
    assert code == 406
    assert text.startswith("delivery acknowledgement on channel 1 timed out. Timeout value used: 1000 ms.")
    assert driver.counts("queue") == (1, 0)


def test_a_channel_that_closed_leaves_no_timer(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments=TIMEOUT)
    waiting = driver.broker.timers.waiting
    publish(client, 2)
    client.fetch("queue", no_ack=False)
    consume(client)
    assert driver.broker.timers.waiting == waiting + 2
    client.send(BasicCancel("tag"))
    client.send(ChannelClose(200, ""))
    client.send(ChannelOpen())
    driver.tick()
    assert driver.broker.timers.waiting == waiting
    driver.at(10.0)
    assert names(client)[-1] == "channel.open-ok"
