"""The past of counters: rates, averages, samples, and what is forgotten when."""

from __future__ import annotations

import pytest

from leveret.management.history import (
    OF_NODES,
    SHORT,
    Distance,
    History,
    Range,
    Row,
    asked_range,
    packed,
)

NAMES = ("publish", "messages")
BEGIN = 1_700_000_000_000


def history(*samples: tuple[int, int, int]) -> History:
    """Samples at so many seconds behind the begin."""
    result = History(NAMES)
    for seconds, publish, messages in samples:
        result.add(BEGIN + seconds * 1000, (publish, messages))
    return result


def test_the_rate_is_that_of_the_last_two_samples() -> None:
    assert history().details(NAMES, BEGIN, None) == [{"rate": 0.0}, {"rate": 0.0}]
    assert history((0, 7, 7)).details(NAMES, BEGIN, None) == [{"rate": 0.0}, {"rate": 0.0}]
    past = history((0, 0, 50), (5, 1000, 50), (10, 1500, 25))
    assert past.details(NAMES, BEGIN, None) == [{"rate": 100.0}, {"rate": -5.0}]
    assert past.details(("messages",), BEGIN, None) == [{"rate": -5.0}]


def test_what_is_idle_has_a_rate_of_zero_and_two_samples() -> None:
    past = history(*[(5 * number, 9, 9) for number in range(100)])
    assert past.details(NAMES, BEGIN, None) == [{"rate": 0.0}, {"rate": 0.0}]
    assert [len(row.samples) for row in past._rows] == [2]
    past.add(BEGIN + 500_000, (59, 9))
    assert past.details(("publish",), BEGIN, None) == [{"rate": 10.0}]


def test_a_range_is_told_in_steps_newest_first() -> None:
    past = history((0, 0, 4), (5, 100, 4), (10, 200, 4), (15, 400, 4))
    now = BEGIN + 15_000
    [publish, messages] = past.details(NAMES, now, Range(10_000, 5_000))
    assert publish == {
        "avg": (400 + 200 + 100) / 3,
        "avg_rate": 30.0,
        "rate": 40.0,
        "samples": [
            {"sample": 400, "timestamp": now},
            {"sample": 200, "timestamp": now - 5_000},
            {"sample": 100, "timestamp": now - 10_000},
        ],
    }
    assert (messages["avg"], messages["avg_rate"], messages["rate"]) == (4.0, 0.0, 0.0)


def test_before_the_first_sample_there_was_as_much_as_then() -> None:
    past = history((0, 70, 0), (5, 90, 0))
    [publish] = past.details(("publish",), BEGIN + 5_000, Range(20_000, 5_000))
    samples = publish["samples"]
    assert isinstance(samples, list)
    assert [sample["sample"] for sample in samples] == [90, 70, 70, 70, 70]


def test_steps_lie_at_round_times() -> None:
    [publish] = history((0, 70, 0)).details(("publish",), BEGIN + 7_123, Range(60_000, 30_000))
    samples = publish["samples"]
    assert isinstance(samples, list)
    assert [sample["timestamp"] % 30_000 for sample in samples] == [0, 0, 0]


def test_samples_are_kept_as_long_as_somebody_wants_them() -> None:
    past = History(NAMES, SHORT)

    def run(begin: int, end: int) -> None:
        for seconds in range(begin, end, 5):
            past.add(BEGIN + seconds * 1000, (seconds, 0))

    run(0, 1000)
    assert len(past._rows[0].samples) == 14
    past.details(("publish",), BEGIN + 1_000_000, Range(600_000, 10_000))
    run(1000, 3000)
    assert len(past._rows[0].samples) == 121
    past.details(("publish",), BEGIN, Range(86_400_000, 60_000))
    run(3000, 6000)
    assert len(past._rows[0].samples) == 122


def test_a_node_keeps_days_at_wider_distances() -> None:
    past = History(NAMES, OF_NODES)
    for seconds in range(0, 100_000, 5):
        past.add(BEGIN + seconds * 1000, (seconds, 0))
    assert [len(row.samples) for row in past._rows] == [122, 62, 50, 49]
    [publish] = past.details(("publish",), BEGIN + 100_000_000, Range(86_400_000, 1_800_000))
    assert publish["avg_rate"] == pytest.approx(1.0, rel=0.03)


def test_a_sample_that_comes_early_is_left_out() -> None:
    row = Row(Distance(5_000, 60_000))
    for time in (0, 1_000, 1_500, 5_400, 5_500, 6_000, 10_500):
        row.add(time, packed(1).pack(time))
    assert list(row.times) == [0, 1_000, 5_500, 10_500]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, None),
        ({"msg_rates_age": "60"}, None),
        ({"msg_rates_age": "60", "msg_rates_incr": "5"}, Range(60_000, 5_000)),
        ({"msg_rates_age": "60", "msg_rates_incr": "0"}, None),
        ({"msg_rates_age": "-60", "msg_rates_incr": "5"}, None),
        ({"msg_rates_age": "x", "msg_rates_incr": "5"}, None),
        ({"msg_rates_age": "9999999", "msg_rates_incr": "1"}, None),
        ({"lengths_age": "60", "lengths_incr": "5"}, None),
    ],
)
def test_what_is_asked_for(query: dict[str, str], expected: Range | None) -> None:
    assert asked_range(query, "msg_rates") == expected
