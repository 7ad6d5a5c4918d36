"""Listening sockets: TCP on any address family, and Unix sockets.

Clients of a plain listener go to the tick at once; where TLS or the PROXY protocol comes first, through an `Entrance`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from leveret.server.tick import Tick

if TYPE_CHECKING:
    from leveret.server.arrival import Entrance

log: Final = logging.getLogger("leveret.listener")

BACKLOG: Final = 1024
ACCEPTED_AT_ONCE: Final = 64
PAUSE: Final = 1.0  # seconds without accepting when it fails, most likely because the machine has no more to give


class CannotListen(Exception):
    """An address that can't be listened on; the text is for the operator."""


class Listener:
    """One listening socket whose clients join the tick."""

    def __init__(
        self,
        tick: Tick,
        sock: socket.socket,
        url: str,
        unix_path: Path | None = None,
        entrance: Entrance | None = None,
        ours: bool = True,
    ) -> None:
        """`unix_path` is that of a Unix socket, which is removed at the end if it is `ours`."""
        self.tick = tick
        self.ours = ours
        self.entrance = entrance
        self.sock = sock
        self.url = url
        self.unix_path = unix_path
        sock.setblocking(False)
        tick.loop.add_reader(sock.fileno(), self.accept)

    def accept(self) -> None:
        """Take the clients that wait."""
        for _ in range(ACCEPTED_AT_ONCE):
            if self.tick.is_full():
                self._pause(f"{self.tick.most_clients} are open, which is as many as the open files limit allows")
                return
            try:
                sock, address = self.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error.strerror or str(error))
                return
            try:
                self._add(sock, address)
            except OSError:
                sock.close()  # the client is gone already

    def _pause(self, reason: str) -> None:
        log.error("cannot accept connections: %s", reason)
        self.tick.loop.remove_reader(self.sock.fileno())
        self.tick.loop.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        if self.sock.fileno() >= 0:
            self.tick.loop.add_reader(self.sock.fileno(), self.accept)

    def _add(self, sock: socket.socket, address: object) -> None:
        if self.unix_path is not None:
            self.tick.add(sock, "unix", str(self.unix_path), True)
            return
        assert isinstance(address, tuple)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        local = sock.getsockname()
        if self.entrance is not None:
            self.entrance.admit(sock, address, local)
        else:
            self.tick.add(sock, host_port(address), host_port(local), is_loopback(str(address[0])))

    def close(self) -> None:
        """Stop listening."""
        if self.sock.fileno() >= 0:
            self.tick.loop.remove_reader(self.sock.fileno())
            self.sock.close()
            if self.entrance is not None:
                self.entrance.close()
            if self.unix_path is not None and self.ours:
                self.unix_path.unlink(missing_ok=True)


def is_loopback(host: str) -> bool:
    """Whether an address is the machine's own loopback, also in IPv6's way of writing an IPv4 address."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def host_port(address: tuple[object, ...]) -> str:
    """An address as RabbitMQ names connections: host:port, with brackets around an IPv6 host."""
    host = str(address[0])
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"


def url_of(address: tuple[object, ...], entrance: Entrance | None = None) -> str:
    """The AMQP URL of a listening address."""
    return f"{'amqp' if entrance is None or entrance.tls is None else 'amqps'}://{host_port(address)}"


async def listen_tcp(tick: Tick, host: str, port: int, entrance: Entrance | None = None) -> list[Listener]:
    """Listen on every address that a host name stands for, all on the same port; port 0 takes a free one.

    Raises CannotListen.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:  # the latter for what can't be a host name at all
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise CannotListen(f"cannot listen on {host}: {reason}") from None
    listeners: list[Listener] = []
    for family, address in dict.fromkeys((entry[0], entry[4]) for entry in found):
        wanted = (address[0], port, *address[2:])
        try:
            sock = tcp_socket(family, wanted)
        except OSError as error:
            for listener in listeners:
                listener.close()
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CannotListen(f"cannot listen on {host_port(wanted)}: {reason}") from None
        port = int(sock.getsockname()[1])
        listeners.append(Listener(tick, sock, url_of(sock.getsockname(), entrance), entrance=entrance))
    return listeners


def tcp_socket(family: int, address: tuple[object, ...]) -> socket.socket:
    """A listening TCP socket; an IPv6 wildcard takes IPv4 clients too."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address[0] == "::" else 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def adopt(tick: Tick, sock: socket.socket, entrance: Entrance | None) -> Listener:
    """Take the clients of a socket that somebody else has opened. Raises CannotListen."""
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise CannotListen(f"cannot listen on file descriptor {sock.fileno()}: it is no listening socket")
    if sock.family == socket.AF_UNIX:
        path = os.fsdecode(sock.getsockname()).replace("\0", "@")  # that begins the name of one without a file
        return Listener(tick, sock, f"amqp+unix://{path}", Path(path), ours=False)
    return Listener(tick, sock, url_of(sock.getsockname(), entrance), entrance=entrance)


def listen_unix(tick: Tick, path: Path) -> Listener:
    """Listen on a Unix socket; a socket that a dead broker left there is replaced. Raises CannotListen."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not is_served(path):
            path.unlink()
        sock.bind(str(path))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotListen(f"cannot listen on {path}: {error.strerror or error}") from None
    return Listener(tick, sock, f"amqp+unix://{path}", path)


def is_served(path: Path) -> bool:
    """Whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
