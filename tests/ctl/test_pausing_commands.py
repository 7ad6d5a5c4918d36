"""pause_queue and resume_queue, locally and through the HTTP API."""

from __future__ import annotations

import pika
import pytest

from tests.ctl.conftest import Ctl
from tests.support.broker_process import BrokerProcess


@pytest.mark.parametrize("url", [False, True], ids=["here", "by url"])
def test_a_queue_is_paused_and_resumed(leveret: BrokerProcess, ctl_here: Ctl, url: bool) -> None:
    there = ["--url", f"http://guest:guest@127.0.0.1:{leveret.http_port}"] if url else []
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("stopped", auto_delete=True)
        delivered: list[bytes] = []
        channel.basic_consume("stopped", lambda c, m, p, body: delivered.append(body), auto_ack=True)
        for command, doing, state in (("pause", "Pausing", "paused"), ("resume", "Resuming", "running")):
            result = ctl_here(*there, f"{command}_queue", "stopped")
            assert (result.returncode, result.stderr) == (0, "")
            assert result.stdout == f"{doing} queue 'stopped' in vhost '/' ...\n"
            assert f"stopped\t{state}" in ctl_here("-q", "list_queues", "name", "state").stdout.splitlines()
            if command == "pause":
                channel.basic_publish("", "stopped", b"kept")
                assert channel.queue_declare("stopped", passive=True).method.message_count == 1
                assert delivered == []
        while not delivered:
            connection.process_data_events(1)
        for command in ("pause_queue", "resume_queue"):
            result = ctl_here(*there, "-q", command, "-p", "/", "nosuch")
            assert (result.returncode, result.stderr) == (69, "Error:\nnot_found\n")
