"""Makes a scenario that shows a difference as small as it goes, so that it can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, replace

from tests.differential.operations import Operation, Scenario


def smallest(scenario: Scenario, still: Callable[[Scenario], bool]) -> Scenario:
    """The scenario without what it does not need. `still` says whether a smaller one shows the same difference."""
    changed = True
    while changed:
        changed = False
        for smaller in simpler(scenario):
            if still(smaller):
                scenario, changed = smaller, True
                break
    return scenario


def simpler(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios that are a little simpler, the largest steps first."""
    for length in (8, 4, 2, 1):
        for at in range(len(scenario) - length, -1, -1):
            yield scenario[:at] + scenario[at + length :]
    for at, operation in enumerate(scenario):
        for plainer in plainer_operations(operation):
            yield (*scenario[:at], plainer, *scenario[at + 1 :])


def plainer_operations(operation: Operation) -> Iterator[Operation]:
    """The operation with one of its arguments left out, or a part of it."""
    for one in fields(operation):  # type: ignore[arg-type]
        value = getattr(operation, one.name)
        if one.default is MISSING or value == one.default:
            continue
        yield replace(operation, **{one.name: one.default})  # type: ignore[type-var]
        if isinstance(value, tuple) and len(value) > 1:
            for at in range(len(value)):
                yield replace(operation, **{one.name: value[:at] + value[at + 1 :]})  # type: ignore[type-var]
