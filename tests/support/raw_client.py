"""An AMQP 0-9-1 client that hides nothing: tests send any bytes in any order and look at each frame that comes back.

It is written with struct alone and shares no code with Leveret, so that an error of the broker's codec cannot hide
behind the same error here. Every wait has a deadline: a broker that does not answer fails the test and hangs nothing.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = b"\xce"
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
DEADLINE = 8.0

MethodId = tuple[int, int]
NO_METHOD: MethodId = (0, 0)

CONNECTION_START, CONNECTION_START_OK = (10, 10), (10, 11)
CONNECTION_SECURE_OK = (10, 21)
CONNECTION_TUNE, CONNECTION_TUNE_OK = (10, 30), (10, 31)
CONNECTION_OPEN, CONNECTION_OPEN_OK = (10, 40), (10, 41)
CONNECTION_CLOSE, CONNECTION_CLOSE_OK = (10, 50), (10, 51)
CONNECTION_BLOCKED, CONNECTION_UNBLOCKED = (10, 60), (10, 61)
CONNECTION_UPDATE_SECRET, CONNECTION_UPDATE_SECRET_OK = (10, 70), (10, 71)
CHANNEL_OPEN, CHANNEL_OPEN_OK = (20, 10), (20, 11)
CHANNEL_FLOW, CHANNEL_FLOW_OK = (20, 20), (20, 21)
CHANNEL_CLOSE, CHANNEL_CLOSE_OK = (20, 40), (20, 41)
EXCHANGE_DECLARE, EXCHANGE_DECLARE_OK = (40, 10), (40, 11)
QUEUE_DECLARE, QUEUE_DECLARE_OK = (50, 10), (50, 11)
BASIC_QOS, BASIC_QOS_OK = (60, 10), (60, 11)
BASIC_CONSUME, BASIC_CONSUME_OK = (60, 20), (60, 21)
BASIC_PUBLISH = (60, 40)
BASIC_DELIVER = (60, 60)
BASIC_GET, BASIC_GET_OK, BASIC_GET_EMPTY = (60, 70), (60, 71), (60, 72)
BASIC_ACK = (60, 80)
CONFIRM_SELECT, CONFIRM_SELECT_OK = (85, 10), (85, 11)

REPLY_NAMES = {
    312: "NO_ROUTE",
    320: "CONNECTION_FORCED",
    402: "INVALID_PATH",
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    501: "FRAME_ERROR",
    502: "SYNTAX_ERROR",
    503: "COMMAND_INVALID",
    504: "CHANNEL_ERROR",
    505: "UNEXPECTED_FRAME",
    506: "RESOURCE_ERROR",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
    541: "INTERNAL_ERROR",
}

Table = Mapping[str, object]


class Timestamp(int):
    """Seconds since 1970, field type T."""


def shortstr(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return bytes([len(data)]) + data


def longstr(data: str | bytes) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">L", len(data)) + data


def field(value: object) -> bytes:
    """One field-table value with its type octet: str is S, bytes x, int l, float d, and so on."""
    if value is None:
        return b"V"
    if isinstance(value, bool):
        return b"t" + bytes([value])
    if isinstance(value, Timestamp):
        return b"T" + struct.pack(">Q", value)
    if isinstance(value, int):
        return b"l" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"d" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"S" + longstr(value)
    if isinstance(value, bytes):
        return b"x" + longstr(value)
    if isinstance(value, Mapping):
        return b"F" + table(value)
    if isinstance(value, Sequence):
        return b"A" + longstr(b"".join(field(one) for one in value))
    raise TypeError(f"no field type for {value!r}")


def table(items: Table | None = None) -> bytes:
    """A field table with its length."""
    return longstr(b"".join(shortstr(key) + field(value) for key, value in (items or {}).items()))


# Field type octets and their struct codes, in RabbitMQ's dialect: s is a signed 16 bit integer.
FIXED_SIZE_FIELDS = dict(zip("tbBsuIilfdT", "?bBhHlLqfdQ", strict=True))


class Reader:
    """Takes AMQP values off the front of a payload."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        assert len(taken) == count, f"the payload ends early: {self.data!r}"
        self.at += count
        return taken

    def unpack(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(">" + layout, self.take(struct.calcsize(">" + layout)))

    def shortstr(self) -> str:
        return self.take(self.unpack("B")[0]).decode()

    def longstr(self) -> bytes:
        return self.take(self.unpack("L")[0])

    def field(self) -> object:
        kind = chr(self.unpack("B")[0])
        if kind in FIXED_SIZE_FIELDS:
            return self.unpack(FIXED_SIZE_FIELDS[kind])[0]
        if kind == "V":
            return None
        if kind == "S":
            return self.longstr().decode()
        if kind == "x":
            return self.longstr()
        if kind == "D":
            scale, value = self.unpack("Bl")
            return value / 10**scale
        if kind == "F":
            return self.table()
        if kind == "A":
            inner, values = Reader(self.longstr()), []
            while not inner.ended:
                values.append(inner.field())
            return values
        raise AssertionError(f"unknown field type {kind!r}")

    def table(self) -> dict[str, object]:
        inner, items = Reader(self.longstr()), {}
        while not inner.ended:
            key = inner.shortstr()
            assert key not in items, f"{key!r} comes twice"
            items[key] = inner.field()
        return items

    @property
    def ended(self) -> bool:
        return self.at == len(self.data)


class Frame(NamedTuple):
    """One frame as it came over the wire."""

    kind: int
    channel: int
    payload: bytes

    @property
    def method(self) -> MethodId:
        """Class and method id of a method frame; (0, 0) for any other frame."""
        return struct.unpack_from(">HH", self.payload) if self.kind == METHOD else NO_METHOD

    @property
    def arguments(self) -> Reader:
        """The arguments of a method frame."""
        return Reader(self.payload[4:])


class Close(NamedTuple):
    """What connection.close and channel.close say."""

    code: int
    text: str
    failing: MethodId


class Message(NamedTuple):
    """One message with the method that brought it."""

    method: Frame
    properties: bytes
    body: bytes


class ConnectionEnded(Exception):
    """The broker closed the socket."""


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHL", kind, channel, len(payload)) + payload + FRAME_END


def method(channel: int, which: MethodId, arguments: bytes = b"") -> bytes:
    return frame(METHOD, channel, struct.pack(">HH", *which) + arguments)


def content_header(channel: int, size: int, class_id: int = 60, weight: int = 0, properties: bytes = b"\0\0") -> bytes:
    return frame(HEADER, channel, struct.pack(">HHQ", class_id, weight, size) + properties)


def publish_method(channel: int, exchange: str, routing_key: str, bits: int = 0) -> bytes:
    """basic.publish; bit 1 is mandatory, bit 2 immediate."""
    return method(channel, BASIC_PUBLISH, b"\0\0" + shortstr(exchange) + shortstr(routing_key) + bytes([bits]))


def publish(channel: int, routing_key: str, body: bytes, exchange: str = "", body_frame: int = 131064) -> bytes:
    """A whole publish: method, header and the body in frames of at most `body_frame` octets."""
    pieces = [body[at : at + body_frame] for at in range(0, len(body), body_frame)]
    return (
        publish_method(channel, exchange, routing_key)
        + content_header(channel, len(body))
        + b"".join(frame(BODY, channel, piece) for piece in pieces)
    )


def declare_queue(channel: int, name: str, bits: int = 0, arguments: Table | None = None) -> bytes:
    """queue.declare; bits are passive 1, durable 2, exclusive 4, auto-delete 8, no-wait 16."""
    return method(channel, QUEUE_DECLARE, b"\0\0" + shortstr(name) + bytes([bits]) + table(arguments))


def consume(channel: int, queue: str, tag: str, bits: int = 0) -> bytes:
    """basic.consume; bits are no-local 1, no-ack 2, exclusive 4, no-wait 8."""
    return method(channel, BASIC_CONSUME, b"\0\0" + shortstr(queue) + shortstr(tag) + bytes([bits]) + table())


def get(channel: int, queue: str) -> bytes:
    """basic.get with no-ack."""
    return method(channel, BASIC_GET, b"\0\0" + shortstr(queue) + b"\1")


def close_arguments(code: int = 200, text: str = "bye") -> bytes:
    """What connection.close and channel.close carry."""
    return struct.pack(">H", code) + shortstr(text) + b"\0\0\0\0"


def tune_ok(channel_max: int = 2047, frame_max: int = 131072, heartbeat: int = 0) -> bytes:
    return method(0, CONNECTION_TUNE_OK, struct.pack(">HLH", channel_max, frame_max, heartbeat))


def open_vhost(vhost: str = "/") -> bytes:
    return method(0, CONNECTION_OPEN, shortstr(vhost) + b"\0\0")


def plain(user: str = "guest", password: str = "guest") -> bytes:
    return f"\0{user}\0{password}".encode()


def amqplain(user: str = "guest", password: str = "guest") -> bytes:
    return table({"LOGIN": user, "PASSWORD": password})[4:]


def start_ok(
    mechanism: str = "PLAIN", response: bytes | None = None, properties: Table | None = None, locale: str = "en_US"
) -> bytes:
    """connection.start-ok; without a response, guest's."""
    if response is None:
        response = amqplain() if mechanism == "AMQPLAIN" else plain()
    arguments = table(properties) + shortstr(mechanism) + longstr(response) + shortstr(locale)
    return method(0, CONNECTION_START_OK, arguments)


class RawClient:
    """A socket to the broker; until `log_in` nothing has been said on it."""

    def __init__(self, port: int, host: str = "127.0.0.1", unix_socket: str | None = None) -> None:
        if unix_socket is not None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(DEADLINE)
            self.socket.connect(unix_socket)
        else:
            self.socket = socket.create_connection((host, port), timeout=DEADLINE)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.frame_max = 131072

    # Opening

    def greet(self) -> Frame:
        """Send the protocol header and take connection.start."""
        self.send(PROTOCOL_HEADER)
        return self.expect(CONNECTION_START, channel=0)

    def authenticate(self, properties: Table | None = None) -> Frame:
        """Log in as guest and take connection.tune."""
        self.greet()
        self.send(start_ok(properties=properties))
        return self.expect(CONNECTION_TUNE, channel=0)

    def log_in(
        self,
        vhost: str = "/",
        properties: Table | None = None,
        channel_max: int = 2047,
        frame_max: int = 131072,
        heartbeat: int = 0,
        channels: Sequence[int] = (),
    ) -> Self:
        """Open the connection and the given channels with everything as it should be."""
        self.authenticate(properties)
        self.frame_max = frame_max
        self.send(tune_ok(channel_max, frame_max, heartbeat))
        self.send(open_vhost(vhost))
        self.expect(CONNECTION_OPEN_OK, channel=0)
        for channel in channels:
            self.open_channel(channel)
        return self

    def open_channel(self, channel: int) -> None:
        self.call(channel, CHANNEL_OPEN, b"\0", CHANNEL_OPEN_OK)

    # Sending

    def send(self, data: bytes) -> None:
        """Send these bytes. A broker that has already ended the connection is found by reading, not here."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def call(self, channel: int, which: MethodId, arguments: bytes, reply: MethodId) -> Frame:
        """Send a method and take its reply."""
        self.send(method(channel, which, arguments))
        return self.expect(reply, channel=channel)

    def declare(
        self, name: str, bits: int = 0, arguments: Table | None = None, channel: int = 1
    ) -> tuple[str, int, int]:
        """Declare a queue: its name, ready messages and consumers."""
        self.send(declare_queue(channel, name, bits, arguments))
        reply = self.expect(QUEUE_DECLARE_OK, channel=channel).arguments
        messages, consumers = reply.shortstr(), reply.unpack("LL")
        return messages, consumers[0], consumers[1]

    def count(self, queue: str, channel: int = 1) -> int:
        """The ready messages of a queue, by a passive declare."""
        return self.declare(queue, 1, channel=channel)[1]

    # Receiving

    def receive(self, seconds: float = DEADLINE) -> bytes:
        """The next bytes, as many as one read gives; ConnectionEnded at the end, TimeoutError after `seconds`."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        finally:
            self.socket.settimeout(DEADLINE)
        if not data:
            raise ConnectionEnded
        return data

    def read_frame(self, seconds: float = DEADLINE) -> Frame:
        """The next frame, heartbeats included."""
        end = time.monotonic() + seconds
        while True:
            if len(self.buffer) >= 7:
                kind, channel, size = struct.unpack_from(">BHL", self.buffer)
                if len(self.buffer) >= size + 8:
                    assert self.buffer[size + 7 : size + 8] == FRAME_END, bytes(self.buffer[:64])
                    payload = bytes(self.buffer[7 : 7 + size])
                    del self.buffer[: size + 8]
                    return Frame(kind, channel, payload)
            self.buffer += self.receive(end - time.monotonic())

    def next_frame(self, seconds: float = DEADLINE) -> Frame:
        """The next frame that is not a heartbeat."""
        end = time.monotonic() + seconds
        while (got := self.read_frame(end - time.monotonic())).kind == HEARTBEAT:
            pass
        return got

    def expect(self, which: MethodId, channel: int | None = None, seconds: float = DEADLINE) -> Frame:
        """The next frame, which must be this method."""
        got = self.next_frame(seconds)
        assert (got.kind, got.method) == (METHOD, which), f"awaited {which}, got {describe(got)}"
        assert channel in (None, got.channel), f"awaited channel {channel}, got {describe(got)}"
        return got

    def expect_message(self, which: MethodId = BASIC_DELIVER, seconds: float = DEADLINE) -> Message:
        """The next frames, which must be this method with its header and body."""
        got = self.expect(which, seconds=seconds)
        header = self.next_frame(seconds)
        assert (header.kind, header.channel) == (HEADER, got.channel), describe(header)
        class_id, weight, size = struct.unpack_from(">HHQ", header.payload)
        assert (class_id, weight) == (60, 0)
        body = bytearray()
        while len(body) < size:
            piece = self.next_frame(seconds)
            assert (piece.kind, piece.channel) == (BODY, got.channel), describe(piece)
            assert 0 < len(piece.payload) <= self.frame_max - 8
            body += piece.payload
        assert len(body) == size
        return Message(got, header.payload[12:], bytes(body))

    def expect_connection_close(
        self, code: int | tuple[int, ...], text: str | None = None, failing: MethodId | None = None
    ) -> Close:
        """connection.close with this code and, behind its name, this text; once answered, the socket must close."""
        close = read_close(self.expect(CONNECTION_CLOSE, channel=0))
        check_close(close, code, text, failing)
        self.send(method(0, CONNECTION_CLOSE_OK))
        self.expect_end()
        return close

    def expect_channel_close(
        self, code: int, text: str | None = None, failing: MethodId | None = None, channel: int = 1, answer: bool = True
    ) -> Close:
        """channel.close with this code and, behind its name, this text; answered unless told otherwise."""
        close = read_close(self.expect(CHANNEL_CLOSE, channel=channel))
        check_close(close, code, text, failing)
        if answer:
            self.send(method(channel, CHANNEL_CLOSE_OK))
        return close

    def expect_end(self, seconds: float = DEADLINE) -> None:
        """The broker must close the socket and send nothing more before it does."""
        assert not self.buffer, bytes(self.buffer)
        try:
            data = self.receive(seconds)
        except ConnectionEnded:
            return
        raise AssertionError(f"awaited the end of the connection, got {data!r}")

    def expect_refusal(self) -> None:
        """The connection must end, with or without a connection.close: RabbitMQ says nothing to strangers."""
        with suppress(ConnectionEnded):
            self.expect(CONNECTION_CLOSE, channel=0)
            self.send(method(0, CONNECTION_CLOSE_OK))
            self.expect_end()

    # Closing

    def log_out(self) -> None:
        """Close the connection as the protocol has it."""
        self.send(method(0, CONNECTION_CLOSE, close_arguments()))
        self.expect(CONNECTION_CLOSE_OK, channel=0)
        self.close()

    def reset(self) -> None:
        """End the connection as a crashed or cut-off client does: a TCP reset, unread data lost."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_close(got: Frame) -> Close:
    reader = got.arguments
    code = reader.unpack("H")[0]
    text = reader.shortstr()
    class_id, method_id = reader.unpack("HH")
    assert reader.ended
    return Close(code, text, (class_id, method_id))


def check_close(close: Close, code: int | tuple[int, ...], text: str | None, failing: MethodId | None) -> None:
    """The reply text is always the code's name, a dash and the reason; of several codes any one will do."""
    assert close.code in ((code,) if isinstance(code, int) else code), close
    name = REPLY_NAMES[close.code]
    if text is None:
        assert close.text == name or close.text.startswith(name + " - "), close
    else:
        assert close.text == f"{name} - {text}", close
    if failing is not None:
        assert close.failing == failing, close


def describe(got: Frame) -> str:
    if got.method in (CONNECTION_CLOSE, CHANNEL_CLOSE):
        return f"{got.method} on channel {got.channel}: {read_close(got)}"
    return f"frame type {got.kind} on channel {got.channel}: {got.payload[:200]!r}"
