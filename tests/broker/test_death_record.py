"""What a death leaves in the headers is to the octet what decoding all of them, and encoding them, would leave."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from leveret.amqp.encoded_table import join_table
from leveret.amqp.field_table import FieldValue, Table, check_table, decode_table, encode_table, encode_value
from leveret.amqp.properties import BasicProperties, decode_properties, encode_content_header, headers_in, with_headers
from leveret.amqp.reply_codes import HardError
from leveret.broker.dead_letter import expiration_in
from leveret.broker.death_record import X_DEATH, Death, died_in_since_rejected, may_have_died_in, record_death
from tests.amqp import strategies

HIGHEST = 2**63 - 1
QUEUES = ("one", "two", "", "\u00e9", "\udcff", "queueS")
REASONS = ("rejected", "expired", "maxlen", "delivery_limit")


@dataclass
class Dies:
    """A death, and the expiration that the message has."""

    queue: str
    reason: str
    seconds: int
    exchange: str
    keys: list[str]
    expiration: str | None

    def entry(self, count: int = 1) -> Table:
        return {
            **({} if self.expiration is None else {"original-expiration": FieldValue("S", self.expiration)}),
            "count": FieldValue("l", count),
            "reason": FieldValue("S", self.reason),
            "queue": FieldValue("S", self.queue),
            "time": FieldValue("T", self.seconds),
            "exchange": FieldValue("S", self.exchange),
            "routing-keys": FieldValue("A", [FieldValue("S", key) for key in self.keys]),
        }


deaths = st.builds(
    Dies,
    st.sampled_from(QUEUES),
    st.sampled_from(REASONS),
    st.integers(0, 2**40),
    strategies.any_short_strings,
    st.lists(strategies.any_short_strings, min_size=1, max_size=3),
    st.none() | st.sampled_from(("", "0", "60000")),
)


def record(payload: bytes, dies: Dies) -> tuple[bytes, bytes]:
    """The property flags and list after a death, and x-death."""
    death = Death(dies.queue, dies.reason, dies.seconds, dies.exchange, dies.keys)
    recorded = record_death(headers_in(payload), death, expiration_in(payload))
    return with_headers(payload, join_table(recorded)), recorded[X_DEATH]


def plainly(payload: bytes, dies: Dies) -> tuple[bytes, set[str]]:
    """The same by decoding everything, and the queues it died in since it was rejected anywhere."""
    properties = decode_properties(payload, 12)
    headers = dict(properties.headers or {})
    found = headers.get("x-death")
    known = found.value if found is not None and isinstance(found.value, list) else []
    same = [death for death in known if tells_of(death, dies.queue, dies.reason)][:1]
    dies.expiration = properties.expiration
    entry = dies.entry()
    if same:
        count = same[0].value.get("count")
        raised = count.value + 1 if count is not None and isinstance(count.value, int) else 1
        entry = {**same[0].value, "count": FieldValue("l", min(max(raised, 1), HIGHEST))}
    every = [FieldValue("F", entry), *(death for death in known if not any(death is other for other in same))]
    headers["x-death"] = FieldValue("A", every)
    for name, value in {"reason": dies.reason, "queue": dies.queue, "exchange": dies.exchange}.items():
        if not known:
            headers[f"x-first-death-{name}"] = FieldValue("S", value)
        headers[f"x-last-death-{name}"] = FieldValue("S", value)
    properties.headers = dict(sorted(headers.items()))
    properties.expiration = None
    return properties.encode(), been_in(every)


def been_in(every: list[FieldValue]) -> set[str]:
    found: set[str] = set()
    for death in every:
        if is_longstr(death, "reason", "rejected"):
            break
        name = death.value.get("queue") if isinstance(death.value, dict) else None
        if name is not None and name.kind == "S":
            found.add(name.value)
    return found


def tells_of(death: FieldValue, queue: str, reason: str) -> bool:
    return is_longstr(death, "queue", queue) and is_longstr(death, "reason", reason)


def is_longstr(death: FieldValue, key: str, value: str) -> bool:
    return isinstance(death.value, dict) and death.value.get(key) == FieldValue("S", value)


def payload_of(properties: BasicProperties, entries: bytes) -> bytes:
    """The payload of a content header with these headers, encoded and without their length."""
    payload = encode_content_header(5, properties)
    return payload[:12] + with_headers_kept(payload, len(entries).to_bytes(4, "big") + entries, properties)


def with_headers_kept(payload: bytes, table: bytes, properties: BasicProperties) -> bytes:
    properties.headers = {}
    encoded, empty = properties.encode(), b"\0\0\0\0"
    strings = [value for value in (properties.content_type, properties.content_encoding) if value is not None]
    at = 2 + sum(1 + len(value.encode("utf-8", "surrogateescape")) for value in strings)
    assert encoded[at : at + 4] == empty
    return encoded[:at] + table + encoded[at + 4 :]


def is_recorded_plainly(payload: bytes, dies: Dies) -> bytes:
    """Check that both ways leave the same; gives the payload."""
    expected, died_in = plainly(payload, dies)
    octets, x_death = record(payload, dies)
    assert octets == expected
    assert died_in_since_rejected(x_death) == died_in
    assert all(may_have_died_in(x_death, name) for name in died_in)
    return payload[:12] + octets


def named(key: bytes, value: bytes) -> bytes:
    return bytes([len(key)]) + key + value


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """An entry of x-death as a broker writes it."""
    count = draw(st.sampled_from((1, 2, HIGHEST - 1, HIGHEST, 0, -1, -(2**63))))
    return encode_value(FieldValue("F", draw(deaths).entry(count)))


@st.composite
def rewritten(draw: st.DrawFn) -> bytes:
    """An entry in which a client changed the order, left something out, or put other values or keys twice."""
    entry = [(key.encode(), encode_value(value)) for key, value in draw(deaths).entry().items()]
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(entry) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                random.Random(draw(st.integers(0, 99))).shuffle(entry)
            case 1:
                entry[at] = (entry[at][0], draw(strategies.encoded_values))
            case 2:
                entry.append((entry[at][0], draw(strategies.encoded_values)))
            case _:
                entry[at] = (draw(st.binary(max_size=8)), entry[at][1])
    octets = b"".join(named(key, value) for key, value in entry)
    return b"F" + len(octets).to_bytes(4, "big") + octets


def array(elements: list[bytes]) -> bytes:
    octets = b"".join(elements)
    return b"A" + len(octets).to_bytes(4, "big") + octets


x_deaths = st.one_of(
    st.lists(written(), max_size=5).map(array),
    st.lists(written() | rewritten(), max_size=4).map(array),
    st.lists(written() | strategies.encoded_values, max_size=4).map(array),
    strategies.encoded_values,
)
OTHERS = (
    b"CC",
    b"",
    b"x-first-death-queue",
    b"x-last-death-reason",
    b"x-last-death-xyz",
    b"zebra",
    b"\xff",
    b"\xc3\xa9",
)


@st.composite
def all_headers(draw: st.DrawFn) -> bytes:
    """Entries of a header table, x-death among them as often as not."""
    headers = [
        named(key, draw(strategies.encoded_values)) for key in draw(st.lists(st.sampled_from(OTHERS), max_size=4))
    ]
    for value in draw(st.lists(x_deaths, max_size=2)):
        headers.insert(draw(st.integers(0, len(headers))), named(b"x-death", value))
    return b"".join(headers)


@settings(max_examples=250)
@given(strategies.properties, all_headers(), st.lists(deaths, min_size=1, max_size=4))
def test_each_death_leaves_what_decoding_everything_would(
    properties: BasicProperties, headers: bytes, following: list[Dies]
) -> None:
    payload = payload_of(properties, headers)
    for dies in following:
        payload = is_recorded_plainly(payload, dies)


@given(strategies.properties, deaths)
def test_the_first_death_of_a_message_as_it_was_published(properties: BasicProperties, dies: Dies) -> None:
    is_recorded_plainly(encode_content_header(5, properties), dies)


@settings(max_examples=200)
@given(strategies.damaged(st.lists(written(), min_size=1, max_size=2).map(array)), deaths)
def test_octets_that_were_changed_anyhow(x_death: bytes, dies: Dies) -> None:
    """Such as are refused when they are published cannot die; all others die as if they were decoded."""
    headers = named(b"x-death", x_death)
    try:
        check_table(headers, 0, len(headers))
    except HardError:
        assume(False)
    is_recorded_plainly(payload_of(BasicProperties(), headers), dies)


ODD = "t\x02"  # octets that are a value in a form nobody writes, should anything take a text for an array
KEY = "k" * 79 + ODD  # or for a table: the letter of a long string were the length of the first key
ENTRIES = [
    Dies("one", "expired", 1, "", ["key"], None),
    Dies("one", "expired", 1, "from", ["key", "another"], "60000"),
    Dies(ODD, ODD, 1, ODD, [KEY], ODD),
]


@pytest.mark.parametrize("dies", ENTRIES, ids=["short", "long", "odd"])
def test_one_octet_that_was_changed(dies: Dies) -> None:
    """Whichever octet of an entry is another letter, or one more or less: accepted as published, it dies plainly."""
    entry = array([encode_value(FieldValue("F", dies.entry()))])
    died = 0
    for at in range(len(entry)):
        for octet in {*b"FASxlLtTV", (entry[at] + 1) % 256, (entry[at] - 1) % 256}:
            headers = named(b"x-death", entry[:at] + bytes([octet]) + entry[at + 1 :])
            try:
                check_table(headers, 0, len(headers))
            except HardError:
                continue
            died += 1
            is_recorded_plainly(payload_of(BasicProperties(), headers), replace(dies))
    assert died > len(entry)


SEEMING_TEXT = bytes([83]) + b"\0\0\0\x51" + b"k" * 79 + b"t\x02"  # an entry by its length, a long string by its letter


@pytest.mark.parametrize(
    ("routing_keys", "more"),
    [(b"L" + bytes(8), b""), (b"t\x02", b""), (b"S\0\0\0\1kt\x02", b""), (b"", SEEMING_TEXT), (b"", b"\1kt\x02")],
)
def test_routing_keys_that_are_none_and_what_comes_after_them(routing_keys: bytes, more: bytes) -> None:
    dies = Dies("one", "expired", 1, "", [], None)
    entry = encode_table(dies.entry())[4:-4] + len(routing_keys).to_bytes(4, "big") + routing_keys + more
    headers = named(b"x-death", array([b"F" + len(entry).to_bytes(4, "big") + entry]))
    for other in (dies, Dies("two", "expired", 1, "", ["key"], None)):
        is_recorded_plainly(payload_of(BasicProperties(), headers), other)


def test_an_entry_within_an_expiration_is_not_taken_for_an_entry() -> None:
    """A long string of an entry may hold anything, the octets of another entry among it."""
    inner = encode_value(FieldValue("F", Dies("one", "expired", 1, "", ["key"], None).entry()))
    outer = Dies("two", "expired", 2, "", [inner.decode("latin-1")], inner.decode("latin-1"))
    headers = {"x-death": FieldValue("A", [FieldValue("F", outer.entry())])}
    payload = encode_content_header(5, BasicProperties(headers=headers))
    after = is_recorded_plainly(payload, Dies("one", "expired", 3, "", ["key"], None))
    table = decode_properties(after, 12).headers
    assert table is not None
    assert len(table["x-death"].value) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("depth", [0, 1, 2, 61])
def test_tables_as_deep_as_a_client_may_nest_them(depth: int) -> None:
    value = FieldValue("V", None)
    for _ in range(depth):
        value = FieldValue("F", {"queue": value})
    for x_death in (value, FieldValue("A", [value])):
        entries = encode_table({"x-death": x_death, "other": value})[4:]
        decode_table(entries, 0, len(entries))
        is_recorded_plainly(payload_of(BasicProperties(), entries), Dies("one", "expired", 1, "", ["key"], None))
