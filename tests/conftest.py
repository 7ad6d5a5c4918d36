"""Fixtures that every test may use.

`broker` is a Leveret started as a program of its own, on a port chosen by the kernel, fresh for each test module.
With LEVERET_TEST_PORT set, tests marked `any_broker` talk to the broker that listens there instead: that is how the
expectations of the black-box tests are checked against a real RabbitMQ.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support.broker_process import BrokerProcess, ExternalBroker


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess | ExternalBroker]:
    external = os.environ.get("LEVERET_TEST_PORT")
    if external:
        yield ExternalBroker(int(external))
        return
    with BrokerProcess(tmp_path_factory.mktemp("broker")) as process:
        yield process


@pytest.fixture
def fresh_broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """A broker of this test alone, which the test may stop, kill or start again."""
    with BrokerProcess(tmp_path) as process:
        yield process


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have what was logged say octets that are no UTF-8 in a form that can be handed from process to process."""
    report = yield
    report.sections = [(title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections]
    return report
