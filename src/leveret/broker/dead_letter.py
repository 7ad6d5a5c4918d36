"""Dead-lettering: what a queue drops goes to its dead letter exchange, with a record of what happened to it.

The record is the header x-death: an entry for each queue and reason, the newest first, that counts repetitions. It is
all the state there is, so a client that publishes a message again with its headers carries it on (RabbitMQ up to 3.13;
many retry recipes need it). A message that would come back to a queue it has died in already is dropped, unless it was
rejected somewhere on the way round: that is how RabbitMQ ends cycles nobody would stop.

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

from leveret.amqp.field_table import FieldValue, Table
from leveret.amqp.text import shortened
from leveret.broker.death_reasons import REJECTED
from leveret.broker.durability import NOT_STORED
from leveret.broker.message import NEVER, Address
from leveret.broker.publishing import PERSISTENT, enqueue_routed, selected_keys

if TYPE_CHECKING:
    from leveret.amqp.properties import BasicProperties
    from leveret.broker.exchange.base import Exchange
    from leveret.broker.message import Message
    from leveret.broker.queue import Queue
    from leveret.broker.timers import Timer
    from leveret.broker.vhost import VirtualHost

log: Final = logging.getLogger("leveret.broker")

X_DEATH: Final = "x-death"
LONGEST_KEY: Final = 255  # octets
HIGHEST_COUNT: Final = 2**63 - 1
WORK_AT_ONCE: Final = 10_000  # in a tick; a letter is one, and what it takes to decode its headers
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
        self._work_left -= 1 + len(letter.message.header_payload()) // OCTETS_OF_WORK
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
        properties = message.properties()
        deaths = record_death(properties, letter.queue, message, letter.reason, int(vhost.timers.time_ms))
        blind_keys = message.address.blind_keys
        keys = [message.address.routing_key, *selected_keys(properties.headers or {}, "CC"), *blind_keys]
        if routing_key is None and blind_keys:
            address = Address(exchange.name, keys[0], blind_keys)
        elif routing_key is None:
            address = vhost.address(exchange.name, keys[0])
        else:
            keys = [routing_key]
            # The argument may be longer than the short string in which a key is delivered.
            address = vhost.address(exchange.name, shortened(routing_key, LONGEST_KEY))
            if properties.headers is not None:
                properties.headers.pop("CC", None)
        moved = message.with_properties(properties, address, vhost.timers.time_ms, NEVER)
        # What a transient queue has on disk is transient there, whatever the publisher wanted.
        moved.persistent = message.persistent or properties.delivery_mode == PERSISTENT
        queues = vhost.route(exchange, keys, properties, moved)[0]
        if letter.reason != REJECTED:
            been_in = died_in_since_rejected(deaths)
            queues = [queue for queue in queues if queue.name not in been_in]
        enqueue_routed(vhost.store, moved, queues)


def record_death(
    properties: BasicProperties, queue: Queue, message: Message, reason: str, time_ms: int
) -> list[FieldValue]:
    """Note a death in a message's properties, and take its expiration away; gives x-death, newest first."""
    headers = dict(properties.headers or {})
    found = headers.get(X_DEATH)
    known: list[FieldValue] = found.value if found is not None and isinstance(found.value, list) else []
    entry: Table | None = None
    others: list[FieldValue] = []
    for death in known:
        if entry is None and tells_of(death, queue.name, reason):
            assert isinstance(death.value, dict)
            count = death.value.get("count")
            repeated = count.value + 1 if count is not None and isinstance(count.value, int) else 1
            if not 0 < repeated <= HIGHEST_COUNT:
                repeated = 1 if repeated <= 0 else HIGHEST_COUNT
            entry = {**death.value, "count": FieldValue("l", repeated)}
        else:
            others.append(death)
    if entry is None:
        entry = new_entry(properties, queue, message, reason, time_ms // 1000)
    deaths = [FieldValue("F", entry), *others]
    headers[X_DEATH] = FieldValue("A", deaths)
    last = {"reason": reason, "queue": queue.name, "exchange": message.address.exchange}
    for name, value in last.items():
        if not known:
            headers[f"x-first-death-{name}"] = FieldValue("S", value)
        headers[f"x-last-death-{name}"] = FieldValue("S", value)
    properties.headers = dict(sorted(headers.items()))  # as RabbitMQ has them
    properties.expiration = None
    return deaths


def new_entry(properties: BasicProperties, queue: Queue, message: Message, reason: str, seconds: int) -> Table:
    """The entry of a first death: its keys, their types and their order are RabbitMQ 4's."""
    keys = [message.address.routing_key, *selected_keys(properties.headers or {}, "CC")]
    entry: Table = {}
    if properties.expiration is not None:
        entry["original-expiration"] = FieldValue("S", properties.expiration)
    entry["count"] = FieldValue("l", 1)
    entry["reason"] = FieldValue("S", reason)
    entry["queue"] = FieldValue("S", queue.name)
    entry["time"] = FieldValue("T", seconds)
    entry["exchange"] = FieldValue("S", message.address.exchange)
    entry["routing-keys"] = FieldValue("A", [FieldValue("S", key) for key in keys])
    return entry


def died_in_since_rejected(deaths: list[FieldValue]) -> set[str]:
    """The queues that a message has died in and was not rejected anywhere since: going there again were a cycle."""
    found: set[str] = set()
    for death in deaths:
        if value_of(death, "reason") == REJECTED:
            break
        name = value_of(death, "queue")
        if name is not None:
            found.add(name)
    return found


def tells_of(death: FieldValue, queue_name: str, reason: str) -> bool:
    """Whether an entry of x-death is about this queue and reason."""
    return value_of(death, "queue") == queue_name and value_of(death, "reason") == reason


def value_of(death: FieldValue, key: str) -> str | None:
    """A long string in an entry of x-death, which clients may have filled with anything; None if it isn't one."""
    if not isinstance(death.value, dict):
        return None
    field = death.value.get(key)
    return str(field.value) if field is not None and field.kind == "S" else None
