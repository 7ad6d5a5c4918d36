"""Failed logins: who has to wait for their turn, for how long, and what is remembered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise

import bcrypt
import pytest

from leveret.broker import failed_logins
from leveret.broker.failed_logins import (
    FIRST_DELAY,
    FORGOTTEN_AFTER,
    FREE_FAILURES,
    FREE_OF_ADDRESS,
    KEPT,
    LONGEST_DELAY,
    LONGEST_OF_ADDRESS,
    LONGEST_WAIT,
    MOST_WAITING,
    source_of,
)
from leveret.broker.login import PasswordCheck, SlowWork
from leveret.broker.passwords import BCRYPT
from leveret.broker.users import User
from tests.broker.driver import Driver

STRANGER = "198.51.100.7"
SLOW = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


class Attempt:
    """One login, and what comes of it."""

    def __init__(self, driver: Driver, name: str, password: str, address: str = STRANGER) -> None:
        self.driver = driver
        self.wanted = True
        self.reason: str | None = None
        self.user: User | None = None
        self.answered_at: float | None = None
        broker = driver.broker
        self.check = PasswordCheck(
            broker, name, password.encode(), address, True, self.done, is_wanted=lambda: self.wanted
        )

    def done(self, user: User | None, reason: str) -> None:
        assert self.answered_at is None, "answered twice"
        self.user, self.reason, self.answered_at = user, reason, self.driver.now

    @property
    def outcome(self) -> str:
        if self.answered_at is None:
            return "waits"
        if self.user is not None:
            return "in"
        assert self.reason is not None
        return "unseen" if "too many attempts" in self.reason else "wrong"


@pytest.fixture
def attempt(driver: Driver) -> Callable[..., Attempt]:
    driver.broker.users.add("alice", b"secret")

    def begin(name: str, password: str = "wrong", address: str = STRANGER) -> Attempt:
        made = Attempt(driver, name, password, address)
        made.check.begin()
        return made

    return begin


def outcomes(attempts: list[Attempt]) -> list[str]:
    return [each.outcome for each in attempts]


def pass_time(driver: Driver, seconds: float, step: float = 0.05) -> None:
    """Let time pass in steps, as it does."""
    for _ in range(round(seconds / step)):
        driver.at(driver.now + step)


def test_attempts_side_by_side_are_looked_at_one_after_the_other(
    driver: Driver, attempt: Callable[..., Attempt]
) -> None:
    attempts = [attempt("alice") for _ in range(100)]
    assert outcomes(attempts) == ["wrong"] * FREE_FAILURES + ["waits"] * (100 - FREE_FAILURES)
    pass_time(driver, LONGEST_WAIT + 1)
    seen = [each for each in attempts if each.outcome == "wrong"]
    times = [each.answered_at or 0.0 for each in seen[FREE_FAILURES - 1 :]]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    expected = [min(FIRST_DELAY * 2**number, LONGEST_DELAY) for number in range(len(pauses))]
    assert pauses == pytest.approx(expected, abs=0.06)
    assert len(pauses) == 5, "0.25 + 0.5 + 1 + 2 + 4 seconds are as many as are waited"
    assert [each.outcome for each in attempts if each not in seen] == ["unseen"] * (100 - len(seen))


def test_a_right_password_behind_wrong_ones_gets_in_soon(driver: Driver, attempt: Callable[..., Attempt]) -> None:
    wrong = [attempt("alice") for _ in range(FREE_FAILURES + 2)]
    right = [attempt("alice", "secret") for _ in range(300)]
    assert {each.outcome for each in right} == {"waits"}
    pass_time(driver, LONGEST_WAIT)
    assert {each.outcome for each in wrong} == {"wrong"}
    assert {each.outcome for each in right} == {"in"}
    assert len({each.answered_at for each in right}) == 1, "right passwords let those behind them pass at once"


def test_a_flood_is_over_in_bounded_time(driver: Driver, attempt: Callable[..., Attempt]) -> None:
    flood = [attempt("alice") for _ in range(MOST_WAITING + FREE_FAILURES + 10)]
    assert outcomes(flood[-10:]) == ["unseen"] * 10, "no more than so many may wait"
    assert attempt("alice", "secret", "192.0.2.1").outcome == "in", "nobody is locked out elsewhere"
    assert attempt("guest", "guest").outcome == "in", "nor under another name"
    pass_time(driver, LONGEST_WAIT + LONGEST_DELAY)
    assert "waits" not in outcomes(flood)
    assert attempt("alice", "secret").outcome == "in"


def test_who_goes_away_gives_up_their_place(driver: Driver, attempt: Callable[..., Attempt]) -> None:
    gone = [attempt("alice") for _ in range(500)]
    for each in gone:
        each.wanted = False
    right = attempt("alice", "secret")
    driver.at(driver.now + FIRST_DELAY)
    assert right.outcome == "in"
    assert outcomes(gone[FREE_FAILURES:]) == ["waits"] * (500 - FREE_FAILURES), (
        "nobody was told, and none was looked at"
    )
    assert driver.broker.timers.waiting == 0


def test_many_names_from_one_address_wait_for_each_other(
    driver: Driver, attempt: Callable[..., Attempt], caplog: pytest.LogCaptureFixture
) -> None:
    assert attempt("guest", "guest").outcome == "in"
    attempts = [attempt(f"user {number}") for number in range(FREE_OF_ADDRESS + 20)]
    assert outcomes(attempts) == ["wrong"] * FREE_OF_ADDRESS + ["waits"] * 20
    assert f"{FREE_OF_ADDRESS} failed logins from {STRANGER} in a row" in caplog.text
    assert attempt("alice", "secret", "192.0.2.1").outcome == "in"
    assert attempt("guest", "guest").outcome == "in", "who has logged in from there need not wait for strangers"
    pass_time(driver, LONGEST_WAIT + 1)
    seen = outcomes(attempts).count("wrong") - FREE_OF_ADDRESS
    assert seen == 2 + (LONGEST_WAIT - 0.75) // LONGEST_OF_ADDRESS
    assert attempt("somebody else").outcome == "wrong"
    assert attempt("alice", "secret").outcome == "waits"
    assert attempt("guest", "guest").outcome == "in"


def test_a_right_password_does_not_forgive_the_address(driver: Driver, attempt: Callable[..., Attempt]) -> None:
    for number in range(FREE_OF_ADDRESS):
        attempt(f"user {number}")
    pass_time(driver, LONGEST_OF_ADDRESS)
    assert attempt("alice", "secret").outcome == "in"
    assert attempt("one more").outcome == "wrong"
    assert attempt("one more").outcome == "waits"


def test_failures_are_forgotten_after_a_while(driver: Driver, attempt: Callable[..., Attempt]) -> None:
    for _ in range(FREE_FAILURES):
        attempt("alice")
    waiting = attempt("alice", "secret")
    assert waiting.outcome == "waits"
    assert attempt("alice", "secret", "192.0.2.1").outcome == "in"
    driver.at(driver.now + FIRST_DELAY)
    assert waiting.outcome == "in"
    for _ in range(FREE_FAILURES):
        attempt("alice")
    driver.at(driver.now + FORGOTTEN_AFTER + 0.1)
    assert outcomes([attempt("alice") for _ in range(FREE_FAILURES + 1)]) == ["wrong"] * FREE_FAILURES + ["waits"]


def test_what_is_remembered_of_strangers_has_an_end(driver: Driver, attempt: Callable[..., Attempt]) -> None:
    logins = driver.broker.failed_logins
    for number in range(KEPT + 100):
        attempt("user", address=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    for number in range(KEPT + 100):
        attempt("guest", "guest", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert KEPT - 1 <= len(logins._names) <= KEPT and KEPT - 1 <= len(logins._addresses) <= KEPT
    assert len(logins._known) == KEPT
    assert attempt("x" * 60_000).outcome == "wrong"
    for _ in range(FREE_FAILURES - 1):
        attempt("x" * 50_000)  # of a name that is too long the beginning counts
    assert attempt("x" * 60_000).outcome == "waits"


def test_nothing_is_remembered_of_who_never_fails(driver: Driver, attempt: Callable[..., Attempt]) -> None:
    assert attempt("alice", "secret").outcome == attempt("guest", "guest", "192.0.2.1").outcome == "in"
    logins = driver.broker.failed_logins
    assert not logins._names and not logins._addresses
    assert driver.broker.timers.waiting == 0


# hashes that are slow


class Later(SlowWork):
    """Keeps slow work until the test does it."""

    def __init__(self) -> None:
        self.work: list[tuple[Callable[[], None], Callable[[], None]]] = []

    def submit(self, run: Callable[[], None], done: Callable[[], None]) -> None:
        self.work.append((run, done))

    def go_on(self) -> None:
        run, done = self.work.pop(0)
        run()
        done()


@pytest.fixture
def later(driver: Driver) -> Later:
    driver.broker.users.put("slow", SLOW, BCRYPT, ())
    later = driver.broker.slow_work = Later()
    return later


def test_few_hashes_are_on_their_way_at_once(driver: Driver, attempt: Callable[..., Attempt], later: Later) -> None:
    attempts = [attempt("slow", "secret") for _ in range(50)]
    assert len(later.work) == FREE_FAILURES
    others = [attempt(name) for number in range(200) if not fast(driver, name := f"user {number}")]
    assert len(later.work) <= FREE_FAILURES + FREE_OF_ADDRESS
    while later.work:
        later.go_on()
    assert {each.outcome for each in attempts} == {"in"}
    assert {each.outcome for each in others} == {"wrong", "waits"}


def fast(driver: Driver, name: str) -> bool:
    return not driver.broker.users.secret(name).is_slow


def test_slow_hashes_of_who_is_gone_or_was_refused_are_not_computed(
    driver: Driver, attempt: Callable[..., Attempt], later: Later
) -> None:
    late, gone = attempt("slow", "secret"), attempt("slow", "secret")
    gone.wanted = False
    driver.at(driver.now + LONGEST_WAIT)
    assert late.outcome == "unseen"
    later.go_on()
    later.go_on()
    assert not late.check._compared and not gone.check._compared
    again = [attempt("slow") for _ in range(FREE_FAILURES + 1)]
    assert len(later.work) == FREE_FAILURES, "what was not looked at is no failure, and in nobody's way"
    for _ in range(FREE_FAILURES):
        later.go_on()
    assert outcomes(again) == ["wrong"] * FREE_FAILURES + ["waits"]


# addresses


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("[2001:db8::ffff:1]", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("leveretctl", "leveretctl"),
    ],
)
def test_whom_an_address_stands_for(address: str, source: str) -> None:
    assert source_of(address) == source


def test_failures_of_either_protocol_count_for_both(driver: Driver, attempt: Callable[..., Attempt]) -> None:
    for address in ("[2001:db8::1]", "2001:db8::1", "2001:db8::2"):
        assert attempt("alice", address=address).outcome == "wrong"
    assert attempt("alice", "secret", "2001:db8::3").outcome == "waits"
    assert attempt("alice", "secret", "2001:db8:0:1::3").outcome == "in"


def test_the_log_tells_who_fails(
    driver: Driver, attempt: Callable[..., Attempt], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, failed_logins.log.name)
    for _ in range(FREE_FAILURES):
        attempt("alice", "hunter2")
    assert f"{FREE_FAILURES} failed logins of user 'alice' from {STRANGER} in a row" in caplog.text
    assert "hunter2" not in caplog.text
