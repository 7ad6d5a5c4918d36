"""One broker for each module; tests make what they need under names of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.http.client import Api
from tests.http.oracle import oracle_broker
from tests.support.broker_process import BrokerProcess


@pytest.fixture(scope="module")
def leveret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path_factory.mktemp("http")) as process:
        yield process


@pytest.fixture(scope="module")
def api(leveret: BrokerProcess) -> Iterator[Api]:
    """The API as an administrator sees it."""
    api = Api(leveret.http_port)
    yield api
    api.close()


@pytest.fixture(scope="session")
def installed() -> Iterator[tuple[int, Api]]:
    """The AMQP port and the API of an installed RabbitMQ."""
    with oracle_broker() as started:
        yield started


@pytest.fixture(scope="module")
def oracle(installed: tuple[int, Api]) -> Iterator[tuple[int, Api]]:
    """The same for one module, which leaves nothing there; RabbitMQ itself leaves an empty list of limits."""
    yield installed
    installed[1].delete("/api/parameters/vhost-limits/%2F/limits")
