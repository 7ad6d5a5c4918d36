"""Content headers: round trips, the two ways to read them agree, and malformed ones are refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret.amqp.encoded_table import join_table
from leveret.amqp.field_table import FieldValue, Table, encode_table
from leveret.amqp.properties import (
    FLAGS_AT,
    BasicProperties,
    decode_properties,
    encode_content_header,
    headers_in,
    scan_properties,
    with_headers,
)
from leveret.amqp.reply_codes import INTERNAL_ERROR, AMQPError, HardError
from tests.amqp import strategies

FIELDS = [
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
]

# every property alone: its value, its flag and its octets
ALONE = [
    ("content_type", "text/plain", 0x8000, b"\x0atext/plain"),
    ("content_encoding", "gzip", 0x4000, b"\x04gzip"),
    ("headers", {"a": FieldValue("t", True)}, 0x2000, b"\x00\x00\x00\x04\x01at\x01"),
    ("delivery_mode", 2, 0x1000, b"\x02"),
    ("priority", 9, 0x0800, b"\x09"),
    ("correlation_id", "c", 0x0400, b"\x01c"),
    ("reply_to", "r", 0x0200, b"\x01r"),
    ("expiration", "60000", 0x0100, b"\x0560000"),
    ("message_id", "m", 0x0080, b"\x01m"),
    ("timestamp", 2**63, 0x0040, b"\x80" + bytes(7)),
    ("type_", "t", 0x0020, b"\x01t"),
    ("user_id", "guest", 0x0010, b"\x05guest"),
    ("app_id", "a", 0x0008, b"\x01a"),
    ("cluster_id", "", 0x0004, b"\x00"),
]


def header(flags: int, octets: bytes = b"") -> bytes:
    return struct.pack(">HHQH", 60, 0, 5, flags) + octets


def is_refused(payload: bytes) -> None:
    for read in (scan_properties, lambda payload: decode_properties(payload, FLAGS_AT)):
        with pytest.raises(HardError) as error:
            read(payload)
        assert error.value.code == INTERNAL_ERROR
        assert error.value.explanation.startswith("malformed content header: ")


@given(strategies.properties, strategies.longlongs)
def test_round_trip(properties: BasicProperties, body_size: int) -> None:
    payload = encode_content_header(body_size, properties)
    assert payload[:FLAGS_AT] == struct.pack(">HHQ", 60, 0, body_size)
    assert payload[FLAGS_AT:] == properties.encode()
    decoded = decode_properties(payload, FLAGS_AT)
    assert [getattr(decoded, field) for field in FIELDS] == [getattr(properties, field) for field in FIELDS]
    assert decoded == properties
    assert decoded.encode() == properties.encode()
    assert scan_properties(payload) == (properties.delivery_mode or 0)


@given(strategies.properties, strategies.tables, st.integers(0, 3))
def test_headers_are_replaced_without_touching_other_properties(
    properties: BasicProperties, headers: Table, meaningless: int
) -> None:
    payload = bytearray(encode_content_header(5, properties))
    payload[FLAGS_AT + 1] |= meaningless
    assert join_table(headers_in(bytes(payload))) == encode_table(properties.headers or {})
    properties.headers, properties.expiration = headers, None
    assert with_headers(bytes(payload), encode_table(headers)) == properties.encode()


@pytest.mark.parametrize(("field", "value", "flag", "octets"), ALONE)
def test_each_property_alone(field: str, value: object, flag: int, octets: bytes) -> None:
    payload = header(flag, octets)
    properties = decode_properties(payload, FLAGS_AT)
    assert {name: getattr(properties, name) for name in FIELDS if getattr(properties, name) is not None} == {
        field: value
    }
    assert encode_content_header(5, properties) == payload
    assert scan_properties(payload) == (value if field == "delivery_mode" else 0)
    assert repr(properties) == f"BasicProperties({field}={value!r})"


@pytest.mark.parametrize(("_field", "_value", "flag", "octets"), ALONE)
def test_each_property_cut_or_too_long(_field: str, _value: object, flag: int, octets: bytes) -> None:
    for length in range(len(octets)):
        is_refused(header(flag, octets[:length]))
    is_refused(header(flag, octets + b"\x00"))


def test_no_properties() -> None:
    assert scan_properties(header(0)) == 0
    assert decode_properties(header(0), FLAGS_AT) == BasicProperties()
    assert BasicProperties().encode() == b"\x00\x00"
    is_refused(header(0, b"\x00"))


@pytest.mark.parametrize("length", range(14))
def test_without_flags(length: int) -> None:
    payload = header(0)[:length]
    with pytest.raises(HardError):
        scan_properties(payload)
    with pytest.raises(HardError):
        decode_properties(payload, FLAGS_AT)


def test_lowest_flag_bits_mean_nothing() -> None:
    for flags in (0x1001, 0x1002, 0x1003):
        assert scan_properties(header(flags, b"\x02")) == 2
        assert decode_properties(header(flags, b"\x02"), FLAGS_AT).delivery_mode == 2
        is_refused(header(flags, b"\x00\x00\x02"))


@pytest.mark.parametrize("table", [b"\x01aZ", b"\x01aI\x00", b"\x05a", b"\x01"])
def test_malformed_headers(table: bytes) -> None:
    is_refused(header(0x2000, struct.pack(">I", len(table)) + table))


def test_length_of_headers_past_the_end() -> None:
    is_refused(header(0x2000, b"\x00\x00\x00\x04\x01aV"))
    is_refused(header(0x2000, b"\xff\xff\xff\xff\x01aV"))
    is_refused(header(0x2000, b"\x80\x00\x00\x00\x01aV"))


def test_text_that_is_not_utf8_survives() -> None:
    payload = header(0x8000, b"\x02\xff\xfe")
    assert decode_properties(payload, FLAGS_AT).content_type == "\udcff\udcfe"
    assert encode_content_header(5, decode_properties(payload, FLAGS_AT)) == payload


arbitrary_payloads = st.one_of(
    st.binary(max_size=100),
    st.builds(header, st.integers(0, 0xFFFF), st.binary(max_size=60)),
    # few flags and short strings, so that many of these are well formed
    st.builds(
        lambda flags, sizes: header(
            sum(1 << bit for bit in flags), b"".join(bytes([size]) + bytes(size) for size in sizes)
        ),
        st.sets(st.integers(0, 15), max_size=4),
        st.lists(st.integers(0, 3), max_size=4),
    ),
    strategies.damaged(strategies.properties.map(lambda properties: encode_content_header(5, properties))),
)


@given(arbitrary_payloads)
def test_both_ways_to_read_agree_and_raise_only_protocol_errors(payload: bytes) -> None:
    try:
        properties: BasicProperties | None = decode_properties(payload, FLAGS_AT)
    except AMQPError as error:
        assert isinstance(error, HardError)
        assert error.code == INTERNAL_ERROR
        properties = None
    if properties is None:
        with pytest.raises(HardError) as scanned:
            scan_properties(payload)
        assert scanned.value.code == INTERNAL_ERROR
    else:
        assert scan_properties(payload) == (properties.delivery_mode or 0)
        assert decode_properties(properties.encode(), 0) == properties


@given(st.binary(max_size=40), st.integers(0, 50))
def test_any_start_raises_only_protocol_errors(payload: bytes, at: int) -> None:
    try:
        decode_properties(payload, at)
    except HardError as error:
        assert error.code == INTERNAL_ERROR


def test_comparison() -> None:
    assert BasicProperties(priority=1) == BasicProperties(priority=1)
    assert BasicProperties(priority=1) != BasicProperties(priority=2)
    assert BasicProperties(headers={}) != BasicProperties()
    assert BasicProperties() != None  # noqa: E711


def test_values_that_the_wire_cannot_hold() -> None:
    for properties in (
        BasicProperties(priority=256),
        BasicProperties(reply_to="x" * 256),
        BasicProperties(timestamp=-1),
    ):
        with pytest.raises(ValueError):
            properties.encode()
