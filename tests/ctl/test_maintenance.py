"""Listeners that are suspended and resumed, and a node that is drained and revived."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ctl.conftest import leveretctl_here
from tests.http.client import Api
from tests.service.test_systemd import hand_over
from tests.support.broker_process import BrokerProcess
from tests.support.certificates import Authority
from tests.support.encrypted import TlsBroker, TlsClient
from tests.support.raw_client import CONNECTION_CLOSE, RawClient

IN_SERVICE = "/api/health/checks/is-in-service"
READY = "/api/health/checks/ready-to-serve-clients"


def ctl(broker: BrokerProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run leveretctl, which has to succeed."""
    result = leveretctl_here("-q", *arguments, data_dir=broker.data_dir)
    assert (result.returncode, result.stderr) == (0, "")
    return result


def refuses(port: int) -> bool:
    """Whether nobody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves room for that of a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_every_kind_of_listener(tmp_path: Path, short_folder: Path) -> None:
    authority, path = Authority(tmp_path), short_folder / "amqp"
    with TlsBroker(tmp_path, authority.issue("server"), "--unix-socket", str(path)) as broker:
        staying = RawClient(broker.port).log_in()
        on_its_way = socket.create_connection(("127.0.0.1", broker.tls_port), 10)
        broker_sees_it = TlsClient(broker.tls_port, authority.context())
        broker_sees_it.log_in().log_out()
        ctl(broker, "suspend_listeners")
        assert on_its_way.recv(1) == b""  # its handshake is not waited for
        assert refuses(broker.port) and refuses(broker.tls_port) and not path.exists()
        ctl(broker, "resume_listeners")
        RawClient(broker.port).log_in().log_out()
        RawClient(0, unix_socket=str(path)).log_in().log_out()
        TlsClient(broker.tls_port, authority.context()).log_in().log_out()
        staying.log_out()
        ctl(broker, "suspend_listeners")  # and it stops as it is
    assert not path.exists()


def test_clients_of_a_socket_of_systemd_wait(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    hand_over(broker, "amqp")
    with broker:
        ctl(broker, "suspend_listeners")
        with RawClient(broker.port) as waiting:
            assert ctl(broker, "list_connections").stdout == ""
            ctl(broker, "resume_listeners")
            waiting.log_in().log_out()


def test_an_address_that_is_taken_meanwhile(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        ctl(broker, "drain")
        with socket.create_server(("127.0.0.1", broker.port)):
            result = leveretctl_here("-q", "revive", data_dir=broker.data_dir)
        text = f"Error:\ncannot listen on 127.0.0.1:{broker.port}: Address already in use\n"
        assert (result.returncode, result.stderr) == (69, text)
        assert '"is_under_maintenance":true' in ctl(broker, "--formatter", "json", "status").stdout
        ctl(broker, "revive")
        RawClient(broker.port).log_in().log_out()


def test_maintenance_is_seen_and_ends_with_the_process(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    with broker:
        api = Api(broker.http_port)
        client = RawClient(broker.port).log_in()
        command = [sys.executable, "-m", "leveret", "upgrade", "drain", "-q", "--data-dir", str(broker.data_dir)]
        assert subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
        closed = client.expect(CONNECTION_CLOSE)
        assert b"CONNECTION_FORCED - Node was put into maintenance mode" in closed.payload
        assert refuses(broker.port)
        text = "this rabbit node is not currently available to serve"
        assert api.call("GET", IN_SERVICE).json == {"status": "failed", "reason": text}
        assert api.call("GET", READY).status == 503
        [node] = api.get("/api/nodes")
        assert node["being_drained"] is True
        api.close()
    with broker:
        api = Api(broker.http_port)
        assert api.get(IN_SERVICE) == api.get(READY) == {"status": "ok"}
        RawClient(broker.port).log_in().log_out()
        api.close()
