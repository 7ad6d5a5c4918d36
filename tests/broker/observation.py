"""Compares what a broker did in a tick with the model: every frame that came must be one that had to come, or might.

Deliveries of a tick must be the first ready messages of their queue, none left out, each consumer's in order. How
they are shared among the consumers follows rules instead of a forecast: prefetch, flow, priority, turns, and no idle
consumer while messages wait.
"""

from __future__ import annotations

from collections import defaultdict

from leveret.amqp.methods import BasicAck, BasicDeliver, ChannelClose
from leveret.broker.consumer import OUTPUT_LIMIT
from tests.broker.driver import Received
from tests.broker.model import Channel, Connection, Consumer, Delivery, Expected, Message, Model, Queue

Delivered = dict[Queue, list[tuple[Consumer, BasicDeliver, Received]]]


def observe_tick(model: Model) -> None:
    """End the tick, and check everything that came of it."""
    model.driver.tick()
    delivered: Delivered = defaultdict(list)
    for connection in model.connections:
        if not connection.client.stalled:
            observe_connection(connection, delivered)
    limited = any(connection.client.octets >= OUTPUT_LIMIT for connection in model.connections)
    for queue in model.queues.values():
        take_over_deliveries(queue, delivered.pop(queue, []))
    assert not delivered, "deliveries of a queue that is gone"
    assert model.driver.queue_names() == set(model.queues)
    for queue in model.queues.values():
        check_counts(model, queue)
        assert not (queue.ready and any(consumer.room > 0 for consumer in queue.consumers)), "an idle consumer"
        check_shares(queue, limited)
        queue.given.clear()


def observe_connection(connection: Connection, delivered: Delivered) -> None:
    """Everything that had to come did, and nothing else."""
    closed_properly = connection.client.is_closed() and not connection.client.lost
    for received in connection.client.take():
        if received.channel == 0:
            check_expected(connection.expected, received)
            continue
        assert not closed_properly or connection.expected, "something after connection.close-ok"
        channel = connection.channels[received.channel - 1]
        method = received.method
        if isinstance(method, BasicAck):
            take_confirm(channel, method)
        elif isinstance(method, BasicDeliver):
            channel.last_tag += 1
            assert method.delivery_tag == channel.last_tag
            consumer = channel.consumers[method.consumer_tag]
            delivered[consumer.queue].append((consumer, method, received))
        else:
            expected = check_expected(channel.expected, received)
            take_expected(channel, expected)
    assert connection.client.frames.at_rest
    assert not connection.expected
    if connection.client.lost:
        return
    for channel in connection.channels:
        assert not channel.expected, channel.expected
        assert connection.client.is_closed() or channel.confirmed == channel.published, "an owed confirm"


def check_expected(waiting: list[Expected], received: Received) -> Expected:
    assert waiting, f"nothing was to come, but {received}"
    expected = waiting.pop(0)
    method = received.method
    if isinstance(expected.method, ChannelClose):
        assert isinstance(method, ChannelClose), received
        assert method.reply_code == expected.method.reply_code, method
    else:
        assert method == expected.method
    if expected.message is not None:
        check_content(received, expected.message)
    return expected


def take_expected(channel: Channel, expected: Expected) -> None:
    if expected.publish is not None:
        assert expected.publish > channel.confirmed, "a confirm before the return"
    if expected.confirmed is not None:
        assert channel.confirmed == expected.confirmed, "a channel closed that owed confirms"
        channel.confirmed = 0


def take_confirm(channel: Channel, ack: BasicAck) -> None:
    """Confirms only rise, each for exactly those that were not confirmed before."""
    assert channel.confirmed < ack.delivery_tag
    assert ack.multiple or ack.delivery_tag == channel.confirmed + 1
    channel.confirmed = ack.delivery_tag


def check_content(received: Received, message: Message) -> None:
    assert received.body == message.body
    assert received.properties == message.properties


def take_over_deliveries(queue: Queue, delivered: list[tuple[Consumer, BasicDeliver, Received]]) -> None:
    """They are the first that were ready, whole and rightly marked; from now on the consumers' channels hold them."""
    first = {copy.message.identity: copy for copy in queue.ready[: len(delivered)]}
    last: dict[Consumer, int] = {}
    for consumer, method, received in delivered:
        assert received.properties is not None
        assert received.body is not None
        copy = first.pop((received.properties.message_id, received.body[:16]), None)
        assert copy is not None, f"delivered twice or out of order: {received}"
        message = copy.message
        check_content(received, message)
        assert (method.exchange, method.routing_key) == (message.exchange, message.routing_key)
        assert method.redelivered == copy.redelivered, f"redelivered is wrong: {method}"
        assert copy.position > last.get(consumer, -1), "out of order"
        last[consumer] = copy.position
        assert consumer.room > 0, "a delivery to a consumer without room"
        if not consumer.no_ack:
            consumer.channel.unacked[method.delivery_tag] = Delivery(copy, queue, consumer)
        queue.given[consumer] += 1
    del queue.ready[: len(delivered)]


def check_counts(model: Model, queue: Queue) -> None:
    unacked = sum(delivery.queue is queue for channel in model.channels for delivery in channel.outstanding())
    assert model.driver.counts(queue.name) == (len(queue.ready), unacked)


def check_shares(queue: Queue, limited: bool) -> None:
    """Priorities and turns. Where a full output held somebody up in mid-tick (`limited`), they prove nothing.

    Who has room at the end had it all the time, and was in the rotation: nobody of lower priority was given anything,
    and nobody of the same is given two before it gets its one, be it in one tick or over several.
    """
    given = queue.given
    for waiting in queue.consumers:
        if limited or waiting.room <= 0 or given[waiting]:
            for other in queue.consumers:
                queue.overtaken[waiting, other] = 0
        if limited or waiting.room <= 0:
            continue
        for other in queue.consumers:
            assert not given[other] or other.priority >= waiting.priority, "priority"
            if other.priority == waiting.priority and not given[waiting]:
                queue.overtaken[waiting, other] += given[other]
                assert queue.overtaken[waiting, other] <= 1, "overtaken"
            elif other.priority == waiting.priority:
                assert given[other] <= given[waiting] + 1, "not in turn"
