"""What was settled does not come back, what was not does, and segments go when nothing in them is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest
from librt.strings import BytesWriter

from leveret.store.log import SHRINK_AT
from leveret.store.segment import Settled, mark_batch, write_index_entry
from tests.store.faults import LOSSES, Loss
from tests.store.rig import DIRECTORY, Rig, restarted

MIB = 1024 * 1024


def numbers(taken: list[tuple[int, bool]]) -> list[int]:
    return [number for number, _ in taken]


def log_files(rig: Rig) -> list[str]:
    return sorted(path.rpartition("/")[2] for path in rig.memory.inodes if path.endswith(".log"))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path).start()


def test_what_was_confirmed_is_there_in_order(rig: Rig) -> None:
    client = rig.client()
    queue = rig.declare("queue")
    for number in range(50):
        rig.publish(client, [queue], number, 100 * number)
    assert client.confirmed() == []
    rig.finish()
    assert client.confirmed() == list(range(50))
    rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("queue"))) == list(range(50))
    rig.stop()


def test_what_was_acknowledged_stays_away_even_if_nothing_is_left(rig: Rig) -> None:
    client = rig.client()
    queue = rig.declare("queue")
    for number in range(3):
        rig.publish(client, [queue], number)
    rig.finish()
    for _ in range(3):
        assert rig.get(client, queue, no_ack=True) is not None
    rig.finish()
    rig = restarted(rig)
    assert rig.take_all(rig.queue("queue")) == []
    rig.stop()


def test_what_was_acknowledged_while_nothing_was_left_stays_away_when_more_came(rig: Rig) -> None:
    client = rig.client()
    queue = rig.declare("queue")
    for number in range(5):
        rig.publish(client, [queue], number)
        rig.finish()
        if number < 4:
            assert rig.get(client, queue, no_ack=True) is not None
            rig.finish()
    rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("queue"))) == [4]
    rig.stop()


def test_a_message_for_a_durable_and_a_transient_queue_belongs_to_the_durable_one(rig: Rig) -> None:
    client = rig.client()
    durable, transient = rig.declare("durable"), rig.declare("transient", durable=False)
    for number in range(10):
        rig.publish(client, [durable, transient], number, MIB // 5)
    rig.finish()
    for _ in range(5):
        assert rig.get(client, transient, no_ack=True) is not None
    transient.purge()
    rig.finish()
    assert sum(segment.live for segment in rig.log.segments.values()) == 10
    rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("durable"))) == list(range(10))
    rig.stop()


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("persistent", [True, False])
def test_a_message_that_one_of_its_queues_pages_out(rig: Rig, durable: bool, persistent: bool) -> None:
    client = rig.client()
    kept = rig.declare("kept")
    full, empty = rig.declare("full", durable), rig.declare("empty", durable)
    rig.publish(client, [kept], 1)
    rig.finish()
    rig.store.residency.queue_limit = 0
    rig.publish(client, [full], 2, 100)  # stands in memory, and what comes behind it does not
    full.backing.window_bytes += 1
    rig.publish(client, [empty, full], 3, 100, persistent)
    rig.publish(client, [full, empty], 4, 100, persistent)
    rig.finish()
    empty.purge()
    rig.finish()
    full.backing.window_bytes -= 1
    full.purge()
    rig.finish()
    assert sum(segment.live for segment in rig.log.segments.values()) == 1
    rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("kept"))) == [1]
    rig.stop()


def test_when_all_is_consumed_nothing_much_is_left(rig: Rig) -> None:
    client = rig.client()
    queue = rig.declare("queue")
    for number in range(80):
        rig.publish(client, [queue], number, MIB)
        rig.finish()
    assert rig.memory.total_size() > 80 * MIB
    assert len(log_files(rig)) > 2
    for _ in range(80):
        assert rig.get(client, queue, no_ack=True) is not None
    rig.finish()
    assert len(log_files(rig)) == 1
    assert rig.memory.total_size() < SHRINK_AT + 4096
    rig.stop()


def test_after_a_restart_too(rig: Rig) -> None:
    client = rig.client()
    queue = rig.declare("queue")
    for number in range(80):
        rig.publish(client, [queue], number, MIB)
        rig.finish()
    rig = restarted(rig)
    client = rig.client()
    for _ in range(80):
        assert rig.get(client, rig.queue("queue"), no_ack=True) is not None
    rig.finish()
    assert len(log_files(rig)) == 1
    assert rig.memory.total_size() < SHRINK_AT + 4096
    rig.stop()


def test_what_is_taken_before_it_is_written_is_never_written(rig: Rig) -> None:
    client = rig.client()
    queue = rig.declare("queue")
    rig.publish(client, [queue], 1)
    rig.get(client, queue, no_ack=True)
    size = rig.memory.total_size()
    rig.finish()
    assert client.confirmed() == [1]
    assert rig.memory.total_size() == size
    rig.stop()


def test_a_purge_is_kept(rig: Rig) -> None:
    client = rig.client()
    queue = rig.declare("queue")
    for number in range(10):
        rig.publish(client, [queue], number)
    rig.finish()
    held = rig.get(client, queue)
    assert held is not None
    assert queue.purge() == 9
    rig.publish(client, [queue], 10)
    rig.finish()
    rig = restarted(rig)
    found = rig.take_all(rig.queue("queue"))
    assert found[0] == (held.number, True)
    assert numbers(found) == [held.number, 10]
    rig.stop()


def test_a_deleted_queue_takes_its_messages_along(rig: Rig) -> None:
    client = rig.client()
    for life in range(3):
        queue = rig.declare("queue")
        for number in range(10):
            rig.publish(client, [queue], 10 * life + number)
        rig.finish()
        if life < 2:
            rig.vhost.delete_queue(queue)
            rig.finish()
    rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("queue"))) == list(range(20, 30))
    rig.stop()


def test_the_id_of_a_durable_queue_is_not_used_again(rig: Rig) -> None:
    ids: set[int] = set()
    for _ in range(4):
        client = rig.client()
        for name, durable in (("one", True), ("two", False)):
            queue = rig.declare(name, durable)
            if durable:
                assert queue.id not in ids
                ids.add(int(queue.id))
            rig.store.residency.queue_limit = 0
            for number in range(3):
                rig.publish(client, [queue], number, 10, persistent=False)
        rig.finish()
        for name in ("one", "two"):
            rig.vhost.delete_queue(rig.queue(name))
        rig = restarted(rig)
    rig.stop()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_what_was_delivered_is_marked_when_it_comes_back(tmp_path: Path, loss: Loss) -> None:
    rig = Rig(tmp_path).start()
    client = rig.client()
    queue, other = rig.declare("queue"), rig.declare("other")
    for number in range(6):
        rig.publish(client, [queue, other], number)
    rig.finish()
    for _ in range(3):
        rig.get(client, queue)
    for path, inode in rig.memory.inodes.items():
        if path.endswith(".settled"):
            inode.synced = len(inode.data)
    rig.memory.durable = dict(rig.memory.inodes)
    files = rig.memory.after_power_loss(loss)
    rig.kill()
    rig = Rig(tmp_path, files).start()
    found = rig.take_all(rig.queue("queue"))
    assert numbers(found) == list(range(6))
    assert all(redelivered for _, redelivered in found[:3])  # others may be marked too
    assert rig.take_all(rig.queue("other")) == [(number, False) for number in range(6)]
    rig.stop()


def test_what_was_delivered_before_it_was_written_is_marked_too(rig: Rig) -> None:
    client = rig.client()
    queue = rig.declare("queue")
    rig.publish(client, [queue], 1)
    rig.publish(client, [queue], 2)
    assert rig.get(client, queue) is not None
    rig.finish()
    rig = restarted(rig)
    for _ in range(2):
        assert rig.take_all(rig.queue("queue"))[0] == (1, True)
        rig = restarted(rig)
    rig.stop()


def test_what_another_segment_tells_of_being_delivered_stays_when_that_goes(tmp_path: Path) -> None:
    """The mark beside the first segment was not on the disk when the power failed; the one beside the second was."""
    rig = Rig(tmp_path).start()
    rig.publish(rig.client(), [rig.declare("queue")], 1)
    rig.finish()
    rig = restarted(rig)
    rig.publish(rig.client(), [rig.queue("queue")], 2)
    rig.finish()
    assert len(rig.take_all(rig.queue("queue"))) == 2
    files = rig.kill()
    del files.inodes[f"{DIRECTORY}/00000001.settled"]
    rig = Rig(tmp_path, files).start()
    rig.finish()
    files = rig.kill()
    del files.inodes[f"{DIRECTORY}/00000002.log"]  # as if its message had been acknowledged
    rig = Rig(tmp_path, files).start()
    assert rig.take_all(rig.queue("queue")) == [(1, True)]
    rig.stop()


def test_a_mark_is_for_the_whole_segment_only_behind_its_last_message() -> None:
    """It is at a record that was being written. Else what is behind the mark was not delivered."""
    settled = Settled()
    settled.read(mark_batch(7, 5000))
    for last, queues in ((16, {7}), (4999, {7}), (5000, set()), (5001, set()), (9000, set())):
        entries = BytesWriter()
        for offset in (16, last):
            write_index_entry(entries, offset, 0, 7, 0, 0)
        assert settled.delivered_whole(entries.getvalue()) == queues
