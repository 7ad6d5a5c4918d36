"""What a scenario is made of: operations that say in small numbers and short names what a client does.

Names of queues, exchanges, policies and consumers stand with an `@` that becomes a prefix of the scenario's own when it
is played, so no scenario meets what another left, and an error text can be turned back. An operation is plain data with
a short `repr`: a failing scenario can be read, and pasted into a test.

Operations on channels are numbered through: channels 0 and 1 are on the first connection, 2 and 3 on the second.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, fields

from tests.differential.wire import Typed, TypedTable, encoded_properties, encoded_table
from tests.support.raw_client import (
    BASIC_CONSUME,
    BASIC_GET,
    BASIC_QOS,
    CONFIRM_SELECT,
    EXCHANGE_DECLARE,
    QUEUE_DECLARE,
    MethodId,
    content_header,
    frame,
    method,
    publish_method,
    shortstr,
)

EXCHANGE_DELETE, EXCHANGE_BIND, EXCHANGE_UNBIND = (40, 20), (40, 30), (40, 40)
QUEUE_BIND, QUEUE_PURGE, QUEUE_DELETE, QUEUE_UNBIND = (50, 20), (50, 30), (50, 40), (50, 50)
BASIC_CANCEL, BASIC_RECOVER = (60, 30), (60, 110)
TX_SELECT, TX_COMMIT, TX_ROLLBACK = (90, 10), (90, 20), (90, 30)

Resolve = Callable[[str], str]


class Shown:
    """A short repr: arguments that have their default are left out."""

    def __repr__(self) -> str:
        given = [
            f"{one.name}={getattr(self, one.name)!r}"
            for one in fields(self)  # type: ignore[arg-type]
            if getattr(self, one.name) != one.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"


class Operation(Shown):
    """Something that a client does on a channel. `reply` names what answers it, one of them."""

    channel: int = 0
    reply: tuple[str, ...] = ()

    def frames(self, number: int, resolve: Resolve) -> bytes:
        """What to send on the channel with this number on the wire."""
        raise NotImplementedError


def resolved_value(value: object, resolve: Resolve) -> object:
    """A value with the names in its strings resolved, however deep they are."""
    if isinstance(value, str):
        return resolve(value)
    if isinstance(value, Typed):
        return value._replace(value=resolved_value(value.value, resolve))
    if isinstance(value, tuple):
        return tuple(resolved_value(one, resolve) for one in value)
    return value


def resolved_table(items: TypedTable, resolve: Resolve) -> bytes:
    """A field table, with the names in its strings resolved."""
    return encoded_table(tuple((key, Typed(kind, resolved_value(value, resolve))) for key, (kind, value) in items))


def bits(*flags: bool) -> bytes:
    return bytes([sum(flag << at for at, flag in enumerate(flags))])


@dataclass(frozen=True, repr=False)
class DeclareQueue(Operation):
    queue: str
    channel: int = 0
    passive: bool = False
    durable: bool = False
    exclusive: bool = False
    auto_delete: bool = False
    arguments: TypedTable = ()
    reply = ("queue.declare-ok",)

    def frames(self, number: int, resolve: Resolve) -> bytes:
        flags = bits(self.passive, self.durable, self.exclusive, self.auto_delete)
        name, arguments = shortstr(resolve(self.queue)), resolved_table(self.arguments, resolve)
        return method(number, QUEUE_DECLARE, b"\0\0" + name + flags + arguments)


@dataclass(frozen=True, repr=False)
class DeleteQueue(Operation):
    queue: str
    channel: int = 0
    if_unused: bool = False
    if_empty: bool = False
    reply = ("queue.delete-ok",)

    def frames(self, number: int, resolve: Resolve) -> bytes:
        flags = bits(self.if_unused, self.if_empty)
        return method(number, QUEUE_DELETE, b"\0\0" + shortstr(resolve(self.queue)) + flags)


@dataclass(frozen=True, repr=False)
class PurgeQueue(Operation):
    queue: str
    channel: int = 0
    reply = ("queue.purge-ok",)

    def frames(self, number: int, resolve: Resolve) -> bytes:
        return method(number, QUEUE_PURGE, b"\0\0" + shortstr(resolve(self.queue)) + b"\0")


@dataclass(frozen=True, repr=False)
class BindQueue(Operation):
    queue: str
    exchange: str
    key: str = ""
    channel: int = 0
    arguments: TypedTable = ()
    reply = ("queue.bind-ok",)

    def binding(self, resolve: Resolve) -> bytes:
        return b"\0\0" + b"".join(shortstr(resolve(name)) for name in (self.queue, self.exchange, self.key))

    def frames(self, number: int, resolve: Resolve) -> bytes:
        return method(number, QUEUE_BIND, self.binding(resolve) + b"\0" + resolved_table(self.arguments, resolve))


@dataclass(frozen=True, repr=False)
class UnbindQueue(BindQueue):
    reply = ("queue.unbind-ok",)

    def frames(self, number: int, resolve: Resolve) -> bytes:
        return method(number, QUEUE_UNBIND, self.binding(resolve) + resolved_table(self.arguments, resolve))


@dataclass(frozen=True, repr=False)
class DeclareExchange(Operation):
    exchange: str
    type: str = "direct"
    channel: int = 0
    passive: bool = False
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    arguments: TypedTable = ()
    reply = ("exchange.declare-ok",)

    def frames(self, number: int, resolve: Resolve) -> bytes:
        flags = bits(self.passive, self.durable, self.auto_delete, self.internal)
        names = shortstr(resolve(self.exchange)) + shortstr(self.type)
        return method(number, EXCHANGE_DECLARE, b"\0\0" + names + flags + resolved_table(self.arguments, resolve))


@dataclass(frozen=True, repr=False)
class DeleteExchange(Operation):
    exchange: str
    channel: int = 0
    if_unused: bool = False
    reply = ("exchange.delete-ok",)

    def frames(self, number: int, resolve: Resolve) -> bytes:
        return method(number, EXCHANGE_DELETE, b"\0\0" + shortstr(resolve(self.exchange)) + bits(self.if_unused))


@dataclass(frozen=True, repr=False)
class BindExchange(Operation):
    destination: str
    source: str
    key: str = ""
    channel: int = 0
    arguments: TypedTable = ()
    which: MethodId = EXCHANGE_BIND
    reply = ("exchange.bind-ok", "exchange.unbind-ok")

    def frames(self, number: int, resolve: Resolve) -> bytes:
        names = b"".join(shortstr(resolve(name)) for name in (self.destination, self.source, self.key))
        return method(number, self.which, b"\0\0" + names + b"\0" + resolved_table(self.arguments, resolve))


@dataclass(frozen=True, repr=False)
class Publish(Operation):
    """`properties` as pairs; headers are a TypedTable. Its body tells which publish of the scenario it was."""

    exchange: str = ""
    key: str = ""
    channel: int = 0
    mandatory: bool = False
    properties: tuple[tuple[str, object], ...] = ()
    size: int = 4

    def content(self, number: int, resolve: Resolve, body: bytes) -> bytes:
        """The whole message, with this body."""
        body = body.ljust(self.size, b".")
        properties = encoded_properties({key: resolved_value(value, resolve) for key, value in self.properties})
        return (
            publish_method(number, resolve(self.exchange), resolve(self.key), bits(self.mandatory)[0])
            + content_header(number, len(body), properties=properties)
            + frame(3, number, body)
        )


@dataclass(frozen=True, repr=False)
class Get(Operation):
    queue: str
    channel: int = 0
    no_ack: bool = False
    reply = ("basic.get-ok", "basic.get-empty")

    def frames(self, number: int, resolve: Resolve) -> bytes:
        return method(number, BASIC_GET, b"\0\0" + shortstr(resolve(self.queue)) + bits(self.no_ack))


@dataclass(frozen=True, repr=False)
class Consume(Operation):
    """With a prefetch, basic.qos goes before it in the same write, so it is for this consumer alone."""

    queue: str
    tag: str
    channel: int = 0
    no_ack: bool = False
    exclusive: bool = False
    prefetch: int | None = None
    arguments: TypedTable = ()
    reply = ("basic.consume-ok",)

    def frames(self, number: int, resolve: Resolve) -> bytes:
        names, flags = shortstr(resolve(self.queue)) + shortstr(self.tag), bits(False, self.no_ack, self.exclusive)
        consume = method(number, BASIC_CONSUME, b"\0\0" + names + flags + resolved_table(self.arguments, resolve))
        if self.prefetch is None:
            return consume
        return Qos(self.prefetch).frames(number, resolve) + consume


@dataclass(frozen=True, repr=False)
class Qos(Operation):
    prefetch: int
    channel: int = 0
    for_channel: bool = False
    reply = ("basic.qos-ok",)

    def frames(self, number: int, resolve: Resolve) -> bytes:
        return method(number, BASIC_QOS, struct.pack(">LHB", 0, self.prefetch, self.for_channel))


@dataclass(frozen=True, repr=False)
class Cancel(Operation):
    tag: str
    channel: int = 0
    reply = ("basic.cancel-ok",)

    def frames(self, number: int, resolve: Resolve) -> bytes:
        return method(number, BASIC_CANCEL, shortstr(self.tag) + b"\0")


@dataclass(frozen=True, repr=False)
class Settle(Operation):
    """basic.ack, basic.nack or basic.reject of one of the channel's unacked deliveries; nothing if there is none.

    `which` counts from the oldest, and starts again at the end. None is a tag that was never delivered. With
    `multiple` it goes up to and including all that arrived together with that one.
    """

    how: str = "ack"
    which: int | None = 0
    channel: int = 0
    multiple: bool = False
    requeue: bool = False

    def settling(self, number: int, tag: int) -> bytes:
        if self.how == "ack":
            return method(number, (60, 80), struct.pack(">Q", tag) + bits(self.multiple))
        if self.how == "nack":
            return method(number, (60, 120), struct.pack(">Q", tag) + bits(self.multiple, self.requeue))
        return method(number, (60, 90), struct.pack(">Q", tag) + bits(self.requeue))


@dataclass(frozen=True, repr=False)
class Recover(Operation):
    channel: int = 0
    requeue: bool = True
    reply = ("basic.recover-ok",)

    def frames(self, number: int, resolve: Resolve) -> bytes:
        return method(number, BASIC_RECOVER, bits(self.requeue))


@dataclass(frozen=True, repr=False)
class SelectConfirm(Operation):
    channel: int = 0
    reply = ("confirm.select-ok",)

    def frames(self, number: int, resolve: Resolve) -> bytes:
        return method(number, CONFIRM_SELECT, b"\0")


@dataclass(frozen=True, repr=False)
class Transaction(Operation):
    """tx.select, tx.commit or tx.rollback."""

    what: str = "select"
    channel: int = 0
    reply = ("tx.select-ok", "tx.commit-ok", "tx.rollback-ok")

    def frames(self, number: int, resolve: Resolve) -> bytes:
        return method(number, {"select": TX_SELECT, "commit": TX_COMMIT, "rollback": TX_ROLLBACK}[self.what])


@dataclass(frozen=True, repr=False)
class CloseChannel(Operation):
    """Close a channel properly and open it again."""

    channel: int = 0


@dataclass(frozen=True, repr=False)
class LoseConnection(Operation):
    """End the connection of a channel, by a reset or with a goodbye, and make a new one."""

    channel: int = 0
    politely: bool = False


@dataclass(frozen=True, repr=False)
class SetPolicy(Operation):
    """A policy, or an operator policy, as rabbitmqctl sets it; the definition is JSON, the pattern has names with @."""

    policy: str
    pattern: str
    definition: str
    priority: int = 0
    apply_to: str = "all"
    operator: bool = False


@dataclass(frozen=True, repr=False)
class ClearPolicy(Operation):
    policy: str
    operator: bool = False


@dataclass(frozen=True, repr=False)
class Wait(Operation):
    """Wait until everything with a short time to live has reached its end."""


Scenario = tuple[Operation, ...]


def returns_at_once(operation: Operation | None) -> bool:
    """Whether this gives several unacked messages back with one act."""
    if isinstance(operation, Settle):
        return operation.multiple and operation.requeue
    return operation is None or isinstance(operation, Recover | CloseChannel | LoseConnection)
