"""A broker as a program: what it takes from which source, what it says of it, and what SIGHUP changes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ctl.conftest import leveretctl_here
from tests.support.broker_process import BrokerProcess
from tests.support.certificates import Authority
from tests.support.raw_client import CONNECTION_TUNE, RawClient, publish, start_ok

DEADLINE = 8.0  # seconds


def wait_until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.01)


def wait_for_log(path: Path, text: str, count: int = 1) -> None:
    wait_until(
        lambda: path.exists() and path.read_text().count(text) >= count, lambda: f"no {text!r}: {path.read_text()}"
    )


def tuned(port: int) -> tuple[int, int, int]:
    """What the broker offers in connection.tune: channel-max, frame-max and heartbeat."""
    with RawClient(port) as client:
        client.greet()
        client.send(start_ok())
        channel_max, frame_max, heartbeat = client.expect(CONNECTION_TUNE, channel=0).arguments.unpack("HLH")
    return channel_max, frame_max, heartbeat


def connected(broker: BrokerProcess) -> RawClient:
    """A client with channel 1 that keeps to what the module's broker offers."""
    return RawClient(broker.port).log_in(channel_max=50, frame_max=65536, channels=[1])


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rabbitmq.conf for the module's broker, which tests change and put back."""
    return tmp_path_factory.mktemp("configuration") / "rabbitmq.conf"


@pytest.fixture(scope="module")
def log_file(configuration: Path) -> Path:
    return configuration.parent / "logs" / "broker.log"


@pytest.fixture(scope="module")
def text(configuration: Path) -> str:
    return f"""
        # what an operator has
        listeners.tcp.1 = 127.0.0.1:5672
        listeners.tcp.2 = ::1:5672
        channel_max = 100
        frame_max = 64KiB
        heartbeat = 30
        max_message_size = 1KiB
        consumer_timeout = 3600000
        tcp_listen_options.backlog = 16
        tcp_listen_options.nodelay = false
        tcp_listen_options.sndbuf = 64KiB
        vm_memory_high_watermark.absolute = 8GB
        disk_free_limit.absolute = 1MB
        log.file = {configuration.parent}/logs/broker.log
        log.file.formatter = json
        log.file.level = debug
        cluster_name = burrows
        frobnicate = true
        cluster_partition_handling = autoheal
    """


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, configuration: Path, text: str) -> Iterator[BrokerProcess]:
    configuration.write_text(text)
    process = BrokerProcess(tmp_path_factory.mktemp("broker"), "--config", str(configuration), "--heartbeat", "7")
    process.environment = {"LEVERET_CHANNEL_MAX": "50", "LEVERET_HEARTBEAT": "8", "RABBITMQ_NODENAME": "hare@burrow"}
    with process:
        yield process


@pytest.fixture
def rewrite(broker: BrokerProcess, configuration: Path, text: str, log_file: Path) -> Iterator[Callable[[str], None]]:
    """Puts another text into the file and sends SIGHUP; puts the first one back at the end."""

    def put(new: str) -> None:
        configuration.write_text(new)
        os.kill(broker.pid, signal.SIGHUP)

    yield put
    before = broker.log_path.read_text().count("is loaded again")
    put(text)
    wait_for_log(broker.log_path, "is loaded again", before + 1)


def test_flags_count_most_then_the_environment_then_the_file(broker: BrokerProcess) -> None:
    assert tuned(broker.port) == (50, 65536, 7)


def test_listeners_of_the_file_take_the_port_of_the_flag(broker: BrokerProcess) -> None:
    logged = broker.log_path.read_text()
    assert f"listening on amqp://127.0.0.1:{broker.port}" in logged
    assert f"listening on amqp://[::1]:{broker.port}" in logged


def test_the_largest_message(broker: BrokerProcess) -> None:
    with connected(broker) as client:
        queue = client.declare("", 2)[0]
        client.send(publish(1, queue, b"x" * 1024))
        assert client.count(queue) == 1
        client.send(publish(1, queue, b"x" * 1025))
        client.expect_channel_close(406, "message size 1025 is larger than configured max size 1024")


def test_warnings_name_the_key_and_its_line(broker: BrokerProcess, configuration: Path, text: str) -> None:
    logged = broker.log_path.read_text()
    first = next(number for number, line in enumerate(text.split("\n"), 1) if "frobnicate" in line)
    assert f"[info] configured by {configuration}\n" in logged
    assert f"[warning] {configuration}:{first}: 'frobnicate' is unknown and ignored\n" in logged
    assert (
        f"[warning] {configuration}:{first + 1}: 'cluster_partition_handling' is ignored: there is no cluster\n"
        in logged
    )


def test_status_has_the_files_and_the_name(broker: BrokerProcess, configuration: Path, log_file: Path) -> None:
    result = leveretctl_here("status", "--formatter", "json", data_dir=broker.data_dir)
    status = json.loads(result.stdout)
    assert status["config_files"] == [str(configuration)]
    assert status["log_files"] == ["<stderr>", str(log_file)]
    assert status["node_name"] == "hare@burrow"


def test_the_name_of_the_cluster(broker: BrokerProcess) -> None:
    with RawClient(broker.port) as client:
        arguments = client.greet().arguments
        arguments.unpack("BB")
        assert arguments.table()["cluster_name"] == "burrows"


def test_the_file_of_the_log_has_its_own_form_and_level(broker: BrokerProcess, log_file: Path) -> None:
    with connected(broker) as client:
        client.declare("told", 2)
    records = [json.loads(line) for line in log_file.read_text().splitlines()]
    (record,) = [each for each in records if each["msg"] == "queue 'told' added to vhost '/'"]
    assert (record["level"], record["category"]) == ("debug", "queue")
    assert "queue 'told'" not in broker.log_path.read_text()


def test_a_signal_opens_the_log_anew_and_changes_levels(
    broker: BrokerProcess, text: str, log_file: Path, rewrite: Callable[[str], None]
) -> None:
    moved = log_file.with_suffix(".1")
    log_file.rename(moved)
    rewrite(f"{text}\nlog.connection.level = none\nheartbeat = 5\nframe_max = 32KiB\n")
    wait_for_log(log_file, "the configuration is loaded again")
    assert "frame_max has changed and waits for a restart" in log_file.read_text()
    assert "heartbeat has changed" not in log_file.read_text()  # the flag still counts
    with connected(broker) as client:
        client.declare("quiet", 2)
    wait_for_log(log_file, "queue 'quiet' added")
    assert '"connection"' not in log_file.read_text()
    assert tuned(broker.port) == (50, 65536, 7)


@pytest.mark.parametrize(
    ("addition", "told"),
    [
        ("channel_max = x", ": channel_max: 'x' is not a number, -1 or infinity"),
        ("log.file = /dev/null/x", "cannot log to /dev/null/x: "),
    ],
)
def test_a_broken_configuration_changes_nothing_but_opens_the_log_anew(
    broker: BrokerProcess, text: str, rewrite: Callable[[str], None], addition: str, told: str
) -> None:
    before = broker.log_path.read_text().count("left as it was")
    rewrite(f"{text}\nlog.console.level = critical\n{addition}\n")
    wait_for_log(broker.log_path, "the configuration is left as it was", before + 1)
    assert told in broker.log_path.read_text()
    assert tuned(broker.port) == (50, 65536, 7)


def serve(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a server that should refuse to start."""
    command = [sys.executable, "-m", "leveret", "serve", "--port", "0", "--data-dir", str(folder / "data")]
    command += ["--management-port", "0", "--prometheus-port", "0", *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=20
    )


def test_bad_values_stop_the_start_with_a_line_for_each(tmp_path: Path) -> None:
    path = tmp_path / "leveret.toml"
    path.write_text("heartbeat = 'often'\nfrob = 1\n[log]\nlevel = 'loud'\n")
    result = serve(tmp_path, "--config", str(path), LEVERET_SYNC="sometimes")
    assert (result.returncode, result.stdout) == (1, "")
    first, second, third = result.stderr.splitlines()
    assert first == f"leveret: {path}:1: heartbeat: 'often' is not a number of seconds between 0 and 65535"
    assert second.startswith(f"leveret: {path}:4: log.level: 'loud' is not one of debug, info")
    assert third == "leveret: $LEVERET_SYNC: 'sometimes' is not always, interval=MS or never"
    assert not (tmp_path / "data").exists()


def test_a_log_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    result = serve(tmp_path, "--log-file", str(tmp_path))
    assert (result.returncode, result.stderr) == (1, f"leveret: cannot log to {tmp_path}: Is a directory\n")


def test_nothing_to_listen_on_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "rabbitmq.conf"
    path.write_text("listeners.tcp = none\n")
    result = serve(tmp_path, "--config", str(path))
    assert result.returncode == 1
    assert result.stderr.startswith("leveret: there is nothing to listen on")


def test_all_addresses(tmp_path: Path) -> None:
    path = tmp_path / "rabbitmq.conf"
    path.write_text("listeners.tcp.default = 5672\nlog.console.stdio = stdout\nlog.console = false\n")
    with BrokerProcess(tmp_path, "--config", str(path)) as broker:
        for address in ("127.0.0.1", "127.0.0.2"):
            RawClient(broker.port, address).log_in().log_out()
            with socket.create_connection((address, broker.http_port), timeout=DEADLINE):
                pass  # the HTTP API is where AMQP is
        assert broker.log_path.read_text() == ""


def test_tls_alone(tmp_path: Path) -> None:
    """`listeners.tcp = none` leaves TLS for AMQP, and HTTP is where that is."""
    server = Authority(tmp_path).issue("server")
    path = tmp_path / "rabbitmq.conf"
    lines = ["listeners.tcp = none", "listeners.ssl.1 = 127.0.0.1:5671"]
    lines += [f"ssl_options.{key} = {getattr(server, key)}" for key in ("certfile", "keyfile")]
    path.write_text("\n".join(lines))
    broker = BrokerProcess(tmp_path, "--config", str(path), "--tls-port", "0")
    with broker:
        listening = re.findall(r"listening on (\S+)://127\.0\.0\.1:\d+", broker.log_path.read_text())
        assert listening == ["amqps", "http", "http+prometheus"]


def test_definitions_that_the_file_names(tmp_path: Path) -> None:
    definitions = {"vhosts": [{"name": "shop"}], "queues": [{"vhost": "shop", "name": "q", "durable": True}]}
    (tmp_path / "definitions.json").write_text(json.dumps(definitions))
    path = tmp_path / "rabbitmq.conf"
    path.write_text(f"listeners.tcp.1 = 127.0.0.1:5672\nload_definitions = {tmp_path}/definitions.json\n")
    with BrokerProcess(tmp_path, "--config", str(path), "--management-port", "none") as broker:
        assert broker.http_port == 0
        listed = leveretctl_here("-q", "list_queues", "-p", "shop", "--formatter", "json", data_dir=broker.data_dir)
        assert [row["name"] for row in json.loads(listed.stdout)] == ["q"]
        with RawClient(broker.port) as client:  # users come from definitions then, and there are none
            client.greet()
            client.send(start_ok(properties={"capabilities": {"authentication_failure_close": True}}))
            client.expect_connection_close(403)


def test_a_port_of_its_own(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "--bind", "127.0.0.1", "--bind", "127.0.0.1:0", "--ephemeral", "true") as broker:
        lines = broker.log_path.read_text().splitlines()
        ports = [int(line.rpartition(":")[2]) for line in lines if "listening on amqp://127.0.0.1:" in line]
        assert len(set(ports)) == 2
        assert ports[0] == broker.port
        RawClient(ports[1]).log_in().log_out()
