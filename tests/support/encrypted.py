"""Brokers that listen with TLS, and raw clients of theirs."""

from __future__ import annotations

import re
import socket
import ssl
import time
from pathlib import Path

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.certificates import Issued
from tests.support.raw_client import RawClient

ENCRYPTED = re.compile(r"listening on amqps://127\.0\.0\.1:(\d+)")


class TlsBroker(BrokerProcess):
    """A broker with a TLS listener."""

    def __init__(self, folder: Path, server: Issued, *arguments: str) -> None:
        certificate = ["--tls-certfile", str(server.certfile), "--tls-keyfile", str(server.keyfile)]
        super().__init__(folder, "--tls-bind", "127.0.0.1", "--tls-port", "0", *certificate, *arguments)

    @property
    def tls_port(self) -> int:
        found = ENCRYPTED.findall(self.log_path.read_text())
        assert found, "the broker does not say where it listens for TLS"
        return int(found[-1])

    def expect_logged(self, text: str, times: int = 1) -> None:
        """The log must come to have this text so many times."""
        deadline = time.monotonic() + 10
        while (found := self.log_path.read_text().count(text)) < times and time.monotonic() < deadline:
            time.sleep(0.005)
        assert found == times, f"{text!r} was logged {found} times: {self.log_path.read_text()}"


class TlsClient(RawClient):
    """A raw client whose socket is encrypted."""

    def __init__(self, port: int, context: ssl.SSLContext, host: str = "localhost", cut_off: bool = True) -> None:
        """`cut_off` says whether the end of the socket without that of TLS is taken for an end."""
        super().__init__(port)
        try:
            self.socket: ssl.SSLSocket = context.wrap_socket(
                self.socket, server_hostname=host, suppress_ragged_eofs=cut_off
            )
        except OSError:
            self.socket.close()
            raise

    def shown(self) -> str:
        """The common name in the broker's certificate."""
        certificate = self.socket.getpeercert()
        assert certificate
        return str(dict(part[0] for part in certificate["subject"])["commonName"])  # type: ignore[misc]


def alert(port: int, context: ssl.SSLContext, host: str = "localhost") -> str:
    """What the broker says when it refuses a handshake, in OpenSSL's words."""
    with (
        pytest.raises(ssl.SSLError) as refused,
        socket.create_connection(("127.0.0.1", port), 10) as sock,
        context.wrap_socket(sock, server_hostname=host) as encrypted,
    ):
        encrypted.recv(1)  # in TLS 1.3 the client believes to be done before its certificate is looked at
    return str(refused.value.reason)
