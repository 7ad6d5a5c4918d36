"""Publisher confirms: what basic.ack says to a publisher, and when."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.frame import Method
from pika.spec import Basic, Confirm, Exchange, Queue, Tx

from tests.behaviour.conftest import Broker, Names
from tests.behaviour.expectations import Consumer, channel_closed, get_bodies, ready_count
from tests.behaviour.raw_connection import RawConnection


@pytest.fixture
def raw(broker: Broker) -> Iterator[RawConnection]:
    """A connection whose channel 1 is in confirm mode."""
    with RawConnection(broker.port) as connection:
        connection.open_channel()
        assert isinstance(connection.call(Confirm.Select()), Confirm.SelectOk)
        yield connection


def confirmed(raw: RawConnection, count: int) -> list[int]:
    """The tags confirmed, each once, as soon as there are `count` of them; `multiple` is resolved as a client does."""
    tags: list[int] = []
    while len(tags) < count:
        ack = raw.method()
        assert isinstance(ack, Basic.Ack), ack
        if ack.multiple:
            tags += sorted(set(range(1, ack.delivery_tag + 1)) - set(tags))
        else:
            assert ack.delivery_tag not in tags
            tags.append(ack.delivery_tag)
    return tags


def test_tags_begin_with_one(raw: RawConnection, queue: str) -> None:
    for tag in (1, 2, 3):
        raw.publish("", queue, b"x")
        ack = raw.method()
        assert isinstance(ack, Basic.Ack)
        assert ack.delivery_tag == tag


def test_what_was_published_before_does_not_count(broker: Broker, queue: str) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.publish("", queue, b"unconfirmed")
        raw.call(Confirm.Select())
        raw.publish("", queue, b"confirmed")
        assert confirmed(raw, 1) == [1]


def test_selecting_twice_does_not_count_anew(raw: RawConnection, queue: str) -> None:
    raw.publish("", queue, b"x")
    assert confirmed(raw, 1) == [1]
    assert isinstance(raw.call(Confirm.Select()), Confirm.SelectOk)
    raw.publish("", queue, b"x")
    ack = raw.method()
    assert isinstance(ack, Basic.Ack)
    assert ack.delivery_tag == 2


def test_select_with_nowait_has_no_answer(broker: Broker, queue: str) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.send(Confirm.Select(nowait=True))
        raw.publish("", queue, b"x")
        assert confirmed(raw, 1) == [1]


def test_many_in_flight_are_each_confirmed_once(raw: RawConnection, channel: BlockingChannel, queue: str) -> None:
    for number in range(3000):
        raw.publish("", queue, str(number).encode())
    assert sorted(confirmed(raw, 3000)) == list(range(1, 3001))
    assert ready_count(channel, queue) == 3000


def test_nothing_is_confirmed_beyond_what_was_published(raw: RawConnection, queue: str) -> None:
    for _ in range(50):
        raw.publish("", queue, b"x")
    assert max(confirmed(raw, 50)) == 50
    assert isinstance(raw.call(Basic.Qos()), Basic.QosOk)


def test_a_confirmed_message_is_in_the_queue(connection: BlockingConnection, queue: str) -> None:
    publisher, reader = connection.channel(), connection.channel()
    publisher.confirm_delivery()
    for number in range(20):
        publisher.basic_publish("", queue, str(number))
        assert get_bodies(reader, queue) == [str(number).encode()]


def test_an_unroutable_message_is_confirmed(raw: RawConnection, names: Names) -> None:
    raw.publish("", names.queue(), b"lost")
    raw.publish("amq.direct", names.unique, b"lost")
    assert confirmed(raw, 2) == [1, 2]


def test_returned_and_routed_messages_are_confirmed(raw: RawConnection, names: Names, queue: str) -> None:
    raw.publish("", names.queue(), b"back", mandatory=True)
    assert isinstance(raw.method(), Basic.Return)
    assert confirmed(raw, 1) == [1]
    raw.publish("", queue, b"there", mandatory=True)
    ack = raw.method()
    assert isinstance(ack, Basic.Ack)
    assert ack.delivery_tag == 2


def test_every_return_comes_before_its_confirm(raw: RawConnection, names: Names, queue: str) -> None:
    missing = names.queue()
    for _ in range(100):
        raw.publish("", queue, b"there", mandatory=True)
        raw.publish("", missing, b"back", mandatory=True)
    returns = acked = 0
    while acked < 200 or returns < 100:
        method = raw.method()
        if isinstance(method, Basic.Return):
            returns += 1
        else:
            assert isinstance(method, Basic.Ack)
            acked = max(acked, method.delivery_tag) if method.multiple else acked
            assert method.delivery_tag // 2 <= returns
            acked = max(acked, method.delivery_tag)


def test_a_message_to_many_queues_is_confirmed_once(raw: RawConnection, names: Names) -> None:
    exchange = names.exchange()
    assert isinstance(raw.call(Exchange.Declare(exchange=exchange, type="fanout")), Exchange.DeclareOk)
    for _ in range(5):
        queue = names.queue()
        raw.call(Queue.Declare(queue=queue))
        raw.call(Queue.Bind(queue=queue, exchange=exchange))
    raw.publish(exchange, "", b"copy")
    assert confirmed(raw, 1) == [1]
    assert isinstance(raw.call(Basic.Qos()), Basic.QosOk)


def test_a_message_that_is_consumed_at_once_is_confirmed(
    raw: RawConnection, channel: BlockingChannel, queue: str
) -> None:
    consumer = Consumer(channel, queue)
    raw.publish("", queue, b"x")
    assert confirmed(raw, 1) == [1]
    consumer.wait_for(1)


def test_confirms_belong_to_their_channel(raw: RawConnection, queue: str) -> None:
    raw.open_channel(2)
    raw.call(Confirm.Select(), 2)
    raw.publish("", queue, b"x")
    frame = raw.frame()
    assert isinstance(frame, Method)
    assert (frame.channel_number, type(frame.method)) == (1, Basic.Ack)


def test_large_messages_are_confirmed(connection: BlockingConnection, channel: BlockingChannel, queue: str) -> None:
    publisher = connection.channel()
    publisher.confirm_delivery()
    publisher.basic_publish("", queue, bytes(3_000_000))
    assert len(get_bodies(channel, queue)[0]) == 3_000_000


def test_confirm_mode_is_refused_on_a_transactional_channel(channel: BlockingChannel) -> None:
    channel.tx_select()
    with channel_closed(406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode"):
        channel.confirm_delivery()


def test_transactions_are_refused_on_a_channel_in_confirm_mode(broker: Broker) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Confirm.Select())
        closed = raw.call(Tx.Select())
        text = "PRECONDITION_FAILED - cannot switch from confirm to tx mode"
        assert (closed.reply_code, closed.reply_text) == (406, text)
        assert (closed.class_id, closed.method_id) == (90, 10)
