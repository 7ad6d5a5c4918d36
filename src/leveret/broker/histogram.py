"""Histograms of what is measured once for a tick or a batch, never for a message: sums and counts, without a clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mypy_extensions import i64

FAST_SECONDS: Final = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]
BATCH_OCTETS: Final = [float(256 << shift) for shift in range(0, 20, 2)]


class Histogram:
    """How many values there were, by upper bounds that rise; the last count is of what is above all of them."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds: Final = list(bounds)
        self.counts: Final = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value; a bound belongs to what is below it."""
        self.total += value
        at: i64 = 0
        for bound in self.bounds:
            if value <= bound:
                break
            at += 1
        self.counts[at] += 1

    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)
