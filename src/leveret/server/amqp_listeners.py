"""All listeners of AMQP: plain ones, with TLS, on a Unix socket, and those that systemd has opened.

Where systemd has opened sockets of a kind, they are in the place of those in the settings: it holds their ports.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from leveret.server.arrival import Entrance, TlsEntrance
from leveret.server.certificate import ALTERNATIVE_NAME, ALTERNATIVE_NAMES, LoginName
from leveret.server.from_settings import socket_options
from leveret.server.listener import CannotListen, Listener, adopt, listen_tcp, listen_unix
from leveret.server.proxy_protocol import ProxyRule, parse_network
from leveret.server.service_manager import HandedSockets
from leveret.server.setting_kinds import split_address
from leveret.server.settings import Settings
from leveret.server.tick import Tick
from leveret.server.tls import CannotUse, Certificates, TlsOptions, parse_named_certificate

log: Final = logging.getLogger("leveret.tls")

UNNAMED: Final = ""
PLAIN: Final = "amqp"
TLS: Final = "amqps"
NOWHERE_TO_LISTEN: Final = "there is nothing to listen on: bind is none, and there is no unix_socket"
PURPOSE: Final = "AMQP"  # of the certificates, for people


def tls_options(settings: Settings) -> TlsOptions:
    """The TLS of AMQP listeners."""
    return TlsOptions(
        certfile=settings.tls_certfile,
        keyfile=settings.tls_keyfile,
        cacertfile=settings.tls_cacertfile,
        password=settings.tls_password,
        verify=settings.tls_verify,
        fail_if_no_peer_cert=settings.tls_fail_if_no_peer_cert,
        depth=settings.tls_depth,
        versions=settings.tls_versions,
        ciphers=settings.tls_ciphers,
        sni=tuple(parse_named_certificate(each) for each in settings.tls_sni),
    )


def tls_entrance(settings: Settings, certificates: Certificates) -> TlsEntrance:
    """How clients come in with TLS."""
    source, san_type = settings.tls_cert_login_from, settings.tls_cert_login_san_type
    if source.startswith("subject_alt"):
        source = ALTERNATIVE_NAME
        if san_type not in ALTERNATIVE_NAMES:
            log.warning("nobody can log in by certificate: alternative names of type %s can't be read", san_type)
    login = LoginName(source, san_type, settings.tls_cert_login_san_index)
    return TlsEntrance(certificates, login, settings.tls_handshake_timeout / 1000)


class AmqpListeners:
    """The listeners, in the order in which they are told, and the certificates of those that have TLS."""

    def __init__(self, tick: Tick, settings: Settings) -> None:
        self.opened: Final[list[Listener]] = []
        self.certificates: Certificates | None = None
        self._tick: Final = tick
        self._settings: Final = settings
        self._options: Final = socket_options(settings)

    async def open(self, handed: HandedSockets) -> None:
        """Open every listener; takes the sockets that it uses out of `handed`. Raises CannotListen."""
        settings = self._settings
        proxy = None
        if settings.proxy_protocol:
            proxy = ProxyRule([parse_network(each) for each in settings.proxy_protocol_trusted_sources])
        plain = handed.pop(PLAIN, []) + handed.pop(UNNAMED, [])
        encrypted = handed.pop(TLS, [])
        entrance = None if proxy is None else Entrance(self._tick, proxy, None)
        await self._open(plain, settings.bind, settings.port, entrance)
        if settings.unix_socket is not None:
            self.opened.append(listen_unix(self._tick, settings.unix_socket, self._options))
        if encrypted or settings.tls_bind:
            try:
                self.certificates = Certificates(tls_options(settings), PURPOSE)
            except CannotUse as error:
                raise CannotListen(f"cannot listen for TLS: {error}") from None
            entrance = Entrance(self._tick, proxy, tls_entrance(settings, self.certificates))
            await self._open(encrypted, settings.tls_bind, settings.tls_port, entrance)
        if not self.opened:
            raise CannotListen(NOWHERE_TO_LISTEN)

    async def _open(
        self, handed: Sequence[socket.socket], addresses: Sequence[str], port: int, entrance: Entrance | None
    ) -> None:
        """Take over the sockets that were handed over; if there are none, listen on the addresses."""
        for sock in handed:
            self.opened.append(adopt(self._tick, sock, self._options, entrance))
        for address in () if handed else addresses:
            host, own_port = split_address(address)
            added = await listen_tcp(self._tick, host, int(own_port) if own_port else port, self._options, entrance)
            if not own_port:
                port = int(added[0].sock.getsockname()[1])
            self.opened.extend(added)

    def urls(self) -> list[str]:
        """Where clients find the broker."""
        return [listener.url for listener in self.opened]

    def certificate_files(self) -> dict[str, list[tuple[Path | None, Path | None]]]:
        """The files of certificates and of authorities, by the URL of each listener with TLS."""
        files = [] if self.certificates is None else self.certificates.files()
        return {listener.url: files for listener in self.opened if listener.url.startswith(f"{TLS}://")}

    def reload(self, _: Settings) -> None:
        """Read the certificates again."""
        if self.certificates is not None:
            self.certificates.reload()

    def suspend(self) -> None:
        """Take no more clients, nor those that are on their way."""
        for listener in self.opened:
            listener.suspend()
            if listener.entrance is not None:
                listener.entrance.close()

    def resume(self) -> None:
        """Take clients again. Raises CannotListen for the first listener that can't, when the others do."""
        failures: list[CannotListen] = []
        for listener in self.opened:
            try:
                listener.resume()
            except CannotListen as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def close(self) -> None:
        """Listen no more."""
        for listener in self.opened:
            listener.close()
