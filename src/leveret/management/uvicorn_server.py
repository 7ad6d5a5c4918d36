"""Serving an application in the broker's event loop, with uvicorn on sockets that listen already."""

from __future__ import annotations

import asyncio
import contextlib
import socket
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


class ServedApplication:
    """An application on these sockets, served until `close`."""

    def __init__(self, application: ASGIApp, sockets: Sequence[socket.socket]) -> None:
        self._server: Final = ServerInLoop(
            Config(
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
        )
        self._task: Final = asyncio.get_running_loop().create_task(self._server.serve(list(sockets)))

    async def close(self) -> None:
        """Finish what is being answered, and close the sockets."""
        self._server.should_exit = True
        await self._task
