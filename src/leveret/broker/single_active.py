"""x-single-active-consumer: one consumer of a queue gets all messages, until it goes and the next one takes over.

The active consumer is the only one in the queue's rotation; the others wait among `queue.consumers`, in the order in
which they came. Next is the one of highest priority that has waited longest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leveret.broker.consumer import Consumer
    from leveret.broker.queue import Queue


def added(queue: Queue, consumer: Consumer) -> None:
    """A channel subscribed to a queue with a single active consumer."""
    if queue.active_consumer is None:
        activate(queue, consumer)
    elif queue.is_quorum and consumer.priority > queue.active_consumer.priority:
        deactivate(queue, queue.active_consumer)


def removed(queue: Queue, consumer: Consumer) -> None:
    """The subscription of the active consumer ended."""
    if not queue.handing_over:
        queue.take_out(consumer)
    activate_next(queue)


def activate(queue: Queue, consumer: Consumer) -> None:
    """It is this consumer's turn."""
    queue.active_consumer = consumer
    queue.rotation.add(consumer)
    queue.touch()


def deactivate(queue: Queue, consumer: Consumer) -> None:
    """A consumer of higher priority came: the active one gets nothing more, and its turn ends when it has settled.

    So no two consumers work at messages of the queue at the same time (RabbitMQ 4, quorum queues only).
    """
    if not queue.handing_over:
        queue.take_out(consumer)
        queue.handing_over = True
    if consumer.unacked == 0:
        activate_next(queue)


def activate_next(queue: Queue) -> None:
    """The turn of the active consumer is over."""
    queue.handing_over = False
    queue.active_consumer = None
    best: Consumer | None = None
    for consumer in queue.consumers:
        if best is None or consumer.priority > best.priority:
            best = consumer
    if best is not None:
        activate(queue, best)
