"""The queue behind a delayed exchange: messages wait in it until they are due, and are routed then.

A delayed exchange is one of the type x-delayed-message, or any other that its argument x-delayed-exchange or a policy
has delay messages (as in LavinMQ). It gets its delay queue when it delays its first message, and the queue goes with
the exchange. Clients can't reach it: it stands in no list of queues, so the default exchange does not lead to it.

To routing and publishing it is a queue like others, one that a message with x-delay goes to in place of what is bound
to the exchange. So it is confirmed, transactional and on disk like others, and nothing else has to know of delays.

When a message is due, what is bound then counts. Entering the queues and leaving this one are one record of the
message log, as with dead letters, so a crash finds it in one place or the other.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.broker.delay import delay_of, mark_delayed
from leveret.broker.delayed_messages import DelayedMessages
from leveret.broker.due_index import LATEST
from leveret.broker.durability import NOT_STORED
from leveret.broker.publishing import PERSISTENT, enqueue_routed, selected_keys
from leveret.broker.queue import BACKED_UP_DELAY, Queue

if TYPE_CHECKING:
    from leveret.broker.exchange.base import Exchange
    from leveret.broker.message import Message
    from leveret.broker.queue_settings import QueueSettings
    from leveret.broker.vhost import VirtualHost

log: Final = logging.getLogger("leveret.broker")

NAME_PREFIX: Final = "amq.delayed-"
MOVES_AT_ONCE: Final = 250  # messages that a delay queue moves before others have their turn
OCTETS_OF_MOVE: Final = 1024  # of a header, which may name thousands of keys: so many take as long as another message


class DelayQueue(Queue):
    """The messages of one exchange that are not due yet."""

    is_delay_queue = True

    def __init__(self, vhost: VirtualHost, exchange: Exchange, id: int) -> None:
        super().__init__(vhost, NAME_PREFIX + exchange.name, exchange.durable, False, None, {}, id)
        self.exchange: Final = exchange
        self.delayed: Final = DelayedMessages(self)
        self.backing = self.levels[0] = self.delayed
        self.governed = True  # so that each message comes by way of `_enqueue_governed`

    def apply(self, settings: QueueSettings) -> None:
        """No arguments and no policies hold for it."""

    def ready_count(self) -> int:
        return self.delayed.waiting()

    def _enqueue_governed(self, message: Message) -> bool:
        now = self.vhost.timers.time_ms
        delay = delay_of(message.properties())
        self.delayed.delay(message, now + i64(min(delay, int(LATEST))), now)
        self._set_timer()
        return True

    def deliver(self) -> None:
        """Route what is due, as much as one tick may do."""
        self._is_touched = False
        if self.deleted:
            return
        timers = self.vhost.timers
        if self.store.backed_up():
            self.head_timer.set(timers.time_ms + BACKED_UP_DELAY)
            return
        moves = MOVES_AT_ONCE
        while moves > 0:
            message = self.delayed.take_due(timers.time_ms)
            if message is None:
                break
            moves -= 1 + int(message.header_size()) // OCTETS_OF_MOVE
            self._route_grouped(message)
        self._set_timer()

    def _set_timer(self) -> None:
        if self.delayed.unfinished:
            self.head_timer.set(self.vhost.timers.time_ms)
        elif not self.delayed.is_reading():
            self.head_timer.set(self.delayed.next_due())

    def _route_grouped(self, message: Message) -> None:
        grouped = message.place != NOT_STORED
        if grouped:
            self.store.begin_group()
        try:
            self._route(message)
        except Exception:
            log.exception("internal error: a delayed message of exchange '%s' is lost", self.exchange.name)
        finally:
            self.delayed.forget(message)
            if grouped:
                self.store.end_group(None)

    def _route(self, message: Message) -> None:
        vhost = self.vhost
        properties = message.properties()
        mark_delayed(properties, delay_of(properties))
        address = message.address
        keys = [address.routing_key, *selected_keys(properties.headers or {}, "CC"), *address.blind_keys]
        due = message.with_properties(properties, address, vhost.timers.time_ms, message.expiration)
        # What a transient queue has on disk is transient there, whatever the publisher wanted.
        due.persistent = message.persistent or properties.delivery_mode == PERSISTENT
        enqueue_routed(vhost.store, due, vhost.route(self.exchange, keys, properties, due)[0])
