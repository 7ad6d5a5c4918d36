"""Which SASL mechanisms a connection is offered, and the login by certificate (EXTERNAL).

EXTERNAL is left out unless the operator asks for it, since py-amqp prefers it whenever it is offered. As in RabbitMQ
it is then offered on every connection with TLS, also to a client without a certificate, whose refusal says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leveret.broker.login import AMQP

if TYPE_CHECKING:
    from leveret.broker.connection import Connection
    from leveret.broker.users import User

EXTERNAL: Final = "EXTERNAL"
KNOWN_MECHANISMS: Final = ("PLAIN", "AMQPLAIN", EXTERNAL)
DEFAULT_MECHANISMS: Final = ("PLAIN", "AMQPLAIN")


def offered(connection: Connection) -> list[str]:
    """The mechanisms that a connection may log in with, in the operator's order."""
    encrypted = connection.encryption is not None
    return [each for each in connection.broker.mechanisms if each != EXTERNAL or encrypted]


def user_of_certificate(connection: Connection) -> tuple[User | None, str]:
    """The user that a connection's certificate stands for; without one, why they are refused."""
    broker = connection.broker
    name, reason = name_in_certificate(connection)
    user = broker.users.find(name) if name else None
    attempts = broker.login_attempts.failed if user is None else broker.login_attempts.succeeded
    attempts[AMQP] += 1
    if user is None:
        return None, reason or f"user '{name}' - invalid credentials"
    if name in broker.users.loopback_only and not connection.from_loopback:
        return None, f"user '{name}' can only connect via localhost"
    return user, ""


def name_in_certificate(connection: Connection) -> tuple[str, str]:
    """The name that a connection's certificate has for its user; without one, why there is none."""
    encryption = connection.encryption
    if encryption is None or encryption.certificate is None:
        return "", "connection peer presented no TLS (x.509) certificate"
    if not encryption.certificate.user:
        return "", f"no name found in the certificate of {encryption.certificate.subject}"
    return encryption.certificate.user, ""
