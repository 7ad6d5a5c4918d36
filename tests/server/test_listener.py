"""Which addresses are the machine's own, in every way of writing them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from leveret.server.listener import has_ipv6, is_loopback
from tests.http.client import Api
from tests.support.broker_process import BrokerProcess
from tests.support.raw_client import RawClient


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:7f00:1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False),
        ("::127.0.0.1", False),  # IPv4-compatible, which no system treats as its own
        ("64:ff9b::7f00:1", False),
        ("fe80::1%lo", False),
        ("128.0.0.1", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_guest_comes_by_ipv4_to_a_socket_of_ipv6(tmp_path: Path) -> None:
    """The system then writes the client's address as one of IPv6, RabbitMQ and we don't."""
    with BrokerProcess(tmp_path, "--bind", "::") as broker:
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, broker.port)):
                RawClient(broker.port, host).log_in().log_out()
        api = Api(broker.http_port, user="nobody", password="x")
        assert api.call("GET", "/api/whoami").status == 401
        api.close()
        log = broker.log_path.read_text()
        assert "AMQP connection 127.0.0.1:" in log and "AMQP connection [::1]:" in log
        assert "invalid credentials, from 127.0.0.1\n" in log
        assert "::ffff:" not in log
