"""The queue class."""

from __future__ import annotations

from typing import ClassVar, Final

from leveret.amqp.field_table import Table
from leveret.amqp.methods.base import Method
from leveret.amqp.wire import Reader, Writer

CLASS_ID: Final = 50


class QueueDeclare(Method):
    """queue.declare: create a queue, or only check that it exists when passive; an empty name asks for one."""

    FIELDS: ClassVar[tuple[str, ...]] = (
        "queue",
        "passive",
        "durable",
        "exclusive",
        "auto_delete",
        "nowait",
        "arguments",
    )

    def __init__(
        self,
        queue: str = "",
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        nowait: bool = False,
        arguments: Table | None = None,
    ) -> None:
        super().__init__(CLASS_ID, 10, "queue.declare")
        self.queue = queue
        self.passive = passive
        self.durable = durable
        self.exclusive = exclusive
        self.auto_delete = auto_delete
        self.nowait = nowait
        self.arguments: Table = {} if arguments is None else arguments

    @staticmethod
    def decode(reader: Reader) -> QueueDeclare:
        """Read the arguments."""
        reader.short()  # ticket
        queue = reader.shortstr()
        bits = reader.octet()
        arguments = reader.table()
        return QueueDeclare(
            queue, bits & 1 != 0, bits & 2 != 0, bits & 4 != 0, bits & 8 != 0, bits & 16 != 0, arguments
        )

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(0)
        writer.shortstr(self.queue)
        writer.bits(self.passive, self.durable, self.exclusive, self.auto_delete, self.nowait)
        writer.table(self.arguments)


class QueueDeclareOk(Method):
    """queue.declare-ok: the queue exists; message_count counts ready messages."""

    FIELDS: ClassVar[tuple[str, ...]] = ("queue", "message_count", "consumer_count")

    def __init__(self, queue: str, message_count: int, consumer_count: int) -> None:
        super().__init__(CLASS_ID, 11, "queue.declare-ok")
        self.queue = queue
        self.message_count = message_count
        self.consumer_count = consumer_count

    @staticmethod
    def decode(reader: Reader) -> QueueDeclareOk:
        """Read the arguments."""
        queue = reader.shortstr()
        message_count = reader.long()
        consumer_count = reader.long()
        return QueueDeclareOk(queue, message_count, consumer_count)

    def encode_arguments(self, writer: Writer) -> None:
        writer.shortstr(self.queue)
        writer.long(self.message_count)
        writer.long(self.consumer_count)


class QueueBind(Method):
    """queue.bind: route from an exchange to a queue."""

    FIELDS: ClassVar[tuple[str, ...]] = ("queue", "exchange", "routing_key", "nowait", "arguments")

    def __init__(
        self, queue: str, exchange: str, routing_key: str = "", nowait: bool = False, arguments: Table | None = None
    ) -> None:
        super().__init__(CLASS_ID, 20, "queue.bind")
        self.queue = queue
        self.exchange = exchange
        self.routing_key = routing_key
        self.nowait = nowait
        self.arguments: Table = {} if arguments is None else arguments

    @staticmethod
    def decode(reader: Reader) -> QueueBind:
        """Read the arguments."""
        reader.short()  # ticket
        queue = reader.shortstr()
        exchange = reader.shortstr()
        routing_key = reader.shortstr()
        bits = reader.octet()
        arguments = reader.table()
        return QueueBind(queue, exchange, routing_key, bits & 1 != 0, arguments)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(0)
        writer.shortstr(self.queue)
        writer.shortstr(self.exchange)
        writer.shortstr(self.routing_key)
        writer.bits(self.nowait)
        writer.table(self.arguments)


class QueueBindOk(Method):
    """queue.bind-ok: the binding exists."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 21, "queue.bind-ok")

    @staticmethod
    def decode(reader: Reader) -> QueueBindOk:
        """Read the arguments."""
        return QueueBindOk()


class QueuePurge(Method):
    """queue.purge: drop all ready messages."""

    FIELDS: ClassVar[tuple[str, ...]] = ("queue", "nowait")

    def __init__(self, queue: str, nowait: bool = False) -> None:
        super().__init__(CLASS_ID, 30, "queue.purge")
        self.queue = queue
        self.nowait = nowait

    @staticmethod
    def decode(reader: Reader) -> QueuePurge:
        """Read the arguments."""
        reader.short()  # ticket
        queue = reader.shortstr()
        bits = reader.octet()
        return QueuePurge(queue, bits & 1 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(0)
        writer.shortstr(self.queue)
        writer.bits(self.nowait)


class QueuePurgeOk(Method):
    """queue.purge-ok: how many messages were dropped."""

    FIELDS: ClassVar[tuple[str, ...]] = ("message_count",)

    def __init__(self, message_count: int) -> None:
        super().__init__(CLASS_ID, 31, "queue.purge-ok")
        self.message_count = message_count

    @staticmethod
    def decode(reader: Reader) -> QueuePurgeOk:
        """Read the arguments."""
        return QueuePurgeOk(reader.long())

    def encode_arguments(self, writer: Writer) -> None:
        writer.long(self.message_count)


class QueueDelete(Method):
    """queue.delete: delete a queue."""

    FIELDS: ClassVar[tuple[str, ...]] = ("queue", "if_unused", "if_empty", "nowait")

    def __init__(self, queue: str, if_unused: bool = False, if_empty: bool = False, nowait: bool = False) -> None:
        super().__init__(CLASS_ID, 40, "queue.delete")
        self.queue = queue
        self.if_unused = if_unused
        self.if_empty = if_empty
        self.nowait = nowait

    @staticmethod
    def decode(reader: Reader) -> QueueDelete:
        """Read the arguments."""
        reader.short()  # ticket
        queue = reader.shortstr()
        bits = reader.octet()
        return QueueDelete(queue, bits & 1 != 0, bits & 2 != 0, bits & 4 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(0)
        writer.shortstr(self.queue)
        writer.bits(self.if_unused, self.if_empty, self.nowait)


class QueueDeleteOk(Method):
    """queue.delete-ok: how many messages went with the queue."""

    FIELDS: ClassVar[tuple[str, ...]] = ("message_count",)

    def __init__(self, message_count: int) -> None:
        super().__init__(CLASS_ID, 41, "queue.delete-ok")
        self.message_count = message_count

    @staticmethod
    def decode(reader: Reader) -> QueueDeleteOk:
        """Read the arguments."""
        return QueueDeleteOk(reader.long())

    def encode_arguments(self, writer: Writer) -> None:
        writer.long(self.message_count)


class QueueUnbind(Method):
    """queue.unbind: remove a binding; there is no nowait here."""

    FIELDS: ClassVar[tuple[str, ...]] = ("queue", "exchange", "routing_key", "arguments")

    def __init__(self, queue: str, exchange: str, routing_key: str = "", arguments: Table | None = None) -> None:
        super().__init__(CLASS_ID, 50, "queue.unbind")
        self.queue = queue
        self.exchange = exchange
        self.routing_key = routing_key
        self.arguments: Table = {} if arguments is None else arguments

    @staticmethod
    def decode(reader: Reader) -> QueueUnbind:
        """Read the arguments."""
        reader.short()  # ticket
        queue = reader.shortstr()
        exchange = reader.shortstr()
        routing_key = reader.shortstr()
        arguments = reader.table()
        return QueueUnbind(queue, exchange, routing_key, arguments)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(0)
        writer.shortstr(self.queue)
        writer.shortstr(self.exchange)
        writer.shortstr(self.routing_key)
        writer.table(self.arguments)


class QueueUnbindOk(Method):
    """queue.unbind-ok: the binding is gone."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 51, "queue.unbind-ok")

    @staticmethod
    def decode(reader: Reader) -> QueueUnbindOk:
        """Read the arguments."""
        return QueueUnbindOk()


def decode_queue(method_id: int, reader: Reader) -> Method | None:
    """Read the arguments of a queue method; None for an unknown method id."""
    if method_id == 10:
        return QueueDeclare.decode(reader)
    if method_id == 11:
        return QueueDeclareOk.decode(reader)
    if method_id == 20:
        return QueueBind.decode(reader)
    if method_id == 21:
        return QueueBindOk.decode(reader)
    if method_id == 30:
        return QueuePurge.decode(reader)
    if method_id == 31:
        return QueuePurgeOk.decode(reader)
    if method_id == 40:
        return QueueDelete.decode(reader)
    if method_id == 41:
        return QueueDeleteOk.decode(reader)
    if method_id == 50:
        return QueueUnbind.decode(reader)
    if method_id == 51:
        return QueueUnbindOk.decode(reader)
    return None
