"""A broker under load is killed a few times, and keeps its promises. The long form is `python -m tests.crash`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash.harness import Crash, Plan

SEED = os.environ.get("LEVERET_CRASH_SEED", "20")


@pytest.mark.timeout(120)
def test_what_was_confirmed_survives_kills(tmp_path: Path) -> None:
    crash = Crash(Plan(SEED, kills=6, longest=1.5, drain_every=3), tmp_path)
    crash.run()
    assert crash.ledger.violations == [], crash.summary()
    # The load was one: messages went every way, were acknowledged, and something was left to recover.
    counts = crash.ledger.counts
    assert min(counts[name] for name in ("confirmed", "transactions", "delivered", "settled")) > 50, crash.summary()
    assert crash.definitions.answered > 10
    assert crash.recovered > 100
    assert all(lane.owed == 0 for lane in crash.ledger.lanes.values())
