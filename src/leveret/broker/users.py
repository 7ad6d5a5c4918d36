"""Who may log in: users with passwords, and the two SASL mechanisms that carry a password.

`guest` may only come from loopback, as in RabbitMQ.
"""

from __future__ import annotations

import hmac
from typing import Final

from leveret.amqp.field_table import decode_table
from leveret.amqp.reply_codes import AMQPError
from leveret.broker.limits import Usage


class BadCredentials(Exception):
    """A login that is refused; says why, for the log."""


class Users:
    """The users of one broker."""

    def __init__(self) -> None:
        self._passwords: Final = {"guest": "guest"}
        self._loopback_only: Final = {"guest"}
        self.usages: Final[dict[str, Usage]] = {name: Usage() for name in self._passwords}

    def authenticate(self, mechanism: str, response: bytes, from_loopback: bool) -> str:
        """The name of the user who logs in, or BadCredentials."""
        name, password = credentials(mechanism, response)
        same = hmac.compare_digest(self._passwords.get(name, "").encode(), password)
        if not same:
            raise BadCredentials(f"user '{name}' - invalid credentials")
        return self.admit(name, from_loopback)

    def admit(self, name: str, from_loopback: bool) -> str:
        """The name of a user who has proved who they are, or BadCredentials."""
        if name not in self._passwords:
            raise BadCredentials(f"user '{name}' - invalid credentials")
        if name in self._loopback_only and not from_loopback:
            raise BadCredentials(f"user '{name}' can only connect via localhost")
        return name

    def usage(self, name: str) -> Usage:
        """What a user has open and may have; one that is no user any more may have everything."""
        return self.usages.get(name) or Usage()


def credentials(mechanism: str, response: bytes) -> tuple[str, bytes]:
    """User name and password in the response of a mechanism, or BadCredentials if it is malformed."""
    if mechanism == "PLAIN":
        parts = response.split(b"\0")  # the first is whom to act for, which RabbitMQ doesn't let one choose
        if len(parts) != 3 or parts[0]:
            raise BadCredentials("malformed PLAIN response")
        return parts[1].decode("utf-8", "replace"), parts[2]
    try:
        table = decode_table(response, 0, len(response))
    except AMQPError:
        raise BadCredentials("malformed AMQPLAIN response") from None
    login, password = table.get("LOGIN"), table.get("PASSWORD")
    if login is None or password is None or login.kind != "S" or password.kind != "S":
        raise BadCredentials("AMQPLAIN response without LOGIN or PASSWORD")
    return str(login.value), str(password.value).encode("utf-8", "surrogateescape")
