"""Serving the metrics of a node."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence

from leveret.management.metrics.application import application
from leveret.management.node import Node
from leveret.management.uvicorn_server import ServedApplication


class Serving(ServedApplication):
    """The metrics of a node."""

    def __init__(
        self,
        node: Node,
        sockets: Sequence[socket.socket],
        encrypted: Sequence[socket.socket] = (),
        context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(application(node), sockets, encrypted, context)
