"""The basic class: publishing, consuming, getting and acknowledging, with RabbitMQ's nack."""

from __future__ import annotations

from typing import ClassVar, Final

from leveret.amqp.field_table import Table
from leveret.amqp.methods.base import Method
from leveret.amqp.wire import Reader, Writer

CLASS_ID: Final = 60


class BasicQos(Method):
    """basic.qos: limit unacknowledged deliveries; 0 means no limit."""

    FIELDS: ClassVar[tuple[str, ...]] = ("prefetch_size", "prefetch_count", "global_")

    def __init__(self, prefetch_size: int = 0, prefetch_count: int = 0, global_: bool = False) -> None:
        super().__init__(CLASS_ID, 10, "basic.qos")
        self.prefetch_size = prefetch_size
        self.prefetch_count = prefetch_count
        self.global_ = global_

    @staticmethod
    def decode(reader: Reader) -> BasicQos:
        """Read the arguments."""
        prefetch_size = reader.long()
        prefetch_count = reader.short()
        bits = reader.octet()
        return BasicQos(prefetch_size, prefetch_count, bits & 1 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.long(self.prefetch_size)
        writer.short(self.prefetch_count)
        writer.bits(self.global_)


class BasicQosOk(Method):
    """basic.qos-ok: the limits are set."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 11, "basic.qos-ok")

    @staticmethod
    def decode(reader: Reader) -> BasicQosOk:
        """Read the arguments."""
        return BasicQosOk()


class BasicConsume(Method):
    """basic.consume: start a consumer; an empty tag asks for one."""

    FIELDS: ClassVar[tuple[str, ...]] = (
        "queue",
        "consumer_tag",
        "no_local",
        "no_ack",
        "exclusive",
        "nowait",
        "arguments",
    )

    def __init__(
        self,
        queue: str = "",
        consumer_tag: str = "",
        no_local: bool = False,
        no_ack: bool = False,
        exclusive: bool = False,
        nowait: bool = False,
        arguments: Table | None = None,
    ) -> None:
        super().__init__(CLASS_ID, 20, "basic.consume")
        self.queue = queue
        self.consumer_tag = consumer_tag
        self.no_local = no_local
        self.no_ack = no_ack
        self.exclusive = exclusive
        self.nowait = nowait
        self.arguments: Table = {} if arguments is None else arguments

    @staticmethod
    def decode(reader: Reader) -> BasicConsume:
        """Read the arguments."""
        reader.short()  # ticket
        queue = reader.shortstr()
        consumer_tag = reader.shortstr()
        bits = reader.octet()
        arguments = reader.table()
        return BasicConsume(queue, consumer_tag, bits & 1 != 0, bits & 2 != 0, bits & 4 != 0, bits & 8 != 0, arguments)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(0)
        writer.shortstr(self.queue)
        writer.shortstr(self.consumer_tag)
        writer.bits(self.no_local, self.no_ack, self.exclusive, self.nowait)
        writer.table(self.arguments)


class BasicConsumeOk(Method):
    """basic.consume-ok: the consumer runs."""

    FIELDS: ClassVar[tuple[str, ...]] = ("consumer_tag",)

    def __init__(self, consumer_tag: str) -> None:
        super().__init__(CLASS_ID, 21, "basic.consume-ok")
        self.consumer_tag = consumer_tag

    @staticmethod
    def decode(reader: Reader) -> BasicConsumeOk:
        """Read the arguments."""
        return BasicConsumeOk(reader.shortstr())

    def encode_arguments(self, writer: Writer) -> None:
        writer.shortstr(self.consumer_tag)


class BasicCancel(Method):
    """basic.cancel: stop a consumer; the server sends it too, when it stops one by itself."""

    FIELDS: ClassVar[tuple[str, ...]] = ("consumer_tag", "nowait")

    def __init__(self, consumer_tag: str, nowait: bool = False) -> None:
        super().__init__(CLASS_ID, 30, "basic.cancel")
        self.consumer_tag = consumer_tag
        self.nowait = nowait

    @staticmethod
    def decode(reader: Reader) -> BasicCancel:
        """Read the arguments."""
        consumer_tag = reader.shortstr()
        bits = reader.octet()
        return BasicCancel(consumer_tag, bits & 1 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.shortstr(self.consumer_tag)
        writer.bits(self.nowait)


class BasicCancelOk(Method):
    """basic.cancel-ok: the consumer is gone."""

    FIELDS: ClassVar[tuple[str, ...]] = ("consumer_tag",)

    def __init__(self, consumer_tag: str) -> None:
        super().__init__(CLASS_ID, 31, "basic.cancel-ok")
        self.consumer_tag = consumer_tag

    @staticmethod
    def decode(reader: Reader) -> BasicCancelOk:
        """Read the arguments."""
        return BasicCancelOk(reader.shortstr())

    def encode_arguments(self, writer: Writer) -> None:
        writer.shortstr(self.consumer_tag)


class BasicPublish(Method):
    """basic.publish: publish the content that follows."""

    FIELDS: ClassVar[tuple[str, ...]] = ("exchange", "routing_key", "mandatory", "immediate")

    def __init__(
        self, exchange: str = "", routing_key: str = "", mandatory: bool = False, immediate: bool = False
    ) -> None:
        super().__init__(CLASS_ID, 40, "basic.publish")
        self.exchange = exchange
        self.routing_key = routing_key
        self.mandatory = mandatory
        self.immediate = immediate

    @staticmethod
    def decode(reader: Reader) -> BasicPublish:
        """Read the arguments."""
        reader.short()  # ticket
        exchange = reader.shortstr_unchecked()
        routing_key = reader.shortstr_unchecked()
        bits = reader.octet()
        return BasicPublish(exchange, routing_key, bits & 1 != 0, bits & 2 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(0)
        writer.shortstr(self.exchange)
        writer.shortstr(self.routing_key)
        writer.bits(self.mandatory, self.immediate)


class BasicReturn(Method):
    """basic.return: the content that follows found no queue."""

    FIELDS: ClassVar[tuple[str, ...]] = ("reply_code", "reply_text", "exchange", "routing_key")

    def __init__(self, reply_code: int, reply_text: str, exchange: str, routing_key: str) -> None:
        super().__init__(CLASS_ID, 50, "basic.return")
        self.reply_code = reply_code
        self.reply_text = reply_text
        self.exchange = exchange
        self.routing_key = routing_key

    @staticmethod
    def decode(reader: Reader) -> BasicReturn:
        """Read the arguments."""
        reply_code = reader.short()
        reply_text = reader.shortstr_unchecked()
        exchange = reader.shortstr_unchecked()
        routing_key = reader.shortstr_unchecked()
        return BasicReturn(reply_code, reply_text, exchange, routing_key)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(self.reply_code)
        writer.shortstr(self.reply_text)
        writer.shortstr(self.exchange)
        writer.shortstr(self.routing_key)


class BasicDeliver(Method):
    """basic.deliver: the content that follows goes to a consumer."""

    FIELDS: ClassVar[tuple[str, ...]] = ("consumer_tag", "delivery_tag", "redelivered", "exchange", "routing_key")

    def __init__(
        self, consumer_tag: str, delivery_tag: int, redelivered: bool, exchange: str, routing_key: str
    ) -> None:
        super().__init__(CLASS_ID, 60, "basic.deliver")
        self.consumer_tag = consumer_tag
        self.delivery_tag = delivery_tag
        self.redelivered = redelivered
        self.exchange = exchange
        self.routing_key = routing_key

    @staticmethod
    def decode(reader: Reader) -> BasicDeliver:
        """Read the arguments."""
        consumer_tag = reader.shortstr_unchecked()
        delivery_tag = reader.longlong()
        bits = reader.octet()
        exchange = reader.shortstr_unchecked()
        routing_key = reader.shortstr_unchecked()
        return BasicDeliver(consumer_tag, delivery_tag, bits & 1 != 0, exchange, routing_key)

    def encode_arguments(self, writer: Writer) -> None:
        writer.shortstr(self.consumer_tag)
        writer.longlong(self.delivery_tag)
        writer.bits(self.redelivered)
        writer.shortstr(self.exchange)
        writer.shortstr(self.routing_key)


class BasicGet(Method):
    """basic.get: fetch one message."""

    FIELDS: ClassVar[tuple[str, ...]] = ("queue", "no_ack")

    def __init__(self, queue: str = "", no_ack: bool = False) -> None:
        super().__init__(CLASS_ID, 70, "basic.get")
        self.queue = queue
        self.no_ack = no_ack

    @staticmethod
    def decode(reader: Reader) -> BasicGet:
        """Read the arguments."""
        reader.short()  # ticket
        queue = reader.shortstr()
        bits = reader.octet()
        return BasicGet(queue, bits & 1 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(0)
        writer.shortstr(self.queue)
        writer.bits(self.no_ack)


class BasicGetOk(Method):
    """basic.get-ok: the content that follows was fetched; message_count counts those left."""

    FIELDS: ClassVar[tuple[str, ...]] = ("delivery_tag", "redelivered", "exchange", "routing_key", "message_count")

    def __init__(
        self, delivery_tag: int, redelivered: bool, exchange: str, routing_key: str, message_count: int
    ) -> None:
        super().__init__(CLASS_ID, 71, "basic.get-ok")
        self.delivery_tag = delivery_tag
        self.redelivered = redelivered
        self.exchange = exchange
        self.routing_key = routing_key
        self.message_count = message_count

    @staticmethod
    def decode(reader: Reader) -> BasicGetOk:
        """Read the arguments."""
        delivery_tag = reader.longlong()
        bits = reader.octet()
        exchange = reader.shortstr_unchecked()
        routing_key = reader.shortstr_unchecked()
        message_count = reader.long()
        return BasicGetOk(delivery_tag, bits & 1 != 0, exchange, routing_key, message_count)

    def encode_arguments(self, writer: Writer) -> None:
        writer.longlong(self.delivery_tag)
        writer.bits(self.redelivered)
        writer.shortstr(self.exchange)
        writer.shortstr(self.routing_key)
        writer.long(self.message_count)


class BasicGetEmpty(Method):
    """basic.get-empty: there is no message to fetch."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 72, "basic.get-empty")

    @staticmethod
    def decode(reader: Reader) -> BasicGetEmpty:
        """Read the arguments."""
        reader.shortstr()  # cluster-id
        return BasicGetEmpty()

    def encode_arguments(self, writer: Writer) -> None:
        writer.shortstr("")


class BasicAck(Method):
    """basic.ack: acknowledge a delivery, or with multiple all up to it (tag 0: all); the server confirms with it."""

    FIELDS: ClassVar[tuple[str, ...]] = ("delivery_tag", "multiple")

    def __init__(self, delivery_tag: int = 0, multiple: bool = False) -> None:
        super().__init__(CLASS_ID, 80, "basic.ack")
        self.delivery_tag = delivery_tag
        self.multiple = multiple

    @staticmethod
    def decode(reader: Reader) -> BasicAck:
        """Read the arguments."""
        delivery_tag = reader.longlong()
        bits = reader.octet()
        return BasicAck(delivery_tag, bits & 1 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.longlong(self.delivery_tag)
        writer.bits(self.multiple)


class BasicReject(Method):
    """basic.reject: refuse one delivery."""

    FIELDS: ClassVar[tuple[str, ...]] = ("delivery_tag", "requeue")

    def __init__(self, delivery_tag: int, requeue: bool = True) -> None:
        super().__init__(CLASS_ID, 90, "basic.reject")
        self.delivery_tag = delivery_tag
        self.requeue = requeue

    @staticmethod
    def decode(reader: Reader) -> BasicReject:
        """Read the arguments."""
        delivery_tag = reader.longlong()
        bits = reader.octet()
        return BasicReject(delivery_tag, bits & 1 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.longlong(self.delivery_tag)
        writer.bits(self.requeue)


class BasicRecoverAsync(Method):
    """basic.recover-async: requeue everything unacknowledged, without an answer."""

    FIELDS: ClassVar[tuple[str, ...]] = ("requeue",)

    def __init__(self, requeue: bool = False) -> None:
        super().__init__(CLASS_ID, 100, "basic.recover-async")
        self.requeue = requeue

    @staticmethod
    def decode(reader: Reader) -> BasicRecoverAsync:
        """Read the arguments."""
        return BasicRecoverAsync(reader.octet() & 1 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.bits(self.requeue)


class BasicRecover(Method):
    """basic.recover: requeue everything unacknowledged."""

    FIELDS: ClassVar[tuple[str, ...]] = ("requeue",)

    def __init__(self, requeue: bool = False) -> None:
        super().__init__(CLASS_ID, 110, "basic.recover")
        self.requeue = requeue

    @staticmethod
    def decode(reader: Reader) -> BasicRecover:
        """Read the arguments."""
        return BasicRecover(reader.octet() & 1 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.bits(self.requeue)


class BasicRecoverOk(Method):
    """basic.recover-ok: everything unacknowledged was requeued."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 111, "basic.recover-ok")

    @staticmethod
    def decode(reader: Reader) -> BasicRecoverOk:
        """Read the arguments."""
        return BasicRecoverOk()


class BasicNack(Method):
    """basic.nack: refuse a delivery, or with multiple all up to it (tag 0: all); publishers can receive it too."""

    FIELDS: ClassVar[tuple[str, ...]] = ("delivery_tag", "multiple", "requeue")

    def __init__(self, delivery_tag: int = 0, multiple: bool = False, requeue: bool = True) -> None:
        super().__init__(CLASS_ID, 120, "basic.nack")
        self.delivery_tag = delivery_tag
        self.multiple = multiple
        self.requeue = requeue

    @staticmethod
    def decode(reader: Reader) -> BasicNack:
        """Read the arguments."""
        delivery_tag = reader.longlong()
        bits = reader.octet()
        return BasicNack(delivery_tag, bits & 1 != 0, bits & 2 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.longlong(self.delivery_tag)
        writer.bits(self.multiple, self.requeue)


def decode_basic(method_id: int, reader: Reader) -> Method | None:
    """Read the arguments of a basic method; None for an unknown method id."""
    if method_id == 10:
        return BasicQos.decode(reader)
    if method_id == 11:
        return BasicQosOk.decode(reader)
    if method_id == 20:
        return BasicConsume.decode(reader)
    if method_id == 21:
        return BasicConsumeOk.decode(reader)
    if method_id == 30:
        return BasicCancel.decode(reader)
    if method_id == 31:
        return BasicCancelOk.decode(reader)
    if method_id == 40:
        return BasicPublish.decode(reader)
    if method_id == 50:
        return BasicReturn.decode(reader)
    if method_id == 60:
        return BasicDeliver.decode(reader)
    if method_id == 70:
        return BasicGet.decode(reader)
    if method_id == 71:
        return BasicGetOk.decode(reader)
    if method_id == 72:
        return BasicGetEmpty.decode(reader)
    if method_id == 80:
        return BasicAck.decode(reader)
    if method_id == 90:
        return BasicReject.decode(reader)
    if method_id == 100:
        return BasicRecoverAsync.decode(reader)
    if method_id == 110:
        return BasicRecover.decode(reader)
    if method_id == 111:
        return BasicRecoverOk.decode(reader)
    if method_id == 120:
        return BasicNack.decode(reader)
    return None
