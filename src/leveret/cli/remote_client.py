"""A broker that is asked by its HTTP API: `--url http://user:password@host:15672`.

It takes the requests of the control socket and gives the same answers, so a command needn't know whom it asks. What
the API doesn't have is refused with status 64. It asks for nothing that RabbitMQ's own API doesn't have too.
"""

from __future__ import annotations

import base64
import http.client
import json
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from leveret.cli.control_client import DATA_ERROR, NO_PERMISSION, SOFTWARE, UNAVAILABLE, USAGE, ControlFailure
from leveret.cli.ctl_client import without_password
from leveret.cli.remote_changes import CHANGES
from leveret.cli.remote_listings import LISTINGS, status

PORTS: Final = {"http": 15672, "https": 15671}
OF_VHOST: Final = ("queues", "exchanges", "bindings", "consumers", "policies", "operator-policies", "definitions")
OCTETS: Final = "surrogateescape"  # what isn't UTF-8 goes out as it came in
NO_VHOST: Final = ("vhost_not_found", "vhost not found")


class RemoteClient:
    """Conversations with one API. Each request has `timeout` seconds, then comes TimeoutError."""

    def __init__(self, url: str, timeout: float) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port or PORTS.get(parts.scheme, 0)
        except ValueError:
            port = 0
        if not port or not parts.hostname:
            raise ControlFailure(USAGE, f"--url is http://user:password@host:port, and not {without_password(url)}")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection: Final = kind(parts.hostname, port, timeout=timeout or 0.001)
        self._place: Final = f"{parts.hostname}:{port}"
        self._prefix: Final = parts.path.rstrip("/").removesuffix("/api") + "/api"
        name, password = (unquote(part or "guest", errors=OCTETS) for part in (parts.username, parts.password))
        login = base64.b64encode(f"{name}:{password}".encode("utf-8", OCTETS))
        self._headers: Final[dict[str, bytes]] = {"authorization": b"Basic " + login}

    def ask(self, request: dict[str, object], octets: bytes = b"") -> dict[str, object]:
        """The answer that the control socket would give. Raises ControlFailure, TimeoutError."""
        try:
            return self._answer(request, octets)
        except (AttributeError, KeyError, TypeError):  # JSON of another shape than the API's
            raise self._not_understood() from None

    def _answer(self, request: dict[str, object], octets: bytes) -> dict[str, object]:
        command = str(request.get("command"))
        if command == "status":
            return {"status": status(self)}
        listing = LISTINGS.get(command.removeprefix("list_"))
        if listing is not None and command.startswith("list_"):
            return {"columns": request["columns"], "rows": listing(self, request)}
        vhost = request.get("vhost")
        path = ("definitions",) if vhost is None else ("definitions", str(vhost))
        if command == "export_definitions":
            return {"definitions": self.call("GET", *path)}
        if command == "import_definitions" and not request.get("skip_if_unchanged"):
            self.send("POST", path, octets, {})
            return {"done": {"changed": "some", "warnings": []}}
        if command not in CHANGES:
            raise ControlFailure(
                USAGE, f"{command} can't be done with --url: the HTTP API does not have it", "Error:\n"
            )
        return {"done": {"node": self.node(), **CHANGES[command](self, request)}}

    def node(self) -> str:
        """The name of the node."""
        return str(self.call("GET", "overview").get("node"))

    def call(self, method: str, *path: str, body: object = None, query: str = "", reason: str = "") -> Any:
        """The JSON that comes back, None if nothing does. Raises ControlFailure."""
        octets = b"" if body is None else json.dumps(body).encode()
        text = " ".join(reason.splitlines()).encode("utf-8", OCTETS)  # a header is one line
        return self.send(method, path, octets, {"x-reason": text} if reason else {}, query)

    def send(
        self, method: str, path: tuple[str, ...], octets: bytes, headers: dict[str, bytes], query: str = ""
    ) -> Any:
        """Send a request with a body as it is."""
        target = "/".join([self._prefix, *(quote(part, safe="", errors=OCTETS) for part in path)]) + query
        headers = self._headers | headers | ({"content-type": b"application/json"} if octets else {})
        try:
            self._connection.request(method, target, octets or None, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ControlFailure(UNAVAILABLE, f"cannot reach the HTTP API at {self._place}: {reason}") from None
        decoded = decode(content)
        if answer.status < 300 and content and decoded is None:
            raise self._not_understood()
        if answer.status < 300 or is_failed_check(answer.status, decoded):
            return decoded
        raise self._failure(answer.status, decoded, path)

    def _not_understood(self) -> ControlFailure:
        return ControlFailure(SOFTWARE, f"what answers at {self._place} is not the HTTP API of a broker")

    def _failure(self, status: int, decoded: object, path: tuple[str, ...]) -> ControlFailure:
        """What an answer that is an error says."""
        found = decoded if isinstance(decoded, dict) else {}
        reason = found.get("reason") or found.get("error") or f"HTTP status {status}"
        text = reason if isinstance(reason, str) else json.dumps(reason)
        if status < 400:
            return ControlFailure(UNAVAILABLE, f"the HTTP API at {self._place} is elsewhere: it redirects ({status})")
        if status in (401, 403):
            return ControlFailure(NO_PERMISSION, f"the HTTP API at {self._place} refuses: {text}")
        if status >= 500:
            return ControlFailure(SOFTWARE, f"the HTTP API at {self._place} answers with status {status}")
        of_vhost = path[0] == "vhosts" or (len(path) == 2 and path[0] in OF_VHOST)
        if (status == 404 and of_vhost) or text in NO_VHOST:
            return ControlFailure(DATA_ERROR, f"Virtual host '{path[1]}' does not exist", "")
        return ControlFailure(UNAVAILABLE, text, "Error:\n")

    def stop(self) -> dict[str, object]:
        """The API can't stop a broker."""
        return self.ask({"command": "stop"})

    def wait_for_end(self) -> None:
        """There is nothing to wait for."""

    def __enter__(self) -> RemoteClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()


def decode(content: bytes) -> object:
    """The JSON of an answer, None if there is none."""
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None


def is_failed_check(status: int, decoded: object) -> bool:
    """Whether an answer is that of a health check that failed, which says why, and no failure to answer."""
    return status == 503 and isinstance(decoded, dict) and decoded.get("status") == "failed"
