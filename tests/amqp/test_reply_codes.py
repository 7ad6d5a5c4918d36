"""Reply texts and the errors that carry them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret.amqp import reply_codes
from leveret.amqp.reply_codes import AMQPError, HardError, SoftError, octets_text, reply_text


def test_text_is_name_and_explanation() -> None:
    assert reply_text(404, "no queue 'q' in vhost '/'") == "NOT_FOUND - no queue 'q' in vhost '/'"


def test_text_without_explanation_is_the_bare_name() -> None:
    assert reply_text(541, "") == "INTERNAL_ERROR"


def test_unknown_code_is_shown_as_its_number() -> None:
    assert reply_text(999, "x") == "999 - x"


def test_longest_text_that_is_not_cut() -> None:
    text = reply_text(404, "x" * (255 - len("NOT_FOUND - ")))
    assert len(text) == 255
    assert not text.endswith("...")


def test_longer_text_is_cut_to_255_bytes_with_three_dots() -> None:
    text = reply_text(404, "x" * (256 - len("NOT_FOUND - ")))
    assert text == "NOT_FOUND - " + "x" * (252 - len("NOT_FOUND - ")) + "..."
    assert len(text) == 255


@pytest.mark.parametrize("character", ["é", "€", "🐇"])
@pytest.mark.parametrize("shift", range(4))
def test_cut_does_not_split_a_character(character: str, shift: int) -> None:
    text = reply_text(404, "x" * shift + character * 200)
    encoded = text.encode("utf-8")
    assert 252 <= len(encoded) <= 255
    assert text.endswith(character + "...")


@given(code=st.sampled_from(sorted(reply_codes.NAMES)), octets=st.binary(max_size=600))
def test_text_always_fits_a_short_string_and_keeps_its_beginning(code: int, octets: bytes) -> None:
    explanation = octets.decode("utf-8", "surrogateescape")
    encoded = reply_text(code, explanation).encode("utf-8", "surrogateescape")
    assert len(encoded) <= 255
    whole = (reply_codes.NAMES[code] + " - ").encode() + octets
    if octets and len(whole) <= 255:
        assert encoded == whole
    elif octets:
        assert encoded.endswith(b"...")
        assert whole.startswith(encoded[:-3])
        assert len(encoded) >= 252


def test_every_code_constant_has_a_name() -> None:
    constants = {
        value: name
        for name, value in vars(reply_codes).items()
        if name.isupper() and isinstance(value, int) and name[0] != "_"
    }
    assert constants == reply_codes.NAMES
    assert len(constants) == 19


@pytest.mark.parametrize("error_class", [SoftError, HardError])
def test_errors_carry_code_explanation_and_method(error_class: type[AMQPError]) -> None:
    error = error_class(404, "no queue 'q' in vhost '/'", 50, 10)
    assert isinstance(error, AMQPError)
    assert (error.code, error.explanation, error.class_id, error.method_id) == (
        404,
        "no queue 'q' in vhost '/'",
        50,
        10,
    )
    assert error.text == "NOT_FOUND - no queue 'q' in vhost '/'"
    assert str(error) == "404 NOT_FOUND - no queue 'q' in vhost '/'"


def test_method_ids_of_an_error_default_to_none_known() -> None:
    error = HardError(501, "x")
    assert (error.class_id, error.method_id) == (0, 0)
    assert not isinstance(error, SoftError)


def test_octets_text() -> None:
    assert octets_text(b"") == "<<>>"
    assert octets_text(b"\x00\x32\xff") == "<<0,50,255>>"
    assert len(reply_text(501, octets_text(bytes(10_000)))) == 255
