"""Random work by several connections, compared with a model: nothing is lost, doubled, reordered or left lying.

Hypothesis finds short examples, long runs of plain random numbers reach further. Both are the same each time, and
bounded. LEVERET_MODEL_EXAMPLES=3000 python -m pytest tests/broker/test_model.py looks further, hypothesis at random.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.broker.work import Work

T = TypeVar("T")

EXAMPLES = int(os.environ.get("LEVERET_MODEL_EXAMPLES", "0"))
RUNS = range(EXAMPLES // 10 or 100)
ACTIONS_IN_A_RUN = 600

# With how often each comes in a long run, beside the others.
ACTIONS = {
    **{"publish": 6, "publish_with_copies": 2, "begin_publish": 1, "finish_publish": 2, "longer_tick": 2},
    **{"consume": 4, "cancel": 1, "get": 3, "settle": 8, "recover": 1, "limit": 3, "flow": 1, "stall": 1},
    **{"declare": 2, "keep_up": 2, "select": 1, "end_transaction": 2, "close_channel": 1, "end_connection": 1},
}


@cache
def below(limit: int) -> st.SearchStrategy[int]:
    return st.integers(0, limit - 1)


def action(name: str) -> Callable[[BrokerMachine, st.DataObject], None]:
    """The rule that does one action of Work."""

    def act(machine: BrokerMachine, data: st.DataObject) -> None:
        def choose(options: Sequence[T], /) -> T:
            return options[data.draw(below(len(options)), label=name)]

        machine.work.act(name, choose)

    act.__name__ = name
    return rule(data=st.data())(act)


class BrokerMachine(RuleBasedStateMachine):
    """Hypothesis chooses the actions and all that belongs to them."""

    def __init__(self) -> None:
        super().__init__()
        self.work = Work()


for each in ACTIONS:
    setattr(BrokerMachine, each, action(each))

TestBroker = pytest.mark.timeout(0 if EXAMPLES else 300)(BrokerMachine.TestCase)
TestBroker.settings = settings(
    max_examples=EXAMPLES or 200,
    stateful_step_count=60,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("number", RUNS)
def test_a_long_run(number: int) -> None:
    """Not all actions are as frequent in each run: some never come, some often."""
    chance = random.Random(number)
    weights = [weight * chance.choice((0, 1, 1, 4)) for weight in ACTIONS.values()]
    work = Work()
    for name in ["publish", *chance.choices(list(ACTIONS), weights, k=ACTIONS_IN_A_RUN)]:
        work.act(name, chance.choice)
