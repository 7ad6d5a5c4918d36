"""A dead letter leaves one queue and enters the others in one record, so a crash finds it in one place or the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from leveret.amqp.field_table import table_from_python
from leveret.amqp.frame import content_frames
from leveret.amqp.methods import BasicPublish, BasicReject
from leveret.amqp.properties import BasicProperties, encode_content_header
from leveret.broker import basic_methods
from leveret.broker.binding import Binding
from leveret.broker.exchange.types import make_exchange
from leveret.broker.publishing import publish
from leveret.broker.queue import DROPS_AT_ONCE, Queue
from leveret.broker.routing import find_route
from leveret.broker.settlement import REJECTED
from leveret.store.local import COPY_INTERVAL
from leveret.store.record import (
    MEMBER,
    MESSAGE,
    AddressBook,
    has_message_shape,
    message_content,
    pairs_head,
    parse_message,
    target_count,
    target_queue,
)
from tests.store.faults import LOSSES, MemoryFiles, Operation
from tests.store.ledger import find_queues
from tests.store.rig import DEFINITIONS, DIGITS, DIRECTORY, NO_ARGUMENTS, WRITER, Client, Rig, number_of, restarted
from tests.store.test_groups import contents, found_after
from tests.store.test_settling import numbers


def to(queue: str, others: Mapping[str, str | int] = NO_ARGUMENTS) -> dict[str, str | int]:
    """The arguments of a queue that dead-letters to another one."""
    return {"dead-letter-exchange": "", "dead-letter-routing-key": queue, **others}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path).start()


def live(rig: Rig) -> int:
    return sum(int(segment.live) for segment in rig.log.segments.values())


def on_disk(rig: Rig, files: MemoryFiles) -> dict[str, list[int]]:
    """What a start finds in these files, before anything expires."""
    found = find_queues({int(queue.id): name for name, queue in rig.vhost.queues.items()}, files)
    return {name: numbers(messages) for name, messages in found.items()}


def publish_all(rig: Rig, client: Client, queue: str, numbers: range, size: int = 0) -> None:
    for number in numbers:
        rig.publish(client, [rig.queue(queue)], number, size)
    rig.finish()


@pytest.mark.parametrize("size", [0, 100_000])
def test_in_one_place_at_every_operation(rig: Rig, size: int) -> None:
    """Down a chain of queues, from messages on the disk as well as from those that are on their way there."""
    for name, arguments in (("end", {}), ("second", to("end", {"message-ttl": 0})), ("first", to("second"))):
        rig.declare(name, arguments=arguments)
    client = rig.client()
    publish_all(rig, client, "first", range(4), size)
    rig.publish(client, [rig.queue("first")], 4, size)
    seen = 0

    def fault(files: MemoryFiles, operation: Operation) -> None:
        nonlocal seen
        for loss in LOSSES:
            copy = files.copy()
            copy.apply(operation)
            for each in (files, copy):
                found = on_disk(rig, each.after_power_loss(loss))
                everything = sorted(number for numbers in found.values() for number in numbers)
                assert everything[:4] == [0, 1, 2, 3], found
                assert everything[4:] in ([], [4]) if 4 not in client.confirmed() else everything[4:] == [4]
                assert found["second"] == []
                seen += 1

    rig.memory.fault = fault
    for _ in range(5):
        got = rig.get(client, rig.queue("first"))
        assert got is not None
        client.channel.reject(got.tag, False, REJECTED)
    rig.finish()
    rig.pass_time(0.01)
    rig.memory.fault = None
    assert seen > 10
    assert contents(rig) == {"end": [0, 1, 2, 3, 4], "second": [], "first": []}
    rig.stop()


def test_what_only_passes_through_a_queue_is_not_written_for_it(rig: Rig) -> None:
    rig.declare("end")
    rig.declare("second", arguments=to("end", {"message-ttl": 0}))
    rig.declare("first", arguments=to("second"))
    client = rig.client()
    publish_all(rig, client, "first", range(1))
    got = rig.get(client, rig.queue("first"))
    assert got is not None
    client.channel.reject(got.tag, False, REJECTED)
    rig.queue("second").catch_up()
    rig.pass_time_only(0.01)
    rig.queue("second").touch()
    rig.tick()
    rig.turn(WRITER)
    assert rig.queue("end").ready_count() == 1
    assert live(rig) == 1
    assert on_disk(rig, rig.memory.killed()) == {"end": [0], "second": [], "first": []}
    rig.finish()
    assert live(rig) == 1
    rig.stop()


@pytest.mark.parametrize("delayed", [False, True])
def test_the_old_queue_keeps_it_until_the_new_one_is_on_the_disk_too(rig: Rig, delayed: bool) -> None:
    """Messages and definitions are written at the same time, in files of their own."""
    arguments = table_from_python({"x-delayed-type": "fanout"}) if delayed else {}
    exchange = make_exchange("x-delayed-message" if delayed else "fanout", "letters", True, False, False, arguments)
    rig.vhost.add_exchange(exchange)
    old = rig.declare("old", arguments={"dead-letter-exchange": "letters"})
    client = rig.client()
    properties = BasicProperties(headers=table_from_python({"x-delay": 1000}), delivery_mode=2)
    route = find_route(client.connection, BasicPublish("", "old"))
    publish(client.channel, route, content_frames(1, encode_content_header(DIGITS, properties), b"0" * DIGITS, 131072))
    rig.finish()
    got = rig.get(client, old)
    assert got is not None
    new: Queue | None = None
    if not delayed:
        new = rig.declare("new")
        rig.vhost.add_binding(Binding(exchange, new, "", {}))
    basic_methods.handle(client.channel, BasicReject(got.tag, False))
    new = new or exchange.delay_queue
    assert new is not None
    rig.tick()
    rig.turn(WRITER)
    assert numbers(find_queues({int(old.id): "old"}, rig.memory.killed())["old"]) == [0]
    rig.turn(DEFINITIONS)
    rig.finish()
    assert find_queues({int(old.id): "old"}, rig.memory.killed())["old"] == []
    assert (new.ready_count(), live(rig)) == (1, 1)


@pytest.mark.parametrize("together", [False, True])
def test_the_old_queue_keeps_it_although_it_is_new_itself(rig: Rig, together: bool) -> None:
    """The old queue's definition may be on the disk before the new one's, but not if they are committed together."""
    client = rig.client()
    old = rig.declare("old", arguments=to("new"))
    if together:
        rig.declare("new")
    rig.publish(client, [old], 0)
    rig.tick()
    rig.turn(WRITER)
    if not together:
        rig.declare("new")
    got = rig.get(client, old)
    assert got is not None
    client.channel.reject(got.tag, False, REJECTED)
    rig.tick()
    rig.turn(WRITER)
    kept = [] if together else [0]
    assert numbers(find_queues({int(old.id): "old"}, rig.memory.killed())["old"]) == kept
    rig.turn(DEFINITIONS)
    assert client.confirmed() == [0]
    assert numbers(find_queues({int(old.id): "old"}, rig.memory.killed())["old"]) == kept
    rig.finish()
    assert contents(rig) == {"old": [], "new": [0]}
    assert find_queues({int(old.id): "old"}, rig.memory.killed())["old"] == []
    assert live(rig) == 1
    rig = restarted(rig)
    rig.finish()
    assert (rig.queue("old").ready_count(), live(rig)) == (0, 1)
    rig.stop()


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("sync", ["always", "interval=100", "never"])
def test_a_move_that_is_not_synced_does_not_lose_what_was(tmp_path: Path, sync: str, new: bool, others: int) -> None:
    """Neither its old segment's end, nor that it was settled there, is on the disk before the record of the move is."""
    rig = Rig(tmp_path, sync=sync).start()
    rig.declare("old", arguments=to("new"))
    rig.declare("other")
    if not new:
        rig.declare("new")
    publish_all(rig, rig.client(), "old", range(1 + others))
    rig = restarted(rig)  # a start has the segment synced, and begins another
    client = rig.client()
    publish_all(rig, client, "other", range(1))  # in the mode with an interval this is synced, and what follows is not
    if new:
        rig.declare("new")
    got = rig.get(client, rig.queue("old"))
    assert got is not None
    client.channel.reject(got.tag, False, REJECTED)

    def check(*possible: tuple[list[int], list[int]]) -> None:
        for loss in LOSSES:
            found = on_disk(rig, rig.memory.after_power_loss(loss))
            assert (found["old"], found.get("new", [])) in possible

    stays = list(range(1, 1 + others))
    nothing: list[int] = []
    moved, unmoved, both = (stays, [0]), ([0, *stays], nothing), ([0, *stays], [0])
    rig.tick()
    while thread := rig.works():
        rig.rest()
        check(moved, unmoved, both)
        rig.turn(thread)
        rig.tick()
    check(moved, unmoved, both)
    rig.pass_time(COPY_INTERVAL)
    check(moved)
    assert (f"{DIRECTORY}/00000001.log" in rig.memory.inodes) == bool(others)
    rig.stop()


def test_a_transaction_and_the_dead_letters_that_follow_are_one_record(rig: Rig) -> None:
    """A commit that overflows a queue: what it publishes is there with what it pushes out, or neither is."""
    rig.declare("letters")
    rig.declare("short", arguments=to("letters", {"max-length": 2}))
    publish_all(rig, rig.client(), "short", range(2))
    client = rig.transactional()
    before = {"letters": [], "short": [0, 1]}
    after = {"letters": [0, 1, 2], "short": [3, 4]}

    def fault(files: MemoryFiles, operation: Operation) -> None:
        committed = client.connection.holds == 0
        for loss in LOSSES:
            copy = files.copy()
            copy.apply(operation)
            for each in (files, copy):
                found = found_after(rig, each.after_power_loss(loss))
                assert found == after or (found == before and not committed)

    for number in (2, 3, 4):
        rig.publish(client, [rig.queue("short")], number)
    rig.commit(client)
    assert client.connection.holds == 1
    rig.memory.fault = fault
    rig.finish()
    rig.memory.fault = None
    assert client.connection.holds == 0
    assert contents(rig) == after
    rig.stop()


def test_a_message_that_dead_letters_overtook_comes_after_them(rig: Rig) -> None:
    """It is handed to the store first; then one of its queues makes room, by sending others to the next of them."""
    letters = rig.declare("letters")
    short = rig.declare(
        "short", arguments=to("letters", {"max-length": 2, "overflow": "reject-publish", "message-ttl": 1000})
    )
    client = rig.client()
    for number in (0, 10, 20):
        rig.publish(client, [short], number)
        rig.publish(client, [short], number + 1)
        rig.finish()
        rig.pass_time_only(1.1)
        rig.publish(client, [short, letters], number + 2)
    rig.finish()
    order = [number_of(message.content) for message in letters.backing.ready]
    assert order[:4] == [0, 1, 2, 2]
    rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("letters"))) == order
    rig.end()


def test_letters_and_priorities_are_copied_forward(tmp_path: Path) -> None:
    rig = Rig(tmp_path, segment_size=20_000).start()
    rig.declare("letters", arguments={"max-priority": 3})
    rig.declare("source", arguments=to("letters"))
    client = rig.client()
    for number in range(200):
        rig.publish(client, [rig.queue("source")], number, 500, priority=number % 4)
    rig.finish()
    for number in range(200):
        got = rig.get(client, rig.queue("source"))
        assert got is not None
        client.channel.reject(got.tag, False, REJECTED)
        if number % 10 == 0:
            rig.finish()  # what goes together is one record, and as such in one segment
    rig.finish()
    kept: list[int] = []
    for _ in range(200):
        got = rig.get(client, rig.queue("letters"))
        assert got is not None
        if got.number % 10:
            client.channel.ack(got.tag, False)
        else:
            kept.append(got.number)
    assert kept == sorted(range(0, 200, 10), key=lambda number: (-(number % 4), number))
    rig.finish()
    segments = len(rig.log.segments)
    rig.compact()
    assert len(rig.log.segments) < segments
    assert live(rig) == 20
    for _ in range(2):
        rig = restarted(rig)
        assert rig.take_all(rig.queue("letters")) == [(number, True) for number in kept]
        rig.compact()
    rig.stop()


def test_a_transient_queue_that_paged_out_dead_letters_what_is_persistent(rig: Rig) -> None:
    rig.declare("letters")
    source = rig.declare("source", durable=False, arguments=to("letters", {"message-ttl": 100}))
    rig.store.residency.resident = 1 << 40  # others have all the memory
    rig.tick()
    client = rig.client()
    for number in range(40):
        rig.publish(client, [source], number, 10_000, persistent=number % 2 == 0)
    rig.finish()
    rig.store.residency.resident -= 1 << 40
    rig.pass_time(1)
    assert source.ready_count() == 0
    assert rig.queue("letters").ready_count() == 40
    rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("letters"))) == list(range(0, 40, 2))
    rig.stop()


def test_a_quorum_queue_keeps_transient_messages(rig: Rig) -> None:
    rig.declare("letters", arguments={"queue-type": "quorum"})
    rig.declare("source", arguments=to("letters", {"queue-type": "quorum"}))
    client = rig.client()
    for number in range(3):
        rig.publish(client, [rig.queue("source")], number, persistent=False)
    rig.tick()
    assert client.confirmed() == []
    rig.finish()
    assert client.confirmed() == [0, 1, 2]
    rig = restarted(rig)
    client = rig.client()
    got = rig.get(client, rig.queue("source"))
    assert got is not None
    client.channel.reject(got.tag, False, REJECTED)
    rig.finish()
    rig = restarted(rig)
    assert contents(rig) == {"letters": [0], "source": [1, 2]}
    rig.stop()


# deadlines


def test_deadlines_count_the_time_between_two_lives(rig: Rig) -> None:
    """Also in a queue that has no TTL and holds messages with an expiration, which nobody read since the start."""
    rig.declare("letters")
    rig.declare("ttl", arguments=to("letters", {"message-ttl": 10_000}))
    rig.declare("plain", arguments=to("letters"))
    client = rig.client()
    rig.publish(client, [rig.queue("ttl")], 1)
    rig.publish(client, [rig.queue("plain")], 2, expiration=11_000)
    rig.publish(client, [rig.queue("plain")], 3, expiration=13_000)
    rig.publish(client, [rig.queue("plain")], 4)
    rig.finish()
    rig = restarted(rig, later=9.0)
    rig.finish()
    assert rig.queue("letters").ready_count() == 0
    for after, letters in ((0.9, 0), (0.2, 1), (1.0, 2), (1.5, 2)):
        rig.pass_time(after)
        assert rig.queue("letters").ready_count() == letters
    rig = restarted(rig, later=1.0)
    rig.finish()
    assert contents(rig) == {"letters": [1, 2, 3], "ttl": [], "plain": [4]}
    rig.stop()


def test_deadlines_of_messages_in_closed_segments(tmp_path: Path) -> None:
    """A start reads no body there: the index says that there is an expiration."""
    rig = Rig(tmp_path, segment_size=2000).start()
    rig.declare("plain")
    client = rig.client()
    for number in range(20):
        rig.publish(client, [rig.queue("plain")], number, 500, expiration=1000 if number < 10 else None)
    rig.finish()
    assert len(rig.log.segments) > 5
    rig = restarted(restarted(rig), later=1.1)
    rig.finish()
    assert rig.queue("plain").ready_count() == 10
    rig.stop()


def test_unused_queues_have_all_their_time_anew(rig: Rig) -> None:
    rig.declare("unused", arguments={"expires": 1000})
    rig.finish()
    rig = restarted(rig, later=5.0)
    rig.pass_time(0.9)
    assert "unused" in rig.vhost.queues
    rig.pass_time(0.2)
    assert "unused" not in rig.vhost.queues
    rig = restarted(rig)
    assert not rig.vhost.queues
    rig.stop()


def test_many_messages_that_expire_go_in_turns(rig: Rig) -> None:
    source = rig.declare("source", arguments={"message-ttl": 1000})
    client = rig.client()
    publish_all(rig, client, "source", range(3 * DROPS_AT_ONCE))
    rig.pass_time_only(1.1)
    for turns in (1, 2, 3):
        rig.tick()
        assert source.ready_count() == (3 - turns) * DROPS_AT_ONCE
        rig.pass_time_only(0)
    rig.finish()
    assert live(rig) == 0
    rig.stop()


def test_an_expiring_queue_reads_no_more_than_its_head_at_the_start(rig: Rig) -> None:
    """There may be thousands of them."""
    rig.declare("source", arguments={"message-ttl": 1000})
    publish_all(rig, rig.client(), "source", range(100), 1000)
    rig = restarted(rig)
    rig.finish()
    assert 0 < rig.store.residency.resident < 2000
    rig.publish(rig.client(), [rig.queue("source")], 100, 1000)
    rig.finish()
    assert rig.store.residency.resident < 2000
    rig.pass_time(1.1)
    assert rig.queue("source").ready_count() == 0
    assert rig.store.residency.resident == 0
    rig.stop()


# records


def test_a_record_of_a_message_in_more_queues_than_two_octets_count(rig: Rig) -> None:
    client = rig.client()
    rig.publish(client, [rig.declare("queue")], 7)
    message = rig.queue("queue").backing.ready[0]
    pairs = [(queue, 3 * queue) for queue in range(1, 70_001)]
    record = pairs_head(message, MESSAGE, MEMBER, pairs, set()) + message.content
    assert record[1] & 15 == MEMBER
    assert target_count(record, 0) == 70_000
    assert target_queue(record, 0, 69_999) == 70_000
    assert has_message_shape(record, 0, len(record))
    assert message_content(record, 0) == len(record) - len(message.content)
    assert parse_message(record, 0, len(record), AddressBook()).content == message.content
    rig.end()
