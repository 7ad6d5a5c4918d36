"""Redeclares that differ, in each of the broker's modes: what is refused, and what is kept, logged and taken for ok."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

import pytest

from leveret.amqp.field_table import table_from_python
from leveret.amqp.methods import ExchangeDeclare, ExchangeDeclareOk, QueueDeclare, QueueDeclareOk
from leveret.broker.broker import Broker
from leveret.broker.redeclaring import QUEUE_TYPE, RELAXED, STRICT
from tests.broker.driver import Client, Driver

NONE: Mapping[str, object] = {}
QUORUM: Mapping[str, object] = {"x-queue-type": "quorum"}
WARNINGS = "leveret.broker"


def client_of(mode: str) -> Client:
    return Driver(Broker("1.2.3", "leveret@test", lambda: 0.0, os.urandom, redeclare=mode)).log_in()


@pytest.fixture
def client() -> Client:
    return client_of(RELAXED)


def queue_declare(
    arguments: Mapping[str, object] = NONE, durable: bool = True, exclusive: bool = False, auto_delete: bool = False
) -> QueueDeclare:
    table = table_from_python(dict(arguments))
    return QueueDeclare("q", durable=durable, exclusive=exclusive, auto_delete=auto_delete, arguments=table)


def exchange_declare(
    type: str = "direct",
    durable: bool = True,
    auto_delete: bool = False,
    internal: bool = False,
    arguments: Mapping[str, object] = NONE,
) -> ExchangeDeclare:
    table = table_from_python(dict(arguments))
    return ExchangeDeclare("x", type, durable=durable, auto_delete=auto_delete, internal=internal, arguments=table)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (queue_declare({"x-max-priority": 5}), queue_declare({"x-max-priority": 10})),
        (queue_declare({"x-message-ttl": 5}), queue_declare()),
        (queue_declare(), queue_declare({**QUORUM, "x-delivery-limit": 3})),
        (queue_declare(QUORUM), queue_declare({"x-max-priority": 10})),
        (queue_declare(), queue_declare(durable=False)),
        (queue_declare(), queue_declare(auto_delete=True)),
    ],
)
def test_a_queue_stays_as_it_is(
    client: Client, first: QueueDeclare, second: QueueDeclare, caplog: pytest.LogCaptureFixture
) -> None:
    client.call(first)
    client.publish("", "q")
    queue = client.driver.queue("q")
    before = (queue.durable, queue.auto_delete, queue.arguments)
    with caplog.at_level(logging.WARNING, WARNINGS):
        for _ in range(2):
            assert client.call(second).method == QueueDeclareOk("q", 1, 0)
        assert client.call(first).method == QueueDeclareOk("q", 1, 0)
    assert client.driver.queue("q") is queue
    assert (queue.durable, queue.auto_delete, queue.arguments) == before
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(
        "queue 'q' in vhost '/' was redeclared otherwise and stays as it is: inequivalent arg '"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (exchange_declare(), exchange_declare("fanout")),
        (exchange_declare(), exchange_declare(arguments={"alternate-exchange": "other"})),
        (exchange_declare(), exchange_declare(durable=False)),
        (exchange_declare(), exchange_declare(auto_delete=True)),
        (exchange_declare(), exchange_declare(internal=True)),
    ],
)
def test_an_exchange_stays_as_it_is(
    client: Client, first: ExchangeDeclare, second: ExchangeDeclare, caplog: pytest.LogCaptureFixture
) -> None:
    client.call(first)
    exchange = client.driver.broker.vhosts["/"].exchanges["x"]
    with caplog.at_level(logging.WARNING, WARNINGS):
        for _ in range(2):
            assert client.call(second).method == ExchangeDeclareOk()
    assert client.driver.broker.vhosts["/"].exchanges["x"] is exchange
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    ("first", "second", "code", "text"),
    [
        (queue_declare(durable=False), queue_declare(), 406, "inequivalent arg 'durable'"),
        (queue_declare(auto_delete=True), queue_declare(), 406, "inequivalent arg 'auto_delete'"),
        (queue_declare(exclusive=True), queue_declare(), 405, "cannot obtain exclusive access"),
        (queue_declare(), queue_declare(exclusive=True), 405, "cannot obtain exclusive access"),
        (queue_declare(), queue_declare({"x-max-length": -1}), 406, "invalid arg 'x-max-length'"),
        (queue_declare(), queue_declare({"x-queue-type": "other"}), 406, "invalid arg 'x-queue-type'"),
        (exchange_declare(durable=False), exchange_declare(), 406, "inequivalent arg 'durable'"),
        (exchange_declare(auto_delete=True), exchange_declare(), 406, "inequivalent arg 'auto_delete'"),
        (exchange_declare(internal=True), exchange_declare("fanout"), 406, "inequivalent arg 'internal'"),
        (exchange_declare(), exchange_declare("other"), 406, "unknown exchange type"),
    ],
)
def test_what_a_client_could_not_rely_on_is_refused(
    client: Client, first: QueueDeclare, second: QueueDeclare, code: int, text: str
) -> None:
    client.call(first)
    found, reason = client.refusal(second)
    assert found == code
    assert reason.startswith(text)


def test_a_queue_of_another_connection_stays_locked(client: Client) -> None:
    client.call(queue_declare(exclusive=True))
    assert client.driver.log_in().refusal(queue_declare({"x-max-length": 1}, exclusive=True))[0] == 405


@pytest.mark.parametrize("mode", [STRICT, QUEUE_TYPE])
def test_the_other_modes_refuse_other_arguments(mode: str) -> None:
    client = client_of(mode)
    client.call(queue_declare())
    different: tuple[Mapping[str, object], ...] = ({"x-max-length": 1}, QUORUM)
    for arguments in different:
        code, text = client_of_same(client).refusal(queue_declare(arguments))
        assert code == 406
        assert text.startswith(f"inequivalent arg '{next(iter(arguments))}'")


def client_of_same(client: Client) -> Client:
    """Another client of the same broker."""
    return client.driver.log_in()


def test_a_quorum_queue_may_be_taken_for_a_classic_one() -> None:
    client = client_of(QUEUE_TYPE)
    client.call(queue_declare({**QUORUM, "x-expires": 1000}))
    classic: tuple[Mapping[str, object], ...] = (NONE, {"x-queue-type": "classic"})
    for arguments in classic:
        assert client.call(queue_declare({**arguments, "x-expires": 1000})).method == QueueDeclareOk("q", 0, 0)
    assert (
        client_of_same(client).refusal(queue_declare({"x-expires": 999}))[1].startswith("inequivalent arg 'x-expires'")
    )
    strict = client_of(STRICT)
    strict.call(queue_declare(QUORUM))
    assert strict.refusal(queue_declare())[1].startswith("inequivalent arg 'x-queue-type'")
