"""The same life, the same acts of operators and the same traffic on Leveret and on an installed RabbitMQ: the same
events and copies are heard.

Without RabbitMQ these tests say so and are skipped.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.events.story import Heard, copies_of_traffic, events_of, life, operate
from tests.http.client import Api
from tests.support.broker_process import BrokerProcess, ExternalBroker
from tests.support.rabbitmq import RabbitMQ, rabbitmq, rabbitmq_server

pytestmark = [
    pytest.mark.skipif(rabbitmq_server() is None, reason="RabbitMQ is not installed"),
    pytest.mark.timeout(180),
]
PLUGINS = ["rabbitmq_management", "rabbitmq_event_exchange"]
OF_CLIENTS = ("connection.", "channel.", "user.authentication.")


@pytest.fixture(scope="module")
def theirs() -> Iterator[RabbitMQ]:
    """A RabbitMQ with the event exchange, in a folder that its own user can reach."""
    with tempfile.TemporaryDirectory(prefix="leveret-events-") as folder:
        Path(folder).chmod(0o711)
        own = Path(folder) / "rabbitmq"
        own.mkdir()
        with rabbitmq(own, PLUGINS) as node:
            yield node


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess(tmp_path_factory.mktemp("events")) as process:
        yield process


def compare(ours: list[Heard], theirs: list[Heard], left_out: Callable[[Heard], bool]) -> None:
    """Both heard the same, in whatever order: RabbitMQ's comes from several processes."""
    we = Counter(heard for heard in ours if not left_out(heard))
    they = Counter(heard for heard in theirs if not left_out(heard))
    assert sorted((we - they).elements()) == sorted((they - we).elements())


def is_of_erlang(event: Heard) -> bool:
    """RabbitMQ tells of its own notes, and of a consumer whose queue goes once more without saying who did it."""
    key, _, told = event
    if "component: ('S', 'exchange-delete-in-progress')" in told:
        return True
    return key == "consumer.deleted" and not told[0].startswith("user_who_performed_action")


def is_of_a_client(event: Heard) -> bool:
    """RabbitMQ's HTTP API has connections of its own, in the same machine, for what AMQP does."""
    return is_of_erlang(event) or event[0].startswith(OF_CLIENTS)


def test_events_of_clients(ours: BrokerProcess, theirs: RabbitMQ) -> None:
    their_url = ExternalBroker(theirs.port).url
    we, they = events_of(partial(life, ours.url), ours.url), events_of(partial(life, their_url), their_url)
    assert len(we) > 40
    compare(we, they, is_of_erlang)


def test_events_of_operators(ours: BrokerProcess, theirs: RabbitMQ) -> None:
    heard: list[list[Heard]] = []
    for url, http_port in ((ours.url, ours.http_port), (ExternalBroker(theirs.port).url, theirs.http_port)):
        api = Api(http_port)
        heard.append(events_of(partial(operate, url, api), url))
        api.close()
    assert len(heard[0]) > 50
    compare(heard[0], heard[1], is_of_a_client)


def test_copies(ours: BrokerProcess, theirs: RabbitMQ) -> None:
    heard: list[list[Heard]] = []
    for url, http_port in ((ours.url, ours.http_port), (ExternalBroker(theirs.port).url, theirs.http_port)):
        api = Api(http_port)
        assert api.put("/api/vhosts/%2F", {"tracing": True}).status == 204
        assert api.get("/api/vhosts/%2F")["tracing"] is True
        heard.append(copies_of_traffic(url))
        assert api.put("/api/vhosts/%2F", {"tracing": False}).status == 204
        api.close()
    assert len(heard[0]) == 15
    compare(heard[0], heard[1], lambda _: False)
