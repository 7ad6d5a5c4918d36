"""A short differential run, where RabbitMQ is installed; `make differential` is the long one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.differential.arena import Arena
from tests.differential.brokers import leveret_target, rabbitmq_target
from tests.differential.comparison import Difference
from tests.differential.differences import DIFFERENCES
from tests.differential.player import Player
from tests.differential.scenarios import FEATURES, random_scenario
from tests.support.rabbitmq import rabbitmq_server

SCENARIOS = 10

pytestmark = pytest.mark.skipif(
    rabbitmq_server() is None, reason="RabbitMQ is not installed, so there is nothing to compare with"
)


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with contextlib.ExitStack() as stack:
        ours, theirs = stack.enter_context(leveret_target()), stack.enter_context(rabbitmq_target())
        yield Arena(Player(ours), Player(theirs), DIFFERENCES)


@pytest.mark.timeout(120)
def test_both_brokers_say_the_same(arena: Arena) -> None:
    for number in range(SCENARIOS):
        difference = arena.play(random_scenario(f"short-{number}", FEATURES)).difference
        assert difference is None, str(difference)


@pytest.mark.parametrize("known", DIFFERENCES, ids=lambda known: known.name)
def test_a_known_difference_is_one(arena: Arena, known: Difference) -> None:
    """What is no longer different, or has become another's, does not stay in the list."""
    verdict = arena.play(known.example)
    assert verdict.difference is None, str(verdict.difference)
    assert known.name in verdict.explained
