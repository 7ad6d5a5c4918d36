"""A plugin for the pytest that runs a suite: leaves out what is deselected, and writes down what becomes of each test.

No test leaves loopback: who looks up a name, or dials an address, that is another machine's gets an AssertionError.

Stands alone: it runs in the suites' environment, which has no Leveret. The variables LEVERET_CONFORMANCE_DESELECTED (a
JSON object of names and reasons) and LEVERET_CONFORMANCE_RESULTS (where to write) tell it what it needs to know.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

DESELECTED: dict[str, str] = json.loads(os.environ["LEVERET_CONFORMANCE_DESELECTED"])
RESULTS = Path(os.environ["LEVERET_CONFORMANCE_RESULTS"])

outcomes: dict[str, str] = {}
unknown: list[str] = []


def is_loopback(host: str) -> bool:
    """Whether a host, as a name or an address, is this machine; names other than localhost are never looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "")


def forbid_leaving(event: str, arguments: tuple[Any, ...]) -> None:
    """Hear of each name that is looked up and each address that is dialled, before it happens."""
    if event == "socket.connect" or event == "socket.sendto":
        address = arguments[1]
        if not isinstance(address, tuple):
            return  # a Unix socket
        host = address[0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    text = host.decode() if isinstance(host, bytes) else host or ""
    if not is_loopback(text):
        raise AssertionError(f"the test dials {text}, which is not on loopback")


sys.addaudithook(forbid_leaving)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    patterns = {name: re.compile(re.escape(name).replace(r"\*", ".*") + r"(?:$|\[|::)") for name in DESELECTED}
    left_out = [item for item in items if any(pattern.match(item.nodeid) for pattern in patterns.values())]
    collected = {item.nodeid for item in items}
    given = {argument.split("::")[0] for argument in config.args}
    for name, pattern in patterns.items():
        asked_for = any(name.startswith(path) for path in given)
        if asked_for and not any(pattern.match(identifier) for identifier in collected):
            unknown.append(name)
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    outcomes.update({item.nodeid: "deselected" for item in left_out})


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    before = outcomes.get(report.nodeid)
    if report.failed or before is None or (report.skipped and before == "passed"):
        outcomes[report.nodeid] = report.outcome


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed or report.skipped:
        outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish() -> None:
    RESULTS.write_text(json.dumps({"outcomes": outcomes, "unknown": unknown}))
