"""A channel: the content being assembled, the deliveries not settled yet, confirms, and the consumers.

Settling finds deliveries by their tag in `unacked`. `oldest` is a tag below which none is unacked: acknowledging
many walks from there, and since it only rises every tag is walked over once, whatever the client acknowledges in
which order.

Once a channel has let go of everything it is `closing`: it confirms nothing any more, and after an error ignores what
comes until close-ok.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, Final

from librt.strings import read_i64_be, write_i64_be
from mypy_extensions import i64

from leveret.amqp.frame import FRAME_OVERHEAD, content_frames, method_frame, split_content
from leveret.amqp.methods import BasicCancel, BasicNack, ChannelClose, Method
from leveret.amqp.reply_codes import PRECONDITION_FAILED, UNEXPECTED_FRAME, AMQPError, HardError, SoftError
from leveret.broker import connection_log
from leveret.broker.consumer import Consumer, Delivery
from leveret.broker.consumer_timeout import GotTimeout
from leveret.broker.message import BODY_SIZE_AT, Message
from leveret.broker.permissions import QUEUE, READ, may_access
from leveret.broker.publishing import publish
from leveret.broker.queue import Queue
from leveret.broker.routing import Route, current_route
from leveret.broker.settlement import ACKED, REQUEUED, settle
from leveret.broker.traffic import Traffic
from leveret.broker.transaction import Transaction

if TYPE_CHECKING:
    from leveret.broker.connection import Connection

TIMED_OUT_KEPT: Final = 100_000  # tags of which a client may still be told nothing when it acknowledges them


class Channel:
    """One open channel of a connection."""

    def __init__(self, connection: Connection, number: i64) -> None:
        self.connection: Final = connection
        self.number: Final[i64] = number
        self.number_octets: Final = struct.pack(">H", int(number))
        self.closing = False
        self.last_queue = ""  # what an empty queue name means
        # content being assembled
        self.route: Route | None = None
        self.content: BytesIO | None = None  # its frames so far; grows in place, so that a large body is in memory once
        self.body_left: i64 = 0
        self.oversized = False  # a frame of the content is larger than agreed on
        # deliveries
        self.delivery_tag: i64 = 0
        self.unacked: Final[dict[int, Delivery]] = {}
        self.oldest: i64 = 1
        self.timed_out: Final[set[int]] = set()  # tags of deliveries that were taken back, the latest of them
        self._got_timeout: GotTimeout | None = None
        self.consumers_unacked: i64 = 0  # those that the channel's prefetch counts: without basic.get's
        self.prefetch: i64 = 0  # of the whole channel (basic.qos global)
        self.consumer_prefetch = 0  # of consumers to come
        self.prefetch_changed = False  # since the last basic.consume, so that it holds for the running ones for now
        self.flow_active = True
        self.consumers: Final[dict[str, Consumer]] = {}
        self.parked: dict[Consumer, None] = {}
        self.reply_queue: Queue | None = None
        # confirms and transactions
        self.confirming = False
        self.publish_tag: i64 = 0
        self.confirmed_tag: i64 = 0
        self.unsynced_tag: i64 = 0  # the last publish that the store has to keep
        self.loose_tags: Final[list[int]] = []  # to be confirmed alone at the end of the tick
        self.confirmed_alone: Final[set[int]] = set()  # above confirmed_tag
        self._owes_confirms = False
        self.transaction: Transaction | None = None
        # statistics
        self.traffic: Final = Traffic()
        self.message_sizes: Final = connection.broker.message_sizes
        self._poured: Final = Traffic()

    def gather_traffic(self) -> None:
        """Add to the virtual host's counters what came up here since the last time."""
        self.traffic.pour_into(self.connection.vhost_opened().traffic, self._poured)

    def send(self, method: Method) -> None:
        """Write a method to the connection's output."""
        self.connection.writer.write(method_frame(int(self.number), method.encode()))
        self.connection.wake()

    # content

    def begin_content(self, route: Route) -> None:
        """A basic.publish came; header and body follow."""
        self.route = route

    def content_header(self, frame: bytes, class_id: i64, weight: i64) -> None:
        """The content header frame that follows a publish; HardError if none is due or it is not basic's."""
        if self.route is None or self.content is not None:
            raise HardError(
                UNEXPECTED_FRAME,
                f"expected {'method' if self.route is None else 'content body'}, got content header instead",
            )
        if class_id != 60 or weight != 0:
            raise HardError(
                UNEXPECTED_FRAME, f"expected content header for class 60, got one for class {class_id} instead"
            )
        size = read_i64_be(frame, BODY_SIZE_AT)
        max_message_size = self.connection.broker.limits.max_message_size
        if size < 0 or size > max_message_size:
            self.route = None
            raise SoftError(
                PRECONDITION_FAILED,
                f"message size {int(size) & 0xFFFFFFFFFFFFFFFF} is larger than configured max size {max_message_size}",
                60,
                40,
            )
        self.content = BytesIO()
        self.content.write(frame)
        self.oversized = False
        self.body_left = size
        if size == 0:
            self._content_complete()

    def content_body(self, frame: bytes) -> None:
        """A body frame; HardError if none is due or it holds more than the header announced."""
        content = self.content
        if content is None:
            expected = "method" if self.route is None else "content header"
            raise HardError(UNEXPECTED_FRAME, f"expected {expected}, got content body instead")
        if len(frame) == FRAME_OVERHEAD:
            if self.body_left == 0:
                raise HardError(UNEXPECTED_FRAME, "expected method, got content body instead")
            return  # says nothing, and is not passed on
        self.body_left -= len(frame) - FRAME_OVERHEAD
        if self.body_left < 0:
            raise HardError(UNEXPECTED_FRAME, "content body is larger than the content header announced")
        self.oversized = self.oversized or len(frame) > self.connection.frame_max
        content.write(frame)
        if self.body_left == 0:
            self._content_complete()

    def _content_complete(self) -> None:
        assert self.route is not None and self.content is not None
        route = current_route(self.connection, self.route)
        content = self.content.getvalue()
        self.content = None
        if self.oversized:  # RabbitMQ forgives payloads of up to frame_max, but sends none
            header, body = split_content(content)
            content = content_frames(int(self.number), header, body, int(self.connection.frame_max))
        self.route = None
        publish(self, route, content)

    # confirms

    def count_publish(self, stored: bool) -> None:
        """A message was taken in on a confirming channel.

        If the store has to keep it, it is confirmed when it is on disk, else at the end of the tick: alone, where
        others before it are still on their way to the disk.
        """
        self.publish_tag += 1
        if stored:
            self.unsynced_tag = self.publish_tag
            self.connection.broker.store.await_sync(self)
        elif self.unsynced_tag > self.confirmed_tag:
            self.loose_tags.append(int(self.publish_tag))
        if not self._owes_confirms:
            self._owes_confirms = True
            self.connection.broker.confirming.append(self)

    def refuse_publish(self) -> None:
        """A queue refused the message that was counted last: basic.nack instead of basic.ack, and at once."""
        tag = self.publish_tag
        if self.loose_tags and self.loose_tags[-1] == int(tag):
            self.loose_tags.pop()
        self.confirmed_alone.add(int(tag))
        self.send(BasicNack(int(tag), False, False))

    def flush_confirms(self) -> None:
        """Confirm at the end of the tick what needs no disk."""
        self._owes_confirms = False
        if self.unsynced_tag <= self.confirmed_tag:
            self.confirm_through(self.publish_tag)
        elif not self.closing:
            for tag in self.loose_tags:
                self._send_ack(tag, False)
            self.traffic.confirm += len(self.loose_tags)
            self.confirmed_alone.update(self.loose_tags)
        self.loose_tags.clear()

    def confirm_through(self, tag: i64) -> None:
        """Confirm every publish up to a tag that was not confirmed alone: in one basic.ack, if none was."""
        count = tag - self.confirmed_tag
        if count <= 0 or self.closing:
            return
        first = self.confirmed_tag + 1
        self.confirmed_tag = tag
        if not self.confirmed_alone:
            self.traffic.confirm += count
            self._send_ack(tag, count > 1)
            return
        while first <= tag:
            if int(first) in self.confirmed_alone:
                self.confirmed_alone.remove(int(first))
            else:
                self.traffic.confirm += 1
                self._send_ack(first, False)
            first += 1

    def _send_ack(self, tag: i64, multiple: bool) -> None:
        writer = self.connection.writer
        writer.write(b"\x01" + self.number_octets + b"\x00\x00\x00\x0d\x00\x3c\x00\x50")
        write_i64_be(writer, tag)
        writer.write(b"\x01\xce" if multiple else b"\x00\xce")
        self.connection.wake()

    # settling

    def ack(self, tag: i64, multiple: bool) -> None:
        """Settle one delivery, or all up to a tag (0: all there are). SoftError 406 for a tag that isn't unacked."""
        if self.transaction is not None:
            for settled_tag, delivery in self.take_unacked(tag, multiple):
                self.traffic.ack += 1
                self.transaction.settle(settled_tag, delivery, ACKED)
            return
        unacked = self.unacked
        if multiple:
            self._check_unacked(tag)
            last = tag if tag else self.delivery_tag
            at = self.oldest
            while at <= last:
                delivery_or_none = unacked.get(int(at))
                if delivery_or_none is not None:
                    del unacked[int(at)]
                    self.traffic.ack += 1
                    delivery_or_none.queue.settle(delivery_or_none)
                at += 1
            self.oldest = at
        else:
            delivery_or_none = unacked.get(int(tag))
            if delivery_or_none is None:
                self._check_timed_out(tag)
                return
            del unacked[int(tag)]
            self.traffic.ack += 1
            delivery_or_none.queue.settle(delivery_or_none)
        if self.parked:
            self.unpark()

    def take_unacked(self, tag: i64, multiple: bool) -> list[tuple[int, Delivery]]:
        """Remove and give what an ack, nack or reject is about, in order of tags, without settling it."""
        taken: list[tuple[int, Delivery]] = []
        if not multiple:
            delivery = self.unacked.pop(int(tag), None)
            if delivery is None:
                self._check_timed_out(tag)
                return taken
            taken.append((int(tag), delivery))
            return taken
        self._check_unacked(tag)
        last = tag if tag else self.delivery_tag
        at = self.oldest
        while at <= last:
            delivery = self.unacked.pop(int(at), None)
            if delivery is not None:
                taken.append((int(at), delivery))
            at += 1
        self.oldest = at
        return taken

    def _check_unacked(self, tag: i64) -> None:
        if tag and int(tag) not in self.unacked:
            self._check_timed_out(tag)

    def _check_timed_out(self, tag: i64) -> None:
        """SoftError 406 for a tag that isn't unacked, unless that is because its consumer took too long."""
        if int(tag) not in self.timed_out:
            raise unknown_tag(tag)
        self.timed_out.remove(int(tag))

    def reject(self, tag: i64, multiple: bool, outcome: int) -> None:
        """basic.nack and basic.reject: put back, or drop (dead-letter), deliveries."""
        taken = self.take_unacked(tag, multiple)
        if self.transaction is not None:
            for settled_tag, delivery in taken:
                self.transaction.settle(settled_tag, delivery, outcome)
            return
        if outcome == REQUEUED and multiple:
            taken.sort(key=place)
        for _, delivery in taken:
            settle(delivery, outcome)
        self.unpark()

    def requeue_unacked(self, counted: bool) -> None:
        """Put all unacked deliveries back: for basic.recover, and, counted towards a delivery limit, for the end."""
        deliveries = list(self.unacked.items())
        self.unacked.clear()
        self.oldest = self.delivery_tag + 1
        deliveries.sort(key=place)
        for _, delivery in deliveries:
            delivery.queue.requeue(delivery, counted)
        self.unpark()

    def take_back_from(self, consumer: Consumer) -> None:
        """The consumer took too long: put back what it was given. Acknowledging it later is not an error."""
        for tag in [tag for tag, delivery in self.unacked.items() if delivery.consumer is consumer]:
            delivery = self.unacked.pop(tag)
            delivery.queue.requeue(delivery, False)
            self.timed_out.add(tag)
        if len(self.timed_out) > TIMED_OUT_KEPT:
            self.timed_out.difference_update(sorted(self.timed_out)[: -TIMED_OUT_KEPT // 2])
        self.unpark()

    def unpark(self) -> None:
        """There may be room again: give the parked consumers their turns back."""
        parked = self.parked
        if parked:
            self.parked = {}
            for consumer in parked:
                consumer.queue.unpark(consumer)

    def deliver_got(self, message: Message, queue: Queue, position: i64, no_ack: bool) -> int:
        """Count a message fetched by basic.get and give its delivery tag."""
        self.delivery_tag += 1
        tag = int(self.delivery_tag)
        if not no_ack:
            self.unacked[tag] = Delivery(message, queue, position, None, self.connection.broker.timers.now)
        return tag

    def watch_got(self, tag: int, timeout: i64) -> None:
        """A message fetched by basic.get has to be settled within so many milliseconds."""
        if self._got_timeout is None:
            self._got_timeout = GotTimeout(self)
        self._got_timeout.note(tag, timeout)

    # the end of consumers and of the channel

    def consumer_cancelled_by_server(self, consumer: Consumer) -> None:
        """The consumer's queue is gone; a client that knows the notification is told (consumer_cancel_notify)."""
        self.consumers.pop(consumer.tag, None)
        self.tell_cancelled(consumer)

    def tell_cancelled(self, consumer: Consumer) -> None:
        """Tell of a consumer that the server cancelled, if the client knows that notification."""
        if self.connection.understands("consumer_cancel_notify"):
            self.send(BasicCancel(consumer.tag, True))

    def cancel_forbidden(self) -> None:
        """Cancel the consumers of queues that the user may not read from any more, and tell the client."""
        for consumer in list(self.consumers.values()):
            if consumer.queue is not self.reply_queue and not may_access(
                self.connection, READ, QUEUE, consumer.queue.name
            ):
                self.cancel(consumer.tag)
                self.tell_cancelled(consumer)

    def cancel(self, tag: str) -> None:
        """End a subscription; the queue goes too if it is auto-delete and this was its last. Unknown tags are fine."""
        consumer = self.consumers.pop(tag, None)
        if consumer is None:
            return
        queue = consumer.queue
        queue.remove_consumer(consumer)
        vhost = self.connection.vhost_opened()
        if queue is self.reply_queue:
            vhost.remove_reply_queue(queue)
            self.reply_queue = None
        else:
            vhost.delete_if_unused(queue)

    def fail(self, error: AMQPError) -> None:
        """Close the channel for an error: channel.close goes out, and all that it held is released."""
        connection_log.channel_failed(self.connection, int(self.number), error)
        self.flush_confirms()
        self.send(ChannelClose(error.code, error.text, error.class_id, error.method_id))
        self.release()

    def release(self) -> None:
        """Let go of consumers, unacked deliveries, an open transaction and half a message."""
        self.closing = True
        self.gather_traffic()
        self.connection.broker.churn.awaited_confirms += self.publish_tag
        self.route = None
        self.content = None
        for tag in list(self.consumers):
            self.cancel(tag)
        if self.transaction is not None:
            self.restore_settlements()
            self.transaction.abandon()
            self.transaction = None
        self.requeue_unacked(True)
        if self._got_timeout is not None:
            self._got_timeout.cancel()
        self.connection.broker.events.channel_closed(self)

    def restore_settlements(self) -> None:
        """Undo the acknowledgements of a transaction: the deliveries are unacked again."""
        assert self.transaction is not None
        restored = {settlement.tag: settlement.delivery for settlement in self.transaction.settlements}
        restored.update(self.unacked)
        self.unacked.clear()
        for tag in sorted(restored):
            self.unacked[tag] = restored[tag]
        self.oldest = min(self.unacked) if self.unacked else self.delivery_tag + 1


def place(tagged: tuple[int, Delivery]) -> int:
    """Where a delivery stood in its queue. What comes back in this order meets expiry and length limits oldest first,
    as if all were back at once.
    """
    return int(tagged[1].position)


def unknown_tag(tag: i64) -> SoftError:
    """The error for settling what isn't unacked."""
    return SoftError(PRECONDITION_FAILED, f"unknown delivery tag {int(tag) & 0xFFFFFFFFFFFFFFFF}")
