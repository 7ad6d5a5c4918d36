"""The long differential test: `python -m tests.differential --examples 500`.

It plays scenarios on Leveret and on the RabbitMQ that is installed. The first difference that is not on purpose is made
as small as it goes and printed, and the status is 1. With --keep-going others of other kinds are looked for as well.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time

from tests.differential.arena import Arena
from tests.differential.brokers import leveret_target, rabbitmq_target
from tests.differential.comparison import Moment
from tests.differential.differences import DIFFERENCES
from tests.differential.operations import Scenario
from tests.differential.player import Player
from tests.differential.reduction import smallest
from tests.differential.scenarios import FEATURES, random_scenario
from tests.support.rabbitmq import rabbitmq_server

TARGETS = {"leveret": leveret_target, "rabbitmq": rabbitmq_target}


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    result = argparse.ArgumentParser(prog="python -m tests.differential", description="Compare Leveret with RabbitMQ.")
    result.add_argument("--examples", type=int, default=500, help="how many scenarios (default: 500)")
    result.add_argument("--seed", default=str(time.time_ns() % 1_000_000), help="(default: another each time)")
    result.add_argument("--feature", action="append", choices=FEATURES, help="leave out others (default: all)")
    result.add_argument("--keep-going", action="store_true", help="look for differences of other kinds after the first")
    result.add_argument("--ours", choices=TARGETS, default="leveret", help="(default: leveret)")
    result.add_argument("--theirs", choices=TARGETS, default="rabbitmq", help="(default: rabbitmq)")
    return result


def main() -> int:
    options = parser().parse_args()
    if rabbitmq_server() is None and "rabbitmq" in (options.ours, options.theirs):
        print("RabbitMQ is not installed here, so there is nothing to compare Leveret with (Debian: rabbitmq-server).")
        return 0
    known = () if options.ours == options.theirs else DIFFERENCES
    with contextlib.ExitStack() as stack:
        ours, theirs = (stack.enter_context(TARGETS[name]()) for name in (options.ours, options.theirs))
        arena = Arena(Player(ours), Player(theirs), known)
        print(f"{ours.name} beside {theirs.name}, seed {options.seed}", flush=True)
        begun = time.monotonic()
        found = search(arena, options)
        print(f"{arena.tally} in {time.monotonic() - begun:.0f} s")
        for name, count in sorted(arena.tally.explained.items()):
            print(f"  {count:6} times: {name}")
    return 1 if found else 0


def search(arena: Arena, options: argparse.Namespace) -> set[str]:
    """Play as many scenarios as are wanted, and print what is different; gives the kinds of differences."""
    seen: set[str] = set()
    for number in range(options.examples):
        scenario = random_scenario(f"{options.seed}-{number}", options.feature or FEATURES)
        difference = arena.play(scenario).difference
        if difference is None or difference.kind in seen:
            continue
        seen.add(difference.kind)
        print(f"scenario {number}:\n{report(arena, scenario, difference)}", flush=True)
        if not options.keep_going:
            break
    return seen


def report(arena: Arena, scenario: Scenario, difference: Moment) -> str:
    """A difference in the smallest scenario that shows it."""
    found = difference

    def still(smaller: Scenario) -> bool:
        nonlocal found
        other = arena.play(smaller).difference
        if other is None or other.kind != difference.kind:
            return False
        found = other
        return True

    scenario = smallest(scenario, still)
    steps = [f"  {number:2} {operation}" for number, operation in enumerate(scenario)]
    return "\n".join([*steps, str(found)])


if __name__ == "__main__":
    sys.exit(main())
