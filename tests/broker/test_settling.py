"""Acknowledging, rejecting and recovering: which tags a channel takes, and at what cost."""

from __future__ import annotations

import pytest

from leveret.amqp.methods import (
    BasicAck,
    BasicConsume,
    BasicDeliver,
    BasicGet,
    BasicGetOk,
    BasicNack,
    BasicQos,
    BasicRecover,
    BasicRecoverAsync,
    BasicReject,
    ChannelClose,
    ChannelCloseOk,
    ConfirmSelect,
    ConnectionClose,
    ConnectionCloseOk,
    Method,
    QueueDelete,
    QueuePurge,
)
from tests.broker.driver import Client, Driver, Received, refused


def backlog(client: Client, count: int, queue: str = "queue") -> None:
    client.declare(queue)
    for number in range(count):
        client.publish("", queue, b"%d" % number)
    client.driver.tick()
    assert client.take() == []


def get(client: Client, no_ack: bool = False, channel: int = 1) -> BasicGetOk:
    got = client.call(BasicGet("queue", no_ack), channel).method
    assert isinstance(got, BasicGetOk)
    return got


@pytest.fixture
def holder(client: Client) -> Client:
    """Holds the deliveries 1 to 5 on channel 1 of a queue of ten."""
    backlog(client, 10)
    for tag in range(1, 6):
        assert get(client).delivery_tag == tag
    return client


UNKNOWN: list[Method] = [
    *(BasicAck(6), BasicAck(6, True), BasicAck(0), BasicAck(2**63), BasicAck(2**64 - 1, True)),
    *(BasicNack(6, False), BasicNack(6, True), BasicNack(0), BasicReject(6), BasicReject(0)),
]


@pytest.mark.parametrize("method", UNKNOWN, ids=repr)
def test_an_unknown_tag_closes_the_channel(driver: Driver, holder: Client, method: Method) -> None:
    holder.send(method)
    driver.tick()
    closed = holder.take()[0].method
    assert isinstance(closed, ChannelClose)
    tag = getattr(method, "delivery_tag", None)
    assert closed.reply_text == f"PRECONDITION_FAILED - unknown delivery tag {tag}"
    assert (closed.failing_class_id, closed.failing_method_id) == (method.class_id, method.method_id)
    assert driver.counts("queue") == (10, 0)


@pytest.mark.parametrize("again", [BasicAck(3), BasicAck(3, True), BasicNack(3), BasicReject(3)], ids=repr)
def test_a_tag_is_settled_once(holder: Client, again: Method) -> None:
    holder.send(BasicAck(3))
    assert holder.refusal(again) == (406, "unknown delivery tag 3")


def test_tags_belong_to_their_channel(holder: Client) -> None:
    get(holder, channel=2)
    holder.send(BasicAck(1), 2)
    assert holder.refusal(BasicAck(2), 2) == (406, "unknown delivery tag 2")
    assert holder.driver.counts("queue") == (4, 5)


def test_multiple_settles_up_to_the_tag_and_zero_all(driver: Driver, holder: Client) -> None:
    holder.send(BasicAck(2))
    holder.send(BasicNack(3, True, False))
    assert driver.counts("queue") == (5, 2)
    holder.send(BasicNack(0, True, True))
    assert driver.counts("queue") == (7, 0)
    holder.send(BasicAck(0, True))
    assert get(holder) == BasicGetOk(6, True, "", "queue", 6)


def test_what_was_fetched_without_acknowledgement_cannot_be_settled(holder: Client) -> None:
    assert get(holder, no_ack=True).delivery_tag == 6
    assert holder.refusal(BasicAck(6)) == (406, "unknown delivery tag 6")


@pytest.mark.parametrize("method", [BasicAck(0, True), BasicNack(0, True), BasicRecoverAsync(True)], ids=repr)
def test_settling_all_when_there_is_nothing_is_fine(client: Client, method: Method) -> None:
    client.send(method)
    client.declare("queue")


def test_gaps_of_any_size_between_tags(driver: Driver, client: Client) -> None:
    """Deliveries without acknowledgement take tags too: here 5,000 lie between any two that are unacknowledged."""
    client.declare("flood")
    client.call(BasicConsume("flood", "flood", no_ack=True))
    backlog(client, 6)
    tags = []
    for _ in range(6):
        for _ in range(5_000):
            client.publish("", "flood")
        driver.tick()
        client.take()
        tags.append(get(client).delivery_tag)
    assert tags == [5_001 * number for number in range(1, 7)]
    client.send(BasicAck(tags[1], True))
    assert driver.counts("queue") == (0, 4)
    client.send(BasicNack(tags[3], True, False))
    assert driver.counts("queue") == (0, 2)
    client.send(BasicAck(tags[5]))
    client.send(BasicNack(0, True, True))
    assert driver.counts("queue") == (1, 0)
    assert client.refusal(BasicAck(tags[4] - 1, True)) == (406, f"unknown delivery tag {tags[4] - 1}")


def test_settling_what_came_from_a_deleted_queue_changes_nothing(driver: Driver, holder: Client) -> None:
    holder.call(QueueDelete("queue"))
    assert holder.declare("queue") == (0, 0)
    for method in (BasicAck(1), BasicNack(2, False, True), BasicReject(3), BasicRecoverAsync(True)):
        holder.send(method)
    driver.tick()
    assert holder.take() == []
    assert driver.counts("queue") == (0, 0)


def test_a_purge_leaves_what_is_held(driver: Driver, holder: Client) -> None:
    holder.call(QueuePurge("queue"))
    assert driver.counts("queue") == (0, 5)
    holder.publish("", "queue", b"new")
    holder.send(BasicNack(0, True))
    order = [holder.call(BasicGet("queue", True)).body for _ in range(6)]
    assert order == [b"0", b"1", b"2", b"3", b"4", b"new"]


def test_recover_without_requeue_is_not_implemented(holder: Client) -> None:
    assert holder.refusal(BasicRecover(False)) == (540, "requeue=false")


def test_a_prefetch_that_is_restored_makes_room_at_once(driver: Driver, client: Client) -> None:
    """A lower prefetch of running consumers holds until the next subscription; then they have room, and are served."""
    backlog(client, 5)
    client.declare("other")
    client.call(BasicQos(0, 3))
    client.send(BasicConsume("queue", "first"))
    client.send(BasicQos(0, 1))
    driver.tick()
    assert [received.body for received in client.take()] == [None, None, b"0"]
    client.send(BasicConsume("other", "second"))
    driver.tick()
    assert [received.body for received in client.take()] == [None, b"1", b"2"]


def deliveries(received: list[Received]) -> list[tuple[str, bytes | None]]:
    return [(each.method.consumer_tag, each.body) for each in received if isinstance(each.method, BasicDeliver)]


def test_priorities_and_turns(driver: Driver, client: Client) -> None:
    backlog(client, 1)
    for tag in ("a", "b", "c"):
        client.send(BasicConsume("queue", tag, no_ack=True))
    for number in range(1, 7):
        client.publish("", "queue", b"%d" % number)
    driver.tick()
    assert deliveries(client.take()) == list(zip("abcabca", [b"%d" % number for number in range(7)], strict=True))


def test_confirms_are_gathered_into_one(driver: Driver, client: Client) -> None:
    client.call(ConfirmSelect())
    for count, multiple in ((1, False), (3, True)):
        for _ in range(count):
            client.publish("", "missing", b"")
        driver.tick()
        assert client.take() == [Received(1, BasicAck({1: 1, 3: 4}[count], multiple))]


def test_confirms_come_before_the_channel_is_closed_for_an_error(driver: Driver, client: Client) -> None:
    client.call(ConfirmSelect())
    client.publish("", "missing", b"")
    client.send(BasicAck(7))
    driver.tick()
    confirmed, closed = client.take()
    assert confirmed.method == BasicAck(1, False)
    assert refused(closed)[0] == 406
    client.send(ChannelCloseOk())


def test_nothing_comes_after_connection_close_ok(driver: Driver, client: Client) -> None:
    """Not even the confirms of what was published in the same tick."""
    client.call(ConfirmSelect())
    client.publish("", "missing", b"")
    client.send(ConnectionClose(200, "done"), 0)
    driver.tick()
    received = client.take()
    assert received[-1] == Received(0, ConnectionCloseOk())
    assert client.is_closed()
