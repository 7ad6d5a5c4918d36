"""Text as others can take it."""

from __future__ import annotations

import pytest

from leveret.amqp.text import well_formed


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (b"plain", "plain"),
        ("é\U0001f407".encode(), "é\U0001f407"),
        (b"a\xffb", "a\ufffdb"),
        (b"\xfe\xfe", "\ufffd\ufffd"),
        (b"\xc3(", "\ufffd("),
        (b"\xe2\x82z", "\ufffdz"),
        (b"\xf0\x9f\x98", "\ufffd"),
    ],
)
def test_octets_that_are_not_utf_8_are_replaced_as_rabbitmq_does(octets: bytes, shown: str) -> None:
    assert well_formed(octets.decode("utf-8", "surrogateescape")) == shown


def test_half_a_character_is_replaced() -> None:
    assert well_formed("a\ud800b\udcff") == "a" + 3 * "\ufffd" + "b" + 3 * "\ufffd"
