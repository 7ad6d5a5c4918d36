"""A Dramatiq application: actors that show what became of them by lines and files they write."""

from __future__ import annotations

import os
import time
from pathlib import Path

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import CurrentMessage, Pipelines, Retries

broker = RabbitmqBroker(
    url=os.environ.get("AMQP_URL", "amqp://localhost"),
    confirm_delivery=True,
    max_priority=10,
    middleware=[CurrentMessage(), Pipelines(), Retries(min_backoff=20, max_backoff=50)],
)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="dramatiq.plain")
def note(path: str, text: str) -> str:
    """Add a line to the file, and return the text that whatever follows in a pipeline is to note."""
    with Path(path).open("a") as file:
        file.write(f"{text}\n")
    return f"after {text}"


@dramatiq.actor(queue_name="dramatiq.plain")
def note_time(path: str) -> None:
    note.fn(path, str(time.time()))


@dramatiq.actor(queue_name="dramatiq.plain", max_retries=2)
def succeed_at_retry(path: str, number: int) -> None:
    """Ends well when it has been retried so many times."""
    message = CurrentMessage.get_current_message()
    assert message is not None
    retries = message.options.get("retries", 0)
    note.fn(path, f"retry {retries}")
    if retries < number:
        raise RuntimeError(f"retry {retries}")


@dramatiq.actor(queue_name="dramatiq.priorities")
def note_in_turn(path: str, text: str) -> None:
    note.fn(path, text)


@dramatiq.actor(queue_name="dramatiq.held")
def hold(folder: str) -> None:
    """Show which process has started it, and wait to be released."""
    Path(folder, f"started by {os.getppid()}").touch()
    while not Path(folder, "release").exists():
        time.sleep(0.01)
    Path(folder, "done").touch()
