"""Consumer timeout: deliveries that stay unacknowledged for too long are taken away from their consumer.

The messages go back to the queue, without counting towards a delivery limit, and the consumer is cancelled. A client
that doesn't know of cancellations by the server has its channel closed, as in RabbitMQ. There is no timeout unless the
consumer, the queue or a policy asks for one; then deliveries are noted in the order in which they fall due, so one
timer for each such consumer is enough.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError
from leveret.broker.queue_settings import NONE
from leveret.broker.timers import Timer

if TYPE_CHECKING:
    from leveret.broker.channel import Channel
    from leveret.broker.consumer import Consumer
    from leveret.broker.queue_settings import QueueSettings

ARGUMENT: Final = "x-consumer-timeout"


class AcknowledgementTimeout:
    """Watches what one consumer has not acknowledged."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer: Final = consumer
        self._delivered: Final[deque[tuple[int, float]]] = deque()  # delivery tags, and when they were delivered
        self._timer: Timer | None = None

    def apply(self, settings: QueueSettings) -> None:
        """Take the consumer's own timeout, or else its queue's. Milliseconds; what is out already is not watched."""
        consumer = self._consumer
        own = consumer.arguments.get(ARGUMENT)
        timeout = own.value if own is not None and isinstance(own.value, int) else int(settings.consumer_timeout)
        consumer.timeout = i64(timeout) if timeout and not consumer.no_ack else NONE

    def note(self, tag: i64) -> None:
        """A message was delivered to the consumer."""
        self._delivered.append((int(tag), self._consumer.queue.vhost.timers.now))
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
    """Watches one message that basic.get fetched: there is no consumer to cancel, so it is the channel that closes."""

    def __init__(self, channel: Channel, tag: int, timeout: i64) -> None:
        self._channel: Final = channel
        self._tag: Final = tag
        self._timeout: Final[i64] = timeout
        channel.connection.broker.timers.after(int(timeout) / 1000, self._ring)

    def _ring(self) -> None:
        if self._tag in self._channel.unacked and not self._channel.closing:
            self._channel.fail(timed_out(self._channel, self._timeout))


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
        channel.fail(timed_out(channel, consumer.timeout))
        return
    queue = consumer.queue
    queue.remove_consumer(consumer)
    channel.take_back_from(consumer)
    channel.consumer_cancelled_by_server(consumer)
    queue.vhost.delete_if_unused(queue)
