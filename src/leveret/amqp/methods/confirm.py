"""The confirm class, RabbitMQ's: publisher confirms."""

from __future__ import annotations

from typing import ClassVar, Final

from leveret.amqp.methods.base import Method
from leveret.amqp.wire import Reader, Writer

CLASS_ID: Final = 85


class ConfirmSelect(Method):
    """confirm.select: put the channel into confirm mode."""

    FIELDS: ClassVar[tuple[str, ...]] = ("nowait",)

    def __init__(self, nowait: bool = False) -> None:
        super().__init__(CLASS_ID, 10, "confirm.select")
        self.nowait = nowait

    @staticmethod
    def decode(reader: Reader) -> ConfirmSelect:
        """Read the arguments."""
        return ConfirmSelect(reader.octet() & 1 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.bits(self.nowait)


class ConfirmSelectOk(Method):
    """confirm.select-ok: the channel is in confirm mode."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 11, "confirm.select-ok")

    @staticmethod
    def decode(reader: Reader) -> ConfirmSelectOk:
        """Read the arguments."""
        return ConfirmSelectOk()


def decode_confirm(method_id: int, reader: Reader) -> Method | None:
    """Read the arguments of a confirm method; None for an unknown method id."""
    if method_id == 10:
        return ConfirmSelect.decode(reader)
    if method_id == 11:
        return ConfirmSelectOk.decode(reader)
    return None
