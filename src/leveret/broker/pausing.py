"""Pausing a queue: it takes messages in and keeps them, and gives none to consumers nor to basic.get (as in LavinMQ).

What is out already can be settled. Messages expire and are dropped as ever. A durable queue is still paused after a
restart. A queue that is not paused pays nothing for it: it is its rotation that has nobody's turn.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from leveret.broker.queue import Queue

log: Final = logging.getLogger("leveret.queue")

PAUSED: Final = "paused"
RUNNING: Final = "running"


def pause(queue: Queue) -> None:
    """Stop deliveries; nothing changes if they are stopped."""
    if not queue.paused:
        keep_paused(queue)
        _changed(queue)


def keep_paused(queue: Queue) -> None:
    """A queue that was paused before the broker started is paused still."""
    queue.paused = True
    queue.rotation.pause()


def resume(queue: Queue) -> None:
    """Deliver again; nothing changes if it does."""
    if queue.paused:
        queue.paused = False
        queue.rotation.resume()
        queue.touch()
        _changed(queue)


def state_of(queue: Queue) -> str:
    """What a listing says of a queue."""
    return PAUSED if queue.paused else RUNNING


def _changed(queue: Queue) -> None:
    log.info("queue '%s' in vhost '%s' %s", queue.name, queue.vhost.name, PAUSED if queue.paused else "resumed")
    if queue.durable:
        queue.store.queue_paused(queue)
