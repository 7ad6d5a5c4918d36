"""The argument alternate-exchange: where a message goes that an exchange could not route."""

from __future__ import annotations

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import UnroutableError

from tests.behaviour.conftest import Names
from tests.behaviour.expectations import await_errors, channel_closed, get_bodies


def declare(channel: BlockingChannel, names: Names, alternate: str | None = None, kind: str = "direct") -> str:
    exchange = names.exchange(kind)
    channel.exchange_declare(exchange, kind, arguments={"alternate-exchange": alternate} if alternate else None)
    return exchange


def test_it_takes_what_matched_nothing(channel: BlockingChannel, names: Names, queue: str) -> None:
    alternate = declare(channel, names, kind="fanout")
    exchange = declare(channel, names, alternate)
    channel.queue_bind(queue, alternate)
    channel.basic_publish(exchange, "nowhere", b"caught")
    await_errors(channel)
    method, _, body = channel.basic_get(queue, auto_ack=True)
    assert (method.exchange, method.routing_key, body) == (exchange, "nowhere", b"caught")


def test_it_takes_nothing_that_matched(channel: BlockingChannel, names: Names, queue: str) -> None:
    alternate = declare(channel, names, kind="fanout")
    exchange = declare(channel, names, alternate)
    home = names.queue("home")
    channel.queue_declare(home)
    channel.queue_bind(home, exchange, "key")
    channel.queue_bind(queue, alternate)
    channel.basic_publish(exchange, "key", b"at home")
    await_errors(channel)
    assert (get_bodies(channel, home), get_bodies(channel, queue)) == ([b"at home"], [])


def test_it_counts_as_routed(channel: BlockingChannel, names: Names, queue: str) -> None:
    alternate = declare(channel, names, kind="fanout")
    exchange = declare(channel, names, alternate)
    channel.queue_bind(queue, alternate)
    channel.confirm_delivery()
    channel.basic_publish(exchange, "nowhere", b"caught", mandatory=True)
    assert get_bodies(channel, queue) == [b"caught"]


def test_a_message_that_it_cannot_route_is_returned(channel: BlockingChannel, names: Names) -> None:
    alternate = declare(channel, names, kind="fanout")
    exchange = declare(channel, names, alternate)
    channel.confirm_delivery()
    with pytest.raises(UnroutableError) as caught:
        channel.basic_publish(exchange, "nowhere", b"back", mandatory=True)
    returned = caught.value.messages[0]
    assert (returned.method.exchange, returned.method.routing_key) == (exchange, "nowhere")


def test_alternates_form_a_chain(channel: BlockingChannel, names: Names, queue: str) -> None:
    last = declare(channel, names, kind="fanout")
    middle = declare(channel, names, last, kind="topic")
    first = declare(channel, names, middle)
    channel.queue_bind(queue, last)
    channel.basic_publish(first, "nowhere", b"far")
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"far"]


def test_the_routing_key_stays_the_same_in_the_alternate(channel: BlockingChannel, names: Names, queue: str) -> None:
    alternate = declare(channel, names, kind="topic")
    exchange = declare(channel, names, alternate)
    channel.queue_bind(queue, alternate, "a.*")
    for key in ("a.b", "b.a"):
        channel.basic_publish(exchange, key, key)
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"a.b"]


def test_a_cycle_of_alternates_ends(channel: BlockingChannel, names: Names) -> None:
    one, two = names.exchange(), names.exchange()
    channel.exchange_declare(one, "direct", arguments={"alternate-exchange": two})
    channel.exchange_declare(two, "direct", arguments={"alternate-exchange": one})
    channel.confirm_delivery()
    with pytest.raises(UnroutableError):
        channel.basic_publish(one, "nowhere", b"", mandatory=True)


def test_a_missing_alternate_drops_the_message(channel: BlockingChannel, names: Names) -> None:
    exchange = declare(channel, names, "test.missing.alternate")
    channel.confirm_delivery()
    channel.basic_publish(exchange, "nowhere", b"")
    with pytest.raises(UnroutableError):
        channel.basic_publish(exchange, "nowhere", b"", mandatory=True)


def test_an_alternate_may_be_declared_later(channel: BlockingChannel, names: Names, queue: str) -> None:
    alternate = names.exchange()
    exchange = declare(channel, names, alternate)
    channel.basic_publish(exchange, "nowhere", b"lost")
    channel.exchange_declare(alternate, "fanout")
    channel.queue_bind(queue, alternate)
    channel.basic_publish(exchange, "nowhere", b"caught")
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"caught"]


def test_an_internal_alternate_is_followed(channel: BlockingChannel, names: Names, queue: str) -> None:
    alternate = names.exchange()
    channel.exchange_declare(alternate, "fanout", internal=True)
    exchange = declare(channel, names, alternate)
    channel.queue_bind(queue, alternate)
    channel.basic_publish(exchange, "nowhere", b"inside")
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"inside"]


def test_a_bound_exchange_that_routes_nothing_passes_on_to_its_own_alternate(
    channel: BlockingChannel, names: Names, queue: str
) -> None:
    alternate = declare(channel, names, kind="fanout")
    inner = declare(channel, names, alternate)
    outer = declare(channel, names, kind="fanout")
    channel.exchange_bind(inner, outer)
    channel.queue_bind(queue, alternate)
    channel.basic_publish(outer, "nowhere", b"caught")
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"caught"]


def test_a_match_that_leads_to_no_queue_does_not_use_the_alternate(
    channel: BlockingChannel, names: Names, queue: str
) -> None:
    alternate = declare(channel, names, kind="fanout")
    outer = declare(channel, names, alternate, kind="fanout")
    dead_end = declare(channel, names)
    channel.exchange_bind(dead_end, outer)
    channel.queue_bind(queue, alternate)
    channel.basic_publish(outer, "nowhere", b"lost")
    await_errors(channel)
    assert get_bodies(channel, queue) == []


def test_a_name_that_is_no_string_is_refused(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    text = (
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' "
        f"in exchange '{exchange}' in vhost '/'"
    )
    with channel_closed(406, text):
        channel.exchange_declare(exchange, "direct", arguments={"alternate-exchange": 5})
