"""A broker inside this process, and clients that talk to it in frames: no socket, and a clock that the test moves.

The driver does what the server's tick does: after whatever was fed it ends the tick and takes the output of the
connections that have some. What the broker sent is decoded at once, and no frame may be larger than agreed on. A
client that `stall`s does not take its output until it `resume`s, as one whose socket is full.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from leveret.amqp.field_table import Table, table_from_python
from leveret.amqp.frame import PROTOCOL_HEADER, content_frames, method_frame
from leveret.amqp.methods import (
    BasicGet,
    BasicPublish,
    ChannelClose,
    ChannelOpen,
    ChannelOpenOk,
    ConnectionClose,
    ConnectionOpen,
    ConnectionOpenOk,
    ConnectionStartOk,
    ConnectionTuneOk,
    Method,
    QueueDeclare,
    QueueDeclareOk,
    decode_method,
)
from leveret.amqp.properties import BasicProperties, decode_properties, encode_content_header
from leveret.broker.broker import Broker
from leveret.broker.connection import Connection
from leveret.broker.connection_state import CLOSED
from leveret.broker.queue import Queue

METHOD, HEADER, BODY = 1, 2, 3
FRAME_MAX = 131072
CAPABILITIES = ("consumer_cancel_notify", "authentication_failure_close", "publisher_confirms", "basic.nack")


@dataclass
class Received:
    """A method that the broker sent, with the content that came behind it."""

    channel: int
    method: Method
    properties: BasicProperties | None = None
    body: bytes | None = None


class Frames:
    """Takes a broker's output apart. A frame that is malformed, too large or out of place is an AssertionError."""

    def __init__(self) -> None:
        self.frame_max = FRAME_MAX
        self.heartbeats = 0
        self._buffer = b""
        self._open: dict[int, tuple[Received, int]] = {}  # contents on their way, with the octets that are missing

    def feed(self, data: bytes) -> list[Received]:
        """The methods that are complete with this data."""
        self._buffer += data
        found: list[Received] = []
        at = 0
        while len(self._buffer) - at >= 8:
            kind, channel, size = struct.unpack_from(">BHL", self._buffer, at)
            if len(self._buffer) - at < size + 8:
                break
            assert self._buffer[at + 7 + size] == 0xCE, self._buffer[at : at + 100]
            assert size + 8 <= self.frame_max or kind == HEADER
            self._frame(kind, channel, self._buffer[at + 7 : at + 7 + size], found)
            at += size + 8
        self._buffer = self._buffer[at:]
        return found

    def _frame(self, kind: int, channel: int, payload: bytes, found: list[Received]) -> None:
        if kind == METHOD:
            assert channel not in self._open, "a method before the end of a content"
            received = Received(channel, decode_method(payload))
            if received.method.name in ("basic.deliver", "basic.return", "basic.get-ok"):
                self._open[channel] = (received, -1)
            else:
                found.append(received)
            return
        if kind == 8:
            assert (channel, payload) == (0, b"")
            self.heartbeats += 1
            return
        received, missing = self._open.pop(channel)
        if kind == HEADER:
            assert missing == -1
            class_id, weight, missing = struct.unpack_from(">HHQ", payload)
            assert (class_id, weight) == (60, 0)
            received.properties, received.body = decode_properties(payload, 12), b""
        else:
            assert kind == BODY
            assert 0 < len(payload) <= missing
            assert received.body is not None
            received.body += payload
            missing -= len(payload)
        if missing:
            self._open[channel] = (received, missing)
        else:
            found.append(received)

    @property
    def at_rest(self) -> bool:
        """Whether nothing is half received."""
        return not self._buffer and not self._open


class Client:
    """One connection of a driver, through the handshake if asked to be."""

    def __init__(self, driver: Driver, frame_max: int, from_loopback: bool) -> None:
        self.driver = driver
        self.frame_max = frame_max
        self.connection: Connection = driver.broker.connect("127.0.0.1:1000", "127.0.0.1:5672", from_loopback)
        self.frames = Frames()
        self.received: list[Received] = []
        self.raw = b""  # all that was sent, undecoded, of clients that don't decode
        self.decodes = True
        self.stalled = False
        self.lost = False
        self.octets = 0  # taken in this tick

    def is_closed(self) -> bool:
        return self.connection.state == CLOSED

    # sending

    def feed(self, data: bytes) -> None:
        """Have these bytes arrive; nothing more happens before the tick."""
        self.connection.feed(data)

    def send(self, method: Method, channel: int = 1) -> None:
        self.feed(method_frame(channel, method.encode()))

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes = b"",
        properties: BasicProperties | None = None,
        mandatory: bool = False,
        channel: int = 1,
    ) -> None:
        method = BasicPublish(exchange, routing_key, mandatory)
        self.feed(publish_frames(method, body, properties, channel, self.frame_max))

    def call(self, method: Method, channel: int = 1) -> Received:
        """Send a method, end the tick, and take the one thing that the broker says to it."""
        self.send(method, channel)
        self.driver.tick()
        received = self.take()
        assert len(received) == 1, received
        return received[0]

    def refusal(self, method: Method, channel: int = 1) -> tuple[int, str]:
        """Send a method that must be refused: the code and the text behind its name."""
        return refused(self.call(method, channel))

    def declare(
        self, queue: str, channel: int = 1, passive: bool = False, arguments: Mapping[str, object] | None = None
    ) -> tuple[int, int]:
        """Declare a queue: its ready messages and its consumers."""
        table = table_from_python(dict(arguments or {}))
        quorum = (arguments or {}).get("x-queue-type") == "quorum"
        reply = self.call(QueueDeclare(queue, passive=passive, durable=quorum, arguments=table), channel).method
        assert isinstance(reply, QueueDeclareOk), reply
        return reply.message_count, reply.consumer_count

    # receiving

    def take(self) -> list[Received]:
        """All that was received since this was last asked."""
        taken, self.received = self.received, []
        return taken

    def fetch(self, queue: str, no_ack: bool = True, channel: int = 1) -> Received | None:
        """Fetch a message, None if there is none."""
        received = self.call(BasicGet(queue, no_ack), channel)
        return None if received.body is None else received

    def bodies(self) -> list[bytes]:
        """Like `take`, for deliveries and fetched messages: their bodies."""
        taken = self.take()
        assert all(received.body is not None for received in taken), taken
        return [received.body for received in taken if received.body is not None]

    def flush(self) -> None:
        """Take the output, as the owner of the socket does at the end of a tick."""
        if self.stalled or self.lost:
            return
        data = b"".join(self.connection.take_output())
        self.octets += len(data)
        if self.decodes:
            self.received += self.frames.feed(data)
        else:
            self.raw += data
        if not self.is_closed():
            self.connection.drained()

    def stall(self) -> None:
        """Take no output from now on: the socket is full."""
        self.stalled = True
        self.connection.writable = False

    def resume(self) -> None:
        """The socket has room again."""
        self.stalled = False
        self.connection.writable = True
        self.flush()

    def lose(self) -> None:
        """The socket is gone."""
        self.lost = True
        self.connection.close_socket()

    # the handshake

    def log_in(
        self,
        channels: Sequence[int] = (1,),
        heartbeat: int = 0,
        channel_max: int = 2047,
        capabilities: Sequence[str] = CAPABILITIES,
    ) -> Client:
        """Open the connection and the channels."""
        self.feed(PROTOCOL_HEADER)
        self.send(start_ok(capabilities=capabilities), 0)
        self.send(ConnectionTuneOk(channel_max, self.frame_max, heartbeat), 0)
        self.send(ConnectionOpen("/"), 0)
        self.frames.frame_max = self.frame_max
        self.driver.tick()
        opened = self.take()
        assert opened[-1].method == ConnectionOpenOk(), opened
        for channel in channels:
            assert self.call(ChannelOpen(), channel).method == ChannelOpenOk()
        return self


class Driver:
    """A broker whose owner is the test."""

    def __init__(self, broker: Broker | None = None) -> None:
        octets = count(1)
        self.now = 0.0
        self.broker = broker or Broker(
            "1.2.3", "leveret@test", self.time_of_day, lambda size: next(octets).to_bytes(size)
        )
        self.broker.timers.set_time(0.0)
        self.clients: dict[Connection, Client] = {}

    def time_of_day(self) -> float:
        """The broker's wall clock, a little past the millisecond, so that no rounding falls below it."""
        return 1_700_000_000.0001 + self.now

    def client(self, frame_max: int = FRAME_MAX, from_loopback: bool = True) -> Client:
        """A client that has connected and said nothing."""
        client = Client(self, frame_max, from_loopback)
        self.clients[client.connection] = client
        return client

    def log_in(self, *channels: int, frame_max: int = FRAME_MAX, heartbeat: int = 0) -> Client:
        """A client with open channels; channel 1 if none is named."""
        return self.client(frame_max).log_in(channels or (1,), heartbeat)

    def single_tick(self) -> None:
        """End one tick, even if another one is due at once."""
        self.broker.end_tick()
        for connection in self.broker.take_dirty():
            self.clients[connection].flush()

    def tick(self) -> None:
        """End the tick, and the next ones until nothing is left to do."""
        for client in self.clients.values():
            client.octets = 0
        for _ in range(10_000):
            self.single_tick()
            timers = self.broker.timers
            due = timers.next_due()
            if due is not None and due <= timers.now:
                timers.run(timers.now)
            elif not self.broker.touched:
                return
        raise AssertionError("the broker never comes to rest")

    def at(self, now: float) -> None:
        """Move the clock to so many seconds after the broker's start, skipping no timer, each with its tick."""
        timers = self.broker.timers
        while (due := timers.next_due()) is not None and due <= now:
            self.now = max(self.now, due)
            timers.run(self.now)
            self.tick()
        self.now = now
        timers.run(now)
        self.tick()

    def queue_names(self) -> set[str]:
        return set(self.broker.vhosts["/"].queues)

    def queue(self, name: str) -> Queue:
        return self.broker.vhosts["/"].queues[name]

    def counts(self, name: str) -> tuple[int, int]:
        """How many messages of a queue are ready, and how many unacknowledged, as listings show them."""
        queue = self.queue(name)
        return queue.ready_count(), int(queue.unacked)


def start_ok(
    mechanism: str = "PLAIN",
    response: bytes = b"\0guest\0guest",
    capabilities: Sequence[str] = CAPABILITIES,
) -> ConnectionStartOk:
    properties: Table = table_from_python({"capabilities": dict.fromkeys(capabilities, True)})
    return ConnectionStartOk(properties, mechanism, response, "en_US")


def publish_frames(
    method: BasicPublish,
    body: bytes = b"",
    properties: BasicProperties | None = None,
    channel: int = 1,
    frame_max: int = FRAME_MAX,
) -> bytes:
    """The frames of a whole publish."""
    header = encode_content_header(len(body), properties or BasicProperties())
    return method_frame(channel, method.encode()) + content_frames(channel, header, body, frame_max)


def refused(received: Received) -> tuple[int, str]:
    """What a channel.close or connection.close says: the code and the text behind its name."""
    method = received.method
    assert isinstance(method, ChannelClose | ConnectionClose), received
    return method.reply_code, method.reply_text.partition(" - ")[2]


def split_frames(data: bytes) -> list[bytes]:
    """Whole frames, one by one."""
    frames: list[bytes] = []
    while data:
        size = 8 + struct.unpack_from(">L", data, 3)[0]
        frames.append(data[:size])
        data = data[size:]
    return frames
