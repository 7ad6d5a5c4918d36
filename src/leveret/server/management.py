"""The HTTP API in the server: its sockets listen before the broker is ready, its code is loaded after that.

Loading takes a tenth of a second, in which AMQP clients can be served already: it is done by a thread. Who asks the
API meanwhile waits in the sockets' backlog.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from leveret.management.node import Node
from leveret.server.listener import CannotListen, open_sockets, url_of

if TYPE_CHECKING:
    from leveret.management.http.serving import Serving

SERVING: Final = "leveret.management.http.serving"


class ManagementListeners:
    """The sockets of the HTTP API, none if there is to be no API."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets: Final = sockets
        self.urls: Final = [url_of(sock.getsockname(), "http") for sock in sockets]
        self._serving: Serving | None = None

    async def serve(self, node: Node) -> None:
        """Begin to answer."""
        if self._sockets:
            module = await asyncio.get_running_loop().run_in_executor(None, importlib.import_module, SERVING)
            serving: Serving = module.Serving(node, self._sockets)
            self._serving = serving

    async def close(self) -> None:
        """Finish what is being answered, and listen no more."""
        if self._serving is not None:
            await self._serving.close()
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
