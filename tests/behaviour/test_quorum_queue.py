"""x-queue-type quorum: what such a queue refuses, and where messages go that come back to it."""

from __future__ import annotations

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.spec import Basic, Queue

from tests.behaviour.conftest import Broker, Connect, Names
from tests.behaviour.expectations import (
    Consumer,
    Message,
    await_errors,
    channel_closed,
    connection_closed,
    consumer_count,
    get,
    get_bodies,
    get_one,
    leveret_only,
    publish,
    ready_count,
    wait_until,
)
from tests.behaviour.raw_connection import RawConnection

QUORUM = {"x-queue-type": "quorum"}


def declare(channel: BlockingChannel, names: Names, **arguments: object) -> str:
    """A quorum queue; `arguments` without `x-`, with underscores for dashes. The channel confirms from now on."""
    queue = names.queue("quorum")
    named = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    channel.queue_declare(queue, durable=True, arguments={**QUORUM, **named})
    channel.confirm_delivery()
    return queue


@pytest.fixture
def quorum(channel: BlockingChannel, names: Names) -> str:
    return declare(channel, names)


def take(channel: BlockingChannel, queue: str, count: int) -> list[Message]:
    return [get_one(channel, queue, auto_ack=False) for _ in range(count)]


def drain(channel: BlockingChannel, queue: str) -> list[tuple[bytes, bool]]:
    """What is ready, in order, with the redelivered flag."""
    found = []
    while (message := get(channel, queue)) is not None:
        found.append((message.body, message.redelivered))
    return found


def refused(queue: str, what: str) -> str:
    return f"PRECONDITION_FAILED - invalid {what} for queue '{queue}' in vhost '/'"


@pytest.mark.parametrize(
    ("flags", "property_name"),
    [
        ({"durable": False}, "non-durable"),
        ({"durable": True, "exclusive": True}, "exclusive-owner"),
        ({"durable": True, "auto_delete": True}, "auto-delete"),
        ({"durable": False, "exclusive": True, "auto_delete": True}, "auto-delete"),
    ],
    ids=["transient", "exclusive", "auto-delete", "all"],
)
def test_it_must_be_durable_shared_and_lasting(
    channel: BlockingChannel, names: Names, flags: dict[str, bool], property_name: str
) -> None:
    queue = names.queue()
    with channel_closed(406, refused(queue, f"property '{property_name}'")):
        channel.queue_declare(queue, arguments=QUORUM, **flags)


def test_a_refused_declaration_makes_no_queue(
    connection: BlockingConnection, channel: BlockingChannel, names: Names
) -> None:
    queue = names.queue()
    with channel_closed(406, refused(queue, "property 'non-durable'")):
        channel.queue_declare(queue, arguments=QUORUM)
    with channel_closed(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        connection.channel().queue_declare(queue, passive=True)


@pytest.mark.parametrize("arguments", [QUORUM, {**QUORUM, "x-max-priority": 4}], ids=["plain", "bad argument"])
@pytest.mark.parametrize("durable", [False, True])
def test_the_server_does_not_name_it(channel: BlockingChannel, durable: bool, arguments: dict[str, object]) -> None:
    text = "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue"
    with channel_closed(406, text):
        channel.queue_declare("", durable=durable, arguments=arguments)


def test_a_reserved_name_is_refused(channel: BlockingChannel) -> None:
    with channel_closed(403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"):
        channel.queue_declare("amq.mine", durable=True, arguments=QUORUM)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("x-max-priority", 5), ("x-queue-mode", "lazy"), ("x-queue-version", 2), ("x-max-age", "5D")],
)
def test_arguments_of_other_types_are_refused(
    channel: BlockingChannel, names: Names, argument: str, value: object
) -> None:
    queue = names.queue()
    with channel_closed(406, refused(queue, f"arg '{argument}'") + " of queue type rabbit_quorum_queue"):
        channel.queue_declare(queue, durable=True, arguments={**QUORUM, argument: value})


@pytest.mark.parametrize(
    ("argument", "value", "reason"),
    [
        ("x-quorum-initial-group-size", 0, "{value_zero,0}"),
        ("x-dead-letter-strategy", "sometimes", "invalid_dlx_strategy"),
        ("x-queue-leader-locator", "somewhere", "invalid_queue_locator_arg"),
        ("x-max-length", -1, "{value_negative,-1}"),
    ],
)
def test_bad_values_are_refused(
    channel: BlockingChannel, names: Names, argument: str, value: object, reason: str
) -> None:
    queue = names.queue()
    with channel_closed(406, refused(queue, f"arg '{argument}'") + f": {reason}"):
        channel.queue_declare(queue, durable=True, arguments={**QUORUM, argument: value})


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-max-length": -1, "x-max-priority": 4},
        {"x-max-length": -1},
    ],
    ids=["before the argument of another type", "before the flags"],
)
def test_bad_values_are_found_first(channel: BlockingChannel, names: Names, arguments: dict[str, object]) -> None:
    queue = names.queue()
    with channel_closed(406, refused(queue, "arg 'x-max-length'") + ": {value_negative,-1}"):
        channel.queue_declare(queue, durable=False, arguments={**QUORUM, **arguments})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("x-delivery-limit", 5),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-quorum-initial-group-size", 3),
        ("x-queue-leader-locator", "balanced"),
        ("x-overflow", "reject-publish"),
        ("x-overflow", "reject-publish-dlx"),
        ("x-max-in-memory-length", 5),
        ("x-consumer-timeout", 60000),
    ],
)
def test_its_own_arguments_are_accepted(channel: BlockingChannel, names: Names, argument: str, value: object) -> None:
    queue = names.queue()
    for _ in range(2):
        channel.queue_declare(queue, durable=True, arguments={**QUORUM, argument: value})


def test_a_redeclare_does_not_look_at_arguments_of_other_types(channel: BlockingChannel, quorum: str) -> None:
    channel.queue_declare(quorum, durable=True, arguments={**QUORUM, "x-max-priority": 5})


def test_a_passive_declare_needs_no_arguments(channel: BlockingChannel, quorum: str) -> None:
    channel.queue_declare(quorum, passive=True, durable=False)


@pytest.mark.parametrize(
    ("current", "received", "texts"),
    [
        ("quorum", None, "received none but current is the value 'quorum' of type 'longstr'"),
        ("quorum", "classic", "received 'classic' but current is 'quorum'"),
        (None, "quorum", "received the value 'quorum' of type 'longstr' but current is none"),
    ],
)
def test_a_queue_cannot_change_its_type(
    channel: BlockingChannel, names: Names, current: str | None, received: str | None, texts: str
) -> None:
    queue = names.queue()
    of_type = [{} if kind is None else {"x-queue-type": kind} for kind in (current, received)]
    channel.queue_declare(queue, durable=True, arguments=of_type[0])
    with channel_closed(
        406, f"PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '{queue}' in vhost '/': {texts}"
    ):
        channel.queue_declare(queue, durable=True, arguments=of_type[1])


def test_a_redeclare_compares_the_flags(channel: BlockingChannel, quorum: str) -> None:
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{quorum}' in vhost '/': "
        "received 'false' but current is 'true'"
    )
    with channel_closed(406, text):
        channel.queue_declare(quorum, durable=False, arguments=QUORUM)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"if_unused": True}, "if-unused"),
        ({"if_empty": True}, "if-empty"),
        ({"if_unused": True, "if_empty": True}, "if-unused"),
    ],
    ids=["unused", "empty", "both"],
)
def test_a_conditional_deletion_is_not_implemented(
    channel: BlockingChannel, connect: Connect, quorum: str, flags: dict[str, bool], named: str
) -> None:
    text = (
        f"NOT_IMPLEMENTED - cannot delete queue '{quorum}' in vhost '/'. queue.delete operations with {named} flag "
        "set are not supported by quorum queues"
    )
    with connection_closed(540, text):
        connect().channel().queue_delete(quorum, **flags)
    channel.queue_declare(quorum, passive=True)


def test_it_is_deleted_with_what_it_has(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names)
    publish(channel, queue, "1", "2")
    assert channel.queue_delete(queue).method.message_count == 2


def test_its_consumers_are_told_of_its_deletion(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue = declare(channel, names)
    consumer = Consumer(connect().channel(), queue)
    channel.queue_delete(queue)
    wait_until(lambda: consumer.cancelled, consumer.channel.connection)


def test_a_purge_counts_and_leaves_what_is_unacked(
    connection: BlockingConnection, channel: BlockingChannel, quorum: str
) -> None:
    publish(channel, quorum, "1", "2", "3")
    other = connection.channel()
    take(other, quorum, 1)
    assert channel.queue_purge(quorum).method.message_count == 2
    assert ready_count(channel, quorum) == 0
    other.close()
    wait_until(lambda: ready_count(channel, quorum) == 1)
    assert drain(channel, quorum) == [(b"1", True)]


def test_it_is_consumed_in_order(channel: BlockingChannel, connect: Connect, quorum: str) -> None:
    publish(channel, quorum, "1", "2")
    consumer = Consumer(connect().channel(), quorum)
    publish(channel, quorum, "3")
    messages = consumer.wait_for(3)
    assert [(message.body, message.redelivered) for message in messages] == [
        (b"1", False),
        (b"2", False),
        (b"3", False),
    ]
    consumer.channel.basic_ack(0, multiple=True)
    assert consumer_count(channel, quorum) == 1


def test_consumers_take_turns(channel: BlockingChannel, connect: Connect, quorum: str) -> None:
    worker = connect().channel()
    worker.basic_qos(prefetch_count=2)
    consumers = [Consumer(worker, quorum) for _ in range(2)]
    publish(channel, quorum, "1", "2", "3", "4")
    for consumer in consumers:
        consumer.wait_for(2)
    assert ready_count(channel, quorum) == 0


def test_the_first_delivery_has_no_failures_to_tell(channel: BlockingChannel, quorum: str) -> None:
    channel.basic_publish("", quorum, b"x", BasicProperties(content_type="text/plain", delivery_mode=1))
    message = get_one(channel, quorum)
    assert (message.redelivered, message.properties.content_type) == (False, "text/plain")
    assert message.properties.delivery_mode == 1
    assert (message.properties.headers or {}).get("x-delivery-count", 0) == 0


def test_a_transient_message_is_confirmed_and_kept(channel: BlockingChannel, quorum: str) -> None:
    channel.basic_publish("", quorum, b"x", BasicProperties(delivery_mode=1), mandatory=True)
    assert get_bodies(channel, quorum) == [b"x"]


def test_a_limited_queue_gets_back_before_what_waits(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=20)
    publish(channel, queue, "1", "2", "3", "4", "5")
    messages = take(channel, queue, 3)
    for message in messages:
        channel.basic_reject(message.tag, requeue=True)
    wait_until(lambda: ready_count(channel, queue) == 5)
    assert drain(channel, queue) == [(b"1", True), (b"2", True), (b"3", True), (b"4", False), (b"5", False)]


@leveret_only("RabbitMQ 3 puts them at the end without a delivery limit, and there is one by default since 4")
def test_without_an_argument_it_gets_back_before_what_waits(channel: BlockingChannel, quorum: str) -> None:
    publish(channel, quorum, "1", "2", "3", "4", "5")
    messages = take(channel, quorum, 3)
    for message in messages:
        channel.basic_nack(message.tag, requeue=True)
    assert drain(channel, quorum) == [(b"1", True), (b"2", True), (b"3", True), (b"4", False), (b"5", False)]


def test_many_nacked_at_once_keep_their_order(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=20)
    publish(channel, queue, "1", "2", "3", "4")
    take(channel, queue, 3)
    channel.basic_nack(0, multiple=True, requeue=True)
    wait_until(lambda: ready_count(channel, queue) == 4)
    assert drain(channel, queue) == [(b"1", True), (b"2", True), (b"3", True), (b"4", False)]


def test_a_closed_channel_gives_back_in_order(
    connection: BlockingConnection, channel: BlockingChannel, quorum: str
) -> None:
    publish(channel, quorum, "1", "2", "3", "4")
    other = connection.channel()
    take(other, quorum, 3)
    other.close()
    wait_until(lambda: ready_count(channel, quorum) == 4)
    assert drain(channel, quorum) == [(b"1", True), (b"2", True), (b"3", True), (b"4", False)]


def test_a_dead_connection_gives_back_in_order(broker: Broker, channel: BlockingChannel, quorum: str) -> None:
    publish(channel, quorum, "1", "2", "3")
    raw = RawConnection(broker.port)
    raw.open_channel()
    raw.call(Basic.Consume(queue=quorum))
    raw.methods(3)
    raw.die()
    wait_until(lambda: ready_count(channel, quorum) == 3)
    assert drain(channel, quorum) == [(b"1", True), (b"2", True), (b"3", True)]


def test_cancelling_leaves_unacked_deliveries_unacked(channel: BlockingChannel, connect: Connect, quorum: str) -> None:
    publish(channel, quorum, "1", "2")
    consumer = Consumer(connect().channel(), quorum)
    consumer.wait_for(2)
    consumer.channel.basic_cancel(consumer.tag)
    assert ready_count(channel, quorum) == 0
    consumer.channel.basic_ack(consumer.messages[0].tag)
    consumer.channel.basic_nack(consumer.messages[1].tag, requeue=True)
    await_errors(consumer.channel)
    wait_until(lambda: ready_count(channel, quorum) == 1)
    assert drain(channel, quorum) == [(b"2", True)]


def test_a_message_that_comes_back_may_be_the_head_that_is_dropped(channel: BlockingChannel, names: Names) -> None:
    queue = declare(channel, names, delivery_limit=5, max_length=2)
    publish(channel, queue, "1", "2", "3")
    message = get_one(channel, queue, auto_ack=False)
    assert message.body == b"2"
    publish(channel, queue, "4")
    channel.basic_reject(message.tag, requeue=True)
    await_errors(channel)
    assert drain(channel, queue) == [(b"3", False), (b"4", False)]


def test_get_without_acknowledgement_takes_it_away(broker: Broker, channel: BlockingChannel, quorum: str) -> None:
    publish(channel, quorum, "1", "2")
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        answer = raw.call(Basic.Get(queue=quorum, no_ack=True))
        assert isinstance(answer, Basic.GetOk)
        assert (answer.message_count, answer.redelivered) == (1, False)
    assert drain(channel, quorum) == [(b"2", False)]


def test_declare_ok_tells_its_messages(broker: Broker, channel: BlockingChannel, quorum: str) -> None:
    publish(channel, quorum, "1", "2")
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        answer = raw.call(Queue.Declare(queue=quorum, durable=True, arguments=QUORUM))
        assert isinstance(answer, Queue.DeclareOk)
        assert (answer.queue, answer.message_count, answer.consumer_count) == (quorum, 2, 0)
