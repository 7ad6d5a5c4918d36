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
from pathlib import Path
from typing import TYPE_CHECKING, Final

from leveret.server.from_settings import management_hosts, metrics_hosts
from leveret.server.listener import CannotListen, open_sockets, url_of
from leveret.server.settings import Settings
from leveret.server.tls import CannotUse, Certificates, TlsOptions

if TYPE_CHECKING:
    from leveret.management.node import Node
    from leveret.management.uvicorn_server import ServedApplication

log: Final = logging.getLogger("leveret.management")

API: Final = "leveret.management.http.serving"
METRICS: Final = "leveret.management.metrics.serving"
SCHEMES: Final = {API: ("http", "https"), METRICS: ("http+prometheus", "https+prometheus")}
PURPOSES: Final = {API: "the HTTP API", METRICS: "the metrics"}  # of the certificates, for people


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

    async def open(self, hosts: Sequence[str], port: int | None) -> None:
        """Listen on every address of these hosts, if there is a port. Raises CannotListen."""
        if port is not None:
            self._sockets.extend(await listen_http(hosts, port))

    async def open_encrypted(self, hosts: Sequence[str], port: int, certificates: Certificates) -> None:
        """As `open`, with TLS."""
        self._certificates = certificates
        self._context = certificates.lasting_context()
        self._encrypted.extend(await listen_http(hosts, port))

    def urls(self) -> list[str]:
        """Where it is; what is plain comes first."""
        return [
            url_of(sock.getsockname(), scheme)
            for scheme, sockets in zip(SCHEMES[self._module], (self._sockets, self._encrypted), strict=True)
            for sock in sockets
        ]

    def certificate_files(self) -> dict[str, tuple[Path | None, Path | None]]:
        """The files of the certificate and of the authorities, by the URL of each listener with TLS."""
        if self._certificates is None:
            return {}
        options, scheme = self._certificates.settings, SCHEMES[self._module][1]
        files = options.certfile, options.cacertfile
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


async def open_http(management: HttpListeners, metrics: HttpListeners, settings: Settings) -> None:
    """Listen where the settings say so. Raises CannotListen, and then listens nowhere."""
    try:
        await management.open(management_hosts(settings), settings.management_port)
        if settings.management_tls_port is not None:
            hosts = settings.management_tls_bind or management_hosts(settings)
            await management.open_encrypted(hosts, settings.management_tls_port, api_certificates(settings))
        await metrics.open(metrics_hosts(settings), settings.prometheus_port)
        if settings.prometheus_tls_port is not None:
            hosts = settings.prometheus_tls_bind or metrics_hosts(settings)
            await metrics.open_encrypted(hosts, settings.prometheus_tls_port, metrics_certificates(settings))
    except CannotListen:
        await asyncio.gather(management.close(), metrics.close())
        raise


def api_certificates(settings: Settings) -> Certificates:
    """The TLS of the HTTP API. Raises CannotListen."""
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
    return certificates(options, PURPOSES[API])


def metrics_certificates(settings: Settings) -> Certificates:
    """The TLS of the metrics. Raises CannotListen."""
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
    return certificates(options, PURPOSES[METRICS])


def certificates(options: TlsOptions, purpose: str) -> Certificates:
    """The certificates that the options name. Raises CannotListen."""
    try:
        return Certificates(options, purpose)
    except CannotUse as error:
        raise CannotListen(f"cannot listen for {purpose} with TLS: {error}") from None


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
