"""The connection class: negotiation, authentication, closing, and RabbitMQ's blocked and update-secret."""

from __future__ import annotations

from typing import ClassVar, Final

from leveret.amqp.field_table import Table
from leveret.amqp.methods.base import Method
from leveret.amqp.wire import Reader, Writer

CLASS_ID: Final = 10


class ConnectionStart(Method):
    """connection.start: the server's greeting: its properties, and mechanisms and locales separated by spaces."""

    FIELDS: ClassVar[tuple[str, ...]] = ("version_major", "version_minor", "server_properties", "mechanisms", "locales")

    def __init__(
        self,
        version_major: int = 0,
        version_minor: int = 9,
        server_properties: Table | None = None,
        mechanisms: bytes = b"PLAIN",
        locales: bytes = b"en_US",
    ) -> None:
        super().__init__(CLASS_ID, 10, "connection.start")
        self.version_major = version_major
        self.version_minor = version_minor
        self.server_properties: Table = {} if server_properties is None else server_properties
        self.mechanisms = mechanisms
        self.locales = locales

    @staticmethod
    def decode(reader: Reader) -> ConnectionStart:
        """Read the arguments."""
        version_major = reader.octet()
        version_minor = reader.octet()
        server_properties = reader.table()
        mechanisms = reader.longstr()
        locales = reader.longstr()
        return ConnectionStart(version_major, version_minor, server_properties, mechanisms, locales)

    def encode_arguments(self, writer: Writer) -> None:
        writer.octet(self.version_major)
        writer.octet(self.version_minor)
        writer.table(self.server_properties)
        writer.longstr(self.mechanisms)
        writer.longstr(self.locales)


class ConnectionStartOk(Method):
    """connection.start-ok: the client's properties, the mechanism it chose and the mechanism's first response."""

    FIELDS: ClassVar[tuple[str, ...]] = ("client_properties", "mechanism", "response", "locale")

    def __init__(
        self,
        client_properties: Table | None = None,
        mechanism: str = "PLAIN",
        response: bytes = b"",
        locale: str = "en_US",
    ) -> None:
        super().__init__(CLASS_ID, 11, "connection.start-ok")
        self.client_properties: Table = {} if client_properties is None else client_properties
        self.mechanism = mechanism
        self.response = response
        self.locale = locale

    @staticmethod
    def decode(reader: Reader) -> ConnectionStartOk:
        """Read the arguments."""
        client_properties = reader.table()
        mechanism = reader.shortstr()
        response = reader.longstr()
        locale = reader.shortstr()
        return ConnectionStartOk(client_properties, mechanism, response, locale)

    def encode_arguments(self, writer: Writer) -> None:
        writer.table(self.client_properties)
        writer.shortstr(self.mechanism)
        writer.longstr(self.response)
        writer.shortstr(self.locale)


class ConnectionSecure(Method):
    """connection.secure: one more challenge of the mechanism."""

    FIELDS: ClassVar[tuple[str, ...]] = ("challenge",)

    def __init__(self, challenge: bytes = b"") -> None:
        super().__init__(CLASS_ID, 20, "connection.secure")
        self.challenge = challenge

    @staticmethod
    def decode(reader: Reader) -> ConnectionSecure:
        """Read the arguments."""
        return ConnectionSecure(reader.longstr())

    def encode_arguments(self, writer: Writer) -> None:
        writer.longstr(self.challenge)


class ConnectionSecureOk(Method):
    """connection.secure-ok: the response to a challenge."""

    FIELDS: ClassVar[tuple[str, ...]] = ("response",)

    def __init__(self, response: bytes = b"") -> None:
        super().__init__(CLASS_ID, 21, "connection.secure-ok")
        self.response = response

    @staticmethod
    def decode(reader: Reader) -> ConnectionSecureOk:
        """Read the arguments."""
        return ConnectionSecureOk(reader.longstr())

    def encode_arguments(self, writer: Writer) -> None:
        writer.longstr(self.response)


class ConnectionTune(Method):
    """connection.tune: the limits that the server proposes; 0 means no limit, and no heartbeats."""

    FIELDS: ClassVar[tuple[str, ...]] = ("channel_max", "frame_max", "heartbeat")

    def __init__(self, channel_max: int = 0, frame_max: int = 0, heartbeat: int = 0) -> None:
        super().__init__(CLASS_ID, 30, "connection.tune")
        self.channel_max = channel_max
        self.frame_max = frame_max
        self.heartbeat = heartbeat

    @staticmethod
    def decode(reader: Reader) -> ConnectionTune:
        """Read the arguments."""
        channel_max = reader.short()
        frame_max = reader.long()
        heartbeat = reader.short()
        return ConnectionTune(channel_max, frame_max, heartbeat)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(self.channel_max)
        writer.long(self.frame_max)
        writer.short(self.heartbeat)


class ConnectionTuneOk(Method):
    """connection.tune-ok: the limits that the client settled on; heartbeat is in seconds."""

    FIELDS: ClassVar[tuple[str, ...]] = ("channel_max", "frame_max", "heartbeat")

    def __init__(self, channel_max: int = 0, frame_max: int = 0, heartbeat: int = 0) -> None:
        super().__init__(CLASS_ID, 31, "connection.tune-ok")
        self.channel_max = channel_max
        self.frame_max = frame_max
        self.heartbeat = heartbeat

    @staticmethod
    def decode(reader: Reader) -> ConnectionTuneOk:
        """Read the arguments."""
        channel_max = reader.short()
        frame_max = reader.long()
        heartbeat = reader.short()
        return ConnectionTuneOk(channel_max, frame_max, heartbeat)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(self.channel_max)
        writer.long(self.frame_max)
        writer.short(self.heartbeat)


class ConnectionOpen(Method):
    """connection.open: choose the virtual host."""

    FIELDS: ClassVar[tuple[str, ...]] = ("virtual_host",)

    def __init__(self, virtual_host: str = "/") -> None:
        super().__init__(CLASS_ID, 40, "connection.open")
        self.virtual_host = virtual_host

    @staticmethod
    def decode(reader: Reader) -> ConnectionOpen:
        """Read the arguments."""
        virtual_host = reader.shortstr()
        reader.shortstr()  # capabilities
        reader.octet()
        return ConnectionOpen(virtual_host)

    def encode_arguments(self, writer: Writer) -> None:
        writer.shortstr(self.virtual_host)
        writer.shortstr("")
        writer.octet(0)


class ConnectionOpenOk(Method):
    """connection.open-ok: the connection is open."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 41, "connection.open-ok")

    @staticmethod
    def decode(reader: Reader) -> ConnectionOpenOk:
        """Read the arguments."""
        reader.shortstr()  # known-hosts
        return ConnectionOpenOk()

    def encode_arguments(self, writer: Writer) -> None:
        writer.shortstr("")


class ConnectionClose(Method):
    """connection.close: close the connection; the failing ids name the method at fault, or are 0."""

    FIELDS: ClassVar[tuple[str, ...]] = ("reply_code", "reply_text", "failing_class_id", "failing_method_id")

    def __init__(
        self, reply_code: int, reply_text: str = "", failing_class_id: int = 0, failing_method_id: int = 0
    ) -> None:
        super().__init__(CLASS_ID, 50, "connection.close")
        self.reply_code = reply_code
        self.reply_text = reply_text
        self.failing_class_id = failing_class_id
        self.failing_method_id = failing_method_id

    @staticmethod
    def decode(reader: Reader) -> ConnectionClose:
        """Read the arguments."""
        reply_code = reader.short()
        reply_text = reader.shortstr()
        failing_class_id = reader.short()
        failing_method_id = reader.short()
        return ConnectionClose(reply_code, reply_text, failing_class_id, failing_method_id)

    def encode_arguments(self, writer: Writer) -> None:
        writer.short(self.reply_code)
        writer.shortstr(self.reply_text)
        writer.short(self.failing_class_id)
        writer.short(self.failing_method_id)


class ConnectionCloseOk(Method):
    """connection.close-ok: the connection is closed."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 51, "connection.close-ok")

    @staticmethod
    def decode(reader: Reader) -> ConnectionCloseOk:
        """Read the arguments."""
        return ConnectionCloseOk()


class ConnectionBlocked(Method):
    """connection.blocked: the server stopped reading from publishers."""

    FIELDS: ClassVar[tuple[str, ...]] = ("reason",)

    def __init__(self, reason: str = "") -> None:
        super().__init__(CLASS_ID, 60, "connection.blocked")
        self.reason = reason

    @staticmethod
    def decode(reader: Reader) -> ConnectionBlocked:
        """Read the arguments."""
        return ConnectionBlocked(reader.shortstr())

    def encode_arguments(self, writer: Writer) -> None:
        writer.shortstr(self.reason)


class ConnectionUnblocked(Method):
    """connection.unblocked: the server reads from publishers again."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 61, "connection.unblocked")

    @staticmethod
    def decode(reader: Reader) -> ConnectionUnblocked:
        """Read the arguments."""
        return ConnectionUnblocked()


class ConnectionUpdateSecret(Method):
    """connection.update-secret: replace the credentials of an open connection."""

    FIELDS: ClassVar[tuple[str, ...]] = ("new_secret", "reason")

    def __init__(self, new_secret: bytes, reason: str = "") -> None:
        super().__init__(CLASS_ID, 70, "connection.update-secret")
        self.new_secret = new_secret
        self.reason = reason

    @staticmethod
    def decode(reader: Reader) -> ConnectionUpdateSecret:
        """Read the arguments."""
        new_secret = reader.longstr()
        reason = reader.shortstr()
        return ConnectionUpdateSecret(new_secret, reason)

    def encode_arguments(self, writer: Writer) -> None:
        writer.longstr(self.new_secret)
        writer.shortstr(self.reason)


class ConnectionUpdateSecretOk(Method):
    """connection.update-secret-ok: the new credentials are in use."""

    def __init__(self) -> None:
        super().__init__(CLASS_ID, 71, "connection.update-secret-ok")

    @staticmethod
    def decode(reader: Reader) -> ConnectionUpdateSecretOk:
        """Read the arguments."""
        return ConnectionUpdateSecretOk()


def decode_connection(method_id: int, reader: Reader) -> Method | None:
    """Read the arguments of a connection method; None for an unknown method id."""
    if method_id == 10:
        return ConnectionStart.decode(reader)
    if method_id == 11:
        return ConnectionStartOk.decode(reader)
    if method_id == 20:
        return ConnectionSecure.decode(reader)
    if method_id == 21:
        return ConnectionSecureOk.decode(reader)
    if method_id == 30:
        return ConnectionTune.decode(reader)
    if method_id == 31:
        return ConnectionTuneOk.decode(reader)
    if method_id == 40:
        return ConnectionOpen.decode(reader)
    if method_id == 41:
        return ConnectionOpenOk.decode(reader)
    if method_id == 50:
        return ConnectionClose.decode(reader)
    if method_id == 51:
        return ConnectionCloseOk.decode(reader)
    if method_id == 60:
        return ConnectionBlocked.decode(reader)
    if method_id == 61:
        return ConnectionUnblocked.decode(reader)
    if method_id == 70:
        return ConnectionUpdateSecret.decode(reader)
    if method_id == 71:
        return ConnectionUpdateSecretOk.decode(reader)
    return None
