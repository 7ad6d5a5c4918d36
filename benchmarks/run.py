"""Measures Leveret side by side with RabbitMQ, or another broker, and prints a Markdown table with the ratios.

Figures move from machine to machine and from minute to minute, so only figures of one run are compared: in each round
every broker is started afresh, and each row is measured on one broker after the other while the others are idle. The
load comes from `amqpload.py` or `routing_load.py`, a process for each row and broker. Brokers that are started here
listen on free ports of loopback, keep their data in a temporary folder, and are stopped at the end; one that runs
already is never touched.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import platform
import re
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rows import ROWS, Metric, Row

sys.path.append(str(Path(__file__).parents[1]))  # where the tests are, which start a RabbitMQ too
from tests.support import rabbitmq as installed_rabbitmq

LOADS = Path(__file__).parent
amqpload = importlib.import_module("amqpload")  # beside this file; untyped, and kept as it is

START_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 20.0
SETTLE = 1.0  # seconds of rest before idle memory is read, and after a load
VERB_TIMEOUT = 240.0  # seconds beyond those that a load is asked to last
RESULTS_BEGIN = "<!-- results: written by run.py --into -->"
RESULTS_END = "<!-- end of results -->"


@dataclass(frozen=True)
class Broker:
    """A broker that serves on 127.0.0.1. `pid` None: its memory can't be read; `ready_s` None: it ran before."""

    name: str
    port: int
    pid: int | None = None
    ready_s: float | None = None


class Failed(Exception):
    """A broker that doesn't start or a load that doesn't run; the text is for the reader."""


# brokers


def wait_for_connection(port: int, process: subprocess.Popen[str], log: Path) -> None:
    """Wait until a client gets its connection and its channel open. Raises Failed."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            amqpload.Connection(port).sock.close()
            return
        except (OSError, EOFError):
            time.sleep(0.01)
    raise Failed(f"{process.args!r} did not start:\n{log.read_text()[-2000:]}")


def stop(process: subprocess.Popen[str]) -> None:
    """End a process that was started here, and its children."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # it leads a process group of its own
        process.wait()


def leveret_version() -> str:
    """`Leveret 0.1.0 (compiled)`."""
    command = [sys.executable, "-m", "leveret", "--version"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().capitalize()


@contextlib.contextmanager
def leveret(folder: Path) -> Iterator[Broker]:
    """A Leveret of this interpreter's environment, with its default options but for the port and the folder."""
    log = folder / "leveret.log"
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
        str(folder / "data"),
    ]
    begun = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=output, text=True, start_new_session=True
        )
    try:
        assert process.stdout is not None
        ready = re.match(r"ready amqp://127\.0\.0\.1:(\d+)", process.stdout.readline())
        if ready is None:
            raise Failed(f"leveret did not start:\n{log.read_text()}")
        port = int(ready[1])
        wait_for_connection(port, process, log)
        yield Broker(leveret_version(), port, process.pid, time.perf_counter() - begun)
    finally:
        stop(process)


@contextlib.contextmanager
def rabbitmq(folder: Path) -> Iterator[Broker]:
    """A RabbitMQ of its own with its default configuration."""
    try:
        with installed_rabbitmq.rabbitmq(folder) as broker:
            yield Broker(f"RabbitMQ {broker.version}", broker.port, broker.pid, broker.ready_s)
    except installed_rabbitmq.CannotStart as error:
        raise Failed(str(error)) from None


# measuring


def load(broker: Broker, program: str, arguments: tuple[str, ...], seconds: float) -> dict[str, float]:
    """Run a load generator against a broker and give its figures. Raises Failed."""
    command = [sys.executable, str(LOADS / program), "--port", str(broker.port), *arguments, "--seconds", str(seconds)]
    if broker.pid is not None:
        command += ["--pid", str(broker.pid)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        output, errors = process.communicate(timeout=seconds + VERB_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Failed(f"{shlex.join(arguments)} took more than {seconds + VERB_TIMEOUT:.0f} s") from None
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise Failed(f"{shlex.join(arguments)}: {errors.strip().splitlines()[-1]}")
    if arguments[0] == "throughput":  # which leaves its queue behind, with whatever was not consumed
        connection = amqpload.Connection(broker.port)
        connection.delete(f"load-{process.pid}-0")
        connection.sock.close()
    time.sleep(SETTLE)
    figures = {key: value for key, value in json.loads(output).items() if isinstance(value, int | float)}
    if figures.get("published_per_s"):
        figures["delivered_share"] = 100 * figures["delivered_per_s"] / figures["published_per_s"]
    return figures


def measure(broker: Broker, row: Row, seconds: float) -> dict[str, float]:
    """The figures of one row for one broker. Raises Failed."""
    if row.load:
        return load(broker, row.program, row.load, seconds)
    if broker.ready_s is None:
        return {}
    time.sleep(SETTLE)
    return {"ready_s": broker.ready_s, "idle_mb": amqpload.rss_mb(broker.pid)}


class Results:
    """The figures of every round, by broker, row and metric."""

    def __init__(self) -> None:
        self.brokers: list[str] = []
        self.figures: dict[tuple[str, str, str], list[float]] = {}
        self.failures: list[str] = []

    def add(self, broker: str, row: Row, figures: dict[str, float]) -> None:
        """Keep what one row gave for one broker in one round."""
        for metric in row.metrics:
            if metric.key in figures:
                self.figures.setdefault((broker, row.name, metric.key), []).append(figures[metric.key])


def run_round(options: argparse.Namespace, rows: list[Row], results: Results) -> None:
    """Start the brokers and measure every row on each of them in turn."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leveret-benchmark-")))
        folder.chmod(0o711)  # another user's RabbitMQ has to get through to its own folder
        brokers: list[Broker] = []
        starts = [leveret]
        if options.against is None and installed_rabbitmq.rabbitmq_server() is not None:
            starts.append(rabbitmq)
        for start in starts:
            own_folder = folder / start.__name__
            own_folder.mkdir()
            brokers.append(stack.enter_context(start(own_folder)))
        if options.against is not None:
            brokers.append(options.against)
        results.brokers = [broker.name for broker in brokers]
        for row in rows:
            for broker in brokers:
                try:
                    figures = measure(broker, row, options.seconds)
                except (Failed, OSError, EOFError) as error:
                    results.failures.append(f"{row.name} on {broker.name}: {error}")
                    print(results.failures[-1], file=sys.stderr, flush=True)
                    continue
                results.add(broker.name, row, figures)
                print(f"{row.name} on {broker.name}: {figures}", file=sys.stderr, flush=True)


# reporting


def number(value: float) -> str:
    """Three digits that count; the whole number from 100 on, with its thousands set apart."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def cell(values: list[float]) -> str:
    """The median, and between what the rounds lay."""
    if not values:
        return "-"
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))} to {number(max(values))})"


def ratio(metric: Metric, ours: list[float], others: list[float]) -> str:
    """How many times better our median is than the other's."""
    if not metric.compared or not ours or not others:
        return "-"
    ours_middle, others_middle = statistics.median(ours), statistics.median(others)
    above, below = (others_middle, ours_middle) if metric.lower_is_better else (ours_middle, others_middle)
    return f"{above / below:.1f}" if above > 0 and below > 0 else "-"


def table(rows: list[Row], results: Results) -> str:
    """The Markdown table: a line for each metric, a column for each broker, and the ratio."""
    ours, *others = results.brokers
    ratio_titles = [f"times better than {other}" for other in others]
    lines = [
        "| " + " | ".join(["", *results.brokers, *ratio_titles]) + " |",
        "|---|" + "---:|" * (len(results.brokers) + len(others)),
    ]
    for row in rows:
        for metric in row.metrics:
            values = {broker: results.figures.get((broker, row.name, metric.key), []) for broker in results.brokers}
            if any(values.values()):
                cells = [metric.title, *(cell(values[broker]) for broker in results.brokers)]
                cells += [ratio(metric, values[ours], values[other]) for other in others]
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine() -> str:
    """What the figures depend on: processor, memory, kernel, Python."""
    with open("/proc/cpuinfo") as cpuinfo:
        models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return (
        f"{models[0] if models else platform.machine()}, {cores} cores, {memory:.0f} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}"
    )


def report(options: argparse.Namespace, rows: list[Row], results: Results, load_before: float) -> str:
    """The whole result in Markdown."""
    times = "one round" if options.rounds == 1 else f"{options.rounds} rounds, medians (lowest to highest)"
    lines = [
        *([f"**{options.label}**", ""] if options.label else []),
        f"- Machine: {machine()}; the load generator runs on the same cores",
        f"- Brokers: {', '.join(results.brokers)}",
        f"- Command: `python {shlex.join([os.path.relpath(sys.argv[0]), *sys.argv[1:]])}`",
        f"- {times}, {options.seconds:g} s for each load, {time.strftime('%Y-%m-%d')}; "
        f"load average of the machine before: {load_before:.1f}",
        "",
        table(rows, results),
    ]
    if len(results.brokers) == 1:
        lines += ["", "RabbitMQ is not installed here, so these are Leveret's figures alone."]
    if results.failures:
        lines += ["", "Failed:", "", *(f"- {failure}" for failure in results.failures)]
    return "\n".join(lines) + "\n"


def write_into(path: Path, text: str) -> None:
    """Replace what stands between the two marks of a file."""
    before, found_begin, rest = path.read_text().partition(RESULTS_BEGIN)
    _, found_end, after = rest.partition(RESULTS_END)
    if not found_begin or not found_end:
        raise Failed(f"{path} has no place for results: {RESULTS_BEGIN} ... {RESULTS_END}")
    path.write_text(f"{before}{RESULTS_BEGIN}\n\n{text}\n{RESULTS_END}{after}")


# the command


def other_broker(text: str) -> Broker:
    """[NAME=]HOST:PORT of a broker on loopback, where alone the load generator goes."""
    name, _, address = text.rpartition("=")
    host, _, port = address.rpartition(":")
    if host not in ("127.0.0.1", "localhost") or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{address!r} is not 127.0.0.1:PORT (the load generator stays on loopback)")
    return Broker(name or address, int(port))


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    names = ", ".join(row.name for row in ROWS)
    result = argparse.ArgumentParser(description="Measure Leveret side by side with another broker.")
    result.add_argument("--only", action="append", metavar="ROW", help=f"rows, or how their names begin: {names}")
    result.add_argument("--rounds", type=int, default=3, help="how often to measure each row (default: 3)")
    result.add_argument("--seconds", type=float, default=5, help="how long a load lasts (default: 5)")
    result.add_argument("--label", default="", help="a heading for the result")
    result.add_argument("--against", type=other_broker, metavar="[NAME=]HOST:PORT", help="compare with this broker")
    result.add_argument("--against-pid", type=int, metavar="PID", help="its process, for the rows about memory")
    result.add_argument("--into", type=Path, metavar="FILE", help="write the result into this file, between its marks")
    return result


def main() -> int:
    """Measure and print; 1 if anything failed."""
    arguments = parser()
    options = arguments.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        arguments.error("--rounds is at least 1 and --seconds more than 0")
    if options.against is not None:
        options.against = Broker(options.against.name, options.against.port, options.against_pid)
    wanted = tuple(options.only or [""])
    rows = [row for row in ROWS if row.name.startswith(wanted)]
    if not all(any(row.name.startswith(name) for row in ROWS) for name in wanted):
        arguments.error(f"no such row among {', '.join(row.name for row in ROWS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    socket.setdefaulttimeout(START_TIMEOUT)  # for the connections made here; the load generator has none
    results, load_before = Results(), os.getloadavg()[0]
    try:
        for at in range(options.rounds):
            print(f"round {at + 1} of {options.rounds}", file=sys.stderr, flush=True)
            run_round(options, rows, results)
        text = report(options, rows, results, load_before)
        print(text, end="")
        if options.into is not None:
            write_into(options.into, text)
    except Failed as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
