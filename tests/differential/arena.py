"""Plays scenarios on two brokers at the same time and compares what they say.

A difference that goes away when both are given more time was a race and none of a broker's rules, so every difference
is played again with more patience before it counts. A scenario that needs short times and ran too slowly is repeated
as well; how often that did not help is counted, and said in the end.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.differential.comparison import Difference, Verdict, compare
from tests.differential.operations import Scenario
from tests.differential.player import Player, Recording

ATTEMPTS = 4


@dataclass
class Tally:
    """What happened in all scenarios together."""

    played: int = 0
    repeated: int = 0
    too_slow: int = 0
    races: int = 0
    explained: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"{self.played} scenarios ({self.repeated} played again, {self.too_slow} given up as too slow, "
            f"{self.races} differences that time explained)"
        )


class Arena:
    """Two brokers, ours and theirs, and the differences between them that are on purpose."""

    def __init__(self, ours: Player, theirs: Player, known: Sequence[Difference]) -> None:
        self.players = (ours, theirs)
        self.known = known
        self.tally = Tally()
        self._threads = ThreadPoolExecutor(2)
        self._unique = uuid.uuid4().hex[:6]
        self._games = 0

    def play(self, scenario: Scenario) -> Verdict:
        """Play a scenario on both; gives the first difference that nothing explains."""
        self.tally.played += 1
        verdict = Verdict(None)
        for attempt in range(ATTEMPTS):
            recordings = self._record(scenario, 1 + 10.0 * attempt)
            if attempt:
                self.tally.repeated += 1
            verdict = compare(scenario, recordings[0].steps, recordings[1].steps, self.known)
            late = any(recording.late for recording in recordings)
            if verdict.difference is None:
                self.tally.races += attempt > 0 and not late
                self.tally.explained.update(verdict.explained)
                return verdict
            if attempt and not late:
                return verdict
        self.tally.too_slow += 1
        return Verdict(None)

    def _record(self, scenario: Scenario, patience: float) -> list[Recording]:
        self._games += 1
        prefix = f"{self._unique}-{self._games:06}-"
        try:
            return list(self._threads.map(lambda player: player.play(scenario, prefix, patience), self.players))
        except Exception as error:
            error.add_note(f"while playing {scenario!r}")
            raise
