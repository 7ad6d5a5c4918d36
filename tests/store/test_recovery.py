"""A start makes the best of what it finds: damage is set aside and the rest served, torn ends are cut for good."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from leveret.broker.settlement import REQUEUED
from leveret.server.storage import set_aside
from leveret.store.recovery import Damage, Recovery
from leveret.store.segment import LOG_HEAD, NewerFormat
from leveret.store.segment_files import SegmentFiles
from tests.store.faults import LOSSES, Crashed, Inode, Loss, MemoryFiles, crash_at
from tests.store.rig import DIRECTORY, Rig, restarted
from tests.store.test_settling import MIB, log_files, numbers


def path(number: int, ending: str) -> str:
    return f"{DIRECTORY}/{number:08d}.{ending}"


def data_of(files: MemoryFiles, number: int, ending: str = "log") -> bytearray:
    return files.inodes[path(number, ending)].data


def at_of(data: bytearray, number: int) -> int:
    """Where the body of a message stands."""
    return data.index(b"%012d" % number)


def filled(folder: Path, segments: int = 1, count: int = 10, sync: str = "always") -> Rig:
    """A broker with so many messages in each of some segments, in a queue named queue."""
    rig = Rig(folder, sync=sync).start()
    rig.declare("queue")
    for segment in range(segments):
        if segment:
            rig = restarted(rig)
        client = rig.client()
        for number in range(segment * count, (segment + 1) * count):
            rig.publish(client, [rig.queue("queue")], number, 200)
        rig.finish()
        assert len(client.confirmed()) == count
    return rig


def kept(folder: Path, files: MemoryFiles) -> list[int]:
    """What a broker finds that starts on these files. It lives a little, and what it leaves holds the same."""
    rig = Rig(folder, files).start()
    found = numbers(rig.take_all(rig.queue("queue")))
    rig.clients[-1].channel.requeue_unacked(False)
    rig.compact()
    rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("queue"))) == found
    assert sum(segment.live for segment in rig.log.segments.values()) == len(found)
    rig.end()
    return found


def test_what_was_delivered_before_its_record_was_whole_is_marked(tmp_path: Path) -> None:
    """One mark stands for many deliveries, at the last of them; that one may be what the broker was killed at."""
    rig = filled(tmp_path)
    got = rig.get(rig.client(), rig.queue("queue"))
    assert got is not None
    files = rig.kill()
    del data_of(files, 1)[-10:]
    for copied in (False, True):
        rig = Rig(tmp_path, files).start()
        if copied:
            for segment in rig.log.segments.values():
                rig.log._sparse[segment] = None
            rig.compact()
            assert path(1, "log") not in rig.memory.inodes
        assert rig.take_all(rig.queue("queue")) == [(number, True) for number in range(9)]
        files = rig.kill()


# damage


@pytest.mark.parametrize("place", ["body", "size", "crc", "kind"])
@pytest.mark.parametrize("has_index", [False, True])
@pytest.mark.parametrize("number", [0, 3, 9, 10, 13])
def test_a_damaged_record_costs_its_message_alone(tmp_path: Path, number: int, has_index: bool, place: str) -> None:
    """In a closed segment (of 0 to 9), with or without its index, and in the one that was written last."""
    files = filled(tmp_path, 2).kill()
    segment = 1 + number // 10
    data = data_of(files, segment)
    offsets = [int(LOG_HEAD)]
    while offsets[-1] < len(data):
        offsets.append(offsets[-1] + 8 + int.from_bytes(data[offsets[-1] : offsets[-1] + 4], "big"))
    at = offsets[number % 10] + {"size": 1, "crc": 5, "kind": 8, "body": 150}[place]
    data[at] ^= 0x55
    if not has_index:
        files.inodes.pop(path(1, "index"))
    assert kept(tmp_path, files) == [each for each in range(20) if each != number]


def test_what_is_damaged_is_set_aside(tmp_path: Path) -> None:
    files = filled(tmp_path, 2).kill()
    del files.inodes[path(1, "index")]
    data = data_of(files, 1)
    at = at_of(data, 4)
    data[at : at + 5] = b"wrong"
    rig = Rig(tmp_path, files).start()
    recovery = rig.recovery
    assert recovery is not None
    (damage,) = recovery.damages
    assert damage.number == 1
    assert damage.octets == bytes(data[damage.offset : damage.offset + len(damage.octets)])
    assert damage.offset < at < damage.offset + len(damage.octets)
    assert recovery.torn == 0
    assert recovery.messages == 19
    rig.end()


def test_what_cannot_be_set_aside_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    set_aside([Damage(1, 16, b"wrong")], tmp_path / "file" / "damaged")
    (message,) = caplog.messages
    assert message.startswith("segment 1 is damaged from octet 16 on: 5 octets could not be set aside: ")


def test_damage_that_is_found_while_a_queue_pages_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = filled(tmp_path, 2).kill()
    for number in (3, 4, 9, 10):
        data = data_of(files, 1 + number // 10)
        data[at_of(data, number) + 50] ^= 1
    rig = Rig(tmp_path, files).start()
    client = rig.client()
    assert rig.recovery is not None
    assert rig.queue("queue").ready_count() == 19  # the last segment was read at the start
    rig.consume(client, rig.queue("queue"))
    rig.finish()
    expected = [number for number in range(20) if number not in (3, 4, 9, 10)]
    assert [got.number for got in client.delivered] == expected
    assert rig.queue("queue").ready_count() == 0
    assert caplog.text.count("damaged record at") == 3
    data = data_of(files, 1)
    assert "of segment 1: its message is lost" in caplog.text
    client.channel.requeue_unacked(False)
    rig.publish(client, [rig.queue("queue")], 20)
    rig.finish()
    assert numbers([(got.number, got.redelivered) for got in client.delivered[16:]]) == [*expected, 20]
    client.channel.ack(0, True)
    rig.finish()
    assert sum(segment.live for segment in rig.log.segments.values()) == 0
    rig.stop()


@pytest.mark.parametrize("damage", ["missing", "empty", "short", "flipped", "zeroed", "longer", "version"])
@pytest.mark.parametrize("segment", [1, 2, 3])
def test_an_index_is_made_anew(tmp_path: Path, segment: int, damage: str) -> None:
    rig = filled(tmp_path, 3)
    client = rig.client()
    for _ in range(5):
        assert rig.get(client, rig.queue("queue"), no_ack=True) is not None
    rig.finish()
    files = rig.kill()
    files = Rig(tmp_path, files).start().kill()  # now each segment has an index
    inode = files.inodes[path(segment, "index")]
    whole = bytes(inode.data)
    spoilt = {
        "missing": None,
        "empty": b"",
        "short": whole[:-3],
        "flipped": whole[:40] + bytes([whole[40] ^ 4]) + whole[41:],
        "zeroed": bytes(len(whole)),
        "longer": whole + whole[-32:],
        "version": whole[:11] + b"\x09" + whole[12:],
    }[damage]
    if spoilt is None:
        del files.inodes[path(segment, "index")]
    else:
        inode.data = bytearray(spoilt)
    again = Rig(tmp_path, files).start()
    assert again.recovery is not None
    assert again.recovery.scanned == (2 if segment < 4 else 1)  # it, and the last one
    assert bytes(data_of(files, segment, "index")) == whole
    again.end()
    assert kept(tmp_path, again.memory.killed()) == list(range(5, 30))


def test_an_index_of_the_last_segment_is_not_trusted(tmp_path: Path) -> None:
    """It may have been written, and closed, before the end of the log itself was lost."""
    files = filled(tmp_path, 2).kill()
    files = Rig(tmp_path, files).start().kill()
    del files.inodes[path(3, "log")]  # the segment that was begun then
    files.inodes.pop(path(3, "index"), None)
    data = data_of(files, 2)
    del data[at_of(data, 17) :]
    assert kept(tmp_path, files) == list(range(17))


# torn ends


@pytest.mark.parametrize("tail", ["cut", "zeros", "garbage", "half a head", "one octet"])
def test_a_torn_end_is_cut_and_what_comes_behind_it_is_read(tmp_path: Path, tail: str) -> None:
    """Again and again: each start begins a segment, and finds the end of the one before torn."""
    rig = Rig(tmp_path).start()
    rig.declare("queue")
    expected: list[int] = []
    for life in range(4):
        client = rig.client()
        for number in range(10 * life, 10 * life + 5):
            rig.publish(client, [rig.queue("queue")], number, 100)
        rig.finish()
        expected += client.confirmed()
        rig.publish(client, [rig.queue("queue")], 10 * life + 5, 100)
        rig.finish()
        files = rig.kill()
        data = data_of(files, rig.log.active.number)
        at = at_of(data, 10 * life + 5)
        rest = len(data) - at
        del data[at:]
        data += {
            "cut": b"",
            "zeros": bytes(rest),
            "garbage": Random(life).randbytes(rest),
            "half a head": bytes(data[LOG_HEAD : LOG_HEAD + 4]),
            "one octet": b"\1",
        }[tail]
        rig = Rig(tmp_path, files).start()
        assert rig.recovery is not None
        assert rig.recovery.torn > 0
        assert rig.recovery.damages == []
        assert numbers(rig.take_all(rig.queue("queue"))) == expected
        rig.clients[-1].channel.requeue_unacked(False)
    rig.end()
    assert kept(tmp_path, rig.memory.killed()) == expected


@pytest.mark.parametrize(
    "tail", [b"\0" * 40, b"\0" * 9, b"\0\0\0\1", b"\0\0\0\1abcd", b"\0\0\0\2abcd12345678", b"garbage!" * 5]
)
def test_a_torn_end_of_the_settles_is_cut_too(tmp_path: Path, tail: bytes) -> None:
    rig = filled(tmp_path, 1, 20)
    client = rig.client()
    for life in range(4):
        client = rig.client()
        for _ in range(3):
            assert rig.get(client, rig.queue("queue"), no_ack=True) is not None
        rig.finish()
        files = rig.kill()
        files.inodes[path(1, "settled")].data += tail
        rig = Rig(tmp_path, files).start()
        assert rig.queue("queue").ready_count() == 20 - 3 * (life + 1)
    rig.end()
    assert kept(tmp_path, rig.memory.killed()) == list(range(12, 20))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_what_a_start_found_is_on_the_disk_after_it(tmp_path: Path, loss: Loss) -> None:
    """A process that was killed had not synced all that the next one sees."""
    rig = filled(tmp_path, sync="never")
    files = rig.memory.copy()
    files.durable = dict(files.inodes)
    files.journal = []
    for inode in files.inodes.values():
        inode.synced = 0
    rig.kill()
    again = Rig(tmp_path, files, "never").start()
    assert numbers(again.take_all(again.queue("queue"))) == list(range(10))
    files = again.memory.after_power_loss(loss)
    again.kill()
    assert kept(tmp_path, files) == list(range(10))


# segments that are hardly there


@pytest.mark.parametrize("head", [b"", b"LEVER", bytes(5), bytes(16), bytes(4096)])
@pytest.mark.parametrize("times", [1, 3])
def test_a_segment_that_was_being_begun(tmp_path: Path, head: bytes, times: int) -> None:
    rig = filled(tmp_path)
    for _ in range(times):
        files = rig.kill()
        number = int(rig.log.active.number) + 1
        files.inodes[path(number, "log")] = Inode(bytearray(head), len(head))
        rig = Rig(tmp_path, files).start()
        assert path(number, "log") not in files.inodes
        assert rig.recovery is not None
        assert rig.recovery.damages == []
    rig.end()
    assert kept(tmp_path, rig.memory.killed()) == list(range(10))


@pytest.mark.parametrize("last", [False, True])
def test_a_damaged_head_costs_nothing(tmp_path: Path, last: bool) -> None:
    files = filled(tmp_path, 2).kill()
    segment = 2 if last else 1
    data_of(files, segment)[:8] = b"damaged!"
    files.inodes.pop(path(segment, "index"), None)
    assert kept(tmp_path, files) == list(range(20))


def test_a_log_of_nothing_but_garbage_is_set_aside(tmp_path: Path) -> None:
    files = filled(tmp_path, 2).kill()
    files.inodes.pop(path(1, "index"))
    garbage = Random(1).randbytes(3000)
    files.inodes[path(1, "log")].data = bytearray(garbage)
    rig = Rig(tmp_path, files).start()
    assert rig.recovery is not None
    assert [(damage.number, damage.offset, damage.octets) for damage in rig.recovery.damages] == [(1, 0, garbage)]
    assert numbers(rig.take_all(rig.queue("queue"))) == list(range(10, 20))
    rig.end()


def test_files_of_a_segment_that_is_gone_mean_nothing(tmp_path: Path) -> None:
    rig = filled(tmp_path)
    client = rig.client()
    for _ in range(4):
        assert rig.get(client, rig.queue("queue"), no_ack=True) is not None
    rig.finish()
    files = rig.kill()
    settled = bytes(data_of(files, 1, "settled"))
    for number in (2, 7, 12):
        files.inodes[path(number, "settled")] = Inode(bytearray(settled), len(settled))
        files.inodes[path(number, "index")] = Inode(bytearray(b"old"), 3)
    rig = Rig(tmp_path, files).start()
    client = rig.client()
    assert log_files(rig) == ["00000001.log", "00000013.log"]
    for number in range(10, 20):
        rig.publish(client, [rig.queue("queue")], number, 200)
    rig.finish()
    rig = restarted(rig)
    assert numbers(rig.take_all(rig.queue("queue"))) == list(range(4, 20))
    assert not any("00000007" in name for name in rig.memory.inodes)
    rig.stop()


@pytest.mark.parametrize("segment", [1, 2])
def test_a_newer_format_is_refused(tmp_path: Path, segment: int) -> None:
    files = filled(tmp_path, 2).kill()
    data_of(files, segment)[11] = 2
    files.inodes.pop(path(segment, "index"), None)
    before = {name: bytes(inode.data) for name, inode in files.inodes.items() if name.endswith(".log")}
    for _ in range(2):
        rig = Rig(tmp_path, files)
        with pytest.raises(NewerFormat) as raised:
            rig.start()
        assert str(raised.value) == f"{path(segment, 'log')} has format version 2, and this broker knows up to 1"
    assert {name: bytes(files.inodes[name].data) for name in before} == before


@pytest.mark.parametrize("head", [b"", b"LEVER", b"LEVERETL\0\0\xcf\1\0\0\0\0", b"LEVERETL\0\0\0\1\0\0", bytes(16)])
def test_the_head_of_a_log_that_was_being_begun_may_be_anything(tmp_path: Path, head: bytes) -> None:
    files = filled(tmp_path, 1).kill()
    files.inodes[path(2, "log")] = Inode(bytearray(head), len(head))
    rig = Rig(tmp_path, files).start()
    assert log_files(rig) == ["00000001.log", "00000003.log"]
    assert numbers(rig.take_all(rig.queue("queue"))) == list(range(10))
    rig.end()


def test_looking_changes_nothing(tmp_path: Path) -> None:
    rig = filled(tmp_path, 3)
    client = rig.client()
    for _ in range(5):
        rig.get(client, rig.queue("queue"), no_ack=True)
    rig.finish()
    queue_id = int(rig.queue("queue").id)
    files = rig.kill()
    files.inodes.pop(path(1, "index"))
    data_of(files, 3).extend(b"torn")
    data_of(files, 1, "settled").extend(b"torn")
    files.inodes[path(4, "log")] = Inode()
    files.operations = 0
    recovery = Recovery(SegmentFiles(files, DIRECTORY), {queue_id}, False)
    recovery.run()
    assert recovery.messages == 25
    assert files.operations == 0


# crashes of the start itself


@pytest.mark.parametrize("loss", [None, *LOSSES], ids=lambda loss: type(loss).__name__)
def test_a_start_that_crashes_anywhere(tmp_path: Path, loss: Loss | None) -> None:
    rig = filled(tmp_path, 2)
    client = rig.client()
    for _ in range(3):
        assert rig.get(client, rig.queue("queue"), no_ack=True) is not None
    rig.finish()
    files = rig.kill()
    files.inodes.pop(path(1, "index"))
    data_of(files, 2).extend(b"torn")
    data_of(files, 1, "settled").extend(b"torn")
    files.inodes[path(3, "log")] = Inode()
    files.inodes[path(5, "settled")] = Inode()
    files.durable = dict(files.inodes)
    at = 0
    while True:
        tried = files.copy()
        tried.fault = crash_at(at, 0.5)
        rig = Rig(tmp_path, tried)
        try:
            rig.start()
        except Crashed:
            found = tried.killed() if loss is None else tried.after_power_loss(loss)
            assert kept(tmp_path, found) == list(range(3, 20))
            at += 1
            continue
        rig.end()
        break
    assert at > 8


def test_a_start_that_crashes_again_and_again(tmp_path: Path) -> None:
    files = filled(tmp_path, 2).kill()
    files.inodes.pop(path(1, "index"))
    random = Random(5)
    for _ in range(60):
        files.fault = crash_at(files.operations + random.randint(0, 8), random.random())
        rig = Rig(tmp_path, files)
        try:
            rig.start()
            rig.kill()
        except Crashed:
            pass
        files = files.after_power_loss(random.choice(LOSSES)) if random.random() < 0.5 else files.killed()
    assert kept(tmp_path, files) == list(range(20))


def test_order_and_flags_survive_many_restarts_and_requeues(tmp_path: Path) -> None:
    rig = filled(tmp_path, 2)
    expected = list(range(20))
    random = Random(3)
    for life in range(8):
        client = rig.client()
        queue = rig.queue("queue")
        found = [rig.get(client, queue) for _ in range(random.randint(0, 6))]
        for got in found:
            assert got is not None
            assert got.number == expected[found.index(got)]
            if random.random() < 0.5:
                client.channel.reject(got.tag, False, REQUEUED)
        acked = [got for got in found if got is not None and got.tag in client.channel.unacked]
        for got in acked[::2]:
            client.channel.ack(got.tag, False)
            expected.remove(got.number)
        for number in range(100 * (life + 1), 100 * (life + 1) + 3):
            rig.publish(client, [queue], number, 100)
            expected.append(number)
        rig.finish()
        delivered = {got.number for got in found if got is not None}
        rig = restarted(rig)
        taken = rig.take_all(rig.queue("queue"))
        assert numbers(taken) == expected
        assert all(redelivered for number, redelivered in taken if number in delivered)
        rig.clients[-1].channel.requeue_unacked(False)
        rig.compact()
    rig.stop()


def test_a_large_message_alone_in_its_segment(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    client = rig.client()
    queue = rig.declare("queue")
    for number, size in enumerate((100, 100 * MIB, 100)):
        rig.publish(client, [queue], number, size)
    rig.finish()
    assert client.confirmed() == [0, 1, 2]
    assert len(log_files(rig)) == 3
    rig = restarted(rig)
    client = rig.client()
    queue = rig.queue("queue")
    assert queue.ready_octets() >= 100 * MIB
    assert [rig.get(client, queue, no_ack=True) is not None for _ in range(4)] == [True, True, True, False]
    rig.finish()
    assert rig.memory.total_size() < MIB
    rig.stop()
