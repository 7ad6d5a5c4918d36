"""The HTTP API in the server: its sockets listen before the broker is ready, its code is loaded after that.

Loading takes a tenth of a second, in which AMQP clients can be served already: it is done by a thread. Who asks the
API meanwhile waits in the sockets' backlog.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from leveret.server.from_settings import management_hosts
from leveret.server.listener import CannotListen, open_sockets, url_of
from leveret.server.settings import Settings
from leveret.server.tls import CannotUse, Certificates, TlsOptions

if TYPE_CHECKING:
    from leveret.management.http.serving import Serving
    from leveret.management.node import Node

log: Final = logging.getLogger("leveret.management")

SERVING: Final = "leveret.management.http.serving"
PURPOSE: Final = "the HTTP API"  # of the certificates, for people


class ManagementListeners:
    """The sockets of the HTTP API, none if there is to be no API; some of them may have TLS."""

    def __init__(self) -> None:
        self._sockets: Final[list[socket.socket]] = []
        self._encrypted: Final[list[socket.socket]] = []
        self._certificates: Certificates | None = None
        self._context: ssl.SSLContext | None = None
        self._loading: asyncio.Task[Serving | None] | None = None

    async def open(self, settings: Settings) -> None:
        """Listen where the settings say so. Raises CannotListen, and then listens nowhere."""
        try:
            if settings.management_port is not None:
                self._sockets.extend(await listen_http(management_hosts(settings), settings.management_port))
            if settings.management_tls_port is not None:
                self._certificates = certificates_of(settings)
                self._context = self._certificates.lasting_context()
                hosts = settings.management_tls_bind or management_hosts(settings)
                self._encrypted.extend(await listen_http(hosts, settings.management_tls_port))
        except CannotListen:
            await self.close()
            raise

    def urls(self) -> list[str]:
        """Where the API is; what is plain comes first."""
        return [
            url_of(sock.getsockname(), scheme)
            for scheme, sockets in (("http", self._sockets), ("https", self._encrypted))
            for sock in sockets
        ]

    def reload(self, _: Settings) -> None:
        """Read the certificates again."""
        if self._certificates is not None:
            self._certificates.reload()

    def serve(self, make_node: Callable[[], Node]) -> None:
        """Answer for the node that is made when the code is there, which is soon."""
        if self._sockets or self._encrypted:
            self._loading = asyncio.get_running_loop().create_task(self._load(make_node))

    async def _load(self, make_node: Callable[[], Node]) -> Serving | None:
        try:
            module = await asyncio.get_running_loop().run_in_executor(None, importlib.import_module, SERVING)
        except ImportError as error:
            log.error("cannot serve the HTTP API: %s", error)
            return None
        serving: Serving = module.Serving(make_node(), self._sockets, self._encrypted, self._context)
        gc.freeze()  # the code stays: no need to look at it again and again
        return serving

    async def close(self) -> None:
        """Finish what is being answered, and listen no more."""
        serving = None if self._loading is None else await self._loading
        if serving is not None:
            await serving.close()
        for sock in self._sockets + self._encrypted:
            sock.close()


def certificates_of(settings: Settings) -> Certificates:
    """The TLS of the HTTP API. Raises CannotListen."""
    options = TlsOptions(
        certfile=settings.management_tls_certfile,
        keyfile=settings.management_tls_keyfile,
        cacertfile=settings.management_tls_cacertfile,
        password=settings.management_tls_password,
        verify=settings.management_tls_verify,
        fail_if_no_peer_cert=settings.management_tls_fail_if_no_peer_cert,
        depth=settings.tls_depth,
        versions=settings.tls_versions,
        ciphers=settings.tls_ciphers,
    )
    try:
        return Certificates(options, PURPOSE)
    except CannotUse as error:
        raise CannotListen(f"cannot listen for the HTTP API with TLS: {error}") from None


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
