"""A client whose socket is encrypted: `Client` with TLS between the socket and the connection.

TLS works on memory, so everything about reading, sending and waiting is as for any client: what is read is decrypted
all at once, and what is to be sent is encrypted as the socket takes it, so that little of it is in memory twice.
`unsent` holds what is encrypted; while `_plain` has anything, so has `unsent`.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections import deque
from typing import TYPE_CHECKING, Final

from leveret.broker.connection import Connection
from leveret.server.client import Client

if TYPE_CHECKING:
    import socket

    from leveret.broker.encryption import Encryption
    from leveret.server.tick import Tick

log: Final = logging.getLogger("leveret.tls")

RECORD: Final = 16 * 1024  # octets that a record of TLS has at most
PORTION: Final = 64 * 1024  # octets that are encrypted at once
MOST_ANSWERS: Final = 64 * 1024  # octets of TLS's own that wait for a client which doesn't read


class TlsSession:
    """TLS whose handshake is done, between two buffers: from the socket and to the socket."""

    def __init__(
        self, connection: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, encryption: Encryption
    ) -> None:
        self.connection: Final = connection
        self.incoming: Final = incoming
        self.outgoing: Final = outgoing
        self.encryption: Final = encryption


class TlsClient(Client):
    """A socket, the TLS on it, and the connection that it carries."""

    def __init__(self, tick: Tick, sock: socket.socket, connection: Connection, session: TlsSession) -> None:
        self._tls: Final = session.connection
        self._incoming: Final = session.incoming
        self._outgoing: Final = session.outgoing
        self._plain: Final[deque[memoryview]] = deque()
        self._said_goodbye = False
        super().__init__(tick, sock, connection)

    def take(self, data: bytes) -> None:
        """Take what came from the socket, and what lay in the session's buffer before it."""
        pieces: list[bytes] = []
        going = False
        failure = ""
        try:
            self._incoming.write(data)
            while self._incoming.pending and not going:
                piece = self._tls.read(RECORD)
                pieces.append(piece)
                going = not piece
        except ssl.SSLWantReadError:
            pass  # the last thing that came was TLS's own, or is not whole
        except ssl.SSLError as error:
            failure = error.reason or "unknown error"
        if pieces:
            super().take(b"".join(pieces))
        if self._outgoing.pending and not self.closed:
            self._answer()
        if failure:
            log.warning("closing connection %s: TLS failed: %s", self.connection.name, failure)
            self.hang_up()
        elif going:
            # As if the socket had ended: after the tick that handles what came before.
            self.tick.begin()
            self.tick.loop.call_soon(self._agree)

    def _agree(self) -> None:
        """The client has ended TLS: end it, too, and hang up."""
        if not self.closed:
            self._say_goodbye()
            self.hang_up()

    def _answer(self) -> None:
        """Send what TLS has to say of its own: alerts, new keys."""
        if not self.unsent:
            self._send_unsent()
            if self.unsent:
                self._wait_for_room()
        elif self._outgoing.pending > MOST_ANSWERS:
            log.warning("closing connection %s: it reads none of TLS's answers", self.connection.name)
            self._broken()

    def _send_output(self, pieces: list[bytes]) -> None:
        self._plain.extend([memoryview(piece) for piece in pieces if piece])
        self._send_unsent()

    def _send_unsent(self) -> None:
        while True:
            super()._send_unsent()
            if self.closed or self.unsent or not (self._plain or self._outgoing.pending):
                return
            if not self._encrypt():
                self._broken()
                return

    def _encrypt(self) -> bool:
        """Encrypt the next portion of the output, many small pieces at once; says whether that went well."""
        portion: list[memoryview] = []
        size = 0
        while self._plain and size < PORTION:
            piece = self._plain.popleft()
            if len(piece) > PORTION - size:
                self._plain.appendleft(piece[PORTION - size :])
                piece = piece[: PORTION - size]
            portion.append(piece)
            size += len(piece)
        try:
            if portion:
                self._tls.write(b"".join(portion))
        except ssl.SSLError as error:
            log.warning("closing connection %s: TLS failed: %s", self.connection.name, error.reason)
            return False
        self.unsent.append(memoryview(self._outgoing.read()))
        return True

    def _broken(self) -> None:
        self._plain.clear()
        super()._broken()

    def _linger(self) -> None:
        """Say in TLS, too, that nothing more will come."""
        if not self._said_goodbye:
            self._say_goodbye()
        if self.unsent:
            self._wait_for_room()
        elif not self.closed:
            super()._linger()

    def _say_goodbye(self) -> None:
        self._said_goodbye = True
        with contextlib.suppress(ssl.SSLError):  # the client has not answered yet, and need not
            self._tls.unwrap()
        self._send_unsent()
