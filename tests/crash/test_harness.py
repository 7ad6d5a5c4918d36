"""The harness finds what is broken in a real broker's data, and what is wrong with definitions."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.crash.definitions import Definitions, Operation
from tests.crash.harness import Crash, Plan

QUEUE, EXCHANGE = ("queue", "crash.definitions.plain"), ("exchange", "crash.definitions.direct")
BINDING = ("binding", EXCHANGE[1], QUEUE[1])


def cut_the_log(data_dir: Path) -> None:
    """Lose the last third of each segment, as if it had never been written: the newest alone may be just begun."""
    for path in data_dir.glob("messages/*.log"):
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size * 2 // 3)


def forget_what_was_settled(data_dir: Path) -> None:
    """Lose every acknowledgement."""
    for path in data_dir.glob("messages/*.settled"):
        path.unlink()


def forget_the_definitions(data_dir: Path) -> None:
    for path in data_dir.glob("definitions.sqlite*"):
        path.unlink()


@pytest.mark.parametrize(
    ("sabotage", "rules"),
    [
        (cut_the_log, {"lost", "miscounted"}),
        (forget_what_was_settled, {"resurrected", "miscounted"}),
        (forget_the_definitions, {"definitions"}),
    ],
)
def test_a_broken_data_folder_is_found(sabotage: Callable[[Path], None], rules: set[str], tmp_path: Path) -> None:
    # The seed gives a kill after more than half a second, so there is something to lose.
    crash = Crash(Plan("8", kills=1, shortest=0.7, longest=1.0), tmp_path, sabotage=sabotage)
    crash.run()
    assert rules <= set(crash.ledger.violation_counts), crash.summary()


def test_a_broker_that_keeps_nothing_is_found(tmp_path: Path) -> None:
    crash = Crash(Plan("3", kills=1, longest=0.3, arguments=("--ephemeral",)), tmp_path)
    crash.run()
    assert {"definitions", "restart"} <= set(crash.ledger.violation_counts), crash.summary()


def sent(*operations: Operation) -> Definitions:
    """One queue is there for certain, and these operations were sent and not answered."""
    definitions = Definitions()
    definitions.settle(Operation(True, QUEUE))
    definitions.sent = list(operations)
    return definitions


@pytest.mark.parametrize(
    ("operations", "found"),
    [
        ([], {QUEUE}),
        ([Operation(True, EXCHANGE)], {QUEUE}),
        ([Operation(True, EXCHANGE)], {QUEUE, EXCHANGE}),
        ([Operation(True, EXCHANGE), Operation(True, BINDING)], {QUEUE, EXCHANGE}),
        ([Operation(False, QUEUE)], set()),
    ],
)
def test_the_definitions_are_those_after_some_of_the_operations(
    operations: list[Operation], found: set[tuple[str, ...]]
) -> None:
    definitions = sent(*operations)
    assert definitions.resolve(frozenset(found))
    assert definitions.state == found
    assert definitions.sent == []


@pytest.mark.parametrize(
    ("operations", "found"),
    [
        ([], set()),  # a confirmed definition is lost
        ([], {QUEUE, EXCHANGE}),  # a deleted one is back
        ([Operation(True, EXCHANGE), Operation(True, BINDING)], {QUEUE, BINDING}),  # out of order
        ([Operation(True, EXCHANGE)], {EXCHANGE}),
    ],
)
def test_other_definitions_are_refused(operations: list[Operation], found: set[tuple[str, ...]]) -> None:
    definitions = sent(*operations)
    assert not definitions.resolve(frozenset(found))


def test_a_deletion_takes_the_bindings_along() -> None:
    state = frozenset({QUEUE, EXCHANGE, BINDING})
    assert Operation(False, QUEUE).applied(state) == {EXCHANGE}
    assert Operation(False, EXCHANGE).applied(state) == {QUEUE}
    assert Operation(False, BINDING).applied(state) == {QUEUE, EXCHANGE}


def test_chosen_operations_give_a_different_state_each() -> None:
    random, definitions = Random(1), Definitions()
    for _ in range(200):
        definitions.choose(random)
        states = list(definitions.candidates())
        assert len(set(states)) == len(states) == len(definitions.sent) + 1
        for _ in range(random.randint(0, len(definitions.sent))):
            definitions.answer()
        assert definitions.resolve(random.choice(list(definitions.candidates())))


def test_what_a_run_prints_can_be_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crash = Crash(Plan("3", kills=1, longest=0.3), tmp_path)
    crash.run()
    assert crash.ledger.violations == [], crash.summary()
    printed = capsys.readouterr().out
    assert printed.startswith("seed 3, ")
    assert re.search(r"^killed +after \d\.\d\d s: .* confirmed", printed, re.MULTILINE)
    assert re.search(r"^ +life 2: started in .* messages \(\d+ to \d+ expected\).*recovered", printed, re.MULTILINE)
