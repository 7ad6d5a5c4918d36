"""A client of the HTTP API that hides nothing: status, headers and JSON of each answer, on one kept connection."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

TIMEOUT = 20.0  # seconds
MOST_IDLE = 4.0  # seconds after which a kept connection is not used again: Leveret ends it after 60, RabbitMQ after 5


@dataclass(frozen=True)
class Reply:
    """An answer; `json` is what its body says, None if it has none."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def error(self) -> tuple[int, str, Any]:
        """Status, error and reason."""
        return self.status, self.json["error"], self.json["reason"]


class Api:
    """The API on a port of loopback, as one user sees it."""

    def __init__(self, port: int, user: str | None = "guest", password: str = "guest") -> None:
        self.port = port
        self.user = user
        self.headers: dict[str, str] = {}
        if user is not None:
            self.headers["authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        self._used = 0.0

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None, **query: Any
    ) -> Reply:
        """Send one request. A body that is no text or octets is sent as JSON; `query` are parameters."""
        if query:
            path += "?" + "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        if time.monotonic() - self._used > MOST_IDLE:
            self.close()
        self._connection.request(method, path, body, {**self.headers, **(headers or {})})
        response = self._connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        reply = Reply(response.status, headers, response.read())
        self._used = time.monotonic()
        return reply

    def get(self, path: str, **query: Any) -> Any:
        """What a GET answers, which has to be 200."""
        reply = self.call("GET", path, **query)
        assert reply.status == 200, reply
        return reply.json

    def put(self, path: str, body: object = None) -> Reply:
        return self.call("PUT", path, body)

    def post(self, path: str, body: object = None) -> Reply:
        return self.call("POST", path, body)

    def delete(self, path: str, **query: Any) -> Reply:
        return self.call("DELETE", path, **query)

    def close(self) -> None:
        self._connection.close()


def part(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")
