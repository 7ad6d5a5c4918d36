"""x-max-length, x-max-length-bytes and x-overflow: how long a queue may be, and what gives way.

Counted are ready messages and the octets of their bodies. With drop-head the oldest go, at the end of the tick, after
everything that has a consumer was delivered; otherwise a publish that would exceed a limit is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64

from leveret.broker.death_reasons import MAXLEN
from leveret.broker.queue_settings import DROP_HEAD, NONE

if TYPE_CHECKING:
    from leveret.broker.message import Message
    from leveret.broker.queue import Queue
    from leveret.broker.queue_settings import QueueSettings


def is_limited(settings: QueueSettings) -> bool:
    """Whether a queue with these settings has a length limit."""
    return settings.max_length != NONE or settings.max_length_bytes != NONE


def refuses(settings: QueueSettings) -> bool:
    """Whether a queue with these settings refuses what is too much, rather than dropping its head."""
    return is_limited(settings) and settings.overflow != DROP_HEAD


def exceeds(settings: QueueSettings, count: i64, octets: i64) -> bool:
    """Whether so many ready messages, with so many octets of body, are too much."""
    if settings.max_length != NONE and count > settings.max_length:
        return True
    return settings.max_length_bytes != NONE and octets > settings.max_length_bytes


def would_exceed(queue: Queue, message: Message) -> bool:
    """Whether one more message is too much for a queue; a waiting consumer changes nothing (RabbitMQ)."""
    return exceeds(queue.settings, queue.ready_count() + 1, queue.ready_octets() + message.body_size())


def drop_excess(queue: Queue, most: int) -> bool:
    """Drop, or dead-letter, from the head what is too much, up to `most` messages; False if some is left to drop."""
    settings = queue.settings
    while exceeds(settings, queue.ready_count(), queue.ready_octets()):
        if most == 0:
            return False
        most -= 1
        backing = queue.in_turn()
        backing.fill_window_now()
        if backing.first() is None:
            if queue.ready_count() == 0:
                return True
            continue  # what this level had is damaged, another's is not
        message, position, _ = backing.take()
        queue.drop(message, position, MAXLEN)
    return True
