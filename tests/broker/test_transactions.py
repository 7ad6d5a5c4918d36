"""Transactions: what is kept until the commit, and what becomes of it when the queues change meanwhile."""

from __future__ import annotations

import pytest

from leveret.amqp.methods import (
    BasicAck,
    BasicConsume,
    BasicGet,
    BasicNack,
    BasicQos,
    BasicRecover,
    BasicReject,
    ChannelClose,
    ConfirmSelect,
    ConfirmSelectOk,
    ExchangeDeclare,
    Method,
    QueueBind,
    QueueDelete,
    QueueUnbind,
    TxCommit,
    TxCommitOk,
    TxRollback,
    TxSelect,
    TxSelectOk,
)
from tests.broker.driver import Client, Driver, Received


@pytest.fixture
def work(client: Client) -> Client:
    """A client whose channel 1 is transactional, and a queue."""
    client.declare("queue")
    assert client.call(TxSelect()).method == TxSelectOk()
    return client


def test_a_channel_is_in_one_mode(client: Client) -> None:
    client.call(TxSelect())
    assert client.refusal(ConfirmSelect()) == (406, "cannot switch from tx to confirm mode")
    assert client.call(ConfirmSelect(), 2).method == ConfirmSelectOk()
    assert client.call(ConfirmSelect(), 2).method == ConfirmSelectOk()
    assert client.refusal(TxSelect(), 2) == (406, "cannot switch from confirm to tx mode")


@pytest.mark.parametrize("method", [TxCommit(), TxRollback()], ids=repr)
def test_there_is_no_transaction_without_select(client: Client, method: Method) -> None:
    assert client.refusal(method) == (406, "channel is not transactional")


def test_selecting_twice_keeps_what_is_pending(driver: Driver, work: Client) -> None:
    work.publish("", "queue", b"kept")
    work.call(TxSelect())
    work.call(TxCommit())
    assert driver.counts("queue") == (1, 0)


def test_a_message_reaches_the_queue_of_its_name_as_it_is_at_the_commit(driver: Driver, work: Client) -> None:
    """Deleted and declared again, or declared for the first time: RabbitMQ looks its queues up when it commits."""
    work.publish("", "queue", b"1")
    work.publish("", "later", b"2", mandatory=True)
    work.call(QueueDelete("queue"), 2)
    work.declare("queue", 2)
    work.declare("later", 2)
    assert work.call(TxCommit()).method == TxCommitOk()
    assert (driver.counts("queue"), driver.counts("later")) == ((1, 0), (1, 0))


def test_a_message_whose_queue_went_is_returned_with_the_commit(driver: Driver, work: Client) -> None:
    work.publish("", "queue", b"dropped")
    work.publish("", "queue", b"returned", mandatory=True)
    work.call(QueueDelete("queue"), 2)
    work.send(TxCommit())
    driver.tick()
    assert [(received.method.name, received.body) for received in work.take()] == [
        ("basic.return", b"returned"),
        ("tx.commit-ok", None),
    ]


def test_bindings_count_as_they_were_at_the_publish(driver: Driver, work: Client) -> None:
    work.call(ExchangeDeclare("exchange"), 2)
    work.call(QueueBind("queue", "exchange", "key"), 2)
    work.publish("exchange", "key", b"routed")
    work.call(QueueUnbind("queue", "exchange", "key"), 2)
    work.publish("exchange", "key", b"not routed")
    work.call(QueueBind("queue", "exchange", "key"), 2)
    work.call(TxCommit())
    assert work.call(BasicGet("queue", True)).body == b"routed"
    assert driver.counts("queue") == (0, 0)


@pytest.fixture
def holder(work: Client) -> Client:
    """Has the deliveries 1 to 4, by get and by a consumer, of a queue of five."""
    for number in range(5):
        work.publish("", "queue", b"%d" % number, channel=2)
    work.call(BasicQos(0, 2))
    for _ in range(2):
        work.call(BasicGet("queue"))
    work.send(BasicConsume("queue", "tag"))
    work.driver.tick()
    assert len(work.take()) == 3
    assert work.driver.counts("queue") == (1, 4)
    return work


def test_settlements_wait_for_the_commit(driver: Driver, holder: Client) -> None:
    holder.send(BasicAck(1))
    holder.send(BasicReject(2, True))
    holder.send(BasicNack(4, True, False))
    driver.tick()
    assert holder.take() == []
    assert driver.counts("queue") == (1, 4)
    holder.send(TxCommit())
    driver.tick()
    committed, *delivered = holder.take()
    assert committed.method == TxCommitOk()
    assert [received.body for received in delivered] == [b"1", b"4"]


def test_a_rollback_takes_settlements_back(driver: Driver, holder: Client) -> None:
    holder.send(BasicAck(3, True))
    holder.call(TxRollback())
    assert driver.counts("queue") == (1, 4)
    holder.send(BasicNack(3, True, True))
    assert holder.refusal(BasicAck(2)) == (406, "unknown delivery tag 2")


def test_recover_leaves_what_is_settled_in_the_transaction(driver: Driver, holder: Client) -> None:
    """As RabbitMQ: after the rollback they are unacknowledged still, whatever was recovered meanwhile."""
    holder.send(BasicAck(1))
    holder.send(BasicAck(4))
    holder.call(BasicQos(0, 1))
    holder.send(BasicRecover(True))
    driver.tick()
    assert [received.body for received in holder.take()] == [None]
    assert driver.counts("queue") == (3, 2)
    holder.call(TxRollback())
    holder.send(BasicAck(4, True))
    holder.send(TxCommit())
    driver.tick()
    assert [received.body for received in holder.take()] == [None, b"1"]
    assert driver.counts("queue") == (2, 1)


@pytest.mark.parametrize("properly", [True, False])
def test_the_end_of_the_channel_is_a_rollback(driver: Driver, holder: Client, properly: bool) -> None:
    holder.send(BasicAck(4, True))
    holder.publish("", "queue", b"dropped")
    if properly:
        holder.call(ChannelClose(200, "done"))
    else:
        holder.lose()
        driver.tick()
    assert driver.counts("queue") == (5, 0)
    other = driver.log_in()
    assert [other.call(BasicGet("queue", True)).body for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


def test_settling_twice_in_one_transaction_is_refused(holder: Client) -> None:
    holder.send(BasicAck(2))
    assert holder.refusal(BasicAck(2, True)) == (406, "unknown delivery tag 2")


def test_what_was_committed_is_delivered_in_order(driver: Driver, work: Client) -> None:
    reader = driver.log_in()
    reader.call(BasicConsume("queue", "tag", no_ack=True))
    for number in range(4):
        work.publish("", "queue", b"%d" % number)
    driver.tick()
    assert reader.take() == []
    assert work.call(TxCommit()) == Received(1, TxCommitOk())
    assert reader.bodies() == [b"0", b"1", b"2", b"3"]
