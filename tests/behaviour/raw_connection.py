"""A connection that does no more than it is told: a test sees the order of frames, can stop reading, and can die."""

from __future__ import annotations

import socket
import struct
from types import TracebackType
from typing import TypeAlias

from pika import BasicProperties
from pika.amqp_object import Method
from pika.frame import Body, Header, Heartbeat, decode_frame
from pika.frame import Method as MethodFrame
from pika.spec import Basic, Channel, Connection

FRAME_MAX = 131072
HEADER = b"AMQP\x00\x00\x09\x01"
Frame: TypeAlias = MethodFrame | Header | Body


class RawConnection:
    """An open connection; with `receive_buffer` the kernel keeps only about so many bytes that are unread."""

    def __init__(
        self,
        port: int,
        receive_buffer: int | None = None,
        user: str = "guest",
        password: str = "guest",
        vhost: str = "/",
        properties: dict[str, object] | None = None,
    ) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""
        self.socket.sendall(HEADER)
        assert isinstance(self.method(), Connection.Start)
        response = f"\0{user}\0{password}"
        start_ok = Connection.StartOk(properties or {}, "PLAIN", response, "en_US")
        self.send(start_ok, 0)
        assert isinstance(self.method(), Connection.Tune)
        self.send(Connection.TuneOk(2047, FRAME_MAX, 0), 0)
        assert isinstance(self.call(Connection.Open(vhost), 0), Connection.OpenOk)

    def send(self, method: Method, channel: int = 1) -> None:
        self.socket.sendall(MethodFrame(channel, method).marshal())

    def send_payload(self, payload: bytes, kind: int = 1) -> None:
        """Send a frame that pika would not make, on channel 1; `kind` 1 is a method, 2 a content header."""
        self.socket.sendall(struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce")

    def frame(self) -> Frame:
        """The next frame that is no heartbeat; fails after 10 s without one."""
        while True:
            used, frame = decode_frame(self.unread)
            if frame is None:
                received = self.socket.recv(1 << 20)
                if not received:
                    raise EOFError("the broker closed the socket")
                self.unread += received
                continue
            self.unread = self.unread[used:]
            if not isinstance(frame, Heartbeat):
                assert isinstance(frame, (MethodFrame, Header, Body))
                return frame

    def payload(self) -> bytes:
        """The payload of the next frame as it came."""
        while len(self.unread) < 7 or len(self.unread) < 8 + struct.unpack(">I", self.unread[3:7])[0]:
            self.unread += self.socket.recv(1 << 20)
        end = 7 + struct.unpack(">I", self.unread[3:7])[0]
        payload, self.unread = self.unread[7:end], self.unread[end + 1 :]
        return payload

    def method(self) -> Method:
        """The next method; the content of a message is passed over."""
        while True:
            frame = self.frame()
            if isinstance(frame, MethodFrame):
                return frame.method

    def methods(self, count: int) -> list[Method]:
        return [self.method() for _ in range(count)]

    def content(self) -> bytes:
        """The body of the message whose method has just come."""
        header = self.frame()
        assert isinstance(header, Header)
        body = bytearray()
        while len(body) < header.body_size:
            frame = self.frame()
            assert isinstance(frame, Body)
            body += frame.fragment
        return bytes(body)

    def call(self, method: Method, channel: int = 1) -> Method:
        """Send a method and return the next one that comes."""
        self.send(method, channel)
        return self.method()

    def open_channel(self, number: int = 1) -> None:
        assert isinstance(self.call(Channel.Open(), number), Channel.OpenOk)

    def publish(self, exchange: str, key: str, body: bytes, mandatory: bool = False, immediate: bool = False) -> None:
        """Send the three frames of a message of at most one body frame, as one write."""
        frames: list[Frame] = [
            MethodFrame(1, Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory, immediate=immediate)),
            Header(1, len(body), BasicProperties()),
        ]
        if body:
            frames.append(Body(1, body))
        self.socket.sendall(b"".join(frame.marshal() for frame in frames))

    def die(self) -> None:
        """End the connection as a killed program's network does: a reset, and no goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
