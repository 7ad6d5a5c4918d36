"""Heartbeats, the limits of handshake and close, and the timers they stand on, by a clock that the test moves."""

from __future__ import annotations

import pytest

from leveret.amqp.frame import HEARTBEAT_FRAME, PROTOCOL_HEADER
from leveret.amqp.methods import (
    BasicGet,
    ChannelFlow,
    ConnectionClose,
    ConnectionCloseOk,
    ConnectionTuneOk,
    Method,
    QueueDeclare,
)
from leveret.broker.timers import Timers
from tests.broker.driver import Client, Driver, Received, refused, start_ok


def test_a_timer_runs_once_when_it_is_due() -> None:
    timers, ran = Timers(), list[str]()
    timers.after(2.0, lambda: ran.append("late"))
    timers.after(1.0, lambda: ran.append("early"))
    timers.after(1.0, lambda: ran.append("early too"))
    timers.run(0.9)
    assert ran == []
    assert timers.next_due() == 1.0
    timers.run(1.0)
    assert ran == ["early", "early too"]
    timers.run(5.0)
    timers.run(9.0)
    assert ran == ["early", "early too", "late"]
    assert timers.next_due() is None


def test_a_cancelled_timer_does_not_run_and_wakes_nobody() -> None:
    timers, ran = Timers(), list[str]()
    cancelled = timers.after(1.0, lambda: ran.append("cancelled"))
    timers.after(2.0, lambda: ran.append("kept"))
    cancelled.cancel()
    assert timers.next_due() == 2.0
    timers.run(3.0)
    cancelled.cancel()
    assert ran == ["kept"]


def test_a_delay_counts_from_the_time_last_told() -> None:
    timers, ran = Timers(), list[float]()
    timers.run(100.0)

    def again() -> None:
        timers.after(5.0, lambda: ran.append(timers.now))

    timers.after(5.0, again)
    timers.run(105.0)
    assert timers.next_due() == 110.0
    timers.run(110.5)
    assert ran == [110.5]


def test_what_is_set_for_now_waits_for_the_next_run() -> None:
    timers, ran = Timers(), list[int]()

    def again() -> None:
        ran.append(len(ran))
        if len(ran) < 3:
            timers.after(0.0, again)

    timers.after(1.0, again)
    for expected in ([0], [0, 1], [0, 1, 2]):
        assert timers.next_due() == 1.0
        timers.run(1.0)
        assert ran == expected
    assert timers.next_due() is None


def test_a_silent_connection_is_sent_heartbeats_at_the_agreed_interval(driver: Driver) -> None:
    client = driver.log_in(heartbeat=10)
    for second in range(1, 101):
        driver.at(second)
        client.feed(HEARTBEAT_FRAME)
    assert 9 <= client.frames.heartbeats <= 20


def test_no_heartbeat_is_sent_where_output_shows_life(driver: Driver) -> None:
    client = driver.log_in(heartbeat=10)
    for second in range(1, 101):
        driver.at(second)
        client.call(ChannelFlow(True))
    assert client.frames.heartbeats == 0


def test_without_heartbeats_there_is_nothing_to_time(driver: Driver) -> None:
    client = driver.log_in(heartbeat=0)
    driver.at(10_000)
    assert driver.broker.timers.next_due() is None
    assert not client.is_closed()
    assert client.frames.heartbeats == 0


def test_a_client_that_was_silent_for_two_intervals_is_dropped(driver: Driver) -> None:
    client = driver.log_in(heartbeat=10)
    driver.at(20.0)
    assert not client.is_closed()
    driver.at(26.0)
    assert client.is_closed()
    assert client.take() == []  # no connection.close: nobody listens
    assert driver.broker.connections == {}


def test_any_octet_is_a_sign_of_life(driver: Driver) -> None:
    client = driver.log_in(heartbeat=10)
    for octet in range(8):
        driver.at(15.0 * octet)
        client.feed(HEARTBEAT_FRAME[octet : octet + 1])
    assert not client.is_closed()


def test_a_dropped_client_leaves_nothing_behind(driver: Driver, client: Client) -> None:
    client.declare("queue")
    silent = driver.log_in(heartbeat=10)
    silent.call(QueueDeclare("exclusive", exclusive=True))
    client.publish("", "queue", b"task")
    assert silent.call(BasicGet("queue")).body == b"task"
    driver.at(30.0)
    assert silent.is_closed()
    assert driver.queue_names() == {"queue"}
    assert driver.counts("queue") == (1, 0)


HANDSHAKES: dict[str, tuple[bytes, list[Method]]] = {
    "no header": (b"", []),
    "half a header": (PROTOCOL_HEADER[:4], []),
    "no start-ok": (PROTOCOL_HEADER, []),
    "no tune-ok": (PROTOCOL_HEADER, [start_ok()]),
    "no open": (PROTOCOL_HEADER, [start_ok(), ConnectionTuneOk(10, 8192, 60)]),
}


@pytest.mark.parametrize("handshake", HANDSHAKES)
def test_a_handshake_has_ten_seconds(driver: Driver, handshake: str) -> None:
    client = driver.client()
    header, methods = HANDSHAKES[handshake]
    client.feed(header)
    for method in methods:
        client.send(method, 0)
    driver.at(9.9)
    assert not client.is_closed()
    driver.at(10.0)
    assert client.is_closed()


def test_an_open_connection_is_past_the_handshakes_limit(driver: Driver, client: Client) -> None:
    driver.at(11.0)
    assert not client.is_closed()


def close_by_the_broker(driver: Driver) -> Client:
    """A client that was sent connection.close and has not answered."""
    client = driver.log_in(heartbeat=60)
    client.feed(b"\x63\0\0\0\0\0\0\xce")
    driver.tick()
    assert refused(client.take()[0])[0] == 501
    assert not client.is_closed()
    return client


def test_a_close_that_is_not_answered_ends_after_five_seconds(driver: Driver) -> None:
    client = close_by_the_broker(driver)
    driver.at(4.9)
    assert not client.is_closed()
    driver.at(5.0)
    assert client.is_closed()


def test_a_close_that_is_answered_ends_at_once(driver: Driver) -> None:
    client = close_by_the_broker(driver)
    client.send(ConnectionCloseOk(), 0)
    assert client.is_closed()
    assert driver.broker.timers.next_due() is None


def test_while_closing_only_closes_are_heard(driver: Driver) -> None:
    client = close_by_the_broker(driver)
    client.send(QueueDeclare("ignored"))
    client.feed(HEARTBEAT_FRAME)
    client.send(ConnectionClose(200, "mine"), 0)
    driver.tick()
    assert client.take() == [Received(0, ConnectionCloseOk())]
    assert driver.queue_names() == set()
    client.send(ConnectionCloseOk(), 0)
    assert client.is_closed()


def test_nonsense_while_closing_ends_it(driver: Driver) -> None:
    client = close_by_the_broker(driver)
    client.feed(b"\x01\0\0\0\0\0\0\0")
    assert client.is_closed()


def test_shutting_down_tells_those_who_can_hear_it(driver: Driver, client: Client) -> None:
    stranger = driver.client()
    greeted = driver.client()
    greeted.feed(PROTOCOL_HEADER)
    driver.tick()
    closing = close_by_the_broker(driver)
    greeted.take()
    driver.broker.shut_down()
    driver.tick()
    assert [refused(received) for received in client.take()] == [
        (320, "broker forced connection closure with reason 'shutdown'")
    ]
    assert not client.is_closed()
    assert stranger.is_closed()
    assert greeted.is_closed()
    assert not closing.is_closed()
    assert closing.take() == []
    assert driver.queue_names() == set()
