"""A Celery application: its queues, and tasks that show what became of them by their results or by files they write."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path

from celery import Celery, Task
from kombu import Exchange, Queue
from kombu.common import Broadcast

app = Celery("celery_project", broker=os.environ.get("AMQP_URL"), backend="rpc://")
app.conf.update(
    broker_connection_retry_on_startup=True,
    result_expires=60,  # seconds after which a queue for results goes that a worker declares and never consumes from
    task_queues=[
        Queue("celery", Exchange("celery"), routing_key="celery"),
        Queue("celery.priorities", Exchange("celery"), routing_key="priorities", max_priority=10),
        Queue("celery.late", Exchange("celery"), routing_key="late"),
        Broadcast("celery.everyone"),
    ],
    task_routes={
        f"{__name__}.take_a_number": {"queue": "celery.priorities"},
        f"{__name__}.hold": {"queue": "celery.late"},
        f"{__name__}.sign": {"queue": "celery.everyone"},
    },
    task_send_sent_event=True,
    worker_send_task_events=True,
)

numbers = itertools.count()


def wait_for(path: Path, *, count: int = 1) -> None:
    """Wait until so many files match the path's name; the time limit of the test ends a wait in vain."""
    while len(list(path.parent.glob(path.name))) < count:
        time.sleep(0.01)


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def fail(text: str) -> None:
    raise ValueError(text)


@app.task
def now() -> float:
    return time.time()


@app.task(bind=True, max_retries=3)
def succeed_at_retry(self: Task, number: int) -> int:
    """Ends well when it has been retried so many times."""
    retries: int = self.request.retries
    if retries < number:
        raise self.retry(countdown=0.05, exc=RuntimeError(f"retry {retries}"))
    return retries


@app.task
def take_a_number() -> int:
    """How many calls this process has run before."""
    return next(numbers)


@app.task(bind=True, track_started=True, acks_late=True)
def hold(self: Task, folder: str) -> bool:
    """Show that it has started, wait to be released, and say whether the message was redelivered."""
    Path(folder, f"started by {self.request.hostname}").touch()
    wait_for(Path(folder, "release"))
    redelivered: bool = self.request.delivery_info["redelivered"]
    return redelivered


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def die_once(self: Task, folder: str) -> bool:
    """Kill the process that runs it, the first time."""
    died = Path(folder, "died")
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    redelivered: bool = self.request.delivery_info["redelivered"]
    return redelivered


@app.task(bind=True)
def meet(self: Task, folder: str, count: int) -> str:
    """Return when so many of these tasks run at once."""
    Path(folder, f"met {self.request.id}").touch()
    wait_for(Path(folder, "met *"), count=count)
    task_id: str = self.request.id
    return task_id


@app.task(bind=True, ignore_result=True)
def sign(self: Task, folder: str) -> None:
    Path(folder, f"signed by {self.request.hostname}").touch()
