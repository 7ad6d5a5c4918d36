"""The server as a program: how it starts, where it listens, how it refuses to start, and how it stops."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.expectations import leveret_only
from tests.support.broker_process import BrokerProcess
from tests.support.raw_client import (
    BASIC_CONSUME_OK,
    CONNECTION_CLOSE,
    CONNECTION_CLOSE_OK,
    ConnectionEnded,
    RawClient,
    consume,
    method,
    plain,
    publish,
    read_close,
    start_ok,
)

CAPBSET_DROP, DAC_OVERRIDE = 24, 1  # of Linux: prctl(2), capabilities(7)
pytestmark = leveret_only("it is about Leveret's own program")


def obey_permissions() -> None:
    """Have the program that comes next bound by the permissions of files, even if root runs it."""
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(CAPBSET_DROP, DAC_OVERRIDE, 0, 0, 0):
        raise OSError("root writes everywhere here")


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a server that should refuse to start; the one line it says stands in `stderr`."""
    return subprocess.run(
        [sys.executable, "-m", "leveret", "serve", "--management-port", "0", "--prometheus-port", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        preexec_fn=obey_permissions,
    )


def expect_one_line(finished: subprocess.CompletedProcess[str], *words: str) -> None:
    assert finished.returncode not in (0, None) and finished.returncode > 0, finished
    assert finished.stdout == "", finished
    assert len(finished.stderr.strip().splitlines()) == 1, finished.stderr
    assert "Traceback" not in finished.stderr
    for word in words:
        assert word in finished.stderr, finished.stderr


def have_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def own_address() -> str | None:
    """An address of this machine that is not loopback; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") or address == "0.0.0.0" else address


@pytest.fixture
def unix_path() -> Iterator[Path]:
    """A path short enough for a socket's name, whatever pytest's folders are called."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "leveret.sock"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_connections_and_ends_well(fresh_broker: BrokerProcess, number: signal.Signals) -> None:
    clients = [RawClient(fresh_broker.port).log_in(channels=[1]) for _ in range(10)]
    start = time.monotonic()
    assert fresh_broker.process is not None
    fresh_broker.process.send_signal(number)
    for client in clients:
        close = read_close(client.expect(CONNECTION_CLOSE, channel=0))
        assert close.code == 320 and close.text.startswith("CONNECTION_FORCED - "), close
        client.send(method(0, CONNECTION_CLOSE_OK))
        client.expect_end()
    assert fresh_broker.process.wait(10) == 0
    assert time.monotonic() - start < 3.0  # no client is waited for as long as its five seconds


def test_a_stop_waits_for_no_one(fresh_broker: BrokerProcess) -> None:
    """Clients that never answer: silent, within the handshake, within a frame, and with megabytes unread."""
    silent = RawClient(fresh_broker.port).log_in(channels=[1])
    strangers = [RawClient(fresh_broker.port), RawClient(fresh_broker.port)]
    strangers[1].greet()
    halfway = RawClient(fresh_broker.port).log_in(channels=[1])
    halfway.send(publish(1, "nowhere", b"x" * 1000)[:-500])
    stuck = RawClient(fresh_broker.port).log_in(channels=[1])
    queue = stuck.declare("", 4)[0]
    stuck.send(consume(1, queue, "stuck", 2))
    stuck.expect(BASIC_CONSUME_OK)
    for _ in range(100):
        silent.send(publish(1, queue, b"x" * 100_000))
    assert silent.declare("", 4)[1:] == (0, 0)
    start = time.monotonic()
    assert fresh_broker.stop() == 0
    assert time.monotonic() - start < 3.0  # no client is waited for as long as its five seconds
    assert read_close(silent.expect(CONNECTION_CLOSE)).code == 320
    for client in (silent, halfway, stuck, *strangers):
        client.close()


def test_a_stop_without_clients_is_quick(fresh_broker: BrokerProcess) -> None:
    start = time.monotonic()
    assert fresh_broker.stop() == 0
    assert time.monotonic() - start < 3.0  # no client is waited for as long as its five seconds


def test_a_stopped_broker_starts_again_on_the_same_port(fresh_broker: BrokerProcess) -> None:
    port = fresh_broker.port
    clients = [RawClient(port).log_in() for _ in range(3)]
    fresh_broker.stop()
    fresh_broker.start()
    assert fresh_broker.port == port
    RawClient(port).log_in().log_out()
    for client in clients:
        client.close()


def test_a_killed_broker_starts_again_on_the_same_port(fresh_broker: BrokerProcess) -> None:
    client = RawClient(fresh_broker.port).log_in()
    fresh_broker.stop(signal.SIGKILL)
    with pytest.raises(ConnectionEnded):
        client.read_frame()
    fresh_broker.start()
    RawClient(fresh_broker.port).log_in().log_out()
    client.close()


def test_it_says_where_it_serves_and_nothing_else(fresh_broker: BrokerProcess) -> None:
    assert fresh_broker.port > 0
    assert fresh_broker.process is not None and fresh_broker.process.stdout is not None
    fresh_broker.process.send_signal(signal.SIGTERM)
    assert fresh_broker.process.stdout.read() == ""


def test_a_taken_port_is_one_clear_line(fresh_broker: BrokerProcess, tmp_path: Path) -> None:
    finished = serve("--port", str(fresh_broker.port), "--data-dir", str(tmp_path / "other"))
    expect_one_line(finished, str(fresh_broker.port))


def test_a_taken_port_of_the_http_api_is_one_clear_line(fresh_broker: BrokerProcess, tmp_path: Path) -> None:
    arguments = ("--port", "0", "--management-port", str(fresh_broker.http_port))
    finished = serve(*arguments, "--data-dir", str(tmp_path / "other"))
    expect_one_line(finished, str(fresh_broker.http_port), "in use (the HTTP API: --management-port)")


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    folder = tmp_path / "file" / "data"
    expect_one_line(serve("--port", "0", "--data-dir", str(folder)), str(folder))


def test_a_file_in_place_of_the_folder_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("not a folder")
    expect_one_line(serve("--port", "0", "--data-dir", str(path)), str(path))
    assert path.read_text() == "not a folder"


def test_a_folder_without_write_permission_is_one_clear_line(tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    expect_one_line(serve("--port", "0", "--data-dir", str(folder)), "cannot write", str(folder))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--nonsense"], "--nonsense"),
        (["--port", "abc"], "abc"),
        (["--port", "65536"], "65536"),
        (["--port", "-1"], "-1"),
        (["--port"], "--port"),
        (["--management-port", "any"], "any"),
        (["--log-level", "nonsense"], "nonsense"),
        (["--bind", "999.999.999.999", "--port", "0"], "999.999.999.999"),
        (["--bind", "a..b", "--port", "0"], "a..b"),
        (["--sync", "interval=0"], "interval=0"),
        (["surplus"], "surplus"),
    ],
)
def test_a_bad_flag_is_one_clear_line(tmp_path: Path, arguments: list[str], word: str) -> None:
    expect_one_line(serve("--data-dir", str(tmp_path / "data"), *arguments), word)


def test_an_address_of_another_machine_is_one_clear_line(tmp_path: Path) -> None:
    expect_one_line(serve("--data-dir", str(tmp_path), "--port", "0", "--bind", "192.0.2.1"), "192.0.2.1")


@pytest.mark.parametrize("bind", ["::", "localhost"])
def test_one_name_serves_both_families(tmp_path: Path, bind: str) -> None:
    if not have_ipv6():
        pytest.skip("this machine has no IPv6")
    if bind == "localhost" and not {"127.0.0.1", "::1"} <= {info[4][0] for info in socket.getaddrinfo("localhost", 0)}:
        pytest.skip("localhost is not both 127.0.0.1 and ::1 on this machine")
    with BrokerProcess(tmp_path, "--bind", bind) as broker:
        for host in ("127.0.0.1", "::1"):
            RawClient(broker.port, host).log_in(channels=[1]).log_out()


def test_the_default_is_loopback_alone(fresh_broker: BrokerProcess) -> None:
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address besides loopback")
    with pytest.raises(ConnectionRefusedError):
        RawClient(fresh_broker.port, address)


def test_guest_logs_in_from_loopback_only(tmp_path: Path) -> None:
    address = own_address()
    if address is None:
        pytest.skip("this machine has no address besides loopback")
    with BrokerProcess(tmp_path, "--bind", "0.0.0.0") as broker:
        RawClient(broker.port).log_in().log_out()
        with RawClient(broker.port, address) as client:
            client.greet()
            client.send(start_ok(response=plain(), properties={"capabilities": {"authentication_failure_close": True}}))
            client.expect_connection_close(
                403, "Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
            )


def test_a_unix_socket_serves_too(tmp_path: Path, unix_path: Path) -> None:
    with BrokerProcess(tmp_path, "--unix-socket", str(unix_path)) as broker:
        local = RawClient(0, unix_socket=str(unix_path)).log_in(channels=[1])
        remote = RawClient(broker.port).log_in(channels=[1])
        queue = local.declare("shared", 8)[0]
        local.send(consume(1, queue, "tag", 2))
        local.expect(BASIC_CONSUME_OK)
        remote.send(publish(1, queue, b"across"))
        assert local.expect_message().body == b"across"
        local.log_out()
        remote.log_out()
    assert not unix_path.exists()


def test_a_socket_left_by_a_killed_broker_is_taken_over(tmp_path: Path, unix_path: Path) -> None:
    with BrokerProcess(tmp_path, "--unix-socket", str(unix_path)) as broker:
        broker.stop(signal.SIGKILL)
        assert unix_path.exists()
        broker.start()
        RawClient(0, unix_socket=str(unix_path)).log_in().log_out()


def test_a_socket_path_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("not a socket")
    expect_one_line(serve("--port", "0", "--data-dir", str(tmp_path / "data"), "--unix-socket", str(path)), str(path))
    assert path.read_text() == "not a socket"


def test_a_running_brokers_socket_is_not_stolen(tmp_path: Path, unix_path: Path) -> None:
    with BrokerProcess(tmp_path, "--unix-socket", str(unix_path)):
        other = serve("--port", "0", "--data-dir", str(tmp_path / "other"), "--unix-socket", str(unix_path))
        expect_one_line(other, str(unix_path))
        RawClient(0, unix_socket=str(unix_path)).log_in().log_out()
