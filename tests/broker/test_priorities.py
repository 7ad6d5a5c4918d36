"""Priority queues compared with a sorted list: the highest first, within a priority in order, whatever is requeued."""

from __future__ import annotations

from bisect import insort

from hypothesis import given, settings
from hypothesis import strategies as st

from leveret.amqp.methods import BasicAck, BasicConsume, BasicNack, BasicQos, QueuePurge, QueuePurgeOk
from leveret.amqp.properties import BasicProperties
from tests.broker.driver import Client, Driver


def prior(priority: int | None) -> BasicProperties:
    return BasicProperties(priority=priority)


def test_all_levels_come_in_order(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments={"x-max-priority": 255})
    for priority in range(256):
        client.publish("", "queue", b"%d" % (priority * 7 % 256), prior(priority * 7 % 256))
    client.send(BasicConsume("queue", "tag", no_ack=True))
    driver.tick()
    assert [received.body for received in client.take()[1:]] == [b"%d" % priority for priority in range(255, -1, -1)]


def test_a_message_of_a_higher_priority_is_next_for_a_consumer_that_got_room(driver: Driver, client: Client) -> None:
    client.declare("queue", arguments={"x-max-priority": 9})
    client.call(BasicQos(0, 1, False))
    for body in (b"low 1", b"low 2"):
        client.publish("", "queue", body, prior(1))
    client.send(BasicConsume("queue", "tag"))
    driver.tick()
    client.publish("", "queue", b"high", prior(9))
    driver.tick()
    assert client.take()[-1].body == b"low 1"
    client.send(BasicAck(1))
    driver.tick()
    assert client.bodies() == [b"high"]


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from((-1, 0, 1, 2, 5, 5, 6, 255))),
        st.tuples(st.just("get"), st.just(0)),
        st.tuples(st.sampled_from(("ack", "requeue", "reject")), st.integers(0, 5)),
        st.tuples(st.sampled_from(("requeue all", "purge")), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.sampled_from((0, 1, 5, 255)), st.booleans(), STEPS)
def test_a_priority_queue_is_a_sorted_list(highest: int, quorum: bool, steps: list[Step]) -> None:
    driver = Driver()
    client = driver.log_in()
    arguments: dict[str, object] = (
        {"x-queue-type": "quorum", "x-delivery-limit": -1} if quorum else {"x-max-priority": highest}
    )
    client.declare("queue", arguments=arguments)
    highest, default = (31, 4) if quorum else (highest, 0)
    ready: list[tuple[int, int]] = []  # the negative priority, and a number
    out: dict[int, tuple[int, int]] = {}
    number = tag = 0
    for what, value in steps:
        if what == "publish":
            client.publish("", "queue", b"%d" % number, prior(None if value < 0 else value))
            insort(ready, (-min(default if value < 0 else value, highest), number))
            number += 1
        elif what == "get":
            received = client.fetch("queue", no_ack=False)
            assert (received is None) == (not ready)
            if received is not None:
                tag += 1
                out[tag] = ready.pop(0)
                assert received.body == b"%d" % out[tag][1]
        elif what == "purge":
            assert client.call(QueuePurge("queue")).method == QueuePurgeOk(len(ready))
            ready.clear()
        elif what == "requeue all" and out:
            client.send(BasicNack(0, True, True))
            ready = sorted([*ready, *out.values()])
            out.clear()
        elif out and what != "requeue all":
            chosen = sorted(out)[value % len(out)]
            client.send(BasicAck(chosen) if what == "ack" else BasicNack(chosen, False, what == "requeue"))
            returned = out.pop(chosen)
            if what == "requeue":
                insort(ready, returned)
        driver.tick()
        assert driver.counts("queue") == (len(ready), len(out))
    client.send(BasicConsume("queue", "tag", no_ack=True))
    driver.tick()
    assert [received.body for received in client.take()[1:]] == [b"%d" % each for _, each in ready]
