"""The names that leveretctl may be called by, and the checks that probes call."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pika
import pytest

from tests.ctl.conftest import Ctl, leveretctl_here
from tests.support.broker_process import BrokerProcess

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(leveret: BrokerProcess, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs leveretctl by another name, through a link to it."""
    folder = tmp_path_factory.mktemp("programs")
    own = folder / "leveretctl"
    own.write_text(f"#!{sys.executable}\nimport sys\nfrom leveret.cli.leveretctl import main\nsys.exit(main())\n")
    own.chmod(0o755)

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        link = folder / name
        if not link.exists():
            link.symlink_to(own)
        environment = {**os.environ, "LEVERET_DATA_DIR": str(leveret.data_dir)}
        return subprocess.run(
            [link, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=30
        )

    return run


def test_the_probe_of_docker_and_kubernetes(run: Run) -> None:
    result = run("rabbitmq-diagnostics", "-q", "ping")
    assert (result.returncode, result.stdout, result.stderr) == (0, "Ping succeeded\n", "")


@pytest.mark.parametrize(
    ("name", "has", "has_not"),
    [
        ("rabbitmqctl", "list_queues", "check_running"),
        ("rabbitmq-diagnostics", "check_running", "add_user"),
        ("rabbitmq-queues", "quorum_status", "list_queues"),
        ("rabbitmq-plugins", "list", "list_queues"),
    ],
)
def test_the_name_decides_which_commands_there_are(run: Run, name: str, has: str, has_not: str) -> None:
    known = run(name, "help", has)
    assert known.returncode == 0
    assert f"{name} [--data-dir <folder>]" in known.stdout
    unknown = run(name, has_not)
    assert (unknown.returncode, unknown.stderr.splitlines()[1]) == (64, f"Command '{has_not}' not found. ")
    assert f"   {has} " in unknown.stderr


def test_plugins(run: Run) -> None:
    result = run("rabbitmq-plugins", "enable", "--offline", "rabbitmq_management")
    assert (result.returncode, result.stdout) == (0, "Plugin configuration unchanged.\n")
    assert run("rabbitmq-plugins", "-q", "list").stdout.count("[E*]") > 1
    assert run("rabbitmq-plugins", "list", "-m", "management").stdout.split()[0] == "rabbitmq_management"
    assert run("rabbitmq-plugins", "is_enabled", "rabbitmq_management", "rabbitmq_prometheus").returncode == 0
    every = run("rabbitmq-plugins", "list", "-m").stdout
    assert (
        run("rabbitmq-plugins", "list", "-E", "-m", "-q").stdout == run("rabbitmq-plugins", "list", "-e", "-m").stdout
    )
    assert run("rabbitmq-plugins", "list", "-e", "-m").stdout == every
    assert run("rabbitmq-plugins", "is_enabled", "rabbitmq_nosuch").returncode == 69
    warned = run("rabbitmq-plugins", "enable", "rabbitmq_nosuch")
    assert (warned.returncode, "rabbitmq_nosuch is not built in" in warned.stderr) == (0, True)


def test_quorum_status(leveret: BrokerProcess, run: Run) -> None:
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        channel = connection.channel()
        channel.queue_declare("safe", durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_declare("plain")
    [row] = json.loads(run("rabbitmq-queues", "quorum_status", "safe", "--formatter", "json").stdout)
    assert row["Raft State"] == "leader"
    for queue, reason in (("plain", "classic_queue_not_supported"), ("nosuch", "not_found")):
        result = run("rabbitmq-queues", "-q", "quorum_status", queue)
        assert (result.returncode, result.stderr) == (69, f"Error:\n{reason}\n")


def test_leveret_has_them_as_subcommands(leveret: BrokerProcess) -> None:
    command = [
        sys.executable,
        "-m",
        "leveret",
        "diagnostics",
        "check_running",
        "-q",
        "--data-dir",
        str(leveret.data_dir),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (result.returncode, result.stdout.endswith("is fully booted and running\n")) == (0, True)


def test_checks_that_pass(leveret: BrokerProcess, ctl_here: Ctl) -> None:
    node = json.loads(ctl_here("status", "--formatter", "json").stdout)["node_name"]
    expected = {
        "ping": "Ping succeeded",
        "check_running": f"RabbitMQ on node {node} is fully booted and running",
        "is_running": f"RabbitMQ on node {node} is fully booted and running",
        "is_booting": f"RabbitMQ on node {node} is fully booted (check with is_running), stopped or has not started "
        "booting yet",
        "check_local_alarms": f"Node {node} reported no local alarms",
        "check_alarms": f"Node {node} reported no alarms, local or clusterwide",
        "alarms": f"Node {node} reported no alarms, local or clusterwide",
        "check_virtual_hosts": f"Node {node} reported all vhosts as running",
        f"check_port_listener {leveret.port}": f"A listener for port {leveret.port} is running on node {node}.",
        "check_protocol_listener amqp091": f"A listener for protocol amqp091 is running on node {node}.",
        "node_health_check": "Health check passed",
        "server_version": json.loads(ctl_here("status", "--formatter", "json").stdout)["rabbitmq_version"],
    }
    for arguments, text in expected.items():
        result = ctl_here("-q", *arguments.split())
        assert (result.returncode, result.stdout, result.stderr) == (0, f"{text}\n", ""), arguments
    ports = ", ".join(map(str, sorted([leveret.port, leveret.http_port, leveret.metrics_port])))
    connected = ctl_here("-q", "check_port_connectivity")
    assert connected.stdout == f"Successfully connected to ports {ports} on node {node}.\n"


def test_listeners(leveret: BrokerProcess, ctl_here: Ctl) -> None:
    lines = ctl_here("-q", "listeners").stdout.splitlines()
    assert f"Interface: 127.0.0.1, port: {leveret.port}, protocol: amqp, purpose: AMQP 0-9-1" in lines
    answer = json.loads(ctl_here("listeners", "--formatter", "json").stdout)
    assert answer["result"] == "ok"
    assert {each["port"] for each in answer["listeners"]} == {leveret.port, leveret.http_port, leveret.metrics_port}


def test_memory(ctl_here: Ctl) -> None:
    answer = json.loads(ctl_here("memory_breakdown", "--formatter", "json").stdout)
    assert round(sum(each["percentage"] for each in answer.values())) == 100
    assert "other: " in ctl_here("-q", "memory_breakdown", "--unit", "mb").stdout


def test_checks_that_fail(leveret: BrokerProcess, ctl_here: Ctl) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        result = ctl_here("-q", "check_port_listener", str(port))
        assert (result.returncode, result.stderr.startswith(f"No listener for port {port} is active")) == (69, True)
        elsewhere = ctl_here("-q", "check_port_connectivity", "--address", "127.0.0.2")
        assert elsewhere.returncode == 69
        assert f"port: {leveret.port}" in elsewhere.stderr
    result = ctl_here("-q", "check_protocol_listener", "mqtt")
    assert (result.returncode, result.stderr.splitlines()[0]) == (69, "Error:")
    assert json.loads(ctl_here("check_protocol_listener", "mqtt", "--formatter", "json").stderr)["missing"] == "mqtt"


@pytest.mark.parametrize("check", ["ping", "check_running", "is_running", "check_local_alarms", "listeners"])
def test_a_broker_that_is_not_there(check: str, tmp_path: Path) -> None:
    result = leveretctl_here("-q", check, data_dir=tmp_path)
    assert (result.returncode, result.stdout) == (69, "")
