"""The broker as a service of systemd: what it tells systemd, and the sockets that it is handed."""

from __future__ import annotations

import base64
import os
import re
import signal
import socket
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.certificates import Authority
from tests.support.encrypted import TlsBroker, TlsClient
from tests.support.raw_client import RawClient

GUEST = {"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()}

# What systemd does before it runs a service with sockets: opens them, from descriptor 3 on, and says so by environment.
# Its arguments: for whom the sockets are meant, 0 for the service itself, and their names.
HAND_OVER = """
import os, socket, sys
names = sys.argv[2].split(":")
for number, name in enumerate(names):
    sock = socket.socket(socket.AF_UNIX if name == "unix" else socket.AF_INET)
    sock.bind(os.environ["UNIX_SOCKET"] if name == "unix" else ("127.0.0.1", 0))
    sock.listen()
    os.dup2(sock.fileno(), 30 + number)
    os.set_inheritable(30 + number, True)
for number in range(len(names)):
    os.dup2(30 + number, 3 + number)
os.environ["LISTEN_FDS"] = str(len(names))
os.environ["LISTEN_FDNAMES"] = sys.argv[2].replace("unix", "leveret.socket")
os.environ["LISTEN_PID"] = sys.argv[1] if sys.argv[1] != "0" else str(os.getpid())
os.execvp(sys.argv[3], sys.argv[3:])
"""


def hand_over(broker: BrokerProcess, names: str, process: int = 0) -> None:
    """Have a broker started with sockets of these names, meant for it or for another process."""
    broker.started_by = (sys.executable, "-c", HAND_OVER, str(process), names)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves room for that of a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def told(manager: socket.socket) -> list[str]:
    """What the broker tells next."""
    return manager.recv(4096).decode().splitlines()


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_how_it_goes(
    tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    address = f"@{short_folder}/notify" if abstract else f"{short_folder}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        with BrokerProcess(tmp_path) as broker:
            assert told(manager) == ["STATUS=reading the data folder"]
            schemes = {"amqp": broker.port, "http": broker.http_port, "http+prometheus": broker.metrics_port}
            urls = ", ".join(f"{scheme}://127.0.0.1:{port}" for scheme, port in schemes.items())
            assert told(manager) == ["READY=1", f"STATUS=listening on {urls}"]
            os.kill(broker.pid, signal.SIGTERM)
            assert told(manager) == ["STOPPING=1", "STATUS=closing connections"]


def test_the_watchdog_is_fed(tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(short_folder / "notify"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(short_folder / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "100000")
        with BrokerProcess(tmp_path):
            assert [told(manager)[0] for _ in range(5)] == [
                "STATUS=reading the data folder",
                "READY=1",
                "WATCHDOG=1",
                "WATCHDOG=1",
                "WATCHDOG=1",
            ]


def test_a_watchdog_for_another_process_is_left_alone(
    tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(short_folder / "notify"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(short_folder / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1000")
        monkeypatch.setenv("WATCHDOG_PID", "1")
        with BrokerProcess(tmp_path) as broker:
            RawClient(broker.port).log_in().log_out()
            os.kill(broker.pid, signal.SIGTERM)
            assert [told(manager)[0] for _ in range(3)] == ["STATUS=reading the data folder", "READY=1", "STOPPING=1"]


def test_a_systemd_that_is_gone_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with BrokerProcess(tmp_path) as broker:
        RawClient(broker.port).log_in().log_out()


def test_sockets_are_taken_over_by_their_names(tmp_path: Path, authority: Authority) -> None:
    broker = TlsBroker(tmp_path, authority.issue("server"))
    hand_over(broker, "amqp:amqps")
    with broker:
        RawClient(broker.port).log_in().log_out()
        TlsClient(broker.tls_port, authority.context()).log_in().log_out()
        assert broker.log_path.read_text().count("listening on amqp") == 2


def test_sockets_of_http_are_taken_over_by_their_names(tmp_path: Path, authority: Authority) -> None:
    """Those of the settings are not opened then. Each socket waits while the code that serves it is loaded."""
    server = authority.issue("server")
    broker = BrokerProcess(tmp_path)
    for part in ("MANAGEMENT", "PROMETHEUS"):
        broker.environment |= {
            f"LEVERET_{part}_TLS_CERTFILE": str(server.certfile),
            f"LEVERET_{part}_TLS_KEYFILE": str(server.keyfile),
        }
    hand_over(broker, "metrics-tls:https:amqp:http:metrics:http")
    with broker:
        logged = broker.log_path.read_text()
        urls = re.findall(r"listening on ((\S+)://127\.0\.0\.1:(\d+))", logged)
        assert [scheme for _, scheme, _ in urls] == [
            *("amqp", "http", "http", "https", "http+prometheus", "https+prometheus")
        ]
        for _, scheme, port in urls[1:]:
            name, _, is_metrics = scheme.partition("+")
            path = "/metrics" if is_metrics else "/api/whoami"
            request = urllib.request.Request(f"{name}://localhost:{port}{path}", headers=GUEST)
            context = authority.context() if name == "https" else None
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:
                assert (b"rabbitmq_identity_info" if is_metrics else b'"guest"') in answer.read()
        assert "systemd has handed over" not in logged
    opened = {int(port) for _, _, port in urls}
    assert {broker.port, broker.http_port, broker.metrics_port} < opened


def test_https_needs_a_certificate_there_too(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    hand_over(broker, "https")
    with pytest.raises(AssertionError, match="cannot listen for the HTTP API with TLS: no certificate is configured"):
        broker.start()


@pytest.mark.parametrize("name", ["http", "metrics"])
def test_http_is_not_served_on_a_unix_socket(
    tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("UNIX_SOCKET", str(short_folder / "http"))
    broker = BrokerProcess(tmp_path)
    hand_over(broker, "unix")
    program = HAND_OVER.replace('"leveret.socket"', f'"{name}"')
    broker.started_by = (*broker.started_by[:2], program, *broker.started_by[3:])
    with pytest.raises(AssertionError, match="cannot listen on file descriptor 3: HTTP is served by TCP alone"):
        broker.start()


def test_a_unix_socket_stays_with_systemd(tmp_path: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = short_folder / "amqp"
    monkeypatch.setenv("UNIX_SOCKET", str(path))
    broker = BrokerProcess(tmp_path)
    hand_over(broker, "amqp:unix")
    with broker:
        RawClient(0, unix_socket=str(path)).log_in().log_out()
    assert path.is_socket()


def test_a_socket_that_nothing_serves_is_told_of(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    hand_over(broker, "mqtt")
    with broker:
        RawClient(broker.port).log_in().log_out()
    assert "systemd has handed over sockets named 'mqtt', which nothing here serves" in broker.log_path.read_text()


def test_sockets_of_another_process_are_left_alone(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    hand_over(broker, "amqp:amqp", process=1)
    with broker:
        RawClient(broker.port).log_in().log_out()
        assert broker.log_path.read_text().count("listening on amqp") == 1


def test_what_is_no_listening_socket_is_refused(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    hand_over(broker, "amqp")
    broker.started_by = (*broker.started_by[:2], HAND_OVER.replace("sock.listen()", ""), *broker.started_by[3:])
    with pytest.raises(AssertionError, match="cannot listen on file descriptor 3: it is no listening socket"):
        broker.start()
