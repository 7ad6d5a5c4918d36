"""When messages and queues expire.

A message may wait in a queue as long as its own expiration and the queue's TTL allow, the shorter of both, counted from
when it was taken in; a requeue changes nothing. As in RabbitMQ it expires at the head of the queue only, so a queue
needs one timer, for its head, however many messages it holds. The deadline is never stored: it follows from the
message's time, which is on the disk with it.

A queue with x-expires is deleted when it was not used for so long. Uses are a consumer, basic.get and a redeclare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from librt.strings import read_i16_be, read_i32_be
from mypy_extensions import i64

from leveret.amqp.properties import EXPIRATION, property_at
from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError
from leveret.broker.death_reasons import EXPIRED
from leveret.broker.message import FAR, FLAGS_AT, FRAME_HEAD, NEVER
from leveret.broker.queue_settings import NONE
from leveret.broker.timers import Timer

if TYPE_CHECKING:
    from leveret.broker.backing_queue import BackingQueue
    from leveret.broker.message import Message
    from leveret.broker.queue import Queue

PAGE_OF_DROPS: Final = 100  # as how many dropped messages a page of the backlog counts, which takes about as long
LONGEST: Final = 315_360_000_000  # milliseconds, ten years: RabbitMQ's limit


def parse_expiration(text: str) -> i64:
    """The milliseconds in an expiration property; SoftError 406 in RabbitMQ's words if it isn't a valid number."""
    if text.isdecimal() and text.isascii() and len(text) < 12:
        return i64(int(text))
    digits = text[1:] if text[:1] in ("+", "-") else text
    length = 0
    while length < len(digits) and digits[length] in "0123456789":
        length += 1
    if length == 0:
        raise invalid_expiration(text, "no_integer")
    if length < len(digits):
        raise invalid_expiration(text, f'{{leftover_string,"{escaped(digits[length:])}"}}')
    number = int(text)
    if number < 0:
        raise invalid_expiration(text, f"{{value_negative,{number}}}")
    if number > LONGEST:
        raise invalid_expiration(text, f"{{value_too_large,{number}}}")
    return i64(number)


def escaped(text: str) -> str:
    """A text as Erlang prints it between quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def invalid_expiration(text: str, reason: str) -> SoftError:
    """The error for an expiration that is no number of milliseconds."""
    return SoftError(PRECONDITION_FAILED, f"invalid expiration '{text}': {reason}")


def expiration_of(content: bytes) -> i64:
    """The expiration of a message with these content frames, checked when it was published; NEVER if it has none."""
    if i64(read_i16_be(content, FLAGS_AT)) & EXPIRATION == 0:
        return NEVER
    try:
        return checked_expiration(content[FRAME_HEAD : FRAME_HEAD + i64(read_i32_be(content, 3))])
    except SoftError:
        return NEVER


def checked_expiration(header: bytes) -> i64:
    """The expiration in a content header's payload that has one; SoftError 406 if it is no number of milliseconds."""
    at = property_at(header, EXPIRATION)
    return parse_expiration(header[at + 1 : at + 1 + header[at]].decode("utf-8", "replace"))


def deadline(message: Message, ttl: i64) -> i64:
    """When a message expires in a queue with this TTL (NONE: without one): milliseconds since 1970, FAR for never."""
    wait = message.expiration
    if ttl != NONE and (wait == NEVER or ttl < wait):
        wait = ttl
    return FAR if wait == NEVER else message.time + wait


def is_overdue(queue: Queue, backing: BackingQueue) -> bool:
    """Whether the head expired before this tick: what came in this tick is delivered even if its TTL is 0."""
    first = backing.first()
    return first is not None and deadline(first, queue.settings.message_ttl) < queue.vhost.timers.time_ms


def has_expired(queue: Queue, backing: BackingQueue) -> bool:
    """Whether the head has expired by now."""
    first = backing.first()
    return first is not None and deadline(first, queue.settings.message_ttl) <= queue.vhost.timers.time_ms


def drop_first(queue: Queue, backing: BackingQueue) -> None:
    """Drop the head, which has expired."""
    queue.drops_left -= 1
    message, position, _ = backing.take()
    queue.drop(message, position, EXPIRED)


def drop_expired_page(queue: Queue, backing: BackingQueue) -> bool:
    """Drop a page of the backlog that nobody wants to read any more, no dead letter exchange either."""
    if queue.settings.dead_letter_exchange is not None or queue.identifiers is not None:
        return False
    queue.drops_left -= PAGE_OF_DROPS
    return backing.drop_expired_page(queue.settings.message_ttl, queue.vhost.timers.time_ms)


def expire_head(queue: Queue) -> None:
    """Drop what has expired at the head, and see to it that the next one is dropped in time."""
    while queue.drops_left > 0:
        backing = queue.in_turn()
        if has_expired(queue, backing):
            drop_first(queue, backing)
            continue
        first = backing.first()
        if first is not None:
            queue.head_timer.set(deadline(first, queue.settings.message_ttl))
            return
        if not queue.has_backlog(backing):
            return
        if drop_expired_page(queue, backing):
            continue
        backing.fill_window()
        if not backing.ready and queue.has_backlog(backing):
            return  # it is being read, and touches the queue when it was
    queue.go_on_later()


class HeadTimer:
    """Has a queue look at its head again when the message there is due to expire."""

    def __init__(self, queue: Queue) -> None:
        self._queue: Final = queue
        self._timer: Timer | None = None
        self._due: i64 = FAR

    def set(self, due: i64) -> None:
        """The head expires at this time. Ringing too early costs less than setting it anew each time."""
        if due >= self._due:
            return
        self.cancel()
        self._due = due
        timers = self._queue.vhost.timers
        self._timer = timers.after(max(0, int(due - timers.time_ms)) / 1000, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._due = FAR
        self._queue.touch()

    def cancel(self) -> None:
        """The queue is gone, or has nothing that could expire."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = FAR


class UnusedTimer:
    """Deletes a queue that has not been used for as long as its x-expires says."""

    def __init__(self, queue: Queue) -> None:
        self._queue: Final = queue
        self._timer: Timer | None = None

    def renew(self) -> None:
        """The queue was used just now, or its settings or consumers changed: count from here."""
        self.cancel()
        queue = self._queue
        if queue.settings.expires != NONE and not queue.consumers and not queue.deleted:
            self._timer = queue.vhost.timers.after(int(queue.settings.expires) / 1000, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._queue.vhost.delete_queue(self._queue)

    def cancel(self) -> None:
        """The queue is in use, or gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
