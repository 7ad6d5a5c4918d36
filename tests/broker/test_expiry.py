"""When messages and queues expire, to the millisecond: the clock stands still unless the test moves it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leveret.amqp.methods import BasicConsume, BasicNack, BasicQos, QueueDelete
from leveret.amqp.properties import BasicProperties
from tests.broker.driver import Client, Driver, refused

TEN_YEARS = "315360000000"


def expiring(milliseconds: int | str) -> BasicProperties:
    return BasicProperties(expiration=str(milliseconds))


@pytest.mark.parametrize("text", ["0", "-0", "+5", "007", TEN_YEARS])
def test_an_expiration_is_a_number_as_erlang_reads_it(client: Client, text: str) -> None:
    client.declare("queue")
    client.publish("", "queue", b"taken", expiring(text))
    client.publish("", "missing", b"returned", mandatory=True)
    client.driver.tick()
    assert [received.body for received in client.take()] == [b"returned"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_integer"),
        ("-", "no_integer"),
        (" 5", "no_integer"),
        ("\u0663", "no_integer"),
        ("1\u0663", '{leftover_string,"\u0663"}'),
        ("5 ", '{leftover_string," "}'),
        ("1_0", '{leftover_string,"_0"}'),
        ("1.5", '{leftover_string,".5"}'),
        ("-1", "{value_negative,-1}"),
        ("315360000001", "{value_too_large,315360000001}"),
    ],
)
def test_what_is_no_expiration_closes_the_channel(client: Client, text: str, reason: str) -> None:
    client.declare("queue")
    client.publish("", "queue", b"", expiring(text))
    client.driver.tick()
    assert refused(client.take()[0]) == (406, f"invalid expiration '{text}': {reason}")


def test_an_expiration_of_many_digits_is_refused_in_a_text_that_fits(client: Client) -> None:
    client.publish("", "queue", b"", expiring("9" * 255))
    client.driver.tick()
    code, text = refused(client.take()[0])
    assert code == 406
    assert text.endswith("999...")


@pytest.mark.parametrize(("ttl", "expiration", "due"), [(70, None, 70), (None, 70, 70), (70, 90, 70), (90, 70, 70)])
def test_a_message_expires_when_the_shorter_of_both_times_is_over(
    driver: Driver, client: Client, ttl: int | None, expiration: int | None, due: int
) -> None:
    client.declare("queue", arguments={} if ttl is None else {"x-message-ttl": ttl})
    client.publish("", "queue", b"", None if expiration is None else expiring(expiration))
    driver.at((due - 1) / 1000)
    assert driver.counts("queue") == (1, 0)
    driver.at(due / 1000)
    assert driver.counts("queue") == (0, 0)


def test_a_message_expires_at_the_head_only(driver: Driver, client: Client) -> None:
    client.declare("queue")
    client.publish("", "queue", b"first", expiring(100))
    client.publish("", "queue", b"hidden", expiring(10))
    client.publish("", "queue", b"stays")
    driver.at(0.099)
    assert driver.counts("queue") == (3, 0)
    driver.at(0.1)
    assert driver.counts("queue") == (1, 0)


def test_a_requeued_message_keeps_its_deadline(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments={"x-message-ttl": 100})
    client.publish("", "queue")
    client.fetch("queue", no_ack=False)
    driver.at(0.09)
    assert driver.counts("queue") == (0, 1)
    client.send(BasicNack(1, False, True))
    driver.at(0.099)
    assert driver.counts("queue") == (1, 0)
    driver.at(0.1)
    assert driver.counts("queue") == (0, 0)


def test_with_a_ttl_of_zero_only_what_has_a_consumer_with_room_is_delivered(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments={"x-message-ttl": 0})
    client.declare("late", arguments={"x-message-ttl": 0})
    client.call(BasicQos(0, 2, False))
    client.call(BasicConsume("queue", "tag"))
    for number in range(5):
        client.publish("", "queue", b"%d" % number)
        client.publish("", "late", b"%d" % number)
    driver.tick()
    assert client.bodies() == [b"0", b"1"]
    assert driver.counts("queue") == (0, 2)
    assert client.fetch("late") is None


def test_a_deleted_queue_leaves_no_timer(driver: Driver, client: Client) -> None:
    waiting = driver.broker.timers.waiting
    client.declare("queue", arguments={"x-message-ttl": 60_000, "x-expires": 60_000})
    client.publish("", "queue")
    client.publish("", "queue")
    client.fetch("queue", no_ack=False)
    driver.tick()
    assert driver.broker.timers.waiting == waiting + 2
    client.call(QueueDelete("queue"))
    client.send(BasicNack(1, False, True))
    driver.tick()
    assert driver.broker.timers.waiting == waiting


def test_many_that_expire_at_once_do_not_hold_up_others(driver: Driver, client: Client) -> None:
    client.declare("letters")
    arguments = {"x-message-ttl": 10, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "letters"}
    client.declare("queue", arguments=arguments)
    for number in range(3000):
        client.publish("", "queue", b"%d" % number)
    driver.tick()
    driver.now = 0.01
    driver.broker.timers.run(driver.now)
    driver.single_tick()
    ready, _ = driver.counts("queue")
    assert 0 < ready < 3000
    driver.tick()
    assert driver.counts("queue") == (0, 0)
    assert driver.counts("letters") == (3000, 0)
    assert [client.fetch("letters").body for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]  # type: ignore[union-attr]


def test_a_queue_expires_when_nobody_used_it_for_so_long(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments={"x-expires": 100})
    driver.at(0.09)
    client.fetch("queue")
    driver.at(0.18)
    client.call(BasicConsume("queue", "tag"))
    driver.at(5.0)
    client.declare("queue", arguments={"x-expires": 100})
    connection = driver.log_in()
    client.lose()
    driver.at(5.09)
    connection.declare("queue", passive=True)
    driver.at(5.18)
    assert driver.queue_names() == {"queue"}
    driver.at(5.19)
    assert driver.queue_names() == set()


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from((-1, 0, 1, 5, 20, 50))),
        st.tuples(st.just("wait"), st.sampled_from((0, 1, 3, 5, 21))),
        st.tuples(st.just("get"), st.just(0)),
        st.tuples(st.just("requeue"), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.sampled_from((None, 0, 4, 20)), STEPS)
def test_expiry_is_that_of_a_list_that_is_looked_at_from_its_head(ttl: int | None, steps: list[Step]) -> None:
    driver = Driver()
    client = driver.log_in()
    client.declare("queue", arguments={} if ttl is None else {"x-message-ttl": ttl})
    now = number = 0
    ready: list[tuple[int, float]] = []  # number and deadline
    held: tuple[int, float] | None = None
    tag = 0
    for what, value in steps:
        if what == "publish":
            client.publish("", "queue", b"%d" % number, None if value < 0 else expiring(value))
            waits = [wait for wait in (ttl, None if value < 0 else value) if wait is not None]
            ready.append((number, now + min(waits, default=float("inf"))))
            number += 1
        elif what == "wait":
            now += value
            driver.at(now / 1000)
        elif what == "get":
            while ready and ready[0][1] <= now:
                ready.pop(0)
            received = client.fetch("queue", no_ack=False)
            assert (received is None) == (not ready)
            if received is not None:
                tag += 1
                if held is not None:
                    client.send(BasicNack(tag - 1, False, False))
                held = ready.pop(0)
                assert received.body == b"%d" % held[0]
        elif held is not None:
            client.send(BasicNack(tag, False, True))
            ready = sorted([*ready, held])
            held = None
        driver.tick()
        while ready and ready[0][1] <= now:
            ready.pop(0)
        assert driver.counts("queue") == (len(ready), int(held is not None))
