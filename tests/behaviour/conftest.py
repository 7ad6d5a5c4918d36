"""Fixtures of the black-box tests: a connection, a channel, and names that no other test uses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.support.broker_process import BrokerProcess, ExternalBroker

Broker = BrokerProcess | ExternalBroker


class Connect(Protocol):
    """Opens one more connection; `parameters` are attributes of pika.ConnectionParameters."""

    def __call__(self, **parameters: object) -> BlockingConnection: ...


class Names:
    """Names of this test alone; what was declared under them is deleted when the test has ended."""

    def __init__(self) -> None:
        self.unique = uuid.uuid4().hex[:10]
        self.queues: list[str] = []
        self.exchanges: list[str] = []

    def queue(self, hint: str = "queue") -> str:
        self.queues.append(f"test.{self.unique}.{hint}.{len(self.queues)}")
        return self.queues[-1]

    def exchange(self, hint: str = "exchange") -> str:
        self.exchanges.append(f"test.{self.unique}.{hint}.{len(self.exchanges)}")
        return self.exchanges[-1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.any_broker)


@pytest.fixture
def names(broker: Broker) -> Iterator[Names]:
    names = Names()
    yield names
    if names.queues or names.exchanges:
        with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
            channel = connection.channel()
            for queue in names.queues:
                channel.queue_delete(queue)
            for exchange in names.exchanges:
                channel.exchange_delete(exchange)


@pytest.fixture
def connect(broker: Broker, names: Names) -> Iterator[Connect]:
    """Opens connections that are closed when the test has ended, before its queues are deleted."""
    opened: list[BlockingConnection] = []

    def connect(**parameters: object) -> BlockingConnection:
        wanted = pika.URLParameters(broker.url)
        for name, value in parameters.items():
            setattr(wanted, name, value)
        opened.append(pika.BlockingConnection(wanted))
        return opened[-1]

    yield connect
    for connection in opened:
        if connection.is_open:
            connection.close()


@pytest.fixture
def connection(connect: Connect) -> BlockingConnection:
    return connect()


@pytest.fixture
def channel(connection: BlockingConnection) -> BlockingChannel:
    return connection.channel()


@pytest.fixture
def queue(channel: BlockingChannel, names: Names) -> str:
    """An empty queue, durable and shared."""
    name = names.queue()
    channel.queue_declare(name, durable=True)
    return name
