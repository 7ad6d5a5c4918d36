"""Fixtures for the tests that run programs: a clean broker, and `run` and `start`, which start programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import pytest

from tests.programs.pika_versions import Pika
from tests.programs.program import Program
from tests.support.broker_process import BrokerProcess, ExternalBroker

Broker = BrokerProcess | ExternalBroker
Run = Callable[..., Program]
Start = Callable[..., Program]

QUEUES = ("hello", "task_queue", "rpc_queue")
EXCHANGES = ("logs", "direct_logs", "topic_logs")


def _delete_what_programs_use(broker: Broker) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        for queue in QUEUES:
            channel.queue_delete(queue)
        for exchange in EXCHANGES:
            channel.exchange_delete(exchange)


@pytest.fixture(autouse=True)
def clean_broker(broker: Broker) -> Iterator[None]:
    """The programs use the same few names: free them before each test, and leave nothing to a broker that stays."""
    _delete_what_programs_use(broker)
    yield
    _delete_what_programs_use(broker)


@pytest.fixture(scope="module")
def start(broker: Broker) -> Iterator[Start]:
    """`start(*command, **environment)` starts a program; what has not ended before is killed when the module ends."""
    started: list[Program] = []

    def start_it(*command: str, **environment: str) -> Program:
        started.append(Program(list(command), {"AMQP_URL": broker.url, **environment}))
        return started[-1]

    yield start_it
    for program in started:
        program.close()


@pytest.fixture
def channel(broker: Broker) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    """The test's own channel to the broker, to look at what the programs left there."""
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        yield connection.channel()


@pytest.fixture
def run(broker: Broker, pika_version: Pika, clean_broker: None) -> Iterator[Run]:
    """`run(path, *arguments)` starts the program with the version of pika that the test module chose."""
    started: list[Program] = []

    def start(path: Path, *arguments: str) -> Program:
        environment = {"AMQP_URL": broker.url, **pika_version.environment}
        started.append(Program([*pika_version.command, str(path), *arguments], environment))
        return started[-1]

    yield start
    for program in started:
        program.close()
