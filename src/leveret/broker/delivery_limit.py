"""How often a message has come back to its queue, and what follows from it: x-delivery-count and x-delivery-limit.

Counted are the returns that speak of a message its consumer can't deal with: basic.reject, and the end of a channel or
connection. With basic.nack and basic.recover a client asks for another delivery, which is not counted (RabbitMQ 4.3).
Counts are kept for as long as the broker runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.amqp.field_table import FieldValue
from leveret.broker.queue_settings import NONE

if TYPE_CHECKING:
    from leveret.broker.message import Message
    from leveret.broker.queue_settings import QueueSettings

HEADER: Final = "x-delivery-count"


class DeliveryCounts:
    """The counts of one queue, by position."""

    def __init__(self, settings: QueueSettings) -> None:
        self._counts: Final[dict[int, int]] = {}
        self._returns: Final[dict[int, int]] = {}  # of any kind, where a delayed retry asks for it
        self.settings = settings

    def returned(self, position: i64) -> bool:
        """A message came back, counted; whether that was once too often."""
        count = self._counts.get(int(position), 0) + 1
        self._counts[int(position)] = count
        return self.settings.delivery_limit != NONE and count > self.settings.delivery_limit

    def count(self, position: i64) -> i64:
        """How often the message came back."""
        return i64(self._counts.get(int(position), 0))

    def came_back(self, position: i64) -> i64:
        """A message came back, counted or not; gives how often that was so."""
        number = self._returns.get(int(position), 0) + 1
        self._returns[int(position)] = number
        return i64(number)

    def forget(self, position: i64) -> None:
        """A message left the queue."""
        self._counts.pop(int(position), None)
        if self._returns:
            self._returns.pop(int(position), None)

    def shown(self, message: Message, position: i64) -> Message:
        """The message as it is delivered again: its header says how often it came back."""
        count = self._counts.get(int(position))
        if count is None:
            return message
        properties = message.properties()
        headers = dict(properties.headers or {})
        headers[HEADER] = FieldValue("l", count)
        properties.headers = headers
        return message.with_properties(properties, message.address, message.time, message.expiration)
