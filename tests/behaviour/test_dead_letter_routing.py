"""Dead-lettering: by which keys a dead message is routed, what its new queue makes of it, and where a cycle ends."""

from __future__ import annotations

from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.behaviour.conftest import Names
from tests.behaviour.dead_letters import (
    MISORDERED,
    Mortal,
    death,
    deaths,
    declare,
    first_death,
    history,
    reject,
    send,
    take,
)
from tests.behaviour.expectations import get_bodies, ready_count


@pytest.fixture
def queue(channel: BlockingChannel, names: Names) -> Mortal:
    return Mortal(channel, names)


def test_without_a_key_of_its_own_a_message_keeps_all_that_it_had(channel: BlockingChannel, names: Names) -> None:
    exchange, copied, blind = names.exchange(), names.queue(), names.queue()
    channel.exchange_declare(exchange, "direct")
    queue = declare(channel, names.queue(), exchange)
    targets = []
    for number, key in enumerate((queue, copied, blind)):
        if number > 0:
            declare(channel, key)
        targets.append(declare(channel, names.queue()))
        channel.queue_bind(targets[-1], exchange, key)
    send(channel, "", queue, "x", headers={"CC": [copied], "BCC": [blind]})
    reject(channel, queue)
    for target in targets:
        (message,) = take(channel, target, 1)
        assert (message.exchange, message.routing_key) == (exchange, queue)
        assert message.properties.headers["CC"] == [copied]
        assert "BCC" not in message.properties.headers
        assert deaths(message) == [death(queue, "rejected", keys=[queue, copied])]


def test_a_key_of_the_queue_takes_the_place_of_all_keys(channel: BlockingChannel, queue: Mortal, names: Names) -> None:
    copied = declare(channel, names.queue())
    message = queue.reject(headers={"CC": [copied], "own": 1})
    assert message.routing_key == queue.dead
    assert "CC" not in message.properties.headers
    assert message.properties.headers["own"] == 1
    assert deaths(message) == [death(queue.name, "rejected", keys=[queue.name, copied])]
    # the copy is that of the publish
    assert get_bodies(channel, copied) == [b"x"]


def test_a_missing_exchange_drops_and_one_declared_later_serves(channel: BlockingChannel, names: Names) -> None:
    exchange, target = names.exchange(), declare(channel, names.queue())
    queue = declare(channel, names.queue(), exchange)
    send(channel, "", queue, "lost", "found")
    reject(channel, queue)
    channel.exchange_declare(exchange, "fanout")
    channel.queue_bind(target, exchange)
    reject(channel, queue)
    assert [message.body for message in take(channel, target, 1)] == [b"found"]


def test_what_no_queue_wants_is_dropped_and_not_returned(channel: BlockingChannel, names: Names) -> None:
    returned: list[object] = []
    channel.add_on_return_callback(lambda *back: returned.append(back))
    queue = declare(channel, names.queue(), "amq.direct", names.queue("missing"))
    channel.basic_publish("", queue, b"lost", mandatory=True)
    reject(channel, queue)
    channel.connection.process_data_events(0)
    assert (returned, ready_count(channel, queue)) == ([], 0)


@pytest.mark.parametrize("kind", ["direct", "topic", "fanout", "headers"])
def test_every_type_of_exchange_takes_the_dead(channel: BlockingChannel, names: Names, kind: str) -> None:
    exchange, target = names.exchange(), declare(channel, names.queue())
    channel.exchange_declare(exchange, kind, internal=True)
    channel.queue_bind(target, exchange, "a.key", {"x-match": "all-with-x", "x-first-death-reason": "rejected"})
    queue = declare(channel, names.queue(), exchange, "a.key")
    send(channel, "", queue, "x")
    reject(channel, queue)
    (message,) = take(channel, target, 1)
    assert (message.exchange, message.routing_key) == (exchange, "a.key")


def test_exchanges_bound_to_exchanges_and_alternates_are_followed(channel: BlockingChannel, names: Names) -> None:
    last, bound, alternate = names.exchange(), names.exchange(), names.exchange()
    target = declare(channel, names.queue())
    channel.exchange_declare(last, "fanout")
    channel.queue_bind(target, last)
    channel.exchange_declare(bound, "fanout")
    channel.exchange_bind(last, bound)
    channel.exchange_declare(alternate, "direct", arguments={"alternate-exchange": last})
    for exchange in (bound, alternate):
        queue = declare(channel, names.queue(), exchange)
        send(channel, "", queue, "x")
        reject(channel, queue)
        (message,) = take(channel, target, 1)
        assert (message.exchange, message.routing_key) == (exchange, queue)
        assert deaths(message) == [death(queue, "rejected")]


def test_a_dead_message_obeys_the_queue_where_it_arrives(channel: BlockingChannel, names: Names) -> None:
    limited = Mortal(channel, names, max_length=1)
    priorities = declare(channel, names.queue(), max_priority=5)
    for target in (limited.name, priorities):
        queue = declare(channel, names.queue(), "", target)
        for body, priority in (("1", 1), ("2", 5)):
            send(channel, "", queue, body, priority=priority)
            reject(channel, queue)
    (message,) = limited.died(1)
    assert (message.body, [reason for _, reason, _ in history(message)]) == (b"1", ["maxlen", "rejected"])
    assert limited.ready() == [b"2"]
    assert [message.body for message in take(channel, priorities, 2)] == [b"2", b"1"]


def test_a_refused_message_may_come_back_to_its_queue(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    declare(channel, queue, "")
    send(channel, "", queue, "1", "2")
    for _ in range(4):
        reject(channel, queue)
    # each time it goes to the tail
    messages = take(channel, queue, 2)
    assert [message.body for message in messages] == [b"1", b"2"]
    assert [deaths(message) for message in messages] == [[death(queue, "rejected", 2)]] * 2


@pytest.mark.parametrize(
    "arguments",
    [{"message_ttl": 10}, {"max_length": 0}, {"max_length": 0, "overflow": "reject-publish-dlx"}],
    ids=["expired", "maxlen", "rejected publish"],
)
def test_a_cycle_that_nobody_refused_in_is_cut(
    channel: BlockingChannel, names: Names, arguments: dict[str, Any]
) -> None:
    # the other queue shows that the message was routed, and that it was so once
    exchange, other = names.exchange(), declare(channel, names.queue())
    channel.exchange_declare(exchange, "fanout")
    queue = declare(channel, names.queue(), exchange, **arguments)
    channel.queue_bind(queue, exchange)
    channel.queue_bind(other, exchange)
    send(channel, "", queue, "x")
    assert len(take(channel, other, 1)) == 1
    assert ready_count(channel, queue) == 0


def test_a_longer_cycle_is_cut_too(channel: BlockingChannel, names: Names) -> None:
    circle = [names.queue() for _ in range(3)]
    for queue in circle:
        channel.exchange_declare(exchange := names.exchange(), "fanout")
        declare(channel, queue, exchange, message_ttl=10)
    witnesses = [declare(channel, names.queue()) for _ in circle]
    for number, exchange in enumerate(names.exchanges):
        channel.queue_bind(circle[(number + 1) % 3], exchange)
        channel.queue_bind(witnesses[number], exchange)
    send(channel, "", circle[0], "x")
    assert [len(take(channel, witness, 1)) for witness in witnesses] == [1, 1, 1]
    assert [ready_count(channel, queue) for queue in circle] == [0, 0, 0]


def test_a_cycle_goes_on_as_long_as_somebody_refuses(channel: BlockingChannel, names: Names) -> None:
    waiting, work = names.queue("waiting"), names.queue("work")
    declare(channel, waiting, "", work, message_ttl=10)
    declare(channel, work, "", waiting)
    send(channel, "", work, "x")
    for _ in range(4):
        reject(channel, work)
    (message,) = take(channel, work, 1)
    assert history(message) == [(waiting, "expired", 4), (work, "rejected", 4)]


@MISORDERED
def test_only_a_refusal_within_the_cycle_counts(channel: BlockingChannel, names: Names) -> None:
    start, one, two = names.queue("start"), names.queue("one"), names.queue("two")
    declare(channel, start, "", one)
    exchange, witness = names.exchange(), declare(channel, names.queue())
    channel.exchange_declare(exchange, "fanout")
    declare(channel, one, "", two, message_ttl=10)
    declare(channel, two, exchange, message_ttl=10)
    channel.queue_bind(one, exchange)
    channel.queue_bind(witness, exchange)
    send(channel, "", start, "x")
    reject(channel, start)
    (message,) = take(channel, witness, 1)
    assert history(message) == [(two, "expired", 1), (one, "expired", 1), (start, "rejected", 1)]
    assert (ready_count(channel, one), ready_count(channel, two)) == (0, 0)


@pytest.mark.parametrize("length", [3, 28])
def test_messages_run_through_a_chain_of_delays(channel: BlockingChannel, names: Names, length: int) -> None:
    end = declare(channel, names.queue("end"))
    chain = [end]
    for _ in range(length):
        chain.append(declare(channel, names.queue(), "", chain[-1], message_ttl=1))
    send(channel, "", chain[-1], "1", "2", "3", expiration="60000")
    messages = take(channel, end, 3)
    assert [message.body for message in messages] == [b"1", b"2", b"3"]
    for message in messages:
        assert len(deaths(message)) == length
        assert first_death(message) == ("expired", chain[-1], "")
        assert {(reason, count) for _, reason, count in history(message)} == {("expired", 1)}
        assert {queue for queue, _, _ in history(message)} == set(chain[1:])


def test_delays_of_binary_levels(channel: BlockingChannel, names: Names) -> None:
    """Celery's delayed delivery: a bit of the routing key decides whether a message waits at a level or passes it."""
    levels = [names.exchange(f"level.{number}") for number in range(4)]
    target = declare(channel, names.queue("target"))
    for exchange in levels:
        channel.exchange_declare(exchange, "topic")
    waiting = []
    for number, exchange in enumerate(levels[:-1]):
        waiting.append(declare(channel, names.queue(), levels[number + 1], message_ttl=10 << (2 - number)))
        channel.queue_bind(waiting[-1], exchange, "*." * number + "1.#")
        channel.exchange_bind(levels[number + 1], exchange, "*." * number + "0.#")
    channel.queue_bind(target, levels[-1], "*.*.*.work")
    for bits in ("1.1.1", "0.1.0", "1.0.1", "0.0.0"):
        send(channel, levels[0], f"{bits}.work", bits)
    waited = {}
    for message in take(channel, target, 4):
        assert message.routing_key == f"{message.body.decode()}.work"
        waited[message.body] = {queue for queue, _, _ in history(message)} if message.properties.headers else set()
    one, two, three = waiting
    assert waited == {b"1.1.1": {one, two, three}, b"0.1.0": {two}, b"1.0.1": {one, three}, b"0.0.0": set()}
