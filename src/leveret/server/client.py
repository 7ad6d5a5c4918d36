"""The socket of one client: one bounded read a tick, one send a tick.

A read is bounded so that a publisher that floods can't starve the acknowledgements of others. What the socket does
not take at once waits in `unsent`, and nothing more is taken from the connection meanwhile: its consumers see the
output pile up and are passed over. A client that sends requests without reading the answers is not read either.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import TYPE_CHECKING, Final

from leveret.broker.connection import Connection
from leveret.broker.connection_state import CLOSED

if TYPE_CHECKING:
    from leveret.server.tick import Tick

READ_SIZE: Final = 128 * 1024  # octets read from one socket in one tick
PAUSE: Final = 0.002  # seconds that a publisher is not read when it outruns consumers or the disk
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
        self._paused = False
        self._writing = False
        self._lingering = False
        self._deadline: asyncio.TimerHandle | None = None
        self.closed = False
        self._start_reading()

    def _start_reading(self) -> None:
        connection = self.connection
        held = self._paused or connection.blocked or connection.overfull or connection.waiting
        if not (self._reading or self.closed or held):
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
            self.hang_up()
        elif not self._lingering:
            self.take(data)

    def take(self, data: bytes) -> None:
        """Take what the client sent."""
        self.tick.begin()
        self.connection.feed(data)
        if self.connection.blocked or self.connection.overfull or self.connection.waiting:
            self._stop_reading()
        elif self.connection.outran_consumers or self.tick.backed_up:
            self._pause()

    def _pause(self) -> None:
        """Leave the client unread for a moment: it publishes faster than consumers or the disk take it."""
        self.connection.outran_consumers = False
        self._paused = True
        self._stop_reading()
        self.tick.loop.call_later(PAUSE, self._end_pause)

    def _end_pause(self) -> None:
        self._paused = False
        self._start_reading()

    def hang_up(self) -> None:
        """The client has ended the connection: what it held is let go of, what it was to be sent is dropped."""
        self.connection.client_gone()
        self.close()

    def flush(self) -> None:
        """Send the connection's output, as far as the socket takes it."""
        connection = self.connection
        if self.closed or connection.holds:
            return
        if not self.unsent:
            self._send_output(connection.take_output())
        if self.unsent:
            self._wait_for_room()
        elif connection.state == CLOSED:
            self._linger()
        else:
            connection.drained()
            self._start_reading()  # it may have been blocked or overfull

    def _send_output(self, pieces: list[bytes]) -> None:
        if len(pieces) == 1:
            self._send_one(pieces[0])
        else:
            self.unsent.extend([memoryview(piece) for piece in pieces if piece])
            self._send_unsent()

    def _send_one(self, data: bytes) -> None:
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._broken()
            return
        self.connection.octets.sent += sent
        self.connection.octets.sends += 1
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
            self.connection.octets.sent += sent
            self.connection.octets.sends += 1
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
            self._end_soon()
        else:
            self._start_reading()

    def writable(self) -> None:
        """The socket has room again."""
        self._send_unsent()
        if self.unsent or self.closed:
            return
        self._writing = False
        self.tick.loop.remove_writer(self.descriptor)
        self.connection.writable = True
        self._start_reading()
        self.tick.begin()
        self.flush()

    def _broken(self) -> None:
        self.unsent.clear()
        self.connection.client_gone()
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
            self._end_soon()

    def _end_soon(self) -> None:
        """Close the socket in LINGER seconds, whether the client has taken everything by then or not."""
        if self._deadline is None:
            self._deadline = self.tick.loop.call_later(LINGER, self.close)

    def close(self) -> None:
        """Close the socket."""
        if self.closed:
            return
        self.closed = True
        if self._deadline is not None:
            self._deadline.cancel()
        self._stop_reading()
        if self._writing:
            self.tick.loop.remove_writer(self.descriptor)
        self.sock.close()
        self.tick.forget(self)
