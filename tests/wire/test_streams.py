"""The same session however its octets arrive, and sessions whose octets were damaged on the way."""

from __future__ import annotations

import random
import socket
import struct
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.behaviour.expectations import leveret_only
from tests.support.raw_client import (
    BASIC_ACK,
    BASIC_CONSUME_OK,
    BASIC_DELIVER,
    BASIC_GET_OK,
    BODY,
    CHANNEL_CLOSE,
    CHANNEL_OPEN,
    CHANNEL_OPEN_OK,
    CONFIRM_SELECT,
    CONFIRM_SELECT_OK,
    CONNECTION_CLOSE,
    CONNECTION_OPEN_OK,
    CONNECTION_START,
    CONNECTION_TUNE,
    HEADER,
    HEARTBEAT,
    METHOD,
    PROTOCOL_HEADER,
    QUEUE_DECLARE_OK,
    ConnectionEnded,
    MethodId,
    RawClient,
    close_arguments,
    consume,
    declare_queue,
    frame,
    get,
    method,
    open_vhost,
    publish,
    start_ok,
    tune_ok,
)
from tests.wire.conftest import Broker, Bystander, Connect, Dial

OPENING = [
    PROTOCOL_HEADER,
    start_ok(properties={"product": "test", "capabilities": {"basic.nack": True}}),
    tune_ok(),
    open_vhost(),
]
QUARTERS = 4
MUTATIONS = 200


def session(queue: str) -> list[bytes]:
    """A session without its end, frame by frame; its queue goes when the connection does."""
    return [
        *OPENING,
        method(1, CHANNEL_OPEN, b"\0"),
        declare_queue(1, queue, 4, {"x-note": "ok", "x-list": [1, {"two": 2.0}, None]}),
        method(1, CONFIRM_SELECT, b"\0"),
        *frames_of(publish(1, queue, b"twelve bytes", body_frame=5)),
        frame(HEARTBEAT, 0, b""),
        get(1, queue),
        consume(1, queue, "tag", 2),
        *frames_of(publish(1, queue, b"")),
        *frames_of(publish(1, queue, b"more")),
    ]


def frames_of(data: bytes) -> list[bytes]:
    frames, at = [], 0
    while at < len(data):
        end = at + struct.unpack_from(">L", data, at + 3)[0] + 8
        frames.append(data[at:end])
        at = end
    return frames


def unique() -> str:
    return f"wire.{uuid.uuid4().hex[:10]}"


def expect_session(client: RawClient) -> None:
    """The answers to `session`: confirms may come between the others, which have their order."""
    methods: list[MethodId] = []
    bodies: list[bytes] = []
    while b"".join(bodies) != b"twelve bytesmore" or not methods.count(BASIC_ACK):
        got = client.next_frame()
        if got.kind == METHOD:
            methods.append(got.method)
        elif got.kind == BODY:
            bodies.append(got.payload)
    assert [which for which in methods if which != BASIC_ACK] == [
        CONNECTION_START,
        CONNECTION_TUNE,
        CONNECTION_OPEN_OK,
        CHANNEL_OPEN_OK,
        QUEUE_DECLARE_OK,
        CONFIRM_SELECT_OK,
        BASIC_GET_OK,
        BASIC_CONSUME_OK,
        BASIC_DELIVER,
        BASIC_DELIVER,
    ]


def test_a_session_octet_by_octet(dial: Dial) -> None:
    client = dial()
    for octet in b"".join(session(unique())):
        client.send(bytes([octet]))
    expect_session(client)


def test_a_session_in_one_packet(dial: Dial) -> None:
    client = dial()
    client.send(b"".join(session(unique())))
    expect_session(client)


def test_an_opening_split_at_every_place(dial: Dial) -> None:
    opening = b"".join(OPENING)
    for at in range(1, len(opening)):
        client = dial()
        client.send(opening[:at])
        time.sleep(0.0005)
        client.send(opening[at:])
        for which in (CONNECTION_START, CONNECTION_TUNE, CONNECTION_OPEN_OK):
            client.expect(which)
        client.close()


def test_frames_split_at_every_place(client: RawClient, queue: str) -> None:
    data = (
        declare_queue(1, queue, 1)
        + publish(1, queue, b"a body", body_frame=4)
        + frame(HEARTBEAT, 0, b"")
        + get(1, queue)
    )
    for at in range(1, len(data)):
        client.send(data[:at])
        time.sleep(0.0005)
        client.send(data[at:])
        client.expect(QUEUE_DECLARE_OK)
        assert client.expect_message(BASIC_GET_OK).body == b"a body"


def test_many_frames_in_packets_of_odd_sizes(client: RawClient, queue: str) -> None:
    count = 2000
    data = b"".join(publish(1, queue, b"%d" % at) for at in range(count)) + consume(1, queue, "tag", 2)
    at, chance = 0, random.Random(1)
    while at < len(data):
        size = chance.choice((1, 7, 8, 9, 100, 4096, 30_001))
        client.send(data[at : at + size])
        at += size
    client.expect(BASIC_CONSUME_OK)
    assert [client.expect_message().body for _ in range(count)] == [b"%d" % at for at in range(count)]


@leveret_only("RabbitMQ's queues count a little later than its channels answer")
def test_many_small_requests_at_once_are_answered_in_order(client: RawClient, queue: str) -> None:
    client.send(b"".join(publish(1, queue, b"x") + declare_queue(1, queue, 1) for _ in range(500)))
    for number in range(1, 501):
        reply = client.expect(QUEUE_DECLARE_OK).arguments
        reply.shortstr()
        assert reply.unpack("LL") == (number, 0)


def mutate(chance: random.Random, frames: list[bytes]) -> bytes:
    """Damage a session in one of the ways that octets and frames can be damaged."""
    frames = list(frames)
    at = chance.randrange(len(frames))
    way = chance.choice(("bits", "octets", "cut", "insert", "length", "drop", "double", "swap", "shuffle", "garbage"))
    if way == "drop":
        del frames[at]
    elif way == "double":
        frames.insert(at, frames[at])
    elif way == "swap":
        other = chance.randrange(len(frames))
        frames[at], frames[other] = frames[other], frames[at]
    elif way == "shuffle":
        tail = frames[4:]
        chance.shuffle(tail)
        frames[4:] = tail
    elif way == "garbage":
        frames.insert(at, chance.randbytes(chance.randrange(1, 200)))
    elif way == "length" and at > 0:
        length = struct.pack(">L", chance.choice((0, 1, 4095, 2**16, 2**24, 2**31, 2**32 - 1)))
        frames[at] = frames[at][:3] + length + frames[at][7:]
    data = bytearray(b"".join(frames))
    if way == "bits":
        for _ in range(chance.randrange(1, 9)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif way == "octets":
        start = chance.randrange(len(data))
        size = min(chance.randrange(1, 17), len(data) - start)
        data[start : start + size] = chance.randbytes(size)
    elif way == "cut":
        start = chance.randrange(len(data))
        del data[start : start + chance.randrange(1, 50)]
    elif way == "insert":
        start = chance.randrange(len(data))
        data[start:start] = chance.randbytes(chance.randrange(1, 50))
    return bytes(data)


def survive(port: int, seed: int) -> str | None:
    """Send one damaged session and leave; what the broker did wrong about it, if anything."""
    ending = [method(1, CHANNEL_CLOSE, close_arguments()), method(0, CONNECTION_CLOSE, close_arguments())]
    data = mutate(random.Random(seed), [*session(f"wire.damaged.{seed}"), *ending])
    with RawClient(port) as client:
        client.send(data)
        with suppress(OSError):
            client.socket.shutdown(socket.SHUT_WR)
        try:
            while True:
                if client.buffer[:4] == b"AMQP":
                    del client.buffer[:8]
                got = client.read_frame()
                if got.kind not in (METHOD, HEADER, BODY, HEARTBEAT):
                    return f"seed {seed}: the broker sent a frame of type {got.kind}"
        except ConnectionEnded:
            if client.buffer and bytes(client.buffer) != PROTOCOL_HEADER:
                return f"seed {seed}: the broker stopped within a frame: {bytes(client.buffer)!r}"
            return None
        except TimeoutError:
            return f"seed {seed}: the broker neither answered nor closed"


@pytest.mark.parametrize("quarter", range(QUARTERS))
def test_damaged_sessions_end_and_harm_no_one(broker: Broker, bystander: Bystander, quarter: int) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = pool.map(lambda seed: survive(broker.port, seed), range(quarter, MUTATIONS, QUARTERS))
        faults = []
        for outcome in outcomes:
            bystander.check()
            faults += [outcome] if outcome else []
    assert not faults, "\n".join(faults)


def test_damage_after_the_login_is_answered_with_a_code(connect: Connect) -> None:
    """Where the broker knows the client it does not just hang up: a damaged frame gets a close with a reason."""
    chance = random.Random(2)
    for _ in range(40):
        client = connect()
        good = bytearray(declare_queue(1, "", 4, {"x-note": "text"}))
        del good[chance.randrange(12, len(good) - 1)]
        good[3:7] = struct.pack(">L", len(good) - 8)
        client.send(bytes(good))
        got = client.next_frame()
        assert got.method in (CONNECTION_CLOSE, CHANNEL_CLOSE, QUEUE_DECLARE_OK), bytes(good)
        client.close()
