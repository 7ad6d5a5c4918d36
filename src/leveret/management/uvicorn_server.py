"""Serving an application in the broker's event loop, with uvicorn on sockets that listen already."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Generator, Sequence
from typing import Final

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import Server

GOODBYE: Final = 1  # seconds for requests that are being answered when the broker stops
KEEP_ALIVE: Final = 60  # seconds that a client's connection may be idle
MOST_CONNECTIONS: Final = 1000  # others are answered 503: open files are for AMQP clients


class ServerInLoop(Server):
    """uvicorn as a part of a program whose signals are not its business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the broker."""
        yield


def server(application: ASGIApp, context: ssl.SSLContext | None) -> ServerInLoop:
    """A server of an application, with TLS if there is a context for that."""
    config = Config(
        application,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=GOODBYE,
    )
    config.load()
    config.ssl = context  # uvicorn would make one of its own, from files that are read once
    return ServerInLoop(config)


class ServedApplication:
    """An application that is served until `close`: on some sockets plainly, on others with TLS."""

    def __init__(
        self,
        application: ASGIApp,
        sockets: Sequence[socket.socket],
        encrypted: Sequence[socket.socket],
        context: ssl.SSLContext | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        served = [(server(application, tls), each) for each, tls in ((sockets, None), (encrypted, context)) if each]
        self._servers: Final = [each for each, _ in served]
        self._tasks: Final = [loop.create_task(each.serve(list(its_sockets))) for each, its_sockets in served]

    async def close(self) -> None:
        """Finish what is being answered, and close the sockets."""
        for each in self._servers:
            each.should_exit = True
        await asyncio.gather(*self._tasks)
