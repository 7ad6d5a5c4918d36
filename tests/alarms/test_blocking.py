"""What an alarm does to connections: who is blocked, after which octet, what is told, and how it ends."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.alarms.in_process import FedClient, bodies, make_broker, methods, ready
from tests.support.raw_client import (
    BASIC_ACK,
    BASIC_CONSUME_OK,
    BASIC_DELIVER,
    BASIC_QOS,
    BASIC_QOS_OK,
    CHANNEL_CLOSE,
    CONFIRM_SELECT,
    CONFIRM_SELECT_OK,
    CONNECTION_BLOCKED,
    CONNECTION_CLOSE,
    CONNECTION_CLOSE_OK,
    CONNECTION_UNBLOCKED,
    HEARTBEAT,
    QUEUE_DECLARE_OK,
    close_arguments,
    consume,
    content_header,
    declare_queue,
    frame,
    method,
    publish,
    publish_method,
)

BODY = 3


def ack(channel: int, tag: int) -> bytes:
    return method(channel, BASIC_ACK, struct.pack(">QB", tag, 0))


@pytest.mark.parametrize(
    ("alarms", "reason"),
    [
        (["memory"], "low on memory"),
        (["disk"], "low on disk"),
        (["memory", "disk"], "low on memory & disk"),
        (["disk", "memory"], "low on memory & disk"),
    ],
)
def test_the_first_publish_is_taken_and_the_client_told_why_it_is_the_last(alarms: list[str], reason: str) -> None:
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "q"))
    for alarm in alarms:
        broker.set_alarm(alarm, True)
    assert client.take() == []
    blocked, *more = client.feed(publish(1, "q", b"first") + publish(1, "q", b"second"))
    assert (blocked.method, blocked.channel, blocked.arguments.shortstr()) == (CONNECTION_BLOCKED, 0, reason)
    assert more == []
    assert ready(broker, "q") == 1
    assert client.feed(publish(1, "q", b"third") + declare_queue(1, "q", 1)) == []
    assert ready(broker, "q") == 1


def test_a_publisher_of_long_standing_is_blocked_too() -> None:
    """The route of its publishes is cached by then."""
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "q") + publish(1, "q", b"before") * 3)
    broker.set_alarm("memory", True)
    assert methods(client.feed(publish(1, "q", b"after") * 3)) == [CONNECTION_BLOCKED]
    assert ready(broker, "q") == 4


@pytest.mark.parametrize("properties", [{}, {"capabilities": {}}, {"capabilities": {"connection.blocked": False}}])
def test_who_does_not_know_the_method_is_blocked_in_silence(properties: dict[str, object]) -> None:
    broker = make_broker()
    client = FedClient(broker, properties)
    client.feed(declare_queue(1, "q"))
    broker.set_alarm("disk", True)
    assert client.feed(publish(1, "q", b"one") + publish(1, "q", b"two")) == []
    assert client.connection.blocked
    assert ready(broker, "q") == 1
    broker.set_alarm("disk", False)
    assert client.take() == []
    assert ready(broker, "q") == 2


def test_who_does_not_publish_goes_on_unharmed() -> None:
    broker = make_broker()
    publisher, consumer = FedClient(broker), FedClient(broker)
    publisher.feed(declare_queue(1, "q") + publish(1, "q", b"body") * 3)
    broker.set_alarm("memory", True)
    publisher.feed(publish(1, "q", b"body"))
    assert methods(consumer.feed(declare_queue(1, "r"))) == [QUEUE_DECLARE_OK]
    got = methods(consumer.feed(consume(1, "q", "tag")))
    assert (got[0], got.count(BASIC_DELIVER)) == (BASIC_CONSUME_OK, 4)
    consumer.feed(b"".join(ack(1, tag) for tag in range(1, 5)))
    assert broker.vhosts["/"].queues["q"].unacked == 0
    assert not consumer.connection.blocked


def test_a_connection_opened_during_the_alarm_is_blocked_when_it_publishes() -> None:
    broker = make_broker()
    broker.set_alarm("memory", True)
    client = FedClient(broker)
    assert methods(client.feed(declare_queue(1, "q"))) == [QUEUE_DECLARE_OK]
    assert methods(client.feed(publish(1, "q", b"") + publish(1, "q", b""))) == [CONNECTION_BLOCKED]
    assert ready(broker, "q") == 1


def test_the_message_is_taken_whole_before_its_connection_is_blocked() -> None:
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "q") + declare_queue(1, "other") + publish(2, "other", b"x") + consume(2, "other", ""))
    broker.set_alarm("disk", True)
    assert client.feed(publish_method(1, "", "q")) == []
    assert client.feed(content_header(1, 6)) == []
    assert client.feed(frame(BODY, 1, b"one")) == []
    assert not client.connection.blocked
    client.feed(ack(2, 1))
    assert broker.vhosts["/"].queues["other"].unacked == 0
    assert methods(client.feed(frame(BODY, 1, b"two"))) == [CONNECTION_BLOCKED]
    assert ready(broker, "q") == 1
    broker.set_alarm("disk", False)
    assert methods(client.take()) == [CONNECTION_UNBLOCKED]
    assert bodies(client, "q") == [b"onetwo"]


def test_a_message_under_way_when_the_alarm_is_raised_is_no_reason_yet() -> None:
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "q") + publish_method(1, "", "q") + content_header(1, 3))
    broker.set_alarm("disk", True)
    assert client.feed(frame(BODY, 1, b"one")) == []
    assert not client.connection.blocked
    assert methods(client.feed(publish(1, "q", b"two"))) == [CONNECTION_BLOCKED]


def test_a_message_under_way_when_the_alarm_clears_blocks_nobody() -> None:
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "q"))
    broker.set_alarm("disk", True)
    client.feed(publish_method(1, "", "q") + content_header(1, 3))
    broker.set_alarm("disk", False)
    assert client.feed(frame(BODY, 1, b"one") + publish(1, "q", b"two")) == []
    assert ready(broker, "q") == 2
    assert not client.connection.blocked


def test_a_refused_publish_blocks_too() -> None:
    broker = make_broker()
    client = FedClient(broker)
    broker.set_alarm("memory", True)
    refused = publish(1, "key", b"lost", exchange="nowhere")
    assert methods(client.feed(refused + declare_queue(2, "q"))) == [CHANNEL_CLOSE, CONNECTION_BLOCKED]
    broker.set_alarm("memory", False)
    assert methods(client.take()) == [CONNECTION_UNBLOCKED, QUEUE_DECLARE_OK]


def test_an_error_of_the_connection_ends_it_as_ever() -> None:
    broker = make_broker()
    client = FedClient(broker)
    broker.set_alarm("memory", True)
    assert methods(client.feed(publish_method(1, "", "q", bits=2))) == [CONNECTION_CLOSE]
    assert not client.connection.blocked
    client.feed(method(0, CONNECTION_CLOSE_OK))
    assert client.closed


def test_what_was_confirmed_stays_confirmed_while_blocked() -> None:
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "q"))
    assert methods(client.feed(method(1, CONFIRM_SELECT, b"\0"))) == [CONFIRM_SELECT_OK]
    broker.set_alarm("memory", True)
    assert methods(client.feed(publish(1, "q", b"one") + publish(1, "q", b"two"))) == [CONNECTION_BLOCKED, BASIC_ACK]
    broker.set_alarm("memory", False)
    broker.end_tick()
    unblocked, confirm = client.take()
    assert unblocked.method == CONNECTION_UNBLOCKED
    assert confirm.arguments.unpack("QB") == (2, 0)


def test_when_the_alarm_clears_what_lay_unread_comes_first() -> None:
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "q"))
    broker.set_alarm("memory", True)
    stream = b"".join(publish(1, "q", str(number).encode()) for number in range(5)) + declare_queue(1, "q", 1)
    client.feed(stream[:-20])
    assert ready(broker, "q") == 1
    broker.set_alarm("memory", False)
    assert [got.method for got in client.take()] == [CONNECTION_UNBLOCKED]
    assert ready(broker, "q") == 5
    (declared,) = client.feed(stream[-20:])
    assert declared.method == QUEUE_DECLARE_OK
    assert bodies(client, "q") == [b"0", b"1", b"2", b"3", b"4"]
    assert client.feed(publish(1, "q", b"more") * 3) == []
    assert ready(broker, "q") == 3


def test_what_lay_unread_needs_nothing_more_to_be_handled() -> None:
    """However much the frame before it was waited for."""
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "q"))
    broker.set_alarm("memory", True)
    large = publish(1, "q", b"x" * 10_000)
    client.feed(large[:1000])
    client.feed(large[1000:] + publish(1, "q", b"small"))
    assert ready(broker, "q") == 1
    broker.set_alarm("memory", False)
    assert ready(broker, "q") == 2


def test_every_alarm_has_to_clear() -> None:
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "q"))
    broker.set_alarm("memory", True)
    client.feed(publish(1, "q", b"one") + publish(1, "q", b"two"))
    broker.set_alarm("disk", True)
    broker.set_alarm("memory", False)
    assert client.connection.blocked
    assert client.take() == []  # it is told once, whatever is added
    assert broker.alarms.active == {"disk"}
    broker.set_alarm("disk", False)
    assert methods(client.take()) == [CONNECTION_UNBLOCKED]
    assert ready(broker, "q") == 2


def test_an_alarm_may_be_set_again_and_again() -> None:
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "q"))
    for _ in range(3):
        broker.set_alarm("disk", False)
    for _ in range(3):
        broker.set_alarm("disk", True)
    assert methods(client.feed(publish(1, "q", b"one"))) == [CONNECTION_BLOCKED]
    for _ in range(3):
        broker.set_alarm("disk", False)
    assert methods(client.take()) == [CONNECTION_UNBLOCKED]
    broker.set_alarm("disk", True)
    assert methods(client.feed(publish(1, "q", b"two"))) == [CONNECTION_BLOCKED]
    assert ready(broker, "q") == 2


def test_a_blocked_connection_gets_heartbeats_and_owes_none() -> None:
    broker = make_broker()
    client = FedClient(broker, heartbeat=10)
    client.feed(declare_queue(1, "q"))
    broker.set_alarm("memory", True)
    client.feed(publish(1, "q", b"one"))
    beats = 0
    for now in range(1, 101):
        broker.timers.run(float(now))
        beats += sum(got.kind == HEARTBEAT for got in client.take())
    assert beats >= 10
    assert client.connection.blocked
    broker.set_alarm("memory", False)
    for now in range(101, 120):
        broker.timers.run(float(now))
    assert not client.closed
    for now in range(120, 131):
        broker.timers.run(float(now))
    assert client.closed


def test_deliveries_go_on_as_far_as_prefetch_lets_them() -> None:
    broker = make_broker()
    client, other = FedClient(broker), FedClient(broker)
    client.feed(declare_queue(1, "q"))
    assert methods(client.feed(method(1, BASIC_QOS, struct.pack(">LHB", 0, 3, 0)))) == [BASIC_QOS_OK]
    client.feed(consume(1, "q", "tag"))
    for _ in range(5):
        other.feed(publish(1, "q", b"x"))
    assert methods(client.take()).count(BASIC_DELIVER) == 3
    client.feed(ack(1, 1) + ack(1, 2))
    broker.set_alarm("memory", True)
    assert methods(client.feed(publish(2, "elsewhere", b""))) == [CONNECTION_BLOCKED]
    other.feed(publish(1, "q", b"x"))
    assert client.feed(ack(1, 3) + ack(1, 4)) == []
    assert broker.vhosts["/"].queues["q"].unacked == 3
    broker.set_alarm("memory", False)
    broker.end_tick()
    got = methods(client.take())
    assert (got[0], got.count(BASIC_DELIVER)) == (CONNECTION_UNBLOCKED, 1)
    assert broker.vhosts["/"].queues["q"].unacked == 2


def test_a_blocked_connection_that_the_broker_closes_is_read_for_its_answer() -> None:
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "q") + declare_queue(1, "mine", 4))
    broker.set_alarm("memory", True)
    client.feed(publish(1, "q", b"one") + publish(1, "q", b"two")[:-3])
    broker.shut_down()
    assert not client.connection.blocked
    assert methods(client.take()) == [CONNECTION_CLOSE]
    client.feed(publish(1, "q", b"two")[-3:] + method(0, CONNECTION_CLOSE_OK))
    assert client.closed
    assert ready(broker, "q") == 1
    assert "mine" not in broker.vhosts["/"].queues


def test_a_blocked_connection_whose_socket_ends_lets_go_of_everything() -> None:
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "mine", 4))
    broker.set_alarm("memory", True)
    client.feed(publish(1, "mine", b"one") * 2)
    client.connection.close_socket()
    assert "mine" not in broker.vhosts["/"].queues
    broker.set_alarm("memory", False)
    assert client.closed


def test_a_client_that_closes_is_answered_when_the_alarm_clears() -> None:
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "q"))
    broker.set_alarm("memory", True)
    client.feed(publish(1, "q", b"one") * 2 + method(0, CONNECTION_CLOSE, close_arguments()))
    broker.set_alarm("memory", False)
    assert methods(client.take()) == [CONNECTION_UNBLOCKED, CONNECTION_CLOSE_OK]
    assert client.closed
    assert ready(broker, "q") == 2


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8),
    cuts=st.lists(st.tuples(st.integers(1, 90), st.booleans()), max_size=30),
)
def test_wherever_alarms_come_and_go_every_message_is_taken_once_in_order(
    sizes: list[int], cuts: list[tuple[int, bool]]
) -> None:
    broker = make_broker()
    client = FedClient(broker)
    client.feed(declare_queue(1, "q"))
    messages = [bytes([number]) * size for number, size in enumerate(sizes)]
    stream = b"".join(publish(1, "q", body, body_frame=16) for body in messages)
    at = 0
    for length, alarmed in cuts:
        broker.set_alarm("disk", alarmed)
        before = ready(broker, "q")
        client.feed(stream[at : at + length])
        at += length
        if alarmed:
            assert ready(broker, "q") <= before + 2  # one that was under way, and the one that shows the publisher
    broker.set_alarm("disk", False)
    client.feed(stream[at:])
    assert bodies(client, "q") == messages
