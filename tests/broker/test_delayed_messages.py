"""Exchanges that delay messages, to the millisecond: the clock stands still unless the test moves it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from leveret.amqp.field_table import FieldValue, Table, table_from_python
from leveret.amqp.methods import (
    BasicConsume,
    BasicPublish,
    ConfirmSelect,
    ExchangeBind,
    ExchangeDeclare,
    ExchangeDelete,
    QueueBind,
    QueueDeclare,
    QueueDelete,
    QueuePurge,
    TxCommit,
    TxRollback,
    TxSelect,
)
from leveret.amqp.properties import BasicProperties
from leveret.broker.delay_queue import MOVES_AT_ONCE
from leveret.broker.policy import make_policy
from tests.broker.driver import Client, Driver, publish_frames, refused

NO_TYPE = "Invalid argument, 'x-delayed-type' must be an existing exchange type"


@pytest.fixture
def client() -> Client:
    client = Driver().log_in()
    declare(client)
    client.declare("queue")
    client.call(QueueBind("queue", "delayed", "key"))
    return client


def declare(client: Client, name: str = "delayed", routes_as: str = "direct", **arguments: str) -> None:
    table = table_from_python({"x-delayed-type": routes_as, **{k.replace("_", "-"): v for k, v in arguments.items()}})
    client.call(ExchangeDeclare(name, "x-delayed-message", arguments=table))


def delayed(milliseconds: object) -> BasicProperties:
    return BasicProperties(headers=table_from_python({"x-delay": milliseconds}))


def with_header(value: FieldValue) -> BasicProperties:
    return BasicProperties(headers={"x-delay": value})


def bodies(client: Client, queue: str = "queue") -> list[bytes]:
    """Everything in a queue."""
    found: list[bytes] = []
    while (received := client.fetch(queue)) is not None:
        assert received.body is not None
        found.append(received.body)
    return found


def waiting(client: Client, exchange: str = "delayed") -> int:
    queue = client.driver.broker.vhosts["/"].exchanges[exchange].delay_queue
    return 0 if queue is None else queue.ready_count()


def set_policy(client: Client, definition: dict[str, object], pattern: str = ".*") -> None:
    vhost = client.driver.broker.vhosts["/"]
    vhost.policies.set(make_policy("policy", pattern, "exchanges", definition, 0, False), False)
    for _ in vhost.reapply_policies():
        pass


def clear_policy(client: Client) -> None:
    vhost = client.driver.broker.vhosts["/"]
    vhost.policies.clear("policy", False)
    for _ in vhost.reapply_policies():
        pass


# the exchange type


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, NO_TYPE),
        ({"x-delayed-type": 5}, NO_TYPE),
        ({"x-delayed-type": "x-delayed-message"}, NO_TYPE),
        ({"x-delayed-type": "nonsense"}, "unknown exchange type 'nonsense'"),
        (
            {"x-delayed-type": "x-consistent-hash", "hash-header": 5},
            "Unsupported header: 5",
        ),
    ],
)
def test_the_type_that_it_routes_as_has_to_be_told(client: Client, arguments: dict[str, object], text: str) -> None:
    method = ExchangeDeclare("x", "x-delayed-message", arguments=table_from_python(arguments))
    assert client.refusal(method) == (406, text)


@pytest.mark.parametrize("routes_as", ["direct", "fanout", "topic", "headers", "x-random", "x-recent-history"])
def test_it_routes_as_any_type_now_and_later(client: Client, routes_as: str) -> None:
    declare(client, "x", routes_as)
    client.call(QueueBind("queue", "x", "key"))
    client.publish("x", "key", b"now")
    client.publish("x", "key", b"later", delayed(1))
    client.driver.tick()
    assert bodies(client) == [b"now"]
    client.driver.at(0.001)
    assert bodies(client) == [b"later"]


def test_a_redeclare_has_to_name_the_type_and_may_differ_in_the_other(client: Client) -> None:
    client.call(ExchangeDeclare("delayed", "x-delayed-message"))
    assert client.refusal(ExchangeDeclare("delayed", "direct")) == (
        406,
        "inequivalent arg 'type' for exchange 'delayed' in vhost '/': "
        "received 'direct' but current is 'x-delayed-message'",
    )


# the header


@pytest.mark.parametrize(
    ("value", "due"),
    [
        (FieldValue("I", 70), 70),
        (FieldValue("l", 70), 70),
        (FieldValue("b", 70), 70),
        (FieldValue("B", 200), 200),
        (FieldValue("s", 300), 300),
        (FieldValue("S", "70"), 70),
        (FieldValue("S", "+70"), 70),
        (FieldValue("d", 70.9), 70),
        (FieldValue("f", 70.0), 70),
        (FieldValue("D", Decimal("7.5")), 7),
        (FieldValue("l", 2**32), 2**32),
        (FieldValue("l", 60 * 24 * 3600 * 1000), 60 * 24 * 3600 * 1000),
    ],
)
def test_a_message_comes_when_its_time_is_over(client: Client, value: FieldValue, due: int) -> None:
    client.publish("delayed", "key", b"message", with_header(value))
    client.driver.tick()
    client.driver.at((due - 1) / 1000)
    assert (bodies(client), waiting(client)) == ([], 1)
    client.driver.at(due / 1000)
    assert (bodies(client), waiting(client)) == ([b"message"], 0)


@pytest.mark.parametrize(
    "value",
    [
        FieldValue("I", 0),
        FieldValue("I", -5),
        FieldValue("S", "-5"),
        FieldValue("S", ""),
        FieldValue("S", "5 "),
        FieldValue("S", "soon"),
        FieldValue("S", "\u0663"),
        FieldValue("S", "9" * 5000),
        FieldValue("d", float("nan")),
        FieldValue("d", float("inf")),
        FieldValue("d", 0.9),
        FieldValue("t", True),
        FieldValue("T", 5),
        FieldValue("V", None),
        FieldValue("F", {}),
    ],
)
def test_what_is_no_time_to_wait_comes_at_once_and_unchanged(client: Client, value: FieldValue) -> None:
    client.publish("delayed", "key", b"message", with_header(value))
    received = client.fetch("queue")
    assert received is not None
    assert received.properties is not None
    header = (received.properties.headers or {})["x-delay"]
    assert (header.kind, str(header.value)) == (value.kind, str(value.value))


@pytest.mark.parametrize("value", [FieldValue("l", 2**63 - 1), FieldValue("S", "9" * 30), FieldValue("d", 1e300)])
def test_the_longest_delays_never_end(client: Client, value: FieldValue) -> None:
    client.publish("delayed", "key", b"never", with_header(value))
    client.publish("delayed", "key", b"soon", delayed(1))
    client.driver.tick()
    client.driver.at(80 * 365 * 24 * 3600.0)
    assert (bodies(client), waiting(client)) == ([b"soon"], 1)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (FieldValue("I", 70), FieldValue("I", -70)),
        (FieldValue("S", "70"), FieldValue("I", -70)),
        (FieldValue("d", 70.9), FieldValue("I", -70)),
        (FieldValue("l", 2**31), FieldValue("I", -(2**31))),
        (FieldValue("l", 2**31 + 1), FieldValue("l", -(2**31) - 1)),
    ],
)
def test_the_header_of_a_message_that_has_waited_is_negated(
    client: Client, value: FieldValue, shown: FieldValue
) -> None:
    headers: Table = {"a": FieldValue("S", "1"), "x-delay": value, "z": FieldValue("S", "2")}
    client.publish("delayed", "key", b"", BasicProperties(headers=headers, message_id="id", delivery_mode=1))
    client.driver.tick()
    client.driver.at(2**31 / 1000 + 1)
    received = client.fetch("queue")
    assert received is not None
    assert received.properties == BasicProperties(
        headers={**headers, "x-delay": shown}, message_id="id", delivery_mode=1
    )


# order, and many at once


def test_messages_come_in_the_order_in_which_they_are_due(client: Client) -> None:
    for delay in (50, 10, 30, 10, 50, 1, 10):
        client.publish("delayed", "key", b"%d" % delay, delayed(delay))
    client.call(BasicConsume("queue", no_ack=True))
    client.take()
    client.driver.at(1)
    assert client.bodies() == [b"1", b"10", b"10", b"10", b"30", b"50", b"50"]


def test_many_that_are_due_at_once_are_moved_in_portions(client: Client) -> None:
    count = 2 * MOVES_AT_ONCE + 100
    for number in range(count):
        client.publish("delayed", "key", b"%d" % number, delayed(10))
    client.driver.tick()
    driver = client.driver
    driver.now = 0.01
    driver.broker.timers.run(0.01)
    left = []
    while waiting(client):
        driver.single_tick()
        left.append(waiting(client))
        driver.broker.timers.run(0.01)
    assert [count - MOVES_AT_ONCE, count - 2 * MOVES_AT_ONCE, 0] == left
    driver.tick()
    assert bodies(client) == [b"%d" % number for number in range(count)]


def test_large_headers_make_the_portions_smaller(client: Client) -> None:
    keys = table_from_python({"x-delay": 10, "CC": ["x" * 250] * 250})
    for _ in range(10):
        client.publish("delayed", "key", b"message", BasicProperties(headers=keys))
    client.driver.tick()
    driver = client.driver
    driver.now = 0.01
    driver.broker.timers.run(0.01)
    driver.single_tick()
    assert waiting(client) == 6
    driver.tick()
    driver.at(0.01)
    assert len(bodies(client)) == 10


# what is bound when it is due


def test_what_is_bound_when_it_is_due_counts(client: Client) -> None:
    client.publish("delayed", "other", b"message", delayed(10))
    client.driver.tick()
    client.call(QueueBind("queue", "delayed", "other"))
    client.driver.at(0.01)
    assert bodies(client) == [b"message"]


def test_one_that_leads_nowhere_when_it_is_due_goes_to_the_alternate_exchange(client: Client) -> None:
    client.call(ExchangeDeclare("others", "fanout"))
    client.call(QueueBind("queue", "others", ""))
    declare(client, "x", alternate_exchange="others")
    client.publish("x", "nowhere", b"message", delayed(10))
    client.driver.tick()
    assert bodies(client) == []
    client.driver.at(0.01)
    assert bodies(client) == [b"message"]


def test_keys_of_cc_and_bcc_count_when_it_is_due(client: Client) -> None:
    for queue in ("cc", "bcc"):
        client.declare(queue)
        client.call(QueueBind(queue, "delayed", queue))
    headers = table_from_python({"x-delay": 10, "CC": ["cc"], "BCC": ["bcc"]})
    client.publish("delayed", "key", b"message", BasicProperties(headers=headers))
    client.driver.tick()
    assert [bodies(client, queue) for queue in ("queue", "cc", "bcc")] == [[], [], []]
    client.driver.at(0.01)
    received = client.fetch("bcc")
    assert received is not None
    assert received.properties is not None
    assert list(received.properties.headers or {}) == ["x-delay", "CC"]
    assert [bodies(client, queue) for queue in ("queue", "cc")] == [[b"message"], [b"message"]]


def test_an_exchange_before_it_or_behind_it_changes_nothing(client: Client) -> None:
    """A message is delayed once, by the first exchange that delays."""
    client.call(ExchangeDeclare("before", "fanout"))
    declare(client, "behind", "fanout")
    client.declare("end")
    client.declare("aside")
    client.call(QueueBind("aside", "before", ""))
    client.call(QueueBind("end", "behind", ""))
    client.call(ExchangeBind("delayed", "before", ""))
    client.call(ExchangeBind("behind", "delayed", "key"))
    client.publish("before", "key", b"message", delayed(10))
    client.driver.tick()
    assert [bodies(client, queue) for queue in ("aside", "queue", "end")] == [[b"message"], [], []]
    client.driver.at(0.01)
    assert [bodies(client, queue) for queue in ("aside", "queue", "end")] == [[], [b"message"], [b"message"]]


def test_an_expiration_counts_from_when_it_is_due(client: Client) -> None:
    properties = delayed(100)
    properties.expiration = "50"
    client.publish("delayed", "key", b"message", properties)
    client.driver.tick()
    client.driver.at(0.149)
    assert client.driver.counts("queue") == (1, 0)
    client.driver.at(0.2)
    assert client.driver.counts("queue") == (0, 0)


def test_a_dead_letter_waits_in_the_exchange_that_it_goes_to(client: Client) -> None:
    client.declare("dying", arguments={"x-dead-letter-exchange": "delayed", "x-dead-letter-routing-key": "key"})
    properties = delayed(100)
    properties.expiration = "50"
    client.publish("", "dying", b"message", properties)
    client.driver.tick()
    client.driver.at(0.149)
    assert (client.driver.counts("queue"), waiting(client)) == ((0, 0), 1)
    client.driver.at(0.151)
    assert bodies(client) == [b"message"]


# publishing


def test_a_delayed_message_is_confirmed_and_never_returned(client: Client) -> None:
    client.call(ConfirmSelect())
    client.publish("delayed", "nowhere", b"", delayed(10), mandatory=True)
    client.driver.tick()
    client.driver.at(1)
    assert [received.method.name for received in client.take()] == ["basic.ack"]
    client.publish("delayed", "nowhere", b"", delayed(0), mandatory=True)
    client.driver.tick()
    assert [received.method.name for received in client.take()] == ["basic.return", "basic.ack"]


def test_a_transaction_delays_from_its_commit_on(client: Client) -> None:
    client.call(TxSelect())
    client.publish("delayed", "key", b"message", delayed(100))
    client.driver.tick()
    client.driver.at(0.2)
    assert waiting(client) == 0
    client.call(TxCommit())
    client.driver.at(0.299)
    assert bodies(client) == []
    client.driver.at(0.301)
    assert bodies(client) == [b"message"]
    client.publish("delayed", "key", b"message", delayed(100))
    client.call(TxRollback())
    assert waiting(client) == 0


def test_a_commit_after_the_exchange_is_gone_drops_the_message(client: Client) -> None:
    other = client.driver.log_in()
    client.call(TxSelect())
    client.publish("delayed", "key", b"message", delayed(100))
    client.driver.tick()
    other.call(ExchangeDelete("delayed"))
    declare(other)
    assert client.call(TxCommit()).method.name == "tx.commit-ok"
    assert waiting(client) == 0


# the exchange goes


def test_what_waits_goes_with_the_exchange(client: Client) -> None:
    client.publish("delayed", "key", b"message", delayed(100))
    client.driver.tick()
    client.call(ExchangeDelete("delayed"))
    declare(client)
    client.call(QueueBind("queue", "delayed", "key"))
    assert waiting(client) == 0
    client.driver.at(1)
    assert bodies(client) == []


def test_what_waits_is_no_hindrance_to_deleting_an_unused_exchange(client: Client) -> None:
    declare(client, "x")
    client.publish("x", "key", b"message", delayed(100))
    client.call(ExchangeDelete("x", if_unused=True))
    assert "x" not in client.driver.broker.vhosts["/"].exchanges


# clients can't reach the queue


def test_the_queue_is_out_of_reach(client: Client) -> None:
    client.publish("delayed", "key", b"message", delayed(100))
    client.driver.tick()
    name = "amq.delayed-delayed"
    absent = (404, f"no queue '{name}' in vhost '/'")
    reserved = (403, f"queue name '{name}' contains reserved prefix 'amq.*'")
    for method, refusal in (
        (QueueDeclare(name), reserved),
        (QueueDeclare(name, passive=True), absent),
        (QueueBind(name, "amq.direct", ""), absent),
        (QueuePurge(name), absent),
        (BasicConsume(name), absent),
    ):
        other = client.driver.log_in()
        assert other.refusal(method) == refusal
    client.call(QueueDelete(name))
    client.call(TxSelect())
    client.publish("", name, b"intruder")
    client.call(TxCommit())
    assert waiting(client) == 1
    client.driver.at(0.1)
    assert bodies(client) == [b"message"]


# exchanges of other types


def test_an_argument_has_any_exchange_delay(client: Client) -> None:
    for name, value in (("yes", True), ("no", False)):
        client.call(ExchangeDeclare(name, "fanout", arguments=table_from_python({"x-delayed-exchange": value})))
        client.call(QueueBind("queue", name, ""))
        client.publish(name, "", name.encode(), delayed(10))
    client.driver.tick()
    assert bodies(client) == [b"no"]
    client.driver.at(0.01)
    assert bodies(client) == [b"yes"]


def test_a_policy_has_any_exchange_delay_as_long_as_it_holds(client: Client) -> None:
    client.call(QueueBind("queue", "amq.topic", "#"))

    def publish(body: bytes) -> None:
        client.publish("amq.topic", "key", body, delayed(10))
        client.driver.tick()

    publish(b"before")
    set_policy(client, {"delayed-message": True}, "^amq.topic$")
    publish(b"during")
    clear_policy(client)
    publish(b"after")
    assert bodies(client) == [b"before", b"after"]
    client.driver.at(0.01)
    assert bodies(client) == [b"during"]
    set_policy(client, {"delayed-message": False}, "^amq.topic$")
    publish(b"not")
    assert bodies(client) == [b"not"]


def test_a_policy_has_the_default_exchange_delay(client: Client) -> None:
    set_policy(client, {"delayed-message": True})
    client.call(TxSelect())
    client.publish("", "queue", b"message", delayed(10))
    client.call(TxCommit())
    assert bodies(client) == []
    client.driver.at(0.01)
    client.call(TxCommit())
    assert bodies(client) == [b"message"]


def test_a_history_remembers_a_message_when_it_is_due(client: Client) -> None:
    declare(client, "history", "x-recent-history")
    client.publish("history", "", b"message", delayed(10))
    client.driver.tick()
    client.call(QueueBind("queue", "history", ""))
    assert bodies(client) == []
    client.driver.at(0.01)
    assert bodies(client) == [b"message"]
    client.declare("late")
    client.call(QueueBind("late", "history", ""))
    assert bodies(client, "late") == [b"message"]


def test_a_message_with_a_malformed_header_is_refused_as_everywhere(client: Client) -> None:
    client.publish("delayed", "key", b"", BasicProperties(headers=table_from_python({"x-delay": 5, "CC": "no"})))
    client.driver.tick()
    assert refused(client.take()[0])[0] == 406


def test_a_duplicate_is_dropped_when_it_is_published_and_the_first_one_comes(client: Client) -> None:
    arguments = {"x-delayed-type": "fanout", "x-message-deduplication": True}
    client.call(ExchangeDeclare("once", "x-delayed-message", arguments=table_from_python(arguments)))
    client.call(QueueBind("queue", "once", ""))
    headers = table_from_python({"x-delay": 10, "x-deduplication-header": "id"})
    for body in (b"first", b"again"):
        client.publish("once", "", body, BasicProperties(headers=headers))
    client.driver.tick()
    assert waiting(client, "once") == 1
    client.driver.at(0.011)
    assert bodies(client) == [b"first"]


def test_an_exchange_that_was_deleted_while_a_message_was_being_published_does_not_delay_it(client: Client) -> None:
    exchange = client.driver.broker.vhosts["/"].exchanges["delayed"]
    other = client.driver.log_in()
    frames = publish_frames(BasicPublish("delayed", "key"), b"late", delayed(1000))
    client.feed(frames[:-1])
    client.driver.tick()
    other.call(ExchangeDelete("delayed"))
    client.feed(frames[-1:])
    client.driver.tick()
    [closed] = client.take()
    assert refused(closed) == (404, "no exchange 'delayed' in vhost '/'")
    assert exchange.delay_queue is None
