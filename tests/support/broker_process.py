"""A broker as users run it: a process of its own, found by the line it prints when it serves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

HOST = r"(?:\[[^\]]+\]|[^:]+)"
READY = re.compile(rf"ready amqps?://{HOST}:(\d+)(?: http://{HOST}:(\d+))?(?: http\+prometheus://{HOST}:(\d+))?")


# By itself, or killed by a test: anything else, as a fault in compiled code, is no way to end.
ENDS = (0, -signal.SIGKILL)


class ExternalBroker:
    """A broker that somebody else started on loopback."""

    def __init__(self, port: int) -> None:
        self.port = port

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"


class BrokerProcess:
    """`leveret serve` on a free port, with its data in `folder`; stopped by SIGTERM at the end of the block."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.data_dir = folder / "data"
        self.arguments = arguments
        self.port = 0
        self.http_port = 0
        self.metrics_port = 0
        self.started_by: tuple[str, ...] = ()  # a program, with its arguments, that runs what follows
        self.environment: dict[str, str] = {}  # variables that it has beside those of the tests
        self.log_path = folder / "broker.log"
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start the program and wait until it says that it serves; a second start takes the same port again."""
        command = [sys.executable, "-m", "leveret", "serve", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        command += ["--management-port", str(self.http_port), "--prometheus-port", str(self.metrics_port)]
        with self.log_path.open("a") as log:
            self.process = subprocess.Popen(
                [*self.started_by, *command, *self.arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **self.environment},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = READY.match(line)
        if not found:
            self.process.wait(10)
            raise AssertionError(f"the broker did not start: {line!r} {self.log_path.read_text()}")
        self.port = int(found[1])
        self.http_port = int(found[2] or 0)
        self.metrics_port = int(found[3] or 0)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the process with a signal and return its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = self.stop()
        logged = self.log_path.read_text()
        assert "Traceback" not in logged, logged
        assert status in ENDS, f"the broker ended with {status}: {logged}"
