"""Messages that come back to a queue with a delayed retry: how long they wait, and what they are meanwhile."""

from __future__ import annotations

import pytest

from leveret.amqp.methods import BasicAck, BasicConsume, BasicNack, BasicQos, BasicReject, QueueDelete, QueuePurge
from leveret.broker.delayed_retry import BACK_AT_ONCE
from leveret.broker.policy import make_policy
from tests.broker.driver import Client, Driver

MINIMUM, MAXIMUM = 100, 250


@pytest.fixture
def client() -> Client:
    return Driver().log_in()


def declare(client: Client, type: str, quorum: bool = True, **others: object) -> None:
    arguments = {"x-delayed-retry-type": type, "x-delayed-retry-min": MINIMUM, "x-delayed-retry-max": MAXIMUM}
    if quorum:
        arguments["x-queue-type"] = "quorum"
    client.declare("queue", arguments={**arguments, **{f"x-{k.replace('_', '-')}": v for k, v in others.items()}})


def waiting(client: Client) -> int:
    retries = client.driver.queue("queue").retries
    return 0 if retries is None else retries.count()


def fail(client: Client) -> int:
    """Fetch the message and reject it, which counts; gives its delivery count."""
    return give_back(client, True)


def give_back(client: Client, counted: bool) -> int:
    received = client.fetch("queue", no_ack=False)
    assert received is not None
    assert received.properties is not None
    tag: int = received.method.delivery_tag  # type: ignore[attr-defined]
    client.send(BasicReject(tag, True) if counted else BasicNack(tag, False, True))
    client.driver.tick()
    count = (received.properties.headers or {}).get("x-delivery-count")
    return 0 if count is None else int(str(count.value))


@pytest.mark.parametrize("quorum", [True, False])
def test_the_wait_grows_with_each_failure_up_to_the_maximum(client: Client, quorum: bool) -> None:
    declare(client, "failed", quorum)
    client.publish("", "queue", b"message")
    client.driver.tick()
    now = 0.0
    for number, wait in enumerate((100, 200, 250, 250)):
        assert fail(client) == number
        assert (waiting(client), client.driver.counts("queue")) == (1, (0, 0))
        client.driver.at(now + (wait - 1) / 1000)
        assert client.fetch("queue") is None
        now += (wait + 1) / 1000
        client.driver.at(now)
        assert (waiting(client), client.driver.counts("queue")) == (0, (1, 0))
    assert fail(client) == 4


@pytest.mark.parametrize(
    ("type", "counted", "waits"),
    [
        ("failed", True, True),
        ("failed", False, False),
        ("returned", True, False),
        ("returned", False, True),
        ("all", True, True),
        ("all", False, True),
        ("disabled", True, False),
        ("disabled", False, False),
    ],
)
def test_the_type_says_which_returns_wait(client: Client, type: str, counted: bool, waits: bool) -> None:
    declare(client, type)
    client.publish("", "queue", b"message")
    client.driver.tick()
    for _ in range(2):
        give_back(client, counted)
        assert (waiting(client), client.driver.counts("queue")) == ((1, (0, 0)) if waits else (0, (1, 0)))
        client.driver.at(client.driver.now + 1)
        assert client.driver.counts("queue") == (1, 0)


def test_without_a_minimum_or_with_a_maximum_of_0_nothing_waits(client: Client) -> None:
    for name, arguments in (("a", {"type": "all"}), ("b", {"type": "all", "min": 100, "max": 0})):
        client.declare(name, arguments={f"x-delayed-retry-{key}": value for key, value in arguments.items()})
        client.publish("", name, b"message")
        received = client.fetch(name, no_ack=False)
        assert received is not None
        client.send(BasicReject(received.method.delivery_tag, True))  # type: ignore[attr-defined]
        client.driver.tick()
        assert client.driver.counts(name) == (1, 0)


def test_the_others_are_delivered_meanwhile_and_the_old_place_is_kept(client: Client) -> None:
    declare(client, "failed")
    for body in (b"one", b"two", b"three"):
        client.publish("", "queue", body)
    client.driver.tick()
    fail(client)
    received = client.fetch("queue")
    assert received is not None
    assert received.body == b"two"
    client.driver.at(0.101)
    assert [client.fetch("queue").body for _ in range(2)] == [b"one", b"three"]  # type: ignore[union-attr]


def test_a_consumer_gets_it_again_and_an_acknowledgement_ends_it(client: Client) -> None:
    declare(client, "failed")
    client.call(BasicConsume("queue"))
    client.publish("", "queue", b"message")
    client.driver.tick()
    client.send(BasicReject(client.take()[0].method.delivery_tag, True))  # type: ignore[attr-defined]
    client.driver.tick()
    assert client.take() == []
    client.driver.at(0.101)
    (again,) = client.take()
    assert again.method.redelivered  # type: ignore[attr-defined]
    client.send(BasicAck(again.method.delivery_tag, False))  # type: ignore[attr-defined]
    client.driver.tick()
    assert (waiting(client), client.driver.counts("queue")) == (0, (0, 0))
    counts = client.driver.queue("queue").counts
    assert counts is not None
    assert counts.count(0) == 0


def test_the_delivery_limit_goes_first(client: Client) -> None:
    client.declare("letters")
    declare(client, "failed", delivery_limit=1, dead_letter_exchange="", dead_letter_routing_key="letters")
    client.publish("", "queue", b"message")
    client.driver.tick()
    fail(client)
    client.driver.at(1)
    fail(client)
    assert (waiting(client), client.driver.counts("letters")) == (0, (1, 0))


def test_what_a_lost_client_had_waits(client: Client) -> None:
    declare(client, "failed")
    other = client.driver.log_in()
    for _ in range(3):
        client.publish("", "queue", b"message")
    client.driver.tick()
    other.call(BasicQos(0, 2))
    other.send(BasicConsume("queue"))
    client.driver.tick()
    other.lose()
    client.driver.tick()
    assert (waiting(client), client.driver.counts("queue")) == (2, (1, 0))
    client.driver.at(0.101)
    assert client.driver.counts("queue") == (3, 0)


def test_many_become_ready_in_portions(client: Client) -> None:
    declare(client, "returned")
    count = 2 * BACK_AT_ONCE + 10
    for number in range(count):
        client.publish("", "queue", b"%d" % number)
    client.driver.tick()
    for _ in range(count):
        assert client.fetch("queue", no_ack=False) is not None
    client.send(BasicNack(0, True, True))
    client.driver.tick()
    assert waiting(client) == count
    timers = client.driver.broker.timers
    client.driver.now = 0.101
    left = []
    while waiting(client):
        timers.run(0.101)
        left.append(waiting(client))
    assert left == [count - BACK_AT_ONCE, count - 2 * BACK_AT_ONCE, 0]
    client.driver.tick()
    assert [client.fetch("queue").body for _ in range(count)] == [b"%d" % n for n in range(count)]  # type: ignore


def test_purge_and_deletion_drop_what_waits(client: Client) -> None:
    for method in (QueuePurge("queue"), QueueDelete("queue")):
        declare(client, "failed")
        client.publish("", "queue", b"message")
        client.driver.tick()
        fail(client)
        queue = client.driver.queue("queue")
        client.call(method)
        assert queue.retries is not None
        assert queue.retries.count() == 0
        client.driver.at(client.driver.now + 1)
        assert queue.ready_count() == 0


def test_a_policy_sets_it_and_takes_it_away(client: Client) -> None:
    client.declare("queue", arguments={"x-queue-type": "quorum"})
    vhost = client.driver.broker.vhosts["/"]
    definition: dict[str, object] = {"delayed-retry-type": "all", "delayed-retry-min": MINIMUM}
    vhost.policies.set(make_policy("p", ".*", "queues", definition, 0, False), False)
    list(vhost.reapply_policies())
    client.publish("", "queue", b"message")
    client.driver.tick()
    fail(client)
    assert waiting(client) == 1
    vhost.policies.clear("p", False)
    list(vhost.reapply_policies())
    client.driver.at(0.101)
    assert client.driver.counts("queue") == (1, 0)
    fail(client)
    assert (waiting(client), client.driver.counts("queue")) == (0, (1, 0))
