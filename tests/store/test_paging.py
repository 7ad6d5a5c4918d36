"""A queue that is longer than its window: what is not in memory comes back in order, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from leveret.broker.peeking import Damaged, peek
from leveret.broker.settlement import REQUEUED
from tests.store.rig import DIGITS, READER, Client, Rig, restarted
from tests.store.test_settling import MIB, numbers

PRESSURE = 1 << 40  # octets that other queues are said to have in memory, so that each may have only a little


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path).start()


def press(rig: Rig) -> None:
    """Let the queues have a small window."""
    rig.store.residency.resident += PRESSURE
    rig.tick()
    assert rig.store.residency.queue_limit < MIB


def live(rig: Rig) -> int:
    return sum(segment.live for segment in rig.log.segments.values())


def drain(rig: Rig, client: Client, ack_every: int = 1) -> None:
    """Tick, acknowledging, until nothing comes any more."""
    taken = len(client.delivered)
    while True:
        rig.finish()
        new = client.delivered[taken:]
        if not new:
            return
        taken += len(new)
        for got in new[::ack_every]:
            client.channel.ack(got.tag, True)
        client.channel.ack(0, True)


@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("durable", [True, False])
def test_a_long_queue_by_get(rig: Rig, durable: bool, persistent: bool) -> None:
    press(rig)
    client = rig.client()
    queue = rig.declare("queue", durable)
    for number in range(200):
        rig.publish(client, [queue], number, 10_000, persistent)
        if number % 7 == 0:
            rig.finish()
    rig.finish()
    assert queue.backing.backlog is not None
    assert rig.store.residency.resident - PRESSURE < 200_000
    assert queue.ready_count() == 200
    assert numbers(rig.take_all(queue)) == list(range(200))
    rig.clients[-1].channel.ack(0, True)
    rig.finish()
    assert queue.ready_count() == 0
    assert rig.store.residency.resident == PRESSURE
    assert live(rig) == 0
    rig.stop()


@pytest.mark.parametrize("size", [100, 10_000, 100_000, 1_000_000])
@pytest.mark.parametrize("prefetch", [0, 1, 50])
@pytest.mark.parametrize("consumers", [1, 3])
def test_a_long_queue_by_consumers(rig: Rig, consumers: int, prefetch: int, size: int) -> None:
    press(rig)
    client = rig.client()
    queue = rig.declare("queue")
    count = min(3000, 6_000_000 // size)
    for number in range(count):
        rig.publish(client, [queue], number, size)
    rig.finish()
    everyone = [rig.client() for _ in range(consumers)]
    for each in everyone:
        rig.consume(each, queue, prefetch)
    taken = -1
    while taken != sum(len(each.delivered) for each in everyone):
        taken = sum(len(each.delivered) for each in everyone)
        rig.finish()
        for each in everyone:
            if each.channel.unacked:
                each.channel.ack(0, True)
        rig.finish()
    for each in everyone:
        assert [got.number for got in each.delivered] == sorted(got.number for got in each.delivered)
    assert sorted(got.number for each in everyone for got in each.delivered) == list(range(count))
    assert live(rig) == 0
    assert rig.store.residency.resident == PRESSURE
    rig.stop()


def test_messages_larger_than_the_window_keep_coming(rig: Rig) -> None:
    client = rig.client()
    queue = rig.declare("queue")
    for number in range(12):
        rig.publish(client, [queue], number, 9 * MIB)
    rig.finish()
    assert rig.store.residency.resident < 40 * MIB
    consumer = rig.client()
    rig.consume(consumer, queue)
    drain(rig, consumer)
    assert [got.number for got in consumer.delivered] == list(range(12))
    rig.stop()


def test_more_arrives_while_it_drains(rig: Rig) -> None:
    press(rig)
    random = Random(1)
    client, consumer = rig.client(), rig.client()
    queue = rig.declare("queue")
    rig.consume(consumer, queue, prefetch=7)
    number = 0
    for _ in range(150):
        for _ in range(random.randint(0, 20)):
            rig.publish(client, [queue], number, random.choice((10, 20_000)), random.random() < 0.7)
            number += 1
        for thread in random.sample(list(rig.said), 3):
            rig.tick()
            if rig.works() == thread:
                rig.turn(thread)
        if consumer.channel.unacked:
            consumer.channel.ack(random.choice(list(consumer.channel.unacked)), random.random() < 0.5)
    drain(rig, consumer)
    assert [got.number for got in consumer.delivered] == list(range(number))
    assert client.confirmed() == list(range(number))
    assert live(rig) == 0
    assert rig.store.residency.resident == PRESSURE
    rig.stop()


def test_requeues_keep_their_place_across_the_window(rig: Rig) -> None:
    """What was taken from the front goes back before what is still on the disk."""
    press(rig)
    random = Random(2)
    client = rig.client()
    queue = rig.declare("queue")
    for number in range(120):
        rig.publish(client, [queue], number, 5_000)
    rig.finish()
    left = list(range(120))
    while left:
        found = []
        for _ in range(random.randint(1, 40)):
            got = rig.get(client, queue)
            if got is None:
                break
            found.append(got)
        assert [got.number for got in found] == left[: len(found)]
        for got in random.sample(found, len(found)):
            if random.random() < 0.4:
                client.channel.ack(got.tag, False)
                left.remove(got.number)
            else:
                client.channel.reject(got.tag, False, REQUEUED)
        if random.random() < 0.3:
            rig.finish()
    rig.finish()
    assert live(rig) == 0
    rig.stop()


@pytest.mark.parametrize("reading", [False, True])
def test_a_purge_reaches_the_disk(rig: Rig, reading: bool) -> None:
    press(rig)
    client = rig.client()
    queue = rig.declare("queue")
    for number in range(100):
        rig.publish(client, [queue], number, 5_000, number % 3 > 0)
    rig.finish()
    if reading:
        rig = restarted(rig)
        client, consumer, queue = rig.client(), rig.client(), rig.queue("queue")
        rig.consume(consumer, queue, prefetch=1)
        rig.tick()
        assert rig.works() == READER
        consumer.channel.cancel("tag")
    count = 66 if reading else 100  # transient messages are gone after a restart
    assert queue.ready_count() == count, "also while some of them are being read"
    assert queue.purge() == count
    assert queue.ready_count() == 0
    rig.publish(client, [queue], 1000)
    rig.finish()
    assert rig.store.residency.resident - PRESSURE < 100
    rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("queue"))) == [1000]
    rig.clients[-1].channel.ack(0, True)
    rig.finish()
    assert live(rig) == 0
    rig.stop()


def test_get_does_not_wait_for_a_read_ahead_that_is_under_way(rig: Rig) -> None:
    """It takes over what was read."""
    press(rig)
    client, consumer = rig.client(), rig.client()
    queue = rig.declare("queue")
    for number in range(40):
        rig.publish(client, [queue], number, 10_000)
    rig.finish()
    rig = restarted(rig)
    client, consumer, queue = rig.client(), rig.client(), rig.queue("queue")
    rig.consume(consumer, queue)
    rig.tick()
    assert rig.works() == READER
    consumer.channel.cancel("tag")
    assert numbers(rig.take_all(queue)) == list(range(40))
    rig.finish()
    assert queue.ready_count() == 0
    rig.stop()


@pytest.mark.parametrize("durable", [True, False])
def test_transient_messages_that_were_paged_out_do_not_survive(rig: Rig, durable: bool) -> None:
    press(rig)
    client = rig.client()
    queue, other = rig.declare("queue"), rig.declare("other", durable)
    for number in range(60):
        rig.publish(client, [queue, other], number, 5_000, persistent=number % 2 == 0)
    rig.finish()
    rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("queue"))) == list(range(0, 60, 2))
    if durable:
        assert numbers(rig.take_all(rig.queue("other"))) == list(range(0, 60, 2))
    else:
        assert "other" not in rig.vhost.queues
    rig.stop()


def test_a_restart_keeps_the_order_of_a_long_queue(rig: Rig) -> None:
    press(rig)
    queue = rig.declare("queue")
    expected: list[int] = []
    for life in range(4):
        client, queue = rig.client(), rig.queue("queue")
        press(rig)
        for number in range(1000 * life, 1000 * life + 300):
            rig.publish(client, [queue], number, 2_000)
            expected.append(number)
        rig.finish()
        for _ in range(100):
            got = rig.get(client, queue)
            assert got is not None
            assert got.number == expected[0]
            if got.number % 10:
                client.channel.ack(got.tag, False)
                expected.remove(got.number)
            else:
                client.channel.reject(got.tag, False, REQUEUED)
                client.channel.ack(rig.get(client, queue).tag, False)  # type: ignore[union-attr]
                expected.remove(got.number)
        rig.finish()
        rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("queue"))) == expected
    rig.stop()


def test_a_page_of_several_thousand_places(rig: Rig) -> None:
    press(rig)
    client = rig.client()
    queue = rig.declare("queue")
    for number in range(5000):
        rig.publish(client, [queue], number, 10)
    rig.finish()
    rig = restarted(rig)
    consumer = rig.client()
    rig.consume(consumer, rig.queue("queue"), no_ack=True)
    rig.finish()
    assert [got.number for got in consumer.delivered] == list(range(5000))
    rig.finish()
    assert live(rig) == 0
    rig.stop()


@pytest.mark.parametrize("reading", [True, False])
def test_peeking_reaches_the_disk_and_changes_nothing(rig: Rig, reading: bool) -> None:
    """Whatever is in memory, returned, on the disk, or being read from there."""
    press(rig)
    client, consumer = rig.client(), rig.client()
    queue = rig.declare("queue")
    for number in range(60):
        rig.publish(client, [queue], number, 10_000)
        if number % 20 == 19:
            rig.finish()
    for _ in range(3):
        got = rig.get(client, queue)
        assert got is not None
    client.channel.ack(2, False)
    client.channel.release()
    rig.finish()
    backlog = queue.backing.backlog
    assert backlog is not None
    assert backlog.placed
    assert queue.backing.returned
    if reading:
        rig = restarted(rig)
        client, consumer, queue = rig.client(), rig.client(), rig.queue("queue")
        rig.consume(consumer, queue)
        rig.tick()
        assert rig.works() == READER
        consumer.channel.cancel("tag")
    expected = [0, *range(2, 60)]
    for position in (59, 1, 2, 30, 3, 45):
        peeked = peek(queue, position)
        assert peeked is not None
        assert int(peeked.message.body()[:DIGITS]) == expected[position - 1]
    assert peek(queue, 60) is None
    assert numbers(rig.take_all(queue)) == expected
    rig.stop()


def test_peeking_at_a_damaged_message(rig: Rig) -> None:
    press(rig)
    client, queue = rig.client(), rig.declare("queue")
    for number in range(40):
        rig.publish(client, [queue], number, 10_000)
    rig.finish()
    for name, inode in rig.memory.inodes.items():
        if name.endswith(".log"):
            content = inode.data
            at = content.index(b"%0*d" % (DIGITS, 39))
            content[at + 100] ^= 1
    with pytest.raises(Damaged):
        peek(queue, 40)
    assert peek(queue, 39) is not None
    rig.stop()
