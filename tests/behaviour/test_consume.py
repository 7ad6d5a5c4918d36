"""basic.consume and basic.cancel: tags, exclusive consumers, priorities, and being cancelled by the broker."""

from __future__ import annotations

import re

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.frame import Body, Header
from pika.frame import Method as MethodFrame
from pika.spec import Basic

from tests.behaviour.conftest import Broker, Connect, Names
from tests.behaviour.expectations import (
    Consumer,
    channel_closed,
    consumer_count,
    get_one,
    publish,
    ready_count,
    wait_until,
)
from tests.behaviour.raw_connection import RawConnection


def test_the_server_makes_a_tag(broker: Broker, queue: str) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        tags = []
        for _ in range(2):
            answer = raw.call(Basic.Consume(queue=queue))
            assert isinstance(answer, Basic.ConsumeOk)
            tags.append(answer.consumer_tag)
    assert tags[0] != tags[1]
    for tag in tags:
        assert re.fullmatch(r"amq\.ctag-[A-Za-z0-9_-]{22}", tag)


def test_the_client_may_choose_the_tag(channel: BlockingChannel, queue: str) -> None:
    consumer = Consumer(channel, queue, auto_ack=True, tag="mine")
    publish(channel, queue, "hello")
    assert consumer.wait_for(1)[0].method.consumer_tag == "mine"


def test_a_tag_in_use_on_the_channel_closes_the_connection(broker: Broker, queue: str) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Basic.Consume(queue=queue, consumer_tag="mine"))
        closed = raw.call(Basic.Consume(queue=queue, consumer_tag="mine"))
        assert (closed.reply_code, closed.reply_text) == (530, "NOT_ALLOWED - attempt to reuse consumer tag 'mine'")
        assert (closed.class_id, closed.method_id) == (60, 20)


def test_the_same_tag_on_another_channel_is_another_consumer(
    connection: BlockingConnection, channel: BlockingChannel, queue: str
) -> None:
    channel.basic_qos(prefetch_count=1)
    other = connection.channel()
    other.basic_qos(prefetch_count=1)
    consumers = [Consumer(one, queue, tag="mine") for one in (channel, other)]
    publish(channel, queue, "1", "2")
    for consumer in consumers:
        consumer.wait_for(1)


def test_a_cancelled_tag_can_be_used_again(channel: BlockingChannel, queue: str) -> None:
    channel.basic_cancel(Consumer(channel, queue, tag="mine").tag)
    again = Consumer(channel, queue, auto_ack=True, tag="mine")
    publish(channel, queue, "hello")
    assert again.wait_for(1)[0].body == b"hello"


def test_no_delivery_comes_before_consume_ok(broker: Broker, channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, *(str(number) for number in range(20)))
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        methods = [raw.call(Basic.Consume(queue=queue, consumer_tag="mine")), *raw.methods(20)]
    assert [method.NAME for method in methods] == ["Basic.ConsumeOk"] + ["Basic.Deliver"] * 20


def test_consume_with_nowait_has_no_answer(broker: Broker, channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "hello")
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        assert isinstance(raw.call(Basic.Consume(queue=queue, consumer_tag="mine", nowait=True)), Basic.Deliver)


def test_a_delivery_is_method_header_and_body(broker: Broker, channel: BlockingChannel, queue: str) -> None:
    channel.basic_publish("", queue, b"hello", BasicProperties(content_type="text/plain"))
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Basic.Consume(queue=queue, consumer_tag="mine"))
        method, header, body = (raw.frame() for _ in range(3))
    assert isinstance(method, MethodFrame)
    assert isinstance(header, Header)
    assert isinstance(body, Body)
    deliver = method.method
    assert (deliver.consumer_tag, deliver.delivery_tag, deliver.redelivered) == ("mine", 1, False)
    assert (deliver.exchange, deliver.routing_key) == ("", queue)
    assert (header.body_size, header.properties.content_type, body.fragment) == (5, "text/plain", b"hello")


def test_delivery_tags_count_on_the_channel(channel: BlockingChannel, names: Names) -> None:
    first, second = names.queue(), names.queue()
    consumers = []
    for queue in (first, second):
        channel.queue_declare(queue)
        consumers.append(Consumer(channel, queue))
    for queue in (first, second, first):
        publish(channel, queue, "x")
    consumers[0].wait_for(2)
    consumers[1].wait_for(1)
    assert sorted(message.tag for consumer in consumers for message in consumer.messages) == [1, 2, 3]


def test_a_consumer_gets_what_was_there_and_what_comes_in_order(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1", "2")
    consumer = Consumer(channel, queue, auto_ack=True)
    publish(channel, queue, "3", "4")
    assert [message.body for message in consumer.wait_for(4)] == [b"1", b"2", b"3", b"4"]


def test_cancelling_an_unknown_tag_is_accepted(broker: Broker) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        answer = raw.call(Basic.Cancel(consumer_tag="unknown"))
        assert isinstance(answer, Basic.CancelOk)
        assert answer.consumer_tag == "unknown"


def test_a_cancelled_consumer_gets_nothing_more(channel: BlockingChannel, queue: str) -> None:
    consumer = Consumer(channel, queue, auto_ack=True)
    assert consumer_count(channel, queue) == 1
    channel.basic_cancel(consumer.tag)
    publish(channel, queue, "left")
    assert consumer.settle() == []
    assert (consumer_count(channel, queue), ready_count(channel, queue)) == (0, 1)


def test_cancelling_leaves_unacked_deliveries_unacked(broker: Broker, channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1", "2")
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Basic.Consume(queue=queue, consumer_tag="mine"))
        raw.methods(2)
        assert isinstance(raw.call(Basic.Cancel(consumer_tag="mine")), Basic.CancelOk)
        assert ready_count(channel, queue) == 0
        raw.send(Basic.Ack(delivery_tag=1))
        raw.send(Basic.Nack(delivery_tag=2, requeue=True))
        wait_until(lambda: ready_count(channel, queue) == 1)
    message = get_one(channel, queue)
    assert (message.body, message.redelivered) == (b"2", True)


IN_USE = "ACCESS_REFUSED - queue '{}' in vhost '/' in exclusive use"


def test_an_exclusive_consumer_shuts_others_out(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    Consumer(connect().channel(), queue, exclusive=True)
    with channel_closed(403, IN_USE.format(queue)):
        Consumer(channel, queue)


def test_an_exclusive_consumer_cannot_join_others(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    Consumer(connect().channel(), queue)
    with channel_closed(403, IN_USE.format(queue)):
        Consumer(channel, queue, exclusive=True)


def test_two_exclusive_consumers_clash_on_one_channel(channel: BlockingChannel, queue: str) -> None:
    Consumer(channel, queue, exclusive=True)
    with channel_closed(403, IN_USE.format(queue)):
        Consumer(channel, queue, exclusive=True)


def test_an_exclusive_consumer_gives_the_queue_free_when_it_goes(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    owner = Consumer(connect().channel(), queue, exclusive=True)
    owner.channel.basic_cancel(owner.tag)
    consumer = Consumer(channel, queue, auto_ack=True)
    publish(channel, queue, "hello")
    consumer.wait_for(1)


def test_others_may_get_from_a_queue_in_exclusive_use(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    owner = connect().channel()
    owner.basic_qos(prefetch_count=1)
    consumer = Consumer(owner, queue, exclusive=True)
    publish(channel, queue, "1", "2")
    consumer.wait_for(1)
    assert get_one(channel, queue).body == b"2"


def test_the_higher_priority_is_served_first(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    low = Consumer(channel, queue, auto_ack=True, arguments={"x-priority": -1})
    plain = Consumer(channel, queue, auto_ack=True)
    high = Consumer(channel, queue, auto_ack=True, arguments={"x-priority": 5})
    publish(connect().channel(), queue, "1", "2", "3")
    high.wait_for(3)
    assert (low.settle(), plain.settle()) == ([], [])


def test_a_lower_priority_is_served_when_the_higher_has_no_room(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    channel.basic_qos(prefetch_count=2)
    plain = Consumer(channel, queue)
    high = Consumer(channel, queue, arguments={"x-priority": 5})
    publish(connect().channel(), queue, "1", "2", "3", "4", "5")
    assert high.wait_for(2) and high.settle() == [b"1", b"2"]
    assert plain.wait_for(2) and plain.settle() == [b"3", b"4"]
    channel.basic_ack(high.messages[0].tag)
    high.wait_for(3)
    assert high.bodies[2] == b"5"


def test_equal_priorities_take_turns(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    high = [Consumer(channel, queue, auto_ack=True, arguments={"x-priority": 5}) for _ in range(2)]
    plain = Consumer(channel, queue, auto_ack=True)
    publish(connect().channel(), queue, "1", "2", "3", "4")
    for consumer in high:
        consumer.wait_for(2)
    assert plain.settle() == []


@pytest.mark.parametrize(("value", "kind"), [("5", "longstr"), (True, "bool")])
def test_a_priority_that_is_no_integer_is_refused(
    channel: BlockingChannel, queue: str, value: object, kind: str
) -> None:
    text = (
        f"PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{queue}' in vhost '/': "
        f'"expected integer, got {kind}"'
    )
    with channel_closed(406, text):
        Consumer(channel, queue, arguments={"x-priority": value})


def test_unknown_consumer_arguments_are_accepted(channel: BlockingChannel, queue: str) -> None:
    consumer = Consumer(channel, queue, auto_ack=True, arguments={"anything": 1, "x-cancel-on-ha-failover": True})
    publish(channel, queue, "hello")
    consumer.wait_for(1)


def test_a_consumer_is_told_when_its_queue_is_deleted(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    consumer = Consumer(connect().channel(), queue)
    channel.queue_delete(queue)
    wait_until(lambda: consumer.cancelled, consumer.channel.connection)
    assert consumer.channel.is_open


def test_the_channel_that_deletes_is_told_too(channel: BlockingChannel, queue: str) -> None:
    consumers = [Consumer(channel, queue) for _ in range(2)]
    channel.queue_delete(queue)
    wait_until(lambda: all(consumer.cancelled for consumer in consumers), channel.connection)


def test_without_the_capability_nothing_is_told(broker: Broker, channel: BlockingChannel, queue: str) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Basic.Consume(queue=queue, consumer_tag="mine"))
        channel.queue_delete(queue)
        assert isinstance(raw.call(Basic.Qos(prefetch_count=1)), Basic.QosOk)
        assert isinstance(raw.call(Basic.Cancel(consumer_tag="mine")), Basic.CancelOk)


def test_a_consumer_cancelled_by_the_broker_leaves_its_tag_free(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue)
    consumer = Consumer(channel, queue, tag="mine")
    channel.queue_delete(queue)
    wait_until(lambda: consumer.cancelled, channel.connection)
    channel.queue_declare(queue)
    again = Consumer(channel, queue, auto_ack=True, tag="mine")
    publish(channel, queue, "hello")
    again.wait_for(1)


def test_one_channel_may_have_many_consumers(channel: BlockingChannel, names: Names) -> None:
    queues = [names.queue() for _ in range(20)]
    consumers = []
    for queue in queues:
        channel.queue_declare(queue)
        consumers.append(Consumer(channel, queue, auto_ack=True))
    for queue in queues:
        channel.basic_publish("", queue, queue)
    for queue, consumer in zip(queues, consumers, strict=True):
        assert consumer.wait_for(1)[0].body == queue.encode()


def test_a_closed_channel_takes_its_consumers_with_it(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    consumer = Consumer(connect().channel(), queue)
    consumer.channel.close()
    wait_until(lambda: consumer_count(channel, queue) == 0)


def test_no_local_is_ignored(broker: Broker, queue: str) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Basic.Consume(queue=queue, no_local=True, no_ack=True))
        raw.publish("", queue, b"own")
        assert isinstance(raw.method(), Basic.Deliver)


def test_the_death_of_an_exclusive_consumer_frees_the_queue(
    broker: Broker, channel: BlockingChannel, queue: str
) -> None:
    raw = RawConnection(broker.port)
    raw.open_channel()
    assert isinstance(raw.call(Basic.Consume(queue=queue, exclusive=True)), Basic.ConsumeOk)
    raw.die()
    wait_until(lambda: consumer_count(channel, queue) == 0)
    Consumer(channel, queue, exclusive=True)


def test_deliveries_of_a_queue_deleted_under_its_consumer_can_be_acked(
    channel: BlockingChannel, connect: Connect, names: Names
) -> None:
    queue = names.queue()
    channel.queue_declare(queue)
    consumer = Consumer(connect().channel(), queue)
    publish(channel, queue, "1", "2")
    tags = [message.tag for message in consumer.wait_for(2)]
    channel.queue_delete(queue)
    wait_until(lambda: consumer.cancelled, consumer.channel.connection)
    consumer.channel.basic_ack(tags[0])
    consumer.channel.basic_nack(tags[1], requeue=True)
    consumer.channel.queue_declare(queue)
    assert ready_count(channel, queue) == 0
