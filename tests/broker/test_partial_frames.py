"""However the bytes of a stream are cut into pieces, they mean the same."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from leveret.amqp.frame import HEARTBEAT_FRAME, PROTOCOL_HEADER, method_frame
from leveret.amqp.methods import (
    BasicAck,
    BasicConsume,
    BasicPublish,
    ChannelOpen,
    ConfirmSelect,
    ConnectionOpen,
    ConnectionTuneOk,
    Method,
    QueueDeclare,
)
from leveret.amqp.properties import BasicProperties
from tests.broker.driver import Driver, Received, publish_frames, start_ok


def stream() -> bytes:
    """A whole conversation of a client that does not wait for answers."""

    def frame(method: Method, channel: int = 1) -> bytes:
        return method_frame(channel, method.encode())

    publish = BasicPublish("", "queue")
    return b"".join(
        (
            PROTOCOL_HEADER,
            frame(start_ok(), 0),
            frame(ConnectionTuneOk(10, 4096, 0), 0),
            frame(ConnectionOpen("/"), 0),
            frame(ChannelOpen()),
            frame(ConfirmSelect()),
            frame(QueueDeclare("queue")),
            publish_frames(publish, b"one"),
            HEARTBEAT_FRAME,
            publish_frames(publish, b""),
            publish_frames(publish, b"three", BasicProperties(delivery_mode=1, headers={})),
            publish_frames(publish, b"several frames" * 5, frame_max=40),
            frame(BasicConsume("queue", "tag")),
            frame(BasicAck(0, True)),
        )
    )


def talk(pieces: list[bytes]) -> list[Received]:
    """What a broker answers to the pieces, all of them in one tick."""
    driver = Driver()
    client = driver.client()
    for piece in pieces:
        client.feed(piece)
    driver.tick()
    assert driver.counts("queue") == (0, 4)
    return client.take()


WHOLE = stream()
ANSWER = talk([WHOLE])


def test_the_whole_stream_is_understood() -> None:
    assert [received.method.name for received in ANSWER] == [
        *("connection.start", "connection.tune", "connection.open-ok", "channel.open-ok", "confirm.select-ok"),
        *("queue.declare-ok", "basic.consume-ok", *["basic.deliver"] * 4, "basic.ack"),
    ]
    assert [received.body for received in ANSWER if received.body is not None] == [
        *(b"one", b"", b"three", b"several frames" * 5)
    ]


@pytest.mark.parametrize("tenth", range(10))
def test_two_pieces_cut_anywhere(tenth: int) -> None:
    for cut in range(tenth, len(WHOLE), 10):
        assert talk([WHOLE[:cut], WHOLE[cut:]]) == ANSWER, cut


def test_octet_by_octet() -> None:
    assert talk([WHOLE[at : at + 1] for at in range(len(WHOLE))]) == ANSWER


@pytest.mark.parametrize("seed", range(30))
def test_pieces_of_any_size(seed: int) -> None:
    chance = random.Random(seed)
    cuts = [0, *sorted(chance.sample(range(1, len(WHOLE)), chance.randint(2, 60))), len(WHOLE)]
    assert talk([WHOLE[start:end] for start, end in pairwise(cuts)]) == ANSWER


def test_an_empty_piece_means_nothing() -> None:
    assert talk([WHOLE[:100], b"", WHOLE[100:], b""]) == ANSWER
