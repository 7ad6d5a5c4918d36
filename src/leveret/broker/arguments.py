"""Queue and exchange arguments: what a redeclare compares, in RabbitMQ's words.

Only arguments that mean something to the broker take part in the comparison; any other name is kept and shown, and
may differ.
"""

from __future__ import annotations

from typing import Final

from leveret.amqp.field_table import TYPE_NAMES, FieldValue, Table
from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError

INTEGER_KINDS: Final = "bBsuIilL"
QUEUE_ARGUMENTS: Final = (
    "x-queue-type",
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-single-active-consumer",
    "x-delivery-limit",
    "x-consumer-timeout",
)
EXCHANGE_ARGUMENTS: Final = ("alternate-exchange",)


def check_equivalent_arguments(current: Table, received: Table, names: tuple[str, ...], what: str) -> None:
    """Raise SoftError 406 if a redeclare of `what` ("queue 'q' in vhost '/'") changes one of the named arguments."""
    for name in names:
        old, new = current.get(name), received.get(name)
        if not equivalent(name, old, new):
            both = old is not None and new is not None
            raise SoftError(
                PRECONDITION_FAILED,
                f"inequivalent arg '{name}' for {what}: "
                f"received {described(new, both)} but current is {described(old, both)}",
            )


def equivalent(name: str, old: FieldValue | None, new: FieldValue | None) -> bool:
    """Whether two values of one argument mean the same: integers by value, and a classic queue is the default type."""
    if name == "x-queue-type":
        return effective_type(old) == effective_type(new)
    if old is None or new is None:
        return old is new
    if old.kind in INTEGER_KINDS and new.kind in INTEGER_KINDS:
        return old.value == new.value
    return old.kind == new.kind and old.value == new.value


def effective_type(value: FieldValue | None) -> str:
    """The queue type that an x-queue-type argument, or its absence, stands for."""
    return "classic" if value is None else str(value.value)


def described(value: FieldValue | None, value_alone: bool) -> str:
    """A value in the words of RabbitMQ's errors, which name the type only where the other side has no value."""
    if value is None:
        return "none"
    shown = ("true" if value.value else "false") if value.kind == "t" else value.value
    return f"'{shown}'" if value_alone else f"the value '{shown}' of type '{TYPE_NAMES[value.kind]}'"


def integer_argument(arguments: Table, name: str, what: str) -> int | None:
    """An integer argument's value, None if it is absent; SoftError 406 if it is of another type."""
    value = arguments.get(name)
    if value is None:
        return None
    if value.kind not in INTEGER_KINDS:
        raise SoftError(
            PRECONDITION_FAILED,
            f"invalid arg '{name}' for {what}: \"expected integer, got {TYPE_NAMES[value.kind]}\"",
        )
    assert isinstance(value.value, int)
    return value.value
