"""exchange.declare and exchange.delete: types, equivalence of a second declare, reserved names."""

from __future__ import annotations

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.behaviour.conftest import Names
from tests.behaviour.expectations import await_errors, channel_closed, get_bodies, leveret_only

TYPES = ["direct", "fanout", "topic", "headers"]
PREDECLARED = {
    "": "direct",
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.topic": "topic",
    "amq.headers": "headers",
    "amq.match": "headers",
}


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_can_be_declared(channel: BlockingChannel, names: Names, kind: str) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, kind)
    channel.exchange_declare(exchange, passive=True)


@pytest.mark.parametrize("kind", TYPES)
def test_an_equal_declare_is_accepted_again(channel: BlockingChannel, names: Names, kind: str) -> None:
    exchange, alternate = names.exchange(), names.exchange()
    for _ in range(2):
        channel.exchange_declare(
            exchange, kind, durable=True, auto_delete=True, internal=True, arguments={"alternate-exchange": alternate}
        )


def inequivalent(argument: str, exchange: str, received: str, current: str) -> str:
    return (
        f"PRECONDITION_FAILED - inequivalent arg '{argument}' for exchange '{exchange}' in vhost '/': "
        f"received {received} but current is {current}"
    )


def test_another_type_is_refused(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct")
    with channel_closed(406, inequivalent("type", exchange, "'topic'", "'direct'")):
        channel.exchange_declare(exchange, "topic")


@pytest.mark.parametrize("flag", ["durable", "auto_delete", "internal"])
@pytest.mark.parametrize("first", [True, False])
def test_another_flag_is_refused(channel: BlockingChannel, names: Names, flag: str, first: bool) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct", **{flag: first})
    received, current = (f"'{str(value).lower()}'" for value in (not first, first))
    with channel_closed(406, inequivalent(flag, exchange, received, current)):
        channel.exchange_declare(exchange, "direct", **{flag: not first})


def test_the_first_difference_is_the_one_named(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct")
    with channel_closed(406, inequivalent("durable", exchange, "'true'", "'false'")):
        channel.exchange_declare(exchange, "direct", durable=True, auto_delete=True, internal=True)


def test_another_alternate_exchange_is_refused(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct", arguments={"alternate-exchange": "one"})
    with channel_closed(406, inequivalent("alternate-exchange", exchange, "'two'", "'one'")):
        channel.exchange_declare(exchange, "direct", arguments={"alternate-exchange": "two"})


def test_an_added_alternate_exchange_is_refused(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct")
    with channel_closed(406, inequivalent("alternate-exchange", exchange, "the value 'two' of type 'longstr'", "none")):
        channel.exchange_declare(exchange, "direct", arguments={"alternate-exchange": "two"})


def test_a_left_out_alternate_exchange_is_refused(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct", arguments={"alternate-exchange": "one"})
    with channel_closed(406, inequivalent("alternate-exchange", exchange, "none", "the value 'one' of type 'longstr'")):
        channel.exchange_declare(exchange, "direct")


def test_other_arguments_are_not_compared(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct", arguments={"anything": "one"})
    channel.exchange_declare(exchange, "direct", arguments={"anything": 2, "more": True})


def test_a_passive_declare_of_a_missing_exchange_is_404(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    with channel_closed(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"):
        channel.exchange_declare(exchange, passive=True)


def test_a_passive_declare_ignores_everything_but_the_name(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct")
    channel.exchange_declare(
        exchange,
        "topic",
        passive=True,
        durable=True,
        auto_delete=True,
        internal=True,
        arguments={"alternate-exchange": "one"},
    )


@leveret_only("before 4.0 this closed the connection with 503")
def test_an_unknown_type_is_refused(channel: BlockingChannel, names: Names) -> None:
    with channel_closed(406, "PRECONDITION_FAILED - unknown exchange type 'strange'"):
        channel.exchange_declare(names.exchange(), "strange")


def test_a_reserved_name_is_refused(channel: BlockingChannel) -> None:
    text = "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"
    with channel_closed(403, text):
        channel.exchange_declare("amq.mine", "direct")


def test_a_predeclared_exchange_can_be_declared_as_it_is(channel: BlockingChannel) -> None:
    channel.exchange_declare("amq.direct", "direct", durable=True)


def test_a_predeclared_exchange_cannot_be_changed(channel: BlockingChannel) -> None:
    with channel_closed(406, inequivalent("type", "amq.direct", "'fanout'", "'direct'")):
        channel.exchange_declare("amq.direct", "fanout", durable=True)


@pytest.mark.parametrize("name", sorted(set(PREDECLARED) - {""}))
def test_predeclared_exchanges_are_durable_and_of_their_type(channel: BlockingChannel, name: str) -> None:
    channel.exchange_declare(name, PREDECLARED[name], durable=True)


def test_the_trace_exchange_is_an_internal_topic_exchange(channel: BlockingChannel) -> None:
    channel.exchange_declare("amq.rabbitmq.trace", "topic", durable=True, internal=True)


DEFAULT_REFUSED = "ACCESS_REFUSED - operation not permitted on the default exchange"


def test_the_default_exchange_cannot_be_declared(channel: BlockingChannel) -> None:
    with channel_closed(403, DEFAULT_REFUSED):
        channel.exchange_declare("", "direct", durable=True)


def test_the_default_exchange_cannot_be_declared_passively(channel: BlockingChannel) -> None:
    with channel_closed(403, DEFAULT_REFUSED):
        channel.exchange_declare("", passive=True)


def test_the_default_exchange_cannot_be_deleted(channel: BlockingChannel) -> None:
    with channel_closed(403, DEFAULT_REFUSED):
        channel.exchange_delete("")


def test_line_ends_are_taken_out_of_a_name(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    channel.exchange_declare(f"{exchange}\r\n", "direct")
    channel.exchange_declare(exchange, passive=True)


def test_deleting_a_missing_exchange_is_accepted(channel: BlockingChannel, names: Names) -> None:
    channel.exchange_delete(names.exchange())
    channel.exchange_delete(names.exchange(), if_unused=True)


def test_a_deleted_exchange_is_gone_and_can_be_declared_anew(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct")
    channel.exchange_delete(exchange)
    channel.exchange_declare(exchange, "topic")


def test_deleting_an_exchange_takes_its_bindings(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "fanout")
    channel.queue_bind(queue, exchange)
    channel.exchange_delete(exchange)
    channel.exchange_declare(exchange, "fanout")
    channel.basic_publish(exchange, "", b"lost")
    await_errors(channel)
    assert get_bodies(channel, queue) == []


def test_a_bound_exchange_is_in_use(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct")
    channel.queue_bind(queue, exchange, "key")
    with channel_closed(406, f"PRECONDITION_FAILED - exchange '{exchange}' in vhost '/' in use"):
        channel.exchange_delete(exchange, if_unused=True)


def test_an_exchange_bound_to_an_exchange_is_in_use(channel: BlockingChannel, names: Names) -> None:
    source, destination = names.exchange(), names.exchange()
    channel.exchange_declare(source, "direct")
    channel.exchange_declare(destination, "direct")
    channel.exchange_bind(destination, source, "key")
    with channel_closed(406, f"PRECONDITION_FAILED - exchange '{source}' in vhost '/' in use"):
        channel.exchange_delete(source, if_unused=True)


def test_an_exchange_that_is_only_a_destination_is_unused(channel: BlockingChannel, names: Names) -> None:
    source, destination = names.exchange(), names.exchange()
    channel.exchange_declare(source, "direct")
    channel.exchange_declare(destination, "direct")
    channel.exchange_bind(destination, source, "key")
    channel.exchange_delete(destination, if_unused=True)
    with channel_closed(404, f"NOT_FOUND - no exchange '{destination}' in vhost '/'"):
        channel.exchange_declare(destination, passive=True)


def test_an_unused_exchange_is_deleted(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct")
    channel.queue_bind(queue, exchange, "key")
    channel.queue_unbind(queue, exchange, "key")
    channel.exchange_delete(exchange, if_unused=True)
    with channel_closed(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"):
        channel.exchange_declare(exchange, passive=True)


@pytest.mark.parametrize("name", ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"])
def test_a_predeclared_exchange_cannot_be_deleted(channel: BlockingChannel, name: str) -> None:
    with channel_closed(403, f"ACCESS_REFUSED - deletion of system exchange '{name}' in vhost '/' not allowed"):
        channel.exchange_delete(name)


def test_publishing_to_a_missing_exchange_is_404(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    with channel_closed(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"):
        channel.basic_publish(exchange, "key", b"")
        await_errors(channel)


def test_publishing_to_an_internal_exchange_is_403(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "fanout", internal=True)
    with channel_closed(403, f"ACCESS_REFUSED - cannot publish to internal exchange '{exchange}' in vhost '/'"):
        channel.basic_publish(exchange, "key", b"")
        await_errors(channel)
