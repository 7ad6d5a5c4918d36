"""The ledger finds each kind of broken promise in an invented history, and nothing in a history that keeps them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.crash.histories import BROKEN, KEPT, History
from tests.crash.ledger import SHOWN_VIOLATIONS


@pytest.mark.parametrize(("rule", "happens"), BROKEN, ids=[happens.__name__ for _, happens in BROKEN])
def test_a_broken_promise_is_found(rule: str, happens: Callable[[History], None]) -> None:
    history = History()
    happens(history)
    assert rule in history.broken
    # An error may break two rules: what is lost of a transaction that had survived is half of it, too.
    assert set(history.broken) <= {rule, "lost"}


@pytest.mark.parametrize("happens", KEPT, ids=[happens.__name__ for happens in KEPT])
def test_a_history_that_keeps_the_promises_passes(happens: Callable[[History], None]) -> None:
    history = History()
    happens(history)
    history.empty("q", "r")
    assert history.ledger.violations == []
    assert all(lane.owed == 0 for lane in history.ledger.lanes.values())
    assert history.ledger.open_transactions == []


def test_what_came_back_is_counted_by_what_is_known_of_the_ack() -> None:
    history = History()
    history.publish(0, 1, 2)
    history.get(0, 1, 2)
    history.ack(0, processed=True)
    history.ack(1)
    history.crash()
    history.get(0, 1, 2, again=True)
    assert history.ledger.counts["came back after a processed ack"] == 1
    assert history.ledger.counts["came back after a sent ack"] == 1
    assert history.broken == {}


def test_bounds_are_what_is_owed_and_what_is_possible() -> None:
    history = History()
    history.publish(0, 1)
    history.publish(2, confirm=False)
    history.get(0)
    history.ack(0)
    history.crash()
    assert history.ledger.bounds("q") == (1, 3)


def test_a_confirmed_transaction_is_judged_by_what_it_owes() -> None:
    history = History()
    history.commit(0, 1, confirm=True)
    assert history.ledger.open_transactions == []
    assert history.ledger.bounds("q") == (2, 2)
    assert history.ledger.counts["transactions"] == 1


def test_many_violations_are_counted_and_some_are_kept() -> None:
    history = History()
    history.get(*range(SHOWN_VIOLATIONS + 5))
    assert history.broken == {"unknown": SHOWN_VIOLATIONS + 5}
    assert len(history.ledger.violations) == SHOWN_VIOLATIONS
