"""Tables that stay encoded: what comes out is what decoding and encoding would have made of them."""

from __future__ import annotations

from hypothesis import given

from leveret.amqp.encoded_table import join_table, normalized, sorted_by_key, split_table
from leveret.amqp.field_table import Table, decode_table, decode_value, encode_table, encode_value
from tests.amqp import strategies


def decode(entries: bytes) -> Table:
    return decode_table(entries, 0, len(entries))


@given(strategies.encoded_values)
def test_a_value_is_normalized_as_by_decoding_and_encoding_it(value: bytes) -> None:
    assert normalized(value) == encode_value(decode_value(value))


@given(strategies.encoded_entries)
def test_a_table_is_cut_and_joined_as_by_decoding_and_encoding_it(entries: bytes) -> None:
    found = split_table(entries, 0, len(entries))
    joined = join_table({key: normalized(value) for key, value in found.items()})
    assert joined == encode_table(decode(entries))


@given(strategies.encoded_entries)
def test_keys_are_sorted_as_texts(entries: bytes) -> None:
    found = sorted_by_key(split_table(entries, 0, len(entries)))
    assert [key.decode("utf-8", "surrogateescape") for key in found] == sorted(decode(entries))


def test_keys_that_are_no_utf8_are_sorted_by_what_stands_for_them() -> None:
    keys = ["z", "\U0001f407", "\udcff", "\uffee"]  # the third is the octet 0xff, which is the last among octets
    entries = {key.encode("utf-8", "surrogateescape"): b"V" for key in keys}
    assert list(sorted_by_key(entries)) == [key.encode("utf-8", "surrogateescape") for key in sorted(keys)]
    assert list(sorted_by_key(entries)) != sorted(entries)


@given(strategies.encoded_entries, strategies.encoded_entries)
def test_only_the_given_range_is_read(entries: bytes, around: bytes) -> None:
    data = around + entries + around
    assert split_table(data, len(around), len(around) + len(entries)) == split_table(entries, 0, len(entries))
