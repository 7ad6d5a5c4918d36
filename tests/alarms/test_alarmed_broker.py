"""Alarms of a broker as users run it: real publishers are blocked, real consumers free them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import ConnectionBlockedTimeout

from tests.behaviour.expectations import leveret_only, wait_until
from tests.support.broker_process import BrokerProcess
from tests.support.raw_client import (
    CONNECTION_BLOCKED,
    CONNECTION_CLOSE,
    CONNECTION_CLOSE_OK,
    QUEUE_DECLARE_OK,
    RawClient,
    declare_queue,
    method,
    publish,
    read_close,
)
from tests.wire.test_process import expect_one_line, serve

pytestmark = leveret_only("it is about Leveret's own limits")

MORE_THAN_ANY_DISK = "100EiB"
KNOWS_BLOCKED = {"capabilities": {"connection.blocked": True}}


@pytest.fixture(scope="module")
def alarmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker whose disk alarm never clears."""
    with BrokerProcess(tmp_path_factory.mktemp("alarmed"), "--disk-free-limit", MORE_THAN_ANY_DISK) as broker:
        yield broker


class Publisher:
    """A pika connection that notes what it is told of alarms."""

    def __init__(self, broker: BrokerProcess, **parameters: object) -> None:
        self.url = broker.url
        wanted = pika.URLParameters(self.url)
        for name, value in parameters.items():
            setattr(wanted, name, value)
        self.connection: BlockingConnection = pika.BlockingConnection(wanted)
        self.channel: BlockingChannel = self.connection.channel()
        self.told: list[str] = []
        self.connection.add_on_connection_blocked_callback(lambda _, frame: self.told.append(frame.method.reason))
        self.connection.add_on_connection_unblocked_callback(lambda _, frame: self.told.append("unblocked"))

    def publish_until_blocked(self, queue: str, body: bytes, most: int) -> int:
        """Publish until told to stop; gives how many messages that were, which is less than `most`.

        Never more is on its way than the socket takes: pika waits for it inside of basic_publish.
        """
        with pika.BlockingConnection(pika.URLParameters(self.url)) as observer:
            counting = observer.channel()
            for published in range(1, most):
                self.channel.basic_publish("", queue, body)
                self.connection.process_data_events(0)
                if published % 20 == 0:
                    self._wait_for_arrival(counting, queue, published)
                if self.told:
                    return published
        raise AssertionError(f"not blocked after {most} messages")

    def _wait_for_arrival(self, counting: BlockingChannel, queue: str, published: int) -> None:
        wait_until(lambda: bool(self.told) or count(counting, queue) >= published, self.connection)


def count(channel: BlockingChannel, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)


def test_a_publisher_is_blocked_and_everyone_else_is_not(alarmed: BrokerProcess) -> None:
    publisher, bystander = Publisher(alarmed), Publisher(alarmed)
    publisher.channel.queue_declare("everyone-else", auto_delete=True)
    got: list[bytes] = []
    bystander.channel.basic_consume("everyone-else", lambda *delivery: got.append(delivery[3]), auto_ack=True)
    publisher.channel.basic_publish("", "everyone-else", b"taken")
    wait_until(lambda: publisher.told == ["low on disk"], publisher.connection)
    publisher.channel.basic_publish("", "everyone-else", b"not taken")
    wait_until(lambda: got == [b"taken"], bystander.connection)
    assert count(bystander.channel, "everyone-else") == 0
    assert bystander.told == []
    bystander.connection.close()
    assert got == [b"taken"]
    assert publisher.told == ["low on disk"]


def test_a_publisher_may_give_up_waiting(alarmed: BrokerProcess) -> None:
    publisher, bystander = Publisher(alarmed, blocked_connection_timeout=0.3), Publisher(alarmed)
    name = publisher.channel.queue_declare("", exclusive=True).method.queue
    publisher.channel.confirm_delivery()
    publisher.channel.basic_publish("", name, b"confirmed")
    with pytest.raises(ConnectionBlockedTimeout):
        publisher.channel.basic_publish("", name, b"never confirmed")
    wait_until(lambda: is_gone(bystander, name))
    bystander.connection.close()


def is_gone(client: Publisher, queue: str) -> bool:
    """Whether a queue that was exclusive to another connection is gone: that may be seen on a channel only once."""
    channel = client.connection.channel()
    try:
        channel.queue_declare(queue, passive=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        return bool(error.reply_code == 404)
    return False


def test_a_blocked_client_that_dies_frees_its_queues(alarmed: BrokerProcess) -> None:
    bystander = Publisher(alarmed)
    blocked = RawClient(alarmed.port).log_in(properties=KNOWS_BLOCKED, channels=[1])
    name = blocked.declare("", 4)[0]
    blocked.send(publish(1, name, b"one"))
    blocked.expect(CONNECTION_BLOCKED)
    blocked.send(publish(1, name, b"two"))
    assert not is_gone(bystander, name)
    blocked.close()
    wait_until(lambda: is_gone(bystander, name))
    bystander.connection.close()


def test_a_blocked_client_is_not_dropped_for_its_silence(alarmed: BrokerProcess) -> None:
    client = RawClient(alarmed.port).log_in(properties=KNOWS_BLOCKED, heartbeat=1, channels=[1])
    client.send(publish(1, "nowhere", b""))
    client.expect(CONNECTION_BLOCKED)
    start = time.monotonic()
    beats = 0
    while time.monotonic() < start + 3.5:
        assert client.read_frame().kind == 8
        beats += 1
    assert beats >= 3
    client.close()


def test_a_stop_waits_for_no_blocked_client(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "--disk-free-limit", MORE_THAN_ANY_DISK) as broker:
        polite, silent = (RawClient(broker.port).log_in(properties=KNOWS_BLOCKED, channels=[1]) for _ in range(2))
        for client in (polite, silent):
            client.send(publish(1, "nowhere", b"x" * 1000) * 100)
            client.expect(CONNECTION_BLOCKED)
        start = time.monotonic()
        assert broker.process is not None
        broker.process.terminate()
        assert read_close(polite.expect(CONNECTION_CLOSE)).code == 320
        polite.send(method(0, CONNECTION_CLOSE_OK))
        polite.expect_end()
        assert broker.process.wait(10) == 0
        assert time.monotonic() - start < 1.0
        assert read_close(silent.expect(CONNECTION_CLOSE)).code == 320
        silent.close()


def test_an_ephemeral_broker_needs_no_disk(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "--ephemeral", "--disk-free-limit", MORE_THAN_ANY_DISK) as broker:
        client = RawClient(broker.port).log_in(properties=KNOWS_BLOCKED, channels=[1])
        client.send(publish(1, "nowhere", b"") * 10 + declare_queue(1, "q"))
        client.expect(QUEUE_DECLARE_OK)
        client.log_out()


def drain_by_purging(channel: BlockingChannel, published: int) -> None:
    channel.queue_purge("backlog")


def drain_by_consuming(channel: BlockingChannel, published: int) -> None:
    channel.basic_qos(prefetch_count=100)
    for taken, (got, _, _) in enumerate(channel.consume("backlog", inactivity_timeout=10), 1):
        assert got is not None
        channel.basic_ack(got.delivery_tag)
        if taken == published - 1:
            break
    channel.cancel()


@pytest.mark.parametrize("drain", [drain_by_purging, drain_by_consuming])
def test_a_backlog_blocks_its_publisher_until_it_is_gone(
    tmp_path: Path, drain: Callable[[BlockingChannel, int], None]
) -> None:
    with BrokerProcess(tmp_path, "--ephemeral", "--memory-limit", "120MB") as broker:
        publisher, consumer = Publisher(broker), Publisher(broker)
        publisher.channel.queue_declare("backlog")
        published = publisher.publish_until_blocked("backlog", b"x" * 20_000, most=50_000)
        assert publisher.told == ["low on memory"]
        assert published > 1000
        drainer = threading.Thread(target=drain, args=(consumer.channel, published))
        drainer.start()
        wait_until(lambda: publisher.told == ["low on memory", "unblocked"], publisher.connection)
        drainer.join(20)
        consumer.channel.queue_purge("backlog")
        publisher.channel.basic_publish("", "backlog", b"on it goes")
        assert count(publisher.channel, "backlog") >= 1
        publisher.connection.close()
        consumer.connection.close()
        logged = broker.log_path.read_text()
        assert logged.count("MEMORY ALARM: ") == logged.count("memory alarm cleared: ") == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--memory-limit", "1.5"], "'1.5' is more than all memory"),
        (["--memory-limit", "0"], "'0' leaves no memory"),
        (["--memory-limit", "much"], "'much' is not a size"),
        (["--disk-free-limit", "2XB"], "'2XB' is not a size"),
        (["--disk-free-limit", "-1"], "--disk-free-limit"),
    ],
)
def test_a_bad_limit_is_one_clear_line(tmp_path: Path, arguments: list[str], word: str) -> None:
    expect_one_line(serve("--data-dir", str(tmp_path / "data"), *arguments), word)
