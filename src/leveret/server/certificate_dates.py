"""From when to when the certificates in a PEM file are valid.

Python's `ssl` tells dates of a peer's certificate only, so the DER of each certificate is walked as far as its
validity (RFC 5280, section 4.1). Whatever is in a file, the worst that comes of it is CannotRead, and the time is
linear in its size. Keys and all else that may stand in the file with certificates are passed over.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

MOST_OCTETS: Final = 4 << 20  # of a file; the authorities that a whole system trusts are a quarter of a megabyte
BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
END: Final = b"-----END CERTIFICATE-----"
SEQUENCE: Final = 0x30
VERSION: Final = 0xA0  # [0], which stands in certificates since version 2
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18


class CannotRead(Exception):
    """A file whose certificates can't be read; the text is for the operator."""


class Validity(NamedTuple):
    """When a certificate begins and ends to be valid, in UTC."""

    begins: datetime
    ends: datetime


def validities(file: Path) -> list[Validity]:
    """Those of all certificates in a file, in their order, at least one. Raises CannotRead."""
    try:
        if not file.is_file():
            raise CannotRead(f"{file} is not there, or is no file")
        with file.open("rb") as opened:
            content = opened.read(MOST_OCTETS + 1)
    except (OSError, ValueError) as error:
        raise CannotRead(f"{file} can't be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MOST_OCTETS:
        raise CannotRead(f"{file} is longer than {MOST_OCTETS} octets")
    parts = content.split(BEGIN)[1:]
    if not parts:
        raise CannotRead("The certificate file provided does not contain any PEM certificate.")
    return [validity(certificate) for certificate in decoded(parts)]


def decoded(parts: list[bytes]) -> Iterator[bytes]:
    """The DER of what stands behind each BEGIN."""
    for part in parts:
        text, end, _ = part.partition(END)
        if not end:
            raise CannotRead("The certificate file provided contains a certificate without an end.")
        try:
            yield base64.b64decode(text)
        except ValueError:
            raise CannotRead("The certificate file provided contains a certificate that is not base64.") from None


def validity(certificate: bytes) -> Validity:
    """The dates of a certificate in DER. Raises CannotRead."""
    try:
        _, at, end = element(certificate, 0, len(certificate), SEQUENCE)
        _, at, end = element(certificate, at, end, SEQUENCE)
        tag, _, after = element(certificate, at, end)
        if tag == VERSION:
            _, _, after = element(certificate, after, end)
        _, _, after = element(certificate, after, end, SEQUENCE)  # the algorithm of the signature, behind the number
        _, _, after = element(certificate, after, end, SEQUENCE)  # the issuer
        _, at, end = element(certificate, after, end, SEQUENCE)
        tag, start, after = element(certificate, at, end)
        begins = moment(tag, certificate[start:after])
        tag, start, after = element(certificate, after, end)
        return Validity(begins, moment(tag, certificate[start:after]))
    except ValueError:
        raise CannotRead("The certificate file provided contains a malformed certificate.") from None


def element(data: bytes, at: int, end: int, expected: int | None = None) -> tuple[int, int, int]:
    """The tag of the element that begins at `at`, and where its content begins and ends, which is not behind `end`.

    ValueError if there is none, or one with another tag than is expected.
    """
    if at + 2 > end:
        raise ValueError("truncated")
    tag, length = data[at], data[at + 1]
    at += 2
    if length >= 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4 or at + size > end:
            raise ValueError("no length of DER")
        length = int.from_bytes(data[at : at + size], "big")
        at += size
    if at + length > end or (expected is not None and tag != expected):
        raise ValueError("truncated, or something else")
    return tag, at, at + length


def moment(tag: int, content: bytes) -> datetime:
    """A date in one of the two forms that RFC 5280 allows; ValueError for any other."""
    text = content.decode("ascii")
    if tag == UTC_TIME and len(text) == 13:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != GENERALIZED_TIME:
        raise ValueError("no date")
    if len(text) != 15 or not text[:14].isdigit() or text[14] != "Z":
        raise ValueError("no date in UTC to the second")
    year, rest = int(text[:4]), [int(text[at : at + 2]) for at in range(4, 14, 2)]
    return datetime(year, rest[0], rest[1], rest[2], rest[3], rest[4], tzinfo=UTC)
