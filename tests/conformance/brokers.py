"""The brokers that the suites talk to: a Leveret of their own each, or one RabbitMQ that somebody started.

amqpstorm's tests name a host and no port, so its broker has to be at the default port. Linux has sixteen million
loopback addresses, and on one picked by chance that port is free; elsewhere it is 127.0.0.1, where it has to be.
"""

from __future__ import annotations

import random
import signal
import socket
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from tests.support.broker_process import BrokerProcess

AMQP_PORT = 5672


def loopback_address() -> str:
    """An address of loopback at which nobody else is likely to listen."""
    if sys.platform != "linux":
        return "127.0.0.1"
    return f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"


class Node:
    """A Leveret that can be stopped, killed and started again, at the same ports, as the container of a broker can."""

    def __init__(self, folder: Path, *arguments: str, port: int = 0) -> None:
        folder.mkdir(parents=True)
        self.process = BrokerProcess(folder, *arguments)
        self.process.port = port
        self.address = "127.0.0.1"
        self.process.start()

    @property
    def port(self) -> int:
        return self.process.port

    @property
    def http_url(self) -> str:
        return f"http://{self.address}:{self.process.http_port}"

    @property
    def tls_port(self) -> int:
        return 0

    def start(self) -> None:
        """Start it again if it does not run."""
        assert self.process.process is not None
        if self.process.process.poll() is not None:
            self.process.start()

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.stop(signal.SIGKILL)

    def close(self) -> None:
        """Stop it for good. Raises AssertionError if it logged an error of its own."""
        self.process.__exit__(None, None, None)


class AddressedNode(Node):
    """A Leveret at the default port of an address of its own; the HTTP API is there too."""

    def __init__(self, folder: Path) -> None:
        address = loopback_address()
        super().__init__(folder, "--bind", address, port=AMQP_PORT)
        self.address = address


class RunningRabbitMQ:
    """A RabbitMQ that is there already, which is neither stopped nor started."""

    def __init__(self, port: int, http_port: int) -> None:
        self.port = port
        self.http_url = f"http://127.0.0.1:{http_port}"
        self.tls_port = 0
        self.address = loopback_address()
        self.forwarder = Forwarder(self.address, port)

    def start(self) -> None:
        raise NotImplementedError("this RabbitMQ is not started here")

    stop = kill = start

    def close(self) -> None:
        self.forwarder.close()


class Forwarder:
    """Takes connections at the default port of an address, and passes on what they say to 127.0.0.1 at `port`."""

    def __init__(self, address: str, port: int) -> None:
        self.port = port
        self.listener = socket.create_server((address, AMQP_PORT))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port))
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self.copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def copy(source: socket.socket, sink: socket.socket) -> None:
        """Pass on all of one direction, and its end."""
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.listener.close()


class Brokers:
    """All the brokers of a suite, each with its folder in `folder`; closed at the end of the block."""

    def __init__(self, folder: Path, rabbitmq: tuple[int, int] | None) -> None:
        self.folder = folder
        self.rabbitmq = rabbitmq
        self.count = 0
        self.open = ExitStack()

    def new(self, *, addressed: bool = False) -> Node | RunningRabbitMQ:
        """One more broker, which runs; with RabbitMQ always the same."""
        self.count += 1
        folder = self.folder / f"broker-{self.count}"
        node: Node | RunningRabbitMQ
        if self.rabbitmq is not None:
            node = RunningRabbitMQ(*self.rabbitmq)
        else:
            node = AddressedNode(folder) if addressed else Node(folder)
        self.open.callback(node.close)
        return node

    def __enter__(self) -> Brokers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open.close()
