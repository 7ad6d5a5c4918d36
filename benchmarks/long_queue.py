"""A queue of many millions of persistent messages: memory while it fills, start after SIGKILL, and how it drains.

    python benchmarks/long_queue.py --count 10000000

The broker keeps its data in a temporary folder, which needs room for the messages and a tenth more.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

amqpload = importlib.import_module("amqpload")  # beside this file; untyped, and kept as it is

QUEUE = "long"
OUTSTANDING = 5000  # publishes that wait for their confirm


class Broker:
    """A Leveret in a folder, and the highest resident memory it was seen with."""

    def __init__(self, folder: Path) -> None:
        self.peak_mb = 0.0
        begun = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "leveret",
            "serve",
            "--port",
            "0",
            "--management-port",
            "0",
            "--prometheus-port",
            "0",
            "--data-dir",
            str(folder),
        ]
        self.process = subprocess.Popen(
            [*command, "--log-level", "error"], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        self.ready_s = time.perf_counter() - begun
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while self.process.poll() is None:
            self.peak_mb = max(self.peak_mb, amqpload.rss_mb(self.process.pid) or 0)
            time.sleep(0.1)

    def end(self, number: signal.Signals) -> None:
        """End the process with a signal."""
        self.process.send_signal(number)
        self.process.wait()


def fill(broker: Broker, count: int, size: int) -> float:
    """Publish with confirms; gives the messages a second."""
    connection = amqpload.Connection(broker.port)
    connection.declare(QUEUE, durable=True)
    connection.confirm()
    one = amqpload.message("", QUEUE, b"x" * size, True)
    block, per_block = one * 60, 60
    sent = confirmed = 0
    begun = time.perf_counter()
    while confirmed < count:
        if sent < count:
            connection.sock.sendall(block)
            sent += per_block
        while sent - confirmed > OUTSTANDING or (sent >= count and confirmed < sent):
            kind, _, payload = connection.read()
            if kind == 1:
                _, _, tag, multiple = struct.unpack(">HHQB", payload)
                confirmed = tag if multiple else confirmed + 1
    return sent / (time.perf_counter() - begun)


def drain(broker: Broker, count: int) -> tuple[float, list[float]]:
    """Consume with acknowledgements; gives the seconds to the first delivery, and the rate of every two seconds."""
    begun = time.perf_counter()
    sink = amqpload.Sink(broker.port, QUEUE, False, threading.Event())
    sink.start()
    while sink.count < 1:
        time.sleep(0.001)
    first = time.perf_counter() - begun
    rates: list[float] = []
    last = 0
    while sink.count < count:
        time.sleep(2)
        rates.append((sink.count - last) / 2)
        last = sink.count
    return first, rates


def main() -> int:
    """Run it and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--count", type=int, default=10_000_000, help="messages (default: 10,000,000)")
    arguments.add_argument("--size", type=int, default=1024, help="octets of a body (default: 1024)")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="leveret-long-queue-") as temporary:
        folder = Path(temporary) / "data"
        broker = Broker(folder)
        print(f"filled at {fill(broker, given.count, given.size):,.0f} a second", flush=True)
        print(f"resident memory at most {broker.peak_mb:.0f} MB while it filled", flush=True)
        broker.end(signal.SIGKILL)
        broker = Broker(folder)
        print(f"after SIGKILL ready in {broker.ready_s:.2f} s", flush=True)
        first, rates = drain(broker, given.count)
        print(f"first message after {first * 1000:.0f} ms", flush=True)
        steady = sorted(rates[:-1] or rates)
        print(f"drained at {steady[0]:,.0f} to {steady[-1]:,.0f} a second", flush=True)
        print(f"resident memory at most {broker.peak_mb:.0f} MB since the restart", flush=True)
        time.sleep(3)
        left = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        print(f"{left / 2**20:.1f} MiB left on disk", flush=True)
        broker.end(signal.SIGTERM)
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
