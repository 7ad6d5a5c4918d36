"""A connection: bytes in by `feed`, frames to its channels, bytes out through its output.

`feed` is where the time goes. It splits frames in place, and a publish whose payload it has seen before goes from
bytes to queue without a method being decoded: the cached route is looked up by the payload, and if header and body
lie whole behind it, they are cut out in one piece. All frames but publishes and acks are handled by
`connection_frames`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from librt.strings import read_i16_be, read_i32_be, read_i64_be
from mypy_extensions import i64

from leveret.amqp.field_table import Table
from leveret.amqp.frame import (
    HEARTBEAT_FRAME,
    PROTOCOL_HEADER,
    invalid_frame_end,
)
from leveret.amqp.methods import BasicPublish, ConnectionClose, decode_method
from leveret.amqp.reply_codes import (
    CONNECTION_FORCED,
    FRAME_ERROR,
    INTERNAL_ERROR,
    AMQPError,
    HardError,
    SoftError,
    with_method,
)
from leveret.broker import alarms, connection_log, connection_methods
from leveret.broker.channel import Channel
from leveret.broker.connection_frames import frame_too_large, handle_frame
from leveret.broker.connection_state import (
    CLOSED,
    CLOSING,
    EXPECT_HEADER,
    EXPECT_OPEN,
    EXPECT_START_OK,
    EXPECT_TUNE_OK,
    RUNNING,
    STATE_NAMES,
)
from leveret.broker.limits import Usage
from leveret.broker.message import BODY_SIZE_AT
from leveret.broker.output import Output
from leveret.broker.publishing import publish
from leveret.broker.queue import Queue
from leveret.broker.routing import Route, find_route
from leveret.broker.timers import Timer
from leveret.broker.traffic import Octets
from leveret.broker.vhost import VirtualHost

if TYPE_CHECKING:
    from leveret.broker.broker import Broker
    from leveret.broker.encryption import Encryption

log: Final = logging.getLogger("leveret.connection")

METHOD: Final[i64] = 1
HEADER: Final[i64] = 2
BODY: Final[i64] = 3
FRAME_END: Final[i64] = 0xCE
BASIC_CLASS: Final[i64] = 60
BASIC_PUBLISH: Final[i64] = (60 << 16) | 40
BASIC_ACK: Final[i64] = (60 << 16) | 80

ROUTES_KEPT: Final = 2048
ROUTE_PAYLOAD_LIMIT: Final[i64] = 600
OUTPUT_FULL: Final[i64] = 16 * 1024 * 1024  # octets that wait for the client before its requests wait too
CLOSE_TIMEOUT: Final = 5.0  # seconds to wait for a close-ok


class Connection(Output):
    """One client's connection. `peer` and `local` are addresses for people to read."""

    def __init__(self, broker: Broker, peer: str, local: str, from_loopback: bool) -> None:
        super().__init__()
        self.broker: Final = broker
        self.peer: Final = peer
        self.local: Final = local
        self.name: Final = f"{peer} -> {local}"
        self.from_loopback: Final = from_loopback
        self.encryption: Encryption | None = None  # its TLS, if it has any; set by the owner
        self.connected_at: Final = broker.wall_clock()
        self.state = EXPECT_HEADER
        self.internal = False  # nobody's but the broker's own: it is neither counted nor logged
        self.user = ""
        self.auth_mechanism = ""
        self.vhost: VirtualHost | None = None
        self.client_properties: Table = {}
        self.channel_max = 0
        self.frame_max: i64 = i64(broker.limits.initial_frame_max)
        self.whole_content_max: i64 = 0  # octets of content that are taken without a closer look
        self.heartbeat = 0
        self.channels: Final[dict[int, Channel]] = {}
        self._usages: list[Usage] = []  # of the node, the virtual host and the user, that count this connection
        self.exclusive_queues: Final[dict[Queue, None]] = {}
        # input
        self._partial: list[bytes] = []
        self._partial_size: i64 = 0
        self._needed: i64 = 8  # octets that complete what lies in _partial
        self._routes: Final[dict[bytes, Route]] = {}
        self._routes_epoch: i64 = 0
        self.last_input = broker.timers.now
        self.octets: Final = Octets()
        self._poured: Final = Octets()
        self.blocked = False  # an alarm is on: nothing is handled, and the owner doesn't read
        self._last_publisher: Channel | None = None  # when its message is complete the connection is blocked
        self.overfull = False  # it leaves too many answers unread: nothing is handled, and the owner doesn't read
        self.waiting = False  # for a password to be checked: nothing is handled, and the owner doesn't read
        self.outran_consumers = False  # it published to a queue whose consumers don't keep up
        self._timer: Timer = broker.timers.after(broker.limits.handshake_timeout / 1000, self._handshake_timed_out)

    # output

    def wake(self) -> None:
        """There is output: have it taken at the end of the tick."""
        if not self.is_dirty:
            self.is_dirty = True
            self.broker.dirty.append(self)

    def drained(self) -> None:
        """The socket took everything: consumers that were passed over get their turns back, as does the client."""
        if self.throttled:
            self.throttled = False
            for channel in self.channels.values():
                channel.unpark()
        if self.overfull:
            self.overfull = False
            self.feed(b"")

    # input

    def feed(self, data: bytes) -> None:
        """Take what the client sent. Never raises: whatever is wrong with it is answered to the client."""
        self.last_input = self.broker.timers.now
        self.octets.came(len(data))
        if self.state == CLOSED:
            return
        if self._partial_size or self.blocked or self.overfull or self.waiting:
            self._partial.append(data)
            self._partial_size += len(data)
            if self._partial_size < self._needed or self.blocked or self.overfull or self.waiting:
                return
            data = b"".join(self._partial)
            self._partial = []
            self._partial_size = 0
        try:
            at: i64 = 0
            if self.state == EXPECT_HEADER:
                at = self._protocol_header(data)
            if self.state != EXPECT_HEADER and self.state != CLOSED:
                at = self._frames(data, at)
            if at < len(data) and self.state != CLOSED:
                self._partial.append(data[at:] if at else data)
                self._partial_size = len(data) - at
            self.overfull = self.pending_output() > OUTPUT_FULL
        except HardError as error:
            self.fail(error)
        except Exception:
            log.exception("internal error on connection %s", self.name)
            self.fail(HardError(INTERNAL_ERROR, "internal error"))

    def _protocol_header(self, data: bytes) -> i64:
        if len(data) < len(PROTOCOL_HEADER):
            if not PROTOCOL_HEADER.startswith(data[:4]) and not data.startswith(PROTOCOL_HEADER[:4]):
                self._refuse_protocol()
            self._needed = len(PROTOCOL_HEADER)
            return 0
        header = data[: len(PROTOCOL_HEADER)]
        connection_log.accepted(self)
        self.state = EXPECT_START_OK
        if header not in connection_methods.ACCEPTED_HEADERS:
            self._refuse_protocol()
            return 0
        connection_methods.start(self)
        return len(PROTOCOL_HEADER)

    def _refuse_protocol(self) -> None:
        self.writer.write(PROTOCOL_HEADER)
        self.wake()
        self.close_socket("its protocol is not AMQP 0-9-1")

    def _frames(self, data: bytes, start: i64) -> i64:
        """Handle every whole frame of data from start on; give where the first incomplete one begins."""
        at = start
        end: i64 = len(data)
        channels = self.channels
        channel: Channel | None = None
        channel_number: i64 = -1
        while True:
            if end - at < 8:
                self._needed = 8
                return at
            size = i64(read_i32_be(data, at + 3))
            if size > self.frame_max or size < 0:
                raise frame_too_large(size, data[at], self.frame_max)
            after: i64 = at + 7 + size
            if after >= end:
                self._needed = 8 + size
                return at
            if data[after] != FRAME_END:
                raise HardError(FRAME_ERROR, invalid_frame_end(data, at, after))
            kind: i64 = data[at]
            number: i64 = i64(read_i16_be(data, at + 1)) & 0xFFFF
            if number != channel_number:
                channel_number = number
                channel = channels.get(int(number))
            at = after + 1
            try:
                if (
                    kind == METHOD
                    and channel is not None
                    and size >= 4
                    and not channel.closing
                    and channel.route is None
                ):
                    method_id = i64(read_i32_be(data, after - size))
                    if method_id == BASIC_PUBLISH:
                        route = self._route(data[after - size : after], channel)
                        if route is not None:
                            at = self._content(data, at, end, number, channel, route)
                        continue
                    if method_id == BASIC_ACK and size == 13:
                        self._ack(channel, read_i64_be(data, after - 9), data[after - 1] & 1 != 0)
                        continue
                handle_frame(self, kind, number, channel, data[after - size - 7 : at])
            except HardError as error:
                self.fail(error)
            if self.state == CLOSED:
                return end
            if self._has_to_wait():
                self._needed = 8
                return at
            channel_number = -1  # the frame may have opened or closed the channel

    def _has_to_wait(self) -> bool:
        """Whether the client's next frames may not be handled yet."""
        if self._last_publisher is not None and self._last_publisher.route is None:
            self._last_publisher = None
            self.blocked = True
            alarms.tell_blocked(self)
            return True
        # One read may hold thousands of requests for large messages.
        return self.waiting or self.pending_output() > OUTPUT_FULL

    def _content(self, data: bytes, at: i64, end: i64, number: i64, channel: Channel, route: Route) -> i64:
        """Publish the content at `at` if it lies whole in data; else leave its frames to come one by one."""
        channel.route = route
        if end - at < 22 or data[at] != HEADER or i64(read_i16_be(data, at + 1)) & 0xFFFF != number:
            return at
        header_size = i64(read_i32_be(data, at + 3))
        body: i64 = at + 8 + header_size
        if header_size < 14 or header_size > self.frame_max or body > end or data[body - 1] != FRAME_END:
            return at
        if read_i32_be(data, at + 7) != BASIC_CLASS << 16:
            return at
        size = read_i64_be(data, at + BODY_SIZE_AT)
        after = body
        if size != 0:
            if size < 0 or end - body < 8 or i64(read_i32_be(data, body + 3)) != size or data[body] != BODY:
                return at
            after = body + 8 + size
            if (
                size > self.whole_content_max
                or after > end
                or data[after - 1] != FRAME_END
                or i64(read_i16_be(data, body + 1)) & 0xFFFF != number
            ):
                return at
        channel.route = None
        try:
            publish(channel, route, data[at:after])
        except SoftError as error:
            channel.fail(with_method(error, BASIC_PUBLISH))
        return after

    def _route(self, payload: bytes, channel: Channel) -> Route | None:
        """The route of a publish method's payload, cached.

        None if it failed and closed the channel, or if an alarm is on: then the content comes frame by frame.
        """
        vhost = self.vhost
        assert vhost is not None
        if self._routes_epoch != vhost.epoch:
            self._routes.clear()
            self._routes_epoch = vhost.epoch
        route = self._routes.get(payload)
        if route is None:
            if self.broker.alarms.active:
                self._last_publisher = channel
            try:
                method = decode_method(payload)
                assert isinstance(method, BasicPublish)
                route = find_route(self, method)
            except SoftError as refused:
                channel.fail(with_method(refused, BASIC_PUBLISH))
                return None
            except HardError as error:
                with_method(error, BASIC_PUBLISH)
                raise
            if self._last_publisher is not None:
                channel.begin_content(route)
                return None
            if len(payload) <= ROUTE_PAYLOAD_LIMIT:
                if len(self._routes) >= ROUTES_KEPT:
                    self._routes.clear()
                self._routes[payload] = route
        return route

    def _ack(self, channel: Channel, tag: i64, multiple: bool) -> None:
        try:
            channel.ack(tag, multiple)
        except SoftError as error:
            channel.fail(with_method(error, BASIC_ACK))

    def go_on(self) -> None:
        """What the client's requests had to wait for is done: handle what came meanwhile."""
        if not self.waiting:
            self.feed(b"")

    def unblock(self) -> None:
        """The last alarm cleared: handle what lay unread; the owner reads again once the output is taken."""
        self._last_publisher = None
        if self.blocked:
            self.blocked = False
            alarms.tell_unblocked(self)
            self.feed(b"")

    # state

    def vhost_opened(self) -> VirtualHost:
        """The virtual host of an open connection."""
        assert self.vhost is not None
        return self.vhost

    def understands(self, capability: str) -> bool:
        """Whether the client announced a capability in its client-properties."""
        capabilities = self.client_properties.get("capabilities")
        if capabilities is None or not isinstance(capabilities.value, dict):
            return False
        value = capabilities.value.get(capability)
        return value is not None and value.value is True

    def begin_running(self, vhost: VirtualHost) -> None:
        """connection.open is granted: from now on heartbeats are due instead of the handshake."""
        self.vhost = vhost
        self._usages = [self.broker.usage, vhost.usage, self.broker.users.usage(self.user)]
        for usage in self._usages:
            usage.connections += 1
        self.broker.churn.connection_created += 1
        self.state = RUNNING
        self._timer.cancel()
        if self.heartbeat:
            self._timer = self.broker.timers.after(self.heartbeat / 2, self._check_heartbeat)

    def begin_internally(self, vhost: VirtualHost) -> None:
        """Run without a client: something in this process acts as one (RabbitMQ's direct connection)."""
        self.internal = True
        self.vhost = vhost
        self.state = RUNNING
        self._timer.cancel()

    def fail(self, error: AMQPError) -> None:
        """Close the connection for an error: everything it held is released, connection.close goes out."""
        if self.state in (EXPECT_HEADER, CLOSING, CLOSED):
            self.close_socket()
            return
        connection_log.failed(self, error)
        self.close(error.code, error.text, error.class_id, error.method_id)

    def close(self, code: int, text: str, class_id: int = 0, method_id: int = 0) -> None:
        """Send connection.close, release everything and wait for close-ok."""
        for channel in self.channels.values():
            channel.flush_confirms()
        self.release()
        self.send_method(0, ConnectionClose(code, text, class_id, method_id))
        self.state = CLOSING
        self.blocked = self.waiting = False  # the answer has to be read
        self._last_publisher = None
        self._timer.cancel()
        self._timer = self.broker.timers.after(CLOSE_TIMEOUT, self.close_socket)

    def force_close(self, reason: str) -> None:
        """Close because the operator wants it (320 CONNECTION_FORCED)."""
        if self.state in (RUNNING, EXPECT_OPEN, EXPECT_TUNE_OK):
            self.close(CONNECTION_FORCED, HardError(CONNECTION_FORCED, reason).text)
        elif self.state != CLOSING:
            self.close_socket()

    def client_gone(self) -> None:
        """The client has ended the TCP connection; if it was being closed anyway, that is no surprise."""
        self.close_socket("" if self.state == CLOSING else connection_log.CLIENT_GONE)

    def close_socket(self, reason: str = "") -> None:
        """Have the owner close the socket as soon as what is written is sent. `reason` is for the log."""
        if self.state != CLOSED:
            connection_log.closed(self, reason)
            self.state = CLOSED
            self.blocked = self.waiting = False
            self._timer.cancel()
            self.release()
            self._partial = []
            self._partial_size = 0
            self.broker.events.connection_closed(self)
            self.broker.connections.pop(self, None)
            for usage in self._usages:
                usage.connections -= 1
            if self.vhost is not None and not self.internal:
                self.broker.churn.connection_closed += 1
                self.gather_octets()
            self.wake()

    def gather_octets(self) -> None:
        """Add to the virtual host's counters what came up here since the last time."""
        self.octets.pour_into(self.vhost_opened().octets, self._poured)

    def release(self) -> None:
        """Let go of every channel and exclusive queue at once."""
        for channel in list(self.channels.values()):
            if not channel.closing:
                channel.release()
        self._count_channels(-len(self.channels))
        self.channels.clear()
        for queue in list(self.exclusive_queues):
            self.vhost_opened().delete_queue(queue)

    def add_channel(self, number: int, channel: Channel) -> None:
        """A channel opens."""
        self.channels[number] = channel
        self._count_channels(1)

    def drop_channel(self, number: int) -> None:
        """A channel is closed, and both sides know it."""
        del self.channels[number]
        self._count_channels(-1)

    def _count_channels(self, more: int) -> None:
        if not self.internal:
            self.broker.churn.channels(more)
        for usage in self._usages:
            usage.channels += more

    # time

    def _handshake_timed_out(self) -> None:
        self.close_socket(f"handshake timeout in state {STATE_NAMES[self.state]}")

    def _check_heartbeat(self) -> None:
        timers = self.broker.timers
        if self.blocked:
            self.last_input = timers.now
        if timers.now - self.last_input > 2 * self.heartbeat:
            self.close_socket(f"missed heartbeats from client, timeout: {self.heartbeat}s")
            return
        if not self.output_since_heartbeat:
            self.writer.write(HEARTBEAT_FRAME)
            self.wake()
        self.output_since_heartbeat = False
        self._timer = timers.after(self.heartbeat / 2, self._check_heartbeat)
