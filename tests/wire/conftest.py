"""Fixtures of the raw-socket tests: clients that are closed afterwards, and a bystander whom no test may harm."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Protocol

import pytest

from tests.support.broker_process import BrokerProcess, ExternalBroker
from tests.support.raw_client import (
    BASIC_CONSUME_OK,
    RawClient,
    Table,
    consume,
    publish,
)

Broker = BrokerProcess | ExternalBroker


def ids(value: object) -> str | None:
    """Name a parameter of a test: a method by its ids, a number by itself, octets not at all."""
    if isinstance(value, tuple):
        return ".".join(map(str, value))
    return "" if isinstance(value, bytes) else None


class Connect(Protocol):
    """Opens a connection with channel 1, or with the channels given."""

    def __call__(
        self,
        vhost: str = "/",
        properties: Table | None = None,
        channel_max: int = 2047,
        frame_max: int = 131072,
        heartbeat: int = 0,
        channels: tuple[int, ...] = (1,),
    ) -> RawClient: ...


class Dial(Protocol):
    """Opens a socket on which nothing has been said yet."""

    def __call__(self) -> RawClient: ...


class Bystander:
    """A well-behaved connection that publishes to itself and consumes what it published."""

    def __init__(self, port: int) -> None:
        self.client = RawClient(port).log_in(channels=[1])
        self.queue = self.client.declare("", 4)[0]
        self.client.send(consume(1, self.queue, "bystander", 2))
        self.client.expect(BASIC_CONSUME_OK)
        self.sent = 0

    def check(self) -> None:
        """What the bystander publishes still comes back to it, and nothing else does."""
        self.sent += 1
        body = f"message {self.sent}".encode()
        self.client.send(publish(1, self.queue, body))
        assert self.client.expect_message().body == body


@pytest.fixture(scope="module")
def bystander(broker: Broker) -> Iterator[Bystander]:
    bystander = Bystander(broker.port)
    yield bystander
    bystander.client.log_out()


@pytest.fixture(autouse=True)
def no_harm(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test does to its own connections, another connection to the same broker goes on as if nothing was."""
    if "broker" not in request.fixturenames:
        yield
        return
    bystander: Bystander = request.getfixturevalue("bystander")
    yield
    bystander.check()


@pytest.fixture
def dial(broker: Broker) -> Iterator[Dial]:
    opened: list[RawClient] = []

    def dial() -> RawClient:
        opened.append(RawClient(broker.port))
        return opened[-1]

    yield dial
    for client in opened:
        client.close()


@pytest.fixture
def connect(dial: Dial) -> Connect:
    def connect(
        vhost: str = "/",
        properties: Table | None = None,
        channel_max: int = 2047,
        frame_max: int = 131072,
        heartbeat: int = 0,
        channels: tuple[int, ...] = (1,),
    ) -> RawClient:
        return dial().log_in(vhost, properties, channel_max, frame_max, heartbeat, channels)

    return connect


@pytest.fixture
def client(connect: Connect) -> RawClient:
    """A connection with channel 1 open."""
    return connect()


@pytest.fixture
def queue(client: RawClient) -> str:
    """An empty queue, exclusive to `client` and gone with it."""
    return client.declare(f"wire.{uuid.uuid4().hex[:10]}", 4)[0]
