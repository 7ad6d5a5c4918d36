"""What counters were at moments of the past, and what RabbitMQ's HTTP API makes of it: rates, averages, samples.

A history keeps its samples at one or several distances, the wider the longer. Of samples that don't differ the first
and the last are kept, so that what is idle costs next to nothing. Times are milliseconds since 1970.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cache
from struct import Struct
from typing import Final, NamedTuple

SECOND: Final = 1000
MOST_SAMPLES: Final = 10_000  # of one answer, for each counter
EARLY: Final = 500  # milliseconds that a sample may come before it is due; timers are never quite on time


class Distance(NamedTuple):
    """A sample every `interval` milliseconds is kept for `keep` milliseconds."""

    interval: int
    keep: int


# RabbitMQ's sample_retention_policies for `global`
OF_NODES: Final = (
    Distance(5 * SECOND, 605 * SECOND),
    Distance(60 * SECOND, 3660 * SECOND),
    Distance(600 * SECOND, 29_400 * SECOND),
    Distance(1800 * SECOND, 86_400 * SECOND),
)
SHORT: Final = (Distance(5 * SECOND, 65 * SECOND),)  # enough for the minute that a chart shows unasked
LONGEST_OF_THINGS: Final = 605 * SECOND  # for what somebody asks for more of


class Range(NamedTuple):
    """The samples that are asked for: one every `step` milliseconds in the last `age` milliseconds."""

    age: int
    step: int


class Ranges(NamedTuple):
    """The samples that one request asks for, by what is counted; None asks for a rate alone."""

    lengths: Range | None = None
    msg_rates: Range | None = None
    data_rates: Range | None = None


@cache
def packed(count: int) -> Struct:
    """How so many counters are packed."""
    return Struct(f"{count}q")


@cache
def places_of(names: tuple[str, ...]) -> dict[str, int]:
    """Where each counter stands in a sample."""
    return {name: at for at, name in enumerate(names)}


class Row:
    """Samples at one distance. Of most things there are two, so lists take less memory than deques."""

    __slots__ = ("interval", "keep", "samples", "times")

    def __init__(self, distance: Distance) -> None:
        self.interval: Final = distance.interval
        self.keep = distance.keep
        self.times: Final[list[int]] = []
        self.samples: Final[list[bytes]] = []

    def add(self, time: int, sample: bytes) -> None:
        """Keep a sample, unless it comes too early; the second may, so that there is a rate soon."""
        times, samples = self.times, self.samples
        if times and time - times[-1] < (self.interval if len(times) > 1 else SECOND) - EARLY:
            return
        if len(samples) > 1 and samples[-1] == samples[-2] == sample:
            times[-1] = time
        else:
            times.append(time)
            samples.append(sample)
        while len(times) > 2 and times[1] <= time - self.keep:
            del times[0], samples[0]


class History:
    """The past of the counters of one thing, in the order of `names`."""

    __slots__ = ("_latest", "_packed", "_rows", "_sample", "changed_at", "names", "seen")

    def __init__(self, names: tuple[str, ...], distances: Sequence[Distance] = SHORT) -> None:
        self.names: Final = names
        self._packed: Final = packed(len(names))
        self._rows: Final = [Row(distance) for distance in distances]
        self.seen = 0  # the number of the last round in which it was there
        self.changed_at = 0  # when they were first seen as they are now
        self._latest: Sequence[int] = ()  # what the counters were,
        self._sample = b""  # packed

    def add(self, time: int, values: Sequence[int]) -> None:
        """Keep what the counters are now."""
        if values != self._latest:
            self._latest = values
            self._sample = self._packed.pack(*values)
            self.changed_at = time
        for row in self._rows:
            row.add(time, self._sample)

    def details(self, names: Sequence[str], now: int, asked: Range | None) -> list[dict[str, object]]:
        """What RabbitMQ says in `<name>_details` of each: the rate by the last two samples, or by those asked for."""
        if asked is None:
            return [{"rate": self.rate(name)} for name in names]
        row = self._row(asked)
        newest = now - now % asked.step
        times = range(newest, newest - asked.age - 1, -asked.step)
        samples = [self._packed.unpack(sample) for sample in row.samples] or [(0,) * len(self.names)]
        stepped = [samples[max(bisect_right(row.times, time) - 1, 0)] for time in times]
        places = places_of(self.names)
        return [of_range(times, [sample[places[name]] for sample in stepped], asked) for name in names]

    def rate(self, name: str) -> float:
        """How much comes up in a second, by the last two samples; below 0 for messages that become less."""
        row = self._rows[0]
        samples = row.samples
        if len(samples) < 2 or samples[-1] == samples[-2]:
            return 0.0
        at = places_of(self.names)[name]
        newest, before = self._packed.unpack(samples[-1])[at], self._packed.unpack(samples[-2])[at]
        return float(newest - before) / ((row.times[-1] - row.times[-2]) / SECOND)

    def _row(self, asked: Range) -> Row:
        """The finest samples that go back as far as is asked for. Who asks for more than is kept has it kept."""
        for row in self._rows:
            if row.keep >= asked.age:
                return row
        last = self._rows[-1]
        if len(self._rows) == 1:
            last.keep = min(asked.age, LONGEST_OF_THINGS)
        return last


def of_range(times: Sequence[int], values: Sequence[int], asked: Range) -> dict[str, object]:
    """The values at these times, newest first; before the first that is known it is taken to have been the same."""
    newest = values[0]
    before = values[min(1, len(values) - 1)]
    seconds = (len(values) - 1) * asked.step / SECOND
    return {
        "avg": sum(values) / len(values),
        "avg_rate": (newest - values[-1]) / seconds if seconds else 0.0,
        "rate": (newest - before) / (asked.step / SECOND),
        "samples": [{"sample": value, "timestamp": time} for value, time in zip(values, times, strict=True)],
    }


def asked_range(query: Mapping[str, str], kind: str) -> Range | None:
    """The range that `<kind>_age` and `<kind>_incr` of a query ask for, in seconds; None if they ask for none."""
    age, step = query.get(f"{kind}_age", ""), query.get(f"{kind}_incr", "")
    if not (age.isdecimal() and step.isdecimal() and len(age) < 8 and len(step) < 8):
        return None
    if int(step) == 0 or int(age) // int(step) > MOST_SAMPLES:
        return None
    return Range(int(age) * SECOND, int(step) * SECOND)


def asked_ranges(query: Mapping[str, str]) -> Ranges:
    """All ranges that a query asks for."""
    return Ranges(*[asked_range(query, kind) for kind in Ranges._fields])
