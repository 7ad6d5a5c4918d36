"""Clients that would harm others: by what they send, by what they don't read, and by going at the wrong moment."""

from __future__ import annotations

import socket
import struct
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.behaviour.expectations import leveret_only
from tests.support.broker_process import BrokerProcess
from tests.support.raw_client import (
    BASIC_ACK,
    BASIC_GET_EMPTY,
    BASIC_GET_OK,
    BODY,
    CHANNEL_CLOSE,
    CHANNEL_CLOSE_OK,
    CHANNEL_OPEN_OK,
    CONFIRM_SELECT,
    CONFIRM_SELECT_OK,
    EXCHANGE_DECLARE,
    HEADER,
    RawClient,
    close_arguments,
    consume,
    content_header,
    frame,
    get,
    method,
    publish,
    publish_method,
    shortstr,
    table,
)
from tests.wire.conftest import Bystander, Connect

QUEUE_BIND, QUEUE_BIND_OK = (50, 20), (50, 21)
QUEUE_DELETE, QUEUE_DELETE_OK = (50, 40), (50, 41)
EXCHANGE_BIND = (40, 30)
AUTO_DELETE, NO_WAIT = 4, 16
PERSISTENT = b"\x10\x00\x02"
MIB = 1 << 20


@pytest.fixture
def queue(connect: Connect) -> Iterator[str]:
    """A queue of this test alone."""
    client = connect()
    name = client.declare(f"test.{uuid.uuid4().hex}")[0]
    yield name
    client.send(method(1, QUEUE_DELETE, b"\0\0" + shortstr(name) + b"\0"))


def await_condition(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)


def descriptors(broker: BrokerProcess) -> int:
    return len(list(Path(f"/proc/{broker.pid}/fd").iterdir()))


def peak_memory(broker: BrokerProcess) -> int:
    """Octets that were resident at most."""
    for line in Path(f"/proc/{broker.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the system does not tell")


@pytest.mark.parametrize("size", [-8, -20, -(2**31), -(2**63)])
def test_a_body_size_over_63_bits_reaches_nobody(connect: Connect, bystander: Bystander, queue: str, size: int) -> None:
    client = connect()
    header = frame(HEADER, 1, struct.pack(">HHq", 60, 0, size) + b"\0\0")
    body = struct.pack(">BHL", BODY, 1, size & 0xFFFFFFFF)
    client.send(publish_method(1, "", queue) + header + body + b"12345678")
    client.expect_channel_close(406, answer=False)
    assert connect().count(queue) == 0
    bystander.check()


def test_a_closed_channel_is_not_sent_confirms(connect: Connect) -> None:
    client = connect()
    queue = client.declare(f"test.{uuid.uuid4().hex}", 2)[0]
    client.call(1, CONFIRM_SELECT, b"\0", CONFIRM_SELECT_OK)
    message = content_header(1, 4, properties=PERSISTENT) + frame(BODY, 1, b"body")
    for _ in range(20):
        client.send(publish_method(1, "", queue) + message + method(1, CHANNEL_CLOSE, close_arguments()))
        while client.next_frame().method != CHANNEL_CLOSE_OK:
            pass  # a confirm may still come before
        client.call(1, (20, 10), b"\0", CHANNEL_OPEN_OK)
        client.call(1, CONFIRM_SELECT, b"\0", CONFIRM_SELECT_OK)
    client.call(1, QUEUE_DELETE, b"\0\0" + shortstr(queue) + b"\0", QUEUE_DELETE_OK)


def test_a_message_goes_where_its_key_leads_when_it_is_complete(connect: Connect) -> None:
    client = connect(channels=(1, 2))
    queue = client.declare(f"test.{uuid.uuid4().hex}", channel=2)[0]
    client.send(publish_method(1, "", queue) + content_header(1, 8) + frame(BODY, 1, b"half"))
    client.call(2, QUEUE_DELETE, b"\0\0" + shortstr(queue) + b"\0", QUEUE_DELETE_OK)
    client.declare(queue, channel=2)
    client.send(frame(BODY, 1, b"half"))
    assert client.count(queue) == 1
    client.call(2, QUEUE_DELETE, b"\0\0" + shortstr(queue) + b"\0", QUEUE_DELETE_OK)


def test_a_message_whose_queue_is_deleted_before_it_is_complete_is_returned(connect: Connect) -> None:
    client = connect(channels=(1, 2))
    queue = client.declare(f"test.{uuid.uuid4().hex}", channel=2)[0]
    client.send(publish_method(1, "", queue, bits=1) + content_header(1, 8) + frame(BODY, 1, b"half"))
    client.call(2, QUEUE_DELETE, b"\0\0" + shortstr(queue) + b"\0", QUEUE_DELETE_OK)
    client.send(frame(BODY, 1, b"half"))
    assert client.expect_message((60, 50)).body == b"halfhalf"


def test_a_long_chain_of_auto_delete_exchanges_goes_with_its_queue(connect: Connect, bystander: Bystander) -> None:
    """Recursion over it would end the process, as it did with 60000."""
    client = connect()
    chain = 60_000
    unique = uuid.uuid4().hex
    bits = bytes([AUTO_DELETE | NO_WAIT])
    declares = [
        method(1, EXCHANGE_DECLARE, b"\0\0" + shortstr(f"{unique}.{number}") + shortstr("fanout") + bits + table())
        for number in range(chain)
    ]
    binds = [
        method(
            1,
            EXCHANGE_BIND,
            b"\0\0" + shortstr(f"{unique}.{number}") + shortstr(f"{unique}.{number - 1}") + b"\0\1" + table(),
        )
        for number in range(1, chain)
    ]
    client.send(b"".join(declares) + b"".join(binds))
    queue = client.declare(unique)[0]
    last = shortstr(queue) + shortstr(f"{unique}.{chain - 1}") + b"\0\0" + table()
    client.call(1, QUEUE_BIND, b"\0\0" + last, QUEUE_BIND_OK)
    client.call(1, QUEUE_DELETE, b"\0\0" + shortstr(queue) + b"\0", QUEUE_DELETE_OK)
    client.send(method(1, EXCHANGE_DECLARE, b"\0\0" + shortstr(f"{unique}.0") + shortstr("") + b"\1" + table()))
    client.expect_channel_close(404, f"no exchange '{unique}.0' in vhost '/'")
    bystander.check()


@leveret_only("it looks into Leveret's process")
def test_a_client_that_never_reads_is_hung_up_on_when_it_misses_its_heartbeats(fresh_broker: BrokerProcess) -> None:
    publisher = RawClient(fresh_broker.port).log_in(channels=[1])
    queue = publisher.declare("queue")[0]
    before = descriptors(fresh_broker)
    deaf = RawClient(fresh_broker.port).log_in(channels=[1], heartbeat=1)
    deaf.send(consume(1, queue, "deaf", 2))
    body = bytes(MIB)
    publisher.send(b"".join(publish(1, queue, body) for _ in range(24)))
    await_condition(lambda: 0 < publisher.count(queue) < 24)
    await_condition(lambda: descriptors(fresh_broker) == before)
    deaf.close()
    publisher.close()


@leveret_only("it looks into Leveret's process")
def test_many_requests_for_a_large_message_do_not_fill_the_memory(fresh_broker: BrokerProcess) -> None:
    client = RawClient(fresh_broker.port).log_in(channels=[1])
    client.declare("queue")
    count = 1200
    body = bytes(100_000)
    client.send(b"".join(publish(1, "queue", body) for _ in range(count)))
    assert client.count("queue") == count
    before = peak_memory(fresh_broker)
    client.send(get(1, "queue") * (count + 1))
    for _ in range(count):
        assert client.expect_message(BASIC_GET_OK).body == body
    client.expect(BASIC_GET_EMPTY)
    assert peak_memory(fresh_broker) - before < 64 * MIB
    client.close()


@leveret_only("it limits Leveret's process")
def test_as_many_clients_as_there_are_descriptors_leave_some_to_the_store(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    broker.started_by = ("prlimit", "--nofile=100:100", "--")
    with broker:
        first = RawClient(broker.port).log_in(channels=[1])
        first.declare("queue", 2)
        strangers = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(120)]
        await_condition(lambda: "cannot accept connections" in broker.log_path.read_text())
        assert descriptors(broker) < 80
        first.call(1, CONFIRM_SELECT, b"\0", CONFIRM_SELECT_OK)
        body = bytes(MIB)
        for _ in range(80):  # two segments and a backlog that is read back
            first.send(
                publish_method(1, "", "queue")
                + content_header(1, MIB, properties=PERSISTENT)
                + b"".join(frame(BODY, 1, body[at : at + 100_000]) for at in range(0, MIB, 100_000))
            )
            first.expect(BASIC_ACK)
        for _ in range(80):
            first.send(get(1, "queue"))
            assert first.expect_message(BASIC_GET_OK).body == body
        for stranger in strangers:
            stranger.close()
        RawClient(broker.port).log_in(channels=[1]).close()
        first.close()
