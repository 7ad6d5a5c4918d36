"""What the definition of a policy may say, and how an operator policy's is laid over a user policy's.

The keys, their values and the texts are RabbitMQ's (rabbit_policies, and for the keys of its plugins those of
rabbitmq_federation and rabbitmq_sharding), but for `delayed-message`, which is LavinMQ's. Keys that have no effect here
are accepted and checked like the others, so that definitions can be taken over from RabbitMQ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from leveret.broker.erlang_terms import printed, printed_pairs


class InvalidPolicyDefinition(Exception):
    """A definition that RabbitMQ would refuse; the text is RabbitMQ's, without the `Validation failed` before it."""


class Rule:
    """What the value of one key must be, and the end of the error if it is something else."""

    def __init__(self, text: str) -> None:
        self.text: Final = text

    def accepts(self, value: object) -> bool:
        """Whether this value may stand in a definition."""
        raise NotImplementedError

    def complaint(self, value: object) -> str:
        """RabbitMQ's error for a value that may not."""
        return f"{printed(value)} {self.text}"


class WholeNumber(Rule):
    """An integer, between two bounds if there are any."""

    def __init__(self, text: str, least: int | None = None, most: int | None = None) -> None:
        super().__init__(text)
        self.least: Final = least
        self.most: Final = most

    def accepts(self, value: object) -> bool:
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


class Text(Rule):
    """Any string."""

    def accepts(self, value: object) -> bool:
        return isinstance(value, str)


class Boolean(Rule):
    """True or false."""

    def accepts(self, value: object) -> bool:
        return isinstance(value, bool)


class OneOf(Rule):
    """One of a few values."""

    def __init__(self, text: str, *choices: str | int) -> None:
        super().__init__(text)
        self.choices: Final = choices

    def accepts(self, value: object) -> bool:
        return not isinstance(value, (bool, float)) and value in self.choices


class MaxAge(Rule):
    """How long a stream keeps its messages, a number with a unit."""

    def accepts(self, value: object) -> bool:
        return isinstance(value, str) and valid_max_age(value)


class Pattern(Rule):
    """A regular expression."""

    def accepts(self, value: object) -> bool:
        return isinstance(value, str) and pattern_error(value) is None

    def complaint(self, value: object) -> str:
        if isinstance(value, str):
            return f"could not compile pattern {value} to a regular expression. Error: {pattern_error(value)}"
        return super().complaint(value)


class Shards(Rule):
    """How many queues an exchange is sharded to on each node."""

    def accepts(self, value: object) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0

    def complaint(self, value: object) -> str:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        expected = "greater than 0" if number else "a number"
        return f"{self.text} should be {expected}, actually was {printed(value)}"


class ShardRoutingKey(Rule):
    """The key that the shards are bound with."""

    def accepts(self, value: object) -> bool:
        return isinstance(value, str)

    def complaint(self, value: object) -> str:
        return f"{self.text} should be binary, actually was {printed(value)}"


OPERATOR_RULES: Final[dict[str, Rule]] = {
    "delayed-retry-max": WholeNumber("is not a valid delayed retry max", 0),
    "delayed-retry-min": WholeNumber("is not a valid delayed retry min", 0),
    "delayed-retry-type": OneOf("is not a valid delayed retry type", "disabled", "all", "failed", "returned"),
    "delivery-limit": WholeNumber("is not a valid delivery limit"),
    "expires": WholeNumber("is not a valid queue expiry", 1),
    "max-in-memory-bytes": WholeNumber("is not a valid maximum memory in bytes", 0),
    "max-in-memory-length": WholeNumber("is not a valid maximum memory in bytes", 0),
    "max-length": WholeNumber("is not a valid maximum length", 0),
    "max-length-bytes": WholeNumber("is not a valid maximum length in bytes", 0),
    "message-ttl": WholeNumber("is not a valid message TTL", 0),
    "overflow": OneOf("is not a valid overflow value", "drop-head", "reject-publish", "reject-publish-dlx"),
    "queue-master-locator": OneOf("invalid queue-master-locator value", "min-masters", "client-local", "random"),
    "queue-version": OneOf("is not a valid queue-version value", 1, 2),
    "target-group-size": WholeNumber("is not a valid target count", 0),
}

POLICY_RULES: Final[dict[str, Rule]] = {
    **OPERATOR_RULES,
    "alternate-exchange": Text("is not a valid alternate exchange name"),
    "consumer-disconnected-timeout": WholeNumber("is not a valid consumer disconnected timeout", 0),
    "consumer-timeout": WholeNumber("is not a valid consumer timeout", 0),
    "dead-letter-exchange": Text("is not a valid dead letter exchange name"),
    "dead-letter-routing-key": Text("is not a valid dead letter routing key"),
    "dead-letter-strategy": OneOf("is not a valid dead letter strategy", "at-most-once", "at-least-once"),
    "delayed-message": Boolean("is not a valid delayed message setting"),
    "federation-upstream": Text("is not a valid federation upstream name"),
    "federation-upstream-pattern": Pattern("is not a valid federation upstream pattern name"),
    "federation-upstream-set": Text("is not a valid federation upstream set name"),
    "initial-cluster-size": WholeNumber("is not a valid cluster size", 0),
    "max-age": MaxAge("is not a valid max age"),
    "queue-leader-locator": OneOf(
        "is not a valid queue leader locator value", "client-local", "balanced", "random", "least-leaders"
    ),
    "queue-mode": OneOf("is not a valid queue-mode value", "default", "lazy"),
    "routing-key": ShardRoutingKey("routing-key"),
    "shards-per-node": Shards("shards-per-node"),
    "stream-filter-size-bytes": WholeNumber("is not a valid filter size. Valid range is 16-255", 16, 255),
    "stream-max-segment-size-bytes": WholeNumber("is not a valid segment size", 0, 3_000_000_000),
}

LOWER_WINS: Final = (
    "expires",
    "max-in-memory-bytes",
    "max-in-memory-length",
    "max-length",
    "max-length-bytes",
    "message-ttl",
)


def validate_policy_definition(definition: Mapping[str, object]) -> None:
    """Raise InvalidPolicyDefinition if RabbitMQ would refuse this as the definition of a policy."""
    validate(definition, POLICY_RULES)
    if "routing-key" in definition and "shards-per-node" not in definition:
        raise InvalidPolicyDefinition("shards-per-node must be specified")
    if sum(name in definition for name in POLICY_RULES if name.startswith("federation-")) > 1:
        raise InvalidPolicyDefinition(
            "cannot specify federation-upstream, federation-upstream-set or federation-upstream-pattern together"
        )


def validate_operator_policy_definition(definition: Mapping[str, object]) -> None:
    """Raise InvalidPolicyDefinition if RabbitMQ would refuse this as the definition of an operator policy."""
    validate(definition, OPERATOR_RULES)


def unknown_settings(definition: Mapping[str, object]) -> list[str]:
    """The keys that RabbitMQ 4 doesn't know either: of its former mirrored queues, or of a plugin."""
    return sorted(name for name in definition if name not in POLICY_RULES)


def validate(definition: Mapping[str, object], rules: Mapping[str, Rule]) -> None:
    """Check the known keys in alphabetical order, then that there are no others, as RabbitMQ does."""
    if not definition:
        raise InvalidPolicyDefinition("no policy provided")
    for name in sorted(definition):
        rule = rules.get(name)
        if rule is not None and not rule.accepts(definition[name]):
            raise InvalidPolicyDefinition(rule.complaint(definition[name]))
    unknown: list[tuple[str, object]] = [(name, definition[name]) for name in sorted(definition) if name not in rules]
    if unknown:
        raise InvalidPolicyDefinition(f"{printed_pairs(unknown)} are not recognised policy settings")


def effective_definition(
    policy: Mapping[str, str | int], operator_policy: Mapping[str, str | int]
) -> dict[str, str | int]:
    """The definition that holds for what both policies match, in the order of the keys.

    Of numbers the lower wins, of two delivery limits the more careful, of anything else the operator's.
    """
    merged: dict[str, str | int] = {}
    for name in sorted(policy.keys() | operator_policy.keys()):
        users, operators = policy.get(name), operator_policy.get(name)
        if operators is None:
            assert users is not None
            merged[name] = users
        elif users is not None and isinstance(users, int) and isinstance(operators, int) and name in LOWER_WINS:
            merged[name] = min(users, operators)
        elif users is not None and isinstance(users, int) and isinstance(operators, int) and name == "delivery-limit":
            merged[name] = lower_delivery_limit(users, operators)
        else:
            merged[name] = operators
    return merged


def lower_delivery_limit(one: int, other: int) -> int:
    """The more careful of two delivery limits, of which a negative one means none."""
    return max(one, other) if one < 0 or other < 0 else min(one, other)


def valid_max_age(text: str) -> bool:
    """Whether this is a number above zero with one of the units Y, M, D, h, m, s."""
    return re.fullmatch(r"0*[1-9][0-9]*[YMDhms]", text) is not None


def pattern_error(text: str) -> str | None:
    """Why this is no regular expression, None if it is one."""
    try:
        re.compile(text)
    except re.error as error:
        return str(error)
    return None
