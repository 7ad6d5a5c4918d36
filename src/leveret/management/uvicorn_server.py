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
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import Server

GOODBYE: Final = 1  # seconds for requests that are being answered when the broker stops
LAST_CALL: Final = 0.7  # seconds of them for clients to take the answers
KEEP_ALIVE: Final = 60  # seconds that a client's connection may be idle
MOST_CONNECTIONS: Final = 1000  # others are answered 503: open files are for AMQP clients
MOST_SOCKETS: Final = 1200  # others are closed at once
REQUEST_TIMEOUT: Final = 30.0  # seconds in which the first request has to be there
BODY_TIMEOUT: Final = 60.0  # seconds in which more of a body has to come, as in RabbitMQ
STALL_TIMEOUT: Final = 30.0  # seconds in which a client has to take what waits for it, as in RabbitMQ


class Protocol(H11Protocol):
    """uvicorn's connection with a client, which may not wait for ever to say what it wants.

    uvicorn itself closes a connection that is silent behind an answer, not one that says nothing at all, or little by
    little. Strangers would have all open files so. Nor may it let an answer lie, which takes memory.
    """

    waiting: asyncio.TimerHandle | None = None
    stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        if len(self.connections) > MOST_SOCKETS:
            transport.abort()
        else:
            self._wait(REQUEST_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._wait_no_more()
        self._take_note_of_progress()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Something was received."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait_no_more()
            if self.cycle.more_body:
                self._wait(BODY_TIMEOUT)

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing of requests for HTTP/2 or WebSockets, which are answered as if they were none."""

    def on_response_complete(self) -> None:
        """An answer was sent."""
        self._wait_no_more()
        self._wait(KEEP_ALIVE)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        super().pause_writing()
        self.stalled = self.loop.call_later(STALL_TIMEOUT, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken nearly all."""
        self._take_note_of_progress()
        super().resume_writing()

    def shutdown(self) -> None:
        """The broker stops. Who has not taken an answer by then is hung up on before uvicorn logs an error."""
        super().shutdown()
        self._wait_no_more()
        self._wait(LAST_CALL)

    def _take_note_of_progress(self) -> None:
        if self.stalled is not None:
            self.stalled.cancel()
            self.stalled = None

    def _wait(self, seconds: float) -> None:
        self.waiting = self.loop.call_later(seconds, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None


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
        http=Protocol,
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
