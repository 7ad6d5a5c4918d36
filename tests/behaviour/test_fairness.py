"""How a queue shares its messages among consumers: in turn among those that have room, none held up by a slow one."""

from __future__ import annotations

from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.spec import Basic

from tests.behaviour.conftest import Broker, Connect
from tests.behaviour.expectations import Consumer, get_bodies, publish, wait_until
from tests.behaviour.raw_connection import RawConnection


def number(*values: int) -> list[bytes]:
    return [str(value).encode() for value in values]


def test_consumers_with_room_take_strict_turns(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    consumers = [Consumer(connect().channel(), queue, auto_ack=True) for _ in range(3)]
    publish(channel, queue, *number(*range(30)))
    for index, consumer in enumerate(consumers):
        consumer.wait_for(10)
        assert consumer.bodies == number(*range(index, 30, 3))


def test_consumers_of_one_channel_take_turns(channel: BlockingChannel, queue: str) -> None:
    consumers = [Consumer(channel, queue, auto_ack=True) for _ in range(3)]
    publish(channel, queue, *number(*range(30)))
    for index, consumer in enumerate(consumers):
        consumer.wait_for(10)
        assert consumer.bodies == number(*range(index, 30, 3))


def test_turns_go_on_where_they_ended(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    consumers = [Consumer(connect().channel(), queue, auto_ack=True) for _ in range(2)]
    publish(channel, queue, "a")
    consumers[0].wait_for(1)
    publish(channel, queue, "b")
    consumers[1].wait_for(1)
    publish(channel, queue, "c")
    consumers[0].wait_for(2)


def test_a_consumer_without_room_is_passed_over(
    connection: BlockingConnection, channel: BlockingChannel, queue: str
) -> None:
    full, free = connection.channel(), connection.channel()
    full.basic_qos(prefetch_count=1)
    first, second = Consumer(full, queue), Consumer(free, queue)
    publish(channel, queue, *number(*range(6)))
    first.wait_for(1)
    second.wait_for(5)
    assert (first.settle(), second.settle()) == (number(0), number(1, 2, 3, 4, 5))


def test_it_is_served_again_once_it_has_room(
    connection: BlockingConnection, channel: BlockingChannel, queue: str
) -> None:
    workers = [connection.channel() for _ in range(2)]
    consumers = []
    for worker in workers:
        worker.basic_qos(prefetch_count=1)
        consumers.append(Consumer(worker, queue))
    publish(channel, queue, *number(*range(4)))
    for consumer in consumers:
        consumer.wait_for(1)
    for done in (2, 3):
        workers[1].basic_ack(consumers[1].messages[-1].tag)
        consumers[1].wait_for(done)
    assert consumers[0].settle() == number(0)
    assert consumers[1].settle() == number(1, 2, 3)


def test_a_backlog_is_shared_with_a_later_consumer(
    connection: BlockingConnection, channel: BlockingChannel, queue: str
) -> None:
    publish(channel, queue, *number(*range(6)))
    consumers = []
    for _ in range(2):
        worker = connection.channel()
        worker.basic_qos(prefetch_count=2)
        consumers.append(Consumer(worker, queue))
    for consumer in consumers:
        consumer.wait_for(2)
    assert [consumer.settle() for consumer in consumers] == [number(0, 1), number(2, 3)]


def test_a_queue_of_many_messages_does_not_keep_another_waiting(
    broker: Broker, connect: Connect, channel: BlockingChannel, queue: str
) -> None:
    publish(channel, queue, *[b"x" * 1000] * 5000)
    quick = channel.queue_declare("", exclusive=True).method.queue
    consumer = Consumer(channel, quick, auto_ack=True)
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.send(Basic.Consume(queue=queue, no_ack=True))
        publish(connect().channel(), quick, "quick")
        consumer.wait_for(1)


COUNT, SIZE = 800, 50_000


def test_a_consumer_that_does_not_read_does_not_hold_up_another(
    broker: Broker, channel: BlockingChannel, queue: str
) -> None:
    """The slow one holds what fits into the buffers on its way, far less than half of these 40 MB."""
    with RawConnection(broker.port, receive_buffer=8192) as slow, RawConnection(broker.port) as fast:
        for raw in (slow, fast):
            raw.open_channel()
            assert isinstance(raw.call(Basic.Consume(queue=queue, consumer_tag="mine", no_ack=True)), Basic.ConsumeOk)
        publish(channel, queue, *(str(value).encode().rjust(SIZE) for value in range(COUNT)))
        seen: list[int] = []
        while len(seen) < COUNT * 0.55:
            assert isinstance(fast.method(), Basic.Deliver)
            seen.append(int(fast.content()))
        # what is left is the slow one's, in its buffers or still in the queue: none lost, none twice
        fast.send(Basic.Cancel(consumer_tag="mine"))
        while isinstance(fast.method(), Basic.Deliver):
            seen.append(int(fast.content()))
        while len(seen) < COUNT:
            assert isinstance(slow.method(), Basic.Deliver)
            seen.append(int(slow.content()))
    assert sorted(seen) == list(range(COUNT))


def test_a_consumer_with_acks_that_does_not_read_gives_all_back(
    broker: Broker, channel: BlockingChannel, queue: str
) -> None:
    bodies = [str(value).encode().rjust(20_000) for value in range(200)]
    slow = RawConnection(broker.port, receive_buffer=8192)
    slow.open_channel()
    slow.call(Basic.Consume(queue=queue))
    publish(channel, queue, *bodies)
    slow.die()
    wait_until(lambda: channel.queue_declare(queue, passive=True).method.message_count == 200)
    assert get_bodies(channel, queue) == bodies
