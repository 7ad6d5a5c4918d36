"""Length limits compared with a list: what is dropped, what is refused, and what the publisher is told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leveret.amqp.methods import BasicAck, BasicConsume, BasicNack, BasicQos, ConfirmSelect
from tests.broker.driver import Client, Driver


def test_what_a_consumer_has_room_for_is_not_too_much(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments={"x-max-length": 1})
    client.call(BasicQos(0, 2, False))
    client.call(BasicConsume("queue", "tag"))
    for number in range(5):
        client.publish("", "queue", b"%d" % number)
    driver.tick()
    assert client.bodies() == [b"0", b"1"]
    assert driver.counts("queue") == (1, 2)
    client.send(BasicAck(1))
    driver.tick()
    assert client.bodies() == [b"4"]


def test_a_limit_of_zero_leaves_nothing(driver: Driver, client: Client) -> None:
    for limit in ("x-max-length", "x-max-length-bytes"):
        client.declare(limit, arguments={limit: 0})
        client.publish("", limit, b"gone")
        driver.tick()
        assert driver.counts(limit) == (0, 0)


def test_many_that_are_too_much_at_once_do_not_hold_up_others(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments={"x-max-length": 10})
    for _ in range(3000):
        client.publish("", "queue")
    driver.single_tick()
    assert 10 < driver.counts("queue")[0] < 3000
    driver.tick()
    assert driver.counts("queue") == (10, 0)


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 6)),
        st.tuples(st.just("get"), st.just(0)),
        st.tuples(st.sampled_from(("requeue", "ack")), st.just(0)),
    ),
    max_size=40,
)


@pytest.mark.parametrize("overflow", ["drop-head", "reject-publish", "reject-publish-dlx"])
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(count=st.none() | st.integers(0, 4), octets=st.none() | st.integers(0, 12), steps=STEPS)
def test_a_limited_queue_is_a_list_that_is_cut(
    overflow: str, count: int | None, octets: int | None, steps: list[Step]
) -> None:
    driver = Driver()
    client = driver.log_in(1, 2)
    client.call(ConfirmSelect(), 2)
    client.declare("letters")
    limits = {"x-max-length": count, "x-max-length-bytes": octets}
    arguments: dict[str, object] = {name: limit for name, limit in limits.items() if limit is not None}
    arguments |= {"x-overflow": overflow, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "letters"}
    client.declare("queue", arguments=arguments)
    ready: list[tuple[int, int]] = []  # number and size
    held: dict[int, tuple[int, int]] = {}
    number = published = letters = tag = 0

    def too_much(messages: list[tuple[int, int]]) -> bool:
        total = sum(size for _, size in messages)
        return (count is not None and len(messages) > count) or (octets is not None and total > octets)

    for what, value in steps:
        refused = False
        if what == "publish":
            client.publish("", "queue", bytes([number % 256]) * value, channel=2)
            published += 1
            refused = overflow != "drop-head" and too_much([*ready, (number, value)])
            if not refused:
                ready.append((number, value))
            elif overflow == "reject-publish-dlx":
                letters += 1
            number += 1
        elif what == "get":
            received = client.fetch("queue", no_ack=False)
            assert (received is None) == (not ready)
            if received is not None:
                tag += 1
                held[tag] = ready.pop(0)
                assert received.body == bytes([held[tag][0] % 256]) * held[tag][1]
        elif held:
            chosen = min(held)
            client.send(BasicNack(chosen, False, True) if what == "requeue" else BasicAck(chosen))
            message = held.pop(chosen)
            if what == "requeue":
                ready = sorted([*ready, message])
        driver.tick()
        if what == "publish":
            expected = BasicNack(published, False, False) if refused else BasicAck(published, False)
            assert [received.method for received in client.take()] == [expected]
        while overflow == "drop-head" and too_much(ready):
            ready.pop(0)
            letters += 1
        assert driver.counts("queue") == (len(ready), len(held))
        assert driver.counts("letters")[0] == letters
