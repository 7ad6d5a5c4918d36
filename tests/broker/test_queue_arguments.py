"""Arguments of every type the wire has: what is said of those that are refused, and which count as equal."""

from __future__ import annotations

from decimal import Decimal

import pytest

from leveret.amqp.field_table import FieldValue, Table, table_from_python
from leveret.amqp.methods import (
    BasicConsume,
    BasicConsumeOk,
    BasicGet,
    BasicGetEmpty,
    QueueDeclare,
    QueueDeclareOk,
    QueueDelete,
    QueueDeleteOk,
)
from tests.broker.driver import Client, Driver, refused

OF_QUEUE = "for queue 'queue' in vhost '/'"
VALUES = {
    "t": True,
    "f": 1.5,
    "d": 1e30,
    "D": Decimal("1.5"),
    "S": "text",
    "x": b"\xff",
    "A": [FieldValue("I", 1), FieldValue("S", "a")],
    "T": 1577836800,
    "F": {"a": FieldValue("I", 1)},
    "V": None,
}
NAMES = {
    **{"t": "bool", "f": "float", "d": "double", "D": "decimal", "S": "longstr"},
    **{"x": "binary", "A": "array", "T": "timestamp", "F": "table", "V": "void"},
}
KINDS = pytest.mark.parametrize("kind", VALUES)


def declare(name: str = "queue", /, **values: object) -> QueueDeclare:
    """Durable; arguments without their x-."""
    arguments = table_from_python({f"x-{key.replace('_', '-')}": value for key, value in values.items()})
    return QueueDeclare(name, durable=True, arguments=arguments)


def declare_with(name: str, value: FieldValue, **others: object) -> QueueDeclare:
    method = declare(**others)
    method.arguments = {**method.arguments, name: value}
    return method


@KINDS
@pytest.mark.parametrize(
    "name", ["x-message-ttl", "x-expires", "x-max-length", "x-max-priority", "x-queue-version", "x-consumer-timeout"]
)
def test_an_integer_is_expected(client: Client, name: str, kind: str) -> None:
    method = declare_with(name, FieldValue(kind, VALUES[kind]))
    text = f"invalid arg '{name}' {OF_QUEUE}: \"expected integer, got {NAMES[kind]}\""
    assert client.refusal(method) == (406, text)


@pytest.mark.parametrize("kind", list("bBsuIil"))
def test_every_integer_type_is_accepted_and_equal_to_the_others(client: Client, kind: str) -> None:
    for of_kind in (kind, "I", "l"):
        method = declare_with("x-max-length", FieldValue(of_kind, 5))
        assert isinstance(client.call(method).method, QueueDeclareOk)


@KINDS
def test_a_boolean_is_expected(client: Client, kind: str) -> None:
    method = declare_with("x-single-active-consumer", FieldValue(kind, VALUES[kind]))
    if kind == "t":
        assert isinstance(client.call(method).method, QueueDeclareOk)
    else:
        text = f"invalid arg 'x-single-active-consumer' {OF_QUEUE}: {{unacceptable_type,{NAMES[kind]}}}"
        assert client.refusal(method) == (406, text)


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_streams_are_not_available(client: Client, queue_type: str) -> None:
    text = f"invalid arg 'x-queue-type' {OF_QUEUE}: \"unsupported queue type 'stream'\""
    assert client.refusal(declare(queue_type="stream")) == (406, text)
    client = client.driver.log_in()
    client.call(declare(queue_type=queue_type))
    current = f"received 'stream' but current is '{queue_type}'"
    assert client.refusal(declare(queue_type="stream")) == (
        406,
        f"inequivalent arg 'x-queue-type' {OF_QUEUE}: {current}",
    )


def test_a_server_named_queue_is_refused_by_the_name_it_would_have(driver: Driver, client: Client) -> None:
    code, text = client.refusal(declare("", queue_type="stream"))
    assert code == 406
    assert text.startswith("invalid arg 'x-queue-type' for queue 'amq.gen-")
    assert driver.queue_names() == set()


DESCRIBED = {
    **{"t": "true", "f": "1.5", "d": "1.0e30", "D": "{1,15}", "S": "text"},
    **{"A": '[{signedint,1},{longstr,<<"a">>}]', "T": "1577836800", "F": '[{<<"a">>,signedint,1}]'},
}


@pytest.mark.parametrize("kind", DESCRIBED)
def test_values_are_described_as_erlang_has_them(client: Client, kind: str) -> None:
    method = declare_with("x-message-ttl", FieldValue(kind, VALUES[kind]))
    client.call(declare())
    client.call(declare("other", message_ttl=1000))
    shown = f"received the value '{DESCRIBED[kind]}' of type '{NAMES[kind]}' but current is none"
    assert client.refusal(method) == (406, f"inequivalent arg 'x-message-ttl' {OF_QUEUE}: {shown}")
    method.queue = "other"
    shown = f"received '{DESCRIBED[kind]}' but current is '1000'"
    text = f"inequivalent arg 'x-message-ttl' {OF_QUEUE}: {shown}".replace("'queue'", "'other'")
    assert client.refusal(method, 2) == (406, text)


def test_nothing_is_described_in_two_ways(client: Client) -> None:
    client.call(declare())
    client.call(declare("other", overflow="drop-head"))
    text = (
        f"inequivalent arg 'x-overflow' {OF_QUEUE}: received the value 'undefined' of type 'void' but current is none"
    )
    assert client.refusal(declare(overflow=None)) == (406, text)
    text = "inequivalent arg 'x-overflow' for queue 'other' in vhost '/': received none but current is 'drop-head'"
    assert client.refusal(declare("other", overflow=None), 2) == (406, text)


def test_octets_are_shown_as_the_text_they_are(client: Client) -> None:
    client.call(declare())
    nested = FieldValue("A", [FieldValue("x", b"\x00\xff"), FieldValue("V", None), FieldValue("x", b"ab")])
    shown = "received the value '[{binary,<<0,255>>},{void,undefined},{binary,<<\"ab\">>}]' of type 'array'"
    text = f"inequivalent arg 'x-max-length' {OF_QUEUE}: {shown} but current is none"
    assert client.refusal(declare_with("x-max-length", nested)) == (406, text)
    text = f"inequivalent arg 'x-max-length' {OF_QUEUE}: received the value 'ab' of type 'binary' but current is none"
    assert client.refusal(declare_with("x-max-length", FieldValue("x", b"ab")), 2) == (406, text)


@pytest.mark.parametrize(
    ("argument", "queue_type", "compared"),
    [
        ("delivery_limit", "classic", True),
        ("consumer_timeout", "classic", True),
        ("quorum_initial_group_size", "classic", False),
        ("initial_cluster_size", "classic", False),
        ("max_in_memory_bytes", "classic", False),
        ("consumer_disconnected_timeout", "classic", False),
        ("quorum_initial_group_size", "quorum", True),
        ("initial_cluster_size", "quorum", False),
        ("consumer_disconnected_timeout", "quorum", True),
        ("max_priority", "quorum", False),
    ],
)
def test_what_a_redeclare_compares_depends_on_the_type(
    client: Client, argument: str, queue_type: str, compared: bool
) -> None:
    client.call(declare(queue_type=queue_type))
    reply = client.call(declare(queue_type=queue_type, **{argument: 5}))
    if compared:
        name = f"x-{argument.replace('_', '-')}"
        text = f"inequivalent arg '{name}' {OF_QUEUE}: received the value '5' of type 'signedint' but current is none"
        assert refused(reply) == (406, text)
    else:
        assert isinstance(reply.method, QueueDeclareOk)


@pytest.mark.parametrize("argument", ["stream_filter_size_bytes", "max_age"])
def test_arguments_of_streams_are_refused_whatever_they_say(client: Client, argument: str) -> None:
    name = f"x-{argument.replace('_', '-')}"
    text = f"invalid arg '{name}' {OF_QUEUE} of queue type rabbit_classic_queue"
    assert client.refusal(declare(**{argument: 20})) == (406, text)


def test_of_foreign_arguments_the_first_one_sent_is_told(client: Client) -> None:
    for channel, names in enumerate((["queue_mode", "max_priority"], ["max_priority", "queue_mode"]), 1):
        text = f"invalid arg 'x-{names[0].replace('_', '-')}' {OF_QUEUE} of queue type rabbit_quorum_queue"
        assert client.refusal(declare(queue_type="quorum", **dict.fromkeys(names, "x")), channel) == (406, text)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"x-priority": "1"}, f"invalid arg 'x-priority' {OF_QUEUE}: \"expected integer, got longstr\""),
        ({"x-priority": True}, f"invalid arg 'x-priority' {OF_QUEUE}: \"expected integer, got bool\""),
        (
            {"x-consumer-timeout": "1"},
            f"invalid arg 'x-consumer-timeout' {OF_QUEUE}: \"expected integer, got longstr\"",
        ),
        ({"x-consumer-timeout": -1}, f"invalid arg 'x-consumer-timeout' {OF_QUEUE}: {{value_negative,-1}}"),
        ({"x-stream-offset": "first"}, f"invalid arg 'x-stream-offset' {OF_QUEUE} of queue type rabbit_TYPE_queue"),
        ({"x-stream-filter": "a"}, f"invalid arg 'x-stream-filter' {OF_QUEUE} of queue type rabbit_TYPE_queue"),
    ],
)
@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_what_a_consumer_may_not_have(client: Client, queue_type: str, arguments: dict[str, object], text: str) -> None:
    client.call(declare(queue_type=queue_type))
    consume = BasicConsume("queue", arguments=table_from_python(arguments))
    assert client.refusal(consume) == (406, text.replace("TYPE", queue_type))


@pytest.mark.parametrize("name", ["x-cancel-on-ha-failover", "x-own"])
def test_other_arguments_of_a_consumer_change_nothing(client: Client, name: str) -> None:
    client.call(declare())
    arguments: Table = {name: FieldValue("S", "anything"), "x-priority": FieldValue("b", -5)}
    assert isinstance(client.call(BasicConsume("queue", "tag", arguments=arguments)).method, BasicConsumeOk)
    consumer = next(iter(client.driver.queue("queue").consumers))
    assert (consumer.priority, consumer.arguments) == (-5, arguments)


def test_an_exclusive_consumer_of_a_quorum_queue_is_one_of_several(client: Client) -> None:
    client.call(declare(queue_type="quorum"))
    for tag in ("a", "b"):
        assert isinstance(client.call(BasicConsume("queue", tag, exclusive=True)).method, BasicConsumeOk)


def test_an_exclusive_consumer_can_not_be_a_single_active_one(client: Client) -> None:
    client.call(declare(single_active_consumer=True))
    text = "queue 'queue' in vhost '/' in exclusive use"
    assert client.refusal(BasicConsume("queue", exclusive=True)) == (403, text)
    assert isinstance(client.call(BasicConsume("queue"), 2).method, BasicConsumeOk)


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
@pytest.mark.parametrize("single", [False, True])
def test_a_message_can_be_fetched_but_for_single_active_consumers_of_quorum_queues(
    client: Client, queue_type: str, single: bool
) -> None:
    client.call(declare(queue_type=queue_type, single_active_consumer=single))
    reply = client.call(BasicGet("queue"))
    if single and queue_type == "quorum":
        text = (
            "cannot obtain access to locked queue 'queue' in vhost '/'. "
            "basic.get operations are not supported by quorum queues with single active consumer"
        )
        assert refused(reply) == (405, text)
    else:
        assert reply.method == BasicGetEmpty()


def test_the_deletion_of_a_quorum_queue_has_no_conditions(driver: Driver, client: Client) -> None:
    client.call(declare(queue_type="quorum"))
    for if_unused, if_empty, flag in ((True, False, "if-unused"), (False, True, "if-empty"), (True, True, "if-unused")):
        other = driver.log_in()
        text = (
            "cannot delete queue 'queue' in vhost '/'. "
            f"queue.delete operations with {flag} flag set are not supported by quorum queues"
        )
        assert other.refusal(QueueDelete("queue", if_unused, if_empty)) == (540, text)
    assert client.call(QueueDelete("queue")).method == QueueDeleteOk(0)
    assert client.call(QueueDelete("queue", if_unused=True, if_empty=True)).method == QueueDeleteOk(0)
