"""A transaction on one channel: what was published and acknowledged since tx.select or the last commit.

Nothing of it reaches a queue before tx.commit. As in RabbitMQ a publish leads to names of queues, and the commit looks
for the queues of these names: they may have been deleted and declared again meanwhile. A rollback drops the publishes
and hands the acknowledged deliveries back to the channel as unacknowledged, in RabbitMQ's way: they are not redelivered
by that.
"""

from __future__ import annotations

from typing import Final

from leveret.broker.consumer import Delivery
from leveret.broker.deduplication import Admission, withdraw
from leveret.broker.message import Message
from leveret.broker.queue import Queue


class Publication:
    """A message and the names of the queues that it goes to when the transaction is committed.

    Of exchanges that delay it there are the queues themselves, since these have no names to clients.
    """

    def __init__(
        self,
        message: Message,
        queue_names: list[str],
        delay_queues: list[Queue],
        mandatory: bool,
        admissions: list[Admission] | None,
    ) -> None:
        self.message: Final = message
        self.queue_names: Final = queue_names
        self.delay_queues: Final = delay_queues
        self.mandatory: Final = mandatory
        self.admissions: Final = admissions


class Settlement:
    """A delivery that the transaction takes from its channel, and what becomes of it (`broker.settlement`)."""

    def __init__(self, tag: int, delivery: Delivery, outcome: int) -> None:
        self.tag: Final = tag
        self.delivery: Final = delivery
        self.outcome: Final = outcome


class Transaction:
    """The uncommitted work of a channel."""

    def __init__(self) -> None:
        self.publications: list[Publication] = []
        self.settlements: list[Settlement] = []

    def publish(self, publication: Publication) -> None:
        """Keep a publish for the commit."""
        self.publications.append(publication)

    def abandon(self) -> None:
        """There will be no commit: what was published may be published again."""
        for publication in self.publications:
            withdraw(publication.admissions)

    def settle(self, tag: int, delivery: Delivery, outcome: int) -> None:
        """Keep an acknowledgement (or a rejection) for the commit."""
        self.settlements.append(Settlement(tag, delivery, outcome))
