"""Messages whose identifier was there before are dropped, at an exchange or at a queue, as RabbitMQ's plugin has it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import NackError, UnroutableError

from tests.behaviour.conftest import Names
from tests.behaviour.expectations import await_errors, channel_closed, get_bodies, get_one, leveret_only, ready_count

pytestmark = leveret_only("RabbitMQ has deduplication by a plugin that does not come with it")

ON = {"x-message-deduplication": True}


def publish(
    channel: BlockingChannel, exchange: str, key: str, *identifiers: object, header: str = "x-deduplication-header"
) -> None:
    """Publish messages with these identifiers; the body says which it is."""
    for identifier in identifiers:
        properties = BasicProperties(headers={header: identifier}, delivery_mode=2)
        channel.basic_publish(exchange, key, str(identifier), properties)
    await_errors(channel)


@pytest.fixture
def exchange(channel: BlockingChannel, names: Names, queue: str) -> str:
    """A fanout exchange that drops duplicates, with the queue bound to it."""
    return declare_exchange(channel, names, queue, ON)


def declare_exchange(
    channel: BlockingChannel, names: Names, queue: str, arguments: Mapping[str, object], type: str = "fanout"
) -> str:
    exchange = names.exchange()
    channel.exchange_declare(exchange, type, arguments=arguments)
    channel.queue_bind(queue, exchange)
    return exchange


def declare_queue(channel: BlockingChannel, names: Names, arguments: Mapping[str, object] = ON) -> str:
    queue = names.queue("deduplicating")
    channel.queue_declare(queue, durable=True, arguments={**ON, **arguments})
    return queue


# exchanges


def test_an_exchange_routes_no_duplicate(channel: BlockingChannel, queue: str, exchange: str) -> None:
    publish(channel, exchange, "", "a", "b", "a", "c", "b")
    assert get_bodies(channel, queue) == [b"a", b"b", b"c"]
    publish(channel, exchange, "", "a", "d")
    assert get_bodies(channel, queue) == [b"d"]


def test_messages_without_an_identifier_are_no_duplicates(channel: BlockingChannel, queue: str, exchange: str) -> None:
    for headers in (None, None, {"other": "a"}, {"other": "a"}, {"x-deduplication-header": None}):
        channel.basic_publish(exchange, "", "body", BasicProperties(headers=headers))
    assert ready_count(channel, queue) == 5


def test_identifiers_are_values_not_texts(channel: BlockingChannel, queue: str, exchange: str) -> None:
    publish(channel, exchange, "", 1, "1", 1, 2**40, True, ["x" * 100], ["x" * 100], ["x" * 99], 1)
    assert ready_count(channel, queue) == 6


def test_the_last_identifiers_are_remembered(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare_exchange(channel, names, queue, {**ON, "x-cache-size": 2})
    publish(channel, exchange, "", "a", "b", "c", "a", "c")
    assert get_bodies(channel, queue) == [b"a", b"b", b"c", b"a"]


def test_128_identifiers_are_remembered_by_default(channel: BlockingChannel, queue: str, exchange: str) -> None:
    numbers = list(range(129))
    publish(channel, exchange, "", *numbers, 1, 0)
    assert get_bodies(channel, queue) == [str(number).encode() for number in [*numbers, 0]]


def test_the_header_may_have_another_name(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare_exchange(channel, names, queue, {**ON, "x-deduplication-header": "job"})
    publish(channel, exchange, "", "a", "a")
    publish(channel, exchange, "", "b", "b", header="job")
    assert get_bodies(channel, queue) == [b"a", b"a", b"b"]


def test_false_is_off(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare_exchange(channel, names, queue, {"x-message-deduplication": False, "x-cache-size": 5})
    publish(channel, exchange, "", "a", "a")
    assert ready_count(channel, queue) == 2


def test_duplicates_are_confirmed(channel: BlockingChannel, queue: str, exchange: str, names: Names) -> None:
    deduplicating = declare_queue(channel, names)
    channel.confirm_delivery()
    publish(channel, exchange, "", "a", "a")
    publish(channel, "", deduplicating, "b", "b")
    assert (ready_count(channel, queue), ready_count(channel, deduplicating)) == (1, 1)


def test_a_mandatory_duplicate_is_routed_to_nobody(channel: BlockingChannel, queue: str, exchange: str) -> None:
    channel.confirm_delivery()
    publish(channel, exchange, "", "a")
    with pytest.raises(UnroutableError):
        channel.basic_publish(exchange, "", "a", BasicProperties(headers={"x-deduplication-header": "a"}), True)


def test_a_duplicate_does_not_go_to_the_alternate_exchange(channel: BlockingChannel, names: Names, queue: str) -> None:
    alternate = declare_exchange(channel, names, queue, {})
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct", arguments={**ON, "alternate-exchange": alternate})
    publish(channel, exchange, "nobody", "a", "a")
    assert get_bodies(channel, queue) == [b"a"]


def test_an_exchange_behind_another_drops_duplicates(channel: BlockingChannel, queue: str, exchange: str) -> None:
    channel.exchange_bind(exchange, "amq.direct", exchange)
    publish(channel, "amq.direct", exchange, "a", "a")
    publish(channel, exchange, "", "a")
    assert get_bodies(channel, queue) == [b"a"]
    channel.exchange_unbind(exchange, "amq.direct", exchange)


def test_what_nobody_got_may_be_published_again(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct", arguments=ON)
    publish(channel, exchange, "key", "a")
    channel.queue_bind(queue, exchange, "key")
    publish(channel, exchange, "key", "a")
    assert get_bodies(channel, queue) == [b"a"]


def test_what_a_full_queue_refused_may_be_published_again(channel: BlockingChannel, names: Names) -> None:
    full = names.queue("full")
    channel.queue_declare(full, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    exchange = declare_exchange(channel, names, full, ON)
    channel.confirm_delivery()
    publish(channel, exchange, "", "a")
    with pytest.raises(NackError):
        publish(channel, exchange, "", "b")
    get_one(channel, full)
    publish(channel, exchange, "", "b")
    assert get_bodies(channel, full) == [b"b"]


def test_what_is_rolled_back_may_be_published_again(channel: BlockingChannel, queue: str, exchange: str) -> None:
    channel.tx_select()
    publish(channel, exchange, "", "a", "a")
    channel.tx_rollback()
    publish(channel, exchange, "", "a", "a")
    channel.tx_commit()
    assert get_bodies(channel, queue) == [b"a"]


def test_dead_letters_pass(channel: BlockingChannel, names: Names, queue: str, exchange: str) -> None:
    work = names.queue("work")
    channel.queue_declare(work, arguments={"x-dead-letter-exchange": exchange})
    channel.queue_bind(work, exchange)
    publish(channel, exchange, "", "a")
    channel.basic_reject(get_one(channel, work, auto_ack=False).tag, requeue=False)
    assert get_bodies(channel, work) == [b"a"]
    assert get_bodies(channel, queue) == [b"a", b"a"]


def test_the_type_of_the_plugin(channel: BlockingChannel, names: Names, queue: str) -> None:
    arguments = {"x-cache-size": 2, "x-cache-persistence": "disk"}
    exchange = declare_exchange(channel, names, queue, arguments, "x-message-deduplication")
    publish(channel, exchange, "any key", "a", "a", "b", "c", "a")
    assert get_bodies(channel, queue) == [b"a", b"b", b"c", b"a"]


# queues


def test_a_queue_takes_no_duplicate_of_what_it_has(channel: BlockingChannel, names: Names) -> None:
    queue = declare_queue(channel, names)
    publish(channel, "", queue, "a", "b", "a")
    assert ready_count(channel, queue) == 2
    unacked = get_one(channel, queue, auto_ack=False)
    publish(channel, "", queue, "a")
    assert ready_count(channel, queue) == 1
    channel.basic_ack(unacked.tag)
    publish(channel, "", queue, "a", "b")
    assert get_bodies(channel, queue) == [b"b", b"a"]


@pytest.mark.parametrize("arguments", [{}, {"x-queue-type": "quorum"}, {"x-max-priority": 3}])
def test_other_queues_get_their_copy(channel: BlockingChannel, names: Names, queue: str, arguments: object) -> None:
    deduplicating = declare_queue(channel, names, arguments)  # type: ignore[arg-type]
    for name in (queue, deduplicating):
        channel.queue_bind(name, "amq.direct", deduplicating)
    publish(channel, "amq.direct", deduplicating, "a", "a")
    assert (ready_count(channel, queue), ready_count(channel, deduplicating)) == (2, 1)


def test_a_requeued_message_is_still_there(channel: BlockingChannel, names: Names) -> None:
    queue = declare_queue(channel, names)
    publish(channel, "", queue, "a")
    channel.basic_nack(get_one(channel, queue, auto_ack=False).tag)
    publish(channel, "", queue, "a")
    assert get_bodies(channel, queue) == [b"a"]


def test_purging_forgets_what_was_ready_alone(channel: BlockingChannel, names: Names) -> None:
    queue = declare_queue(channel, names)
    publish(channel, "", queue, "unacked", "returned", "ready")
    get_one(channel, queue, auto_ack=False)
    channel.basic_nack(get_one(channel, queue, auto_ack=False).tag)
    channel.queue_purge(queue)
    publish(channel, "", queue, "unacked", "returned", "ready")
    assert get_bodies(channel, queue) == [b"returned", b"ready"]


def test_what_a_queue_drops_may_come_back(channel: BlockingChannel, names: Names) -> None:
    """As work does that is tried again by way of a dead letter exchange; also in a queue with a window."""
    for window in ({}, {"x-cache-size": 10}):
        queue = declare_queue(
            channel, names, {**window, "x-dead-letter-exchange": "amq.direct", "x-dead-letter-routing-key": "again"}
        )
        channel.queue_bind(queue, "amq.direct", "again")
        publish(channel, "", queue, "a")
        channel.basic_reject(get_one(channel, queue, auto_ack=False).tag, requeue=False)
        assert ready_count(channel, queue) == 1
        publish(channel, "", queue, "a")
        assert get_bodies(channel, queue) == [b"a"]
        channel.queue_unbind(queue, "amq.direct", "again")


def test_an_expired_message_is_forgotten(channel: BlockingChannel, names: Names) -> None:
    queue = declare_queue(channel, names, {"x-message-ttl": 0})
    publish(channel, "", queue, "a")
    consumed: list[bytes] = []
    channel.basic_consume(queue, lambda *message: consumed.append(message[3]), auto_ack=True)
    publish(channel, "", queue, "a")
    channel.connection.process_data_events(0)
    assert consumed == [b"a"]


def test_a_queue_with_a_window_remembers(channel: BlockingChannel, names: Names) -> None:
    queue = declare_queue(channel, names, {"x-cache-size": 2})
    publish(channel, "", queue, "a", "b")
    assert get_bodies(channel, queue) == [b"a", b"b"]
    publish(channel, "", queue, "a", "b", "c", "a")
    assert get_bodies(channel, queue) == [b"c", b"a"]


def test_a_window_of_time(channel: BlockingChannel, names: Names) -> None:
    queue = declare_queue(channel, names, {"x-cache-ttl": 0})
    publish(channel, "", queue, "a", "a")
    assert get_bodies(channel, queue) == [b"a", b"a"]
    properties = BasicProperties(headers={"x-deduplication-header": "b", "x-cache-ttl": 60_000})
    channel.basic_publish("", queue, "first", properties)
    channel.basic_publish("", queue, "second", properties)
    assert get_bodies(channel, queue) == [b"first"]


# arguments


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("x-message-deduplication", "yes", "{unacceptable_type,longstr}"),
        ("x-cache-size", "5", '"expected integer, got longstr"'),
        ("x-cache-size", -1, "{value_negative,-1}"),
        ("x-cache-ttl", -1, "{value_negative,-1}"),
        ("x-cache-ttl", 315360000001, "{value_too_large,315360000001}"),
        ("x-deduplication-header", 1, "{unacceptable_type,signedint}"),
    ],
)
def test_wrong_arguments(channel: BlockingChannel, names: Names, name: str, value: object, reason: str) -> None:
    exchange, queue = names.exchange(), names.queue()
    with channel_closed(406, f"PRECONDITION_FAILED - invalid arg '{name}' for queue '{queue}' in vhost '/': {reason}"):
        channel.queue_declare(queue, arguments={name: value})
    channel = channel.connection.channel()
    what = f"exchange '{exchange}' in vhost '/'"
    with channel_closed(406, f"PRECONDITION_FAILED - invalid arg '{name}' for {what}: {reason}"):
        channel.exchange_declare(exchange, arguments={name: value})


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "Missing or invalid argument, 'x-cache-size' must be an integer greater than 0"),
        ({"x-cache-size": 0}, "Missing or invalid argument, 'x-cache-size' must be an integer greater than 0"),
        ({"x-cache-size": 1, "x-cache-ttl": 0}, "Invalid argument, 'x-cache-ttl' must be an integer greater than 0"),
        (
            {"x-cache-size": 1, "x-cache-persistence": "tape"},
            "Invalid argument, 'x-cache-persistence' must be either 'disk' or 'memory'",
        ),
    ],
)
def test_wrong_arguments_of_the_type_of_the_plugin(
    channel: BlockingChannel, names: Names, arguments: dict[str, object], text: str
) -> None:
    with channel_closed(406, f"PRECONDITION_FAILED - {text}"):
        channel.exchange_declare(names.exchange(), "x-message-deduplication", arguments=arguments)


def test_a_redeclare_compares_the_arguments(channel: BlockingChannel, names: Names, exchange: str) -> None:
    queue = declare_queue(channel, names)
    text = "received none but current is the value 'true' of type 'bool'"
    what = f"queue '{queue}' in vhost '/'"
    with channel_closed(406, f"PRECONDITION_FAILED - inequivalent arg 'x-message-deduplication' for {what}: {text}"):
        channel.queue_declare(queue, durable=True)
    channel = channel.connection.channel()
    what = f"exchange '{exchange}' in vhost '/'"
    with channel_closed(406, f"PRECONDITION_FAILED - inequivalent arg 'x-message-deduplication' for {what}: {text}"):
        channel.exchange_declare(exchange, "fanout")
