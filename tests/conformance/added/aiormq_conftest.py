"""The two fixtures that aiormq's tests ask for and that its sdist lacks: where the broker is. Becomes its conftest.py.

The variables LEVERET_CONFORMANCE_PORT and LEVERET_CONFORMANCE_TLS_PORT have the ports.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pytest
from yarl import URL


@dataclass
class Container:
    """As much of the container of a broker as the tests look at."""

    host: str = "127.0.0.1"
    ports: dict[str, int] = field(
        default_factory=lambda: {
            "5672/tcp": int(os.environ["LEVERET_CONFORMANCE_PORT"]),
            "5671/tcp": int(os.environ["LEVERET_CONFORMANCE_TLS_PORT"]),
        }
    )


@pytest.fixture(scope="session")
def rabbitmq_container() -> Container:
    return Container()


@pytest.fixture(scope="session")
def amqp_direct_url(rabbitmq_container: Container) -> URL:
    return URL(f"amqp://guest:guest@{rabbitmq_container.host}:{rabbitmq_container.ports['5672/tcp']}//")
