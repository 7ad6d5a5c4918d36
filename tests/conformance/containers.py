"""Stands in for Docker, and for rabbitmqctl, where a suite starts or stops its broker.

The tests of aiormq and aio-pika have Docker run a broker, and ask it for the ports; DOCKER_HOST says where it answers.
What answers here knows as much of Docker's API as they use, and each container is a Leveret. `rabbitmqctl stop_app`
and `start_app`, which RabbitMQ needs for a restart that keeps the node, stop and start the Leveret.
"""

from __future__ import annotations

import json
import re
import stat
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.conformance.brokers import Brokers, ForeignBroker, Leveret

RABBITMQCTL = """#!{python}
import sys, urllib.request
urllib.request.urlopen(urllib.request.Request("{url}/rabbitmqctl/" + sys.argv[1], method="POST")).read()
"""


@dataclass
class Container:
    """A container that was created, with the broker in it once it was started."""

    ports: list[str]
    broker: Leveret | ForeignBroker | None = None

    def described(self) -> dict[str, object]:
        assert self.broker is not None
        known = {"5672/tcp": self.broker.port, "5671/tcp": self.broker.tls_port}
        ports = {name: [{"HostIp": "127.0.0.1", "HostPort": str(known[name])}] for name in self.ports}
        return {"NetworkSettings": {"Ports": ports}}


@dataclass
class Containers:
    """All the containers of a suite, and the commands that were run in them, which have ended at once."""

    brokers: Brokers
    by_name: dict[str, Container] = field(default_factory=dict)
    commands: dict[str, tuple[str, str]] = field(default_factory=dict)

    def create(self, ports: list[str]) -> str:
        name = f"container{len(self.by_name) + 1}"
        self.by_name[name] = Container(ports)
        return name

    def start(self, name: str) -> None:
        container = self.by_name[name]
        if container.broker is None:
            container.broker = self.brokers.new()
        else:
            container.broker.start()

    def control(self, broker: Leveret | ForeignBroker, command: str) -> None:
        """What `rabbitmqctl COMMAND` does. Raises KeyError for any but two commands."""
        {"stop_app": broker.stop, "start_app": broker.start}[command]()

    def answer(self, method: str, path: str, body: dict[str, object]) -> dict[str, object]:
        """Carry out one request and give what is to be answered. Raises KeyError for what Docker's API has beyond."""
        if path.startswith("/images/create"):
            return {}
        if path == "/containers/create":
            ports = body["ExposedPorts"]
            assert isinstance(ports, dict)
            return {"Id": self.create(list(ports))}
        kind, name, action = [*path.split("?")[0].strip("/").split("/"), ""][:3]
        if kind == "exec":
            return self.answer_about_command(name, action)
        container = self.by_name[name]
        if method == "GET" and action == "json":
            return container.described()
        if action == "start":
            self.start(name)
        elif action in ("stop", "kill"):
            assert container.broker is not None
            container.broker.kill() if action == "kill" else container.broker.stop()
        elif action == "exec":
            command = body["Cmd"]
            assert isinstance(command, list)
            program, *arguments = command
            if program != "rabbitmqctl":
                raise KeyError(program)
            identifier = f"command{len(self.commands) + 1}"
            self.commands[identifier] = (name, *arguments)
            return {"Id": identifier}
        elif method != "DELETE":
            raise KeyError(path)
        return {}

    def answer_about_command(self, identifier: str, action: str) -> dict[str, object]:
        name, command = self.commands[identifier]
        if action == "start":
            broker = self.by_name[name].broker
            assert broker is not None
            self.control(broker, command)
            return {}
        return {"Running": False, "ExitCode": 0}


class Handler(BaseHTTPRequestHandler):
    """Passes requests on to the containers."""

    server: ContainerServer

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        ours = re.fullmatch(r"/rabbitmqctl/(\w+)", self.path)
        try:
            if ours and self.server.main is not None:
                self.server.containers.control(self.server.main, ours[1])
                self.respond(200, {})
            else:
                self.respond(200, self.server.containers.answer(self.command, self.path, body))
        except (KeyError, NotImplementedError) as error:
            self.respond(501, {"message": f"{self.command} {self.path}: {error!r}"})

    do_GET = do_DELETE = do_POST

    def respond(self, status: int, answer: dict[str, object]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class ContainerServer(ThreadingHTTPServer):
    """Answers on a free port of loopback as long as the block runs. `main` is what rabbitmqctl speaks of."""

    daemon_threads = True

    def __init__(self, brokers: Brokers, main: Leveret | ForeignBroker | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.containers = Containers(brokers)
        self.main = main
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def docker_host(self) -> str:
        return f"tcp://127.0.0.1:{self.server_address[1]}"

    def install_rabbitmqctl(self, folder: Path) -> None:
        """Put a rabbitmqctl into the folder; with that first in PATH no other one on the machine is ever called."""
        folder.mkdir()
        program = folder / "rabbitmqctl"
        program.write_text(RABBITMQCTL.format(python=sys.executable, url=self.docker_host.replace("tcp:", "http:")))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def server_close(self) -> None:
        self.shutdown()
        super().server_close()
