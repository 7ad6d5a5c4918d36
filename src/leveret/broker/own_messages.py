"""Messages that the broker itself publishes to an exchange: events, and the copies of traced messages.

What brings them about is in the midst of work on queues, which they must not disturb. So they wait, in order, and are
routed at the beginning of the next tick, which is due at once. As long as nothing is bound to the exchange nobody asks
for such messages, and none are made: `wanted` is all that they cost.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from leveret.amqp.frame import FRAME_OVERHEAD, content_frames
from leveret.amqp.properties import BasicProperties, encode_content_header, scan_properties
from leveret.amqp.reply_codes import HardError
from leveret.amqp.text import shortened
from leveret.broker.message import NEVER, Message
from leveret.broker.publishing import PERSISTENT, enqueue_routed

if TYPE_CHECKING:
    from leveret.broker.exchange.base import Exchange
    from leveret.broker.vhost import VirtualHost

log: Final = logging.getLogger("leveret.broker")

FRAME_MAX: Final = 131072
LONGEST_KEY: Final = 255  # octets
CHANNEL: Final = 1  # as most clients number the channel they consume on, so that the frames can go out as they are


class OwnMessages:
    """What the broker publishes to one exchange."""

    def __init__(self, vhost: VirtualHost, exchange: Exchange) -> None:
        self._vhost: Final = vhost
        self._exchange: Final = exchange
        self._waiting: list[Message] = []

    def wanted(self) -> bool:
        """Whether a message could reach anybody."""
        exchange = self._exchange
        return (bool(exchange.bindings) or exchange.alternate is not None) and not exchange.deleted

    def publish(self, routing_key: str, properties: BasicProperties, body: bytes) -> None:
        """Publish a message in the next tick. What doesn't fit of the key into 255 octets is cut off."""
        timers = self._vhost.timers
        header = encode_content_header(len(body), properties)
        try:
            scan_properties(header)
        except HardError:  # those of a traced message may be as deep as can be, and stand in others here
            log.warning("a message to '%s' is left out: its headers are nested too deeply", self._exchange.name)
            return
        address = self._vhost.address(self._exchange.name, shortened(routing_key, LONGEST_KEY))
        message = Message(
            address,
            content_frames(CHANNEL, header, body, FRAME_MAX),
            max(FRAME_MAX, len(header) + FRAME_OVERHEAD),  # a header can't be divided
            properties.delivery_mode == PERSISTENT,
            timers.time_ms,
            NEVER,
        )
        self._waiting.append(message)
        if len(self._waiting) == 1:
            timers.after(0.0, self._route)

    def _route(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not self.wanted():
            return
        vhost = self._vhost
        for message in waiting:
            key = message.address.routing_key
            queues = vhost.route(self._exchange, [key], message.properties(), message)[0]
            enqueue_routed(vhost.store, message, queues)
