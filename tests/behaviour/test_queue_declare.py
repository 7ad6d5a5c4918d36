"""queue.declare: names, properties, arguments, and when a second declare is equal to the first."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Queue

from tests.behaviour.conftest import Broker, Connect, Names
from tests.behaviour.expectations import Consumer, channel_closed, get, get_one, leveret_only, publish
from tests.behaviour.raw_connection import RawConnection

NO_LAST_QUEUE = "NOT_FOUND - no previously declared queue"


def inequivalent(argument: str, queue: str, received: str, current: str) -> str:
    return (
        f"PRECONDITION_FAILED - inequivalent arg '{argument}' for queue '{queue}' in vhost '/': "
        f"received {received} but current is {current}"
    )


def test_the_answer_names_the_queue_and_counts(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    answer = channel.queue_declare(queue).method
    assert (answer.queue, answer.message_count, answer.consumer_count) == (queue, 0, 0)


def test_a_second_declare_counts_ready_messages_and_consumers(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    publish(channel, queue, "1", "2", "3")
    get_one(channel, queue, auto_ack=False)
    answer = channel.queue_declare(queue, durable=True).method
    assert (answer.message_count, answer.consumer_count) == (2, 0)
    consumers = [Consumer(connect().channel(), queue) for _ in range(2)]
    assert channel.queue_declare(queue, passive=True).method.consumer_count == 2
    consumers[0].channel.basic_cancel(consumers[0].tag)
    assert channel.queue_declare(queue, passive=True).method.consumer_count == 1


def test_the_server_names_a_queue(channel: BlockingChannel) -> None:
    first = channel.queue_declare("", exclusive=True).method.queue
    second = channel.queue_declare("", exclusive=True).method.queue
    assert first != second
    for name in (first, second):
        assert re.fullmatch(r"amq\.gen-[A-Za-z0-9_-]{22}", name)


def test_a_server_named_queue_can_be_used_by_its_name(channel: BlockingChannel, names: Names) -> None:
    queue = channel.queue_declare("", auto_delete=True).method.queue
    names.queues.append(queue)
    publish(channel, queue, "hello")
    assert channel.queue_declare(queue, passive=True).method.message_count == 1
    assert get_one(channel, queue).body == b"hello"


@leveret_only("RabbitMQ refuses the reserved name also of a queue that is there; the AMQP specification does not")
def test_a_server_named_queue_can_be_declared_again(channel: BlockingChannel) -> None:
    queue = channel.queue_declare("", exclusive=True).method.queue
    assert channel.queue_declare(queue, exclusive=True).method.queue == queue


def test_the_empty_name_is_the_last_declared_queue(channel: BlockingChannel, names: Names) -> None:
    first, last, key = names.queue(), names.queue(), names.unique
    channel.queue_declare(first)
    channel.queue_declare(last)
    channel.queue_bind("", "amq.direct", key)
    channel.basic_publish("amq.direct", key, b"hello")
    assert get_one(channel, "").body == b"hello"
    channel.queue_unbind("", "amq.direct", key)
    channel.basic_publish("amq.direct", key, b"unbound")
    assert get(channel, "") is None
    channel.basic_cancel(channel.basic_consume("", lambda *_: None))
    publish(channel, last, b"purged")
    assert channel.queue_purge("").method.message_count == 1
    assert channel.queue_delete("").method.message_count == 0
    with channel_closed(404, f"NOT_FOUND - no queue '{last}' in vhost '/'"):
        channel.queue_declare(last, passive=True)


def test_a_passive_declare_sets_the_last_declared_queue(channel: BlockingChannel, names: Names, queue: str) -> None:
    publish(channel, queue, "hello")
    channel.queue_declare(names.queue())
    channel.queue_declare(queue, passive=True)
    assert get_one(channel, "").body == b"hello"


def test_a_passive_declare_takes_the_empty_name_as_it_is(channel: BlockingChannel, names: Names) -> None:
    channel.queue_declare(names.queue())
    with channel_closed(404, "NOT_FOUND - no queue '' in vhost '/'"):
        channel.queue_declare("", passive=True)


def test_a_deleted_last_queue_is_forgotten_only_by_name(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue)
    channel.queue_delete(queue)
    with channel_closed(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        channel.queue_purge("")


def test_the_empty_key_of_a_bind_with_the_empty_name_is_the_queue_name(
    channel: BlockingChannel, names: Names, queue: str
) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct")
    channel.queue_declare(queue, durable=True)
    # pika turns an empty key into the queue name by itself only for named queues, hence the explicit empty key
    channel.queue_bind("", exchange, "")
    channel.basic_publish(exchange, queue, b"by name")
    assert get_one(channel, queue).body == b"by name"


@pytest.mark.parametrize(
    "use",
    [
        lambda channel: channel.queue_bind("", "amq.direct", "key"),
        lambda channel: channel.queue_unbind("", "amq.direct", "key"),
        lambda channel: channel.queue_purge(""),
        lambda channel: channel.queue_delete(""),
        lambda channel: channel.basic_get(""),
        lambda channel: channel.basic_consume("", lambda *_: None),
    ],
    ids=["bind", "unbind", "purge", "delete", "get", "consume"],
)
def test_without_a_declared_queue_the_empty_name_is_404(channel: BlockingChannel, queue: str, use: Any) -> None:
    fresh = channel.connection.channel()
    with channel_closed(404, NO_LAST_QUEUE):
        use(fresh)


@pytest.mark.parametrize(
    "use",
    [
        lambda channel, queue: channel.queue_declare(queue, passive=True),
        lambda channel, queue: channel.queue_bind(queue, "amq.direct", "key"),
        lambda channel, queue: channel.queue_purge(queue),
        lambda channel, queue: channel.basic_get(queue),
        lambda channel, queue: channel.basic_consume(queue, lambda *_: None),
    ],
    ids=["passive", "bind", "purge", "get", "consume"],
)
def test_a_missing_queue_is_404(channel: BlockingChannel, names: Names, use: Any) -> None:
    queue = names.queue()
    with channel_closed(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        use(channel, queue)


@pytest.mark.parametrize("flags", [{}, {"durable": True}, {"auto_delete": True}, {"exclusive": True}])
def test_an_equal_declare_is_accepted_again(channel: BlockingChannel, names: Names, flags: dict[str, bool]) -> None:
    queue = names.queue()
    for _ in range(2):
        assert channel.queue_declare(queue, **flags).method.queue == queue


@pytest.mark.parametrize("flag", ["durable", "auto_delete"])
@pytest.mark.parametrize("first", [True, False])
def test_another_flag_is_refused(channel: BlockingChannel, names: Names, flag: str, first: bool) -> None:
    queue = names.queue()
    channel.queue_declare(queue, **{flag: first})
    received, current = (f"'{str(value).lower()}'" for value in (not first, first))
    with channel_closed(406, inequivalent(flag, queue, received, current)):
        channel.queue_declare(queue, **{flag: not first})


LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{}' in vhost '/'. It could be originally "
    "declared on another connection or the exclusive property value does not match that of the original declaration."
)


def test_declaring_a_shared_queue_as_exclusive_is_405(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue)
    with channel_closed(405, LOCKED.format(queue)):
        channel.queue_declare(queue, exclusive=True)


def test_declaring_ones_own_exclusive_queue_as_shared_is_405(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, exclusive=True)
    with channel_closed(405, LOCKED.format(queue)):
        channel.queue_declare(queue)


ARGUMENTS: list[tuple[str, object, object]] = [
    ("x-max-length", 5, 10),
    ("x-max-length-bytes", 5, 10),
    ("x-message-ttl", 60000, 60001),
    ("x-expires", 60000, 60001),
    ("x-max-priority", 5, 6),
    ("x-dead-letter-exchange", "one", "two"),
    ("x-overflow", "drop-head", "reject-publish"),
    ("x-single-active-consumer", True, False),
]


def shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def kind(value: object) -> str:
    return {str: "longstr", bool: "bool", int: "signedint"}[type(value)]


@pytest.mark.parametrize(("argument", "current", "received"), ARGUMENTS)
def test_an_equal_argument_is_accepted_again(
    channel: BlockingChannel, names: Names, argument: str, current: object, received: object
) -> None:
    queue = names.queue()
    for _ in range(2):
        channel.queue_declare(queue, durable=True, arguments={argument: current})


@pytest.mark.parametrize(("argument", "current", "received"), ARGUMENTS)
def test_another_argument_value_is_refused(
    channel: BlockingChannel, names: Names, argument: str, current: object, received: object
) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True, arguments={argument: current})
    with channel_closed(406, inequivalent(argument, queue, f"'{shown(received)}'", f"'{shown(current)}'")):
        channel.queue_declare(queue, durable=True, arguments={argument: received})


@pytest.mark.parametrize(("argument", "current", "received"), ARGUMENTS)
def test_a_left_out_argument_is_refused(
    channel: BlockingChannel, names: Names, argument: str, current: object, received: object
) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True, arguments={argument: current})
    value = f"the value '{shown(current)}' of type '{kind(current)}'"
    with channel_closed(406, inequivalent(argument, queue, "none", value)):
        channel.queue_declare(queue, durable=True)


@pytest.mark.parametrize(("argument", "current", "received"), ARGUMENTS)
def test_an_added_argument_is_refused(
    channel: BlockingChannel, names: Names, argument: str, current: object, received: object
) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True)
    value = f"the value '{shown(received)}' of type '{kind(received)}'"
    with channel_closed(406, inequivalent(argument, queue, value, "none")):
        channel.queue_declare(queue, durable=True, arguments={argument: received})


def test_another_dead_letter_routing_key_is_refused(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    arguments = {"x-dead-letter-exchange": "amq.direct", "x-dead-letter-routing-key": "one"}
    channel.queue_declare(queue, arguments=arguments)
    with channel_closed(406, inequivalent("x-dead-letter-routing-key", queue, "'two'", "'one'")):
        channel.queue_declare(queue, arguments={**arguments, "x-dead-letter-routing-key": "two"})


def test_a_flag_is_compared_before_an_argument(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue)
    with channel_closed(406, inequivalent("durable", queue, "'true'", "'false'")):
        channel.queue_declare(queue, durable=True, auto_delete=True, arguments={"x-max-length": 5})


def test_unknown_arguments_are_accepted_and_not_compared(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, arguments={"anything": "one", "x-own-thing": 5})
    channel.queue_declare(queue, arguments={"anything": "two"})
    channel.queue_declare(queue)


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_queue_types_are_accepted(channel: BlockingChannel, names: Names, queue_type: str) -> None:
    queue = names.queue()
    for _ in range(2):
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": queue_type})
    publish(channel, queue, "hello")
    channel.basic_consume(queue, lambda channel, *_: channel.stop_consuming(), auto_ack=True)
    channel.start_consuming()


def test_the_type_classic_equals_no_type(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True)
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "classic"})
    channel.queue_declare(queue, durable=True)


def test_a_transient_shared_queue_is_allowed(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=False, exclusive=False)
    publish(channel, queue, "hello")
    assert get_one(connect().channel(), queue).body == b"hello"


def test_a_passive_declare_ignores_everything_but_the_name(channel: BlockingChannel, queue: str) -> None:
    channel.queue_declare(queue, passive=True, durable=False, auto_delete=True, arguments={"x-max-length": 7})


def test_a_reserved_name_is_refused(channel: BlockingChannel) -> None:
    with channel_closed(403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"):
        channel.queue_declare("amq.mine")


def test_a_passive_declare_may_ask_for_a_reserved_name(channel: BlockingChannel) -> None:
    with channel_closed(404, "NOT_FOUND - no queue 'amq.mine' in vhost '/'"):
        channel.queue_declare("amq.mine", passive=True)


def test_line_ends_are_taken_out_of_a_name(broker: Broker, names: Names) -> None:
    queue = names.queue()
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        for name, passive in ((f"\r{queue}\r\n", False), (f"{queue}\n", True)):
            answer = raw.call(Queue.Declare(queue=name, passive=passive))
            assert isinstance(answer, Queue.DeclareOk)
            assert answer.queue == queue


def test_a_name_may_be_long_and_not_ascii(channel: BlockingChannel, names: Names) -> None:
    for name in ("q" * 245 + names.unique, f"очередь.鍵.🔑.{names.unique}"):
        names.queues.append(name)
        assert channel.queue_declare(name).method.queue == name
        publish(channel, name, "hello")
        assert get_one(channel, name).routing_key == name
