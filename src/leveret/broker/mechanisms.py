"""Which SASL mechanisms a connection is offered, and the name that EXTERNAL logs in with: that of its certificate.

EXTERNAL is left out unless the operator asks for it, since py-amqp prefers it whenever it is offered. As in RabbitMQ
it is then offered on every connection with TLS, also to a client without a certificate, whose refusal says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from leveret.broker.connection import Connection

EXTERNAL: Final = "EXTERNAL"
KNOWN_MECHANISMS: Final = ("PLAIN", "AMQPLAIN", EXTERNAL)
DEFAULT_MECHANISMS: Final = ("PLAIN", "AMQPLAIN")


class NoCertificateName(Exception):
    """A client's certificate names no user; says why, for the log."""


def offered(connection: Connection) -> list[str]:
    """The mechanisms that a connection may log in with, in the operator's order."""
    encrypted = connection.encryption is not None
    return [each for each in connection.broker.mechanisms if each != EXTERNAL or encrypted]


def certificate_user(connection: Connection) -> str:
    """The name of the user that a connection's certificate stands for. Raises NoCertificateName."""
    encryption = connection.encryption
    if encryption is None or encryption.certificate is None:
        raise NoCertificateName("connection peer presented no TLS (x.509) certificate")
    if not encryption.certificate.user:
        raise NoCertificateName(f"no name found in the certificate of {encryption.certificate.subject}")
    return encryption.certificate.user
