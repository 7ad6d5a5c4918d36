"""Deduplication: a message whose identifier, in a header, was there before is dropped, and confirmed like any other.

The arguments are those of RabbitMQ's community plugin (noxdafox/rabbitmq-message-deduplication) and of LavinMQ, on
exchanges and queues: `x-message-deduplication`, `x-deduplication-header` (the header's name), `x-cache-size`,
`x-cache-ttl`. A message without the header is never a duplicate.

An exchange remembers the last identifiers that it let pass, for a time if it has a TTL; a message's own header
`x-cache-ttl` goes before. Only what was taken in is remembered: what nobody got, what a full queue refused and what was
rolled back may be sent again. Dead letters are no publishes, so they pass, however often they come round.

A queue knows the identifiers of the messages that it has, ready or unacked. One with a cache size or TTL remembers the
last ones also after the acknowledgement; but what it drops or dead-letters it forgets, so that it can come back.

Long identifiers are kept as digests, so a client can't fill the memory with them.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from librt.strings import read_i16_be
from mypy_extensions import i64, mypyc_attr

from leveret.amqp.field_table import Table, encode_table
from leveret.amqp.properties import HEADERS
from leveret.broker.arguments import INTEGER_KINDS
from leveret.broker.message import FAR, FLAGS_AT, Message
from leveret.broker.queue_arguments import LONGEST_TIME, boolean, not_negative, number_of, refuse, string, time

if TYPE_CHECKING:
    from leveret.broker.backing_queue import BackingQueue

ENABLED: Final = "x-message-deduplication"
HEADER: Final = "x-deduplication-header"  # the argument, and the header that is looked at without it
SIZE: Final = "x-cache-size"
TTL: Final = "x-cache-ttl"
DEFAULT_SIZE: Final[i64] = 128
LARGEST_SIZE: Final = 1 << 40
UNBOUNDED: Final[i64] = -1
DIGEST_SIZE: Final = 16


@mypyc_attr(acyclic=True)
class Identity:
    """What tells a message from others: its identifier, how long it counts (milliseconds), and where it is in a queue.

    `until` is set when it is remembered: milliseconds since 1970.
    """

    def __init__(self, identifier: bytes, ttl: i64) -> None:
        self.identifier: Final = identifier
        self.ttl: Final[i64] = ttl
        self.until: i64 = FAR
        self.position: i64 = 0


class Identifiers:
    """Identifiers that came by, the oldest first; no more than `size` of them, unless that is UNBOUNDED."""

    def __init__(self, header: str, size: i64, ttl: i64) -> None:
        self._header: Final = header
        self._size: Final[i64] = size
        self._ttl: Final[i64] = ttl
        self._known: Final[OrderedDict[bytes, Identity]] = OrderedDict()  # finding a dict's first entry takes long

    def __len__(self) -> int:
        return len(self._known)

    def identity(self, headers: Table | None) -> Identity | None:
        """The identity of a message with these headers, None if it has none."""
        if headers is None:
            return None
        value = headers.get(self._header)
        if value is None or value.kind == "V":
            return None
        kind = "l" if value.kind in INTEGER_KINDS else value.kind  # equal numbers are equal, whatever their width
        identifier = f"{kind}{value.value}".encode("utf-8", "surrogateescape")
        if value.kind in "AFx":
            identifier = encode_table({"": value})
        if len(identifier) > DIGEST_SIZE:
            identifier = blake2b(identifier, digest_size=DIGEST_SIZE + 1).digest()
        own_ttl = headers.get(TTL)
        number = None if own_ttl is None else number_of(own_ttl)
        ttl = self._ttl if number is None or number < 0 else i64(min(number, LONGEST_TIME))
        return Identity(identifier, ttl)

    def knows(self, identity: Identity, now: i64) -> bool:
        """Whether the same identifier is remembered."""
        known = self._known.get(identity.identifier)
        if known is None:
            return False
        if known.until > now:
            return True
        del self._known[identity.identifier]
        return False

    def remember(self, identity: Identity, now: i64) -> None:
        """Remember an identifier that is not known; the oldest makes room for it."""
        if self._size == 0:
            return
        if self._size != UNBOUNDED and len(self._known) >= self._size:
            self._known.popitem(last=False)
        if identity.ttl >= 0:
            identity.until = now + identity.ttl
        self._known[identity.identifier] = identity

    def forget(self, identity: Identity) -> None:
        """The message of this identity was not taken in after all. It may have been forgotten already."""
        if self._known.get(identity.identifier) is identity:
            del self._known[identity.identifier]


class Admission:
    """An exchange let a message pass, and remembers that."""

    def __init__(self, identifiers: Identifiers, identity: Identity) -> None:
        self._identifiers: Final = identifiers
        self._identity: Final = identity

    def withdraw(self) -> None:
        """The message was not taken in."""
        self._identifiers.forget(self._identity)


def withdraw(admissions: list[Admission] | None) -> None:
    """A message was not taken in by anybody, or not by all: it may be published again."""
    if admissions is not None:
        for admission in admissions:
            admission.withdraw()


class QueueIdentifiers(Identifiers):
    """The identifiers of the messages in a queue; if it has a `window`, also those of the last that were in it."""

    def __init__(self, header: str, size: i64, ttl: i64, window: bool) -> None:
        super().__init__(header, size, ttl)
        self._window: Final = window

    def identity_of(self, message: Message) -> Identity | None:
        """The identity of a message, None if it has none."""
        if i64(read_i16_be(message.content, FLAGS_AT)) & HEADERS == 0:
            return None
        identity = self.identity(message.properties().headers)
        if identity is None or self._window:
            return identity
        return Identity(identity.identifier, UNBOUNDED)

    def entered(self, identity: Identity, position: i64, now: i64) -> None:
        """A message was put into the queue, at this position."""
        identity.position = position
        self.remember(identity, now)

    def restored(self, message: Message, position: i64) -> None:
        """A message was in the queue when the broker started."""
        identity = self.identity_of(message)
        if identity is not None and identity.identifier not in self._known:
            self.entered(identity, position, message.time)

    def acknowledged(self, message: Message, position: i64) -> None:
        """A consumer is done with a message."""
        if not self._window:
            self.dropped(message, position)

    def dropped(self, message: Message, position: i64) -> None:
        """A message left the queue, perhaps to come back as another."""
        identity = self.identity_of(message)
        known = None if identity is None else self._known.get(identity.identifier)
        if known is not None and known.position == position:
            del self._known[known.identifier]

    def purged(self, level: BackingQueue) -> None:
        """All that is ready of one priority is about to be dropped."""
        returned = {position for position, _ in level.returned}
        for known in list(self._known.values()):
            if level.head <= known.position < level.next_position or int(known.position) in returned:
                del self._known[known.identifier]


def exchange_identifiers(arguments: Table) -> Identifiers | None:
    """What an exchange with these arguments remembers; None if it lets everything pass."""
    if not is_on(arguments):
        return None
    return Identifiers(header_in(arguments), bounded(arguments, SIZE, DEFAULT_SIZE), bounded(arguments, TTL, UNBOUNDED))


def queue_identifiers(arguments: Table) -> QueueIdentifiers | None:
    """What a queue with these arguments remembers; None if it takes everything."""
    if not is_on(arguments):
        return None
    window = SIZE in arguments or TTL in arguments
    size = bounded(arguments, SIZE, DEFAULT_SIZE) if window else UNBOUNDED
    return QueueIdentifiers(header_in(arguments), size, bounded(arguments, TTL, UNBOUNDED), window)


def is_on(arguments: Table) -> bool:
    """Whether duplicates are to be dropped."""
    value = arguments.get(ENABLED)
    return value is not None and value.value is True


def header_in(arguments: Table) -> str:
    """The name of the header that has the identifier."""
    value = arguments.get(HEADER)
    return value.value if value is not None and isinstance(value.value, str) else HEADER


def bounded(arguments: Table, name: str, default: i64) -> i64:
    """A number among the arguments."""
    value = arguments.get(name)
    number = None if value is None else number_of(value)
    return default if number is None or number < 0 else i64(min(number, LARGEST_SIZE))


def check_deduplication_arguments(arguments: Table, what: str) -> None:
    """SoftError 406 if a new exchange, `what` ("exchange 'e' in vhost '/'"), may not have one of these arguments."""
    for name, check in ((ENABLED, boolean), (SIZE, not_negative), (TTL, time), (HEADER, string)):
        value = arguments.get(name)
        if value is not None:
            refuse(check(value), name, what)
