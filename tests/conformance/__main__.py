"""`python -m tests.conformance`: run the suites, tell what failed, and leave with status 1 if anything did.

Most of what the suites do is wait, so a few of them run at a time, each with brokers of its own, the longest first.
With --rabbitmq the same tests go to the RabbitMQ of the machine's package, started anew, to see what passes there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.brokers import Brokers, brought_along, certify, hand_out, loopback_address
from tests.conformance.containers import ContainerServer
from tests.conformance.packages import CannotFetch, Packages
from tests.conformance.suites import HERE, SUITES, Place, Suite, deselected
from tests.support.rabbitmq import CannotStart

SUITE_TIMEOUT = 3600.0  # seconds, after which a suite is stuck
TEST_TIMEOUT = 150  # seconds; the longest test has two minutes by itself
NEEDS_DEFAULT_PORTS = {"amqpstorm"}
AT_A_TIME = 3


@dataclass
class Result:
    """What became of the tests of a suite. `trouble` is what kept it from being run as it should."""

    suite: Suite
    outcomes: dict[str, str] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)
    duration: float = 0.0

    @property
    def failed(self) -> list[str]:
        """What failed, and what was skipped: a test that does not run has to be in the list of those left out."""
        return sorted(name for name, outcome in self.outcomes.items() if outcome in ("failed", "skipped"))

    def line(self) -> str:
        counts = Counter(self.outcomes.values())
        told = ", ".join(f"{counts[word]} {word}" for word in ("passed", "failed", "skipped", "deselected"))
        return f"{self.suite.name:<10} {told} in {self.duration:.0f} s"


def surroundings(suite: Suite, place: Place, folder: Path, results: Path) -> dict[str, str]:
    """The environment of a suite: that of this process but for what would lead it to another broker."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AMQP_", "RABBITMQ_", "DOCKER_"))}
    kept["PATH"] = f"{folder}{os.pathsep}{kept.get('PATH', '')}"
    kept["PYTHONPATH"] = str(HERE / "inside")
    kept["PYTHONDONTWRITEBYTECODE"] = "1"
    kept["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # aiomisc's takes away the log handlers of amqpstorm's tests
    kept["LEVERET_CONFORMANCE_DESELECTED"] = json.dumps(deselected()[suite.name])
    kept["LEVERET_CONFORMANCE_RESULTS"] = str(results)
    return kept | suite.surroundings(place)


def command_of(suite: Suite, packages: Packages, given: argparse.Namespace) -> list[str]:
    """How to run the pytest of a suite, with the plugins that are named and no others."""
    command = [str(packages.python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    for plugin in ("loopback_only", "pytest_timeout", *suite.plugins):
        command += ["-p", plugin]
    command += ["--timeout", str(TEST_TIMEOUT), "--tb", "short" if given.verbose else "line"]
    command += ["-o", "addopts=", "-o", "log_cli=false", *(["-k", given.only] if given.only else [])]
    return [*command, *(suite.short if given.short else suite.paths)]


def run(suite: Suite, packages: Packages, folder: Path, given: argparse.Namespace) -> Result:
    """Run one suite with brokers of its own."""
    result = Result(suite)
    unpacked, results = packages.unpack(suite, folder), folder / "results.json"
    begun = time.monotonic()
    address = loopback_address()
    certificates = brought_along(unpacked) or certify(folder / "certificates", address)
    if suite.name == "amqp":
        hand_out(unpacked, certificates)
    try:
        with Brokers(folder, certificates, given.rabbitmq) as brokers, (folder / "pytest.log").open("w") as log:
            main = brokers.new(address if suite.name in NEEDS_DEFAULT_PORTS else None)
            with ContainerServer(brokers, main) as server:
                server.install_rabbitmqctl(folder / "bin")
                place = Place(main.port, main.tls_port, main.http_url, main.address, server.docker_host, certificates)
                process = subprocess.run(
                    command_of(suite, packages, given),
                    cwd=unpacked,
                    env=surroundings(suite, place, folder / "bin", results),
                    stdout=None if given.verbose else log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    timeout=SUITE_TIMEOUT,
                    check=False,
                )
                if process.returncode not in (0, 1):
                    result.trouble.append(f"pytest ended with status {process.returncode}")
    except (AssertionError, CannotStart, subprocess.TimeoutExpired) as error:
        result.trouble.append(str(error))
    result.duration = time.monotonic() - begun
    if results.exists():
        told = json.loads(results.read_text())
        result.outcomes = told["outcomes"]
        result.trouble += [f"no test has the name {name} of the list" for name in told["unknown"] if not given.only]
    return result


def tell(result: Result) -> None:
    """Print what became of a suite, and what of its tests failed."""
    print(result.line(), flush=True)
    for text in [*result.trouble, *(f"{result.outcomes[name]} {name}" for name in result.failed)]:
        print(f"  {text}", flush=True)


def run_all(chosen: Sequence[Suite], packages: Packages, folder: Path, given: argparse.Namespace) -> list[Result]:
    """Run the suites, and tell of each when it is done; one at a time where they would share a terminal or a broker."""
    for suite in chosen:
        (folder / suite.name).mkdir()
    results = []
    with ThreadPoolExecutor(1 if given.verbose or given.rabbitmq else AT_A_TIME) as threads:
        running = [threads.submit(run, suite, packages, folder / suite.name, given) for suite in chosen]
        for done in as_completed(running):
            results.append(done.result())
            tell(results[-1])
    return results


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance", description="Run the tests that clients ship on PyPI against Leveret."
    )
    names = [suite.name for suite in SUITES]
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"which to run: {', '.join(names)} (default: all)")
    parser.add_argument("--short", action="store_true", help="a selection of each suite, about a minute")
    parser.add_argument("--only", metavar="EXPRESSION", help="tests to run, as pytest's -k")
    parser.add_argument("--rabbitmq", action="store_true", help="run against the RabbitMQ that is installed")
    parser.add_argument("--verbose", action="store_true", help="show what pytest says")
    parser.add_argument("--cache", type=Path, default=Path(sys.prefix) / "conformance", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := set(given.suites) - set(names):
        parser.error(f"there is no suite {', '.join(sorted(unknown))}")
    return given


def main() -> int:
    given = arguments()
    chosen = [suite for suite in SUITES if not given.suites or suite.name in given.suites]
    packages = Packages(given.cache)
    try:
        packages.fetch(chosen)
    except CannotFetch as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="leveret-conformance-"))
    folder.chmod(0o755)  # RabbitMQ runs as another user
    results = run_all(chosen, packages, folder, given)
    passed = sum(1 for result in results for outcome in result.outcomes.values() if outcome == "passed")
    failed = sum(len(result.failed) + len(result.trouble) for result in results)
    print(f"{passed} passed, {failed} failed")
    if failed:
        print(f"what pytest and the brokers said is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
