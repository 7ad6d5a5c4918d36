"""What a queue's arguments and the policies that match it come to, in the form that the queue acts on.

Arguments and policies use other names for the same things (`x-message-ttl`, `message-ttl`); here each has one. The
settings never change: a change of policy gives the queue new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mypy_extensions import i64

from leveret.amqp.field_table import Table
from leveret.broker.arguments import effective_type
from leveret.broker.policy_definition import effective_definition, lower_delivery_limit
from leveret.broker.queue_arguments import (
    HIGHEST_PRIORITY,
    LONGEST_TIME,
    QUORUM,
    has_single_active_consumer,
    number_of,
)

NONE: Final[i64] = -1  # a setting that was not made
DROP_HEAD: Final = "drop-head"
REJECT_PUBLISH: Final = "reject-publish"
REJECT_PUBLISH_DLX: Final = "reject-publish-dlx"
DISABLED: Final = "disabled"
ALL_RETURNS: Final = "all"
FAILED_ONLY: Final = "failed"
NOT_FAILED_ONLY: Final = "returned"

LARGEST_SIZE: Final = 1 << 62  # a policy may say more than fits
QUORUM_DELIVERY_LIMIT: Final = 20
QUORUM_MAX_PRIORITY: Final = 31
QUORUM_DEFAULT_PRIORITY: Final = 4


class QueueSettings:
    """Times are in milliseconds, sizes in octets."""

    def __init__(self, type: str) -> None:
        self.type: Final = type  # "classic" or "quorum"
        self.message_ttl: i64 = NONE
        self.expires: i64 = NONE
        self.max_length: i64 = NONE
        self.max_length_bytes: i64 = NONE
        self.overflow = DROP_HEAD
        self.dead_letter_exchange: str | None = None
        self.dead_letter_routing_key: str | None = None
        self.delivery_limit: i64 = NONE  # how often a message may come back
        self.consumer_timeout: i64 = NONE
        self.max_priority: i64 = NONE  # NONE: messages have no priorities
        self.default_priority: i64 = 0  # of messages that have none
        self.single_active_consumer = False
        self.delayed_retry_type = DISABLED
        self.delayed_retry_min: i64 = 0
        self.delayed_retry_max: i64 = NONE


def effective_settings(
    arguments: Table, policy: Mapping[str, str | int], operator_policy: Mapping[str, str | int]
) -> QueueSettings:
    """The settings of a queue with these valid arguments, under the definitions of these policies.

    Between argument and policy RabbitMQ decides by key: of numbers the lower holds, for dead letters and the consumer
    timeout the argument, for the overflow the policy in quorum queues and the argument in classic ones.
    """
    definition = effective_definition(policy, operator_policy)
    settings = QueueSettings(effective_type(arguments.get("x-queue-type")))
    settings.message_ttl = lower("message-ttl", arguments, definition, LONGEST_TIME)
    settings.expires = lower("expires", arguments, definition, LONGEST_TIME)
    settings.max_length = lower("max-length", arguments, definition, LARGEST_SIZE)
    settings.max_length_bytes = lower("max-length-bytes", arguments, definition, LARGEST_SIZE)
    settings.dead_letter_exchange = text("dead-letter-exchange", arguments, definition)
    settings.dead_letter_routing_key = text("dead-letter-routing-key", arguments, definition)
    settings.consumer_timeout = first("consumer-timeout", arguments, definition, LONGEST_TIME)
    settings.delayed_retry_type = text("delayed-retry-type", arguments, definition) or DISABLED
    settings.delayed_retry_min = max(0, first("delayed-retry-min", arguments, definition, LONGEST_TIME))
    settings.delayed_retry_max = first("delayed-retry-max", arguments, definition, LONGEST_TIME)
    settings.single_active_consumer = has_single_active_consumer(arguments)
    if settings.type == QUORUM:
        settings.max_priority = QUORUM_MAX_PRIORITY
        settings.default_priority = QUORUM_DEFAULT_PRIORITY
        overflow = text("overflow", {}, definition) or text("overflow", arguments, {}) or DROP_HEAD
        # RabbitMQ's quorum queues take the name and do not act by it.
        settings.overflow = DROP_HEAD if overflow == REJECT_PUBLISH_DLX else overflow
    else:
        settings.max_priority = first("max-priority", arguments, {}, HIGHEST_PRIORITY)
        settings.overflow = text("overflow", arguments, definition) or DROP_HEAD
    settings.delivery_limit = delivery_limit(settings.type, arguments, definition)
    return settings


def delivery_limit(type: str, arguments: Table, definition: Mapping[str, str | int]) -> i64:
    """The delivery limit, NONE if there is none; by default quorum queues have one and classic queues none."""
    limit: int | None = None
    argument = arguments.get("x-delivery-limit")
    if argument is not None:
        number = number_of(argument)
        limit = -1 if number is None else number  # what is no number is never reached
    of_policy = definition.get("delivery-limit")
    if isinstance(of_policy, int):
        limit = of_policy if limit is None else lower_delivery_limit(limit, of_policy)
    if limit is None and type == QUORUM:
        limit = QUORUM_DELIVERY_LIMIT
    return bounded(limit, LARGEST_SIZE)


def lower(name: str, arguments: Table, definition: Mapping[str, str | int], most: int) -> i64:
    """The lower of an argument and a policy's value, NONE if there is neither."""
    argument, of_policy = numbers(name, arguments, definition)
    if argument is None or of_policy is None:
        return bounded(argument if of_policy is None else of_policy, most)
    return bounded(min(argument, of_policy), most)


def first(name: str, arguments: Table, definition: Mapping[str, str | int], most: int) -> i64:
    """An argument, or else a policy's value, NONE if there is neither."""
    argument, of_policy = numbers(name, arguments, definition)
    return bounded(of_policy if argument is None else argument, most)


def numbers(name: str, arguments: Table, definition: Mapping[str, str | int]) -> tuple[int | None, int | None]:
    """The number that the arguments have for a name, and the policy's."""
    argument = arguments.get(f"x-{name}")
    number = None if argument is None else number_of(argument)
    of_policy = definition.get(name)
    return None if number is None or number < 0 else number, of_policy if isinstance(of_policy, int) else None


def bounded(value: int | None, most: int) -> i64:
    """A number as the settings have it; NONE for one that is negative."""
    return NONE if value is None or value < 0 else i64(min(value, most))


def text(name: str, arguments: Table, definition: Mapping[str, str | int]) -> str | None:
    """An argument, or else a policy's value, None if there is neither."""
    argument = arguments.get(f"x-{name}")
    value = definition.get(name) if argument is None else argument.value
    return value if isinstance(value, str) else None
