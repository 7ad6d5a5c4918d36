"""What becomes of a delivery that is settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from leveret.broker.consumer import Delivery

ACKED: Final = 0
REJECTED: Final = 1  # dropped, or dead-lettered
REQUEUED: Final = 2  # basic.nack: somebody else shall have it
RETURNED: Final = 3  # basic.reject with requeue: counts towards the delivery limit


def settle(delivery: Delivery, outcome: int) -> None:
    """Do what was decided about a delivery."""
    queue = delivery.queue
    if outcome == ACKED:
        queue.settle(delivery)
    elif outcome == REJECTED:
        queue.reject(delivery)
    else:
        queue.requeue(delivery, outcome == RETURNED)
