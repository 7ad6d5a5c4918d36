"""What a connection knows of its TLS: for listings, and for a login by certificate. The words are RabbitMQ's."""

from __future__ import annotations

from typing import Final


class Certificate:
    """A client's certificate, which has been verified."""

    def __init__(self, subject: str, issuer: str, validity: str, user: str) -> None:
        """Names as RFC 4514 writes them. `user` is who logs in with it; empty if it names nobody."""
        self.subject: Final = subject
        self.issuer: Final = issuer
        self.validity: Final = validity
        self.user: Final = user


class Encryption:
    """The TLS of one connection. A client need not have shown a certificate."""

    def __init__(
        self, protocol: str, key_exchange: str, cipher: str, mac: str, certificate: Certificate | None
    ) -> None:
        self.protocol: Final = protocol
        self.key_exchange: Final = key_exchange
        self.cipher: Final = cipher
        self.mac: Final = mac
        self.certificate: Final = certificate
