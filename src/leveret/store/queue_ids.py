"""The ids of queues, by which the message log says whose a message is.

An id shares 64 bits with an offset (`segment`), so there are many, but not without end. Those of durable queues stand
in the definitions too. They count up, over restarts as well, so that nothing in the log is taken for another queue's;
should they come near their end, a start goes on in the widest gap between those that are still known.

Other queues mean nothing to the next start. Their ids are from a range of their own, and are given again when it is
through: a client may declare reply queues for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError

DURABLE_END: Final = 1 << 29
END: Final = 1 << 30


class QueueIds:
    """Gives ids; `next_durable` and all above it were never given to a durable queue."""

    def __init__(
        self,
        next_durable: int,
        transient_in_use: Callable[[], set[int]],
        durable_end: int = DURABLE_END,
        end: int = END,
    ) -> None:
        self._next: int = next_durable
        self._end: int = durable_end
        self._durable_end: Final[int] = durable_end
        self._next_transient: int = durable_end
        self._transient_end: Final[int] = end
        self._transient_in_use: Final = transient_in_use
        self._kept: set[int] = set()  # transient ids that were in use when their range was last through

    def restored(self, known: Iterable[int]) -> None:
        """The definitions and the log have these ids, in which those of transient queues don't matter."""
        durable = sorted([queue_id for queue_id in known if queue_id < self._durable_end])
        if durable:
            self._next = max(self._next, durable[-1] + 1)
        if self._next > self._durable_end // 2:
            self._next, self._end = widest_gap(durable, self._durable_end)

    def durable(self) -> int:
        """An id for a durable queue; SoftError 406 if there is none until the next start."""
        if self._next >= self._end:
            raise SoftError(
                PRECONDITION_FAILED, "cannot declare another durable queue before the broker has been restarted"
            )
        self._next += 1
        return self._next - 1

    def transient(self) -> int:
        """An id for a queue that is not durable, which no other one has now."""
        while True:
            if self._next_transient == self._transient_end:
                self._next_transient = self._durable_end
                self._kept = self._transient_in_use()
            queue_id = self._next_transient
            self._next_transient += 1
            if queue_id not in self._kept:
                return queue_id


def widest_gap(known: list[int], end: int) -> tuple[int, int]:
    """The first of the most ids in a row that are not known, and the one behind them. The known ones are in order."""
    first, behind, at = 1, 1, 1
    for queue_id in [*known, end]:
        if queue_id - at > behind - first:
            first, behind = at, queue_id
        at = queue_id + 1
    return first, behind
