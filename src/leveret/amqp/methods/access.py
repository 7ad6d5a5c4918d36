"""The access class: gone from 0-9-1, but RabbitMQ answers it for the sake of old clients."""

from __future__ import annotations

from typing import ClassVar, Final

from leveret.amqp.methods.base import Method
from leveret.amqp.wire import Reader, Writer

CLASS_ID: Final = 30


class AccessRequest(Method):
    """access.request: ask for an access ticket."""

    FIELDS: ClassVar[tuple[str, ...]] = ("realm", "exclusive", "passive", "active", "write", "read")

    def __init__(
        self,
        realm: str = "/data",
        exclusive: bool = False,
        passive: bool = True,
        active: bool = True,
        write: bool = True,
        read: bool = True,
    ) -> None:
        super().__init__(CLASS_ID, 10, "access.request")
        self.realm = realm
        self.exclusive = exclusive
        self.passive = passive
        self.active = active
        self.write = write
        self.read = read

    @staticmethod
    def decode(reader: Reader) -> AccessRequest:
        """Read the arguments."""
        realm = reader.shortstr()
        bits = reader.octet()
        return AccessRequest(realm, bits & 1 != 0, bits & 2 != 0, bits & 4 != 0, bits & 8 != 0, bits & 16 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.shortstr(self.realm)
        writer.bits(self.exclusive, self.passive, self.active, self.write, self.read)


class AccessRequestOk(Method):
    """access.request-ok: the ticket, which means nothing."""

    FIELDS: ClassVar[tuple[str, ...]] = ("ticket",)

    def __init__(self, ticket: int = 1) -> None:
        super().__init__(CLASS_ID, 11, "access.request-ok")
        self.ticket = ticket

    @staticmethod
    def decode(reader: Reader) -> AccessRequestOk:
        """Read the arguments."""
        return AccessRequestOk(reader.short())

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(self.ticket)


def decode_access(method_id: int, reader: Reader) -> Method | None:
    """Read the arguments of a access method; None for an unknown method id."""
    if method_id == 10:
        return AccessRequest.decode(reader)
    if method_id == 11:
        return AccessRequestOk.decode(reader)
    return None
