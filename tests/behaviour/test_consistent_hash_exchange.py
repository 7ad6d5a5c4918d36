"""x-consistent-hash: each message goes to one destination, chosen by a hash, in shares as large as the binding keys.

RabbitMQ has it in a plugin. Which destination a hash leads to is the broker's own affair; what holds for both is how
the shares are divided, and that what is equal goes the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from tests.behaviour.conftest import Names
from tests.behaviour.expectations import await_errors, channel_closed, get, get_bodies, leveret_only, ready_count

COUNT = 600


def declare(
    channel: BlockingChannel, names: Names, weights: Sequence[str], arguments: dict[str, object] | None = None
) -> tuple[str, list[str]]:
    """An exchange, and a queue bound to it by each of the weights."""
    exchange = names.exchange()
    channel.exchange_declare(exchange, "x-consistent-hash", arguments=arguments)
    queues = [names.queue() for _ in weights]
    for queue, weight in zip(queues, weights, strict=True):
        channel.queue_declare(queue)
        channel.queue_bind(queue, exchange, weight)
    return exchange, queues


def publish(channel: BlockingChannel, exchange: str, count: int = COUNT, seed: str = "key") -> None:
    """Publish so many messages, each with a routing key of its own as its body."""
    for number in range(count):
        channel.basic_publish(exchange, f"{seed}.{number}", f"{seed}.{number}")
    await_errors(channel)


def within(count: int, wanted: float) -> bool:
    """Whether a count of independent choices is what it should be: five standard deviations and a bit."""
    return abs(count - wanted) < 5 * wanted**0.5 + 5


@pytest.mark.parametrize("weights", [["1", "1"], ["1", "2", "3"], ["10", "+20", "010"]])
def test_the_binding_key_is_the_weight(channel: BlockingChannel, names: Names, weights: list[str]) -> None:
    exchange, queues = declare(channel, names, weights)
    publish(channel, exchange)
    counts = [ready_count(channel, queue) for queue in queues]
    assert sum(counts) == COUNT
    total = sum(map(int, weights))
    assert all(within(counts[at], COUNT * int(weight) / total) for at, weight in enumerate(weights)), counts


def test_equal_keys_go_to_one_queue(channel: BlockingChannel, names: Names) -> None:
    exchange, queues = declare(channel, names, ["1", "1", "1"])
    for _ in range(5):
        publish(channel, exchange, 20)
    bodies = [get_bodies(channel, queue) for queue in queues]
    for of_queue in bodies:
        assert len(of_queue) == 5 * len(set(of_queue))
    assert sum(len(set(of_queue)) for of_queue in bodies) == 20


def test_without_bindings_a_message_is_unroutable(channel: BlockingChannel, names: Names, queue: str) -> None:
    alternate = names.exchange()
    channel.exchange_declare(alternate, "fanout")
    channel.queue_bind(queue, alternate)
    exchange, _ = declare(channel, names, [], {"alternate-exchange": alternate})
    publish(channel, exchange, 3)
    assert ready_count(channel, queue) == 3


def test_a_queue_that_goes_leaves_its_share_to_the_others(channel: BlockingChannel, names: Names) -> None:
    exchange, queues = declare(channel, names, ["1", "1", "2"])
    channel.queue_delete(queues[2])
    publish(channel, exchange)
    counts = [ready_count(channel, queue) for queue in queues[:2]]
    assert sum(counts) == COUNT
    assert all(within(count, COUNT / 2) for count in counts), counts


@leveret_only("RabbitMQ moves other shares too: its hash leads to numbers, and numbers move up when one goes")
def test_a_queue_that_goes_moves_its_own_share_only(channel: BlockingChannel, names: Names) -> None:
    exchange, queues = declare(channel, names, ["1", "1", "1", "1"])
    publish(channel, exchange, 200)
    before = [set(get_bodies(channel, queue)) for queue in queues]
    channel.queue_unbind(queues[1], exchange, "1")
    publish(channel, exchange, 200)
    after = [set(get_bodies(channel, queue)) for queue in queues]
    assert after[1] == set()
    assert all(before[at] <= after[at] for at in (0, 2, 3))
    assert before[1] <= after[0] | after[2] | after[3]


@pytest.mark.parametrize(
    ("arguments", "properties"),
    [
        ({"hash-header": "order"}, [BasicProperties(headers={"order": number}) for number in range(COUNT)]),
        ({"hash-header": "x-order"}, [BasicProperties(headers={"x-order": f"{number}"}) for number in range(COUNT)]),
        ({"hash-property": "correlation_id"}, [BasicProperties(correlation_id=f"{number}") for number in range(COUNT)]),
        ({"hash-property": "message_id"}, [BasicProperties(message_id=f"{number}") for number in range(COUNT)]),
        ({"hash-property": "timestamp"}, [BasicProperties(timestamp=number) for number in range(COUNT)]),
    ],
    ids=["header", "x-header", "correlation_id", "message_id", "timestamp"],
)
def test_a_header_or_a_property_is_hashed_instead(
    channel: BlockingChannel, names: Names, arguments: dict[str, object], properties: list[BasicProperties]
) -> None:
    exchange, queues = declare(channel, names, ["1", "2"], arguments)
    for of_message in properties:
        channel.basic_publish(exchange, "same", b"", of_message)
    await_errors(channel)
    counts = [ready_count(channel, queue) for queue in queues]
    assert within(counts[0], COUNT / 3), counts
    assert sum(counts) == COUNT
    for number in range(20):
        channel.basic_publish(exchange, f"other {number}", b"", properties[0])
    await_errors(channel)
    assert sorted(ready_count(channel, queue) - count for queue, count in zip(queues, counts, strict=True)) == [0, 20]


@pytest.mark.parametrize("arguments", [{"hash-header": "order"}, {"hash-property": "message_id"}])
@pytest.mark.parametrize("properties", [None, BasicProperties(headers={"other": 1}, correlation_id="1")])
def test_messages_without_what_is_hashed_go_to_one_queue(
    channel: BlockingChannel, names: Names, arguments: dict[str, object], properties: BasicProperties | None
) -> None:
    exchange, queues = declare(channel, names, ["1", "1", "1"], arguments)
    for number in range(30):
        channel.basic_publish(exchange, f"key {number}", b"", properties)
    await_errors(channel)
    assert sorted(ready_count(channel, queue) for queue in queues) == [0, 0, 30]


def test_copies_are_not_sent_elsewhere(channel: BlockingChannel, names: Names) -> None:
    """The routing key alone is hashed, whatever is in CC."""
    exchange, queues = declare(channel, names, ["1", "1", "1"])
    properties = BasicProperties(headers={"CC": [f"copy {number}" for number in range(10)]})
    for number in range(30):
        channel.basic_publish(exchange, f"key {number}", b"", properties)
    await_errors(channel)
    assert sum(ready_count(channel, queue) for queue in queues) == 30


def test_an_exchange_can_be_a_destination(channel: BlockingChannel, names: Names) -> None:
    exchange, (queue,) = declare(channel, names, ["1"])
    fanout, behind = names.exchange(), names.queue()
    channel.exchange_declare(fanout, "fanout")
    channel.queue_declare(behind)
    channel.queue_bind(behind, fanout)
    channel.exchange_bind(fanout, exchange, "1")
    publish(channel, exchange)
    counts = [ready_count(channel, queue), ready_count(channel, behind)]
    assert sum(counts) == COUNT
    assert within(counts[0], COUNT / 2), counts


def test_the_first_of_several_bindings_is_the_weight(channel: BlockingChannel, names: Names) -> None:
    exchange, queues = declare(channel, names, ["1", "1"])
    channel.queue_bind(queues[0], exchange, "9")
    publish(channel, exchange)
    counts = [ready_count(channel, queue) for queue in queues]
    assert all(within(count, COUNT / 2) for count in counts), counts


@leveret_only("RabbitMQ gives such a queue nothing any more (rabbitmq-server#9641)")
def test_when_the_first_of_several_bindings_goes_the_next_is_the_weight(channel: BlockingChannel, names: Names) -> None:
    exchange, queues = declare(channel, names, ["1", "1"])
    channel.queue_bind(queues[0], exchange, "2")
    channel.queue_unbind(queues[0], exchange, "1")
    publish(channel, exchange)
    counts = [ready_count(channel, queue) for queue in queues]
    assert within(counts[1], COUNT / 3), counts
    assert sum(counts) == COUNT


@pytest.mark.parametrize("key", ["a", " 1", "1.0", "1_0", "ä"])
def test_a_weight_that_is_no_integer_is_refused(channel: BlockingChannel, names: Names, queue: str, key: str) -> None:
    exchange, _ = declare(channel, names, [])
    with channel_closed(406, f'PRECONDITION_FAILED - The binding key must be an integer: <<"{key}">>'):
        channel.queue_bind(queue, exchange, key)


def test_an_empty_weight_is_refused(channel: BlockingChannel, names: Names) -> None:
    exchange, _ = declare(channel, names, [])
    other = names.exchange()
    channel.exchange_declare(other, "fanout")
    with channel_closed(406, "PRECONDITION_FAILED - The binding key must be an integer: <<>>"):
        channel.exchange_bind(other, exchange, "")


@pytest.mark.parametrize("key", ["0", "-3"])
def test_a_weight_below_1_is_refused(channel: BlockingChannel, names: Names, queue: str, key: str) -> None:
    exchange, _ = declare(channel, names, [])
    with channel_closed(406, "PRECONDITION_FAILED - The binding key must be greater than 0"):
        channel.queue_bind(queue, exchange, key)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"hash-header": "a", "hash-property": "message_id"},
            "hash-header and hash-property are mutually exclusive",
        ),
        ({"hash-property": "user_id"}, "Unsupported property: user_id"),
        ({"hash-property": ""}, "Unsupported property: "),
    ],
)
def test_arguments_that_are_refused(
    channel: BlockingChannel, names: Names, arguments: dict[str, object], text: str
) -> None:
    with channel_closed(406, f"PRECONDITION_FAILED - {text}"):
        channel.exchange_declare(names.exchange(), "x-consistent-hash", arguments=arguments)


@leveret_only("RabbitMQ closes the connection with 541")
@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"hash-header": 5}, "Unsupported header: 5"), ({"hash-property": 5}, "Unsupported property: 5")],
)
def test_arguments_of_another_type_are_refused(
    channel: BlockingChannel, names: Names, arguments: dict[str, object], text: str
) -> None:
    with channel_closed(406, f"PRECONDITION_FAILED - {text}"):
        channel.exchange_declare(names.exchange(), "x-consistent-hash", arguments=arguments)


def test_other_arguments_may_differ_in_a_redeclare(channel: BlockingChannel, names: Names) -> None:
    """Of an exchange's arguments only the alternate exchange is compared; the first declare's hash stays."""
    exchange, queues = declare(channel, names, ["1", "1"], {"hash-header": "order"})
    channel.exchange_declare(exchange, "x-consistent-hash", arguments={"hash-property": "nonsense"})
    channel.exchange_declare(exchange, "x-consistent-hash")
    publish(channel, exchange, 20)
    assert sorted(ready_count(channel, queue) for queue in queues) == [0, 20]


def test_a_message_keeps_exchange_and_key(channel: BlockingChannel, names: Names) -> None:
    exchange, (queue,) = declare(channel, names, ["5"])
    channel.basic_publish(exchange, "the key", b"body")
    await_errors(channel)
    message = get(channel, queue)
    assert message is not None
    assert (message.exchange, message.routing_key, message.body) == (exchange, "the key", b"body")
