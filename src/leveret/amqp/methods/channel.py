"""The channel class: opening, flow and closing."""

from __future__ import annotations

from typing import ClassVar, Final

from leveret.amqp.methods.base import Method
from leveret.amqp.wire import Reader, Writer

CLASS_ID: Final = 20


class ChannelOpen(Method):
    """channel.open: open a channel."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 10, "channel.open")

    @staticmethod
    def decode(reader: Reader) -> ChannelOpen:
        """Read the arguments."""
        reader.shortstr()  # out-of-band
        return ChannelOpen()

    def encode_arguments(self, writer: Writer) -> None:
        writer.shortstr("")


class ChannelOpenOk(Method):
    """channel.open-ok: the channel is open."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 11, "channel.open-ok")

    @staticmethod
    def decode(reader: Reader) -> ChannelOpenOk:
        """Read the arguments."""
        reader.longstr()  # channel-id
        return ChannelOpenOk()

    def encode_arguments(self, writer: Writer) -> None:
        writer.longstr(b"")


class ChannelFlow(Method):
    """channel.flow: pause or resume deliveries."""

    FIELDS: ClassVar[tuple[str, ...]] = ("active",)

    def __init__(self, active: bool) -> None:
        super().__init__(CLASS_ID, 20, "channel.flow")
        self.active = active

    @staticmethod
    def decode(reader: Reader) -> ChannelFlow:
        """Read the arguments."""
        return ChannelFlow(reader.octet() & 1 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.bits(self.active)


class ChannelFlowOk(Method):
    """channel.flow-ok: deliveries are paused or resumed."""

    FIELDS: ClassVar[tuple[str, ...]] = ("active",)

    def __init__(self, active: bool) -> None:
        super().__init__(CLASS_ID, 21, "channel.flow-ok")
        self.active = active

    @staticmethod
    def decode(reader: Reader) -> ChannelFlowOk:
        """Read the arguments."""
        return ChannelFlowOk(reader.octet() & 1 != 0)

    def encode_arguments(self, writer: Writer) -> None:
        writer.bits(self.active)


class ChannelClose(Method):
    """channel.close: close the channel; the failing ids name the method at fault, or are 0."""

    FIELDS: ClassVar[tuple[str, ...]] = ("reply_code", "reply_text", "failing_class_id", "failing_method_id")

    def __init__(
        self, reply_code: int, reply_text: str = "", failing_class_id: int = 0, failing_method_id: int = 0
    ) -> None:
        super().__init__(CLASS_ID, 40, "channel.close")
        self.reply_code = reply_code
        self.reply_text = reply_text
        self.failing_class_id = failing_class_id
        self.failing_method_id = failing_method_id

    @staticmethod
    def decode(reader: Reader) -> ChannelClose:
        """Read the arguments."""
        reply_code = reader.short()
        reply_text = reader.shortstr()
        failing_class_id = reader.short()
        failing_method_id = reader.short()
        return ChannelClose(reply_code, reply_text, failing_class_id, failing_method_id)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(self.reply_code)
        writer.shortstr(self.reply_text)
        writer.short(self.failing_class_id)
        writer.short(self.failing_method_id)


class ChannelCloseOk(Method):
    """channel.close-ok: the channel is closed."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 41, "channel.close-ok")

    @staticmethod
    def decode(reader: Reader) -> ChannelCloseOk:
        """Read the arguments."""
        return ChannelCloseOk()


def decode_channel(method_id: int, reader: Reader) -> Method | None:
    """Read the arguments of a channel method; None for an unknown method id."""
    if method_id == 10:
        return ChannelOpen.decode(reader)
    if method_id == 11:
        return ChannelOpenOk.decode(reader)
    if method_id == 20:
        return ChannelFlow.decode(reader)
    if method_id == 21:
        return ChannelFlowOk.decode(reader)
    if method_id == 40:
        return ChannelClose.decode(reader)
    if method_id == 41:
        return ChannelCloseOk.decode(reader)
    return None
