"""What runs the suites of clients: it fetches what is pinned, leaves nothing out by mistake, and stays on loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.brokers import Brokers, Leveret, certify
from tests.conformance.containers import Containers, ContainerServer
from tests.conformance.packages import CannotFetch, Packages, requirements
from tests.conformance.suites import HERE, SUITES, deselected
from tests.support.raw_client import RawClient

A_SUITE = """
import socket, pytest
def test_loopback():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
def test_address():
    socket.create_connection(("192.0.2.1", 9), 1)
def test_name():
    socket.getaddrinfo("broker.example", 5672)
def test_left_out():
    assert False
def test_left_out_not():
    pass
@pytest.mark.parametrize("number", [1, 2])
def test_numbers(number):
    assert number == 1
@pytest.mark.skip
def test_skipped():
    pass
@pytest.fixture
def broken():
    yield
    assert False
def test_teardown(broken):
    pass
"""


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_a_suite_is_pinned_by_its_hash(suite) -> None:
    *_, line = requirements([suite]).splitlines()
    found = re.fullmatch(rf"{suite.name}==([0-9.]+) --hash=sha256:[0-9a-f]{{64}}", line)
    assert found
    assert suite.folder == f"{suite.name.replace('-', '_')}-{found[1]}"


def test_what_is_left_out_has_a_reason() -> None:
    listed = deselected()
    assert listed.keys() == {suite.name for suite in SUITES}
    assert all(reason for names in listed.values() for reason in names.values())


def test_a_fetch_that_fails_says_what_pip_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    packages = Packages(tmp_path)
    packages.archives.mkdir()
    with pytest.raises(CannotFetch, match=r"pip .*download(?s:.*)failed, so the suites can't be run(?s:.*)amqp==5"):
        packages.fetch_archives([suite for suite in SUITES if suite.name == "amqp"])


def test_the_plugin_keeps_tests_on_loopback_and_leaves_out_what_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(A_SUITE)
    (tmp_path / "pytest.ini").touch()
    left_out = {"test_it.py::test_left_out": "why", "test_*::test_numbers[2]": "why", "test_it.py::test_gone": "why"}
    settings = {
        "PYTHONPATH": str(HERE / "inside"),
        "LEVERET_CONFORMANCE_DESELECTED": json.dumps(left_out),
        "LEVERET_CONFORMANCE_RESULTS": str(tmp_path / "results.json"),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "loopback_only", "-p", "no:cacheprovider", "test_it.py"]
    run = subprocess.run(command, cwd=tmp_path, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert run.stdout.count("not on loopback") >= 2, run.stdout
    told = json.loads((tmp_path / "results.json").read_text())
    assert told["unknown"] == ["test_it.py::test_gone"]
    assert {name.partition("::")[2]: outcome for name, outcome in told["outcomes"].items()} == {
        "test_loopback": "passed",
        "test_address": "failed",
        "test_name": "failed",
        "test_left_out": "deselected",
        "test_left_out_not": "passed",
        "test_numbers[1]": "passed",
        "test_numbers[2]": "deselected",
        "test_skipped": "skipped",
        "test_teardown": "failed",
    }


def test_a_container_keeps_its_ports_when_it_is_killed_and_when_rabbitmqctl_stops_it(tmp_path: Path) -> None:
    with Brokers(tmp_path, certify(tmp_path / "certificates", "127.0.0.1"), foreign=False) as brokers:
        containers = Containers(brokers)
        name = containers.create(["5672/tcp"])
        containers.answer("POST", f"/containers/{name}/start", {})
        broker = containers.by_name[name].broker
        assert isinstance(broker, Leveret)
        ports = containers.by_name[name].described()
        containers.answer("POST", f"/containers/{name}/kill", {})
        containers.answer("POST", f"/containers/{name}/start", {})
        with ContainerServer(brokers, broker) as server:
            server.install_rabbitmqctl(tmp_path / "bin")
            subprocess.run([tmp_path / "bin" / "rabbitmqctl", "stop_app"], check=True)
            with pytest.raises(ConnectionRefusedError):
                RawClient(broker.port)
            subprocess.run([tmp_path / "bin" / "rabbitmqctl", "start_app"], check=True)
        assert containers.by_name[name].described() == ports
        with RawClient(broker.port) as client:
            client.log_in().log_out()
