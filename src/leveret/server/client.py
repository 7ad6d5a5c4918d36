"""The socket of one client: one bounded read a tick, one send a tick.

A read is bounded so that a publisher that floods can't starve the acknowledgements of others. What the socket does
not take at once waits in `unsent`, and nothing more is taken from the connection meanwhile: its consumers see the
output pile up and are passed over. A client that sends requests without reading the answers is not read either,
from PAUSE_READING_AT octets on.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.broker.connection import Connection
from leveret.broker.connection_state import CLOSED

if TYPE_CHECKING:
    from leveret.server.tick import Tick

READ_SIZE: Final = 128 * 1024  # octets read from one socket in one tick
PAUSE_READING_AT: Final[i64] = 16 * 1024 * 1024
LINGER: Final = 2.0  # seconds for the client to take our last words and close its side


class Client:
    """A socket, the connection that it carries, and what it has not sent yet."""

    def __init__(self, tick: Tick, sock: socket.socket, connection: Connection) -> None:
        self.tick: Final = tick
        self.sock: Final = sock
        self.descriptor: Final = sock.fileno()
        self.connection: Final = connection
        self.unsent: Final[deque[memoryview]] = deque()
        self._reading = False
        self._writing = False
        self._lingering = False
        self._closed = False
        self._start_reading()

    def _start_reading(self) -> None:
        if not self._reading and not self._closed:
            self._reading = True
            self.tick.loop.add_reader(self.descriptor, self.readable)

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self.tick.loop.remove_reader(self.descriptor)

    def readable(self) -> None:
        """The socket has something to read."""
        try:
            data = self.sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.connection.close_socket()
            self.close()
        elif not self._lingering:
            self.tick.begin()
            self.connection.feed(data)

    def flush(self) -> None:
        """Send the connection's output, as far as the socket takes it."""
        connection = self.connection
        if self._closed:
            return
        if not self.unsent:
            pieces = connection.take_output()
            if len(pieces) == 1:
                self._send_one(pieces[0])
            else:
                self.unsent.extend([memoryview(piece) for piece in pieces if piece])
                self._send_unsent()
        if self.unsent:
            self._wait_for_room()
        elif connection.state == CLOSED:
            self._linger()
        else:
            connection.drained()

    def _send_one(self, data: bytes) -> None:
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._broken()
            return
        if sent < len(data):
            self.unsent.append(memoryview(data)[sent:])

    def _send_unsent(self) -> None:
        unsent = self.unsent
        while unsent:
            piece = unsent[0]
            try:
                sent = self.sock.send(piece)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._broken()
                return
            if sent < len(piece):
                unsent[0] = piece[sent:]
                return
            unsent.popleft()

    def _wait_for_room(self) -> None:
        self.connection.writable = False
        if not self._writing:
            self._writing = True
            self.tick.loop.add_writer(self.descriptor, self.writable)
            if self.connection.state == CLOSED:
                self.tick.loop.call_later(LINGER, self.close)
        if self.connection.pending_output() > PAUSE_READING_AT:
            self._stop_reading()

    def writable(self) -> None:
        """The socket has room again."""
        self._send_unsent()
        if self.unsent or self._closed:
            return
        self._writing = False
        self.tick.loop.remove_writer(self.descriptor)
        self.connection.writable = True
        self._start_reading()
        self.tick.begin()
        self.flush()

    def _broken(self) -> None:
        self.unsent.clear()
        self.connection.close_socket()
        self.close()

    def _linger(self) -> None:
        """End our side and read on until the client ends its own: closing at once could take our last words back."""
        if not self._lingering:
            self._lingering = True
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.close()
                return
            self._start_reading()
            self.tick.loop.call_later(LINGER, self.close)

    def close(self) -> None:
        """Close the socket."""
        if self._closed:
            return
        self._closed = True
        self._stop_reading()
        if self._writing:
            self.tick.loop.remove_writer(self.descriptor)
        self.sock.close()
        self.tick.forget(self)
