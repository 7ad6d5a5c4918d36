"""What TLS tells of a client, in RabbitMQ's words: protocol and ciphers, its certificate, and who that lets log in.

Distinguished names are written as RFC 4514 has it, the last part first, with RabbitMQ's short names for the parts and
everything escaped that is not printable ASCII: they have to equal the names of users.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, TypeAlias

from leveret.broker.encryption import Certificate, Encryption

Name: TypeAlias = tuple[tuple[tuple[str, str], ...], ...]

COMMON_NAME: Final = "common_name"
DISTINGUISHED_NAME: Final = "distinguished_name"
ALTERNATIVE_NAME: Final = "subject_alternative_name"
SHORT_NAMES: Final = {
    "surname": "SN",
    "givenName": "GIVENNAME",
    "initials": "INITIALS",
    "generationQualifier": "GENERATIONQUALIFIER",
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "title": "TITLE",
    "countryName": "C",
    "serialNumber": "SERIALNUMBER",
    "pseudonym": "PSEUDONYM",
    "domainComponent": "DC",
    "emailAddress": "EMAILADDRESS",
    "streetAddress": "STREET",
    "userId": "UID",
}
ALTERNATIVE_NAMES: Final = {"dns": "DNS", "ip": "IP Address", "email": "email", "uri": "URI"}  # Python's names


def encryption_of(connection: ssl.SSLObject, login: LoginName) -> Encryption:
    """What is to be known of a connection whose handshake is done."""
    selected = connection.cipher()
    assert selected is not None, "a handshake that is done has chosen a cipher"
    parts = ciphers().get(selected[0], {})
    key_exchange = without_prefix(parts.get("kea", ""))
    signature = without_prefix(parts.get("auth", ""))
    if key_exchange in ("ecdhe", "dhe"):
        key_exchange += f"_{signature}"
    mac = "aead" if parts.get("aead") else parts.get("digest") or ""
    return Encryption(
        (connection.version() or "").lower(),
        key_exchange,
        parts.get("symmetric", "").replace("-", "_"),
        mac,
        certificate_of(connection, login),
    )


@cache
def ciphers() -> dict[str, dict[str, Any]]:
    """What every cipher of OpenSSL consists of, by its name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    return {str(each["name"]): dict(each) for each in context.get_ciphers()}


def without_prefix(name: str) -> str:
    """OpenSSL's `kx-ecdhe` and `auth-rsa` without what they begin with."""
    return name.partition("-")[2]


def certificate_of(connection: ssl.SSLObject, login: LoginName) -> Certificate | None:
    """The client's certificate, if it has shown one and was asked to."""
    found: dict[str, Any] | None = connection.getpeercert()
    if not found:
        return None
    validity = f"{date(found['notBefore'])} - {date(found['notAfter'])}"
    user = login.of(found)
    return Certificate(distinguished_name(found["subject"]), distinguished_name(found["issuer"]), validity, user)


class LoginName:
    """Where in a certificate the name of the user stands."""

    def __init__(self, source: str = DISTINGUISHED_NAME, san_type: str = "dns", san_index: int = 0) -> None:
        """`source` is the setting tls_cert_login_from; an alternative name is told by its type and number, from 0."""
        self._source: Final = source
        self._san_type: Final = ALTERNATIVE_NAMES.get(san_type, "")
        self._san_index: Final = san_index

    def of(self, certificate: Mapping[str, Any]) -> str:
        """The name of the user, from what `ssl.SSLObject.getpeercert` gives; empty if there is none."""
        if self._source == COMMON_NAME:
            return ",".join(value for kind, value in parts_of(certificate["subject"]) if kind == "commonName")
        if self._source == DISTINGUISHED_NAME:
            return distinguished_name(certificate["subject"])
        names: list[str] = [value for kind, value in certificate.get("subjectAltName", ()) if kind == self._san_type]
        return names[self._san_index] if self._san_index < len(names) else ""


def parts_of(name: Name) -> Iterator[tuple[str, str]]:
    """The parts of a name, with the kind of each."""
    for parts in name:
        yield from parts


def distinguished_name(name: Name) -> str:
    """A name as RFC 4514 writes it."""
    joined = ["+".join(f"{SHORT_NAMES.get(kind, kind)}={escaped(value)}" for kind, value in parts) for parts in name]
    return ",".join(reversed(joined))


def escaped(value: str) -> str:
    """A value in a name (RFC 4514, section 2.4), without what is not printable."""
    octets = value.encode("utf-8", "surrogateescape")
    result = [escaped_octet(octet) for octet in octets]
    if octets[:1] in (b" ", b"#"):
        result[0] = "\\" + result[0]
    if len(octets) > 1 and octets.endswith(b" "):
        result[-1] = "\\ "
    return "".join(result)


def escaped_octet(octet: int) -> str:
    """One octet of a value in a name."""
    character = chr(octet)
    if character in '"+,;<>\\':
        return "\\" + character
    return character if 32 <= octet < 126 else f"\\{octet:02X}"


def date(text: str) -> str:
    """A time in a certificate, as RabbitMQ shows it."""
    seconds = ssl.cert_time_to_seconds(text)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
