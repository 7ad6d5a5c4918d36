"""The API of an installed RabbitMQ, which has to answer as ours does. Without it these tests say so and are skipped."""

from __future__ import annotations

import http.client
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.http.client import Api, Reply
from tests.http.story import JSON
from tests.support.rabbitmq import rabbitmq, rabbitmq_server

WHERE_INSTALLED = [
    pytest.mark.skipif(rabbitmq_server() is None, reason="RabbitMQ is not installed"),
    pytest.mark.timeout(180),
]
PLUGINS = ["rabbitmq_management", "rabbitmq_consistent_hash_exchange"]
REQUESTS = 50  # on one connection
STATISTICS = "collect_statistics_interval = 200\n"


class OracleApi(Api):
    """RabbitMQ's API, which ends connections that are idle for five seconds or have had a hundred requests.

    It refuses some bodies that do not say what they are. When it refuses a request before it has read the body, it
    sometimes does not hear the next one, and ends the connection after its five seconds too.
    """

    requests = 0

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None, **query: object
    ) -> Reply:
        headers = {**JSON, **(headers or {})}
        self.requests += 1
        if self.requests % REQUESTS == 0:
            self.close()  # or RabbitMQ does, and sometimes only after its five seconds
        try:
            reply = super().call(method, path, body, headers, **query)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.close()
            reply = super().call(method, path, body, headers, **query)
        if body is not None and reply.status >= HTTPStatus.BAD_REQUEST:
            self.close()
        return reply


@contextmanager
def oracle_broker() -> Iterator[tuple[int, Api]]:
    """The AMQP port and the API of a RabbitMQ of the tests' own, which has nothing in it."""
    with tempfile.TemporaryDirectory(prefix="leveret-http-") as folder:
        Path(folder).chmod(0o711)  # another user's RabbitMQ has to get through to its own folder
        own = Path(folder) / "rabbitmq"
        own.mkdir()
        with rabbitmq(own, PLUGINS, STATISTICS) as broker:
            yield broker.port, OracleApi(broker.http_port)
