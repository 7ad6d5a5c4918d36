"""What is logged of connections and channels: RabbitMQ's lines, and beside them their parts for a log in JSON.

No password is ever part of a line. Octets that a client sent are left out of what is logged, though RabbitMQ's reply
texts have some of them: a broken frame may hold whatever the client meant to log in with.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from leveret.amqp.reply_codes import AMQPError
from leveret.broker.connection_state import EXPECT_HEADER, STATE_NAMES

if TYPE_CHECKING:
    from leveret.broker.connection import Connection

log: Final = logging.getLogger("leveret.connection")
channel_log: Final = logging.getLogger("leveret.channel")

CLIENT_GONE: Final = "client unexpectedly closed TCP connection"
OCTETS: Final = re.compile(r"octets = <<.*>>", re.DOTALL)
LONGEST_NAME: Final = 200  # characters of a client's own name for its connection


def accepted(connection: Connection) -> None:
    """A client has sent the protocol header. Who connects and says nothing, like a probe, is not worth a line."""
    log.info("accepting AMQP connection %s", connection.name, extra=details(connection))


def authenticated(connection: Connection) -> None:
    """A client has opened its virtual host."""
    log.info(
        "connection %s: user '%s' authenticated and granted access to vhost '%s'",
        named(connection),
        connection.user,
        connection.vhost_opened().name,
        extra=details(connection),
    )


def login_refused(connection: Connection, mechanism: str, reason: str) -> None:
    """A password was wrong, or its user may not come from there."""
    log.error(
        "Error on AMQP connection (%s, state: %s): %s login refused: %s",
        described(connection),
        STATE_NAMES[connection.state],
        mechanism,
        reason,
        extra=details(connection),
    )


def failed(connection: Connection, error: AMQPError) -> None:
    """The connection is closed for an error."""
    log.error(
        "Error on AMQP connection (%s, state: %s): %s",
        described(connection),
        STATE_NAMES[connection.state],
        without_octets(error.text),
        extra=details(connection),
    )


def channel_failed(connection: Connection, number: int, error: AMQPError) -> None:
    """A channel is closed for an error."""
    channel_log.error(
        "Channel error on connection (%s), channel %d: %s",
        described(connection),
        number,
        without_octets(error.text),
        extra=details(connection),
    )


def closed(connection: Connection, reason: str) -> None:
    """The connection ends; `reason` is empty if both sides wanted that."""
    level = logging.WARNING if reason else logging.INFO
    if connection.internal:
        return
    if connection.state == EXPECT_HEADER:
        level = logging.DEBUG
    if log.isEnabledFor(level):
        lived = max(connection.broker.wall_clock() - connection.connected_at, 0.0)
        extra = details(connection)
        extra["fields"]["duration_ms"] = int(lived * 1000)
        text = f"{described(connection)}, duration: '{duration(lived)}'"
        log.log(level, "closing AMQP connection (%s)%s", text, f": {reason}" if reason else "", extra=extra)


def details(connection: Connection) -> dict[str, dict[str, str | int]]:
    """The parts of a line, for formatters that show them by themselves."""
    fields: dict[str, str | int] = {"connection": connection.name, "peer": connection.peer}
    if connection.user:
        fields["user"] = connection.user
    if connection.vhost is not None:
        fields["vhost"] = connection.vhost.name
    own_name = client_name(connection)
    if own_name:
        fields["connection_name"] = own_name
    return {"fields": fields}


def named(connection: Connection) -> str:
    """The connection's addresses, and the name that its client gave it."""
    own_name = client_name(connection)
    return f"{connection.name} - {own_name}" if own_name else connection.name


def described(connection: Connection) -> str:
    """A connection with its user and virtual host, as far as there are any."""
    text = named(connection)
    if connection.vhost is not None:
        text += f", vhost: '{connection.vhost.name}'"
    return f"{text}, user: '{connection.user}'" if connection.user else text


def client_name(connection: Connection) -> str:
    """What the client calls its connection, if it does."""
    value = connection.client_properties.get("connection_name")
    return str(value.value)[:LONGEST_NAME] if value is not None and value.kind == "S" else ""


def duration(seconds: float) -> str:
    """A time as RabbitMQ shows it: 14ms, 10s, 1D, 2H, 3M, 4s."""
    if seconds < 1:
        return f"{int(seconds * 1000)}ms"
    whole = int(seconds)
    parts = [(whole // 86400, "D"), (whole // 3600 % 24, "H"), (whole // 60 % 60, "M"), (whole % 60, "s")]
    return ", ".join([f"{count}{unit}" for count, unit in parts if count])


def without_octets(text: str) -> str:
    """A reply text without what the client had sent."""
    return OCTETS.sub("octets left out", text)
