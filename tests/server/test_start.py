"""A start that fails late, and a stop among reloads."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.broker_process import BrokerProcess


def test_what_listened_already_is_closed_when_the_rest_can_not(tmp_path: Path) -> None:
    unix_socket = tmp_path / "amqp.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        listeners = ["--port", "0", "--unix-socket", str(unix_socket), "--management-port", port]
        command = [sys.executable, "-m", "leveret.cli.leveret", "serve", "--data-dir", str(tmp_path / "data")]
        result = subprocess.run([*command, *listeners], capture_output=True, text=True, check=False, timeout=30)
    text = f"leveret: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith(text)
    assert not unix_socket.exists()


def test_reloads_disturb_no_stop(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
            os.kill(broker.pid, number)
        status = broker.stop()
        log = broker.log_path.read_text()
    assert (status, "the configuration is loaded again" in log, "Traceback" in log) == (0, True, False)
