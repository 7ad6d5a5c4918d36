"""Dead-lettering: what a queue drops goes to its dead letter exchange, with a record of what happened to it.

The record is the header x-death: an entry for each queue and reason, the newest first, that counts repetitions. It is
all the state there is, so a client that publishes a message again with its headers carries it on (RabbitMQ up to 3.13;
many retry recipes need it). A message that would come back to a queue it has died in already is dropped, unless it was
rejected somewhere on the way round: that is how RabbitMQ ends cycles nobody would stop.

Leaving one queue and entering the others is one record of the message log, so a crash finds it in one place or the
other. A letter may be refused by a full queue that dead-letters in turn; such follow-ups wait in a list instead of the
stack, and belong to the same record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leveret.amqp.field_table import FieldValue, Table
from leveret.broker.durability import NOT_STORED
from leveret.broker.message import NEVER
from leveret.broker.publishing import enqueue_routed, selected_keys

if TYPE_CHECKING:
    from leveret.amqp.properties import BasicProperties
    from leveret.broker.message import Message
    from leveret.broker.queue import Queue
    from leveret.broker.vhost import VirtualHost

REJECTED: Final = "rejected"
MAXLEN: Final = "maxlen"
X_DEATH: Final = "x-death"


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
        self._waiting: Final[list[DeadLetter]] = []
        self._moving = False

    def move(self, queue: Queue, message: Message, reason: str, held: bool) -> None:
        """Send a dead letter on its way. If its exchange is missing or leads nowhere it is dropped, as in RabbitMQ.

        `held`: the queue still has the message, and is done with it when it has been moved.
        """
        self._waiting.append(DeadLetter(queue, message, reason, held))
        if self._moving:
            return
        self._moving = True
        store = self._vhost.store
        grouped = held and message.place != NOT_STORED
        if grouped:
            store.begin_group()
        try:
            while self._waiting:
                self._move(self._waiting.pop())
        finally:
            self._moving = False
            if grouped:
                store.end_group(None)

    def _move(self, letter: DeadLetter) -> None:
        settings = letter.queue.settings
        exchange = self._vhost.exchanges.get(settings.dead_letter_exchange or "")
        if exchange is not None:
            message = letter.message
            properties = message.properties()
            deaths = record_death(properties, letter.queue, message, letter.reason, int(self._vhost.timers.time_ms))
            keys = [message.address.routing_key, *selected_keys(properties.headers or {}, "CC")]
            keys += message.address.blind_keys
            if settings.dead_letter_routing_key is not None:
                keys = [settings.dead_letter_routing_key]
                if properties.headers is not None:
                    properties.headers.pop("CC", None)
            address = self._vhost.address(exchange.name, keys[0])
            moved = message.with_properties(properties, address, self._vhost.timers.time_ms, NEVER)
            queues = self._vhost.route(exchange, keys, properties, moved)[0]
            if letter.reason != REJECTED:
                queues = [queue for queue in queues if not is_cycle(queue.name, deaths)]
            enqueue_routed(self._vhost.store, moved, queues)
        if letter.held:
            letter.queue.backing.forget(letter.message)


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


def is_cycle(queue_name: str, deaths: list[FieldValue]) -> bool:
    """Whether a message with these deaths has died in the queue before and was not rejected anywhere since."""
    for death in deaths:
        if value_of(death, "reason") == REJECTED:
            return False
        if value_of(death, "queue") == queue_name:
            return True
    return False


def tells_of(death: FieldValue, queue_name: str, reason: str) -> bool:
    """Whether an entry of x-death is about this queue and reason."""
    return value_of(death, "queue") == queue_name and value_of(death, "reason") == reason


def value_of(death: FieldValue, key: str) -> str | None:
    """A long string in an entry of x-death, which clients may have filled with anything; None if it isn't one."""
    if not isinstance(death.value, dict):
        return None
    field = death.value.get(key)
    return str(field.value) if field is not None and field.kind == "S" else None
