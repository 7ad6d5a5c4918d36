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

NONE: Final[i64] = -1  # a setting that was not made
DROP_HEAD: Final = "drop-head"
REJECT_PUBLISH: Final = "reject-publish"
REJECT_PUBLISH_DLX: Final = "reject-publish-dlx"


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


def effective_settings(
    arguments: Table, policy: Mapping[str, str | int], operator_policy: Mapping[str, str | int]
) -> QueueSettings:
    """The settings of a queue with these valid arguments, under the definitions of these policies."""
    return QueueSettings(effective_type(arguments.get("x-queue-type")))
