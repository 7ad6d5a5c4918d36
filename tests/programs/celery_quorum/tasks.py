"""A Celery application on quorum queues, so that the broker delays its tasks (native delayed delivery)."""

from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery, Task

app = Celery("celery_quorum", broker=os.environ.get("AMQP_URL"), backend="rpc://")
app.conf.update(
    broker_connection_retry_on_startup=True,
    result_expires=60,  # seconds after which a queue for results goes that a worker declares and never consumes from
    broker_transport_options={"confirm_publish": True},
    task_default_queue="celery.quorum",
    task_default_exchange_type="topic",
    task_default_queue_type="quorum",
)


@app.task(bind=True)
def now(self: Task) -> tuple[float, list[dict[str, Any]]]:
    """The time, and which queues the message has died in, the last one first."""
    deaths = self.request.get("x-death") or []
    return time.time(), [{name: death[name] for name in ("queue", "reason", "count")} for death in deaths]


@app.task(bind=True, max_retries=3)
def succeed_at_retry(self: Task, number: int) -> int:
    """Ends well when it has been retried so many times, a second after each failure."""
    retries: int = self.request.retries
    if retries < number:
        raise self.retry(countdown=1)
    return retries
