"""The HTTP API and the metrics in the server: their sockets listen before it is ready, their code is loaded after that.

Loading takes a tenth of a second, in which AMQP clients can be served already: it is done by a thread. Who asks the
API meanwhile waits in the sockets' backlog.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from leveret.server.listener import CannotListen, open_sockets, url_of

if TYPE_CHECKING:
    from leveret.management.node import Node
    from leveret.management.uvicorn_server import ServedApplication

log: Final = logging.getLogger("leveret.management")

API: Final = "leveret.management.http.serving"
METRICS: Final = "leveret.management.metrics.serving"
SCHEMES: Final = {API: "http", METRICS: "http+prometheus"}


class ManagementListeners:
    """The sockets of the HTTP API, or of the metrics: none if there is to be no such. `module` is what serves them."""

    def __init__(self, module: str, sockets: Sequence[socket.socket]) -> None:
        self._module: Final = module
        self._sockets: Final = sockets
        self.urls: Final = [url_of(sock.getsockname(), SCHEMES[module]) for sock in sockets]
        self._loading: asyncio.Task[ServedApplication | None] | None = None

    def serve(self, make_node: Callable[[], Node]) -> None:
        """Answer for the node that is made when the code is there, which is soon."""
        if self._sockets:
            self._loading = asyncio.get_running_loop().create_task(self._load(make_node))

    async def _load(self, make_node: Callable[[], Node]) -> ServedApplication | None:
        try:
            module = await asyncio.get_running_loop().run_in_executor(None, importlib.import_module, self._module)
        except ImportError as error:
            log.error("cannot serve %s: %s", ", ".join(self.urls), error)
            return None
        serving: ServedApplication = module.Serving(make_node(), self._sockets)
        gc.freeze()  # the code stays: no need to look at it again and again
        return serving

    async def close(self) -> None:
        """Finish what is being answered, and listen no more."""
        serving = None if self._loading is None else await self._loading
        if serving is not None:
            await serving.close()
        for sock in self._sockets:
            sock.close()


async def listen_http(module: str, hosts: Sequence[str], port: int | None) -> ManagementListeners:
    """Listen on every address of these hosts, all on the same port: 0 takes a free one, None is none.

    Raises CannotListen.
    """
    if port is None:
        return ManagementListeners(module, [])
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
    return ManagementListeners(module, sockets)
