"""`leveret serve --redeclare`: the setting reaches the broker, and what it does is in the log."""

from __future__ import annotations

from pathlib import Path

import pika

from tests.support.broker_process import BrokerProcess


def test_a_queue_may_be_declared_with_another_priority(tmp_path: Path) -> None:
    """As by Dramatiq, after its max_priority was changed."""
    with BrokerProcess(tmp_path, "--redeclare", "relaxed") as broker:
        with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
            channel = connection.channel()
            for priority in (5, 10, 10):
                channel.queue_declare("default", durable=True, arguments={"x-max-priority": priority})
        log = broker.log_path.read_text()
    told = "queue 'default' in vhost '/' was redeclared otherwise and stays as it is: inequivalent arg 'x-max-priority'"
    assert log.count(told) == 1
