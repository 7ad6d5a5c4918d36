"""The methods of the classes confirm and tx. A channel is in one of the two modes at most, for the rest of its life."""

from __future__ import annotations

from leveret.amqp.methods import (
    ConfirmSelect,
    ConfirmSelectOk,
    Method,
    TxCommit,
    TxCommitOk,
    TxRollback,
    TxRollbackOk,
    TxSelect,
    TxSelectOk,
)
from leveret.amqp.reply_codes import COMMAND_INVALID, PRECONDITION_FAILED, HardError, SoftError
from leveret.broker.channel import Channel
from leveret.broker.deduplication import withdraw
from leveret.broker.publishing import enqueue_routed, return_message
from leveret.broker.settlement import settle
from leveret.broker.transaction import Transaction


def handle(channel: Channel, method: Method) -> None:
    """Handle a method of class confirm or tx."""
    if isinstance(method, ConfirmSelect):
        if channel.transaction is not None:
            raise SoftError(PRECONDITION_FAILED, "cannot switch from tx to confirm mode")
        channel.confirming = True
        if not method.nowait:
            channel.send(ConfirmSelectOk())
    elif isinstance(method, TxSelect):
        if channel.confirming:
            raise SoftError(PRECONDITION_FAILED, "cannot switch from confirm to tx mode")
        if channel.transaction is None:
            channel.transaction = Transaction()
        channel.send(TxSelectOk())
    elif isinstance(method, TxCommit):
        commit(channel)
        channel.send(TxCommitOk())
    elif isinstance(method, TxRollback):
        rollback(channel)
        channel.send(TxRollbackOk())
    else:
        raise HardError(COMMAND_INVALID, f"unexpected method {method.name}")


def commit(channel: Channel) -> None:
    """Do all that the transaction kept, and begin the next one. SoftError 406 if a queue refused a message."""
    transaction = channel.transaction
    if transaction is None:
        raise SoftError(PRECONDITION_FAILED, "channel is not transactional")
    channel.transaction = Transaction()
    vhost = channel.connection.vhost_opened()
    store = channel.connection.broker.store
    complete = True
    store.begin_group()
    try:
        for publication in transaction.publications:
            found = [vhost.find_queue(name) for name in publication.queue_names]
            queues = [queue for queue in found if queue is not None]
            queues += [queue for queue in publication.delay_queues if not queue.deleted]
            publication.message.time = vhost.timers.time_ms
            if not enqueue_routed(store, publication.message, queues):
                complete = False
                withdraw(publication.admissions)
            if not queues:
                withdraw(publication.admissions)
                if publication.mandatory:
                    return_message(channel, publication.message)
                else:
                    channel.traffic.drop_unroutable += 1
        for settlement in transaction.settlements:
            settle(settlement.delivery, settlement.outcome)
    finally:
        store.end_group(channel.connection)
    channel.unpark()
    if not complete:
        raise SoftError(PRECONDITION_FAILED, "partial tx completion")


def rollback(channel: Channel) -> None:
    """Forget the publishes, give back the deliveries, and begin the next transaction."""
    if channel.transaction is None:
        raise SoftError(PRECONDITION_FAILED, "channel is not transactional")
    channel.restore_settlements()
    channel.transaction.abandon()
    channel.transaction = Transaction()
