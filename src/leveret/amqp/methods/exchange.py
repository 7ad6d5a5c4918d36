"""The exchange class, with RabbitMQ's bindings from exchange to exchange."""

from __future__ import annotations

from typing import ClassVar, Final

from leveret.amqp.field_table import Table
from leveret.amqp.methods.base import Method
from leveret.amqp.wire import Reader, Writer

CLASS_ID: Final = 40


class ExchangeDeclare(Method):
    """exchange.declare: create an exchange, or only check that it exists when passive."""

    FIELDS: ClassVar[tuple[str, ...]] = (
        "exchange",
        "type_",
        "passive",
        "durable",
        "auto_delete",
        "internal",
        "nowait",
        "arguments",
    )

    def __init__(
        self,
        exchange: str,
        type_: str = "direct",
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        nowait: bool = False,
        arguments: Table | None = None,
    ) -> None:
        super().__init__(CLASS_ID, 10, "exchange.declare")
        self.exchange = exchange
        self.type_ = type_
        self.passive = passive
        self.durable = durable
        self.auto_delete = auto_delete
        self.internal = internal
        self.nowait = nowait
        self.arguments: Table = {} if arguments is None else arguments

    @staticmethod
    def decode(reader: Reader) -> ExchangeDeclare:
        """Read the arguments."""
        reader.short()  # ticket
        exchange = reader.shortstr()
        type_ = reader.shortstr()
        bits = reader.octet()
        arguments = reader.table()
        return ExchangeDeclare(
            exchange, type_, bits & 1 != 0, bits & 2 != 0, bits & 4 != 0, bits & 8 != 0, bits & 16 != 0, arguments
        )

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(0)
        writer.shortstr(self.exchange)
        writer.shortstr(self.type_)
        writer.bits(self.passive, self.durable, self.auto_delete, self.internal, self.nowait)
        writer.table(self.arguments)


class ExchangeDeclareOk(Method):
    """exchange.declare-ok: the exchange exists."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 11, "exchange.declare-ok")

    @staticmethod
    def decode(reader: Reader) -> ExchangeDeclareOk:
        """Read the arguments."""
        return ExchangeDeclareOk()


class ExchangeDelete(Method):
    """exchange.delete: delete an exchange."""

    FIELDS: ClassVar[tuple[str, ...]] = ("exchange", "if_unused", "nowait")

    def __init__(self, exchange: str, if_unused: bool = False, nowait: bool = False) -> None:
        super().__init__(CLASS_ID, 20, "exchange.delete")
        self.exchange = exchange
        self.if_unused = if_unused
        self.nowait = nowait

    @staticmethod
    def decode(reader: Reader) -> ExchangeDelete:
        """Read the arguments."""
        reader.short()  # ticket
        exchange = reader.shortstr()
        bits = reader.octet()
        return ExchangeDelete(exchange, bits & 1 != 0, bits & 2 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(0)
        writer.shortstr(self.exchange)
        writer.bits(self.if_unused, self.nowait)


class ExchangeDeleteOk(Method):
    """exchange.delete-ok: the exchange is gone."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 21, "exchange.delete-ok")

    @staticmethod
    def decode(reader: Reader) -> ExchangeDeleteOk:
        """Read the arguments."""
        return ExchangeDeleteOk()


class ExchangeBind(Method):
    """exchange.bind: route from the source exchange to the destination exchange."""

    FIELDS: ClassVar[tuple[str, ...]] = ("destination", "source", "routing_key", "nowait", "arguments")

    def __init__(
        self, destination: str, source: str, routing_key: str = "", nowait: bool = False, arguments: Table | None = None
    ) -> None:
        super().__init__(CLASS_ID, 30, "exchange.bind")
        self.destination = destination
        self.source = source
        self.routing_key = routing_key
        self.nowait = nowait
        self.arguments: Table = {} if arguments is None else arguments

    @staticmethod
    def decode(reader: Reader) -> ExchangeBind:
        """Read the arguments."""
        reader.short()  # ticket
        destination = reader.shortstr()
        source = reader.shortstr()
        routing_key = reader.shortstr()
        bits = reader.octet()
        arguments = reader.table()
        return ExchangeBind(destination, source, routing_key, bits & 1 != 0, arguments)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(0)
        writer.shortstr(self.destination)
        writer.shortstr(self.source)
        writer.shortstr(self.routing_key)
        writer.bits(self.nowait)
        writer.table(self.arguments)


class ExchangeBindOk(Method):
    """exchange.bind-ok: the binding exists."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 31, "exchange.bind-ok")

    @staticmethod
    def decode(reader: Reader) -> ExchangeBindOk:
        """Read the arguments."""
        return ExchangeBindOk()


class ExchangeUnbind(Method):
    """exchange.unbind: remove a binding between exchanges."""

    FIELDS: ClassVar[tuple[str, ...]] = ("destination", "source", "routing_key", "nowait", "arguments")

    def __init__(
        self, destination: str, source: str, routing_key: str = "", nowait: bool = False, arguments: Table | None = None
    ) -> None:
        super().__init__(CLASS_ID, 40, "exchange.unbind")
        self.destination = destination
        self.source = source
        self.routing_key = routing_key
        self.nowait = nowait
        self.arguments: Table = {} if arguments is None else arguments

    @staticmethod
    def decode(reader: Reader) -> ExchangeUnbind:
        """Read the arguments."""
        reader.short()  # ticket
        destination = reader.shortstr()
        source = reader.shortstr()
        routing_key = reader.shortstr()
        bits = reader.octet()
        arguments = reader.table()
        return ExchangeUnbind(destination, source, routing_key, bits & 1 != 0, arguments)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(0)
        writer.shortstr(self.destination)
        writer.shortstr(self.source)
        writer.shortstr(self.routing_key)
        writer.bits(self.nowait)
        writer.table(self.arguments)


class ExchangeUnbindOk(Method):
    """exchange.unbind-ok: the binding is gone; its id is 51 and not 41, as in RabbitMQ."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 51, "exchange.unbind-ok")

    @staticmethod
    def decode(reader: Reader) -> ExchangeUnbindOk:
        """Read the arguments."""
        return ExchangeUnbindOk()


def decode_exchange(method_id: int, reader: Reader) -> Method | None:
    """Read the arguments of a exchange method; None for an unknown method id."""
    if method_id == 10:
        return ExchangeDeclare.decode(reader)
    if method_id == 11:
        return ExchangeDeclareOk.decode(reader)
    if method_id == 20:
        return ExchangeDelete.decode(reader)
    if method_id == 21:
        return ExchangeDeleteOk.decode(reader)
    if method_id == 30:
        return ExchangeBind.decode(reader)
    if method_id == 31:
        return ExchangeBindOk.decode(reader)
    if method_id == 40:
        return ExchangeUnbind.decode(reader)
    if method_id == 51:
        return ExchangeUnbindOk.decode(reader)
    return None
