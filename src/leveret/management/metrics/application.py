"""The application on the metrics' port: `/metrics`, `/metrics/per-object` and `/metrics/detailed`.

They are for everybody, or for monitors and administrators alone if the settings say so.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from importlib import import_module
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from leveret.broker.users import ADMINISTRATOR, MONITORING
from leveret.management.http.access import authenticate
from leveret.management.http.errors import Refused
from leveret.management.http.slices import paced
from leveret.management.node import Node

if TYPE_CHECKING:
    from leveret.management.metrics.scrape import Scraper

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SCRAPE: Final = "leveret.management.metrics.scrape"
NOT_FOUND: Final = {"error": "Object Not Found", "reason": "Not Found"}  # RabbitMQ's
PIECE: Final = 65536  # octets, about
GZIP: Final = 31  # zlib's window for a gzip stream
COMPRESSION: Final = 4  # of 9: twice as fast as the usual 6, and hardly larger


MONITORS: Final = (ADMINISTRATOR, MONITORING)
CHALLENGE: Final = {"www-authenticate": 'Basic realm="RabbitMQ Prometheus"'}


class Metrics:
    """Answers scrapes of a node; what makes them is loaded with the first."""

    def __init__(self, node: Node) -> None:
        self._node: Final = node
        self._scraper: Scraper | None = None

    async def _scraper_for(self, request: Request) -> Scraper:
        """What makes the answer; Refused if it is not for whoever asks."""
        if self._node.metrics_for_monitors_alone:
            host = request.client.host if request.client is not None else ""
            await authenticate(self._node, request.headers.get("authorization"), host, MONITORS, "Not monitor user")
        return await self._loaded()

    async def _loaded(self) -> Scraper:
        if self._scraper is None:
            module = await asyncio.get_running_loop().run_in_executor(None, import_module, SCRAPE)
            if self._scraper is None:
                self._scraper = module.Scraper(self._node)
        assert self._scraper is not None
        return self._scraper

    async def aggregated(self, request: Request) -> Response:
        """Sums, or what is told of each object if the settings say so."""
        if self._node.metrics_per_object:
            return await self.per_object(request)
        return answer(request, (await self._scraper_for(request)).aggregated())

    async def per_object(self, request: Request) -> Response:
        """What is told of each object."""
        return answer(request, (await self._scraper_for(request)).per_object())

    async def detailed(self, request: Request) -> Response:
        """The families, virtual hosts and queues that are asked for."""
        query = request.query_params
        asked = query.getlist("family"), query.getlist("vhost"), query.getlist("queue")
        return answer(request, (await self._scraper_for(request)).detailed(*asked))


def answer(request: Request, pieces: AsyncIterator[bytes]) -> Response:
    """The answer that says this, compressed for those who want that."""
    headers = {"vary": "accept-encoding"}
    pieces = gathered(paced(pieces))
    if takes_gzip(request.headers.get("accept-encoding", "")):
        headers["content-encoding"] = "gzip"
        pieces = compressed(pieces)
    return StreamingResponse(pieces, headers=headers, media_type=CONTENT_TYPE)


async def gathered(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, small ones together: sending one takes as long as making it."""
    waiting: list[bytes] = []
    size = 0
    async for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    yield b"".join(waiting)


def takes_gzip(header: str) -> bool:
    """Whether a client takes gzip, as its Accept-Encoding says."""
    for coding in header.lower().split(","):
        name, _, quality = coding.replace(" ", "").partition(";q=")
        if name == "gzip":
            return quality.strip("0.") != "" if quality else True
    return False


async def compressed(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces as a gzip stream."""
    stream = zlib.compressobj(COMPRESSION, zlib.DEFLATED, GZIP)
    async for piece in pieces:
        ready = stream.compress(piece)
        if ready:
            yield ready
    yield stream.flush()


async def refusal(_request: Request, error: Exception) -> Response:
    """Answer for somebody who may not see the metrics."""
    assert isinstance(error, Refused)
    headers = {**error.headers, **CHALLENGE} if "www-authenticate" in error.headers else dict(error.headers)
    if not error.error:
        return Response(status_code=error.status, headers=headers)
    return JSONResponse({"error": error.error, "reason": error.reason}, error.status, headers)


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer for a path that names nothing."""
    await JSONResponse(NOT_FOUND, 404)(scope, receive, send)


def application(node: Node) -> Starlette:
    """The ASGI application that serves a node's metrics."""
    metrics = Metrics(node)
    path = "/" + node.metrics_path.strip("/")
    under = path.rstrip("/")
    app = Starlette(
        routes=[
            Route(path, metrics.aggregated),
            Route(f"{under}/per-object", metrics.per_object),
            Route(f"{under}/detailed", metrics.detailed),
        ],
        exception_handlers={Refused: refusal},
    )
    app.router.default = nowhere
    return app
