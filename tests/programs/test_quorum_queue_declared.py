"""The newest work queue tutorial declares its queue as a quorum queue: a broker takes the argument, and holds to it."""

from __future__ import annotations

from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.programs import pika_versions
from tests.programs.conftest import Run
from tests.programs.pika_versions import Pika

pytestmark = pytest.mark.any_broker

PROGRAMS = Path(__file__).parent / "quorum"
QUORUM = {"x-queue-type": "quorum"}


@pytest.fixture(scope="module")
def pika_version() -> Pika:
    return pika_versions.installed()


def test_a_task_goes_through_a_quorum_queue(run: Run) -> None:
    worker = run(PROGRAMS / "worker.py")
    worker.expect(" [*] Waiting for messages. To exit press CTRL+C")
    sender = run(PROGRAMS / "new_task.py", "Work.")
    sender.expect(" [x] Sent 'Work.'")
    sender.expect_end()
    worker.expect(" [x] Received 'Work.'", " [x] Done")
    worker.interrupt()


def test_declaring_it_otherwise_is_refused(channel: BlockingChannel) -> None:
    for _ in range(2):
        channel.queue_declare("task_queue", durable=True, arguments=QUORUM)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as refused:
        channel.queue_declare("task_queue", durable=True)
    assert refused.value.reply_code == 406
    assert "inequivalent arg 'x-queue-type' for queue 'task_queue' in vhost '/'" in refused.value.reply_text
