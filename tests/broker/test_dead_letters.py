"""Dead letters: what x-death says, what clients may have put there, and how much of the broker's time they can take."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leveret.amqp.field_table import FieldValue, Table, table_from_python, to_python
from leveret.amqp.methods import BasicNack, ExchangeDeclare, QueueBind, QueueDeclare, QueueDelete, QueuePurge
from leveret.amqp.properties import BasicProperties
from tests.broker.driver import Client, Driver, Received

Death = tuple[str, str, int]  # queue, reason, count


def to(queue: str, **others: object) -> dict[str, object]:
    """Arguments of a queue whose dead letters go to another."""
    named = {"x-" + name.replace("_", "-"): value for name, value in others.items()}
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue, **named}


def headers(values: Table) -> BasicProperties:
    return BasicProperties(headers=values)


def deaths_of(received: Received | None) -> list[Death]:
    assert received is not None
    assert received.properties is not None
    assert received.properties.headers is not None
    entries = to_python(received.properties.headers["x-death"])
    assert isinstance(entries, list)
    return [(entry["queue"], entry["reason"], entry["count"]) for entry in entries]


def reject_one(client: Client, queue: str) -> None:
    received = client.fetch(queue, no_ack=False)
    assert received is not None
    client.send(BasicNack(received.method.delivery_tag, False, False))  # type: ignore[attr-defined]
    client.driver.tick()


@pytest.mark.parametrize(
    ("found", "count"),
    [
        (FieldValue("l", 2**63 - 2), 2**63 - 1),
        (FieldValue("l", 2**63 - 1), 2**63 - 1),
        (FieldValue("T", 2**64 - 1), 2**63 - 1),
        (FieldValue("l", -(2**63)), 1),
        (FieldValue("S", "many"), 1),
        (FieldValue("V", None), 1),
        (FieldValue("I", 3), 4),
    ],
)
def test_a_count_is_raised_as_far_as_it_goes(driver: Driver, client: Client, found: FieldValue, count: int) -> None:
    client.declare("letters")
    client.declare("queue", arguments=to("letters"))
    death: Table = {"queue": FieldValue("S", "queue"), "reason": FieldValue("S", "rejected"), "count": found}
    client.publish("", "queue", b"", headers({"x-death": FieldValue("A", [FieldValue("F", death)])}))
    driver.tick()
    reject_one(client, "queue")
    assert deaths_of(client.fetch("letters")) == [("queue", "rejected", count)]


def nested(depth: int) -> FieldValue:
    value = FieldValue("V", None)
    for _ in range(depth):
        value = FieldValue("F", {"inner": value})
    return value


GARBAGE = [
    FieldValue("S", "text"),
    FieldValue("V", None),
    FieldValue("F", {}),
    FieldValue("F", {"queue": FieldValue("I", 5), "reason": FieldValue("x", b"rejected")}),
    FieldValue("F", {"queue": FieldValue("x", b"queue"), "reason": FieldValue("S", "rejected")}),
    FieldValue("A", [FieldValue("A", [])]),
    nested(60),
]


@pytest.mark.parametrize("found", [*GARBAGE, FieldValue("A", GARBAGE), FieldValue("A", [])])
def test_whatever_a_client_puts_into_x_death_the_new_entry_stands_before_it(
    driver: Driver, client: Client, found: FieldValue
) -> None:
    client.declare("letters")
    client.declare("queue", arguments=to("letters"))
    client.publish("", "queue", b"kept", headers({"x-death": found, "other": FieldValue("S", "\udcff")}))
    driver.tick()
    reject_one(client, "queue")
    received = client.fetch("letters")
    assert received is not None
    assert received.body == b"kept"
    assert received.properties is not None
    got = received.properties.headers
    assert got is not None
    assert got["other"] == FieldValue("S", "\udcff")
    entries = got["x-death"].value
    assert isinstance(entries, list)
    assert entries[0].value["reason"] == FieldValue("S", "rejected")
    assert entries[1:] == (found.value if found.kind == "A" else [])


def test_a_header_grows_beyond_frame_max_and_the_body_stays_within_it(driver: Driver) -> None:
    client = driver.log_in(frame_max=4096)
    client.declare("letters")
    client.declare("queue", arguments=to("letters"))
    client.publish("", "queue", b"." * 9000, headers({"filler": FieldValue("S", "." * 3900)}))
    driver.tick()
    reject_one(client, "queue")
    received = client.fetch("letters")
    assert received is not None
    assert received.body == b"." * 9000


def test_a_routing_key_for_dead_letters_may_be_longer_than_a_message_can_have(driver: Driver, client: Client) -> None:
    key = "\u00e9" * 200
    client.call(ExchangeDeclare("all", "fanout"))
    client.declare("letters")
    client.call(QueueBind("letters", "all", ""))
    client.declare("queue", arguments={"x-dead-letter-exchange": "all", "x-dead-letter-routing-key": key})
    client.publish("", "queue", b"kept")
    driver.tick()
    reject_one(client, "queue")
    received = client.fetch("letters")
    assert received is not None
    assert received.body == b"kept"
    assert received.method.routing_key.startswith("\u00e9" * 127)  # type: ignore[attr-defined]


def test_a_hidden_key_leads_on_whenever_the_message_dies(driver: Driver, client: Client) -> None:
    client.call(ExchangeDeclare("second", "direct"))
    client.call(ExchangeDeclare("third", "direct"))
    client.declare("letters")
    client.declare("first", arguments={"x-dead-letter-exchange": "second"})
    client.declare("middle", arguments={"x-dead-letter-exchange": "third"})
    client.call(QueueBind("middle", "second", "hidden"))
    client.call(QueueBind("letters", "third", "hidden"))
    client.publish("", "first", b"", headers(table_from_python({"BCC": ["hidden"]})))
    driver.tick()
    reject_one(client, "first")
    reject_one(client, "middle")
    assert deaths_of(client.fetch("letters")) == [("middle", "rejected", 1), ("first", "rejected", 1)]


def test_a_chain_of_queues_is_gone_through_and_ends_where_it_began(driver: Driver, client: Client) -> None:
    for number in range(100):
        client.declare(f"queue {number}", arguments=to(f"queue {(number + 1) % 100}", message_ttl=0))
    client.declare("watcher")
    client.call(ExchangeDeclare("last", "fanout"))
    client.call(QueueBind("watcher", "last", ""))
    client.call(QueueBind("queue 0", "last", ""))
    client.driver.queue("queue 99").settings.dead_letter_exchange = "last"
    client.publish("", "queue 0")
    driver.at(0.0)
    driver.tick()
    assert all(driver.counts(f"queue {number}") == (0, 0) for number in range(100))
    assert deaths_of(client.fetch("watcher")) == [(f"queue {number}", "expired", 1) for number in range(99, -1, -1)]
    assert client.fetch("watcher") is None


def declare_queues_that_refuse(client: Client) -> None:
    """A letter comes by twelve queues in each order there is: 12! ways."""
    client.call(ExchangeDeclare("again", "fanout"))
    arguments = {"x-max-length": 0, "x-overflow": "reject-publish-dlx", "x-dead-letter-exchange": "again"}
    for number in range(12):
        client.declare(f"queue {number}", arguments=arguments)
        client.call(QueueBind(f"queue {number}", "again", ""))


def test_full_queues_that_refuse_each_others_letters_do_not_stop_the_broker(driver: Driver, client: Client) -> None:
    declare_queues_that_refuse(client)
    other = driver.log_in()
    client.publish("", "queue 0")
    other.send(QueueDeclare("other"))
    driver.single_tick()
    assert [received.method.name for received in other.take()] == ["queue.declare-ok"]


def test_letters_on_their_way_for_long_let_timers_run_in_between(driver: Driver, client: Client) -> None:
    declare_queues_that_refuse(client)
    client.publish("", "queue 0")
    driver.single_tick()
    timers = driver.broker.timers
    timers.run(timers.now)  # the letters go on, and return
    assert timers.next_due() == timers.now


def test_a_routing_key_that_is_too_long_is_cut_between_characters(driver: Driver, client: Client) -> None:
    client.declare("letters")
    client.call(QueueBind("letters", "amq.fanout", ""))
    client.declare(
        "queue",
        arguments={
            "x-dead-letter-exchange": "amq.fanout",
            "x-dead-letter-routing-key": "ä" * 200,
            "x-max-length": 0,
        },
    )
    client.publish("", "queue")
    driver.tick()
    letter = client.fetch("letters")
    assert letter is not None
    assert letter.method.routing_key == "ä" * 127  # type: ignore[attr-defined]


def test_many_rejected_at_once_with_huge_headers_do_not_hold_up_others(driver: Driver, client: Client) -> None:
    client.declare("letters")
    client.declare("queue", arguments=to("letters"))
    garbage = headers({"x-death": FieldValue("A", [FieldValue("V", None)] * 100_000)})
    for _ in range(8):
        client.publish("", "queue", b"", garbage)
    driver.tick()
    for _ in range(8):
        client.fetch("queue", no_ack=False)
    client.send(BasicNack(0, True, False))
    ready, _ = driver.counts("letters")
    assert 0 < ready < 8
    driver.tick()
    assert driver.counts("letters") == (8, 0)


def test_letters_that_wait_keep_their_order(driver: Driver, client: Client) -> None:
    client.declare("letters")
    client.declare("queue", arguments=to("letters"))
    garbage = headers({"x-death": FieldValue("A", [FieldValue("V", None)] * 100_000)})
    for number in range(8):
        client.publish("", "queue", b"%d" % number, garbage)
    driver.tick()
    for _ in range(8):
        client.fetch("queue", no_ack=False)
    client.send(BasicNack(0, True, False))
    driver.tick()
    bodies = [received.body for received in (client.fetch("letters") for _ in range(8)) if received is not None]
    assert bodies == [b"%d" % number for number in range(8)]


Step = tuple[str, str]
STEPS = st.lists(
    st.tuples(st.sampled_from(("reject", "expire", "overflow", "republish")), st.sampled_from(("one", "two"))),
    max_size=12,
)


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(STEPS)
def test_x_death_is_a_list_with_the_newest_first_that_counts_repetitions(steps: list[Step]) -> None:
    """The message is always in `letters`, and sent through a queue that it dies in, with the headers that it has."""
    driver = Driver()
    client = driver.log_in()
    client.declare("letters")
    for name in ("one", "two"):
        client.declare(f"{name} reject", arguments=to("letters"))
        client.declare(f"{name} expire", arguments=to("letters", message_ttl=10))
        client.declare(f"{name} overflow", arguments=to("letters", max_length=0))
    client.publish("", "letters")
    driver.tick()
    model: list[Death] = []
    first: tuple[str, str] | None = None
    for number, (what, name) in enumerate(steps):
        received = client.fetch("letters")
        assert received is not None
        queue = "letters" if what == "republish" else f"{name} {what}"
        client.publish("", queue, b"", received.properties)
        driver.tick()
        if what == "republish":
            continue
        if what == "reject":
            reject_one(client, queue)
        driver.at(number + 1.0)
        reason = {"reject": "rejected", "expire": "expired", "overflow": "maxlen"}[what]
        before = sum(count for death_queue, _, count in model if death_queue == queue)
        model = [(queue, reason, before + 1), *(death for death in model if death[0] != queue)]
        first = first or (queue, reason)
    received = client.fetch("letters")
    if first is None:
        assert received is not None
        return
    assert deaths_of(received) == model
    got = received.properties.headers  # type: ignore[union-attr]
    assert got is not None
    assert (got["x-first-death-queue"].value, got["x-first-death-reason"].value) == first
    assert (got["x-last-death-queue"].value, got["x-last-death-reason"].value) == model[0][:2]


def test_what_a_queue_loses_by_a_purge_or_its_deletion_is_no_dead_letter(driver: Driver, client: Client) -> None:
    client.declare("letters")
    client.declare("queue", arguments=to("letters"))
    client.publish("", "queue")
    client.publish("", "queue")
    client.fetch("queue", no_ack=False)
    client.call(QueuePurge("queue"))
    client.call(QueueDelete("queue"))
    client.send(BasicNack(1, False, False))
    driver.tick()
    assert driver.counts("letters") == (0, 0)
