"""A Celery application on quorum queues: its delayed tasks wait in a chain of 28 queues of the broker, not in a worker.

A task with a countdown of 5 seconds, binary 101, waits 4 seconds in celery_delayed_2 and 1 second in celery_delayed_0:
each queue dead-letters what has expired to the exchange of the next, whose bindings read the bits in the routing key.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import amqp
import pytest

from tests.programs.celery_client import client, messages_ready, value_of, worker_command
from tests.programs.celery_quorum import tasks
from tests.programs.celery_quorum.tasks import app
from tests.programs.conftest import Broker, Start
from tests.programs.program import wait_until

pytestmark = pytest.mark.any_broker

LEVELS = [f"celery_delayed_{level}" for level in range(28)]
QUEUES = ["celery.quorum", *LEVELS]
EXCHANGES = ["celery.quorum", *LEVELS, "celery_delayed_delivery", "celery.pidbox", "reply.celery.pidbox", "celeryev"]


@pytest.fixture(scope="module", autouse=True)
def worker(broker: Broker, start: Start) -> Iterator[None]:
    with client(app, broker, QUEUES, EXCHANGES):
        started = start(*worker_command(tasks.__name__, "quorum@test", "--concurrency=1", "--without-mingle"))
        started.expect_logged(" ready.")
        yield
        started.kill()


def test_the_queue_is_a_quorum_queue() -> None:
    with app.connection_for_write() as connection, pytest.raises(amqp.exceptions.PreconditionFailed) as refused:
        connection.channel().queue_declare("celery.quorum", durable=True, auto_delete=False)
    assert "inequivalent arg 'x-queue-type' for queue 'celery.quorum' in vhost '/'" in str(refused.value)


def test_results_come_back() -> None:
    results = [tasks.now.delay() for _ in range(20)]
    assert all(deaths == [] for _, deaths in map(value_of, results))


def test_delayed_tasks_wait_in_the_broker() -> None:
    sent = time.time()
    retried = tasks.succeed_at_retry.delay(2)
    delayed = {countdown: tasks.now.apply_async(countdown=countdown) for countdown in (1, 2, 3)}
    wait_until(lambda: messages_ready(app, "celery_delayed_1") == 2)
    for countdown, levels in ((1, [0]), (2, [1]), (3, [0, 1])):
        ran, deaths = value_of(delayed[countdown])
        assert ran >= sent + countdown
        assert deaths == [{"queue": LEVELS[level], "reason": "expired", "count": 1} for level in levels]
    assert value_of(retried) == 2


def test_the_longest_delays() -> None:
    tasks.now.apply_async(countdown=2**28 - 1)
    tasks.now.apply_async(countdown=2**26)
    wait_until(lambda: [messages_ready(app, queue) for queue in LEVELS[26:]] == [1, 1])
