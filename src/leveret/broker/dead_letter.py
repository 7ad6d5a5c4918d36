"""Dead-lettering: what a queue drops goes to its dead letter exchange, with a record of what happened to it.

The record is the header x-death (`broker.death_record`). It is all the state there is, so a client that publishes a
message again with its headers carries it on (RabbitMQ up to 3.13; many retry recipes need it). A message that would
come back to a queue it has died in already is dropped, unless it was rejected somewhere on the way round: that is how
RabbitMQ ends cycles nobody would stop.

The queues are found first; only for those exchanges that ask the message's properties are they found once more, when
the letter is written. Its properties stay encoded all the way.

Leaving one queue and entering the others is one record of the message log, so a crash finds it in one place or the
other. A letter may be refused by a full queue that dead-letters in turn; such follow-ups wait in a list instead of the
stack, and belong to the same record.

A client can make any number of messages die at once, make each take long (by a huge x-death of its own), and make full
queues refuse a letter in each of the orders in which it can come by them. So in a tick only so much work is done, and
what is left waits for the next; a message that waits is still its queue's in the log.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.amqp.encoded_table import join_table
from leveret.amqp.field_table import decode_value
from leveret.amqp.properties import DELIVERY_MODE, EXPIRATION, headers_in, property_at, with_headers
from leveret.amqp.text import shortened
from leveret.broker.death_reasons import REJECTED
from leveret.broker.death_record import X_DEATH, Death, died_in_since_rejected, may_have_died_in, record_death
from leveret.broker.durability import NOT_STORED
from leveret.broker.message import NEVER, Address
from leveret.broker.publishing import PERSISTENT, enqueue_routed, selected_keys
from leveret.broker.routing import NO_PROPERTIES

if TYPE_CHECKING:
    from leveret.broker.exchange.base import Exchange
    from leveret.broker.message import Message
    from leveret.broker.queue import Queue
    from leveret.broker.timers import Timer
    from leveret.broker.vhost import VirtualHost

log: Final = logging.getLogger("leveret.broker")

LONGEST_KEY: Final = 255  # octets
WORK_AT_ONCE: Final = 10_000  # in a tick; a letter is one, and what it takes to go through its headers
OCTETS_OF_WORK: Final = 32


class DeadLetter:
    """A message that a queue drops, and why; `held` as in `DeadLetters.move`."""

    def __init__(self, queue: Queue, message: Message, reason: str, held: bool) -> None:
        self.queue: Final = queue
        self.message: Final = message
        self.reason: Final = reason
        self.held: Final = held


class DeadLetters:
    """The dead letters of one virtual host that are on their way."""

    def __init__(self, vhost: VirtualHost) -> None:
        self._vhost: Final = vhost
        self._waiting: Final[deque[DeadLetter]] = deque()
        self._refused: Final[list[DeadLetter]] = []  # by the full queues that a letter went to, and by those after them
        self._moving = False
        self._work_left = WORK_AT_ONCE
        self._work_counted_at = 0.0  # the tick that it is left for
        self._timer: Timer | None = None

    def move(self, queue: Queue, message: Message, reason: str, held: bool) -> None:
        """Send a dead letter on its way. If its exchange is missing or leads nowhere it is dropped, as in RabbitMQ.

        `held`: the queue still has the message, and is done with it when it has been moved.
        """
        letter = DeadLetter(queue, message, reason, held)
        counts = self._vhost.churn.dead_lettered
        counts[reason, queue.is_quorum] = counts.get((reason, queue.is_quorum), 0) + 1
        if self._moving:
            self._refused.append(letter)
            return
        self._waiting.append(letter)
        if self._timer is None:
            self._go_on()

    def _go_on(self) -> None:
        """Move what waits, as much as one tick may do."""
        self._timer = None
        timers = self._vhost.timers
        if timers.now != self._work_counted_at:
            self._work_counted_at = timers.now
            self._work_left = WORK_AT_ONCE
        while self._refused or self._waiting:
            if self._work_left <= 0:
                self._timer = timers.after(0.0, self._go_on_anew)
                return
            self._move_grouped(self._refused.pop() if self._refused else self._waiting.popleft())

    def _go_on_anew(self) -> None:
        self._work_left = WORK_AT_ONCE
        self._go_on()

    def _move_grouped(self, letter: DeadLetter) -> None:
        """Move a letter, and those that come of it being refused, as one record of the log."""
        store = self._vhost.store
        grouped = False
        self._moving = True
        try:
            while True:
                if not grouped and letter.held and letter.message.place != NOT_STORED:
                    grouped = True
                    store.begin_group()
                self._move(letter)
                if not self._refused or self._work_left <= 0:
                    return
                letter = self._refused.pop()
        finally:
            self._moving = False
            if grouped:
                store.end_group(None)

    def _move(self, letter: DeadLetter) -> None:
        self._work_left -= 1 + int(letter.message.header_size()) // OCTETS_OF_WORK
        settings = letter.queue.settings
        exchange = self._vhost.exchanges.get(settings.dead_letter_exchange or "")
        if exchange is not None:
            try:
                self._send(letter, exchange, settings.dead_letter_routing_key)
            except Exception:
                log.exception("internal error: a dead letter of queue '%s' is lost", letter.queue.name)
        if letter.held:
            letter.queue.backing.forget(letter.message)

    def _send(self, letter: DeadLetter, exchange: Exchange, routing_key: str | None) -> None:
        vhost = self._vhost
        message = letter.message
        header = message.header_payload()
        headers = headers_in(header)
        own_keys = [message.address.routing_key, *carbon_copy_keys(headers)]
        keys = [*own_keys, *message.address.blind_keys] if routing_key is None else [routing_key]
        queues, each_message = vhost.route(exchange, keys, NO_PROPERTIES)
        if not queues and not each_message:
            return
        seconds = vhost.timers.time_ms // 1000
        death = Death(letter.queue.name, letter.reason, seconds, message.address.exchange, own_keys)
        headers = record_death(headers, death, expiration_in(header))
        if routing_key is not None:
            headers.pop(b"CC", None)
        properties = with_headers(header, join_table(headers))
        address = self._address(message, exchange, keys[0], routing_key is None)
        moved = message.with_encoded(properties, address, vhost.timers.time_ms, NEVER)
        # What a transient queue has on disk is transient there, whatever the publisher wanted.
        moved.persistent = message.persistent or delivery_mode_in(header) == PERSISTENT
        if each_message:
            queues = vhost.route(exchange, keys, moved.properties(), moved)[0]
        if letter.reason != REJECTED:
            queues = without_cycles(queues, headers[X_DEATH])
        enqueue_routed(vhost.store, moved, queues)

    def _address(self, message: Message, exchange: Exchange, key: str, is_own: bool) -> Address:
        """The letter's address; `is_own`: the key is that of the message."""
        if not is_own:
            # The argument may be longer than the short string in which a key is delivered.
            return self._vhost.address(exchange.name, shortened(key, LONGEST_KEY))
        blind_keys = message.address.blind_keys
        return Address(exchange.name, key, blind_keys) if blind_keys else self._vhost.address(exchange.name, key)


def carbon_copy_keys(headers: dict[bytes, bytes]) -> list[str]:
    """The routing keys in the CC header."""
    header = headers.get(b"CC")
    return [] if header is None else selected_keys({"CC": decode_value(header)}, "CC")


def expiration_in(header: bytes) -> bytes | None:
    """The expiration in a content header's payload."""
    at = property_at(header, EXPIRATION)
    return None if at < 0 else header[at + 1 : at + 1 + i64(header[at])]


def delivery_mode_in(header: bytes) -> i64:
    """The delivery mode in a content header's payload, 0 if it has none."""
    at = property_at(header, DELIVERY_MODE)
    return 0 if at < 0 else i64(header[at])


def without_cycles(queues: list[Queue], x_death: bytes) -> list[Queue]:
    """Those of the queues that a message with this x-death may go to without having been there all the way round."""
    if not any(may_have_died_in(x_death, queue.name) for queue in queues):
        return queues
    been_in = died_in_since_rejected(x_death)
    return [queue for queue in queues if queue.name not in been_in]
