"""HTTP in the server, for the API and the metrics: its sockets listen before `ready`, its code is loaded after that.

Loading takes a tenth of a second, in which AMQP clients can be served already: it is done by a thread. Who asks
meanwhile waits in the sockets' backlog.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from leveret.server.listener import CannotListen, check_listening, open_sockets, url_of
from leveret.server.service_manager import HandedSockets
from leveret.server.settings import Settings
from leveret.server.tls import CannotUse, Certificates, TlsOptions

if TYPE_CHECKING:
    from leveret.management.node import Node
    from leveret.management.uvicorn_server import ServedApplication

log: Final = logging.getLogger("leveret.management")

API: Final = "leveret.management.http.serving"
METRICS: Final = "leveret.management.metrics.serving"
SCHEMES: Final = {API: ("http", "https"), METRICS: ("http+prometheus", "https+prometheus")}
PURPOSES: Final = {API: "the HTTP API", METRICS: "the metrics"}  # of certificates, for people
FLAGS: Final = {API: "--management-port", METRICS: "--prometheus-port"}
HANDED: Final = {API: ("http", "https"), METRICS: ("metrics", "metrics-tls")}  # names of sockets of systemd


@dataclass(frozen=True)
class HttpTls:
    """Where HTTP is served with TLS: hosts, if others than without; no port if nowhere."""

    hosts: tuple[str, ...]
    port: int | None
    options: TlsOptions


class HttpListeners:
    """The sockets of the HTTP API, or of the metrics, none if there is to be no such; some of them may have TLS.

    `module` is what serves them: API or METRICS.
    """

    def __init__(self, module: str) -> None:
        self._module: Final = module
        self._sockets: Final[list[socket.socket]] = []
        self._encrypted: Final[list[socket.socket]] = []
        self._certificates: Certificates | None = None
        self._context: ssl.SSLContext | None = None
        self._loading: asyncio.Task[ServedApplication | None] | None = None

    async def open(self, hosts: Sequence[str], port: int | None, tls: HttpTls, handed: HandedSockets) -> None:
        """Listen on every address of these hosts, if there is a port, and where there shall be TLS.

        Sockets that systemd has opened are taken instead, out of `handed`. Raises CannotListen.
        """
        plain_name, encrypted_name = HANDED[self._module]
        self._sockets.extend(adopt_http(handed.pop(plain_name, [])))
        if port is not None and not self._sockets:
            try:
                self._sockets.extend(await listen_http(hosts, port))
            except CannotListen as failure:  # often a RabbitMQ that runs on the same machine has the port
                text = f"{failure} ({PURPOSES[self._module]}: {FLAGS[self._module]})"
                raise CannotListen(text) from None
        encrypted = handed.pop(encrypted_name, [])
        if encrypted or tls.port is not None:
            try:
                self._certificates = Certificates(tls.options, PURPOSES[self._module])
                self._context = self._certificates.lasting_context()
            except CannotUse as error:
                raise CannotListen(f"cannot listen for {PURPOSES[self._module]} with TLS: {error}") from None
            self._encrypted.extend(adopt_http(encrypted))
        if tls.port is not None and not self._encrypted:
            self._encrypted.extend(await listen_http(tls.hosts or hosts, tls.port))

    def urls(self) -> list[str]:
        """Where it is; what is plain comes first."""
        return [
            url_of(sock.getsockname(), scheme)
            for scheme, sockets in zip(SCHEMES[self._module], (self._sockets, self._encrypted), strict=True)
            for sock in sockets
        ]

    def certificate_files(self) -> dict[str, list[tuple[Path | None, Path | None]]]:
        """The files of certificates and of authorities, by the URL of each listener with TLS."""
        if self._certificates is None:
            return {}
        files, scheme = self._certificates.files(), SCHEMES[self._module][1]
        return {url_of(sock.getsockname(), scheme): files for sock in self._encrypted}

    def reload(self, _: Settings) -> None:
        """Read the certificates again."""
        if self._certificates is not None:
            self._certificates.reload()

    def serve(self, make_node: Callable[[], Node]) -> None:
        """Answer for the node that is made when the code is there, which is soon."""
        if self._sockets or self._encrypted:
            self._loading = asyncio.get_running_loop().create_task(self._load(make_node))

    async def _load(self, make_node: Callable[[], Node]) -> ServedApplication | None:
        try:
            module = await asyncio.get_running_loop().run_in_executor(None, importlib.import_module, self._module)
        except ImportError as error:
            log.error("cannot serve %s: %s", ", ".join(self.urls()), error)
            return None
        serving: ServedApplication = module.Serving(make_node(), self._sockets, self._encrypted, self._context)
        gc.freeze()  # the code stays: no need to look at it again and again
        return serving

    async def close(self) -> None:
        """Finish what is being answered, and listen no more."""
        serving = None if self._loading is None else await self._loading
        if serving is not None:
            await serving.close()
        for sock in self._sockets + self._encrypted:
            sock.close()


def management_tls(settings: Settings) -> HttpTls:
    """The TLS of the HTTP API."""
    options = TlsOptions(
        certfile=settings.management_tls_certfile,
        keyfile=settings.management_tls_keyfile,
        cacertfile=settings.management_tls_cacertfile,
        password=settings.management_tls_password,
        verify=settings.management_tls_verify,
        fail_if_no_peer_cert=settings.management_tls_fail_if_no_peer_cert,
        depth=settings.tls_depth if settings.management_tls_depth is None else settings.management_tls_depth,
        versions=settings.management_tls_versions or settings.tls_versions,
        ciphers=settings.management_tls_ciphers or settings.tls_ciphers,
    )
    return HttpTls(settings.management_tls_bind, settings.management_tls_port, options)


def metrics_tls(settings: Settings) -> HttpTls:
    """The TLS of the metrics."""
    options = TlsOptions(
        certfile=settings.prometheus_tls_certfile,
        keyfile=settings.prometheus_tls_keyfile,
        cacertfile=settings.prometheus_tls_cacertfile,
        password=settings.prometheus_tls_password,
        verify=settings.prometheus_tls_verify,
        fail_if_no_peer_cert=settings.prometheus_tls_fail_if_no_peer_cert,
        depth=settings.tls_depth if settings.prometheus_tls_depth is None else settings.prometheus_tls_depth,
        versions=settings.prometheus_tls_versions or settings.tls_versions,
        ciphers=settings.prometheus_tls_ciphers or settings.tls_ciphers,
    )
    return HttpTls(settings.prometheus_tls_bind, settings.prometheus_tls_port, options)


def adopt_http(sockets: Sequence[socket.socket]) -> Sequence[socket.socket]:
    """Sockets that somebody else has opened. Raises CannotListen for those that HTTP can't be served on."""
    for sock in sockets:
        check_listening(sock)
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            raise CannotListen(f"cannot listen on file descriptor {sock.fileno()}: HTTP is served by TCP alone")
    return sockets


async def listen_http(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Listen on every address of these hosts, all on the same port; port 0 takes a free one. Raises CannotListen."""
    sockets: list[socket.socket] = []
    try:
        for host in hosts:
            added = await open_sockets(host, port)
            port = int(added[0].getsockname()[1])
            sockets += added
    except CannotListen:
        for sock in sockets:
            sock.close()
        raise
    return sockets
