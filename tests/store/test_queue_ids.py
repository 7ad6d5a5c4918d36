"""Ids of queues: those of durable ones are never mixed up over restarts, and the others' never come to an end."""

from __future__ import annotations

from pathlib import Path

import pytest

from leveret.amqp.reply_codes import SoftError
from leveret.store.queue_ids import DURABLE_END, END, QueueIds, widest_gap
from leveret.store.segment import DELIVERED_MARK, OFFSET
from tests.store.rig import Rig, restarted


def no_ids() -> set[int]:
    return set()


def test_the_highest_id_leaves_room_for_a_place() -> None:
    assert (END - 1) << 32 | DELIVERED_MARK | OFFSET < 1 << 62


def test_durable_ids_go_on_behind_all_that_are_known() -> None:
    ids = QueueIds(7, no_ids, 100, 200)
    ids.restored([3, 150])
    assert [ids.durable(), ids.durable()] == [7, 8]
    ids = QueueIds(7, no_ids, 100, 200)
    ids.restored([3, 30])
    assert ids.durable() == 31


def test_near_their_end_durable_ids_go_on_where_most_in_a_row_are_free() -> None:
    ids = QueueIds(97, no_ids, 100, 200)
    ids.restored([20, 1, 60, 96, 150])
    assert [ids.durable() for _ in range(39)] == list(range(21, 60))
    with pytest.raises(SoftError) as refused:
        ids.durable()
    assert refused.value.code == 406


@pytest.mark.parametrize(
    ("known", "gap"),
    [
        ([], (1, 100)),
        ([1], (2, 100)),
        ([99], (1, 99)),
        ([40, 50], (51, 100)),
        ([2, 60, 61, 99], (3, 60)),
        (list(range(1, 100)), (1, 1)),
    ],
)
def test_the_widest_gap(known: list[int], gap: tuple[int, int]) -> None:
    assert widest_gap(known, 100) == gap


def test_transient_ids_are_given_again_but_for_those_in_use() -> None:
    in_use = {100, 103}
    ids = QueueIds(1, lambda: in_use, 100, 105)
    assert [ids.transient() for _ in range(5)] == [100, 101, 102, 103, 104]
    assert [ids.transient() for _ in range(3)] == [101, 102, 104]
    in_use = {101}
    assert [ids.transient() for _ in range(4)] == [100, 102, 103, 104]


def test_queues_that_are_not_durable_use_up_no_ids_of_others(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    client = rig.client()
    durable, transient = rig.declare("durable"), rig.declare("transient", False)
    rig.publish(client, [durable, transient], 1)
    rig.finish()
    rig = restarted(rig)
    assert rig.declare("next").id == durable.id + 1
    assert rig.take_all(rig.queue("next")) == []
    assert rig.take_all(rig.queue("durable")) == [(1, False)]
    rig.stop()


def test_a_transient_queue_keeps_its_id_when_all_others_were_given(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    first, durable = rig.declare("first", False), rig.declare("durable")
    rig.store._queue_ids._next_transient = END
    assert (first.id, durable.id) == (DURABLE_END, 1)
    assert rig.declare("second", False).id == DURABLE_END + 1
    rig.stop()


def test_ids_that_are_free_again_are_used_after_a_restart(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    client = rig.client()
    low = rig.declare("low")
    rig.store._queue_ids._next = DURABLE_END - 1
    high = rig.declare("high")
    with pytest.raises(SoftError) as refused:
        rig.declare("higher")
    assert refused.value.code == 406
    assert rig.declare("transient", False).id == DURABLE_END
    rig.publish(client, [low, high], 1)
    rig.finish()
    rig = restarted(rig)
    client, mover = rig.client(), rig.transactional()
    new = rig.declare("new")
    assert new.id == 2
    got = rig.get(mover, rig.queue("high"))
    assert got is not None
    rig.publish(mover, [new], 2)  # from a queue with a higher id to one that is being declared
    mover.channel.ack(got.tag, False)
    rig.commit(mover)
    rig.publish(client, [rig.queue("high")], 3)
    rig.finish()
    rig = restarted(rig)
    assert {name: [number for number, _ in rig.take_all(queue)] for name, queue in rig.vhost.queues.items()} == {
        "low": [1],
        "high": [3],
        "new": [2],
    }
    rig.stop()
