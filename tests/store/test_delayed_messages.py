"""Delayed messages on the disk: they are there after a crash, due when they were, and in one place at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leveret.amqp.field_table import table_from_python
from leveret.amqp.frame import content_frames
from leveret.amqp.methods import BasicPublish
from leveret.amqp.properties import BasicProperties, encode_content_header
from leveret.broker.binding import Binding
from leveret.broker.delay_queue import DelayQueue
from leveret.broker.exchange.base import Exchange
from leveret.broker.exchange.types import make_exchange
from leveret.broker.policy import make_policy
from leveret.broker.publishing import publish
from leveret.broker.routing import find_route
from leveret.store.reader import LogReader
from leveret.store.recovery import RecoveredDelays, Recovery
from leveret.store.segment_files import SegmentFiles
from tests.store.faults import LOSSES, MemoryFiles, Operation
from tests.store.rig import DIGITS, DIRECTORY, EXAMPLES, WRITER, Client, Rig, number_of, restarted


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path).start()
    declare(rig)
    return rig


def declare(rig: Rig, durable: bool = True) -> None:
    """An exchange that delays, and a queue bound to it."""
    arguments = table_from_python({"x-delayed-type": "fanout"})
    exchange = make_exchange("x-delayed-message", "delayed", durable, False, False, arguments)
    rig.vhost.add_exchange(exchange)
    rig.vhost.add_binding(Binding(exchange, rig.declare("queue"), "", {}))


def exchange(rig: Rig) -> Exchange:
    return rig.vhost.exchanges["delayed"]


def delay_queue(rig: Rig) -> DelayQueue:
    queue = exchange(rig).delay_queue
    assert queue is not None
    return queue


def waiting(rig: Rig) -> int:
    queue = exchange(rig).delay_queue
    return 0 if queue is None else queue.ready_count()


def delay(
    rig: Rig, client: Client, number: int, milliseconds: int, persistent: bool = True, size: int = DIGITS
) -> None:
    """Publish a message that is to wait."""
    properties = BasicProperties(
        headers=table_from_python({"x-delay": milliseconds}), delivery_mode=2 if persistent else 1
    )
    body = b"%0*d" % (DIGITS, number) + bytes(size - DIGITS)
    client.sent.append(number)
    route = find_route(client.connection, BasicPublish("delayed", ""))
    publish(client.channel, route, content_frames(1, encode_content_header(size, properties), body, 131072))


def arrived(rig: Rig) -> list[int]:
    """What has come to the queue, taken out of it for good."""
    client = rig.client()
    found: list[int] = []
    while (got := rig.get(client, rig.queue("queue"), no_ack=True)) is not None:
        found.append(got.number)
    return found


def live(rig: Rig) -> int:
    return sum(int(segment.live) for segment in rig.log.segments.values())


def on_disk(rig: Rig, files: MemoryFiles) -> tuple[list[int], list[int]]:
    """The numbers of the messages that a start finds in the delay queue and in the queue, in these files."""
    delays, queue = int(delay_queue(rig).id), int(rig.queue("queue").id)
    segment_files = SegmentFiles(files.copy(), DIRECTORY)
    recovery = Recovery(segment_files, {delays, queue}, True, {delays})
    recovery.run()
    reader = LogReader(segment_files)
    places: dict[int, list[int]] = {delays: [], queue: []}
    for (queue_id, _), found in recovery.queues.items():
        if isinstance(found, RecoveredDelays):
            entries = found.entries.getvalue()
            places[queue_id] += [int.from_bytes(entries[at + 8 : at + 16], "big") for at in range(0, len(entries), 16)]
        while found.backlog.placed:
            page = found.backlog.take_places()
            places[queue_id] += [int.from_bytes(page[at : at + 8], "big") for at in range(0, len(page), 8)]
    numbers: dict[int, list[int]] = {}
    for queue_id, found_places in places.items():
        messages = [reader.message(place) for place in found_places]
        numbers[queue_id] = sorted([number_of(message.content) for message in messages if message is not None])
    reader.forget()
    return numbers[delays], numbers[queue]


@pytest.mark.parametrize(("down", "left"), [(0.0, 10.0), (4.0, 6.0), (60.0, 0.0)])
def test_a_message_is_due_when_it_was_after_a_crash(rig: Rig, down: float, left: float) -> None:
    client = rig.client()
    delay(rig, client, 1, 10_000)
    rig.finish()
    rig = restarted(rig, down)
    rig.finish()
    if left:
        assert (waiting(rig), arrived(rig)) == (1, [])
        rig.pass_time(left - 0.5)
        assert (waiting(rig), arrived(rig)) == (1, [])
        rig.pass_time(0.501)
    assert (waiting(rig), arrived(rig)) == (0, [1])
    rig.finish()
    assert live(rig) == 0
    rig.stop()


def test_it_is_confirmed_when_it_is_on_the_disk(rig: Rig) -> None:
    client = rig.client()
    delay(rig, client, 1, 10_000)
    assert on_disk(rig, rig.memory.after_power_loss(LOSSES[0])) == ([], [])
    rig.tick()
    assert client.confirmed() == []
    rig.finish()
    assert client.confirmed() == [1]
    assert on_disk(rig, rig.memory.after_power_loss(LOSSES[0])) == ([1], [])
    rig.stop()


@pytest.mark.parametrize("limit", [0, 1 << 20])
@pytest.mark.parametrize("size", [DIGITS, 100_000])
def test_it_is_in_one_place_at_every_operation(rig: Rig, size: int, limit: int) -> None:
    rig.store.residency.queue_limit = limit
    client = rig.client()
    for number in range(4):
        delay(rig, client, number, 10_000, size=size)
    rig.finish()
    delay(rig, client, 4, 1, size=size)
    seen = 0

    def fault(files: MemoryFiles, operation: Operation) -> None:
        nonlocal seen
        for loss in LOSSES:
            copy = files.copy()
            copy.apply(operation)
            for each in (files, copy):
                delayed, came = on_disk(rig, each.after_power_loss(loss))
                everything = sorted(delayed + came)
                assert everything[:4] == [0, 1, 2, 3], everything
                assert everything[4:] in ([], [4]) if 4 not in client.confirmed() else everything[4:] == [4]
                seen += 1

    rig.memory.fault = fault
    rig.finish()
    rig.pass_time(0.01)
    rig.pass_time(10)
    rig.memory.fault = None
    assert seen > 10
    assert on_disk(rig, rig.memory.killed()) == ([], [0, 1, 2, 3, 4])
    rig.stop()


def test_a_move_is_one_record_and_leaves_nothing_behind(rig: Rig) -> None:
    client = rig.client()
    for number in range(10):
        delay(rig, client, number, 10)
    rig.finish()
    assert (waiting(rig), live(rig)) == (10, 10)
    rig.pass_time_only(0.011)
    rig.tick()
    assert waiting(rig) == 0
    assert on_disk(rig, rig.memory.killed()) == (list(range(10)), [])
    rig.turn(WRITER)
    assert on_disk(rig, rig.memory.killed()) == ([], list(range(10)))
    rig.finish()
    assert live(rig) == 10
    assert arrived(rig) == list(range(10))
    rig.finish()
    assert live(rig) == 0
    rig.stop()


@pytest.mark.parametrize("persistent", [True, False])
def test_what_does_not_fit_in_memory_waits_on_the_disk(rig: Rig, persistent: bool) -> None:
    rig.store.residency.queue_limit = 10_000
    client = rig.client()
    for number in range(3000):
        delay(rig, client, number, 10_000 + 500 * (number % 7), persistent, 100)
    rig.finish()
    rig.store.residency.queue_limit = 10_000
    assert rig.store.residency.resident < 11_000
    assert waiting(rig) == 3000
    assert delay_queue(rig).ready_octets() == 300_000
    reads: list[int] = []
    read = rig.memory.read

    def count_and_read(descriptor: int, size: int, offset: int) -> bytes:
        reads.append(offset)
        return read(descriptor, size, offset)

    rig.memory.read = count_and_read  # type: ignore[method-assign]
    rig.pass_time(9.999)
    assert (arrived(rig), reads) == ([], [])
    rig.pass_time(10)
    assert arrived(rig) == sorted(range(3000), key=lambda number: number % 7)
    assert len(reads) < 30
    rig.finish()
    assert (waiting(rig), delay_queue(rig).ready_octets(), rig.store.residency.resident, live(rig)) == (0, 0, 0, 0)
    rig.stop()


def test_transient_messages_and_exchanges_are_gone_after_a_crash(rig: Rig, tmp_path: Path) -> None:
    rig.store.residency.queue_limit = 0
    client = rig.client()
    delay(rig, client, 1, 10_000, persistent=False)
    delay(rig, client, 2, 10_000)
    rig.finish()
    rig = restarted(rig)
    rig.pass_time(10.001)
    assert arrived(rig) == [2]
    rig.stop()
    (tmp_path / "transient").mkdir()
    rig = Rig(tmp_path / "transient").start()
    declare(rig, durable=False)
    delay(rig, rig.client(), 3, 10)
    rig.finish()
    assert waiting(rig) == 1
    rig.pass_time(0.011)
    assert rig.queue("queue").ready_count() == 1
    rig = restarted(rig)
    assert "delayed" not in rig.vhost.exchanges
    assert arrived(rig) == [3]  # it was persistent, and had come to a durable queue
    rig.stop()


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_what_waits_goes_with_the_exchange(rig: Rig, limit: int) -> None:
    rig.store.residency.queue_limit = limit
    client = rig.client()
    for number in range(20):
        delay(rig, client, number, 10_000)
    rig.finish()
    delay(rig, client, 20, 10_000)
    rig.vhost.delete_exchange(exchange(rig))
    rig.finish()
    assert (live(rig), rig.store.residency.resident) == (0, 0)
    rig = restarted(rig)
    assert rig.recovery is not None
    assert rig.recovery.messages == 0
    assert [queue.name for queue in rig.store.loaded.queues] == ["queue"]
    rig.stop()


@pytest.mark.parametrize("durable", [True, False])
def test_what_waits_goes_with_the_virtual_host(rig: Rig, durable: bool) -> None:
    rig.vhost.delete_exchange(exchange(rig))
    declare(rig, durable)
    for number in range(20):
        delay(rig, rig.client(), number, 10)
    rig.finish()
    assert waiting(rig) == 20
    rig.broker.add_vhost("other")
    rig.broker.delete_vhost("/")
    rig.finish()
    assert (live(rig), rig.store.residency.resident) == (0, 0)
    rig.pass_time_only(1)
    rig.tick()
    rig = restarted(rig)
    assert rig.recovery is not None
    assert rig.recovery.messages == 0
    assert not rig.store.loaded.queues
    rig.stop()


def test_an_exchange_that_is_gone_while_its_messages_are_read(rig: Rig) -> None:
    rig.store.residency.queue_limit = 0
    for number in range(20):
        delay(rig, rig.client(), number, 10)
    rig.finish()
    rig.pass_time_only(0.011)
    rig.tick()
    assert delay_queue(rig).delayed.is_reading()
    rig.vhost.delete_exchange(exchange(rig))
    rig.finish()
    assert (live(rig), rig.store.residency.resident, rig.queue("queue").ready_count()) == (0, 0, 0)
    rig.stop()


def test_what_waits_long_is_copied_forward_and_not_lost(tmp_path: Path) -> None:
    rig = Rig(tmp_path, segment_size=10_000).start()
    declare(rig)
    rig.store.residency.queue_limit = 0
    client = rig.client()
    other = rig.declare("other")
    for number in range(1000):
        if number % 100 == 0:
            delay(rig, client, number, 3_600_000 + number)
        rig.publish(client, [other], 5000 + number, 100)
    rig.finish()
    segments = len(rig.log.segments)
    other.purge()
    rig.finish()
    rig.compact()
    assert len(rig.log.segments) < segments / 2
    assert on_disk(rig, rig.memory.killed())[0] == list(range(0, 1000, 100))
    rig = restarted(rig)
    rig.finish()
    rig.compact()
    rig = restarted(rig)
    rig.pass_time(3_500)
    assert arrived(rig) == []
    rig.pass_time(100)
    assert arrived(rig) == list(range(0, 1000, 100))
    rig.finish()
    assert live(rig) == 0
    rig.stop()


def test_a_start_without_indexes_finds_the_same(tmp_path: Path) -> None:
    rig = Rig(tmp_path, segment_size=10_000).start()
    declare(rig)
    client = rig.client()
    for number in range(200):
        delay(rig, client, number, 10_000 - number, size=100)
    rig.finish()
    files = rig.kill()
    for name in files.names(DIRECTORY):
        if name.endswith(".index"):
            files.remove(f"{DIRECTORY}/{name}")
    rig = Rig(tmp_path, files, "always", 10_000, rig.time_of_day).start()
    assert delay_queue(rig).ready_octets() == 20_000
    rig.pass_time(10.001)
    assert arrived(rig) == list(reversed(range(200)))
    rig.stop()


def test_a_damaged_message_is_passed_over(rig: Rig) -> None:
    rig.store.residency.queue_limit = 0
    client = rig.client()
    for number in range(10):
        delay(rig, client, number, 10_000 if number else 5_000, size=1000)
    rig.finish()
    path = f"{DIRECTORY}/{next(name for name in rig.memory.names(DIRECTORY) if name.endswith('.log'))}"
    data = rig.memory.read_whole(path)
    at = data.index(b"%0*d" % (DIGITS, 4))
    inode = rig.memory._inode(path)
    inode.data[at] ^= 1
    rig.pass_time(10.001)
    assert arrived(rig) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    rig.finish()
    assert (waiting(rig), delay_queue(rig).ready_octets(), live(rig)) == (0, 0, 0)
    rig.stop()


def test_a_policy_delays_after_a_restart_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    plain = make_exchange("fanout", "delayed", True, False, False, {})
    rig.vhost.add_exchange(plain)
    rig.vhost.add_binding(Binding(plain, rig.declare("queue"), "", {}))
    rig.vhost.policies.set(make_policy("p", "delayed", "exchanges", {"delayed-message": True}, 0, False), False)
    for _ in rig.vhost.reapply_policies():
        pass
    delay(rig, rig.client(), 1, 10_000)
    rig.finish()
    rig = restarted(rig)
    assert exchange(rig).delays
    delay(rig, rig.client(), 2, 10_000)
    rig.finish()
    rig.vhost.policies.clear("p", False)
    for _ in rig.vhost.reapply_policies():
        pass
    rig.finish()
    rig = restarted(rig)
    delay(rig, rig.client(), 3, 10_000)
    rig.finish()
    assert arrived(rig) == [3]
    rig.pass_time(10.001)
    assert arrived(rig) == [1, 2]
    rig.stop()


steps = st.one_of(
    st.tuples(st.just("delay"), st.integers(0, 5_000), st.booleans()),
    st.tuples(st.just("pass"), st.integers(0, 2_000)),
    st.tuples(st.just("rest")),
    st.tuples(st.just("restart"), st.integers(0, 3_000)),
    st.tuples(st.just("compact")),
    st.tuples(st.just("window"), st.sampled_from([0, 500, 1 << 20])),
)


@settings(max_examples=EXAMPLES or 25, deadline=None)
@given(st.lists(steps, max_size=40))
def test_random_lives(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, ...]]) -> None:
    """What was published is delivered once, not before it is due and in the order of the due times.

    What is just being written comes when it is written, so others may overtake it.
    """
    rig = Rig(tmp_path_factory.mktemp("delays"), segment_size=3000).start()
    declare(rig)
    client = rig.client()
    due: dict[int, int] = {}  # milliseconds, of which the broker counts whole ones
    transient: set[int] = set()
    at_rest: set[int] = set()  # not on their way to the disk
    count = 0

    def take() -> None:
        rig.finish()
        came = arrived(rig)
        assert sorted(came) == sorted(number for number in due if due[number] <= int(rig.time_of_day * 1000))
        in_order = [number for number in came if number in at_rest]
        assert in_order == sorted(in_order, key=lambda number: due[number])
        at_rest.update(due)
        for number in came:
            del due[number]

    for step in steps:
        what, values = step[0], [int(value) for value in step[1:]]
        if what == "delay":
            count += 1
            delay(rig, client, count, values[0], bool(values[1]), 100)
            due[count] = int(rig.time_of_day * 1000) + values[0]
            if not values[1]:
                transient.add(count)
        elif what == "pass":
            rig.pass_time(values[0] / 1000 + 0.0005)
            take()
        elif what == "rest":
            rig.finish()
            at_rest.update(due)
        elif what == "compact":
            rig.compact()
            take()
        elif what == "window":
            rig.store.residency.queue_limit = values[0]
        else:
            take()
            rig.finish()  # that it was taken is written, or it would come again
            rig = restarted(rig, values[0] / 1000 + 0.0005)
            client = rig.client()
            due = {number: at for number, at in due.items() if number not in transient}
            take()
    rig.pass_time(6)
    take()
    assert due == {}
    rig.finish()
    assert (waiting(rig), live(rig)) == (0, 0)
    rig.stop()
