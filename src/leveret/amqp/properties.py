"""Content headers and the fourteen properties of a basic message.

A header payload is: class (60), weight (0), body size, property flags, property list. A broker keeps it as the bytes
that came and rarely needs more than one property, so there are two ways in: decode_properties builds everything,
scan_properties only checks that decode_properties would succeed and returns the delivery mode. Both accept exactly
the same bytes. Once a payload is known to be well formed, single properties are found in it (property_at), and headers
replaced (headers_in, with_headers), without decoding any others.

RabbitMQ gives no meaning to the two lowest flag bits, the continuation bit among them, and so neither do we: there is
one word of flags. A property list with a wrong length, or with octets left over, RabbitMQ answers with 541
INTERNAL_ERROR on the connection.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i16_be, read_i32_be
from mypy_extensions import i64

from leveret.amqp.encoded_table import split_table
from leveret.amqp.field_table import Table, check_table
from leveret.amqp.reply_codes import INTERNAL_ERROR, HardError
from leveret.amqp.wire import Reader, Writer

BASIC_CLASS: Final = 60
FLAGS_AT: Final = 12

CONTENT_TYPE: Final = 0x8000
CONTENT_ENCODING: Final = 0x4000
HEADERS: Final = 0x2000
DELIVERY_MODE: Final = 0x1000
PRIORITY: Final = 0x0800
CORRELATION_ID: Final = 0x0400
REPLY_TO: Final = 0x0200
EXPIRATION: Final = 0x0100
MESSAGE_ID: Final = 0x0080
TIMESTAMP: Final = 0x0040
TYPE: Final = 0x0020
USER_ID: Final = 0x0010
APP_ID: Final = 0x0008
CLUSTER_ID: Final = 0x0004

_LIST_AT: Final = 14
_ALL_FLAGS: Final = 0xFFFC


class BasicProperties:
    """The properties of a message. None means absent, which is not the same as an empty string or table.

    `timestamp` counts seconds since 1970. Strings keep bytes that are not UTF-8 by surrogateescape.
    """

    def __init__(
        self,
        content_type: str | None = None,
        content_encoding: str | None = None,
        headers: Table | None = None,
        delivery_mode: int | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
        reply_to: str | None = None,
        expiration: str | None = None,
        message_id: str | None = None,
        timestamp: int | None = None,
        type_: str | None = None,
        user_id: str | None = None,
        app_id: str | None = None,
        cluster_id: str | None = None,
    ) -> None:
        self.content_type = content_type
        self.content_encoding = content_encoding
        self.headers = headers
        self.delivery_mode = delivery_mode
        self.priority = priority
        self.correlation_id = correlation_id
        self.reply_to = reply_to
        self.expiration = expiration
        self.message_id = message_id
        self.timestamp = timestamp
        self.type_ = type_
        self.user_id = user_id
        self.app_id = app_id
        self.cluster_id = cluster_id

    def encode(self) -> bytes:
        """Return the property flags and the property list. Raises ValueError for what the wire cannot hold."""
        writer = Writer()
        writer.short(self._flags())
        _write_shortstr(writer, self.content_type)
        _write_shortstr(writer, self.content_encoding)
        if self.headers is not None:
            writer.table(self.headers)
        if self.delivery_mode is not None:
            writer.octet(self.delivery_mode)
        if self.priority is not None:
            writer.octet(self.priority)
        _write_shortstr(writer, self.correlation_id)
        _write_shortstr(writer, self.reply_to)
        _write_shortstr(writer, self.expiration)
        _write_shortstr(writer, self.message_id)
        if self.timestamp is not None:
            writer.timestamp(self.timestamp)
        _write_shortstr(writer, self.type_)
        _write_shortstr(writer, self.user_id)
        _write_shortstr(writer, self.app_id)
        _write_shortstr(writer, self.cluster_id)
        return writer.getvalue()

    def _flags(self) -> int:
        flags = 0
        flags |= 0 if self.content_type is None else CONTENT_TYPE
        flags |= 0 if self.content_encoding is None else CONTENT_ENCODING
        flags |= 0 if self.headers is None else HEADERS
        flags |= 0 if self.delivery_mode is None else DELIVERY_MODE
        flags |= 0 if self.priority is None else PRIORITY
        flags |= 0 if self.correlation_id is None else CORRELATION_ID
        flags |= 0 if self.reply_to is None else REPLY_TO
        flags |= 0 if self.expiration is None else EXPIRATION
        flags |= 0 if self.message_id is None else MESSAGE_ID
        flags |= 0 if self.timestamp is None else TIMESTAMP
        flags |= 0 if self.type_ is None else TYPE
        flags |= 0 if self.user_id is None else USER_ID
        flags |= 0 if self.app_id is None else APP_ID
        flags |= 0 if self.cluster_id is None else CLUSTER_ID
        return flags

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BasicProperties) and self.encode() == other.encode()

    def __repr__(self) -> str:
        present: list[str] = []
        for name in _NAMES:
            value: object = getattr(self, name)
            if value is not None:
                present.append(f"{name}={value!r}")
        return f"BasicProperties({', '.join(present)})"


_NAMES: Final = (
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type_",
    "user_id",
    "app_id",
    "cluster_id",
)


def encode_content_header(body_size: int, properties: BasicProperties) -> bytes:
    """Return the payload of a header frame. `body_size` is in octets."""
    writer = Writer()
    writer.short(BASIC_CLASS)
    writer.short(0)
    writer.longlong(body_size)
    writer.raw(properties.encode())
    return writer.getvalue()


def decode_properties(payload: bytes, at: int) -> BasicProperties:
    """Decode the property flags at `at` and the property list that fills the rest of the payload.

    Raises HardError INTERNAL_ERROR when the list does not have the shape that the flags say.
    """
    reader = Reader(payload, at)
    try:
        properties = _read_properties(reader)
    except HardError as error:
        raise _malformed(error.explanation) from None
    if not reader.at_end:
        raise _malformed("octets after the last property")
    return properties


def scan_properties(payload: bytes) -> i64:
    """Return the delivery mode of a content header's payload, 0 if it has none, without building anything.

    Raises HardError INTERNAL_ERROR exactly when decode_properties(payload, FLAGS_AT) would. The class, the weight and
    the body size are not looked at.
    """
    size: i64 = len(payload)
    if size < _LIST_AT:
        raise _malformed("too short")
    flags = i64(read_i16_be(payload, FLAGS_AT)) & 0xFFFF
    if flags == 0 and size == _LIST_AT:
        return 0
    if flags == DELIVERY_MODE and size == _LIST_AT + 1:
        return i64(payload[_LIST_AT])
    try:
        return _scan_list(payload, flags, size)
    except HardError as error:
        raise _malformed(error.explanation) from None


def property_at(payload: bytes, flag: int) -> i64:
    """Where the property of this flag begins in a content header's payload, which is well formed; -1 if absent.

    `flag` is EXPIRATION, PRIORITY, or another one whose predecessors are short strings, headers and octets.
    """
    flags = i64(read_i16_be(payload, FLAGS_AT)) & 0xFFFF
    return _place(payload, flags, flag) if flags & flag else -1


def headers_in(payload: bytes) -> dict[bytes, bytes]:
    """The headers in a content header's payload, which is well formed, still encoded: see split_table."""
    at = property_at(payload, HEADERS)
    if at < 0:
        return {}
    return split_table(payload, at + 4, _after_length(payload, at))


def with_headers(payload: bytes, table: bytes) -> bytes:
    """The property flags and list of a content header's payload with these encoded headers and no expiration.

    Everything else is as it was; but the two flag bits without a meaning are gone, as when it is decoded.
    """
    flags = i64(read_i16_be(payload, FLAGS_AT)) & _ALL_FLAGS
    start = end = _place(payload, flags, HEADERS)
    if flags & HEADERS:
        end = _after_length(payload, start)
    before, after = payload[_LIST_AT:start], payload[end:]
    if flags & EXPIRATION:
        expiration_at = _place(payload, flags, EXPIRATION)
        after = payload[end:expiration_at] + payload[expiration_at + 1 + i64(payload[expiration_at]) :]
    flags = (flags | HEADERS) & ~EXPIRATION
    return int(flags).to_bytes(2, "big") + before + table + after


def _place(payload: bytes, flags: i64, flag: i64) -> i64:
    """Where the property of this flag begins, or would if it were there."""
    before = flags & ~(2 * flag - 1)  # those in front of it have the higher bits
    at: i64 = _LIST_AT
    if before & CONTENT_TYPE:
        at += 1 + i64(payload[at])
    if before & CONTENT_ENCODING:
        at += 1 + i64(payload[at])
    if before & HEADERS:
        at = _after_length(payload, at)
    if before & DELIVERY_MODE:
        at += 1
    if before & PRIORITY:
        at += 1
    if before & CORRELATION_ID:
        at += 1 + i64(payload[at])
    if before & REPLY_TO:
        at += 1 + i64(payload[at])
    return at


def _after_length(payload: bytes, at: i64) -> i64:
    """Where the octets end whose 4-byte length is at `at`."""
    return at + 4 + (i64(read_i32_be(payload, at)) & 0xFFFFFFFF)


def _malformed(reason: str) -> HardError:
    return HardError(INTERNAL_ERROR, f"malformed content header: {reason}")


def _write_shortstr(writer: Writer, value: str | None) -> None:
    if value is not None:
        writer.shortstr(value)


def _read_properties(reader: Reader) -> BasicProperties:
    flags = reader.short()
    properties = BasicProperties()
    properties.content_type = _read_shortstr(reader, flags & CONTENT_TYPE)
    properties.content_encoding = _read_shortstr(reader, flags & CONTENT_ENCODING)
    if flags & HEADERS:
        properties.headers = reader.table()
    if flags & DELIVERY_MODE:
        properties.delivery_mode = reader.octet()
    if flags & PRIORITY:
        properties.priority = reader.octet()
    properties.correlation_id = _read_shortstr(reader, flags & CORRELATION_ID)
    properties.reply_to = _read_shortstr(reader, flags & REPLY_TO)
    properties.expiration = _read_shortstr(reader, flags & EXPIRATION)
    properties.message_id = _read_shortstr(reader, flags & MESSAGE_ID)
    if flags & TIMESTAMP:
        properties.timestamp = reader.timestamp()
    properties.type_ = _read_shortstr(reader, flags & TYPE)
    properties.user_id = _read_shortstr(reader, flags & USER_ID)
    properties.app_id = _read_shortstr(reader, flags & APP_ID)
    properties.cluster_id = _read_shortstr(reader, flags & CLUSTER_ID)
    return properties


def _read_shortstr(reader: Reader, present: int) -> str | None:
    return reader.shortstr_unchecked() if present else None


def _scan_list(payload: bytes, flags: i64, size: i64) -> i64:
    delivery_mode: i64 = 0
    at: i64 = _LIST_AT
    at = _skip_shortstr(payload, at, size, flags & CONTENT_TYPE)
    at = _skip_shortstr(payload, at, size, flags & CONTENT_ENCODING)
    if flags & HEADERS:
        at = _skip_table(payload, at, size)
    if flags & DELIVERY_MODE:
        if at >= size:
            raise _malformed("too short")
        delivery_mode = i64(payload[at])
        at += 1
    if flags & PRIORITY:
        at += 1
    at = _skip_shortstr(payload, at, size, flags & CORRELATION_ID)
    at = _skip_shortstr(payload, at, size, flags & REPLY_TO)
    at = _skip_shortstr(payload, at, size, flags & EXPIRATION)
    at = _skip_shortstr(payload, at, size, flags & MESSAGE_ID)
    if flags & TIMESTAMP:
        at += 8
    at = _skip_shortstr(payload, at, size, flags & TYPE)
    at = _skip_shortstr(payload, at, size, flags & USER_ID)
    at = _skip_shortstr(payload, at, size, flags & APP_ID)
    at = _skip_shortstr(payload, at, size, flags & CLUSTER_ID)
    if at != size:
        raise _malformed("its length is not that of its properties")
    return delivery_mode


def _skip_shortstr(payload: bytes, at: i64, size: i64, present: i64) -> i64:
    if present == 0:
        return at
    if at >= size:
        raise _malformed("too short")
    return at + 1 + i64(payload[at])


def _skip_table(payload: bytes, at: i64, size: i64) -> i64:
    if size - at < 4:
        raise _malformed("too short")
    start = at + 4
    end = start + (i64(read_i32_be(payload, at)) & 0xFFFFFFFF)
    if end > size:
        raise _malformed("too short")
    check_table(payload, start, end)
    return end
