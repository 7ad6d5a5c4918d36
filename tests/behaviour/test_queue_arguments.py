"""queue.declare: which arguments a queue may have, what is said of those it may not, and when two declares differ."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from tests.behaviour.conftest import Connect, Names
from tests.behaviour.expectations import channel_closed, get_one, leveret_only, publish

TEN_YEARS = 315_360_000_000
LARGEST = 2**63 - 1
QUORUM: dict[str, object] = {"x-queue-type": "quorum"}
CLASSIC: dict[str, object] = {}
TYPES = pytest.mark.parametrize("kind", [CLASSIC, QUORUM], ids=["classic", "quorum"])

INTEGERS = ["x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes"]
STRINGS = ["x-overflow", "x-dead-letter-routing-key"]

NOT_INTEGERS = [
    ("5", "longstr"),
    (True, "bool"),
    (None, "void"),
    ([1], "array"),
    ({"a": 1}, "table"),
    (b"\xff", "binary"),
    (Decimal("1.5"), "decimal"),
    (datetime(2020, 1, 1, tzinfo=UTC), "timestamp"),
]
NOT_STRINGS = [(5, "signedint"), (2**40, "long"), *NOT_INTEGERS[1:]]


def of_queue(queue: str) -> str:
    return f"for queue '{queue}' in vhost '/'"


def invalid(argument: str, queue: str, reason: str) -> str:
    return f"PRECONDITION_FAILED - invalid arg '{argument}' {of_queue(queue)}: {reason}"


def foreign(argument: str, queue: str, kind: str) -> str:
    return f"PRECONDITION_FAILED - invalid arg '{argument}' {of_queue(queue)} of queue type rabbit_{kind}_queue"


def inequivalent(argument: str, queue: str, received: str, current: str) -> str:
    return (
        f"PRECONDITION_FAILED - inequivalent arg '{argument}' {of_queue(queue)}: "
        f"received {received} but current is {current}"
    )


def refuses(channel: BlockingChannel, queue: str, arguments: dict[str, object], reason: str) -> None:
    """The declare must fail with this reason, which names the last of the arguments."""
    with channel_closed(406, invalid(list(arguments)[-1], queue, reason)):
        channel.queue_declare(queue, durable=True, arguments=arguments)


def accepts(channel: BlockingChannel, queue: str, arguments: dict[str, object]) -> None:
    """The queue can be declared, is equal to itself, and works."""
    for _ in range(2):
        assert channel.queue_declare(queue, durable=True, arguments=arguments).method.queue == queue


def argument_of(text: str) -> str:
    found = re.search(r"arg '([^']+)'", text)
    assert found is not None, text
    return found.group(1)


@TYPES
@pytest.mark.parametrize("argument", INTEGERS)
def test_a_negative_number_is_refused(
    channel: BlockingChannel, names: Names, argument: str, kind: dict[str, object]
) -> None:
    refuses(channel, names.queue(), {**kind, argument: -1}, "{value_negative,-1}")


@pytest.mark.parametrize(("value", "name"), NOT_INTEGERS, ids=[name for _, name in NOT_INTEGERS])
@pytest.mark.parametrize("argument", [*INTEGERS, "x-max-priority", "x-queue-version"])
def test_an_integer_is_expected(
    channel: BlockingChannel, names: Names, argument: str, value: object, name: str
) -> None:
    refuses(channel, names.queue(), {argument: value}, f'"expected integer, got {name}"')


@pytest.mark.parametrize("value", [0, 1, 255, 2**31, LARGEST])
@pytest.mark.parametrize("argument", ["x-max-length", "x-max-length-bytes"])
def test_a_length_may_be_any_other_number(channel: BlockingChannel, names: Names, argument: str, value: int) -> None:
    accepts(channel, names.queue(), {argument: value})


@pytest.mark.parametrize("argument", ["x-message-ttl", "x-expires"])
def test_a_time_is_ten_years_at_most(channel: BlockingChannel, names: Names, argument: str) -> None:
    for value in (1, TEN_YEARS):
        accepts(channel, names.queue(), {argument: value})
    refuses(channel, names.queue(), {argument: TEN_YEARS + 1}, f"{{value_too_large,{TEN_YEARS + 1}}}")


@pytest.mark.parametrize("value", [LARGEST, -(2**63)])
def test_the_widest_numbers_are_refused_in_full(channel: BlockingChannel, names: Names, value: int) -> None:
    reason = "value_negative" if value < 0 else "value_too_large"
    # ten years at most, so the widest number has a reason of its own on either side
    refuses(channel, names.queue(), {"x-message-ttl": value}, f"{{{reason},{value}}}")


def test_a_message_ttl_may_be_zero_and_a_queue_expiry_may_not(channel: BlockingChannel, names: Names) -> None:
    accepts(channel, names.queue(), {"x-message-ttl": 0})
    refuses(channel, names.queue(), {"x-expires": 0}, "{value_zero,0}")


def test_a_priority_is_255_at_most(channel: BlockingChannel, names: Names) -> None:
    for value in (0, 1, 255):
        accepts(channel, names.queue(), {"x-max-priority": value})
    queue = names.queue()
    with channel_closed(406, invalid("x-max-priority", queue, "{max_value_exceeded,256}")):
        channel.connection.channel().queue_declare(queue, arguments={"x-max-priority": 256})
    refuses(channel, queue, {"x-max-priority": -1}, "{value_negative,-1}")


@pytest.mark.parametrize(("value", "name"), NOT_STRINGS, ids=[name for _, name in NOT_STRINGS])
@pytest.mark.parametrize("argument", [*STRINGS, "x-queue-mode", "x-queue-type"])
def test_a_string_is_expected(channel: BlockingChannel, names: Names, argument: str, value: object, name: str) -> None:
    refuses(channel, names.queue(), {argument: value}, f"{{unacceptable_type,{name}}}")


@TYPES
@pytest.mark.parametrize(("value", "name"), NOT_STRINGS, ids=[name for _, name in NOT_STRINGS])
def test_the_dead_letter_exchange_has_a_text_of_its_own(
    channel: BlockingChannel, names: Names, kind: dict[str, object], value: object, name: str
) -> None:
    queue = names.queue()
    text = f"invalid type '{name}' for arg 'x-dead-letter-exchange' in queue '{queue}' in vhost '/'"
    with channel_closed(406, f"PRECONDITION_FAILED - {text}"):
        channel.queue_declare(queue, durable=True, arguments={**kind, "x-dead-letter-exchange": value})


@TYPES
def test_a_dead_letter_key_needs_an_exchange(channel: BlockingChannel, names: Names, kind: dict[str, object]) -> None:
    exchange: dict[str, object] = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": ""}
    accepts(channel, names.queue(), {**kind, **exchange})
    arguments = {**kind, "x-dead-letter-routing-key": "key"}
    refuses(channel, names.queue(), arguments, "routing_key_but_no_dlx_defined")


@TYPES
@pytest.mark.parametrize("value", ["drop-head", "reject-publish", "reject-publish-dlx"])
def test_overflow_behaviours(channel: BlockingChannel, names: Names, kind: dict[str, object], value: str) -> None:
    accepts(channel, names.queue(), {**kind, "x-overflow": value})


@TYPES
@pytest.mark.parametrize("value", ["", "drop-tail", "Drop-Head"])
def test_another_overflow_behaviour_is_refused(
    channel: BlockingChannel, names: Names, kind: dict[str, object], value: str
) -> None:
    refuses(channel, names.queue(), {**kind, "x-overflow": value}, "invalid_overflow")


@pytest.mark.parametrize("value", ["", "fake", "Classic"])
def test_another_queue_type_is_refused(channel: BlockingChannel, names: Names, value: str) -> None:
    refuses(channel, names.queue(), {"x-queue-type": value}, f"\"unsupported queue type '{value}'\"")


@TYPES
@pytest.mark.parametrize("value", [1, "true", None])
def test_a_single_active_consumer_is_a_boolean(
    channel: BlockingChannel, names: Names, kind: dict[str, object], value: object
) -> None:
    name = {int: "signedint", str: "longstr", type(None): "void"}[type(value)]
    refuses(channel, names.queue(), {**kind, "x-single-active-consumer": value}, f"{{unacceptable_type,{name}}}")


def test_a_queue_mode_is_accepted(channel: BlockingChannel, names: Names) -> None:
    for value in ("default", "lazy"):
        accepts(channel, names.queue(), {"x-queue-mode": value})
    refuses(channel, names.queue(), {"x-queue-mode": "eager"}, "\"unsupported queue mode 'eager'\"")


def test_a_queue_version_is_accepted(channel: BlockingChannel, names: Names) -> None:
    for value in (1, 2):
        accepts(channel, names.queue(), {"x-queue-version": value})
    refuses(channel, names.queue(), {"x-queue-version": 3}, "\"unsupported queue version '3'\"")


@pytest.mark.parametrize(("value", "reason"), [(-1, "{value_negative,-1}"), (0, "\"unsupported queue version '0'\"")])
def test_a_queue_version_is_positive(channel: BlockingChannel, names: Names, value: int, reason: str) -> None:
    refuses(channel, names.queue(), {"x-queue-version": value}, reason)


ACCEPTED_BY_QUORUM_QUEUES: list[tuple[str, object]] = [
    ("x-delivery-limit", 5),
    ("x-delivery-limit", 0),
    ("x-delivery-limit", -1),
    ("x-dead-letter-strategy", "at-least-once"),
    ("x-dead-letter-strategy", "at-most-once"),
    ("x-quorum-initial-group-size", 3),
    ("x-queue-leader-locator", "client-local"),
    ("x-queue-leader-locator", "balanced"),
    ("x-queue-leader-locator", "random"),
    ("x-queue-leader-locator", "least-leaders"),
    ("x-max-in-memory-length", 5),
    ("x-max-in-memory-bytes", 5),
    ("x-consumer-timeout", 60000),
]
REFUSED_BY_QUORUM_QUEUES: list[tuple[str, object, str]] = [
    ("x-dead-letter-strategy", "twice", "invalid_dlx_strategy"),
    ("x-dead-letter-strategy", 5, "{unacceptable_type,signedint}"),
    ("x-quorum-initial-group-size", 0, "{value_zero,0}"),
    ("x-quorum-initial-group-size", -1, "{value_negative,-1}"),
    ("x-quorum-initial-group-size", "3", '"expected integer, got longstr"'),
    ("x-queue-leader-locator", "anywhere", "invalid_queue_locator_arg"),
    ("x-queue-leader-locator", 4, "{unacceptable_type,signedint}"),
    ("x-max-in-memory-length", -5, "{value_negative,-5}"),
    ("x-max-in-memory-bytes", "5", '"expected integer, got longstr"'),
]
ON_EVERY_TYPE = leveret_only("RabbitMQ has these arguments for quorum queues alone, Leveret for every queue")


@pytest.mark.parametrize(("argument", "value"), ACCEPTED_BY_QUORUM_QUEUES)
def test_what_a_quorum_queue_may_have(channel: BlockingChannel, names: Names, argument: str, value: object) -> None:
    accepts(channel, names.queue(), {**QUORUM, argument: value})


@ON_EVERY_TYPE
@pytest.mark.parametrize(("argument", "value"), ACCEPTED_BY_QUORUM_QUEUES)
def test_a_classic_queue_may_have_it_too(channel: BlockingChannel, names: Names, argument: str, value: object) -> None:
    accepts(channel, names.queue(), {argument: value})


@pytest.mark.parametrize(("argument", "value", "reason"), REFUSED_BY_QUORUM_QUEUES)
def test_what_a_quorum_queue_may_not_have(
    channel: BlockingChannel, names: Names, argument: str, value: object, reason: str
) -> None:
    refuses(channel, names.queue(), {**QUORUM, argument: value}, reason)


@ON_EVERY_TYPE
@pytest.mark.parametrize(("argument", "value", "reason"), REFUSED_BY_QUORUM_QUEUES)
def test_a_classic_queue_may_not_have_it_either(
    channel: BlockingChannel, names: Names, argument: str, value: object, reason: str
) -> None:
    refuses(channel, names.queue(), {argument: value}, reason)


@leveret_only("RabbitMQ 3.10 does not look at it")
@TYPES
@pytest.mark.parametrize(("value", "reason"), [(-1, "{value_negative,-1}"), ("5", '"expected integer, got longstr"')])
def test_a_consumer_timeout_is_no_negative_number(
    channel: BlockingChannel, names: Names, kind: dict[str, object], value: object, reason: str
) -> None:
    refuses(channel, names.queue(), {**kind, "x-consumer-timeout": value}, reason)


@leveret_only("RabbitMQ 4 closes the connection with 541, RabbitMQ 3 for unknown locators alone; old clients send it")
@pytest.mark.parametrize("value", ["client-local", "min-masters", "random", "anywhere"])
def test_a_master_locator_is_accepted(channel: BlockingChannel, names: Names, value: str) -> None:
    accepts(channel, names.queue(), {"x-queue-master-locator": value})


@pytest.mark.parametrize(("argument", "value"), [("x-max-age", "1h"), ("x-stream-max-segment-size-bytes", 5)])
@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_arguments_of_streams_are_refused(
    channel: BlockingChannel, names: Names, kind: str, argument: str, value: object
) -> None:
    queue = names.queue()
    with channel_closed(406, foreign(argument, queue, kind)):
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": kind, argument: value})


@pytest.mark.parametrize("argument", ["x-max-priority", "x-queue-mode", "x-queue-version"])
@pytest.mark.parametrize("value", ["default", 2])
def test_a_quorum_queue_refuses_arguments_of_classic_ones(
    channel: BlockingChannel, names: Names, argument: str, value: object
) -> None:
    queue = names.queue()
    with channel_closed(406, foreign(argument, queue, "quorum")):
        channel.queue_declare(queue, durable=True, arguments={**QUORUM, argument: value})


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"durable": False}, "non-durable"),
        ({"durable": True, "exclusive": True}, "exclusive-owner"),
        ({"durable": True, "auto_delete": True}, "auto-delete"),
        ({"durable": False, "exclusive": True, "auto_delete": True}, "auto-delete"),
    ],
)
def test_a_quorum_queue_is_durable_and_shared(
    channel: BlockingChannel, names: Names, flags: dict[str, bool], told: str
) -> None:
    queue = names.queue()
    with channel_closed(406, f"PRECONDITION_FAILED - invalid property '{told}' {of_queue(queue)}"):
        channel.queue_declare(queue, arguments=QUORUM, **flags)


def test_a_quorum_queue_has_a_name(channel: BlockingChannel) -> None:
    text = "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue"
    with channel_closed(406, text):
        channel.queue_declare("", durable=True, arguments=QUORUM)


ALL_WRONG: dict[str, object] = {
    "x-single-active-consumer": 1,
    "x-queue-version": 9,
    "x-queue-mode": "fast",
    "x-overflow": "drop-tail",
    "x-max-priority": 300,
    "x-max-length-bytes": -1,
    "x-max-length": -1,
    "x-dead-letter-routing-key": "key",
    "x-message-ttl": -1,
    "x-expires": 0,
}
IN_ORDER = ["x-expires", "x-message-ttl", "x-dead-letter-routing-key", "x-max-length", "x-max-length-bytes"]
IN_ORDER += ["x-max-priority", "x-overflow", "x-queue-mode", "x-queue-version", "x-single-active-consumer"]


def test_of_several_wrong_arguments_the_first_by_this_order_is_told(connect: Connect, names: Names) -> None:
    connection, queue = connect(), names.queue()
    arguments = dict(ALL_WRONG)
    told: list[str] = []
    while arguments:
        with pytest.raises(ChannelClosedByBroker) as caught:
            connection.channel().queue_declare(queue, arguments=arguments)
        told.append(argument_of(caught.value.reply_text))
        del arguments[told[-1]]
    assert told == IN_ORDER


def test_the_type_and_the_dead_letter_exchange_are_looked_at_first(connect: Connect, names: Names) -> None:
    connection, queue = connect(), names.queue()
    wrong_type = {**ALL_WRONG, "x-queue-type": "fake", "x-dead-letter-exchange": 5}
    for expected in ("x-dead-letter-exchange", "x-queue-type", "x-expires"):
        with pytest.raises(ChannelClosedByBroker) as caught:
            connection.channel().queue_declare(queue, arguments=wrong_type)
        assert argument_of(caught.value.reply_text) == expected
        wrong_type.pop(expected)


def test_a_reserved_name_is_told_before_a_wrong_argument(channel: BlockingChannel) -> None:
    with channel_closed(403, "ACCESS_REFUSED - queue name 'amq.own' contains reserved prefix 'amq.*'"):
        channel.queue_declare("amq.own", arguments=ALL_WRONG)


def test_a_wrong_value_is_told_before_a_wrong_property(channel: BlockingChannel, names: Names) -> None:
    refuses(channel, names.queue(), {**QUORUM, "x-message-ttl": -1}, "{value_negative,-1}")
    channel = channel.connection.channel()
    queue = names.queue()
    with channel_closed(406, foreign("x-max-priority", queue, "quorum")):
        channel.queue_declare(queue, arguments={**QUORUM, "x-max-priority": 5})


def test_a_refused_declare_leaves_no_queue(channel: BlockingChannel, connect: Connect, names: Names) -> None:
    queue = names.queue()
    refuses(channel, queue, {"x-max-length": -1}, "{value_negative,-1}")
    with channel_closed(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        connect().channel().queue_declare(queue, passive=True)


DIFFERENT: dict[str, tuple[object, object]] = {
    "x-single-active-consumer": (True, False),
    "x-queue-version": (1, 2),
    "x-queue-mode": ("default", "lazy"),
    "x-overflow": ("drop-head", "reject-publish"),
    "x-max-priority": (3, 4),
    "x-max-length-bytes": (1, 2),
    "x-max-length": (1, 2),
    "x-dead-letter-routing-key": ("one", "two"),
    "x-dead-letter-exchange": ("one", "two"),
    "x-message-ttl": (60000, 60001),
    "x-expires": (60000, 60001),
}


def test_of_several_differences_the_first_by_this_order_is_told(connect: Connect, names: Names) -> None:
    connection, queue = connect(), names.queue()
    connection.channel().queue_declare(queue, arguments={name: current for name, (current, _) in DIFFERENT.items()})
    arguments = {name: received for name, (_, received) in DIFFERENT.items()}
    told: list[str] = []
    while len(told) < len(DIFFERENT):
        with pytest.raises(ChannelClosedByBroker) as caught:
            connection.channel().queue_declare(queue, arguments=arguments)
        told.append(argument_of(caught.value.reply_text))
        arguments[told[-1]] = DIFFERENT[told[-1]][0]
    assert told == [*IN_ORDER[:2], "x-dead-letter-exchange", *IN_ORDER[2:]]
    connection.channel().queue_declare(queue, arguments=arguments)


@pytest.mark.parametrize(
    ("arguments", "received", "current"),
    [
        ({"x-message-ttl": -1}, "'-1'", "'60000'"),
        ({"x-message-ttl": "often"}, "'often'", "'60000'"),
        ({"x-message-ttl": 60000, "x-max-priority": 300}, "the value '300' of type 'signedint'", "none"),
        ({"x-message-ttl": 60000, "x-overflow": "bad"}, "the value 'bad' of type 'longstr'", "none"),
        ({"x-message-ttl": 60000, "x-dead-letter-exchange": 4}, "the value '4' of type 'signedint'", "none"),
        ({"x-message-ttl": 60000, "x-dead-letter-routing-key": "k"}, "the value 'k' of type 'longstr'", "none"),
    ],
)
def test_for_a_queue_that_is_there_only_the_difference_is_told(
    channel: BlockingChannel, names: Names, arguments: dict[str, object], received: str, current: str
) -> None:
    queue = names.queue()
    channel.queue_declare(queue, arguments={"x-message-ttl": 60000})
    with channel_closed(406, inequivalent(list(arguments)[-1], queue, received, current)):
        channel.queue_declare(queue, arguments=arguments)


def test_numbers_are_compared_by_value(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, arguments={"x-max-length": 5})
    # wide enough for another integer type on the wire, hence a difference of value in the text as well
    with channel_closed(406, inequivalent("x-max-length", queue, f"'{2**40}'", "'5'")):
        channel.queue_declare(queue, arguments={"x-max-length": 2**40})


def test_a_long_is_named_by_its_type(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, arguments={"x-max-length": 2**40})
    with channel_closed(406, inequivalent("x-max-length", queue, "none", f"the value '{2**40}' of type 'long'")):
        channel.queue_declare(queue)


@pytest.mark.parametrize(
    ("argument", "current", "received"),
    [
        ("x-queue-mode", "lazy", "default"),
        ("x-queue-version", 1, 2),
        ("x-delivery-limit", 5, 6),
        ("x-dead-letter-strategy", "at-most-once", "at-least-once"),
        ("x-quorum-initial-group-size", 1, 3),
        ("x-queue-leader-locator", "balanced", "client-local"),
        ("x-max-in-memory-length", 1, 2),
    ],
)
def test_arguments_without_effect_are_compared_too(
    channel: BlockingChannel, names: Names, argument: str, current: object, received: object
) -> None:
    queue = names.queue()
    kind = CLASSIC if argument in DIFFERENT else QUORUM
    channel.queue_declare(queue, durable=True, arguments={**kind, argument: current})
    with channel_closed(406, inequivalent(argument, queue, f"'{received}'", f"'{current}'")):
        channel.queue_declare(queue, durable=True, arguments={**kind, argument: received})


@pytest.mark.parametrize(("current", "received"), [("classic", "quorum"), ("quorum", "classic")])
def test_another_type_is_refused(channel: BlockingChannel, names: Names, current: str, received: str) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": current})
    with channel_closed(406, inequivalent("x-queue-type", queue, f"'{received}'", f"'{current}'")):
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": received})


def test_a_quorum_queue_is_no_queue_without_a_type(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True, arguments=QUORUM)
    with pytest.raises(ChannelClosedByBroker) as caught:
        channel.queue_declare(queue, durable=True)
    assert (caught.value.reply_code, argument_of(caught.value.reply_text)) == (406, "x-queue-type")


def test_unknown_arguments_change_nothing(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    accepts(channel, queue, {"x-own": -1, "X-Max-Length": -1, "max-length": "one", "x-message-ttl ": None})
    publish(channel, queue, "1", "2")
    assert get_one(channel, queue).body == b"1"
