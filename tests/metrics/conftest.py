"""One broker for each module, and clients that do what dashboards tell of."""

from __future__ import annotations

from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.broker_process import BrokerProcess


@pytest.fixture(scope="module")
def leveret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path_factory.mktemp("metrics")) as process:
        yield process


@pytest.fixture
def channel(leveret: BrokerProcess) -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(leveret.url))
    yield connection.channel()
    connection.close()


@pytest.fixture(scope="module")
def traffic(leveret: BrokerProcess) -> Iterator[None]:
    """A connection with a publisher that awaits confirms, and a consumer that has acknowledged a message."""
    connection = pika.BlockingConnection(pika.URLParameters(leveret.url))
    publishing, consuming = connection.channel(), connection.channel()
    publishing.confirm_delivery()
    publishing.queue_declare("work", durable=True)
    publishing.queue_declare("rest", durable=True, arguments={"x-queue-type": "quorum"})
    for size in (10, 500, 50_000):
        publishing.basic_publish("", "work", b"x" * size, pika.BasicProperties(delivery_mode=2, timestamp=1))
    consuming.basic_qos(prefetch_count=1)
    received: list[int] = []
    consuming.basic_consume("work", lambda _, method, *rest: received.append(method.delivery_tag))
    while not received:
        connection.process_data_events(time_limit=1)
    consuming.basic_ack(received[0])
    consuming.queue_declare("work", passive=True)  # the acknowledgement is settled
    yield
    connection.close()
