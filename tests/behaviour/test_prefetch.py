"""basic.qos: how many unacked deliveries a consumer, and a channel, may hold."""

from __future__ import annotations

from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.spec import Basic, Queue

from tests.behaviour.conftest import Broker, Connect, Names
from tests.behaviour.expectations import Consumer, get_one, publish, ready_count, wait_until
from tests.behaviour.raw_connection import RawConnection

TEN = [str(number) for number in range(10)]


def test_a_consumer_holds_no_more_than_its_prefetch(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=3)
    consumer = Consumer(channel, queue)
    publish(channel, queue, *TEN)
    consumer.wait_for(3)
    assert consumer.settle() == [b"0", b"1", b"2"]
    assert ready_count(channel, queue) == 7


def test_each_ack_makes_room_for_one(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=2)
    consumer = Consumer(channel, queue)
    publish(channel, queue, *TEN)
    consumer.wait_for(2)
    for seen in range(2, 10):
        channel.basic_ack(consumer.messages[seen - 2].tag)
        consumer.wait_for(seen + 1)
        assert len(consumer.settle()) == seen + 1
    assert consumer.bodies == [body.encode() for body in TEN]


def test_an_ack_of_multiple_makes_room_for_many(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=4)
    consumer = Consumer(channel, queue)
    publish(channel, queue, *TEN)
    consumer.wait_for(4)
    channel.basic_ack(consumer.messages[2].tag, multiple=True)
    consumer.wait_for(7)
    assert len(consumer.settle()) == 7


def test_nack_and_reject_make_room(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=2)
    consumer = Consumer(channel, queue)
    publish(channel, queue, *TEN)
    consumer.wait_for(2)
    channel.basic_nack(1, requeue=False)
    consumer.wait_for(3)
    channel.basic_reject(2, requeue=False)
    consumer.wait_for(4)
    assert len(consumer.settle()) == 4


def test_a_requeued_delivery_comes_again_when_it_makes_the_room(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=1)
    consumer = Consumer(channel, queue)
    publish(channel, queue, "1", "2")
    consumer.wait_for(1)
    channel.basic_nack(1, requeue=True)
    again = consumer.wait_for(2)[1]
    assert (again.body, again.redelivered) == (b"1", True)


def test_each_consumer_of_a_channel_has_its_own_prefetch(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=2)
    consumers = [Consumer(channel, queue) for _ in range(3)]
    publish(channel, queue, *TEN)
    for consumer in consumers:
        consumer.wait_for(2)
        assert len(consumer.settle()) == 2
    assert ready_count(channel, queue) == 4


def test_a_change_of_the_consumer_prefetch_is_for_new_consumers(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=1)
    first = Consumer(channel, queue)
    channel.basic_qos(prefetch_count=3)
    second = Consumer(channel, queue)
    publish(channel, queue, *TEN)
    first.wait_for(1)
    second.wait_for(3)
    assert (len(first.settle()), len(second.settle())) == (1, 3)


def test_prefetch_zero_is_no_limit(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=1)
    channel.basic_qos(prefetch_count=0)
    consumer = Consumer(channel, queue)
    publish(channel, queue, *TEN)
    consumer.wait_for(10)


def test_without_qos_there_is_no_limit(channel: BlockingChannel, queue: str) -> None:
    consumer = Consumer(channel, queue)
    publish(channel, queue, *(str(number) for number in range(1000)))
    consumer.wait_for(1000)


def test_a_consumer_without_acks_has_no_limit(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=1)
    channel.basic_qos(prefetch_count=1, global_qos=True)
    consumer = Consumer(channel, queue, auto_ack=True)
    publish(channel, queue, *TEN)
    consumer.wait_for(10)


def test_the_channel_prefetch_is_shared_by_its_consumers(channel: BlockingChannel, names: Names) -> None:
    channel.basic_qos(prefetch_count=3, global_qos=True)
    queues = [names.queue() for _ in range(2)]
    consumers = []
    for queue in queues:
        channel.queue_declare(queue)
        consumers.append(Consumer(channel, queue))
    publish(channel, queues[0], "1", "2")
    consumers[0].wait_for(2)
    publish(channel, queues[1], "3", "4")
    consumers[1].wait_for(1)
    assert [len(consumer.settle()) for consumer in consumers] == [2, 1]
    channel.basic_ack(consumers[0].messages[0].tag)
    consumers[1].wait_for(2)


def test_the_channel_prefetch_holds_for_consumers_that_run(channel: BlockingChannel, queue: str) -> None:
    consumer = Consumer(channel, queue)
    channel.basic_qos(prefetch_count=2, global_qos=True)
    publish(channel, queue, *TEN)
    consumer.wait_for(2)
    assert len(consumer.settle()) == 2


def test_the_channel_prefetch_is_of_one_channel(
    connection: BlockingConnection, channel: BlockingChannel, queue: str
) -> None:
    consumers = []
    for one in (channel, connection.channel()):
        one.basic_qos(prefetch_count=2, global_qos=True)
        consumers.append(Consumer(one, queue))
    publish(channel, queue, *TEN)
    for consumer in consumers:
        consumer.wait_for(2)
        assert len(consumer.settle()) == 2


def test_a_larger_channel_prefetch_goes_on_at_once(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=2, global_qos=True)
    consumer = Consumer(channel, queue)
    publish(channel, queue, *TEN)
    consumer.wait_for(2)
    channel.basic_qos(prefetch_count=5, global_qos=True)
    consumer.wait_for(5)
    assert len(consumer.settle()) == 5


def test_a_channel_prefetch_of_zero_lifts_the_limit_at_once(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=2, global_qos=True)
    consumer = Consumer(channel, queue)
    publish(channel, queue, *TEN)
    consumer.wait_for(2)
    channel.basic_qos(prefetch_count=0, global_qos=True)
    consumer.wait_for(10)


def test_a_smaller_channel_prefetch_waits_until_enough_is_acked(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=4, global_qos=True)
    consumer = Consumer(channel, queue)
    publish(channel, queue, *TEN)
    consumer.wait_for(4)
    channel.basic_qos(prefetch_count=2, global_qos=True)
    for tag in (1, 2):
        channel.basic_ack(tag)
        assert len(consumer.settle()) == 4
    channel.basic_ack(3)
    consumer.wait_for(5)
    assert len(consumer.settle()) == 5


def test_both_limits_hold_together(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=3)
    channel.basic_qos(prefetch_count=4, global_qos=True)
    consumers = [Consumer(channel, queue) for _ in range(2)]
    publish(channel, queue, *TEN)
    consumers[0].wait_for(2)
    consumers[1].wait_for(2)
    assert [len(consumer.settle()) for consumer in consumers] == [2, 2]
    channel.basic_qos(prefetch_count=100, global_qos=True)
    for consumer in consumers:
        consumer.wait_for(3)
        assert len(consumer.settle()) == 3


def test_a_consumer_prefetch_lifts_the_channel_prefetch_before_it(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=3, global_qos=True)
    channel.basic_qos(prefetch_count=2)
    consumers = [Consumer(channel, queue) for _ in range(2)]
    publish(channel, queue, *TEN)
    for consumer in consumers:
        consumer.wait_for(2)
        assert len(consumer.settle()) == 2


def test_a_consumer_prefetch_of_zero_lifts_the_channel_prefetch_of_running_consumers(
    channel: BlockingChannel, queue: str
) -> None:
    channel.basic_qos(prefetch_count=1, global_qos=True)
    consumer = Consumer(channel, queue)
    publish(channel, queue, *TEN)
    consumer.wait_for(1)
    assert len(consumer.settle()) == 1
    channel.basic_qos(prefetch_count=0)
    consumer.wait_for(10)


def test_what_basic_get_took_does_not_count(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=1, global_qos=True)
    publish(channel, queue, "1", "2", "3")
    get_one(channel, queue, auto_ack=False)
    consumer = Consumer(channel, queue)
    consumer.wait_for(1)
    assert consumer.settle() == [b"2"]


def test_what_a_cancelled_consumer_holds_counts_for_the_channel(
    broker: Broker, channel: BlockingChannel, queue: str
) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Basic.Qos(prefetch_count=2, global_qos=True))
        raw.call(Basic.Consume(queue=queue, consumer_tag="first"))
        publish(channel, queue, "1", "2", "3")
        assert [type(method) for method in raw.methods(2)] == [Basic.Deliver] * 2
        assert isinstance(raw.call(Basic.Cancel(consumer_tag="first")), Basic.CancelOk)
        assert isinstance(raw.call(Basic.Consume(queue=queue, consumer_tag="second")), Basic.ConsumeOk)
        for _ in range(2):
            assert isinstance(raw.call(Queue.Declare(queue=queue, passive=True)), Queue.DeclareOk)
        delivery = raw.call(Basic.Ack(delivery_tag=1))
        assert isinstance(delivery, Basic.Deliver)
        assert (delivery.consumer_tag, delivery.delivery_tag) == ("second", 3)


def test_recover_makes_room(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=2)
    consumer = Consumer(channel, queue)
    publish(channel, queue, "1", "2", "3")
    consumer.wait_for(2)
    channel.basic_recover(requeue=True)
    consumer.wait_for(4)
    assert consumer.settle() == [b"1", b"2", b"1", b"2"]


def test_a_prefetch_size_is_not_implemented(broker: Broker) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        closed = raw.call(Basic.Qos(prefetch_size=10))
        assert (closed.reply_code, closed.reply_text) == (540, "NOT_IMPLEMENTED - prefetch_size!=0 (10)")


def test_a_full_consumer_goes_on_after_its_ack_from_an_empty_start(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    channel.basic_qos(prefetch_count=1)
    consumer = Consumer(channel, queue)
    publisher = connect().channel()
    for number in range(20):
        publish(publisher, queue, str(number))
        consumer.wait_for(number + 1)
        channel.basic_ack(consumer.messages[number].tag)


def test_limits_count_deliveries_of_all_queues_of_the_channel(channel: BlockingChannel, names: Names) -> None:
    channel.basic_qos(prefetch_count=5, global_qos=True)
    consumers = []
    for _ in range(3):
        queue = names.queue()
        channel.queue_declare(queue)
        publish(channel, queue, *TEN)
        consumers.append(Consumer(channel, queue))
    consumers[0].wait_for(5)

    def received() -> int:
        return sum(len(consumer.messages) for consumer in consumers)

    def wait_for(total: int) -> None:
        wait_until(lambda: received() >= total, channel.connection)

    for total in (5, 10, 15, 20, 25, 30):
        wait_for(total)
        for consumer in consumers:
            consumer.settle()
        assert received() == total
        channel.basic_ack(0, multiple=True)
    assert all(consumer.bodies == [body.encode() for body in TEN] for consumer in consumers)
