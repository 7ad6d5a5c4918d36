"""Policies: settings of queues and exchanges, chosen by name from outside of the applications.

For each object the policy of the highest priority applies among those that match it, and no other; the same goes for
operator policies, which are laid over it (`policy_definition`). Of several with the same priority it is the first by
name. RabbitMQ 4 comes to that too as long as there are few, and promises nothing.

A policy never changes: setting it again makes another. So an object whose two policies are the same as before needs
nothing done.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from leveret.broker.durability import Store
from leveret.broker.pattern import InvalidPattern, Pattern
from leveret.broker.policy_definition import (
    InvalidPolicyDefinition,
    effective_definition,
    unknown_settings,
    validate_operator_policy_definition,
    validate_policy_definition,
)
from leveret.broker.queue_settings import effective_settings

if TYPE_CHECKING:
    from leveret.broker.events import Events
    from leveret.broker.exchange.base import Exchange
    from leveret.broker.queue import Queue

ALL: Final = "all"
QUEUES: Final = "queues"
EXCHANGES: Final = "exchanges"
OF_QUEUE_TYPE: Final = {"classic": "classic_queues", "quorum": "quorum_queues", "stream": "streams"}
APPLY_TO: Final = (ALL, QUEUES, *OF_QUEUE_TYPE.values(), EXCHANGES)
LARGEST: Final = (1 << 63) - 1

# Keys that mean nothing to a queue type. A policy with one of them passes over such queues, but for those that it is
# meant for alone: classic queues know delivery limits and more here.
OF_STREAMS: Final = frozenset(("max-age", "stream-max-segment-size-bytes", "initial-cluster-size"))
FOREIGN_KEYS: Final = {
    "classic": OF_STREAMS
    | {"delivery-limit", "dead-letter-strategy", "max-in-memory-length", "max-in-memory-bytes", "target-group-size"},
    "quorum": OF_STREAMS | {"queue-mode", "queue-master-locator"},
}
LINE_WIDTH: Final = 78  # of Erlang's printer, which breaks what is longer
NO_POLICY: Final[dict[str, str | int]] = {}


class InvalidPolicy(Exception):
    """A policy that RabbitMQ would refuse; the text has a line for each reason, in RabbitMQ's words and order."""


class Policy:
    """A policy of a virtual host. `definition` has been validated.

    `told` is all that it was given, which is more if it came from elsewhere: RabbitMQ's settings of mirrored queues had
    lists. These do nothing, and whoever asks for the policy gets them back.
    """

    def __init__(
        self,
        name: str,
        pattern: str,
        apply_to: str,
        definition: dict[str, str | int],
        priority: int,
        told: dict[str, object] | None = None,
    ) -> None:
        """Raises InvalidPattern."""
        self.name: Final = name
        self.pattern: Final = Pattern(pattern)
        self.apply_to: Final = apply_to
        self.definition: Final = definition
        self.told: Final[dict[str, object]] = {**definition} if told is None else told
        self.priority: Final = priority
        self._classic: Final = self._is_for("classic")
        self._quorum: Final = self._is_for("quorum")

    def _is_for(self, queue_type: str) -> bool:
        if self.apply_to in (ALL, QUEUES):
            return FOREIGN_KEYS[queue_type].isdisjoint(self.definition)
        return self.apply_to == OF_QUEUE_TYPE[queue_type]

    def matches_queue(self, queue: Queue) -> bool:
        """Whether it could apply to the queue."""
        meant = self._quorum if queue.settings.type == "quorum" else self._classic
        return meant and self.pattern.matches(queue.name)

    def matches_exchange(self, name: str) -> bool:
        """Whether it could apply to an exchange of this name."""
        return self.apply_to in (ALL, EXCHANGES) and self.pattern.matches(name)


def make_policy(
    name: str,
    pattern: str,
    apply_to: str,
    definition: dict[str, object],
    priority: int,
    operator: bool,
    tolerant: bool = False,
) -> Policy:
    """A policy, or an operator policy, from what somebody asks for. Raises InvalidPolicy.

    A tolerant one, which comes in from elsewhere, may have settings that nobody knows. They have no effect.
    """
    errors: list[str] = []
    valid = valid_definition(definition, operator, tolerant, errors)
    if apply_to not in APPLY_TO:
        errors.append(
            f"apply-to '{apply_to}' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', "
            "'streams', 'exchanges', or 'all'"
        )
    policy: Policy | None = None
    try:
        told = dict(sorted(definition.items()))
        policy = Policy(name, pattern, apply_to if apply_to in APPLY_TO else ALL, valid, priority, told)
    except InvalidPattern as error:
        errors.append(invalid_pattern(error))
    if not -LARGEST <= priority <= LARGEST:
        errors.append(f"priority should be a number, actually was {priority}")
    if errors or policy is None:
        raise InvalidPolicy("\n".join(errors))
    return policy


def valid_definition(
    definition: dict[str, object], operator: bool, tolerant: bool, errors: list[str]
) -> dict[str, str | int]:
    """What of the definition is checked, or unknown and a text or a number; what is wrong is added to `errors`."""
    unknown = unknown_settings(definition) if tolerant else []
    checked = {key: value for key, value in definition.items() if key not in unknown}
    try:
        if unknown and not checked:
            pass  # RabbitMQ refuses a definition that is empty, but this one is not
        elif operator:
            validate_operator_policy_definition(checked)
        else:
            validate_policy_definition(checked)
    except InvalidPolicyDefinition as error:
        errors.append(str(error))
    return {key: value for key, value in sorted(definition.items()) if isinstance(value, str | int)}


def invalid_pattern(error: InvalidPattern) -> str:
    """RabbitMQ's text for a pattern that is no regular expression, in which a long Erlang tuple takes two lines."""
    text = error.text.replace("\\", "\\\\").replace('"', '\\"')
    begin = f'pattern should be regular expression but is invalid: {{"{text}",'
    end = f"{error.offset}}}"
    if len(begin) + len(end) <= LINE_WIDTH:
        return begin + end
    return f"{begin}\n{' ' * (begin.index('{') + 1)}{end}"


class Policies:
    """The policies and operator policies of one virtual host, by name."""

    def __init__(self, vhost: str, store: Store, events: Events) -> None:
        self._vhost: Final = vhost
        self._store: Final = store
        self._events: Final = events
        self.user: Final[dict[str, Policy]] = {}
        self.operator: Final[dict[str, Policy]] = {}
        self._user_by_rank: list[Policy] = []
        self._operator_by_rank: list[Policy] = []

    def restore(self, policy: Policy, operator: bool) -> None:
        """Take over a policy that the store has."""
        (self.operator if operator else self.user)[policy.name] = policy
        self._rank()

    def set(self, policy: Policy, operator: bool) -> None:
        """Add a policy, or put it in the place of the one of its name. It has yet to be applied."""
        self.restore(policy, operator)
        self._store.policy_set(self._vhost, policy, operator)
        self._events.policy_set(self._vhost, policy, operator)

    def clear(self, name: str, operator: bool) -> bool:
        """Remove a policy; False if there is none of that name. What it applied to has yet to be told."""
        if (self.operator if operator else self.user).pop(name, None) is None:
            return False
        self._rank()
        self._store.policy_cleared(self._vhost, name, operator)
        self._events.policy_cleared(self._vhost, name, operator)
        return True

    def _rank(self) -> None:
        self._user_by_rank = ranked(self.user)
        self._operator_by_rank = ranked(self.operator)

    def apply_to_queue(self, queue: Queue) -> None:
        """Have the queue act on the policies that match it, if they are others than before."""
        user = first_for_queue(self._user_by_rank, queue)
        operator = first_for_queue(self._operator_by_rank, queue)
        if user is queue.policy and operator is queue.operator_policy:
            return
        queue.policy = user
        queue.operator_policy = operator
        queue.apply(effective_settings(queue.arguments, definition_of(user), definition_of(operator)))

    def apply_to_exchange(self, exchange: Exchange) -> bool:
        """Have the exchange act on the policies that match it; whether they are others than before."""
        user = first_for_exchange(self._user_by_rank, exchange.name)
        operator = first_for_exchange(self._operator_by_rank, exchange.name)
        if user is exchange.policy and operator is exchange.operator_policy:
            return False
        exchange.policy = user
        exchange.operator_policy = operator
        exchange.apply(effective_definition(definition_of(user), definition_of(operator)))
        return True

    def listed(self, operator: bool) -> Iterator[Policy]:
        """Every policy in the order of RabbitMQ's lists: the one of the highest rank last."""
        yield from reversed(self._operator_by_rank if operator else self._user_by_rank)


def definition_of(policy: Policy | None) -> dict[str, str | int]:
    """What a policy defines; nothing if there is none."""
    return NO_POLICY if policy is None else policy.definition


def ranked(policies: dict[str, Policy]) -> list[Policy]:
    """In the order in which they are to be tried."""
    return sorted(policies.values(), key=rank)


def rank(policy: Policy) -> tuple[int, bytes]:
    """Comes first if the policy goes before others."""
    return -policy.priority, policy.name.encode("utf-8", "surrogateescape")


def first_for_queue(policies: list[Policy], queue: Queue) -> Policy | None:
    """The first policy that matches a queue."""
    for policy in policies:
        if policy.matches_queue(queue):
            return policy
    return None


def first_for_exchange(policies: list[Policy], name: str) -> Policy | None:
    """The first policy that matches an exchange of that name."""
    for policy in policies:
        if policy.matches_exchange(name):
            return policy
    return None
