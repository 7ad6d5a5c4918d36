"""Consumer timeout: deliveries that stay unacknowledged for too long are taken away from their consumer.

The messages go back to the queue, without counting towards a delivery limit, and the consumer is cancelled. A client
that doesn't know of cancellations by the server has its channel closed, as in RabbitMQ. There is no timeout unless the
consumer, the queue, a policy or the node's configuration asks for one; then deliveries are noted in the order in which
they fall due, so one timer for each such consumer is enough. A settled delivery stays noted until most of what is noted
is settled.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError
from leveret.broker.queue_settings import NONE
from leveret.broker.timers import Timer

if TYPE_CHECKING:
    from leveret.broker.channel import Channel
    from leveret.broker.consumer import Consumer
    from leveret.broker.limits import NodeLimits
    from leveret.broker.queue_settings import QueueSettings

ARGUMENT: Final = "x-consumer-timeout"
FEW: Final = 64  # settled deliveries that may stay noted


class AcknowledgementTimeout:
    """Watches what one consumer has not acknowledged."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer: Final = consumer
        self._delivered: Final[deque[tuple[int, float]]] = deque()  # delivery tags, and when they were delivered
        self._timer: Timer | None = None

    def apply(self, settings: QueueSettings) -> None:
        """Take the consumer's own timeout, else its queue's, else the node's. What is out already is not watched."""
        consumer = self._consumer
        own = consumer.arguments.get(ARGUMENT)
        limits = consumer.channel.connection.broker.limits
        timeout = own.value if own is not None and isinstance(own.value, int) else int(timeout_of(settings, limits))
        consumer.timeout = i64(timeout) if timeout and not consumer.no_ack else NONE
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if consumer.timeout == NONE:
            self._delivered.clear()
        elif self._delivered:
            self._arm()

    def note(self, tag: i64) -> None:
        """A message was delivered to the consumer."""
        delivered = self._delivered
        if len(delivered) > 2 * self._consumer.unacked + FEW:
            unacked = self._consumer.channel.unacked
            kept = [entry for entry in delivered if entry[0] in unacked]
            delivered.clear()
            delivered.extend(kept)
        delivered.append((int(tag), self._consumer.queue.vhost.timers.now))
        if self._timer is None:
            self._arm()

    def cancel(self) -> None:
        """The consumer is cancelled: what it holds stays with its channel."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._delivered.clear()

    def _arm(self) -> None:
        timers = self._consumer.queue.vhost.timers
        due = self._delivered[0][1] + int(self._consumer.timeout) / 1000
        self._timer = timers.after(max(0.0, due - timers.now), self._ring)

    def _ring(self) -> None:
        """The oldest delivery that was unacknowledged when the timer was set is due, or was settled meanwhile."""
        self._timer = None
        consumer = self._consumer
        if consumer.timeout == NONE:
            self._delivered.clear()
            return
        delivered = self._delivered
        while delivered and delivered[0][0] not in consumer.channel.unacked:
            delivered.popleft()
        if not delivered:
            return
        if delivered[0][1] + int(consumer.timeout) / 1000 <= consumer.queue.vhost.timers.now:
            time_out(consumer)
        else:
            self._arm()


class GotTimeout:
    """Watches what basic.get fetched on one channel: there is no consumer to cancel, so it is the channel that closes.

    Each queue may have another timeout, so what is due first is the top of a heap.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel: Final = channel
        self._fetched: list[tuple[float, int, int]] = []  # when it is due, delivery tag, timeout
        self._timer: Timer | None = None

    def note(self, tag: int, timeout: i64) -> None:
        """A message was fetched."""
        unacked = self._channel.unacked
        if len(self._fetched) > 2 * len(unacked) + FEW:
            self._fetched = [entry for entry in self._fetched if entry[1] in unacked]
            heapq.heapify(self._fetched)
        due = self._channel.connection.broker.timers.now + int(timeout) / 1000
        heapq.heappush(self._fetched, (due, tag, int(timeout)))
        if self._timer is None or due < self._timer.due:
            self._arm()

    def cancel(self) -> None:
        """The channel has let go of everything."""
        self._fetched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        timers = self._channel.connection.broker.timers
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timers.after(max(0.0, self._fetched[0][0] - timers.now), self._ring)

    def _ring(self) -> None:
        self._timer = None
        fetched = self._fetched
        while fetched and fetched[0][1] not in self._channel.unacked:
            heapq.heappop(fetched)
        if not fetched:
            return
        due, _, timeout = fetched[0]
        if due <= self._channel.connection.broker.timers.now:
            self._channel.fail(timed_out(self._channel, i64(timeout)))
        else:
            self._arm()


def timeout_of(settings: QueueSettings, limits: NodeLimits) -> i64:
    """The timeout of a queue in milliseconds, by its own settings or else by the node's; NONE or 0 if there is none."""
    if settings.consumer_timeout == NONE and limits.consumer_timeout:
        return i64(limits.consumer_timeout)
    return settings.consumer_timeout


def timed_out(channel: Channel, timeout: i64) -> SoftError:
    """RabbitMQ's error for a delivery that was not acknowledged in time."""
    return SoftError(
        PRECONDITION_FAILED,
        f"delivery acknowledgement on channel {int(channel.number)} timed out. "
        f"Timeout value used: {int(timeout)} ms. "
        "This timeout value can be configured, see consumers doc guide to learn more",
    )


def time_out(consumer: Consumer) -> None:
    """Take a consumer's messages away from it, and cancel it."""
    channel = consumer.channel
    if not channel.connection.understands("consumer_cancel_notify"):
        channel.take_back_from(consumer)
        channel.fail(timed_out(channel, consumer.timeout))
        return
    queue = consumer.queue
    queue.remove_consumer(consumer)
    channel.take_back_from(consumer)
    channel.consumer_cancelled_by_server(consumer)
    queue.vhost.delete_if_unused(queue)
