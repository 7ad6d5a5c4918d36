"""The arguments of queues and consumers: which there may be, with what value, and which a redeclare compares.

Sources are rabbit_amqqueue (the checks, their order and texts) and the queue types of RabbitMQ. What RabbitMQ has for
quorum queues alone is valid for every queue here, since nothing in it asks for replicas; what means nothing to a queue
type, or belongs to streams, is refused as RabbitMQ refuses it. Names that nobody knows are kept and change nothing.

Reasons are Erlang terms, as RabbitMQ prints them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from leveret.amqp.field_table import TYPE_NAMES, FieldValue, Table
from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError
from leveret.broker.arguments import DEDUPLICATION_ARGUMENTS, INTEGER_KINDS, effective_type

CLASSIC: Final = "classic"
QUORUM: Final = "quorum"
LONGEST_TIME: Final = 315_360_000_000  # milliseconds in ten years
HIGHEST_PRIORITY: Final = 255


def number_of(value: FieldValue) -> int | None:
    """The value of an argument of one of the integer types, None for another."""
    return value.value if value.kind in INTEGER_KINDS and isinstance(value.value, int) else None


def integer(value: FieldValue) -> str | None:
    """Any integer."""
    return None if number_of(value) is not None else f'"expected integer, got {TYPE_NAMES[value.kind]}"'


def not_negative(value: FieldValue) -> str | None:
    """An integer from 0 on."""
    number = number_of(value)
    if number is None:
        return integer(value)
    return f"{{value_negative,{number}}}" if number < 0 else None


def positive(value: FieldValue) -> str | None:
    """An integer from 1 on."""
    return "{value_zero,0}" if number_of(value) == 0 else not_negative(value)


def time(value: FieldValue) -> str | None:
    """Milliseconds, from 0 to ten years."""
    number = number_of(value)
    return f"{{value_too_large,{number}}}" if number is not None and number > LONGEST_TIME else not_negative(value)


def expiry(value: FieldValue) -> str | None:
    """Milliseconds, from 1 to ten years."""
    return "{value_zero,0}" if number_of(value) == 0 else time(value)


def priority(value: FieldValue) -> str | None:
    """The highest priority of a queue."""
    number = number_of(value)
    if number is not None and number > HIGHEST_PRIORITY:
        return f"{{max_value_exceeded,{number}}}"
    return not_negative(value)


def queue_version(value: FieldValue) -> str | None:
    """A version of classic queues' storage."""
    number = number_of(value)
    if number is None or number < 0 or number in (1, 2):
        return not_negative(value)
    return f"\"unsupported queue version '{number}'\""


def boolean(value: FieldValue) -> str | None:
    """True or false."""
    return None if value.kind == "t" else unacceptable(value)


def string(value: FieldValue) -> str | None:
    """Any string."""
    return None if value.kind == "S" else unacceptable(value)


def overflow(value: FieldValue) -> str | None:
    """What a queue does that is full."""
    known = value.value in ("drop-head", "reject-publish", "reject-publish-dlx")
    return string(value) or (None if known else "invalid_overflow")


def dead_letter_strategy(value: FieldValue) -> str | None:
    """How carefully dead letters are moved."""
    return string(value) or (None if value.value in ("at-most-once", "at-least-once") else "invalid_dlx_strategy")


def delayed_retry_type(value: FieldValue) -> str | None:
    """Which messages that come back wait before they are tried again."""
    known = value.value in ("disabled", "all", "failed", "returned")
    return string(value) or (None if known else "invalid_delayed_retry_type")


def queue_mode(value: FieldValue) -> str | None:
    """Whether messages are kept in memory, once."""
    known = value.value in ("default", "lazy")
    return string(value) or (None if known else f"\"unsupported queue mode '{value.value}'\"")


def leader_locator(value: FieldValue) -> str | None:
    """Which node leads."""
    known = value.value in ("client-local", "balanced", "random", "least-leaders", "min-masters")
    return string(value) or (None if known else "invalid_queue_locator_arg")


def queue_type(value: FieldValue) -> str | None:
    """A type of queue that there is."""
    known = value.value in (CLASSIC, QUORUM)
    return string(value) or (None if known else f"\"unsupported queue type '{value.value}'\"")


def unacceptable(value: FieldValue) -> str:
    """The reason for a value of another type."""
    return f"{{unacceptable_type,{TYPE_NAMES[value.kind]}}}"


CHECKS: Final[dict[str, Callable[[FieldValue], str | None]]] = {
    "x-expires": expiry,
    "x-message-ttl": time,
    "x-dead-letter-routing-key": string,
    "x-dead-letter-strategy": dead_letter_strategy,
    "x-max-length": not_negative,
    "x-max-length-bytes": not_negative,
    "x-max-in-memory-length": not_negative,
    "x-max-in-memory-bytes": not_negative,
    "x-max-priority": priority,
    "x-overflow": overflow,
    "x-queue-mode": queue_mode,
    "x-queue-version": queue_version,
    "x-single-active-consumer": boolean,
    "x-quorum-initial-group-size": positive,
    "x-initial-cluster-size": positive,
    "x-queue-leader-locator": leader_locator,
    "x-consumer-timeout": not_negative,
    "x-consumer-disconnected-timeout": not_negative,
    "x-delayed-retry-type": delayed_retry_type,
    "x-delayed-retry-min": not_negative,
    "x-delayed-retry-max": not_negative,
    "x-message-deduplication": boolean,
    "x-deduplication-header": string,
    "x-cache-size": not_negative,
    "x-cache-ttl": time,
}
CONSUMER_CHECKS: Final[dict[str, Callable[[FieldValue], str | None]]] = {
    "x-priority": integer,
    "x-consumer-timeout": not_negative,
}

OF_STREAMS: Final = ("x-max-age", "x-stream-max-segment-size-bytes", "x-stream-filter-size-bytes")
OF_CLASSIC_QUEUES: Final = ("x-max-priority", "x-queue-mode", "x-queue-version", "x-queue-master-locator")
OF_STREAM_CONSUMERS: Final = ("x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered")

COMPARED_OF_CLASSIC_QUEUES: Final = (
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-queue-type",
    "x-queue-master-locator",
    "x-queue-leader-locator",
    # RabbitMQ does not have these for classic queues, and here they have an effect.
    "x-delivery-limit",
    "x-consumer-timeout",
    "x-delayed-retry-type",
    "x-delayed-retry-min",
    "x-delayed-retry-max",
    *DEDUPLICATION_ARGUMENTS,
)
COMPARED_OF_QUORUM_QUEUES: Final = (
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-expires",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-overflow",
    "x-single-active-consumer",
    "x-queue-type",
    "x-quorum-initial-group-size",
    "x-delivery-limit",
    "x-message-ttl",
    "x-queue-leader-locator",
    "x-consumer-timeout",
    "x-consumer-disconnected-timeout",
    "x-delayed-retry-type",
    "x-delayed-retry-min",
    "x-delayed-retry-max",
    *DEDUPLICATION_ARGUMENTS,
)


def check_queue_arguments(arguments: Table, what: str) -> None:
    """SoftError 406 if a new queue, `what` ("queue 'q' in vhost '/'"), may not have one of these arguments.

    As in RabbitMQ, x-delivery-limit may be anything.
    """
    exchange = arguments.get("x-dead-letter-exchange")
    if exchange is not None and exchange.kind != "S":
        kind = TYPE_NAMES[exchange.kind]
        raise SoftError(PRECONDITION_FAILED, f"invalid type '{kind}' for arg 'x-dead-letter-exchange' in {what}")
    type = arguments.get("x-queue-type")
    if type is not None:
        refuse(queue_type(type), "x-queue-type", what)
    foreign = OF_STREAMS + OF_CLASSIC_QUEUES if is_quorum(arguments) else OF_STREAMS
    for name, check in CHECKS.items():
        value = arguments.get(name)
        if value is not None and name not in foreign:
            refuse(check(value), name, what)
            if name == "x-dead-letter-routing-key" and exchange is None:
                refuse("routing_key_but_no_dlx_defined", name, what)
    check_not_foreign(arguments, foreign, arguments, what)


def check_consumer_arguments(arguments: Table, queue_arguments: Table, what: str) -> None:
    """SoftError 406 if a consumer of this queue may not have one of these arguments."""
    for name, check in CONSUMER_CHECKS.items():
        value = arguments.get(name)
        if value is not None:
            refuse(check(value), name, what)
    check_not_foreign(arguments, OF_STREAM_CONSUMERS, queue_arguments, what)


def check_not_foreign(arguments: Table, foreign: tuple[str, ...], queue_arguments: Table, what: str) -> None:
    """SoftError 406 for the first argument that another queue type has."""
    for name in arguments:
        if name in foreign:
            type = effective_type(queue_arguments.get("x-queue-type"))
            raise SoftError(PRECONDITION_FAILED, f"invalid arg '{name}' for {what} of queue type rabbit_{type}_queue")


def refuse(reason: str | None, name: str, what: str) -> None:
    """SoftError 406 for an argument, if there is a reason."""
    if reason is not None:
        raise SoftError(PRECONDITION_FAILED, f"invalid arg '{name}' for {what}: {reason}")


def check_quorum_properties(durable: bool, exclusive: bool, auto_delete: bool, what: str) -> None:
    """SoftError 406 unless a quorum queue may be declared like this."""
    wrong = "auto-delete" if auto_delete else "exclusive-owner" if exclusive else "" if durable else "non-durable"
    if wrong:
        raise SoftError(PRECONDITION_FAILED, f"invalid property '{wrong}' for {what}")


def consumer_priority(arguments: Table) -> int:
    """The x-priority of a consumer, from valid arguments."""
    value = arguments.get("x-priority")
    return 0 if value is None else number_of(value) or 0


def compared_arguments(arguments: Table) -> tuple[str, ...]:
    """The names that a redeclare of a queue with these arguments compares, in RabbitMQ's order for its type."""
    return COMPARED_OF_QUORUM_QUEUES if is_quorum(arguments) else COMPARED_OF_CLASSIC_QUEUES


def is_quorum(arguments: Table) -> bool:
    """Whether a queue with these arguments is a quorum queue."""
    return effective_type(arguments.get("x-queue-type")) == QUORUM


def has_single_active_consumer(arguments: Table) -> bool:
    """Whether of several consumers of a queue with these arguments one is active and the others wait."""
    value = arguments.get("x-single-active-consumer")
    return value is not None and value.value is True
