"""What waits for a socket: its limit, large contents that are not copied, and sockets that take nothing for a while."""

from __future__ import annotations

import pytest

from leveret.amqp.methods import BasicCancel, BasicConsume, BasicGet, BasicGetOk, ChannelClose
from leveret.broker.consumer import LARGE_CONTENT, OUTPUT_LIMIT
from tests.broker.driver import Client, Driver

MIB = 1024 * 1024


def backlog(client: Client, count: int, size: int) -> list[bytes]:
    """A queue with messages of a size."""
    client.declare("queue")
    bodies = [(b"%d:" % number).ljust(size, b".") for number in range(count)]
    for body in bodies:
        client.publish("", "queue", body)
    client.driver.tick()
    return bodies


def consume(client: Client, tag: str = "tag", no_ack: bool = True, channel: int = 1) -> None:
    client.send(BasicConsume("queue", tag, no_ack=no_ack), channel)


@pytest.mark.parametrize("size", [100, 20_000, LARGE_CONTENT, MIB])
def test_one_tick_fills_the_output_to_its_limit_and_no_further(driver: Driver, client: Client, size: int) -> None:
    count = 4 * OUTPUT_LIMIT // size
    bodies = backlog(client, count, size)
    reader = driver.log_in()
    consume(reader)
    driver.broker.end_tick()
    waiting = int(reader.connection.pending_output())
    assert OUTPUT_LIMIT <= waiting <= OUTPUT_LIMIT + size + 1000
    assert driver.counts("queue")[0] > 0
    driver.tick()
    assert [received.body for received in reader.take()] == [None, *bodies]


def test_a_full_output_does_not_hold_up_another_consumer(driver: Driver, client: Client) -> None:
    bodies = backlog(client, 100, 20_000)
    slow, fast = driver.log_in(), driver.log_in()
    for reader in (slow, fast):
        consume(reader)
    slow.stall()
    driver.tick()
    assert [received.body for received in fast.take()] == [None, *bodies]
    assert slow.connection.pending_output() < 1000


def test_a_stalled_consumer_goes_on_where_it_stopped(driver: Driver, client: Client) -> None:
    reader = driver.log_in()
    client.declare("queue")
    consume(reader)
    driver.tick()
    reader.take()
    reader.stall()
    bodies = backlog(client, 5, 10)
    assert driver.counts("queue") == (5, 0)
    reader.resume()
    driver.tick()
    assert reader.bodies() == bodies


def test_all_channels_of_a_stalled_connection_go_on(driver: Driver, client: Client) -> None:
    reader = driver.log_in(1, 2, 3)
    client.declare("queue")
    for channel in (1, 2, 3):
        consume(reader, f"tag{channel}", channel=channel)
    driver.tick()
    reader.take()
    reader.stall()
    bodies = backlog(client, 6, 10)
    reader.resume()
    driver.tick()
    received = reader.take()
    assert sorted(body for one in received if (body := one.body)) == bodies
    assert sorted(one.channel for one in received) == [1, 1, 2, 2, 3, 3]


def test_what_happens_to_a_stalled_consumer_is_noticed(driver: Driver, client: Client) -> None:
    """Cancelled, or gone with its channel, while it was passed over: it is given nothing when the socket has room."""
    reader = driver.log_in(1, 2)
    client.declare("queue")
    for channel in (1, 2):
        consume(reader, f"tag{channel}", channel=channel)
    driver.tick()
    reader.take()
    reader.stall()
    backlog(client, 4, 10)
    reader.send(BasicCancel("tag1"), 1)
    reader.send(ChannelClose(200, "done"), 2)
    reader.resume()
    driver.tick()
    assert [received.method.name for received in reader.take()] == ["basic.cancel-ok", "channel.close-ok"]
    assert driver.counts("queue") == (4, 0)


def test_replies_to_a_stalled_client_wait_for_it(driver: Driver, client: Client) -> None:
    backlog(client, 3, 10)
    client.stall()
    client.send(BasicGet("queue", no_ack=True))
    client.send(BasicGet("queue", no_ack=True))
    driver.tick()
    assert client.take() == []
    client.resume()
    assert [body[:2] for body in client.bodies()] == [b"0:", b"1:"]


def test_a_large_content_stands_alone_in_the_output(driver: Driver, client: Client) -> None:
    """It is handed on as it came, and what is written before and after it keeps its place."""
    bodies = [b"small", b"x" * LARGE_CONTENT, b"y" * LARGE_CONTENT, b"last"]
    client.declare("queue")
    for body in bodies:
        client.publish("", "queue", body)
    reader = driver.log_in()
    consume(reader)
    driver.broker.end_tick()
    pieces = reader.connection.take_output()
    assert sum(len(piece) > LARGE_CONTENT for piece in pieces) == 2
    assert reader.frames.feed(b"".join(pieces))[1].body == b"small"
    assert reader.connection.take_output() == [b""]


@pytest.mark.parametrize("size", [0, 1, 4088, 4089, 8176, 131_064, 131_065, 300_000])
@pytest.mark.parametrize("publisher", [4096, 131_072])
@pytest.mark.parametrize(("reader", "channel"), [(4096, 1), (4096, 2), (131_072, 1), (131_072, 2)])
def test_a_body_is_framed_for_its_reader(driver: Driver, size: int, publisher: int, reader: int, channel: int) -> None:
    """Each way in and out, by basic.deliver, basic.get and basic.return; the driver checks the size of every frame."""
    sender, receiver = driver.log_in(1, frame_max=publisher), driver.log_in(1, 2, frame_max=reader)
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sender.declare("queue")
    sender.publish("", "queue", body)
    sender.publish("", "queue", body)
    sender.publish("", "missing", body, mandatory=True)
    driver.tick()
    assert sender.bodies() == [body]
    got = receiver.call(BasicGet("queue"), channel)
    assert isinstance(got.method, BasicGetOk)
    assert (got.channel, got.body) == (channel, body)
    consume(receiver, channel=channel)
    driver.tick()
    delivered = receiver.take()[1]
    assert (delivered.channel, delivered.body) == (channel, body)


def test_frames_that_are_a_little_too_large_are_passed_on_in_the_right_size(driver: Driver) -> None:
    """A payload of up to frame_max is forgiven, though with the frame's own octets it is more than was agreed on."""
    client = driver.log_in(1, frame_max=4096)
    client.declare("queue")
    client.frame_max = 4104
    body = bytes(range(256)) * 40
    client.publish("", "queue", body)
    assert client.call(BasicGet("queue")).body == body
