"""A Dramatiq application: for each of its queues q it has q.DQ for what is delayed and q.XQ for what is dead."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.programs.conftest import Broker, Start
from tests.programs.dramatiq_actors import actors
from tests.programs.program import Program, wait_until

pytestmark = pytest.mark.any_broker

PLAIN = actors.note.queue_name
QUEUES = [PLAIN, actors.note_in_turn.queue_name, actors.hold.queue_name]


def delete_queues(broker: Broker) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        for queue in QUEUES:
            for name in (queue, f"{queue}.DQ", f"{queue}.XQ"):
                channel.queue_delete(name)


def start_worker(start: Start, *arguments: str, **environment: str) -> Program:
    command = [sys.executable, "-m", "dramatiq", actors.__name__, "--processes", "1", *arguments]
    return start(*command, **environment)


@pytest.fixture(scope="module", autouse=True)
def application(broker: Broker, start: Start) -> Iterator[None]:
    """The application in this process, as a sender, and a worker that serves the plain queue."""
    actors.broker.parameters = pika.URLParameters(broker.url)
    delete_queues(broker)
    worker = start_worker(start, "--threads", "4", "--queues", PLAIN)
    worker.expect_logged("is ready for action")
    yield
    worker.kill()
    actors.broker.close()
    delete_queues(broker)


def counts(queue: str) -> tuple[int, int, int]:
    """The messages ready in the queue, its queue of delayed ones and its queue of dead ones."""
    found: tuple[int, int, int] = actors.broker.get_queue_message_counts(queue)
    return found


def lines(path: Path, count: int) -> list[str]:
    """The lines of the file, once it has so many."""
    wait_until(lambda: path.exists() and path.read_text().count("\n") >= count)
    return path.read_text().splitlines()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


def test_messages_are_processed(notes: Path) -> None:
    for number in range(50):
        actors.note.send(str(notes), str(number))
    assert sorted(map(int, lines(notes, 50))) == list(range(50))
    wait_until(lambda: counts(PLAIN) == (0, 0, 0))


def test_a_pipeline(notes: Path) -> None:
    following = actors.note.message_with_options(args=(str(notes),))
    (actors.note.message(str(notes), "first") | following).run()
    assert lines(notes, 2) == ["first", "after first"]


def test_delays(notes: Path) -> None:
    sent = time.time()
    for delay in (300, 200):
        actors.note_time.send_with_options(args=(str(notes),), delay=delay)
    first, second = map(float, lines(notes, 2))
    assert first >= sent + 0.2
    assert second >= sent + 0.3


def test_retries_until_dead_lettered(tmp_path: Path, channel: BlockingChannel) -> None:
    succeeds, fails = tmp_path / "succeeds", tmp_path / "fails"
    actors.succeed_at_retry.send(str(succeeds), 2)
    message = actors.succeed_at_retry.send(str(fails), 3)
    for path in (succeeds, fails):
        assert lines(path, 3) == ["retry 0", "retry 1", "retry 2"]
    wait_until(lambda: counts(PLAIN) == (0, 0, 1))
    _, properties, body = channel.basic_get(f"{PLAIN}.XQ", auto_ack=True)
    assert message.message_id.encode() in body
    headers: dict[str, Any] = properties.headers
    [death] = headers["x-death"]
    del death["time"]
    assert death == {"queue": PLAIN, "reason": "rejected", "count": 1, "exchange": "", "routing-keys": [PLAIN]}
    assert (headers["x-first-death-queue"], headers["x-first-death-reason"]) == (PLAIN, "rejected")


def test_priorities(notes: Path, start: Start) -> None:
    priorities = [3, 9, 0, 5, 9, 1, 5]
    for place, priority in enumerate(priorities):
        actors.note_in_turn.send_with_options(args=(str(notes), str(place)), broker_priority=priority)
    queue = actors.note_in_turn.queue_name
    assert counts(queue) == (len(priorities), 0, 0)
    # Of the messages that it has at hand, a worker may take any.
    worker = start_worker(start, "--threads", "1", "--queues", queue, dramatiq_queue_prefetch="1")
    assert lines(notes, len(priorities)) == ["1", "4", "3", "6", "0", "5", "2"]
    worker.kill()


def test_the_message_of_a_killed_worker_comes_again(tmp_path: Path, start: Start) -> None:
    queue = actors.hold.queue_name
    actors.hold.send(str(tmp_path))
    victim, other = (start_worker(start, "--threads", "1", "--queues", queue) for _ in range(2))
    wait_until(lambda: any(tmp_path.iterdir()))
    [first] = tmp_path.iterdir()
    if first.name != f"started by {victim.process.pid}":
        victim, other = other, victim
    assert first.name == f"started by {victim.process.pid}"
    victim.kill()
    wait_until(lambda: (tmp_path / f"started by {other.process.pid}").exists())
    (tmp_path / "release").touch()
    wait_until(lambda: (tmp_path / "done").exists())
    wait_until(lambda: counts(queue) == (0, 0, 0))
    other.kill()
