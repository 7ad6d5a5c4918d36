"""All listeners of AMQP: plain ones, with TLS, on a Unix socket, and those that systemd has opened.

Where systemd has opened sockets of a kind, they are in the place of those in the configuration: it holds their ports.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from leveret.server.arrival import Entrance, TlsEntrance
from leveret.server.certificate import LoginName
from leveret.server.listener import CannotListen, Listener, adopt, listen_tcp, listen_unix
from leveret.server.proxy_protocol import ProxyRule
from leveret.server.tick import Tick
from leveret.server.tls import CannotUse, Certificates, TlsSettings

if TYPE_CHECKING:
    from leveret.server.server import Configuration

UNNAMED: Final = ""
PLAIN: Final = "amqp"
TLS: Final = "amqps"
PURPOSE: Final = "AMQP"  # of the certificates, for people


def tls_settings(configuration: Configuration) -> TlsSettings:
    """The TLS of AMQP listeners."""
    return TlsSettings(
        certfile=configuration.tls_certfile,
        keyfile=configuration.tls_keyfile,
        cacertfile=configuration.tls_cacertfile,
        password=configuration.tls_password,
        verify=configuration.tls_verify,
        fail_if_no_peer_cert=configuration.tls_fail_if_no_peer_cert,
        depth=configuration.tls_depth,
        versions=configuration.tls_versions,
        ciphers=configuration.tls_ciphers,
        sni=configuration.tls_sni,
    )


def tls_entrance(configuration: Configuration, certificates: Certificates) -> TlsEntrance:
    """How clients come in with TLS."""
    login = LoginName(
        configuration.tls_cert_login_from,
        configuration.tls_cert_login_san_type,
        configuration.tls_cert_login_san_index,
    )
    return TlsEntrance(certificates, login, configuration.tls_handshake_timeout / 1000)


class AmqpListeners:
    """The listeners, and the certificates of those that have TLS; `opened` is in the order in which they are told."""

    def __init__(self) -> None:
        self.opened: Final[list[Listener]] = []
        self.certificates: Certificates | None = None

    async def open(self, tick: Tick, configuration: Configuration, handed: dict[str, list[socket.socket]]) -> None:
        """Open every listener; takes the sockets that it uses out of `handed`. Raises CannotListen."""
        plain = handed.pop(PLAIN, []) + handed.pop(UNNAMED, [])
        encrypted = handed.pop(TLS, [])
        proxy = None
        if configuration.proxy_protocol:
            proxy = ProxyRule(configuration.proxy_protocol_trusted_sources)
        entrance = None if proxy is None else Entrance(tick, proxy, None)
        if plain:
            self.opened.extend([adopt(tick, sock, entrance) for sock in plain])
        else:
            await self._listen(tick, configuration.bind, configuration.port, entrance)
        if configuration.unix_socket is not None:
            self.opened.append(listen_unix(tick, configuration.unix_socket))
        if encrypted or configuration.tls_bind:
            await self._open_encrypted(tick, configuration, proxy, encrypted)
        if not self.opened:
            raise CannotListen("there is nothing to listen on")

    async def _open_encrypted(
        self, tick: Tick, configuration: Configuration, proxy: ProxyRule | None, encrypted: list[socket.socket]
    ) -> None:
        try:
            self.certificates = Certificates(tls_settings(configuration), PURPOSE)
        except CannotUse as error:
            raise CannotListen(f"cannot listen for TLS: {error}") from None
        entrance = Entrance(tick, proxy, tls_entrance(configuration, self.certificates))
        if encrypted:
            self.opened.extend([adopt(tick, sock, entrance) for sock in encrypted])
        else:
            await self._listen(tick, configuration.tls_bind, configuration.tls_port, entrance)

    async def _listen(self, tick: Tick, hosts: tuple[str, ...], port: int, entrance: Entrance | None) -> None:
        for host in hosts:
            added = await listen_tcp(tick, host, port, entrance)
            port = int(added[0].sock.getsockname()[1])
            self.opened.extend(added)

    def urls(self) -> list[str]:
        """Where clients find the broker."""
        return [listener.url for listener in self.opened]

    def reload(self) -> None:
        """Read the certificates again."""
        if self.certificates is not None:
            self.certificates.reload()

    def close(self) -> None:
        """Listen no more."""
        for listener in self.opened:
            listener.close()
