"""Queue and exchange arguments: what a redeclare compares, in RabbitMQ's words.

Only arguments that mean something to the broker take part in the comparison; any other name is kept and shown, and
may differ.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from leveret.amqp.field_table import TYPE_NAMES, FieldValue, Table
from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError
from leveret.broker.erlang_terms import printed

INTEGER_KINDS: Final = "bBsuIil"
FLOAT_KINDS: Final = "fd"
DEDUPLICATION_ARGUMENTS: Final = (
    "x-message-deduplication",
    "x-deduplication-header",
    "x-cache-size",
    "x-cache-ttl",
)
EXCHANGE_ARGUMENTS: Final = ("alternate-exchange", *DEDUPLICATION_ARGUMENTS)


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
    of_one_class = any(old.kind in kinds and new.kind in kinds for kinds in (INTEGER_KINDS, FLOAT_KINDS))
    return (of_one_class or old.kind == new.kind) and old.value == new.value


def effective_type(value: FieldValue | None) -> str:
    """The queue type that an x-queue-type argument, or its absence, stands for."""
    return "classic" if value is None else str(value.value)


def described(value: FieldValue | None, value_alone: bool) -> str:
    """A value in the words of RabbitMQ's errors, which name the type only where the other side has no value."""
    if value is None or (value_alone and value.kind == "V"):
        return "none"
    shown = text_of(value) if value.kind in "Sx" else term(value)
    return f"'{shown}'" if value_alone else f"the value '{shown}' of type '{TYPE_NAMES[value.kind]}'"


def term(value: FieldValue) -> str:
    """The Erlang term that RabbitMQ has for a value."""
    inner = value.value
    if value.kind in "Sx":
        return printed(text_of(value))
    if isinstance(inner, list):
        return "[" + ",".join(f"{{{TYPE_NAMES[item.kind]},{term(item)}}}" for item in inner) + "]"
    if isinstance(inner, dict):
        entries = [f"{{{printed(key)},{TYPE_NAMES[item.kind]},{term(item)}}}" for key, item in inner.items()]
        return "[" + ",".join(entries) + "]"
    if isinstance(inner, Decimal):
        _, digits, exponent = inner.as_tuple()
        return f"{{{-int(exponent)},{int(''.join(map(str, digits)))}}}"
    return "undefined" if inner is None else printed(inner)


def text_of(value: FieldValue) -> str:
    """A string, or octets as a string."""
    return value.value.decode(errors="surrogateescape") if isinstance(value.value, bytes) else str(value.value)
