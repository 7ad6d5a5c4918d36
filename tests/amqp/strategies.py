"""What hypothesis draws for the wire: tables, methods, properties, and encodings with damage done to them."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from leveret.amqp import methods
from leveret.amqp.field_table import FieldValue, Table, encode_value
from leveret.amqp.methods import Method
from leveret.amqp.properties import BasicProperties

octets = st.integers(0, 2**8 - 1)
shorts = st.integers(0, 2**16 - 1)
longs = st.integers(0, 2**32 - 1)
longlongs = st.integers(0, 2**64 - 1)

# up to 63 characters of up to 4 bytes each fit into a short string
short_strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=63)
any_short_strings = st.binary(max_size=255).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
any_text = st.binary(max_size=300).map(lambda octets: octets.decode("utf-8", "surrogateescape"))


def decimals() -> st.SearchStrategy[Decimal]:
    return st.builds(
        lambda unscaled, scale: Decimal((0, tuple(int(digit) for digit in str(unscaled)), -scale)), longs, octets
    )


def _values(kind: str, values: st.SearchStrategy) -> st.SearchStrategy[FieldValue]:
    return values.map(lambda value: FieldValue(kind, value))


simple_values: st.SearchStrategy[FieldValue] = st.one_of(
    _values("t", st.booleans()),
    _values("b", st.integers(-(2**7), 2**7 - 1)),
    _values("B", octets),
    _values("s", st.integers(-(2**15), 2**15 - 1)),
    _values("u", shorts),
    _values("I", st.integers(-(2**31), 2**31 - 1)),
    _values("i", longs),
    _values("l", st.integers(-(2**63), 2**63 - 1)),
    _values("T", longlongs),
    _values("f", st.floats(width=32, allow_nan=False)),
    _values("d", st.floats(allow_nan=False)),
    _values("D", decimals()),
    _values("S", any_text),
    _values("x", st.binary(max_size=300)),
    _values("V", st.none()),
)


def _tables_of(values: st.SearchStrategy[FieldValue]) -> st.SearchStrategy[Table]:
    return st.dictionaries(any_short_strings, values, max_size=5)


field_values: st.SearchStrategy[FieldValue] = st.recursive(
    simple_values,
    lambda inner: _values("A", st.lists(inner, max_size=4)) | _values("F", _tables_of(inner)),
    max_leaves=12,
)
tables = _tables_of(field_values)


def _longstr(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets


def _entries_of(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    keys = st.sampled_from((b"", b"a", b"b", b"queue", b"\xff", b"\xc3\xa9")) | st.binary(max_size=20)
    entries = st.tuples(keys, values).map(lambda entry: bytes([len(entry[0])]) + entry[0] + entry[1])
    return st.lists(entries, max_size=5).map(b"".join)


# Values with their letter as a client may send them, also such as nobody writes: equal keys, L, booleans above 1, and
# floats that are not numbers.
encoded_values: st.SearchStrategy[bytes] = st.recursive(
    simple_values.map(encode_value)
    | st.sampled_from((b"t\x02", b"t\xff", b"f\x7f\x80\x00\x01", b"f\x7f\xff\xff\xff"))
    | st.binary(min_size=8, max_size=8).map(lambda octets: b"L" + octets),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda values: b"A" + _longstr(b"".join(values)))
        | _entries_of(inner).map(lambda entries: b"F" + _longstr(entries))
    ),
    max_leaves=12,
)
encoded_entries = _entries_of(encoded_values)  # of a table, without its length

_FIELDS: dict[str, st.SearchStrategy] = {
    "version_major": octets,
    "version_minor": octets,
    "server_properties": tables,
    "client_properties": tables,
    "arguments": tables,
    "mechanisms": st.binary(max_size=300),
    "locales": st.binary(max_size=300),
    "response": st.binary(max_size=300),
    "challenge": st.binary(max_size=300),
    "new_secret": st.binary(max_size=300),
    "reply_code": shorts,
    "failing_class_id": shorts,
    "failing_method_id": shorts,
    "channel_max": shorts,
    "heartbeat": shorts,
    "prefetch_count": shorts,
    "ticket": shorts,
    "frame_max": longs,
    "prefetch_size": longs,
    "message_count": longs,
    "consumer_count": longs,
    "delivery_tag": longlongs,
}
_SHORT_STRING_FIELDS = frozenset(
    (
        "mechanism",
        "locale",
        "virtual_host",
        "reply_text",
        "reason",
        "realm",
        "exchange",
        "type_",
        "destination",
        "source",
        "routing_key",
        "queue",
        "consumer_tag",
    )
)
_BIT_FIELDS = frozenset(
    (
        "active",
        "exclusive",
        "passive",
        "write",
        "read",
        "durable",
        "auto_delete",
        "internal",
        "nowait",
        "if_unused",
        "if_empty",
        "global_",
        "no_local",
        "no_ack",
        "mandatory",
        "immediate",
        "redelivered",
        "multiple",
        "requeue",
    )
)

METHOD_CLASSES: list[type[Method]] = [
    exported
    for exported in (getattr(methods, name) for name in methods.__all__)
    if isinstance(exported, type) and exported is not Method
]


def wire_name(method_class: type[Method]) -> str:
    """The specification's name: basic.get-ok for BasicGetOk."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in method_class.__name__).split()
    return f"{words[0]}.{'-'.join(words[1:])}"


def fields_of(method_class: type[Method], **replaced: st.SearchStrategy) -> st.SearchStrategy[dict[str, object]]:
    """Values for all fields of a class; `replaced` gives other strategies for some fields."""
    strategies: dict[str, st.SearchStrategy] = {}
    for field in method_class.FIELDS:
        if field in replaced:
            strategies[field] = replaced[field]
        elif field in _SHORT_STRING_FIELDS:
            strategies[field] = short_strings
        elif field in _BIT_FIELDS:
            strategies[field] = st.booleans()
        else:
            strategies[field] = _FIELDS[field]
    return st.fixed_dictionaries(strategies)


def methods_of(method_class: type[Method]) -> st.SearchStrategy[Method]:
    return fields_of(method_class).map(lambda fields: method_class(**fields))  # type: ignore[arg-type]


any_method: st.SearchStrategy[Method] = st.sampled_from(METHOD_CLASSES).flatmap(methods_of)

_optional_strings = st.none() | any_short_strings
properties: st.SearchStrategy[BasicProperties] = st.builds(
    BasicProperties,
    content_type=_optional_strings,
    content_encoding=_optional_strings,
    headers=st.none() | tables,
    delivery_mode=st.none() | octets,
    priority=st.none() | octets,
    correlation_id=_optional_strings,
    reply_to=_optional_strings,
    expiration=_optional_strings,
    message_id=_optional_strings,
    timestamp=st.none() | longlongs,
    type_=_optional_strings,
    user_id=_optional_strings,
    app_id=_optional_strings,
    cluster_id=_optional_strings,
)


@st.composite
def damaged(draw: st.DrawFn, encodings: st.SearchStrategy[bytes]) -> bytes:
    """An encoding with some octets changed, cut out or put in."""
    octets_now = bytearray(draw(encodings))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(octets_now)))
        removed = draw(st.integers(0, 4))
        octets_now[at : at + removed] = draw(st.binary(max_size=4))
    return bytes(octets_now)
