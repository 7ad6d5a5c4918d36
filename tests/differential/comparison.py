"""Compares what two brokers said to one scenario, and tells differences on purpose from all others.

Events are compared place by place (a channel, a consumer, the queues' counts), each place in order. What is known to
be different (`differences`) either changes events so that they can be compared, or parts the brokers: from there on
they are in different states, and the rest of the scenario says nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.differential.operations import DeclareQueue, Operation, Scenario, SetPolicy
from tests.differential.session import Event
from tests.differential.wire import TypedTable


@dataclass
class Moment:
    """What both brokers said at one place in one step of a scenario; the last step has no operation."""

    scenario: Scenario
    step: int
    where: str
    ours: list[Event]
    theirs: list[Event]
    whole_step: Sequence[Event]  # of both brokers, at all places

    @property
    def operation(self) -> Operation | None:
        return self.scenario[self.step] if self.step < len(self.scenario) else None

    @property
    def before(self) -> Scenario:
        """The operations up to this step, and itself."""
        return self.scenario[: self.step + 1]

    @property
    def counts(self) -> tuple[dict[str, object], dict[str, object]]:
        """The queues' counts at the end of the step, here and there."""
        found = [event.details for event in self.whole_step if event.where == "queues"]
        return found[len(found) // 2 - 1], found[-1]

    @property
    def shorter(self) -> set[str]:
        """The queues that have fewer ready messages here than there."""
        ours, theirs = self.counts
        return {queue for queue in theirs if ready(ours.get(queue)) < ready(theirs[queue])}

    def settings(self, key: str) -> list[object]:
        """What the arguments of queues, and policies, have said so far of a key of policies."""
        arguments = [
            value.value
            for one in self.before
            if isinstance(one, DeclareQueue)
            for name, value in one.arguments
            if name == f"x-{key}"
        ]
        definitions = [json.loads(one.definition) for one in self.before if isinstance(one, SetPolicy)]
        return arguments + [definition[key] for definition in definitions if key in definition]

    @property
    def kind(self) -> str:
        """What is the same of differences that probably have one cause: operation, place, and what was said."""
        said = [
            [f"{event.what} {event.details.get('text', '')}" for event in events[:1]]
            for events in (self.ours, self.theirs)
        ]
        return re.sub(r"[0-9]+", "", f"{type(self.operation).__name__} {self.where} {said}")

    def __str__(self) -> str:
        lines = [f"step {self.step}, {self.operation or 'the end'}, at {self.where}:"]
        lines += [f"  Leveret  {event}" for event in self.ours] or ["  Leveret  nothing"]
        lines += [f"  RabbitMQ {event}" for event in self.theirs] or ["  RabbitMQ nothing"]
        return "\n".join(lines)


@dataclass(frozen=True)
class Difference:
    """One thing that is different on purpose.

    `adjust` changes a moment in place so that what is left must be equal; `parts` says that the moment is explained and
    that the brokers are in different states from then on. `example` is a scenario that shows the difference.
    """

    name: str
    reason: str
    example: Scenario
    adjust: Callable[[Moment], None] | None = None
    parts: Callable[[Moment], bool] | None = None


@dataclass(frozen=True)
class Verdict:
    """What a comparison found: the first difference that nothing explains, and what explained the others."""

    difference: Moment | None
    explained: tuple[str, ...] = ()


def ready(counted: object) -> int:
    """The number of ready messages in a queue's counts."""
    found = re.match(r"(\d+) ready", str(counted))
    return int(found[1]) if found else 0


def headers_of(event: Event) -> TypedTable:
    """The headers of the message in an event, if it has one with headers."""
    properties = event.details.get("properties")
    assert properties is None or isinstance(properties, dict)
    return (properties or {}).get("headers", ())


def with_headers(event: Event, headers: TypedTable) -> Event:
    """The same event with other headers in its message, or with none."""
    properties = event.details["properties"]
    assert isinstance(properties, dict)
    changed = {**properties, "headers": headers}
    if not headers:
        del changed["headers"]
    return Event(event.where, event.what, {**event.details, "properties": changed})


def places(events: Sequence[Event]) -> dict[str, list[Event]]:
    """The events of a step by where they came."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.where, []).append(event)
    return found


def compare(
    scenario: Scenario,
    ours: Sequence[list[Event]],
    theirs: Sequence[list[Event]],
    known: Sequence[Difference] = (),
) -> Verdict:
    """Compare two recordings of one scenario, step by step, up to the first difference that nothing explains."""
    assert len(ours) == len(theirs) == len(scenario) + 1
    explained: list[str] = []
    for step, (our_events, their_events) in enumerate(zip(ours, theirs, strict=True)):
        our_places, their_places = places(our_events), places(their_events)
        for where in sorted(our_places.keys() | their_places.keys()):
            moment = Moment(
                scenario, step, where, our_places.get(where, []), their_places.get(where, []), our_events + their_events
            )
            if moment.ours == moment.theirs:
                continue
            for difference in known:
                if difference.parts is not None and difference.parts(moment):
                    return Verdict(None, (*explained, difference.name))
            for difference in known:
                if difference.adjust is not None:
                    adjusted = adjust(difference, moment)
                    explained += [difference.name] * adjusted
            if moment.ours != moment.theirs:
                return Verdict(moment, tuple(explained))
    return Verdict(None, tuple(explained))


def adjust(difference: Difference, moment: Moment) -> bool:
    """Let a difference change a moment; says whether it did."""
    assert difference.adjust is not None
    before = (list(moment.ours), list(moment.theirs))
    difference.adjust(moment)
    return (moment.ours, moment.theirs) != before
