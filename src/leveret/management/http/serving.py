"""Serving the HTTP API of a node."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import Final

from leveret.management.http.application import application
from leveret.management.node import Node
from leveret.management.uvicorn_server import ServedApplication


class Serving(ServedApplication):
    """The API of a node."""

    def __init__(
        self,
        node: Node,
        sockets: Sequence[socket.socket],
        encrypted: Sequence[socket.socket] = (),
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._node: Final = node
        super().__init__(application(node), sockets, encrypted, context)

    async def close(self) -> None:
        """Finish what is being answered, close the sockets, and look at no counters any more."""
        self._node.recent_log.end()
        await super().close()
        await self._node.rates.close()
