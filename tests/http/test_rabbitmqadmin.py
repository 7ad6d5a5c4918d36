"""RabbitMQ's rabbitmqadmin, the old Python program, works against the HTTP API.

Where it is installed it is run, through a relay that sees whether it asks what `rabbitmqadmin.CALLS` says. The same
requests are sent without it, everywhere.
"""

from __future__ import annotations

import base64
import http.client
import json
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pika
import pytest

from tests.http.rabbitmqadmin import CALLS, CONNECTION, SOURCE, Asked
from tests.support.broker_process import BrokerProcess

PROGRAM = shutil.which("rabbitmqadmin")


class Request(NamedTuple):
    """A request, in which a body of JSON is decoded."""

    method: str
    path: str
    content_type: str | None
    body: Any


class Answer(NamedTuple):
    """What comes back."""

    status: int
    content_type: str
    body: bytes


def decoded(body: bytes) -> Any:
    """The JSON of a body, an empty text if there is none."""
    return json.loads(body) if body else ""


def send(port: int, method: str, path: str, body: bytes | str, headers: dict[str, str]) -> Answer:
    """Send a request as rabbitmqadmin does: on a connection of its own, and with a body even if that is empty."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers.get("Content-Type", ""), answer.read())
    finally:
        connection.close()


class Relay(ThreadingHTTPServer):
    """Passes requests on to the broker, and keeps them."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), RelayHandler)
        self.behind = port
        self.seen: list[Request] = []


class RelayHandler(BaseHTTPRequestHandler):
    """One request."""

    server: Relay

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content_type = self.headers.get("Content-Type")
        self.server.seen.append(Request(self.command, self.path, content_type, decoded(body)))
        answer = send(self.server.behind, self.command, self.path, body, dict(self.headers.items()))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_PUT = do_POST = do_DELETE = pass_on

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def relay(leveret: BrokerProcess) -> Iterator[Relay]:
    with Relay(leveret.http_port) as relay:
        thread = threading.Thread(target=relay.serve_forever, args=(0.01,))
        thread.start()
        yield relay
        relay.shutdown()
        thread.join()


@pytest.fixture
def connection(leveret: BrokerProcess) -> Iterator[str]:
    """The name of a connection with a channel, which is closed from outside."""
    client = pika.BlockingConnection(pika.URLParameters(leveret.url))
    client.channel()
    sock = client._impl._transport._sock  # type: ignore[attr-defined]
    here, there = sock.getsockname(), sock.getpeername()
    yield f"{here[0]}:{here[1]} -> {there[0]}:{there[1]}"
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker, match="CONNECTION_FORCED"):
        while True:
            client.process_data_events(5)


def path_of(call: Asked, connection: str) -> str:
    """The path of a request, with the connection's name in it."""
    return call.path.replace(CONNECTION, quote(connection, ""))


def test_its_requests_are_answered(leveret: BrokerProcess, connection: str) -> None:
    exported = b""
    for call in CALLS:
        password = "wrong" if call.line.startswith("-p wrong") else "guest"
        headers = {"Authorization": "Basic " + base64.b64encode(f"guest:{password}".encode()).decode()}
        body: bytes | str = exported if call.body == SOURCE else ""
        if call.body not in ("", SOURCE):
            body = json.dumps(call.body)
        if body:
            headers["Content-Type"] = "application/json"
        answer = send(leveret.http_port, call.method, path_of(call, connection), body, headers)
        assert answer.status == call.status, (call, answer)
        for text in call.has:
            assert text.replace(CONNECTION, connection) in answer.body.decode(), (call, answer)
        if call.line.endswith(f"export {SOURCE}"):
            exported = answer.body


@pytest.mark.skipif(PROGRAM is None, reason="rabbitmqadmin, the Python program, is not installed")
def test_the_program_works(relay: Relay, connection: str, tmp_path: Path) -> None:
    file = tmp_path / "definitions.json"
    for call in CALLS:
        words = [word.replace(SOURCE, str(file)).replace(CONNECTION, connection) for word in shlex.split(call.line)]
        result = subprocess.run(
            [sys.executable, str(PROGRAM), "-H", "127.0.0.1", "-P", str(relay.server_port), *words],
            input=call.given,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        said = f"{call.line}\n{result.stdout}{result.stderr}"
        assert result.returncode == call.code, said
        assert call.said in result.stdout + result.stderr, said
        for text in call.has:
            assert text.replace(CONNECTION, connection) in result.stdout, said
        body = decoded(file.read_bytes()) if call.body == SOURCE else call.body
        content_type = "application/json" if call.body else None
        assert relay.seen == [Request(call.method, path_of(call, connection), content_type, body)], said
        relay.seen.clear()
