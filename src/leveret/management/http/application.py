"""The application: all resources of the API under `/api`, what else there is, and the errors for what is none.

All of it stands behind the prefix that the settings name.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from html import escape
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from leveret.management import downloads
from leveret.management.http import (
    bindings,
    channels,
    connections,
    consumers,
    definitions,
    exchanges,
    health,
    logs,
    messages,
    node_settings,
    nodes,
    overview,
    parameters,
    permissions,
    policies,
    queues,
    unacked,
    users,
    vhosts,
)
from leveret.management.http.answers import Receive, Send, of_refusal, send_answer
from leveret.management.http.errors import malformed, object_not_found
from leveret.management.http.resource import Resource
from leveret.management.node import Node

# RabbitMQ's first match counts: what is named in a path goes before what is a part that may be anything.
RESOURCES: Final[tuple[Resource, ...]] = (
    *overview.RESOURCES,
    *queues.RESOURCES,
    *unacked.RESOURCES,
    *exchanges.RESOURCES,
    *messages.RESOURCES,
    *bindings.RESOURCES,
    *connections.RESOURCES,
    *channels.RESOURCES,
    *consumers.RESOURCES,
    *nodes.RESOURCES,
    *vhosts.RESOURCES,
    *users.RESOURCES,
    *permissions.RESOURCES,
    *definitions.RESOURCES,
    *policies.RESOURCES,
    *parameters.RESOURCES,
    *health.RESOURCES,
    *logs.RESOURCES,
    *node_settings.RESOURCES,
)
PREFIX: Final = "/api"
NOT_ENCODED: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
HOST: Final = re.compile(rb"^https?://[^/]*", re.IGNORECASE)  # which a path may begin with (RFC 9112, 3.2.2)
PROGRAM: Final = Path(downloads.__file__).with_name("rabbitmqadmin.py")
COMMAND_LINE_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>rabbitmqadmin</title></head><body>
<h1>rabbitmqadmin</h1>
<p><a href="{prefix}/cli/rabbitmqadmin" download>Download</a> it, make it executable, and put it into your PATH.
It needs Python 3.6 or later.</p>
<pre>rabbitmqadmin --help
rabbitmqadmin -u USER -p PASSWORD list queues name messages</pre>
</body></html>
"""


class Nowhere:
    """Answers for a path that names nothing."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""
        await send_answer(of_refusal(object_not_found()), send, scope["method"] != "HEAD")


NOWHERE: Final = Nowhere()


class EncodedPaths:
    """Leaves paths encoded for the router, since the names in them may have slashes; drops a slash at the end.

    What is no encoding is refused, as RabbitMQ does: there is no telling which name it stands for. Paths that don't
    begin with the prefix name nothing.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app: Final = app
        self._prefix: Final = prefix

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http":
            raw_path = HOST.sub(b"", scope["raw_path"])
            if NOT_ENCODED.search(raw_path):
                await send_answer(of_refusal(malformed()), send, scope["method"] != "HEAD")
                return
            path = raw_path.decode("latin-1") or "/"
            if self._prefix:
                if path != self._prefix and not path.startswith(f"{self._prefix}/"):
                    await NOWHERE(scope, receive, send)
                    return
                path = path.removeprefix(self._prefix) or "/"
            scope["path"] = path[:-1] if path.endswith("/") and len(path) > 1 else path
        await self._app(scope, receive, send)  # type: ignore[arg-type]


def prefix_of(request: Request) -> str:
    """What all paths begin with."""
    node: Node = request.app.state.node
    return node.http.path_prefix


async def home(request: Request) -> Response:
    """Where people with a browser land."""
    return Response(f"Leveret's HTTP API is at {prefix_of(request)}/api\n", media_type="text/plain")


async def command_line(request: Request) -> Response:
    """Where RabbitMQ's users find its program for the command line."""
    return HTMLResponse(COMMAND_LINE_PAGE.format(prefix=escape(prefix_of(request))))


async def program(_request: Request) -> Response:
    """The program itself."""
    return Response(PROGRAM.read_bytes(), media_type="application/octet-stream")


def application(node: Node) -> Starlette:
    """The ASGI application that serves a node's API."""
    routes = [Route(PREFIX + resource.path, resource) for resource in RESOURCES]
    pages = [
        Route("/", home),
        Route(PREFIX, home),
        Route("/cli", command_line),
        Route("/cli/index.html", command_line),
        Route("/cli/rabbitmqadmin", program),
    ]
    paths = Middleware(EncodedPaths, node.http.path_prefix)
    app = Starlette(routes=[*pages, *routes], middleware=[paths])
    app.router.redirect_slashes = False
    app.router.default = NOWHERE
    app.state.node = node
    return app
