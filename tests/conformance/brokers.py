"""The brokers that the suites talk to: Leverets, or a RabbitMQ for comparison, started for a suite and ended with it.

amqpstorm's tests name a host and no port, so its broker has to be at the default ports. Linux has sixteen million
loopback addresses, and on one picked by chance they are free; elsewhere it is 127.0.0.1, where they have to be.
"""

from __future__ import annotations

import ipaddress
import random
import re
import shutil
import signal
import socket
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from cryptography import x509

from tests.support.broker_process import BrokerProcess
from tests.support.certificates import Authority
from tests.support.rabbitmq import RabbitMQ, free_ports, rabbitmq

AMQP_PORT = 5672
AMQPS_PORT = 5671
LISTENING = re.compile(r"listening on amqps://[^:]+:(\d+)")


def loopback_address() -> str:
    """An address of loopback at which nobody else is likely to listen."""
    if sys.platform != "linux":
        return "127.0.0.1"
    return f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"


@dataclass(frozen=True)
class Certificates:
    """What is needed for TLS on both sides, as files."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path

    def options(self) -> list[str]:
        """Options of `leveret serve`, with which clients may show a certificate, and need not."""
        options = ["--tls-certfile", str(self.server), "--tls-keyfile", str(self.server_key)]
        return [*options, "--tls-cacertfile", str(self.authority), "--tls-verify", "verify_peer"]

    def configuration(self) -> str:
        """The same for rabbitmq.conf."""
        return (
            f"ssl_options.cacertfile = {self.authority}\nssl_options.certfile = {self.server}\n"
            f"ssl_options.keyfile = {self.server_key}\nssl_options.verify = verify_peer\n"
            "ssl_options.fail_if_no_peer_cert = false\n"
        )


def certify(folder: Path, address: str) -> Certificates:
    """Make certificates for a broker at 127.0.0.1 and at `address`, and for a client."""
    folder.mkdir()
    authority = Authority(folder)
    addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", address)]
    server = authority.issue("server", names=(x509.DNSName("localhost"), *addresses))
    client = authority.issue("client")
    for key in (server.keyfile, client.keyfile):
        key.chmod(0o644)  # RabbitMQ runs as another user; nobody keeps anything behind these
    return Certificates(authority.certfile, server.certfile, server.keyfile, client.certfile, client.keyfile)


def brought_along(unpacked: Path) -> Certificates | None:
    """The certificates that the tests of aiormq bring with them."""
    folder = unpacked / "tests" / "certs"
    names = ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")
    return Certificates(*(folder / name for name in names)) if folder.exists() else None


def hand_out(unpacked: Path, certificates: Certificates) -> None:
    """Put ours where py-amqp's tests look for theirs, which their sdist lacks; "broken" are those of a stranger."""
    folder = unpacked / "t" / "certs"
    folder.mkdir()
    shutil.copy(certificates.authority, folder / "ca_certificate.pem")
    shutil.copy(certificates.client, folder / "client_certificate.pem")
    shutil.copy(certificates.client_key, folder / "client_key.pem")
    stranger = Authority(folder, "stranger").issue("client")
    stranger.certfile.rename(folder / "client_certificate_broken.pem")
    stranger.keyfile.rename(folder / "client_key_broken.pem")


class Leveret:
    """A Leveret that can be stopped, killed and started again, at the same port, as the container of a broker can.

    With `address` it is at the default ports there, and otherwise at free ones of 127.0.0.1.
    """

    def __init__(self, folder: Path, certificates: Certificates, address: str | None = None) -> None:
        folder.mkdir()
        self.address = address or "127.0.0.1"
        options = ["--bind", self.address, "--tls-bind", self.address]
        options += ["--tls-port", str(AMQPS_PORT if address else 0), *certificates.options()]
        self.process = BrokerProcess(folder, *options)
        if address:
            self.process.port = AMQP_PORT
        self.process.start()
        self.port = self.process.port
        self.tls_port = int(LISTENING.findall(self.process.log_path.read_text())[-1])
        self.http_url = f"http://{self.address}:{self.process.http_port}"

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


class ForeignBroker:
    """A RabbitMQ that is neither stopped nor started by the tests. With `address` it is at the default ports there."""

    def __init__(self, server: RabbitMQ, tls_port: int, address: str | None) -> None:
        self.port = server.port
        self.tls_port = tls_port
        self.http_url = f"http://127.0.0.1:{server.http_port}"
        self.address = address or "127.0.0.1"
        self.forwarders: list[Forwarder] = []
        if address:
            self.forwarders = [Forwarder(address, AMQP_PORT, self.port), Forwarder(address, AMQPS_PORT, tls_port)]

    def start(self) -> None:
        raise NotImplementedError("this RabbitMQ is not started and stopped here")

    stop = kill = start

    def close(self) -> None:
        for forwarder in self.forwarders:
            forwarder.close()


class Forwarder:
    """Takes connections at a port of an address, and passes on what they say to another port of 127.0.0.1."""

    def __init__(self, address: str, port: int, to: int) -> None:
        self.to = to
        self.listener = socket.create_server((address, port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.to))
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
    """All the brokers of a suite, each with its folder in `folder`; closed at the end of the block.

    With `foreign` they are one RabbitMQ, which has to be installed.
    """

    def __init__(self, folder: Path, certificates: Certificates, foreign: bool) -> None:
        self.folder = folder
        self.certificates = certificates
        self.count = 0
        self.open = ExitStack()
        self.foreign = self.start_rabbitmq() if foreign else None

    def start_rabbitmq(self) -> tuple[RabbitMQ, int]:
        folder = self.folder / "rabbitmq"
        folder.mkdir()
        (tls_port,) = free_ports(1)
        configuration = f"listeners.ssl.1 = 127.0.0.1:{tls_port}\n{self.certificates.configuration()}"
        return self.open.enter_context(rabbitmq(folder, ("rabbitmq_management",), configuration)), tls_port

    def new(self, address: str | None = None) -> Leveret | ForeignBroker:
        """One more broker, which runs; with RabbitMQ always the same."""
        self.count += 1
        broker: Leveret | ForeignBroker
        if self.foreign is not None:
            broker = ForeignBroker(*self.foreign, address)
        else:
            broker = Leveret(self.folder / f"broker-{self.count}", self.certificates, address)
        self.open.callback(broker.close)
        return broker

    def __enter__(self) -> Brokers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open.close()
