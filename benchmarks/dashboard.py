"""What an open dashboard costs: throughput and delivery latency, without and with the HTTP API being polled.

A broker with so many queues is loaded by `amqpload.py`. A thread asks for what RabbitMQ's page asks for twice a second:
the overview, a page of queues, a page of connections. Each run without polling is followed by one with it.

  python benchmarks/dashboard.py --queues 5000 --rounds 3 --seconds 5
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

LOAD = Path(__file__).with_name("amqpload.py")
PERIOD = 0.5  # seconds between two polls
PAGES = (
    "/api/overview?lengths_age=60&lengths_incr=5&msg_rates_age=60&msg_rates_incr=5",
    "/api/queues?page=1&page_size=100&sort=messages&sort_reverse=true&pagination=true",
    "/api/connections?page=1&page_size=100&pagination=true",
)


class Dashboard:
    """Polls the HTTP API within a `with` block."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self.seconds: list[float] = []  # that each poll took

    def _poll(self) -> None:
        while not self._ended.wait(PERIOD):
            begun = time.monotonic()
            for page in PAGES:
                self._connection.request("GET", page, headers=self._headers)
                response = self._connection.getresponse()
                response.read()
                if response.status != 200:
                    raise SystemExit(f"{page}: {response.status}")
            self.seconds.append(time.monotonic() - begun)

    def __enter__(self) -> Dashboard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def load(port: int, *arguments: str) -> dict[str, float]:
    """Run the load generator and give what it found."""
    command = [sys.executable, str(LOAD), "--port", str(port), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found: dict[str, float] = json.loads(result.stdout.strip().splitlines()[-1])
    return found


def declare_queues(port: int, http_port: int, count: int) -> None:
    """Import so many queues as definitions."""
    queues = [
        {"name": f"queue-{number}", "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}
        for number in range(count)
    ]
    connection = http.client.HTTPConnection("127.0.0.1", http_port, timeout=120)
    headers = {
        "Authorization": "Basic " + base64.b64encode(b"guest:guest").decode(),
        "Content-Type": "application/json",
    }
    connection.request("POST", "/api/definitions", json.dumps({"queues": queues}), headers)
    if connection.getresponse().status not in (200, 201, 204):
        raise SystemExit("the queues could not be declared")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what an open dashboard costs.")
    parser.add_argument("--queues", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    given = parser.parse_args()
    loads = {
        "delivered_per_s": ("throughput", "--size", "100", "--mode", "auto", "--seconds", str(given.seconds)),
        "p99_ms": ("latency", "--rate", "5000", "--size", "100", "--seconds", str(given.seconds)),
    }
    with tempfile.TemporaryDirectory() as folder:
        options = ("--port", "0", "--management-port", "0", "--prometheus-port", "none", "--data-dir", folder)
        command = [sys.executable, "-m", "leveret", "serve", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        ports = [int(port) for port in re.findall(r":(\d+)", process.stdout.readline())]
        try:
            declare_queues(ports[0], ports[1], given.queues)
            for metric, arguments in loads.items():
                alone, polled, polls = [], [], []
                for _ in range(given.rounds):
                    alone.append(load(ports[0], *arguments)[metric])
                    with Dashboard(ports[1]) as dashboard:
                        polled.append(load(ports[0], *arguments)[metric])
                    polls += dashboard.seconds
                print(
                    f"{metric}: {statistics.median(alone):,.2f} alone {alone}, {statistics.median(polled):,.2f} polled "
                    f"{polled}, ratio {statistics.median(polled) / statistics.median(alone):.3f}; "
                    f"a poll takes {statistics.median(polls) * 1000:.0f} ms, at most {max(polls) * 1000:.0f}",
                    flush=True,
                )
        finally:
            process.terminate()
            process.wait(30)
    return 0


if __name__ == "__main__":
    sys.exit(main())
