"""x-max-length, x-max-length-bytes and x-overflow: how much may be ready in a queue, and what becomes of the rest."""

from __future__ import annotations

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import NackError, UnroutableError
from pika.spec import Basic, Confirm

from tests.behaviour.conftest import Broker, Names
from tests.behaviour.dead_letters import Mortal
from tests.behaviour.expectations import (
    Consumer,
    Message,
    await_errors,
    channel_closed,
    get,
    get_bodies,
    get_one,
    give_all_back,
    publish,
    ready_count,
    wait_until,
)
from tests.behaviour.raw_connection import RawConnection

PARTIAL = "PRECONDITION_FAILED - partial tx completion"


def take_unacknowledged(queue: Mortal, count: int) -> list[Message]:
    return [get_one(queue.channel, queue.name, auto_ack=False) for _ in range(count)]


class Publisher:
    """A channel in confirm mode that tells what became of each message."""

    def __init__(self, connection: BlockingConnection) -> None:
        self.channel = connection.channel()
        self.channel.confirm_delivery()

    def publish(self, key: str, *bodies: str | bytes, exchange: str = "", **properties: object) -> list[str]:
        return [self._publish(exchange, key, body, BasicProperties(**properties)) for body in bodies]

    def _publish(self, exchange: str, key: str, body: str | bytes, properties: BasicProperties) -> str:
        try:
            self.channel.basic_publish(exchange, key, body, properties, mandatory=True)
        except NackError:
            return "nack"
        except UnroutableError:
            return "returned"
        return "ack"


@pytest.fixture
def publisher(connection: BlockingConnection) -> Publisher:
    return Publisher(connection)


def test_the_oldest_messages_are_dropped(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length=3)
    queue.publish("1", "2", "3")
    assert ready_count(channel, queue.name) == 3
    queue.publish("4", "5")
    assert queue.died_bodies(2) == [b"1", b"2"]
    assert queue.ready() == [b"3", b"4", b"5"]


def test_without_a_dead_letter_exchange_they_are_gone(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, arguments={"x-max-length": 2})
    publish(channel, queue, "1", "2", "3", "4")
    assert get_bodies(channel, queue) == [b"3", b"4"]


@pytest.mark.parametrize("overflow", [None, "drop-head"])
@pytest.mark.parametrize("delivery_mode", [1, 2])
def test_what_pushes_others_out_is_confirmed(
    channel: BlockingChannel, publisher: Publisher, names: Names, overflow: str | None, delivery_mode: int
) -> None:
    queue = Mortal(channel, names, max_length=2, **({} if overflow is None else {"overflow": overflow}))
    assert publisher.publish(queue.name, "1", "2", "3", "4", delivery_mode=delivery_mode) == ["ack"] * 4
    assert queue.died_bodies(2) == [b"1", b"2"]
    assert queue.ready() == [b"3", b"4"]


def test_a_queue_of_length_zero_keeps_nothing(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length=0)
    queue.publish("1", "2")
    assert queue.died_bodies(2) == [b"1", b"2"]
    assert get(channel, queue.name) is None


def test_a_queue_of_length_zero_serves_waiting_consumers(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length=0)
    channel.basic_qos(prefetch_count=2)
    consumer = Consumer(channel, queue.name)
    queue.publish("1", "2", "3")
    assert [message.body for message in consumer.wait_for(2)] == [b"1", b"2"]
    assert queue.died_bodies(1) == [b"3"]


def test_what_consumers_have_does_not_count(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length=1)
    consumer = Consumer(channel, queue.name)
    bodies = [str(number) for number in range(30)]
    queue.publish(*bodies)
    assert [message.body.decode() for message in consumer.wait_for(30)] == bodies
    assert ready_count(channel, queue.dead) == 0


def test_the_limit_holds_once_every_consumer_is_busy(
    channel: BlockingChannel, connection: BlockingConnection, names: Names
) -> None:
    queue = Mortal(channel, names, max_length=1)
    consumers = []
    for _ in range(2):
        work = connection.channel()
        work.basic_qos(prefetch_count=1)
        consumers.append(Consumer(work, queue.name))
    queue.publish("1", "2", "3", "4")
    assert [consumer.wait_for(1)[0].body for consumer in consumers] == [b"1", b"2"]
    assert queue.died_bodies(1) == [b"3"]
    consumers[1].channel.basic_ack(0, multiple=True)
    assert consumers[1].wait_for(2)[1].body == b"4"


def test_unacknowledged_messages_do_not_count(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length=2)
    queue.publish("1", "2")
    take_unacknowledged(queue, 2)
    queue.publish("3", "4")
    assert (ready_count(channel, queue.name), ready_count(channel, queue.dead)) == (2, 0)
    queue.publish("5")
    assert queue.died_bodies(1) == [b"3"]


def test_messages_that_come_back_push_out_the_oldest(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length=2)
    queue.publish("1", "2")
    first, second = take_unacknowledged(queue, 2)
    queue.publish("3", "4")
    channel.basic_nack(first.tag, requeue=True)
    assert queue.died_bodies(1) == [b"1"]
    channel.basic_nack(second.tag, requeue=True)
    assert queue.died_bodies(1) == [b"2"]
    assert queue.ready() == [b"3", b"4"]


def test_messages_that_come_back_together_are_cut_from_the_oldest(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length=2)
    queue.publish("1", "2")
    messages = take_unacknowledged(queue, 2)
    queue.publish("3")
    channel.basic_nack(messages[-1].tag, multiple=True, requeue=True)
    assert queue.died_bodies(1) == [b"1"]
    assert queue.ready() == [b"2", b"3"]


def test_a_closed_channel_gives_back_no_more_than_fits(
    channel: BlockingChannel, connection: BlockingConnection, names: Names
) -> None:
    queue = Mortal(channel, names, max_length=1)
    work = connection.channel()
    consumer = Consumer(work, queue.name)
    queue.publish("1", "2", "3")
    consumer.wait_for(3)
    work.close()
    assert queue.died_bodies(2) == [b"1", b"2"]
    assert queue.ready() == [b"3"]


@pytest.mark.parametrize(("limit", "dropped", "kept"), [(0, ["1", "2", "3"], []), (1, ["1", "2"], ["3"])])
def test_what_comes_back_is_cut_before_a_waiting_consumer_gets_it(
    channel: BlockingChannel, names: Names, limit: int, dropped: list[str], kept: list[str]
) -> None:
    queue = Mortal(channel, names, max_length=limit)
    consumer = Consumer(channel, queue.name)
    queue.publish("1", "2", "3")
    consumer.wait_for(3)
    channel.basic_nack(0, multiple=True, requeue=True)
    assert [body.decode() for body in queue.died_bodies(len(dropped))] == dropped
    again = consumer.wait_for(3 + len(kept))[3:]
    assert [(message.body.decode(), message.redelivered) for message in again] == [(body, True) for body in kept]


@pytest.mark.parametrize(
    ("sizes", "dropped"),
    [
        ([4, 4], 0),
        ([4, 4, 4], 1),
        ([4, 10], 1),
        ([5, 5, 0], 0),
        ([1, 2, 3, 7], 2),
        ([4, 11], 2),
        ([10, 1], 1),
        ([11], 1),
    ],
    ids=str,
)
def test_bytes_are_counted(channel: BlockingChannel, names: Names, sizes: list[int], dropped: int) -> None:
    queue = Mortal(channel, names, max_length_bytes=10)
    bodies = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    queue.publish(*bodies)
    assert queue.died_bodies(dropped) == bodies[:dropped]
    assert queue.ready() == bodies[dropped:]


def test_zero_bytes_let_empty_messages_stay(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length_bytes=0)
    queue.publish("", "")
    assert (ready_count(channel, queue.name), ready_count(channel, queue.dead)) == (2, 0)
    queue.publish("x")
    assert queue.died_bodies(3) == [b"", b"", b"x"]


def test_properties_are_not_counted(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length_bytes=10)
    for _ in range(2):
        channel.basic_publish("", queue.name, b"12345", BasicProperties(headers={"a": "x" * 500}, app_id="y" * 200))
    await_errors(channel)
    assert (ready_count(channel, queue.name), ready_count(channel, queue.dead)) == (2, 0)


def test_only_ready_bytes_count(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length_bytes=10)
    queue.publish("aaaaa", "bbbbb")
    (first,) = take_unacknowledged(queue, 1)
    queue.publish("ccccc")
    assert (ready_count(channel, queue.name), ready_count(channel, queue.dead)) == (2, 0)
    channel.basic_nack(first.tag, requeue=True)
    assert queue.died_bodies(1) == [b"aaaaa"]
    assert queue.ready() == [b"bbbbb", b"ccccc"]


def test_bytes_are_given_back_by_whatever_leaves(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length_bytes=10)
    queue.publish("aaaaa", "bbbbb")
    assert channel.queue_purge(queue.name).method.message_count == 2
    queue.publish("ccccc", "ddddd")
    channel.basic_nack(take_unacknowledged(queue, 1)[0].tag, requeue=False)
    assert queue.died_bodies(1) == [b"ccccc"]
    queue.publish("eeeee")
    assert queue.ready() == [b"ddddd", b"eeeee"]
    assert ready_count(channel, queue.dead) == 0


def test_both_limits_hold(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length=3, max_length_bytes=10)
    queue.publish("a", "b", "c", "d")
    assert queue.died_bodies(1) == [b"a"]
    queue.publish("eeeeeeeee")
    assert queue.died_bodies(2) == [b"b", b"c"]
    assert queue.ready() == [b"d", b"eeeeeeeee"]


def test_the_head_of_a_priority_queue_is_its_highest(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length=2, max_priority=5)
    for priority in (1, 5, 3):
        channel.basic_publish("", queue.name, str(priority), BasicProperties(priority=priority))
    assert queue.died_bodies(1) == [b"5"]
    assert queue.ready() == [b"3", b"1"]


def test_what_is_over_the_limit_goes_before_what_has_expired(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length=1)
    queue.publish("1")
    channel.basic_publish("", queue.name, b"2", BasicProperties(expiration="0"))
    assert queue.died_bodies(2) == [b"1", b"2"]


def test_quorum_queues_have_limits(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, queue_type="quorum", max_length=1)
    queue.publish("1", "2")
    assert queue.died_bodies(1) == [b"1"]
    queue = Mortal(channel, names, queue_type="quorum", max_length_bytes=5)
    queue.publish("aaaaa", "b")
    assert queue.died_bodies(1) == [b"aaaaa"]


def test_a_full_queue_rejects(channel: BlockingChannel, publisher: Publisher, names: Names) -> None:
    queue = Mortal(channel, names, max_length=2, overflow="reject-publish")
    assert publisher.publish(queue.name, "1", "2", "3", "4") == ["ack", "ack", "nack", "nack"]
    assert get_one(channel, queue.name).body == b"1"
    assert publisher.publish(queue.name, "5", "6", delivery_mode=2) == ["ack", "nack"]
    assert queue.ready() == [b"2", b"5"]
    assert ready_count(channel, queue.dead) == 0


def test_without_confirms_a_rejected_message_is_lost_in_silence(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length=1, overflow="reject-publish")
    queue.publish("1", "2", "3")
    assert queue.ready() == [b"1"]
    assert (channel.is_open, ready_count(channel, queue.dead)) == (True, 0)


def test_acks_and_nacks_each_have_their_tag(broker: Broker, channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length=20, overflow="reject-publish")
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Confirm.Select())
        for _ in range(60):
            raw.publish("", queue.name, b"x")
        told: dict[int, str] = {}
        while len(told) < 60:
            method = raw.method()
            assert isinstance(method, (Basic.Ack, Basic.Nack))
            # only what was not told before is meant by `multiple`
            for tag in range(1 if method.multiple else method.delivery_tag, method.delivery_tag + 1):
                told.setdefault(tag, method.NAME)
    assert [told[tag] for tag in range(1, 61)] == ["Basic.Ack"] * 20 + ["Basic.Nack"] * 40


@pytest.mark.parametrize(
    ("limits", "sizes", "expected"),
    [
        ({"max_length_bytes": 10}, [4, 4, 4, 1, 1, 1], "ack ack nack ack ack nack"),
        ({"max_length_bytes": 10}, [11, 1], "nack ack"),
        ({"max_length_bytes": 10}, [10, 1, 0, 1], "ack nack ack nack"),
        ({"max_length_bytes": 0}, [0, 1, 0], "ack nack ack"),
        ({"max_length": 0}, [0, 1], "nack nack"),
        ({"max_length": 2, "max_length_bytes": 5}, [3, 3, 1, 0], "ack nack ack nack"),
    ],
    ids=str,
)
@pytest.mark.parametrize("overflow", ["reject-publish", "reject-publish-dlx"])
def test_only_what_fits_is_taken(
    channel: BlockingChannel,
    publisher: Publisher,
    names: Names,
    overflow: str,
    limits: dict[str, int],
    sizes: list[int],
    expected: str,
) -> None:
    queue = Mortal(channel, names, overflow=overflow, **limits)
    bodies = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    outcomes = publisher.publish(queue.name, *bodies)
    assert outcomes == expected.split()
    taken = [body for body, outcome in zip(bodies, outcomes, strict=True) if outcome == "ack"]
    rejected = [body for body, outcome in zip(bodies, outcomes, strict=True) if outcome == "nack"]
    dead = rejected if overflow == "reject-publish-dlx" else []
    assert queue.died_bodies(len(dead)) == dead
    assert queue.ready() == taken


def test_a_queue_of_length_zero_rejects_even_for_a_waiting_consumer(
    channel: BlockingChannel, publisher: Publisher, names: Names
) -> None:
    queue = Mortal(channel, names, max_length=0, overflow="reject-publish")
    consumer = Consumer(channel, queue.name)
    assert publisher.publish(queue.name, "1", "2") == ["nack", "nack"]
    assert consumer.settle() == []


def test_a_waiting_consumer_keeps_the_queue_below_its_limit(
    channel: BlockingChannel, publisher: Publisher, names: Names
) -> None:
    queue = Mortal(channel, names, max_length=1, overflow="reject-publish")
    channel.basic_qos(prefetch_count=2)
    consumer = Consumer(channel, queue.name)
    assert publisher.publish(queue.name, "1", "2", "3", "4") == ["ack", "ack", "ack", "nack"]
    channel.basic_ack(consumer.wait_for(2)[0].tag)
    assert consumer.wait_for(3)[2].body == b"3"
    assert publisher.publish(queue.name, "5", "6") == ["ack", "nack"]


def test_messages_that_come_back_may_exceed_the_limit_of_a_queue_that_rejects(
    channel: BlockingChannel, publisher: Publisher, names: Names
) -> None:
    queue = Mortal(channel, names, max_length=2, overflow="reject-publish")
    publisher.publish(queue.name, "1", "2")
    (first,) = take_unacknowledged(queue, 1)
    assert publisher.publish(queue.name, "3", "4") == ["ack", "nack"]
    channel.basic_nack(first.tag, requeue=True)
    wait_until(lambda: ready_count(channel, queue.name) == 3)
    assert get_one(channel, queue.name).body == b"1"
    assert publisher.publish(queue.name, "5") == ["nack"]
    assert queue.ready() == [b"2", b"3"]
    assert ready_count(channel, queue.dead) == 0


def test_expiry_and_purge_make_room(channel: BlockingChannel, publisher: Publisher, names: Names) -> None:
    queue = Mortal(channel, names, max_length=1, overflow="reject-publish")
    assert publisher.publish(queue.name, "1", expiration="40") == ["ack"]
    assert publisher.publish(queue.name, "2") == ["nack"]
    assert queue.died_bodies(1) == [b"1"]
    assert publisher.publish(queue.name, "3") == ["ack"]
    channel.queue_purge(queue.name)
    assert publisher.publish(queue.name, "4") == ["ack"]


def test_one_queue_that_rejects_makes_it_a_nack(channel: BlockingChannel, publisher: Publisher, names: Names) -> None:
    exchange, roomy = names.exchange(), names.queue()
    queue = Mortal(channel, names, max_length=1, overflow="reject-publish-dlx")
    channel.exchange_declare(exchange, "fanout")
    channel.queue_declare(roomy)
    for name in (roomy, queue.name):
        channel.queue_bind(name, exchange)
    assert publisher.publish("key", "1", "2", exchange=exchange) == ["ack", "nack"]
    assert get_bodies(channel, roomy) == [b"1", b"2"]
    assert (queue.died_bodies(1), queue.ready()) == ([b"2"], [b"1"])


def test_a_rejected_message_is_not_returned(channel: BlockingChannel, publisher: Publisher, names: Names) -> None:
    queue = Mortal(channel, names, max_length=0, overflow="reject-publish")
    with pytest.raises(NackError) as caught:
        publisher.channel.basic_publish("", queue.name, b"rejected", mandatory=True)
    assert caught.value.messages == []
    assert publisher.publish(names.queue("missing"), "returned") == ["returned"]


def test_without_confirms_a_rejected_message_is_dead_lettered_too(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length=1, overflow="reject-publish-dlx")
    queue.publish("1", "2", "3")
    assert queue.died_bodies(2) == [b"2", b"3"]
    assert queue.ready() == [b"1"]


def test_a_quorum_queue_takes_reject_publish_dlx_for_drop_head(
    channel: BlockingChannel, publisher: Publisher, names: Names
) -> None:
    queue = Mortal(channel, names, queue_type="quorum", max_length=1, overflow="reject-publish-dlx")
    assert publisher.publish(queue.name, "1", "2") == ["ack", "ack"]
    assert queue.died_bodies(1) == [b"1"]
    assert queue.ready() == [b"2"]


def test_a_transaction_drops_in_order(channel: BlockingChannel, connection: BlockingConnection, names: Names) -> None:
    queue = Mortal(channel, names, max_length=2)
    work = connection.channel()
    work.tx_select()
    publish(work, queue.name, "1", "2", "3", "4")
    assert ready_count(channel, queue.name) == 0
    work.tx_commit()
    assert queue.died_bodies(2) == [b"1", b"2"]
    assert queue.ready() == [b"3", b"4"]


@pytest.mark.parametrize("overflow", ["reject-publish", "reject-publish-dlx"])
def test_a_transaction_that_is_rejected_in_part_closes_the_channel(
    channel: BlockingChannel, connection: BlockingConnection, names: Names, overflow: str
) -> None:
    queue = Mortal(channel, names, max_length=2, overflow=overflow)
    work = connection.channel()
    work.tx_select()
    publish(work, queue.name, "1", "2", "3")
    with channel_closed(406, PARTIAL):
        work.tx_commit()
    assert queue.ready() == [b"1", b"2"]
    rejected = [] if overflow == "reject-publish" else [b"3"]
    assert queue.died_bodies(len(rejected)) == rejected


def test_a_transaction_that_fits_is_committed(
    channel: BlockingChannel, connection: BlockingConnection, names: Names
) -> None:
    queue = Mortal(channel, names, max_length=2, overflow="reject-publish")
    work = connection.channel()
    work.tx_select()
    publish(work, queue.name, "1", "2")
    work.tx_commit()
    assert queue.ready() == [b"1", b"2"]


@pytest.mark.parametrize("back", ["recover", "nack", "close"])
def test_what_is_too_much_when_it_comes_back_dies_oldest_first(
    channel: BlockingChannel, connection: BlockingConnection, names: Names, back: str
) -> None:
    queue = Mortal(channel, names, max_length=2)
    other = connection.channel()
    consumer = Consumer(other, queue.name)
    queue.publish("1", "2", "3")
    other.basic_nack(consumer.wait_for(3)[0].tag, requeue=True)
    assert consumer.wait_for(4)[3].body == b"1"
    other.basic_cancel(consumer.tag)
    queue.publish("4")
    give_all_back(other, back)
    assert queue.died_bodies(2) == [b"1", b"2"]
    assert queue.ready() == [b"3", b"4"]
