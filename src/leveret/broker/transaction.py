"""A transaction on one channel: what was published and acknowledged since tx.select or the last commit.

Nothing of it reaches a queue before tx.commit. A rollback drops the publishes and hands the acknowledged deliveries
back to the channel as unacknowledged, in RabbitMQ's way: they are not redelivered by that.
"""

from __future__ import annotations

from typing import Final

from leveret.broker.consumer import Delivery
from leveret.broker.message import Message
from leveret.broker.queue import Queue


class Publication:
    """A message and the queues that it goes to when the transaction is committed."""

    def __init__(self, message: Message, queues: list[Queue], mandatory: bool) -> None:
        self.message: Final = message
        self.queues: Final = queues
        self.mandatory: Final = mandatory


class Settlement:
    """A delivery that the transaction takes from its channel, by its tag, and what becomes of it."""

    def __init__(self, tag: int, delivery: Delivery, requeue: bool) -> None:
        self.tag: Final = tag
        self.delivery: Final = delivery
        self.requeue: Final = requeue


class Transaction:
    """The uncommitted work of a channel."""

    def __init__(self) -> None:
        self.publications: list[Publication] = []
        self.settlements: list[Settlement] = []

    def publish(self, message: Message, queues: list[Queue], mandatory: bool) -> None:
        """Keep a publish for the commit."""
        self.publications.append(Publication(message, queues, mandatory))

    def settle(self, tag: int, delivery: Delivery, requeue: bool) -> None:
        """Keep an acknowledgement (or a rejection) for the commit."""
        self.settlements.append(Settlement(tag, delivery, requeue))
