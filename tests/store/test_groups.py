"""A transaction that was committed happened wholly, whatever came down in between; one that was not, not at all."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from leveret.broker.queue import Queue
from tests.store.faults import LOSSES, AnyLoss, MemoryFiles, Operation
from tests.store.rig import DIRECTORY, WRITER, Client, Rig, restarted
from tests.store.test_settling import MIB, log_files, numbers


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path).start()


def contents(rig: Rig) -> dict[str, list[int]]:
    return {name: numbers(rig.take_all(queue)) for name, queue in rig.vhost.queues.items()}


def found_after(rig: Rig, files: MemoryFiles) -> dict[str, list[int]]:
    """What another broker finds in these files; beside this one, which lives on."""
    folder = rig.folder / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in rig.folder.glob("definitions.sqlite*"):
        shutil.copy(path, folder)
    again = Rig(folder, files).start()
    found = contents(again)
    again.finish()
    again.end()
    return found


def move(rig: Rig, client: Client, source: Queue, target: list[Queue], numbers: list[int], size: int = 0) -> None:
    """Acknowledge as many messages as are published, in one transaction."""
    for number in numbers:
        got = rig.get(client, source)
        assert got is not None
        rig.publish(client, target, number, size)
        client.channel.ack(got.tag, False)
    rig.commit(client)


def test_a_commit_is_answered_when_it_is_on_the_disk(rig: Rig) -> None:
    queue = rig.declare("queue")
    client = rig.transactional()
    rig.publish(client, [queue], 1)
    rig.finish()
    assert queue.ready_count() == 0
    rig.commit(client)
    rig.tick()
    assert client.connection.holds == 1
    rig.turn(WRITER)
    assert client.connection.holds == 0
    assert found_after(rig, rig.memory.after_power_loss(LOSSES[0])) == {"queue": [1]}
    rig.stop()


def test_a_commit_to_a_queue_that_is_being_declared_is_answered_when_all_of_it_is_on_the_disk(rig: Rig) -> None:
    """What it acknowledges is settled only when the queue's definition is there too, and the answer waits for that."""
    old = rig.declare("old")
    publisher, client = rig.client(), rig.transactional()
    rig.publish(publisher, [old], 1)
    rig.finish()
    new = rig.declare("new")
    move(rig, client, old, [new], [2])
    rig.tick()
    waited = 0
    while client.connection.holds:
        waited += 1
        rig.turn(rig.works())
        rig.tick()
    assert waited == 3  # for the messages, for the definition, and for what was acknowledged
    for loss in LOSSES:
        assert found_after(rig, rig.memory.after_power_loss(loss)) == {"old": [], "new": [2]}
    rig.finish()
    assert contents(restarted(rig)) == {"old": [], "new": [2]}


def test_what_is_on_the_disk_is_not_synced_again_with_each_segment_that_goes(tmp_path: Path) -> None:
    rig = Rig(tmp_path, segment_size=400).start()
    old, one, two = (rig.declare(name) for name in ("old", "one", "two"))
    publisher, client = rig.client(), rig.transactional()
    for number in range(20):
        rig.publish(publisher, [old], number, 200)
    rig.publish(publisher, [one], 20, 200)
    rig.finish()
    kept = len(log_files(rig)) - 1
    rig.memory.recording = []
    for number in range(21, 41):  # each leaves a segment with a group that settles, and the next has it removed
        source, target = (one, two) if number % 2 else (two, one)
        move(rig, client, source, [target], [number], 200)
        rig.finish()
    synced = [each.path for each in rig.memory.recording if each.kind == "sync" and each.path.endswith(".settled")]
    removed = [each.path for each in rig.memory.recording if each.kind == "remove" and each.path.endswith(".log")]
    assert len(removed) > 15
    assert max(Counter(synced).values()) <= 2
    assert len(synced) < kept + 2 * len(removed)
    rig.stop()


def test_an_empty_commit_is_answered_at_once(rig: Rig) -> None:
    client = rig.transactional()
    rig.commit(client)
    assert client.connection.holds == 0
    rig.stop()


@pytest.mark.parametrize("size", [0, 5000, 100_000])
def test_all_or_nothing_at_every_operation(tmp_path: Path, size: int) -> None:
    rig = Rig(tmp_path).start()
    source, one, two = (rig.declare(name) for name in ("source", "one", "two"))
    publisher, client = rig.client(), rig.transactional()
    for number in range(4):
        rig.publish(publisher, [source], number)
    rig.finish()
    before = {"source": [0, 1, 2, 3], "one": [], "two": []}
    after = {"source": [2, 3], "one": [10, 11], "two": [10, 11]}
    seen = 0
    random = Random(size)

    def fault(files: MemoryFiles, operation: Operation) -> None:
        nonlocal seen
        committed = is_committing and client.connection.holds == 0
        for loss in (*LOSSES, *[AnyLoss(random) for _ in range(2)]):
            copy = files.copy()
            copy.apply(operation)
            for each in (files, copy):
                found = found_after(rig, each.after_power_loss(loss))
                assert found == after or (found == before and not committed)
                seen += 1

    is_committing = False
    rig.memory.fault = fault
    move(rig, client, source, [one, two], [10, 11], size)
    is_committing = True
    rig.finish()
    rig.memory.fault = None
    assert not rig.failures
    assert seen > 50
    assert client.connection.holds == 0
    for loss in LOSSES:
        assert found_after(rig, rig.memory.after_power_loss(loss)) == after
    rig = restarted(rig)
    assert contents(rig) == after
    rig.stop()


def test_the_parts_of_a_group_are_nothing_without_it(rig: Rig, tmp_path: Path) -> None:
    """Also when the start of the group is damaged and its messages stand there whole."""
    queue = rig.declare("queue")
    client = rig.client()
    rig.publish(client, [queue], 1)
    rig.finish()
    start = len(rig.memory.inodes[f"{DIRECTORY}/00000001.log"].data)
    transactional = rig.transactional()
    for number in (2, 3, 4):
        rig.publish(transactional, [queue], number, 1000)
    rig.commit(transactional)
    rig.finish()
    rig.publish(client, [queue], 5)
    rig.finish()
    files = rig.kill()
    data = files.inodes[f"{DIRECTORY}/00000001.log"].data
    for spoilt in (data[:start] + bytes(8) + data[start + 8 :], data[: start + 3000]):
        copy = files.copy()
        copy.inodes[f"{DIRECTORY}/00000001.log"].data = bytearray(spoilt)
        rig = Rig(tmp_path, copy).start()
        assert numbers(rig.take_all(rig.queue("queue"))) == ([1, 5] if len(spoilt) == len(data) else [1])
        rig.end()


def test_a_group_without_messages_goes_after_what_it_settled_is_written(rig: Rig) -> None:
    """The segment that the group is in is given up as soon as it is closed."""
    kept, passing = rig.declare("kept"), rig.declare("passing")
    publisher, client = rig.client(), rig.transactional()
    for number in range(3):
        rig.publish(publisher, [kept], number)
    rig.finish()
    rig = restarted(rig)
    kept, passing = rig.queue("kept"), rig.queue("passing")
    publisher, client = rig.client(), rig.transactional()
    rig.publish(publisher, [passing], 9, 2 * MIB)
    rig.finish()
    got = rig.get(client, kept)
    assert got is not None
    assert log_files(rig) == ["00000001.log", "00000002.log"]
    # the next batch has the group and gives up the second segment
    held = rig.get(publisher, passing)
    assert held is not None
    client.channel.ack(got.tag, False)
    rig.commit(client)
    publisher.channel.ack(held.tag, False)
    losses = 0
    while True:
        rig.tick()
        thread = rig.works()
        if not thread:
            break
        rig.turn(thread)
        if client.connection.holds == 0:
            for loss in LOSSES:
                assert found_after(rig, rig.memory.after_power_loss(loss))["kept"] == [1, 2]
                losses += 1
    assert losses
    assert "00000002.log" not in log_files(rig)
    for loss in LOSSES:
        assert found_after(rig, rig.memory.after_power_loss(loss)) == {"kept": [1, 2], "passing": []}
    rig.stop()


def test_what_a_group_settled_stays_settled_when_the_group_is_gone(rig: Rig) -> None:
    """Although a crash came before it was written beside the segment."""
    kept = rig.declare("kept")
    publisher, client = rig.client(), rig.transactional()
    for number in range(40):
        rig.publish(publisher, [kept], number)
    rig.finish()
    rig = restarted(rig)
    kept = rig.queue("kept")
    client = rig.transactional()
    for _ in range(39):
        got = rig.get(client, kept)
        assert got is not None
        client.channel.ack(got.tag, False)
    rig.commit(client)
    rig.tick()
    rig.turn(WRITER)
    assert client.connection.holds == 0
    # what follows from the commit is not written any more
    rig = restarted(rig)
    assert kept.name in rig.vhost.queues
    rig.compact()
    assert sum(segment.live for segment in rig.log.segments.values()) == 1
    for _ in range(3):
        rig = restarted(rig)
        assert numbers(rig.take_all(rig.queue("kept"))) == [39]
    rig.stop()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_what_a_group_settled_in_the_segment_being_written_survives_the_group(rig: Rig, loss: object) -> None:
    kept, passing = rig.declare("kept"), rig.declare("passing")
    publisher, client = rig.client(), rig.transactional()
    rig.publish(publisher, [passing], 1, 31 * MIB)
    rig.finish()
    passing_got = rig.get(client, passing)
    assert passing_got is not None
    rig.publish(client, [kept], 2, 100)  # in a group at the end of the first segment
    client.channel.ack(passing_got.tag, False)
    rig.commit(client)
    rig.finish()
    rig.publish(publisher, [kept], 3, 2 * MIB)  # in the second
    rig.finish()
    assert log_files(rig) == ["00000001.log", "00000002.log"]
    first, second = rig.get(client, kept), rig.get(client, kept)
    assert first is not None and second is not None
    client.channel.ack(second.tag, False)
    rig.publish(client, [passing], 4)
    rig.commit(client)
    rig.finish()
    client.channel.ack(first.tag, False)
    rig.commit(client)
    rig.finish()
    rig.publish(publisher, [passing], 5)
    rig.finish()
    assert log_files(rig) == ["00000002.log"]
    found = found_after(rig, rig.memory.after_power_loss(loss))  # type: ignore[arg-type]
    assert found == {"kept": [], "passing": [4, 5]}
    rig.stop()


def test_a_group_settles_a_message_of_its_own_batch(rig: Rig) -> None:
    queue = rig.declare("queue")
    publisher, client = rig.client(), rig.transactional()
    rig.publish(publisher, [queue], 1)
    rig.publish(publisher, [queue], 2)
    got = rig.get(client, queue)
    assert got is not None
    client.channel.ack(got.tag, False)
    rig.publish(client, [queue], 3)
    rig.commit(client)
    rig.tick()
    rig.rest()  # the definition of the queue is on its way beside it
    rig.turn(WRITER)
    assert found_after(rig, rig.memory.killed()) == {"queue": [2, 3]}
    rig.finish()
    assert found_after(rig, rig.memory.killed()) == {"queue": [2, 3]}
    assert sum(segment.live for segment in rig.log.segments.values()) == 2
    rig.stop()


def test_messages_of_a_group_that_are_settled_before_it_is_written(rig: Rig) -> None:
    one, two = rig.declare("one"), rig.declare("two")
    publisher, client = rig.client(), rig.transactional()
    for number in (1, 2):
        rig.publish(client, [one, two], number)
    rig.commit(client)
    assert rig.get(publisher, one, no_ack=True) is not None
    assert two.purge() == 2
    rig.finish()
    assert client.connection.holds == 0
    assert sum(segment.live for segment in rig.log.segments.values()) == 1
    assert found_after(rig, rig.memory.killed()) == {"one": [2], "two": []}
    rig.stop()


def test_a_group_larger_than_a_segment(rig: Rig) -> None:
    queue = rig.declare("queue")
    client = rig.transactional()
    for number in range(5):
        rig.publish(client, [queue], number, 9 * MIB)
    rig.commit(client)
    rig.finish()
    assert client.connection.holds == 0
    rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("queue"))) == list(range(5))
    rig.stop()
