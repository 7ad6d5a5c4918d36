"""The commands with an output that is closed, full or read by nobody, and in a locale that is not UTF-8."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ctl.conftest import Ctl
from tests.support.broker_process import BrokerProcess

CTL = "leveret.cli.leveretctl"
LEVERET = "leveret.cli.leveret"
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(redirected: str, module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command with its output redirected by the shell."""
    return subprocess.run(
        ["bash", "-c", f'"$@" {redirected}', "bash", sys.executable, "-m", module, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        timeout=30,
    )


def test_a_closed_output_stops_no_command(leveret: BrokerProcess, ctl: Ctl) -> None:
    folder = {"LEVERET_DATA_DIR": str(leveret.data_dir)}
    result = shell(">&-", CTL, "add_vhost", "unseen", **folder)
    assert (result.returncode, result.stderr) == (0, b"")
    assert {"name": "unseen"} in json.loads(ctl("list_vhosts", "--formatter", "json").stdout)
    refused = shell("2>&-", CTL, "delete_vhost", "nowhere", **folder)
    assert (refused.returncode, refused.stdout) == (65, b'Deleting vhost "nowhere" ...\n')


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(("module", "arguments"), [(CTL, ["help"]), (LEVERET, ["config", "show"])])
def test_a_full_disk_is_one_line(module: str, arguments: list[str]) -> None:
    result = shell(">/dev/full", module, *arguments)
    assert (result.returncode, result.stderr) == (74, b"Error: cannot write: No space left on device\n")


@pytest.mark.parametrize(("module", "arguments"), [(CTL, ["help"]), (LEVERET, ["config", "show"])])
def test_nobody_reads(module: str, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", module, *arguments]
    result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=30)
    os.close(writing)
    assert (result.returncode, result.stderr) == (141, b"")


def test_names_are_utf_8_in_any_locale(leveret: BrokerProcess, ctl: Ctl) -> None:
    result = shell("", CTL, "add_vhost", "grün", LEVERET_DATA_DIR=str(leveret.data_dir), **ASCII)
    assert (result.returncode, result.stdout.decode()) == (0, 'Adding vhost "grün" ...\n')
    assert {"name": "grün"} in json.loads(ctl("list_vhosts", "--formatter", "json").stdout)


def test_a_broker_serves_though_nobody_reads_that_it_is_ready(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ports = ["--port", "0", "--management-port", "none", "--prometheus-port", "none"]
    command = [sys.executable, "-m", LEVERET, "serve", *ports, "--data-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, text=True) as process:
        os.close(writing)
        assert process.stderr is not None
        said = next((line for line in process.stderr if "cannot say on standard output" in line), "")
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert said.endswith("that the broker is ready: Broken pipe\n")
    assert (process.returncode, "stopping" in rest) == (0, True)
