"""A Celery application with its results over rpc:// on classic queues: tasks, remote control and events.

Two workers serve the module: one with processes, whose number is scaled, and one with a single thread, which takes up
queues when a test has it do so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import group
from celery.events.receiver import EventReceiver
from celery.exceptions import TaskRevokedError

from tests.programs.celery_client import client, messages_ready, value_of, worker_command
from tests.programs.celery_project import tasks
from tests.programs.celery_project.tasks import app
from tests.programs.conftest import Broker, Start
from tests.programs.program import DEADLINE, Program, wait_until

pytestmark = pytest.mark.any_broker

MANY = "many@test"
SINGLE = "single@test"

QUEUES = ("celery", "celery.priorities", "celery.late", "celery.leaving")
EXCHANGES = ("celery", "celery.leaving", "celery.everyone", "celery.pidbox", "reply.celery.pidbox", "celeryev")


@pytest.fixture(scope="module", autouse=True)
def application(broker: Broker) -> Iterator[None]:
    with client(app, broker, QUEUES, EXCHANGES):
        yield


@pytest.fixture(scope="module", autouse=True)
def workers(application: None, start: Start) -> None:
    queues = "--queues=celery,celery.everyone"
    many = start(*worker_command(tasks.__name__, MANY, "--autoscale=3,1", queues))
    single = start(
        *worker_command(tasks.__name__, SINGLE, "--pool=threads", "--concurrency=1", "--queues=celery.everyone")
    )
    for worker in (many, single):
        worker.expect_logged(" ready.")


@pytest.fixture
def start_worker(start: Start) -> Iterator[Any]:
    """`start_worker(name, *arguments)` starts a worker for one test."""
    started: list[Program] = []

    def start_it(name: str, *arguments: str) -> Program:
        quick = ("--pool=solo", "--without-gossip", "--without-mingle")
        started.append(start(*worker_command(tasks.__name__, name, *quick, *arguments)))
        started[-1].expect_logged(" ready.")
        return started[-1]

    yield start_it
    for worker in started:
        worker.kill()


def ask(worker: str) -> Any:
    return app.control.inspect([worker], timeout=DEADLINE)


def command(worker: str, name: str, **arguments: Any) -> Any:
    """What the worker answers to a command of the remote control."""
    [reply] = app.control.broadcast(name, arguments, destination=[worker], reply=True, timeout=DEADLINE)
    return reply[worker]


def messages_in(queue: str) -> int:
    return messages_ready(app, queue)


# Tasks and results


def test_results_come_back(workers: None) -> None:
    assert value_of(tasks.add.delay(2, 3)) == 5
    results = [tasks.add.delay(number, number) for number in range(50)]
    assert [value_of(result) for result in results] == [2 * number for number in range(50)]


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    result = tasks.fail.delay("no such luck")
    with pytest.raises(ValueError, match="no such luck"):
        value_of(result)
    assert result.state == "FAILURE"


def test_arguments_and_results_of_many_frames() -> None:
    half = "x" * 600_000
    assert value_of(tasks.add.delay(half, half)) == half + half


def test_groups_and_chains() -> None:
    assert value_of(group(tasks.add.s(number, 1) for number in range(20))()) == list(range(1, 21))
    assert value_of((tasks.add.s(1, 2) | tasks.add.s(3) | tasks.add.s(4))()) == 10


def test_retries() -> None:
    assert value_of(tasks.succeed_at_retry.delay(2)) == 2
    with pytest.raises(RuntimeError, match="retry 3"):
        value_of(tasks.succeed_at_retry.delay(4))


def test_eta_and_countdown() -> None:
    sent = time.time()
    counted_down = tasks.now.apply_async(countdown=0.3)
    eta = datetime.now(UTC) + timedelta(seconds=0.2)
    with_eta = tasks.now.apply_async(eta=eta)
    assert value_of(with_eta) >= eta.timestamp()
    assert value_of(counted_down) >= sent + 0.3


def test_tasks_that_are_not_due_let_others_pass() -> None:
    prefetched = ask(MANY).stats()[MANY]["prefetch_count"]
    later = [tasks.now.apply_async(countdown=3) for _ in range(prefetched + 5)]
    at_once = tasks.now.delay()
    ran = value_of(at_once)
    assert ran < min(value_of(result) for result in later)


def test_priorities() -> None:
    priorities = [3, 9, 0, 5, 9, 1, None, 5]
    results = [tasks.take_a_number.apply_async(priority=priority) for priority in priorities]
    assert messages_in("celery.priorities") == len(priorities)
    command(SINGLE, "add_consumer", queue="celery.priorities")
    order = sorted((value_of(result), place) for place, result in enumerate(results))
    command(SINGLE, "cancel_consumer", queue="celery.priorities")
    # Equal priorities in the order sent; no priority is as 0.
    assert [place for _, place in order] == [1, 4, 3, 7, 0, 5, 2, 6]


def test_a_task_for_every_worker(tmp_path: Path) -> None:
    tasks.sign.delay(str(tmp_path))
    expected = {f"signed by {name}" for name in (MANY, SINGLE)}
    wait_until(lambda: {path.name for path in tmp_path.iterdir()} == expected)


# Workers that die


def test_the_late_acknowledged_task_of_a_killed_worker_comes_again(tmp_path: Path, start_worker: Any) -> None:
    victim = start_worker("victim@test", "--queues=celery.late")
    result = tasks.hold.delay(str(tmp_path))
    wait_until(lambda: (tmp_path / "started by victim@test").exists())
    assert messages_in("celery.late") == 0
    victim.kill()
    wait_until(lambda: messages_in("celery.late") == 1)
    command(SINGLE, "add_consumer", queue="celery.late")
    wait_until(lambda: (tmp_path / f"started by {SINGLE}").exists())
    (tmp_path / "release").touch()
    assert value_of(result) is True
    command(SINGLE, "cancel_consumer", queue="celery.late")
    assert messages_in("celery.late") == 0


def test_the_task_of_a_killed_child_is_rejected_and_comes_again(tmp_path: Path) -> None:
    assert value_of(tasks.die_once.delay(str(tmp_path))) is True


# A pool that grows with what there is to do


def run_at_once(folder: Path, count: int) -> None:
    results = [tasks.meet.delay(str(folder), count) for _ in range(count)]
    assert [value_of(result) for result in results] == [result.id for result in results]


def test_autoscale(tmp_path: Path) -> None:
    run_at_once(tmp_path, 3)
    assert len(ask(MANY).stats()[MANY]["pool"]["processes"]) == 3


def test_the_prefetch_follows_the_range_of_autoscale(tmp_path: Path) -> None:
    before = ask(MANY).stats()[MANY]["prefetch_count"]
    assert "ok" in command(MANY, "autoscale", max=5, min=1)
    assert ask(MANY).stats()[MANY]["prefetch_count"] > before
    run_at_once(tmp_path, 5)
    assert "ok" in command(MANY, "autoscale", max=3, min=1)
    wait_until(lambda: ask(MANY).stats()[MANY]["prefetch_count"] == before)


# Remote control


def test_ping() -> None:
    assert app.control.ping([MANY], timeout=DEADLINE) == [{MANY: {"ok": "pong"}}]
    # Asked of all, two answer; the third answer is waited for in vain when nobody says how many there are.
    answers = app.control.broadcast("ping", reply=True, limit=2, timeout=DEADLINE)
    assert sorted(name for answer in answers for name in answer) == [MANY, SINGLE]


def test_inspect(tmp_path: Path) -> None:
    holding = tasks.meet.delay(str(tmp_path), 2)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 1)
    [active] = ask(MANY).active()[MANY]
    assert (active["id"], active["name"], active["args"]) == (holding.id, tasks.meet.name, [str(tmp_path), 2])
    assert value_of(tasks.meet.delay(str(tmp_path), 2)) and value_of(holding)
    stats = ask(MANY).stats()[MANY]
    assert stats["total"][tasks.meet.name] >= 2
    assert tasks.add.name in ask(SINGLE).registered()[SINGLE]
    queues = {queue["name"] for queue in ask(MANY).active_queues()[MANY]}
    assert "celery" in queues and len(queues) == 2


def test_rate_limit() -> None:
    assert "ok" in command(MANY, "rate_limit", task_name=tasks.now.name, rate_limit="10/s")
    results = [tasks.now.delay() for _ in range(4)]
    times = sorted(value_of(result) for result in results)
    assert "ok" in command(MANY, "rate_limit", task_name=tasks.now.name, rate_limit="0")
    assert times[-1] - times[0] > 0.2


def test_revoke() -> None:
    command(MANY, "revoke", task_id="revoked-before-it-is-sent")
    result = tasks.add.apply_async((1, 2), task_id="revoked-before-it-is-sent")
    with pytest.raises(TaskRevokedError):
        value_of(result)


def test_shutdown_gives_back_what_is_not_due(start_worker: Any) -> None:
    name = "leaving@test"
    leaving = start_worker(name, "--queues=celery.leaving")
    result = tasks.add.apply_async((1, 2), queue="celery.leaving", countdown=60)
    wait_until(lambda: len(ask(name).scheduled()[name]) == 1)
    [scheduled] = ask(name).scheduled()[name]
    assert scheduled["request"]["id"] == result.id
    app.control.shutdown([name])
    assert leaving.process.wait(DEADLINE) == 0, str(leaving)
    wait_until(lambda: messages_in("celery.leaving") == 1)


# Events


def test_events() -> None:
    with app.connection_for_read() as connection:
        seen: list[dict[str, Any]] = []
        receiver: EventReceiver = app.events.Receiver(connection, handlers={"*": seen.append})
        with receiver.consumer_context() as (own_connection, _, _):
            result = tasks.add.delay(1, 2)
            failed = tasks.fail.delay("an event")
            last = {(result.id, "task-succeeded"), (failed.id, "task-failed")}
            end = time.monotonic() + DEADLINE
            while not last <= {(event.get("uuid"), event["type"]) for event in seen}:
                assert time.monotonic() < end, seen
                own_connection.drain_events(timeout=DEADLINE)
    events = [event for event in seen if event.get("uuid") == result.id]
    assert {event["type"] for event in events} == {"task-sent", "task-received", "task-started", "task-succeeded"}
    [succeeded] = [event for event in events if event["type"] == "task-succeeded"]
    assert (succeeded["result"], succeeded["hostname"]) == ("3", MANY)
