"""Bodies of every size, cut into frames as each side negotiated."""

from __future__ import annotations

import random

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from pika.frame import Body, Header
from pika.frame import Method as MethodFrame
from pika.spec import Basic

from tests.behaviour.conftest import Broker, Connect
from tests.behaviour.expectations import Consumer, get_one, publish
from tests.behaviour.raw_connection import RawConnection

MEBIBYTE = 1 << 20
FRAME_MAX = 131072
ROOM = FRAME_MAX - 8  # a frame has a header of 7 octets and an end of 1


def body_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM, 2 * ROOM + 1, FRAME_MAX])
def test_sizes_around_the_frame_size(channel: BlockingChannel, queue: str, size: int) -> None:
    body = body_of(size)
    publish(channel, queue, body)
    assert get_one(channel, queue).body == body


@pytest.mark.parametrize("size", [MEBIBYTE, 20 * MEBIBYTE])
def test_large_bodies_by_consume_and_get(channel: BlockingChannel, queue: str, size: int) -> None:
    body = body_of(size)
    publish(channel, queue, body)
    message = get_one(channel, queue, auto_ack=False)
    assert message.body == body
    channel.basic_nack(message.tag, requeue=True)
    consumer = Consumer(channel, queue)
    assert consumer.wait_for(1)[0].body == body


@pytest.mark.parametrize(("published", "consumed"), [(131072, 4096), (4096, 131072), (4096, 8192)])
@pytest.mark.parametrize("size", [0, 4088, 4089, 131064, 300_000, 2 * MEBIBYTE])
def test_publisher_and_consumer_may_negotiate_other_frame_sizes(
    connect: Connect, queue: str, published: int, consumed: int, size: int
) -> None:
    body = body_of(size)
    consumer = Consumer(connect(frame_max=consumed).channel(), queue)
    publish(connect(frame_max=published).channel(), queue, body)
    assert consumer.wait_for(1)[0].body == body


def test_twenty_mebibytes_from_large_frames_to_small_ones(connect: Connect, queue: str) -> None:
    body = body_of(20 * MEBIBYTE)
    consumer = Consumer(connect(frame_max=4096).channel(), queue)
    publish(connect(frame_max=131072).channel(), queue, body)
    assert consumer.wait_for(1)[0].body == body


def test_an_empty_body_has_no_body_frame(broker: Broker, channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "", "next")
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Basic.Consume(queue=queue))
        frames = [raw.frame() for _ in range(4)]
    assert [type(frame) for frame in frames] == [MethodFrame, Header, MethodFrame, Header]


def test_no_frame_is_larger_than_negotiated_and_none_smaller_than_need_be(
    broker: Broker, channel: BlockingChannel, queue: str
) -> None:
    publish(channel, queue, body_of(2 * ROOM + 5))
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Basic.Consume(queue=queue))
        assert [type(raw.frame()) for _ in range(2)] == [MethodFrame, Header]
        bodies = [raw.frame() for _ in range(3)]
        sizes = [len(body.fragment) for body in bodies if isinstance(body, Body)]
    assert sizes == [ROOM, ROOM, 5]


def test_a_body_may_come_in_many_small_frames(broker: Broker, channel: BlockingChannel, queue: str) -> None:
    body = body_of(3000)
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        frames: list[MethodFrame | Header | Body] = [
            MethodFrame(1, Basic.Publish(exchange="", routing_key=queue)),
            Header(1, len(body), BasicProperties()),
        ]
        frames += [Body(1, body[at : at + 1]) for at in range(len(body))]
        raw.socket.sendall(b"".join(frame.marshal() for frame in frames))
        raw.call(Basic.Qos())
    assert get_one(channel, queue).body == body


def test_a_frame_may_come_octet_by_octet(broker: Broker, channel: BlockingChannel, queue: str) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        for frame in (
            MethodFrame(1, Basic.Publish(exchange="", routing_key=queue)),
            Header(1, 5, BasicProperties(content_type="text/plain")),
            Body(1, b"hello"),
        ):
            for octet in frame.marshal():
                raw.socket.sendall(bytes([octet]))
        raw.call(Basic.Qos())
    assert get_one(channel, queue).body == b"hello"


def test_channels_may_mix_their_frames(broker: Broker, channel: BlockingChannel, queue: str) -> None:
    with RawConnection(broker.port) as raw:
        frames: list[MethodFrame | Header | Body] = []
        for number in (1, 2):
            raw.open_channel(number)
            frames.append(MethodFrame(number, Basic.Publish(exchange="", routing_key=queue)))
        frames += [Header(number, 4, BasicProperties()) for number in (2, 1)]
        frames += [Body(1, b"on"), Body(2, b"se"), Body(2, b"cd"), Body(1, b"e!")]
        raw.socket.sendall(b"".join(frame.marshal() for frame in frames))
        raw.call(Basic.Qos(), 1)
        raw.call(Basic.Qos(), 2)
    assert sorted(get_one(channel, queue).body for _ in range(2)) == [b"one!", b"secd"]
