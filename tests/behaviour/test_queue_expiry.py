"""x-expires: a queue that nobody uses for so many milliseconds is deleted.

Whether a queue is there is asked with a bind, which is no use of it; a passive declare would be. Where a queue must
outlive its time, a test waits until a second queue of the same time has gone that was declared later and left alone.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import ChannelClosedByBroker, UnroutableError
from pika.spec import Basic

from tests.behaviour.conftest import Broker, Connect, Names
from tests.behaviour.dead_letters import Mortal
from tests.behaviour.expectations import (
    Consumer,
    await_errors,
    channel_closed,
    get,
    get_bodies,
    get_one,
    leveret_only,
    publish,
    ready_count,
    wait_until,
)
from tests.behaviour.raw_connection import RawConnection

PERIOD = 150
LONG_PERIOD = 600  # in which a client on a busy machine uses a queue again for certain
SELDOM = leveret_only("RabbitMQ looks at its quorum queues only every few seconds")


class Watch:
    """Tells whether a queue is there, without using it."""

    def __init__(self, connection: BlockingConnection) -> None:
        self.connection = connection
        self.channel = connection.channel()

    def sees(self, queue: str) -> bool:
        try:
            self.channel.queue_bind(queue, "amq.direct", queue)
        except ChannelClosedByBroker as closed:
            assert closed.reply_text == f"NOT_FOUND - no queue '{queue}' in vhost '/'"
            self.channel = self.connection.channel()
            return False
        return True

    def wait_until_gone(self, queue: str) -> None:
        wait_until(lambda: not self.sees(queue))


@pytest.fixture
def watch(connection: BlockingConnection) -> Watch:
    return Watch(connection)


def declare(channel: BlockingChannel, queue: str, period: int = PERIOD, kind: str = "classic") -> str:
    channel.queue_declare(queue, durable=True, arguments={"x-expires": period, "x-queue-type": kind})
    return queue


def let_pass(channel: BlockingChannel, watch: Watch, names: Names, milliseconds: int = PERIOD) -> None:
    """Wait until an unused queue of this time, declared now, has gone."""
    watch.wait_until_gone(declare(channel, names.queue("clock"), milliseconds))


def consume_and_cancel(channel: BlockingChannel, queue: str) -> None:
    channel.basic_cancel(channel.basic_consume(queue, lambda *_: None))


def test_an_unused_queue_is_deleted(channel: BlockingChannel, watch: Watch, names: Names) -> None:
    queue = declare(channel, names.queue())
    watch.wait_until_gone(queue)
    with channel_closed(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        channel.queue_declare(queue, passive=True)


def test_it_goes_with_its_messages(channel: BlockingChannel, watch: Watch, names: Names) -> None:
    queue = declare(channel, names.queue())
    channel.basic_publish("", queue, b"lost", BasicProperties(delivery_mode=2))
    watch.wait_until_gone(queue)
    channel.queue_declare(queue, durable=True)
    assert ready_count(channel, queue) == 0


def test_it_goes_with_its_bindings(channel: BlockingChannel, watch: Watch, names: Names) -> None:
    queue = declare(channel, names.queue())
    channel.queue_bind(queue, "amq.direct", names.unique)
    watch.wait_until_gone(queue)
    channel.confirm_delivery()
    with pytest.raises(UnroutableError):
        channel.basic_publish("amq.direct", names.unique, b"back", mandatory=True)


def test_an_auto_delete_exchange_goes_with_its_last_binding(
    channel: BlockingChannel, watch: Watch, names: Names
) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "fanout", auto_delete=True)
    queue = declare(channel, names.queue())
    channel.queue_bind(queue, exchange)
    watch.wait_until_gone(queue)
    with channel_closed(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"):
        channel.exchange_declare(exchange, passive=True)


def test_its_name_is_free_again(channel: BlockingChannel, watch: Watch, names: Names) -> None:
    queue = declare(channel, names.queue(), 20)
    watch.wait_until_gone(queue)
    channel.queue_declare(queue, auto_delete=True, arguments={"x-max-length": 5})
    let_pass(channel, watch, names, 40)
    publish(channel, queue, "there")
    assert get_bodies(channel, queue) == [b"there"]


def loses_its_messages(channel: BlockingChannel, watch: Watch, names: Names, kind: str) -> None:
    for time_to_live in ({}, {"message_ttl": 60_000}):
        queue = Mortal(channel, names, expires=PERIOD, queue_type=kind, **time_to_live)
        queue.publish("lost")
        watch.wait_until_gone(queue.name)
        assert ready_count(channel, queue.dead) == 0


def test_its_messages_are_not_dead_lettered(channel: BlockingChannel, watch: Watch, names: Names) -> None:
    loses_its_messages(channel, watch, names, "classic")


@SELDOM
def test_messages_of_a_quorum_queue_are_not_dead_lettered(channel: BlockingChannel, watch: Watch, names: Names) -> None:
    loses_its_messages(channel, watch, names, "quorum")


def test_an_exclusive_queue_expires_too(channel: BlockingChannel, watch: Watch, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, exclusive=True, arguments={"x-expires": PERIOD})
    watch.wait_until_gone(queue)


def test_an_auto_delete_queue_that_had_no_consumer_expires(
    channel: BlockingChannel, watch: Watch, names: Names
) -> None:
    queue = names.queue()
    channel.queue_declare(queue, auto_delete=True, arguments={"x-expires": PERIOD})
    watch.wait_until_gone(queue)


@pytest.mark.parametrize(
    "use",
    [
        lambda channel, queue: get(channel, queue),
        lambda channel, queue: channel.queue_declare(queue, passive=True),
        lambda channel, queue: consume_and_cancel(channel, queue),
    ],
    ids=["get", "passive declare", "consume and cancel"],
)
def test_what_renews_the_time(
    channel: BlockingChannel, watch: Watch, names: Names, use: Callable[[BlockingChannel, str], None]
) -> None:
    used = declare(channel, names.queue("used"), LONG_PERIOD)
    unused = declare(channel, names.queue("unused"), LONG_PERIOD)

    def unused_has_gone() -> bool:
        use(channel, used)
        return not watch.sees(unused)

    wait_until(unused_has_gone)
    assert watch.sees(used)
    watch.wait_until_gone(used)


def test_a_redeclare_renews_the_time(channel: BlockingChannel, watch: Watch, names: Names) -> None:
    used = declare(channel, names.queue("used"), LONG_PERIOD)
    unused = declare(channel, names.queue("unused"), LONG_PERIOD)
    publish(channel, used, "kept")

    def unused_has_gone() -> bool:
        declare(channel, used, LONG_PERIOD)
        return not watch.sees(unused)

    wait_until(unused_has_gone)
    # a queue made anew under the name would be empty
    assert get_bodies(channel, used) == [b"kept"]
    watch.wait_until_gone(used)


@pytest.mark.parametrize(
    "use",
    [
        lambda channel, queue: channel.basic_publish("", queue, b"more"),
        lambda channel, queue: channel.queue_purge(queue),
        lambda channel, queue: channel.queue_bind(queue, "amq.fanout"),
        lambda channel, queue: channel.queue_unbind(queue, "amq.fanout"),
    ],
    ids=["publish", "purge", "bind", "unbind"],
)
def test_what_does_not_renew_the_time(
    channel: BlockingChannel, watch: Watch, names: Names, use: Callable[[BlockingChannel, str], None]
) -> None:
    used = declare(channel, names.queue("used"))

    def has_gone() -> bool:
        try:
            use(channel, used)
        except ChannelClosedByBroker as closed:
            return closed.reply_code == 404
        return not watch.sees(used)

    wait_until(has_gone)


def test_an_unacknowledged_message_does_not_keep_the_queue(
    channel: BlockingChannel, watch: Watch, names: Names
) -> None:
    queue = declare(channel, names.queue())
    publish(channel, queue, "work")
    message = get_one(channel, queue, auto_ack=False)
    watch.wait_until_gone(queue)
    # the tag is still known, though its queue is not
    channel.basic_ack(message.tag)
    await_errors(channel)


def test_a_consumer_keeps_the_queue(channel: BlockingChannel, watch: Watch, names: Names) -> None:
    queue = declare(channel, names.queue())
    consumer = Consumer(channel, queue)
    let_pass(channel, watch, names, 2 * PERIOD)
    publish(channel, queue, "work")
    assert consumer.wait_for(1)[0].body == b"work"
    assert watch.sees(queue)


def test_the_time_begins_when_the_last_consumer_has_gone(channel: BlockingChannel, watch: Watch, names: Names) -> None:
    queue = declare(channel, names.queue(), 200)
    first, second = Consumer(channel, queue), Consumer(channel, queue)
    let_pass(channel, watch, names, 220)
    channel.basic_cancel(first.tag)
    channel.basic_cancel(second.tag)
    let_pass(channel, watch, names, 20)
    assert watch.sees(queue)
    watch.wait_until_gone(queue)


@pytest.mark.parametrize("end", ["channel", "connection", "network"])
def test_a_consumer_that_is_lost_keeps_nothing(
    broker: Broker, connect: Connect, channel: BlockingChannel, watch: Watch, names: Names, end: str
) -> None:
    queue = names.queue()
    if end == "network":
        raw = RawConnection(broker.port)
        raw.open_channel()
        declare(channel, queue)
        raw.call(Basic.Consume(queue=queue))
        raw.die()
    else:
        other = connect()
        work = other.channel()
        declare(channel, queue)
        Consumer(work, queue)
        (work if end == "channel" else other).close()
    watch.wait_until_gone(queue)


@SELDOM
def test_a_get_renews_the_time_of_a_quorum_queue(channel: BlockingChannel, watch: Watch, names: Names) -> None:
    used = declare(channel, names.queue("used"), kind="quorum")
    unused = declare(channel, names.queue("unused"), kind="quorum")

    def unused_has_gone() -> bool:
        get(channel, used)
        return not watch.sees(unused)

    wait_until(unused_has_gone)
    assert watch.sees(used)
    watch.wait_until_gone(used)


@SELDOM
def test_a_redeclare_does_not_renew_the_time_of_a_quorum_queue(
    channel: BlockingChannel, watch: Watch, names: Names
) -> None:
    queue = declare(channel, names.queue(), kind="quorum")
    publish(channel, queue, "lost")
    arguments = {"x-expires": PERIOD, "x-queue-type": "quorum"}
    # the declare that comes too late makes another queue of that name, which is empty
    wait_until(lambda: channel.queue_declare(queue, durable=True, arguments=arguments).method.message_count == 0)
