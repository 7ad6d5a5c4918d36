"""The same life and the same traffic on Leveret and on an installed RabbitMQ: the same events and copies are heard.

Without RabbitMQ these tests say so and are skipped.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.events.story import Heard, copies_of_traffic, events_of_life
from tests.support.broker_process import BrokerProcess, ExternalBroker
from tests.support.rabbitmq import RabbitMQ, rabbitmq, rabbitmq_server

pytestmark = [
    pytest.mark.skipif(rabbitmq_server() is None, reason="RabbitMQ is not installed"),
    pytest.mark.timeout(180),
]
PLUGINS = ["rabbitmq_management", "rabbitmq_event_exchange"]


@pytest.fixture(scope="module")
def theirs() -> Iterator[RabbitMQ]:
    """A RabbitMQ with the event exchange, in a folder that its own user can reach."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        with rabbitmq(Path(folder), PLUGINS) as node:
            yield node


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path_factory.mktemp("events")) as process:
        yield process


def compare(ours: list[Heard], theirs: list[Heard], only_theirs: Callable[[Heard], bool]) -> None:
    """Both heard the same, in whatever order: RabbitMQ's comes from several processes."""
    we, they = Counter(ours), Counter(heard for heard in theirs if not only_theirs(heard))
    assert sorted((we - they).elements()) == sorted((they - we).elements())


def is_of_erlang(event: Heard) -> bool:
    """RabbitMQ tells of its own notes, and of a consumer whose queue goes once more without saying who did it."""
    key, _, told = event
    if "component: ('S', 'exchange-delete-in-progress')" in told:
        return True
    return key == "consumer.deleted" and not told[0].startswith("user_who_performed_action")


def test_events(ours: BrokerProcess, theirs: RabbitMQ) -> None:
    we, they = events_of_life(ours.url), events_of_life(ExternalBroker(theirs.port).url)
    assert len(we) > 40
    compare(we, they, is_of_erlang)


def test_copies(ours: BrokerProcess, theirs: RabbitMQ) -> None:
    command = [sys.executable, "-m", "leveret.cli.leveretctl", "--data-dir", str(ours.data_dir), "trace_on"]
    subprocess.run(command, check=True, capture_output=True)
    request = urllib.request.Request(
        f"http://127.0.0.1:{theirs.http_port}/api/vhosts/%2F",
        json.dumps({"tracing": True}).encode(),
        {"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode(), "Content-Type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request):
        pass
    we, they = copies_of_traffic(ours.url), copies_of_traffic(ExternalBroker(theirs.port).url)
    assert len(we) == 15
    compare(we, they, lambda copy: False)
