"""Policies act on queues and exchanges while applications use them, and are taken back as they were set."""

from __future__ import annotations

import json

import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.behaviour.conftest import Names
from tests.behaviour.expectations import await_errors, get, get_bodies, leveret_only, publish, ready_count, wait_until
from tests.policies.conftest import Ctl, Policies

BODIES = [b"%d" % number for number in range(9)]


def listed(ctl: Ctl, queue: str, *columns: str) -> list[object]:
    """Columns of a queue in the list."""
    rows = json.loads(ctl("-q", "list_queues", "name", *columns, "--formatter", "json"))
    return next([row[column] for column in columns] for row in rows if row["name"] == queue)


def test_a_length_limit_by_policy(channel: BlockingChannel, queue: str, policies: Policies) -> None:
    publish(channel, queue, *BODIES)
    policies.set({"max-length": 5})
    wait_until(lambda: ready_count(channel, queue) == 5)
    publish(channel, queue, b"one more")
    wait_until(lambda: ready_count(channel, queue) == 5)
    policies.clear()
    publish(channel, queue, b"another")
    assert get_bodies(channel, queue) == [*BODIES[5:], b"one more", b"another"]


def test_a_policy_on_a_queue_declared_later(channel: BlockingChannel, names: Names, policies: Policies) -> None:
    policies.set({"max-length": 2}, apply_to="queues")
    queue = names.queue()
    channel.queue_declare(queue)
    publish(channel, queue, *BODIES)
    assert get_bodies(channel, queue) == BODIES[-2:]


def test_the_argument_and_the_policy_whichever_is_lower(
    channel: BlockingChannel, names: Names, policies: Policies
) -> None:
    lower, higher = names.queue("lower"), names.queue("higher")
    channel.queue_declare(lower, arguments={"x-max-length": 1})
    channel.queue_declare(higher, arguments={"x-max-length": 7})
    policies.set({"max-length": 3})
    for queue in (lower, higher):
        publish(channel, queue, *BODIES)
    assert (ready_count(channel, lower), ready_count(channel, higher)) == (1, 3)
    policies.set({"max-length": 2}, "limit", operator=True)
    wait_until(lambda: ready_count(channel, higher) == 2)
    assert ready_count(channel, lower) == 1


def test_dead_letters_by_policy_and_by_argument(channel: BlockingChannel, names: Names, policies: Policies) -> None:
    """The argument beats the policy."""
    plain, special = names.queue("plain"), names.queue("special")
    of_policy, of_argument = names.queue("of-policy"), names.queue("of-argument")
    for name in (of_policy, of_argument):
        channel.queue_declare(name)
    channel.queue_declare(plain)
    channel.queue_declare(special, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": of_argument})
    policies.set({"dead-letter-exchange": "", "dead-letter-routing-key": of_policy}, pattern=r"\.(plain|special)\.\d+$")
    for name in (plain, special):
        publish(channel, name, name)
        message = get(channel, name, auto_ack=False)
        assert message is not None
        channel.basic_reject(message.tag, requeue=False)
    wait_until(lambda: ready_count(channel, of_policy) == ready_count(channel, of_argument) == 1)
    assert (get_bodies(channel, of_policy), get_bodies(channel, of_argument)) == ([plain.encode()], [special.encode()])


def test_a_ttl_by_policy(channel: BlockingChannel, queue: str, policies: Policies) -> None:
    policies.set({"message-ttl": 20})
    publish(channel, queue, b"short-lived")
    wait_until(lambda: ready_count(channel, queue) == 0)
    policies.clear()
    publish(channel, queue, b"long-lived")
    assert get_bodies(channel, queue) == [b"long-lived"]


def test_an_expiry_by_policy(channel: BlockingChannel, names: Names, policies: Policies, ctl: Ctl) -> None:
    queue = names.queue()
    channel.queue_declare(queue)
    policies.set({"expires": 50})
    wait_until(lambda: queue not in ctl("-q", "list_queues", "name"))


def test_refusing_when_full_by_policy(channel: BlockingChannel, queue: str, policies: Policies) -> None:
    policies.set({"max-length": 1, "overflow": "reject-publish"})
    publish(channel, queue, b"first", b"second")
    assert get_bodies(channel, queue) == [b"first"]


def test_the_highest_priority_applies_alone(channel: BlockingChannel, queue: str, policies: Policies, ctl: Ctl) -> None:
    high = policies.set({"max-length": 4}, "high", priority=2)
    low = policies.set({"max-length": 2}, "low", priority=1)
    assert listed(ctl, queue, "policy") == [high]
    publish(channel, queue, *BODIES)
    assert ready_count(channel, queue) == 4
    policies.set({"max-length": 4}, "high", priority=0)
    wait_until(lambda: ready_count(channel, queue) == 2)
    assert listed(ctl, queue, "policy") == [low]


def test_patterns_are_looked_for_anywhere_in_a_name(
    channel: BlockingChannel, names: Names, policies: Policies, ctl: Ctl
) -> None:
    one, other = names.queue("orders.eu"), names.queue("orders.us")
    for name in (one, other):
        channel.queue_declare(name)
    found = policies.set({"max-length": 5}, pattern=rf"{names.unique}\.(?=orders)[^.]+\.(?!eu)\w\w\.")
    assert (listed(ctl, one, "policy"), listed(ctl, other, "policy")) == ([""], [found])


def test_an_alternate_exchange_by_policy(
    connection: BlockingConnection, channel: BlockingChannel, names: Names, policies: Policies
) -> None:
    """The argument beats the policy; and publishers that have cached their route notice."""
    plain, special, caught = names.exchange("plain"), names.exchange("special"), names.queue()
    channel.queue_declare(caught)
    channel.queue_bind(caught, "amq.fanout")
    channel.exchange_declare(plain, "direct")
    channel.exchange_declare(special, "direct", arguments={"alternate-exchange": "nowhere"})

    def publish_to_both() -> int:
        for exchange in (plain, special):
            channel.basic_publish(exchange, "nobody", exchange)
        await_errors(channel)
        return ready_count(channel, caught)

    assert publish_to_both() == 0
    policies.set({"alternate-exchange": "amq.fanout"}, pattern=rf"^test\.{names.unique}\.", apply_to="exchanges")
    assert publish_to_both() == 1
    policies.clear()
    assert publish_to_both() == 1
    assert get_bodies(channel, caught) == [plain.encode()]


@pytest.mark.parametrize("apply_to", ["queues", "exchanges"])
def test_queues_or_exchanges_alone(
    channel: BlockingChannel, names: Names, queue: str, policies: Policies, ctl: Ctl, apply_to: str
) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "topic")
    name = policies.set({"alternate-exchange": "x", "max-length": 5}, apply_to=apply_to)
    rows = json.loads(ctl("-q", "list_exchanges", "name", "policy", "--formatter", "json"))
    of_exchange = [row["policy"] for row in rows if row["name"] == exchange]
    expected = [name], [""]
    assert (listed(ctl, queue, "policy"), of_exchange) == (expected if apply_to == "queues" else expected[::-1])


@leveret_only("RabbitMQ 3.10 lists neither column")
def test_the_columns_of_policies(queue: str, policies: Policies, ctl: Ctl) -> None:
    columns = ("policy", "operator_policy", "effective_policy_definition")
    assert listed(ctl, queue, *columns) == ["", "", []]
    policy = policies.set({"overflow": "drop-head", "max-length": 5})
    operator = policies.set({"max-length": 3}, "limit", operator=True)
    assert listed(ctl, queue, *columns) == [policy, operator, {"max-length": 3, "overflow": "drop-head"}]
    table = ctl("-q", "list_queues", "--no-table-headers", "name", columns[-1])
    assert f'{queue}\t[{{<<"max-length">>, 3}}, {{<<"overflow">>, drop-head}}]' in table.splitlines()
