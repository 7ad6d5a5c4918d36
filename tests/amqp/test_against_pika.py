"""The same octets as pika: an encoder and decoder that was written without us."""

from __future__ import annotations

from decimal import Decimal

import pika.data
import pika.frame
import pika.spec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret.amqp.field_table import encode_table, table_from_python
from leveret.amqp.frame import HEARTBEAT_FRAME, PROTOCOL_HEADER, content_frames, method_frame
from leveret.amqp.methods import METHOD_IDS, Method, decode_method
from leveret.amqp.properties import BasicProperties, decode_properties, encode_content_header
from tests.amqp import strategies

PIKA_CLASSES = {
    (pika_class.INDEX >> 16, pika_class.INDEX & 0xFFFF): pika_class for pika_class in pika.spec.methods.values()
}
PIKA_NAMES = {
    "global_": "global_qos",
    "type_": "type",
    "failing_class_id": "class_id",
    "failing_method_id": "method_id",
}
# Older releases of pika do not have them, and newer ones cannot read the first.
WITHOUT_PIKA = {"connection.update-secret", "connection.update-secret-ok"}

plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**63 - 1)
    | st.text(max_size=20)
    | st.binary(max_size=20)
    # pika drops the zeros at the end of a decimal
    | st.integers(0, 2**27).map(lambda tens: Decimal(tens * 10 + 1).scaleb(-2)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
plain_tables: st.SearchStrategy[dict[str, object]] = st.dictionaries(st.text(max_size=20), plain_values, max_size=4)


SHARED = [
    method_class for method_class in strategies.METHOD_CLASSES if strategies.wire_name(method_class) not in WITHOUT_PIKA
]


def test_pika_knows_nearly_all_methods() -> None:
    ours_alone = {name for name, pair in METHOD_IDS.items() if pair not in PIKA_CLASSES}
    assert ours_alone <= WITHOUT_PIKA
    assert set(PIKA_CLASSES) <= set(METHOD_IDS.values())


@pytest.mark.parametrize("method_class", SHARED, ids=lambda method_class: method_class.__name__)
@given(data=st.data())
def test_methods(method_class: type[Method], data: st.DataObject) -> None:
    tables = dict.fromkeys(("arguments", "server_properties", "client_properties"), plain_tables)
    fields = data.draw(strategies.fields_of(method_class, **tables))
    theirs = PIKA_CLASSES[METHOD_IDS[strategies.wire_name(method_class)]]()
    for field, value in fields.items():
        setattr(theirs, PIKA_NAMES.get(field, field), value)
    ours = method_class(
        **{
            field: table_from_python(value) if isinstance(value, dict) else value  # type: ignore[arg-type]
            for field, value in fields.items()
        }
    )
    their_frame = pika.frame.Method(7, theirs).marshal()
    assert method_frame(7, ours.encode()) == their_frame
    assert decode_method(their_frame[7:-1]) == ours


@given(
    headers=st.none() | plain_tables,
    strings=st.lists(st.none() | strategies.short_strings, min_size=9, max_size=9),
    numbers=st.lists(st.none() | strategies.octets, min_size=2, max_size=2),
    timestamp=st.none() | strategies.longlongs,
    body=st.binary(max_size=50),
)
def test_content(
    headers: dict[str, object] | None,
    strings: list[str | None],
    numbers: list[int | None],
    timestamp: int | None,
    body: bytes,
) -> None:
    # pika cannot send a cluster id
    names = [
        "content_type",
        "content_encoding",
        "correlation_id",
        "reply_to",
        "expiration",
        "message_id",
        "type",
        "user_id",
        "app_id",
    ]
    fields: dict[str, object] = dict(zip(names, strings, strict=True))
    fields |= {"delivery_mode": numbers[0], "priority": numbers[1], "timestamp": timestamp}
    theirs = pika.spec.BasicProperties(headers=headers, **fields)
    ours = BasicProperties(headers=None if headers is None else table_from_python(headers))
    for field, value in fields.items():
        setattr(ours, "type_" if field == "type" else field, value)
    their_header = pika.frame.Header(7, len(body), theirs).marshal()
    their_frames = their_header + (pika.frame.Body(7, body).marshal() if body else b"")
    assert content_frames(7, encode_content_header(len(body), ours), body, 131072) == their_frames
    assert decode_properties(their_header[7:-1], 12) == ours


def test_constant_frames() -> None:
    assert pika.frame.Heartbeat().marshal() == HEARTBEAT_FRAME
    assert pika.frame.ProtocolHeader().marshal() == PROTOCOL_HEADER


WITH_TABLES = {"arguments", "server_properties", "client_properties"}
# the tables that pika reads become Python values, which no longer tell their type
READABLE = [method_class for method_class in SHARED if WITH_TABLES.isdisjoint(method_class.FIELDS)]


@pytest.mark.parametrize("method_class", READABLE, ids=lambda method_class: method_class.__name__)
@given(data=st.data())
def test_pika_reads_what_we_write(method_class: type[Method], data: st.DataObject) -> None:
    method = data.draw(strategies.methods_of(method_class))
    octets = method_frame(3, method.encode())
    consumed, read = pika.frame.decode_frame(octets)
    assert consumed == len(octets)
    assert read.channel_number == 3
    for field in method.FIELDS:
        theirs = getattr(read.method, PIKA_NAMES.get(field, field))
        value = getattr(method, field)
        as_octets = theirs.encode() if isinstance(value, bytes) and isinstance(theirs, str) else theirs
        assert as_octets == value


def test_decimals_are_written_alike() -> None:
    pieces: list[bytes] = []
    pika.data.encode_table(pieces, {"price": Decimal("3.14")})
    assert encode_table(table_from_python({"price": Decimal("3.14")})) == b"".join(pieces)
