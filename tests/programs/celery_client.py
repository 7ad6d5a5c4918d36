"""What the tests of Celery applications share: an application as a client of the broker, and its workers' command."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from celery import Celery

from tests.programs.program import DEADLINE
from tests.support.broker_process import BrokerProcess, ExternalBroker


def worker_command(application: str, name: str, *arguments: str) -> list[str]:
    """The command line that starts a worker of this name for the application in the module."""
    celery = [sys.executable, "-m", "celery", "--app", application]
    return [*celery, "worker", "--hostname", name, "--loglevel", "info", *arguments]


def _delete(app: Celery, queues: Iterable[str], exchanges: Iterable[str]) -> None:
    with app.connection_for_write() as connection:
        channel = connection.channel()
        for queue in queues:
            channel.queue_delete(queue)
        for exchange in exchanges:
            channel.exchange_delete(exchange)


@contextmanager
def client(
    app: Celery, broker: BrokerProcess | ExternalBroker, queues: Iterable[str], exchanges: Iterable[str]
) -> Iterator[None]:
    """In the block the application, in this process, sends to the broker; its names are free before and after."""
    app.conf.broker_url = broker.url
    _delete(app, queues, exchanges)
    yield
    with suppress(AttributeError):  # there is nothing to stop before the first result was waited for
        app.backend.result_consumer.stop()
    # The queue of the results deletes itself only if it has been consumed from.
    _delete(app, [*queues, app.backend.binding.name], exchanges)
    app.close()


def value_of(result: Any) -> Any:
    return result.get(timeout=DEADLINE)


def messages_ready(app: Celery, queue: str) -> int:
    with app.connection_for_write() as connection:
        count: int = connection.channel().queue_declare(queue, passive=True).message_count
        return count
