"""A short differential run, where RabbitMQ is installed; `make differential` is the long one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.differential.arena import Arena
from tests.differential.brokers import leveret_target, rabbitmq_target
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


def test_a_difference_is_found(arena: Arena) -> None:
    """Without the list of differences on purpose, what stands in it is one."""
    strict = Arena(*arena.players, ())
    known = next(difference for difference in DIFFERENCES if difference.name == "unknown exchange type")
    assert strict.play(known.example).difference is not None
    assert arena.play(known.example).difference is None
