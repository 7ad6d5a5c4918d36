"""Bindings from exchanges: to queues and to exchanges, cycles, unbinding, and the end of auto-delete exchanges."""

from __future__ import annotations

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.behaviour.conftest import Connect, Names
from tests.behaviour.expectations import await_errors, channel_closed, get_bodies, wait_until

DEFAULT_REFUSED = "ACCESS_REFUSED - operation not permitted on the default exchange"


def declare(channel: BlockingChannel, names: Names, kind: str = "fanout", **options: bool) -> str:
    exchange = names.exchange(kind)
    channel.exchange_declare(exchange, kind, **options)
    return exchange


def missing(exchange: str) -> str:
    return f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"


def assert_gone(channel: BlockingChannel, exchange: str) -> None:
    with channel_closed(404, missing(exchange)):
        channel.exchange_declare(exchange, passive=True)


def test_a_message_passes_from_exchange_to_exchange(channel: BlockingChannel, names: Names, queue: str) -> None:
    source, destination = declare(channel, names), declare(channel, names)
    channel.exchange_bind(destination, source)
    channel.queue_bind(queue, destination)
    channel.basic_publish(source, "key", b"through")
    await_errors(channel)
    method, _, body = channel.basic_get(queue, auto_ack=True)
    assert (method.exchange, method.routing_key, body) == (source, "key", b"through")


def test_the_binding_key_between_exchanges_counts(channel: BlockingChannel, names: Names, queue: str) -> None:
    source, destination = declare(channel, names, "topic"), declare(channel, names)
    channel.exchange_bind(destination, source, "a.*")
    channel.queue_bind(queue, destination)
    for key in ("a.b", "b.a", "a.c"):
        channel.basic_publish(source, key, key)
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"a.b", b"a.c"]


def test_a_cycle_of_exchanges_gives_each_queue_one_copy(channel: BlockingChannel, names: Names) -> None:
    ring = [declare(channel, names) for _ in range(3)]
    queues = [names.queue() for _ in ring]
    for index, exchange in enumerate(ring):
        channel.queue_declare(queues[index], exclusive=True)
        channel.queue_bind(queues[index], exchange)
        channel.exchange_bind(ring[(index + 1) % 3], exchange)
    channel.basic_publish(ring[1], "", b"round")
    await_errors(channel)
    assert [get_bodies(channel, queue) for queue in queues] == [[b"round"]] * 3


def test_an_exchange_bound_to_itself_gives_one_copy(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names)
    channel.exchange_bind(exchange, exchange)
    channel.queue_bind(queue, exchange)
    channel.basic_publish(exchange, "", b"once")
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"once"]


def test_two_ways_to_a_queue_give_one_copy(channel: BlockingChannel, names: Names, queue: str) -> None:
    source, left, right = (declare(channel, names) for _ in range(3))
    for middle in (left, right):
        channel.exchange_bind(middle, source)
        channel.queue_bind(queue, middle)
    channel.queue_bind(queue, source)
    channel.basic_publish(source, "", b"once")
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"once"]


def test_a_message_may_enter_an_internal_exchange_through_a_binding(
    channel: BlockingChannel, names: Names, queue: str
) -> None:
    source, inner = declare(channel, names), declare(channel, names, internal=True)
    channel.exchange_bind(inner, source)
    channel.queue_bind(queue, inner)
    channel.basic_publish(source, "", b"inside")
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"inside"]


def test_binding_exchanges_twice_is_one_binding(channel: BlockingChannel, names: Names, queue: str) -> None:
    source, destination = declare(channel, names), declare(channel, names)
    channel.exchange_bind(destination, source, "key")
    channel.exchange_bind(destination, source, "key")
    channel.queue_bind(queue, destination)
    channel.exchange_unbind(destination, source, "key")
    channel.basic_publish(source, "key", b"lost")
    await_errors(channel)
    assert get_bodies(channel, queue) == []


def test_unbinding_exchanges_takes_only_the_named_key(channel: BlockingChannel, names: Names, queue: str) -> None:
    source, destination = declare(channel, names, "direct"), declare(channel, names)
    channel.queue_bind(queue, destination)
    for key in ("one", "two"):
        channel.exchange_bind(destination, source, key)
    channel.exchange_unbind(destination, source, "one")
    for key in ("one", "two"):
        channel.basic_publish(source, key, key)
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"two"]


def test_unbinding_what_is_not_bound_is_accepted(channel: BlockingChannel, names: Names, queue: str) -> None:
    source, destination = declare(channel, names), declare(channel, names)
    channel.exchange_unbind(destination, source, "never")
    channel.queue_unbind(queue, source, "never")


def test_unbinding_from_a_missing_exchange_is_accepted(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange, gone = declare(channel, names), names.exchange("gone")
    channel.exchange_unbind(exchange, gone, "key")
    channel.exchange_unbind(gone, exchange, "key")
    channel.queue_unbind(queue, gone, "key")
    channel.queue_unbind(names.queue("gone"), exchange, "key")


def test_binding_to_a_missing_source_is_404(channel: BlockingChannel, names: Names) -> None:
    exchange, gone = declare(channel, names), names.exchange("gone")
    with channel_closed(404, missing(gone)):
        channel.exchange_bind(exchange, gone)


def test_binding_a_missing_destination_is_404(channel: BlockingChannel, names: Names) -> None:
    exchange, gone = declare(channel, names), names.exchange("gone")
    with channel_closed(404, missing(gone)):
        channel.exchange_bind(gone, exchange)


def test_binding_a_queue_to_a_missing_exchange_is_404(channel: BlockingChannel, names: Names, queue: str) -> None:
    gone = names.exchange("gone")
    with channel_closed(404, missing(gone)):
        channel.queue_bind(queue, gone, "key")


def test_binding_a_missing_queue_is_404(channel: BlockingChannel, names: Names) -> None:
    gone = names.queue("gone")
    with channel_closed(404, f"NOT_FOUND - no queue '{gone}' in vhost '/'"):
        channel.queue_bind(gone, "amq.direct", "key")


def test_binding_a_queue_to_the_default_exchange_is_403(channel: BlockingChannel, queue: str) -> None:
    with channel_closed(403, DEFAULT_REFUSED):
        channel.queue_bind(queue, "", "key")


def test_unbinding_a_queue_from_the_default_exchange_is_403(channel: BlockingChannel, queue: str) -> None:
    with channel_closed(403, DEFAULT_REFUSED):
        channel.queue_unbind(queue, "", queue)


@pytest.mark.parametrize("operation", ["exchange_bind", "exchange_unbind"])
@pytest.mark.parametrize("side", ["source", "destination"])
def test_the_default_exchange_takes_no_part_in_bindings(
    channel: BlockingChannel, names: Names, operation: str, side: str
) -> None:
    ends = {"source": declare(channel, names), "destination": declare(channel, names), side: ""}
    with channel_closed(403, DEFAULT_REFUSED):
        getattr(channel, operation)(ends["destination"], ends["source"], "key")


def test_an_auto_delete_exchange_goes_with_its_last_binding(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names, auto_delete=True)
    channel.queue_bind(queue, exchange, "one")
    channel.queue_bind(queue, exchange, "two")
    channel.queue_unbind(queue, exchange, "one")
    channel.exchange_declare(exchange, passive=True)
    channel.queue_unbind(queue, exchange, "two")
    assert_gone(channel, exchange)


def test_an_auto_delete_exchange_goes_with_its_last_queue(channel: BlockingChannel, names: Names) -> None:
    exchange, queue = declare(channel, names, auto_delete=True), names.queue()
    channel.queue_declare(queue)
    channel.queue_bind(queue, exchange)
    channel.queue_delete(queue)
    assert_gone(channel, exchange)


def test_an_auto_delete_exchange_goes_when_its_exclusive_queue_does(
    channel: BlockingChannel, names: Names, connect: Connect
) -> None:
    exchange = declare(channel, names, auto_delete=True)
    other = connect()
    queue = other.channel().queue_declare("", exclusive=True).method.queue
    other.channel().queue_bind(queue, exchange)
    channel.exchange_declare(exchange, passive=True)
    other.close()
    with channel_closed(404, missing(exchange)):
        wait_until(lambda: channel.exchange_declare(exchange, passive=True) is None)


def test_an_auto_delete_exchange_that_was_never_bound_stays(channel: BlockingChannel, names: Names) -> None:
    exchange = declare(channel, names, auto_delete=True)
    channel.connection.channel().close()
    channel.exchange_declare(exchange, passive=True)


def test_an_auto_delete_exchange_goes_when_its_destination_exchange_does(
    channel: BlockingChannel, names: Names
) -> None:
    source, destination = declare(channel, names, auto_delete=True), declare(channel, names)
    channel.exchange_bind(destination, source)
    channel.exchange_delete(destination)
    assert_gone(channel, source)


def test_an_auto_delete_exchange_stays_when_it_loses_its_source(channel: BlockingChannel, names: Names) -> None:
    source, destination = declare(channel, names), declare(channel, names, auto_delete=True)
    channel.exchange_bind(destination, source)
    channel.exchange_unbind(destination, source)
    channel.exchange_declare(destination, passive=True)


def test_auto_delete_runs_back_through_a_chain(channel: BlockingChannel, names: Names, queue: str) -> None:
    first, second = declare(channel, names, auto_delete=True), declare(channel, names, auto_delete=True)
    channel.exchange_bind(second, first)
    channel.queue_bind(queue, second)
    channel.queue_unbind(queue, second)
    with channel_closed(404, missing(second)):
        channel.exchange_declare(second, passive=True)
    channel = channel.connection.channel()
    assert_gone(channel, first)


def test_deleting_a_destination_exchange_ends_its_bindings(channel: BlockingChannel, names: Names, queue: str) -> None:
    source, destination = declare(channel, names), declare(channel, names)
    channel.exchange_bind(destination, source)
    channel.exchange_delete(destination)
    channel.exchange_declare(destination, "fanout")
    channel.queue_bind(queue, destination)
    channel.basic_publish(source, "", b"lost")
    await_errors(channel)
    assert get_bodies(channel, queue) == []


def test_a_queue_bound_twice_needs_one_unbind(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names)
    channel.queue_bind(queue, exchange, "key")
    channel.queue_bind(queue, exchange, "key")
    channel.queue_unbind(queue, exchange, "key")
    channel.basic_publish(exchange, "key", b"lost")
    await_errors(channel)
    assert get_bodies(channel, queue) == []


def test_bindings_with_other_arguments_are_other_bindings(channel: BlockingChannel, names: Names, queue: str) -> None:
    exchange = declare(channel, names, "direct")
    channel.queue_bind(queue, exchange, "key", {"shade": "one"})
    channel.queue_bind(queue, exchange, "key", {"shade": "two"})
    channel.queue_unbind(queue, exchange, "key")
    channel.queue_unbind(queue, exchange, "key", {"shade": "one"})
    channel.basic_publish(exchange, "key", b"still bound")
    await_errors(channel)
    assert get_bodies(channel, queue) == [b"still bound"]
    channel.queue_unbind(queue, exchange, "key", {"shade": "two"})
    channel.basic_publish(exchange, "key", b"lost")
    await_errors(channel)
    assert get_bodies(channel, queue) == []
