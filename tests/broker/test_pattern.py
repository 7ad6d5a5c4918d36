"""Regular expressions that take for ever, or are too large: what they can cost."""

from __future__ import annotations

import time

import pytest

from leveret.broker.pattern import LONGEST, LONGEST_TEXT, SHORTEST, InvalidPattern, Pattern
from tests.broker.driver import Driver

FOR_EVER = "^(a|a)*$"
NAMES = [f"{'a' * 200}{number}!" for number in range(200)]


def test_what_takes_for_ever_costs_less_each_time(caplog: pytest.LogCaptureFixture) -> None:
    pattern = Pattern(FOR_EVER)
    assert pattern.matches("aaa")
    assert not pattern.took_too_long
    begun = time.process_time()
    assert not any(pattern.matches(name) for name in NAMES)
    assert time.process_time() - begun < len(NAMES) * LONGEST / 3
    assert pattern._patience == SHORTEST
    assert pattern.matches("aaa"), "other names are matched as before"
    assert caplog.text.count("takes too long") == 1


def test_permissions_are_bounded_by_that(driver: Driver) -> None:
    """A client that may configure what an unlucky expression permits can ask for as many names as it likes."""
    driver.broker.permissions.set("guest", "/", FOR_EVER, "", "")
    permission = driver.broker.permissions.find("guest", "/")
    assert permission is not None
    begun = time.process_time()
    assert not any(permission.patterns[0].permits(name) for name in NAMES)
    assert time.process_time() - begun < len(NAMES) * LONGEST / 3


def test_a_large_expression_is_refused(driver: Driver) -> None:
    Pattern("a" * LONGEST_TEXT)
    with pytest.raises(InvalidPattern, match="regular expression is too large"):
        Pattern("a" * (LONGEST_TEXT + 1))
    with pytest.raises(InvalidPattern):
        driver.broker.permissions.set("guest", "/", "", "a|" * LONGEST_TEXT, "")


@pytest.mark.parametrize("text", ["(" * 5000 + ")" * 5000, "(?:" * 3000 + "a" + "){1,9}" * 3000, "a{99999999999}"])
def test_what_is_nested_too_deep_or_counts_too_far_is_refused(text: str) -> None:
    with pytest.raises(InvalidPattern):
        Pattern(text)
