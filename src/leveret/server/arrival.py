"""What comes between accepting a socket and having a client: the header of the PROXY protocol, and TLS's handshake.

Each has to be over in a few seconds. A socket on its way counts among those that may be open, but is no connection
yet: nobody sees it in a listing. A handshake takes a millisecond or two of computing, so only so many are carried on
in one round of the event loop; when a thousand clients come at once, those that are connected go on meanwhile.
"""

from __future__ import annotations

import logging
import socket
import ssl
from typing import Final, TypeAlias

from leveret.server.certificate import LoginName, encryption_of
from leveret.server.client import READ_SIZE
from leveret.server.listener import host_port, is_loopback
from leveret.server.proxy_protocol import BadHeader, ProxyRule, parse_header
from leveret.server.tick import Tick
from leveret.server.tls import Certificates, is_too_deep, reason
from leveret.server.tls_client import TlsSession

log: Final = logging.getLogger("leveret.connection")

Address: TypeAlias = tuple[object, ...]

HEADER_TIMEOUT: Final = 5.0  # seconds for the header of the PROXY protocol
STEPS_AT_ONCE: Final = 4  # of handshakes, in one round of the event loop
AMQP: Final = b"AMQP"


class TlsEntrance:
    """The TLS of a listener: certificates, who logs in by theirs, and the seconds that a handshake may take."""

    def __init__(self, certificates: Certificates, login: LoginName, timeout: float) -> None:
        self.certificates: Final = certificates
        self.login: Final = login
        self.timeout: Final = timeout


class Entrance:
    """Takes the sockets of listeners through what comes before AMQP."""

    def __init__(
        self, tick: Tick, proxy: ProxyRule | None, tls: TlsEntrance | None, header_timeout: float = HEADER_TIMEOUT
    ) -> None:
        self.header_timeout: Final = header_timeout
        self.tick: Final = tick
        self.proxy: Final = proxy
        self.tls: Final = tls
        self.arrivals: Final[set[Arrival]] = set()
        self._steps_left = STEPS_AT_ONCE

    def admit(self, sock: socket.socket, peer: Address, local: Address) -> None:
        """A socket was accepted; it becomes a client, or is closed."""
        expects_header = self.proxy is not None and self.proxy.expects_header(str(peer[0]))
        if self.tls is None and not expects_header:
            self.tick.add(sock, host_port(peer), host_port(local), is_loopback(str(peer[0])))
        else:
            Arrival(self, sock, peer, local).start(expects_header)

    def may_step(self) -> bool:
        """Whether another handshake may be carried on in this round of the event loop."""
        if self._steps_left == 0:
            return False
        if self._steps_left == STEPS_AT_ONCE:
            self.tick.loop.call_soon(self._next_round)
        self._steps_left -= 1
        return True

    def _next_round(self) -> None:
        self._steps_left = STEPS_AT_ONCE

    def close(self) -> None:
        """Close the sockets that are on their way."""
        for arrival in list(self.arrivals):
            arrival.end()


class Arrival:
    """One socket on its way."""

    def __init__(self, entrance: Entrance, sock: socket.socket, peer: Address, local: Address) -> None:
        self._entrance: Final = entrance
        self._loop: Final = entrance.tick.loop
        self._sock: Final = sock
        self._descriptor: Final = sock.fileno()
        self._from_loopback = is_loopback(str(peer[0]))
        self._peer = peer
        self._local = local
        self._header = b""  # of the PROXY protocol, as far as it came
        self._incoming: Final = ssl.MemoryBIO()
        self._outgoing: Final = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._heard = False
        self._done = False  # with the handshake
        self._unsent = b""

    def start(self, expects_header: bool) -> None:
        """Begin with what comes first."""
        self._entrance.tick.arriving += 1
        self._entrance.arrivals.add(self)
        self._sock.setblocking(False)
        self._deadline = self._loop.call_later(self._entrance.header_timeout, self._too_late)
        self._loop.add_reader(self._descriptor, self._readable)
        if not expects_header:
            self._begin_tls()

    def _readable(self) -> None:
        if self._tls is not None and not self._entrance.may_step():
            return
        try:
            data = self._sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._refuse("it ended the connection")
            return
        if not self._heard:
            self._heard = True
            if self._tls is not None and data.startswith(AMQP):
                self._refuse("it speaks AMQP without TLS")
                return
        if self._tls is None:
            self._read_header(data)
        else:
            self._incoming.write(data)
            self._shake_hands()

    def _read_header(self, data: bytes) -> None:
        self._header += data
        try:
            header = parse_header(self._header)
        except BadHeader as error:
            self._refuse(str(error))
            return
        if header is None:
            return
        if header.ends is not None:
            self._peer, self._local = header.ends
            # Whoever is trusted to pass on strangers is not trusted to call them our own.
            self._from_loopback = self._from_loopback and is_loopback(header.ends[0][0])
        behind = self._header[header.size :]
        if self._entrance.tls is None:
            self._enter(behind, None)
            return
        self._begin_tls()
        if behind:
            self._incoming.write(behind)
            self._shake_hands_in_turn()

    # TLS

    def _begin_tls(self) -> None:
        settings = self._entrance.tls
        assert settings is not None
        self._deadline.cancel()
        self._deadline = self._loop.call_later(settings.timeout, self._too_late)
        self._tls = settings.certificates.current().wrap_bio(self._incoming, self._outgoing, server_side=True)

    def _shake_hands_in_turn(self) -> None:
        """Go on with what came together with the header, which no socket that is readable will remind of."""
        if self not in self._entrance.arrivals:
            return
        if self._entrance.may_step():
            self._shake_hands()
        else:
            self._loop.call_soon(self._shake_hands_in_turn)

    def _shake_hands(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._send()  # the alert
            self._refuse(refusal(error))
            return
        else:
            self._done = True
        self._send()
        if self._unsent:
            self._loop.remove_reader(self._descriptor)
            self._loop.add_writer(self._descriptor, self._writable)
        elif self._done:
            self._enter_with_tls()

    def _send(self) -> None:
        self._unsent += self._outgoing.read()
        if self._unsent:
            try:
                self._unsent = self._unsent[self._sock.send(self._unsent) :]
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._unsent = b""  # nobody is there any more, which reading will tell

    def _writable(self) -> None:
        self._send()
        if not self._unsent:
            self._loop.remove_writer(self._descriptor)
            if self._done:
                self._enter_with_tls()
            else:
                self._loop.add_reader(self._descriptor, self._readable)

    def _enter_with_tls(self) -> None:
        settings, connection = self._entrance.tls, self._tls
        assert settings is not None and connection is not None
        try:
            too_deep = is_too_deep(connection, settings.certificates.settings.depth)
            encryption = encryption_of(connection, settings.login)
        except (ValueError, ssl.SSLError) as error:
            self._refuse(f"its certificate can't be read: {error}")
            return
        if too_deep:
            self._refuse("there are too many authorities above its certificate")
            return
        self._enter(b"", TlsSession(connection, self._incoming, self._outgoing, encryption))

    # the end

    def _enter(self, data: bytes, session: TlsSession | None) -> None:
        """Become a client, which has sent `data` already."""
        self._leave()
        peer, local = host_port(self._peer), host_port(self._local)
        client = self._entrance.tick.add(self._sock, peer, local, self._from_loopback, session)
        client.take(data)  # with TLS there may be something in the session, too

    def _too_late(self) -> None:
        what = "the header of the PROXY protocol" if self._tls is None else "TLS's handshake"
        self._refuse(f"{what} took too long")

    def _refuse(self, why: str) -> None:
        """Close the socket. Who comes and goes without a word, like a probe, is not worth a warning."""
        level = logging.WARNING if self._heard else logging.DEBUG
        peer = host_port(self._peer)
        name = f"{peer} -> {host_port(self._local)}"
        log.log(level, "refused connection %s: %s", name, why, extra={"fields": {"connection": name, "peer": peer}})
        self.end()

    def end(self) -> None:
        """Close the socket."""
        self._leave()
        self._sock.close()

    def _leave(self) -> None:
        self._deadline.cancel()
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._entrance.arrivals.discard(self)
        self._entrance.tick.arriving -= 1


def refusal(error: ssl.SSLError) -> str:
    """Why a handshake failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    return f"TLS's handshake failed: {reason(error)}"
