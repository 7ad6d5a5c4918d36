"""Copying forward: what is wanted of a nearly empty segment moves on, exactly once, whatever happens meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from leveret.broker.queue import Queue
from tests.store.faults import LOSSES, AnyLoss, Loss, MemoryFiles, Operation
from tests.store.rig import DIRECTORY, READER, WRITER, Client, Got, Rig, restarted
from tests.store.test_settling import MIB, log_files, numbers

MESSAGES = 30


def sparse(folder: Path, kept: tuple[int, ...] = (3, 11), sync: str = "always") -> Rig:
    """A broker that has just started, with one closed segment of which only these messages are wanted."""
    rig = Rig(folder, sync=sync).start()
    client = rig.client()
    queue = rig.declare("queue")
    for number in range(MESSAGES):
        rig.publish(client, [queue], number, 1000)
    rig.finish()
    for number in range(MESSAGES):
        got = rig.get(client, queue)
        assert got is not None
        if number not in kept:
            client.channel.ack(got.tag, False)
    rig.finish()
    rig = restarted(rig)
    assert rig.log.segments[1].live == len(kept)
    return rig


def begin_copying(rig: Rig) -> None:
    """Go on until a segment has been read, and its copies wait to be written."""
    for _ in range(4):
        rig.pass_time_only(3.0)
        rig.tick()
        while rig.works() == WRITER:
            rig.turn(WRITER)
            rig.tick()
        if rig.is_copying():
            rig.turn(READER)
            return
    raise AssertionError("nothing is copied")


def get_all(rig: Rig, client: Client, queue: Queue) -> dict[int, Got]:
    found: dict[int, Got] = {}
    while (got := rig.get(client, queue)) is not None:
        found[got.number] = got
    return found


def live(rig: Rig) -> int:
    return sum(segment.live for segment in rig.log.segments.values())


def without(files: MemoryFiles, *kinds: str) -> None:
    """From now on operations of these kinds don't happen."""

    def fault(files: MemoryFiles, operation: Operation) -> None:
        assert operation.kind not in kinds, operation

    files.fault = fault


def test_a_nearly_empty_segment_is_copied_and_goes(tmp_path: Path) -> None:
    rig = sparse(tmp_path)
    rig.compact()
    assert log_files(rig) == ["00000002.log"]
    rig = restarted(rig)
    assert rig.take_all(rig.queue("queue")) == [(3, True), (11, True)]
    rig.stop()


def test_copies_keep_their_order_among_the_others(tmp_path: Path) -> None:
    rig = sparse(tmp_path)
    client = rig.client()
    for number in range(100, 105):
        rig.publish(client, [rig.queue("queue")], number)
    rig.compact()
    for number in range(105, 110):
        rig.publish(client, [rig.queue("queue")], number)
    rig.finish()
    expected = [3, 11, *range(100, 110)]
    for _ in range(3):
        rig = restarted(rig)
        rig.compact()
        assert numbers(rig.take_all(rig.queue("queue"))) == expected
    rig.stop()


def test_copies_are_copied_again(tmp_path: Path) -> None:
    rig = sparse(tmp_path, (3, 11))
    for life in range(1, 5):
        client = rig.client()
        queue = rig.queue("queue")
        for number in range(100 * life, 100 * life + 30):
            rig.publish(client, [queue], number)
        rig.finish()
        rig.compact()
        found = get_all(rig, client, queue)
        for number, got in found.items():
            if number not in (3, 11):
                client.channel.ack(got.tag, False)
        rig.finish()
        rig = restarted(rig)
        rig.compact()
        assert len(log_files(rig)) == 1
    assert numbers(rig.take_all(rig.queue("queue"))) == [3, 11]
    rig.stop()


def test_a_chain_of_copies_within_one_life(tmp_path: Path) -> None:
    """Places are handed out once and stay good, however often what stands there moves on."""
    rig = Rig(tmp_path).start()
    client = rig.client()
    old, passing = rig.declare("old"), rig.declare("passing")
    for number in range(3):
        rig.publish(client, [old], number)
    held = rig.get(client, old)
    assert held is not None
    for number in range(10, 18):
        for small in range(30):
            rig.publish(client, [passing], 100 * number + small)
        for _ in range(4):
            rig.publish(client, [passing], number, 8 * MIB)
        rig.finish()
        while rig.get(client, passing, no_ack=True) is not None:
            pass
        rig.finish()
        rig.compact()
        assert rig.memory.total_size() < 40 * MIB
    assert live(rig) == 3
    assert rig.log.moved
    client.channel.ack(held.tag, False)
    rig.finish()
    assert live(rig) == 2
    again = restarted(rig)
    assert numbers(again.take_all(again.queue("old"))) == [1, 2]
    again.stop()


def test_fifty_segments_with_one_old_message_each(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    client = rig.client()
    old, passing = rig.declare("old"), rig.declare("passing")
    for segment in range(50):
        rig.publish(client, [old], segment)
        for small in range(9):
            rig.publish(client, [passing], 1000 + small)
        for large in range(2):
            rig.publish(client, [passing], large, 17 * MIB)
        rig.finish()
        while rig.get(client, passing, no_ack=True) is not None:
            pass
    # 32 MiB in each, but for the one that is removed as soon as it is closed
    assert len(log_files(rig)) > 50
    rig.compact()
    assert len(log_files(rig)) <= 2
    assert rig.memory.total_size() < MIB
    rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("old"))) == list(range(50))
    rig.stop()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("sync", ["always", "interval=100", "never"])
def test_a_copy_and_its_original_are_one_message(tmp_path: Path, sync: str, loss: Loss) -> None:
    """Between the copy and the removal of what was copied, both are there."""
    rig = sparse(tmp_path, sync=sync)
    rig.finish()  # the queue's own reading
    begin_copying(rig)
    rig.tick()
    assert rig.works() == WRITER
    rig.turn(WRITER)
    assert log_files(rig) == ["00000001.log", "00000002.log"]
    files = rig.memory.after_power_loss(loss)
    rig.kill()
    for _ in range(3):
        rig = Rig(tmp_path, files).start()
        rig.compact()
        assert live(rig) == 2
        assert "00000001.log" not in log_files(rig)
        assert numbers(rig.take_all(rig.queue("queue"))) == [3, 11]
        files = rig.kill()


@pytest.mark.parametrize("sync", ["always", "interval=100", "never"])
def test_an_original_goes_only_after_its_copy_is_on_the_disk(tmp_path: Path, sync: str) -> None:
    rig = sparse(tmp_path, sync=sync)
    for inode in rig.memory.inodes.values():
        inode.synced = len(inode.data)
    rig.memory.durable = dict(rig.memory.inodes)
    rig.memory.journal = []

    def fault(files: MemoryFiles, operation: Operation) -> None:
        for loss in LOSSES:
            again = Rig(tmp_path / "again", files.after_power_loss(loss))
            assert again.start().queue("queue").ready_count() == 2
            again.end()

    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "definitions.sqlite").write_bytes((tmp_path / "definitions.sqlite").read_bytes())
    wal = tmp_path / "definitions.sqlite-wal"
    if wal.exists():
        (tmp_path / "again" / "definitions.sqlite-wal").write_bytes(wal.read_bytes())
    rig.memory.fault = fault
    rig.compact()
    assert rig.failures == []
    assert "00000001.log" not in log_files(rig)
    rig.memory.fault = None
    rig.stop()


@pytest.mark.parametrize("when", ["read", "queued", "writing", "written", "removed"])
@pytest.mark.parametrize("group", [False, True])
def test_what_is_settled_while_it_is_copied_stays_settled(tmp_path: Path, when: str, group: bool) -> None:
    rig = sparse(tmp_path, (3, 11))
    client = rig.transactional() if group else rig.client()
    queue = rig.queue("queue")
    found = get_all(rig, client, queue)

    def settle() -> None:
        client.channel.ack(found[3].tag, False)
        if group:
            rig.commit(client)

    for _ in range(3):
        rig.pass_time_only(3.0)
    rig.tick()
    while rig.works() == WRITER:
        rig.turn(WRITER)
        rig.tick()
    assert rig.is_copying()
    if when == "read":
        settle()
        rig.tick()
    rig.turn(READER)
    if when == "queued":
        settle()
    rig.tick()
    if when == "writing":
        settle()
    rig.turn(WRITER)
    if when == "written":
        settle()
    rig.finish()
    if when == "removed":
        settle()
    rig.finish()
    assert client.connection.holds == 0
    assert live(rig) == 1
    for _ in range(3):
        rig = restarted(rig)
        assert rig.take_all(rig.queue("queue")) == [(11, True)]
    rig.stop()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("when", ["read", "queued", "writing", "written"])
def test_a_commit_while_it_is_copied_survives_a_power_loss(tmp_path: Path, when: str, seed: int) -> None:
    """What a committed transaction acknowledged does not come back, wherever the message stands."""
    rig = sparse(tmp_path, (3, 11))
    client = rig.transactional()
    found = get_all(rig, client, rig.queue("queue"))
    checked = 0

    def settle() -> None:
        client.channel.ack(found[3].tag, False)
        rig.commit(client)

    def check() -> None:
        nonlocal checked
        if client.connection.holds == 0:
            from random import Random

            for loss in (*LOSSES, AnyLoss(Random(seed))):
                again = Rig(tmp_path / "again", rig.memory.after_power_loss(loss)).start()
                assert numbers(again.take_all(again.queue("queue"))) == [11]
                again.finish()
                again.compact()
                twice = restarted(again)
                assert numbers(twice.take_all(twice.queue("queue"))) == [11]
                twice.end()
            checked += 1

    (tmp_path / "again").mkdir()
    for name in ("definitions.sqlite", "definitions.sqlite-wal"):
        if (tmp_path / name).exists():
            (tmp_path / "again" / name).write_bytes((tmp_path / name).read_bytes())
    for _ in range(3):
        rig.pass_time_only(3.0)
    rig.tick()
    while rig.works() == WRITER:
        rig.turn(WRITER)
        rig.tick()
    if when == "read":
        settle()
        rig.tick()
    rig.turn(READER)
    if when == "queued":
        settle()
    rig.tick()
    if when == "writing":
        settle()
    rig.turn(WRITER)
    if when == "written":
        settle()
    while True:
        rig.tick()
        thread = rig.works()
        if not thread:
            break
        rig.turn(thread)
        check()
    check()
    assert checked
    rig.stop()


def test_a_segment_that_is_read_ahead_stays_until_it_is_read(tmp_path: Path) -> None:
    rig = sparse(tmp_path)
    client = rig.client()
    begin_copying(rig)
    rig.consume(client, rig.queue("queue"))
    rig.tick()  # asks for a read-ahead, of places in the old segment, and has the copies written
    while "00000001.log" in log_files(rig) and rig.works() == WRITER:
        rig.turn(WRITER)
        rig.log.start_batch(0)
    assert "00000001.log" in log_files(rig)
    rig.finish()
    assert [got.number for got in client.delivered] == [3, 11]
    client.channel.ack(0, True)
    rig.finish()
    assert live(rig) == 0
    rig = restarted(rig)
    assert rig.take_all(rig.queue("queue")) == []
    rig.stop()


def test_what_was_read_from_its_old_place_is_settled_in_its_new_one(tmp_path: Path) -> None:
    rig = sparse(tmp_path)
    client = rig.client()
    found = get_all(rig, client, rig.queue("queue"))
    rig.compact()
    assert log_files(rig) == ["00000002.log"]
    client.channel.ack(found[3].tag, False)
    rig.finish()
    assert live(rig) == 1
    rig = restarted(rig)
    assert rig.take_all(rig.queue("queue")) == [(11, True)]
    rig.stop()


def test_transient_messages_of_an_earlier_life_are_not_copied(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    client = rig.client()
    queue = rig.declare("queue")
    for number in range(MESSAGES):
        rig.publish(client, [queue], number, 1000)
    rig.store.residency.queue_limit = 0
    for number in range(MESSAGES, 2 * MESSAGES):
        rig.publish(client, [queue], number, 1000, persistent=False)
    rig.finish()
    for _ in range(MESSAGES - 1):
        rig.get(client, queue, no_ack=True)
    rig.finish()
    rig = restarted(rig)
    assert live(rig) == 1
    rig.compact()
    assert live(rig) == 1
    assert numbers(rig.take_all(rig.queue("queue"))) == [MESSAGES - 1]
    rig.queue("queue").purge()
    rig.clients[-1].channel.ack(0, True)
    rig.finish()
    rig.compact()
    assert live(rig) == 0
    rig.stop()


def test_transient_messages_of_this_life_are_copied(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    client = rig.client()
    queue, passing = rig.declare("queue"), rig.declare("passing")
    for number in range(9):
        rig.publish(client, [passing], 100 + number)
    rig.store.residency.queue_limit = 0
    rig.publish(client, [queue], 1, 10, persistent=False)
    for number in range(4):
        rig.publish(client, [passing], 200 + number, 10 * MIB)
    rig.finish()
    while rig.get(client, passing, no_ack=True) is not None:
        pass
    rig.finish()
    assert rig.memory.total_size() > 30 * MIB
    rig.compact()
    assert rig.memory.total_size() < MIB
    assert numbers(rig.take_all(queue)) == [1]
    rig.clients[-1].channel.ack(0, True)
    rig.finish()
    assert live(rig) == 0
    rig.stop()


def test_messages_of_a_queue_that_is_gone_are_not_copied(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    client = rig.client()
    kept, gone = rig.declare("kept"), rig.declare("gone")
    for number in range(MESSAGES):
        rig.publish(client, [kept, gone] if number < 3 else [kept], number)
    rig.finish()
    for _ in range(MESSAGES - 1):
        rig.get(client, kept, no_ack=True)
    rig.finish()
    files = rig.memory.killed()  # before the purge that belongs to the deletion is written
    rig.vhost.delete_queue(gone)
    rig.finish()
    rig.kill()
    rig = Rig(tmp_path, files).start()
    assert live(rig) == 1
    rig.compact()
    assert live(rig) == 1
    assert numbers(rig.take_all(rig.queue("kept"))) == [MESSAGES - 1]
    rig.stop()


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_damaged_record_in_a_segment_that_is_copied(
    tmp_path: Path, in_memory: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rig = sparse(tmp_path, (3, 7, 11))
    client = rig.client()
    queue = rig.queue("queue")
    if in_memory:
        found = get_all(rig, client, queue)
        assert list(found) == [3, 7, 11]
    data = rig.memory.inodes[f"{DIRECTORY}/00000001.log"].data
    data[data.index(b"%012d" % 7) + 500] ^= 1
    rig.compact()
    assert "damaged record" in caplog.text
    if in_memory:
        client.channel.ack(0, True)
    else:
        assert numbers(rig.take_all(queue)) == [3, 11]
        rig.clients[-1].channel.ack(0, True)
    rig.finish()
    assert live(rig) == 0
    assert not rig.failures
    rig = restarted(rig)
    assert rig.take_all(rig.queue("queue")) == []
    rig.stop()


def test_what_is_delivered_while_it_is_copied_is_marked(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    client = rig.client()
    queue, passing = rig.declare("queue"), rig.declare("passing")
    for number in range(3):
        rig.publish(client, [queue], number)
    for number in range(50):
        rig.publish(client, [passing], number)
    rig.finish()
    while rig.get(client, passing, no_ack=True) is not None:
        pass
    rig.finish()
    rig = restarted(rig)
    client = rig.client()
    for _ in range(3):
        rig.pass_time_only(3.0)
    rig.tick()
    while rig.works() == WRITER:
        rig.turn(WRITER)
        rig.tick()
    assert rig.is_copying()
    # The reading thread has seen the segment; a delivery is noted there all the same.
    job = rig.said[READER].get(timeout=20)
    for _ in range(2):
        assert rig.get(client, rig.queue("queue")) is not None
    job()
    rig.finish()
    assert log_files(rig) == ["00000002.log"]
    rig = restarted(rig)
    found = rig.take_all(rig.queue("queue"))
    assert numbers(found) == [0, 1, 2]
    assert found[0][1] and found[1][1]
    rig.stop()
