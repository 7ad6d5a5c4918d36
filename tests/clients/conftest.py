"""Names for what a test declares, never used before, so that the broker may be one that stays; the test deletes it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pika
import pytest

from tests.support.broker_process import BrokerProcess, ExternalBroker

Broker = BrokerProcess | ExternalBroker
NewName = Callable[[], str]


@pytest.fixture
def new_name(broker: Broker) -> Iterator[NewName]:
    """`new_name()` gives a name for a queue or an exchange, which is deleted after the test if it is still there."""
    names: list[str] = []

    def give() -> str:
        names.append(f"client-{uuid.uuid4()}")
        return names[-1]

    yield give
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        for name in names:
            channel.queue_delete(name)
            channel.exchange_delete(name)
