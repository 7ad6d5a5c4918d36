"""Limits of virtual hosts, users and the node, as applications meet them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ConnectionClosedByBroker, ProbableAccessDeniedError

from tests.behaviour.conftest import Connect, Names
from tests.behaviour.expectations import channel_closed, connection_closed, leveret_only
from tests.policies.conftest import Ctl
from tests.support.broker_process import BrokerProcess


@pytest.fixture
def vhost_limits(ctl: Ctl) -> Iterator[Ctl]:
    """Sets limits of the virtual host until the test has ended."""

    def set_limits(*definition: str) -> str:
        return ctl("-q", "set_vhost_limits", *definition)

    yield set_limits
    ctl("-q", "clear_vhost_limits")


@pytest.fixture
def user_limits(ctl: Ctl) -> Iterator[Ctl]:
    """Sets limits of the user until the test has ended."""

    def set_limits(*definition: str) -> str:
        return ctl("-q", "set_user_limits", "guest", *definition)

    yield set_limits
    ctl("-q", "clear_user_limits", "guest", "all")


def assert_refused(connect: Connect, text: str) -> None:
    """Connecting must end with 530 and this text, which pika wraps in an exception of its own."""
    with pytest.raises(ProbableAccessDeniedError) as caught:
        connect()
    assert caught.value.args[0] == f"ConnectionClosedByBroker: (530) {f'NOT_ALLOWED - {text}'!r}"


def test_queues_of_a_virtual_host(
    connect: Connect, channel: BlockingChannel, names: Names, vhost_limits: Ctl, ctl: Ctl
) -> None:
    count = len(ctl("-q", "list_queues", "name", "--no-table-headers").splitlines())
    first, second = names.queue(), names.queue()
    vhost_limits(json.dumps({"max-queues": count + 1}))
    channel.queue_declare(first)
    channel.queue_declare(first)
    text = f"cannot declare queue '{second}': queue limit in vhost '/' ({count + 1}) is reached"
    with channel_closed(406, f"PRECONDITION_FAILED - {text}"):
        channel.queue_declare(second)
    vhost_limits('{"max-queues": -1}')
    connect().channel().queue_declare(second)


def test_connections_of_a_virtual_host(connect: Connect, vhost_limits: Ctl) -> None:
    vhost_limits('{"max-connections": 0}')
    assert_refused(connect, "access to vhost '/' refused for user 'guest': connection limit (0) is reached")
    vhost_limits('{"max-connections": -1}')
    connect()


@leveret_only("RabbitMQ 3.10 writes Connection with a capital")
def test_connections_of_a_user(connect: Connect, user_limits: Ctl) -> None:
    user_limits('{"max-connections": 0}')
    assert_refused(connect, "connection refused for user 'guest': user connection limit (0) is reached")


@leveret_only("RabbitMQ 3.10 puts the number in parentheses")
def test_channels_of_a_user(connect: Connect, user_limits: Ctl) -> None:
    connection = connect()
    connection.channel()
    user_limits('{"max-channels": 1}')
    text = "number of channels opened for user 'guest' has reached the maximum allowed user limit of 1"
    with connection_closed(530, f"NOT_ALLOWED - {text}"):
        connection.channel()


@leveret_only("it starts a broker with options of Leveret's")
def test_limits_of_the_node(tmp_path: Path) -> None:
    options = ["--connection-max", "1", "--channel-max", "9", "--cluster-queue-limit", "1"]
    options += ["--channel-max-per-node", "3", "--consumer-max-per-channel", "1", "--cluster-exchange-limit", "7"]
    with BrokerProcess(tmp_path, *options) as broker:
        parameters = pika.URLParameters(broker.url)

        def connect(**_: object) -> pika.BlockingConnection:
            return pika.BlockingConnection(parameters)

        connection = connect()
        assert_refused(connect, "connection refused: node connection limit (1) is reached")
        assert connection._impl.params.channel_max == 9
        channel = connection.channel()
        channel.queue_declare("a")
        with channel_closed(
            406, "PRECONDITION_FAILED - cannot declare queue 'b': queue limit in cluster (1) is reached"
        ):
            channel.queue_declare("b")
        channel = connection.channel()
        text = "cannot declare exchange 'b' in vhost '/': exchange limit of 7 is reached"
        with channel_closed(406, f"PRECONDITION_FAILED - {text}"):
            channel.exchange_declare("b")
        channel = connection.channel()
        channel.basic_consume("a", print)
        with connection_closed(530, "NOT_ALLOWED - reached maximum (1) of consumers per channel"):
            channel.basic_consume("a", print)
        connection = connect()
        for _ in range(3):
            connection.channel()
        with pytest.raises(ConnectionClosedByBroker, match="has reached the maximum allowed limit of 3"):
            connection.channel()
