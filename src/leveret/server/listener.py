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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from leveret.server.tick import Tick

if TYPE_CHECKING:
    from leveret.server.arrival import Entrance

log: Final = logging.getLogger("leveret.listener")

EVERYWHERE: Final = "*"
IPV4_IN_IPV6: Final = "::ffff:"
ACCEPTED_AT_ONCE: Final = 64
PAUSE: Final = 1.0  # seconds without accepting when it fails, most likely because the machine has no more to give


class CannotListen(Exception):
    """An address that can't be listened on; the text is for the operator."""


@dataclass(frozen=True)
class SocketOptions:
    """What the sockets of listeners and their clients are set to. Sizes of buffers are octets, None is the system's."""

    backlog: int = 1024
    nodelay: bool = True
    keepalive: bool = True
    sndbuf: int | None = None
    recbuf: int | None = None


DEFAULT_OPTIONS: Final = SocketOptions()


class Listener:
    """One listening socket whose clients join the tick."""

    def __init__(
        self,
        tick: Tick,
        sock: socket.socket,
        url: str,
        unix_path: Path | None = None,
        options: SocketOptions = DEFAULT_OPTIONS,
        entrance: Entrance | None = None,
        ours: bool = True,
    ) -> None:
        """`unix_path` is that of a Unix socket. One that is `ours` was opened here: its path is removed at the end."""
        self.options = options
        self.entrance = entrance
        self.ours = ours
        self.tick = tick
        self.sock = sock
        self.url = url
        self.unix_path = unix_path
        self.is_suspended = False
        self.family = sock.family
        self.address: tuple[object, ...] = ()  # of one that is suspended
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
        if self.sock.fileno() >= 0 and not self.is_suspended:
            self.tick.loop.add_reader(self.sock.fileno(), self.accept)

    def _add(self, sock: socket.socket, address: object) -> None:
        if self.unix_path is not None:
            self.tick.add(sock, "unix", str(self.unix_path), True)
            return
        assert isinstance(address, tuple)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(self.options.nodelay))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(self.options.keepalive))
        local = sock.getsockname()
        if self.entrance is not None:
            self.entrance.admit(sock, address, local)
        else:
            self.tick.add(sock, host_port(address), host_port(local), is_loopback(str(address[0])))

    def suspend(self) -> None:
        """Refuse clients until `resume`. Those of a socket that somebody else holds can but wait."""
        if self.is_suspended:
            return
        self.is_suspended = True
        self.tick.loop.remove_reader(self.sock.fileno())
        if self.ours:
            self.address = self.sock.getsockname()
            self.sock.close()
            if self.unix_path is not None:
                self.unix_path.unlink(missing_ok=True)

    def resume(self) -> None:
        """Take clients again, at the same address. Raises CannotListen, and stays suspended, if that is taken."""
        if not self.is_suspended:
            return
        if self.ours:
            if self.unix_path is not None:
                self.sock = unix_socket(self.unix_path, self.options)
            else:
                try:
                    self.sock = tcp_socket(self.family, self.address, self.options)
                except OSError as error:
                    raise cannot_listen(self.address, error) from None
            self.sock.setblocking(False)
        self.is_suspended = False
        self.tick.loop.add_reader(self.sock.fileno(), self.accept)

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


def plain_host(host: str) -> str:
    """A client's address as RabbitMQ writes it: of IPv4 as such, also where a socket of IPv6 has accepted it."""
    return host.removeprefix(IPV4_IN_IPV6) if "." in host else host


def host_port(address: tuple[object, ...]) -> str:
    """An address as RabbitMQ names connections: host:port, with brackets around an IPv6 host."""
    host = plain_host(str(address[0]))
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"


def url_of(address: tuple[object, ...], scheme: str = "amqp") -> str:
    """The URL of a listening address."""
    return f"{scheme}://{host_port(address)}"


def url_for_amqp(sock: socket.socket, entrance: Entrance | None) -> str:
    """The URL of an AMQP listener's socket."""
    return url_of(sock.getsockname(), "amqp" if entrance is None or entrance.tls is None else "amqps")


async def listen_tcp(
    tick: Tick,
    host: str,
    port: int,
    options: SocketOptions = DEFAULT_OPTIONS,
    entrance: Entrance | None = None,
) -> list[Listener]:
    """Listen for AMQP clients as `open_sockets` says. Raises CannotListen."""
    sockets = await open_sockets(host, port, options)
    return [Listener(tick, sock, url_for_amqp(sock, entrance), None, options, entrance) for sock in sockets]


def adopt(tick: Tick, sock: socket.socket, options: SocketOptions, entrance: Entrance | None) -> Listener:
    """Take the clients of a socket that somebody else has opened. Raises CannotListen."""
    check_listening(sock)
    if sock.family == socket.AF_UNIX:
        path = os.fsdecode(sock.getsockname()).replace("\0", "@")  # that begins the name of one without a file
        return Listener(tick, sock, f"amqp+unix://{path}", Path(path), ours=False)
    return Listener(tick, sock, url_for_amqp(sock, entrance), None, options, entrance, ours=False)


def check_listening(sock: socket.socket) -> None:
    """Raises CannotListen for a socket that nobody can connect to."""
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise CannotListen(f"cannot listen on file descriptor {sock.fileno()}: it is no listening socket")


async def open_sockets(host: str, port: int, options: SocketOptions = DEFAULT_OPTIONS) -> list[socket.socket]:
    """Listen on every address that a host name stands for, all on the same port; port 0 takes a free one.

    The host * is every address of the machine. Raises CannotListen.
    """
    if host == EVERYWHERE:
        host = "::" if has_ipv6() else "0.0.0.0"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:  # the latter for what can't be a host name at all
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise CannotListen(f"cannot listen on {host}: {reason}") from None
    sockets: list[socket.socket] = []
    for family, address in dict.fromkeys((entry[0], entry[4]) for entry in found):
        wanted = (address[0], port, *address[2:])
        try:
            sock = tcp_socket(family, wanted, options)
        except OSError as error:
            for opened in sockets:
                opened.close()
            raise cannot_listen(wanted, error) from None
        port = int(sock.getsockname()[1])
        sockets.append(sock)
    return sockets


def cannot_listen(address: tuple[object, ...], error: OSError) -> CannotListen:
    """The error for an address that the system doesn't give."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return CannotListen(f"cannot listen on {host_port(address)}: {reason}")


def has_ipv6() -> bool:
    """Whether a socket can be bound to addresses of IPv6, which a machine may be without."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def tcp_socket(family: int, address: tuple[object, ...], options: SocketOptions) -> socket.socket:
    """A listening TCP socket; an IPv6 wildcard takes IPv4 clients too. Clients' sockets inherit its buffers."""
    # the protocol has to be named: asyncio turns off delays for sockets that say they are TCP
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address[0] == "::" else 1)
        for name, octets in ((socket.SO_SNDBUF, options.sndbuf), (socket.SO_RCVBUF, options.recbuf)):
            if octets is not None:
                sock.setsockopt(socket.SOL_SOCKET, name, octets)
        sock.bind(address)
        sock.listen(options.backlog)
    except OSError:
        sock.close()
        raise
    return sock


def listen_unix(tick: Tick, path: Path, options: SocketOptions = DEFAULT_OPTIONS) -> Listener:
    """Listen on a Unix socket as `unix_socket` says. Raises CannotListen."""
    return Listener(tick, unix_socket(path, options), f"amqp+unix://{path}", path, options)


def unix_socket(path: Path, options: SocketOptions) -> socket.socket:
    """A listening Unix socket; a socket that a dead broker left there is replaced. Raises CannotListen."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not is_served(path):
            path.unlink()
        sock.bind(str(path))
        sock.listen(options.backlog)
    except OSError as error:
        sock.close()
        raise CannotListen(f"cannot listen on {path}: {error.strerror or error}") from None
    return sock


def is_served(path: Path) -> bool:
    """Whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
