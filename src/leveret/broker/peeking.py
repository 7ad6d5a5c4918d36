"""Looking at a message in a queue without taking it: nothing changes, neither the order nor any flag.

Positions count the ready messages from 1, in the order in which they would be delivered if no more came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.broker.message import Message

if TYPE_CHECKING:
    from leveret.broker.backing_queue import BackingQueue
    from leveret.broker.queue import Queue

NO_COUNT: Final[i64] = -1


class Peeked:
    """A message as it waits. `delivery_count` is how often it came back, NO_COUNT if its queue does not count."""

    def __init__(self, message: Message, delivery_count: i64) -> None:
        self.message: Final = message
        self.delivery_count: Final[i64] = delivery_count


class Damaged(Exception):
    """The message is there, but can't be read from the disk."""


def peek(queue: Queue, position: int) -> Peeked | None:
    """The message at a position, None if the queue has less. Reads the disk if need be. Raises Damaged."""
    queue.catch_up()
    for level in queue.levels:
        if level.backlog is not None and level.backlog.reading:
            level.store.finish_reading(level)
        if position <= level.count():
            return peek_level(queue, level, position - 1)
        position -= level.count()
    return None


def peek_level(queue: Queue, level: BackingQueue, index: int) -> Peeked:
    """The message that so many of its priority go before; there is one."""
    counts = queue.counts
    if index < len(level.returned):
        position, message = sorted(level.returned, key=position_of)[index]
        return Peeked(message, NO_COUNT if counts is None else counts.count(position))
    index -= len(level.returned)
    count = NO_COUNT if counts is None else i64(0)
    if index < len(level.ready):
        return Peeked(level.ready[index], count)
    index -= len(level.ready)
    backlog = level.backlog
    assert backlog is not None
    if index >= backlog.placed:
        return Peeked(backlog.tail[index - int(backlog.placed)], count)
    found = level.store.read_place(backlog.place(index))
    if found is None:
        raise Damaged
    return Peeked(found, count)


def position_of(returned: tuple[int, Message]) -> int:
    """The position of a message that came back."""
    return returned[0]
