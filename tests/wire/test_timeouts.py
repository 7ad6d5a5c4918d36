"""Heartbeats and the handshake's time limit.

What takes seconds runs side by side: all clients of this module start when the first test does, and each test looks at
its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.support.raw_client import (
    CHANNEL_FLOW,
    CHANNEL_FLOW_OK,
    CONNECTION_CLOSE,
    HEARTBEAT,
    QUEUE_DECLARE_OK,
    ConnectionEnded,
    Frame,
    RawClient,
    declare_queue,
    frame,
    method,
)
from tests.wire.conftest import Broker

HANDSHAKE_SECONDS = 10.0
OBSERVED_SECONDS = 4.5


class Observed(NamedTuple):
    """What a client saw: the frames, and after how many seconds the broker ended the connection, if it did."""

    frames: list[Frame]
    ended_after: float | None


def watch(client: RawClient, seconds: float, act: Callable[[], None] | None = None, every: float = 0.2) -> Observed:
    """Collect frames for so many seconds, acting at each interval."""
    start = time.monotonic()
    frames: list[Frame] = []
    acted = start
    try:
        while (now := time.monotonic()) < start + seconds:
            if act is not None and now >= acted + every:
                acted = now
                act()
            try:
                frames.append(client.read_frame(every))
            except TimeoutError:
                continue
    except ConnectionEnded:
        return Observed(frames, time.monotonic() - start)
    finally:
        client.close()
    return Observed(frames, None)


def stalled_handshake(port: int, data: bytes) -> Observed:
    client = RawClient(port)
    client.send(data)
    return watch(client, HANDSHAKE_SECONDS + 5)


def silent(port: int) -> Observed:
    return watch(RawClient(port).log_in(heartbeat=1), OBSERVED_SECONDS)


def silent_without_heartbeats(port: int) -> Observed:
    return watch(RawClient(port).log_in(heartbeat=0), OBSERVED_SECONDS)


def beating(port: int) -> Observed:
    client = RawClient(port).log_in(heartbeat=1)
    return watch(client, OBSERVED_SECONDS, lambda: client.send(frame(HEARTBEAT, 0, b"")), every=0.5)


def talking(port: int) -> Observed:
    client = RawClient(port).log_in(heartbeat=1, channels=[1])
    queue = client.declare("", 4)[0]
    return watch(client, OBSERVED_SECONDS, lambda: client.send(declare_queue(1, queue, 1)), every=0.5)


def trickling(port: int) -> Observed:
    """Sends one octet of a long frame now and then, and never a whole frame."""
    client = RawClient(port).log_in(heartbeat=1, channels=[1])
    octets = iter(method(1, CHANNEL_FLOW, b"\x01"))
    return watch(client, 4.0, lambda: client.send(bytes([next(octets)])), every=0.5)


def ignoring_the_close(port: int) -> Observed:
    client = RawClient(port).log_in(heartbeat=1, channels=[1])
    client.send(frame(99, 1, b""))
    return watch(client, 8.0)


def talking_past_the_close(port: int) -> Observed:
    client = RawClient(port).log_in(heartbeat=1, channels=[1])
    client.send(frame(99, 1, b""))
    return watch(client, 8.0, lambda: client.send(method(1, CHANNEL_FLOW, b"\x01")))


CASES: dict[str, Callable[[int], Observed]] = {
    "no header": lambda port: stalled_handshake(port, b""),
    "partial header": lambda port: stalled_handshake(port, b"AMQP\x00"),
    "no start-ok": lambda port: stalled_handshake(port, b"AMQP\x00\x00\x09\x01"),
    "silent": silent,
    "silent without heartbeats": silent_without_heartbeats,
    "beating": beating,
    "talking": talking,
    "trickling": trickling,
    "ignoring the close": ignoring_the_close,
    "talking past the close": talking_past_the_close,
}


@pytest.fixture(scope="module")
def observed(broker: Broker) -> Iterator[dict[str, Future[Observed]]]:
    with ThreadPoolExecutor(len(CASES)) as pool:
        yield {name: pool.submit(case, broker.port) for name, case in CASES.items()}


def heartbeats(seen: Observed) -> int:
    beats = [got for got in seen.frames if got.kind == HEARTBEAT]
    assert all((got.channel, got.payload) == (0, b"") for got in beats)
    return len(beats)


def test_the_server_sends_heartbeats_at_the_agreed_interval(observed: dict[str, Future[Observed]]) -> None:
    seen = observed["beating"].result()
    assert 3 <= heartbeats(seen) <= 2 * OBSERVED_SECONDS + 1


def test_a_client_that_sends_heartbeats_is_kept(observed: dict[str, Future[Observed]]) -> None:
    assert observed["beating"].result().ended_after is None


def test_a_silent_client_is_dropped_after_two_missed_heartbeats(observed: dict[str, Future[Observed]]) -> None:
    ended = observed["silent"].result().ended_after
    assert ended is not None
    assert 1.5 <= ended <= 4.0


def test_without_heartbeats_silence_is_fine_and_none_are_sent(observed: dict[str, Future[Observed]]) -> None:
    seen = observed["silent without heartbeats"].result()
    assert seen == Observed([], None)


def test_methods_count_as_life(observed: dict[str, Future[Observed]]) -> None:
    seen = observed["talking"].result()
    assert seen.ended_after is None
    assert sum(got.method == QUEUE_DECLARE_OK for got in seen.frames) >= 6


def test_any_octet_counts_as_life(observed: dict[str, Future[Observed]]) -> None:
    seen = observed["trickling"].result()
    assert seen.ended_after is None
    assert not any(got.method == CHANNEL_FLOW_OK for got in seen.frames)


@pytest.mark.parametrize("case", ["ignoring the close", "talking past the close"])
def test_the_brokers_close_does_not_wait_for_ever(observed: dict[str, Future[Observed]], case: str) -> None:
    seen = observed[case].result()
    assert seen.ended_after is not None
    assert [got.method for got in seen.frames if got.kind != HEARTBEAT] == [CONNECTION_CLOSE]


@pytest.mark.parametrize("case", ["no header", "partial header", "no start-ok"])
def test_a_handshake_that_stalls_is_ended_after_ten_seconds(observed: dict[str, Future[Observed]], case: str) -> None:
    ended = observed[case].result().ended_after
    assert ended is not None
    assert HANDSHAKE_SECONDS - 1 <= ended <= HANDSHAKE_SECONDS + 4
