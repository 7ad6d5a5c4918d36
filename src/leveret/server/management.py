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
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from leveret.server.listener import CannotListen, open_sockets, url_of

if TYPE_CHECKING:
    from leveret.management.http.serving import Serving
    from leveret.management.node import Node

log: Final = logging.getLogger("leveret.management")

SERVING: Final = "leveret.management.http.serving"


class ManagementListeners:
    """The sockets of the HTTP API, none if there is to be no API."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets: Final = sockets
        self.urls: Final = [url_of(sock.getsockname(), "http") for sock in sockets]
        self._loading: asyncio.Task[Serving | None] | None = None

    def serve(self, make_node: Callable[[], Node]) -> None:
        """Answer for the node that is made when the code is there, which is soon."""
        if self._sockets:
            self._loading = asyncio.get_running_loop().create_task(self._load(make_node))

    async def _load(self, make_node: Callable[[], Node]) -> Serving | None:
        try:
            module = await asyncio.get_running_loop().run_in_executor(None, importlib.import_module, SERVING)
        except ImportError as error:
            log.error("cannot serve the HTTP API: %s", error)
            return None
        serving: Serving = module.Serving(make_node(), self._sockets)
        gc.freeze()  # the code stays: no need to look at it again and again
        return serving

    async def close(self) -> None:
        """Finish what is being answered, and listen no more."""
        serving = None if self._loading is None else await self._loading
        if serving is not None:
            await serving.close()
        for sock in self._sockets:
            sock.close()


async def listen_http(hosts: Sequence[str], port: int) -> ManagementListeners:
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
    return ManagementListeners(sockets)
