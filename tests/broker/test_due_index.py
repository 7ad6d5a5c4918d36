"""The index of delayed messages, compared with a sorted list, and the positions that it orders."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from leveret.broker import due_index
from leveret.broker.due_index import LATEST, NOWHERE, SEQUENCES, DueIndex, DuePositions, due_time, first_position

NOW = 1_700_000_000_000
delays = st.one_of(st.integers(0, 50), st.integers(0, 10**6), st.integers(0, 2**41))


def take_all(index: DueIndex, limit: int, most: int) -> list[tuple[int, int]]:
    taken: list[tuple[int, int]] = []
    while True:
        while not index.prepare(limit):
            pass
        found = index.take(limit, most)
        if not found:
            return taken
        taken += found


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.lists(delays, max_size=30), st.one_of(delays, st.none())), max_size=15),
    st.sampled_from([1, 3, 100]),
    st.sampled_from([1, 2, 7]),
)
def test_the_index_gives_what_is_due_in_order(
    steps: list[tuple[list[int], int | None]], small: int, portion: int
) -> None:
    """Each step adds what is due later than now, lets time pass (None: none), and takes what is due then."""
    index, positions, now = DueIndex(small, portion), DuePositions(), NOW
    model: list[tuple[int, int]] = []
    for added, passes in steps:
        for delay in added:
            position = positions.give(now + 1 + delay, now)
            entry = (int(position), len(model))
            model.append(entry)
            index.add(*entry)
        now += passes or 0
        limit = first_position(now + 1) - 1
        assert index.earliest() <= min(model, default=(NOWHERE, 0))[0]
        taken = take_all(index, limit, 2)
        due = sorted(entry for entry in model if entry[0] <= limit)
        assert taken == due
        if taken and passes is None:
            index.put_back(*taken[-1])
            assert index.take(limit, 1) == taken[-1:]
        model = [entry for entry in model if entry[0] > limit]
        assert index.count == len(model)
    assert sorted(index.clear()) == sorted(place for _, place in model)
    assert (index.count, index.earliest()) == (0, NOWHERE)


def test_a_large_bucket_is_opened_in_portions() -> None:
    index, positions = DueIndex(), DuePositions()
    entries = [(int(positions.give(NOW + 10**8 + number % 10**6, NOW)), number) for number in range(50_000)]
    for entry in entries:
        index.add(*entry)
    limit = first_position(NOW + 10**8 + 10**6)
    rounds = 1
    while not index.prepare(limit):
        rounds += 1
    assert rounds > 3
    assert take_all(index, limit, 1000) == sorted(entries)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**63 - 1 - NOW), max_size=50))
def test_positions_follow_the_due_times_and_are_all_different(delays: list[int]) -> None:
    positions = DuePositions()
    given_out = [int(positions.give(NOW + delay, NOW)) for delay in delays]
    assert len(set(given_out)) == len(given_out)
    assert all(0 <= position < 2**62 for position in given_out)
    for delay, position in zip(delays, given_out, strict=True):
        assert due_time(position) == min(NOW + delay, LATEST)


def test_more_messages_than_a_millisecond_has_numbers_for_are_due_in_the_next() -> None:
    positions = DuePositions()
    positions.note(first_position(NOW + 5) + SEQUENCES - 2)
    assert due_time(positions.give(NOW + 5, NOW)) == NOW + 5
    assert due_time(positions.give(NOW + 5, NOW)) == NOW + 6
    assert due_time(positions.give(NOW + 5 + due_index.CLASSES, NOW)) == NOW + 6 + due_index.CLASSES
    later = NOW + 6  # all of that class have gone, so its numbers are free
    assert positions.give(NOW + 5 + due_index.CLASSES, later) == first_position(NOW + 5 + due_index.CLASSES)
