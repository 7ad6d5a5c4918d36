"""The methods of class connection: negotiation, opening a virtual host, closing (AMQP 0-9-1 section 1.4, RabbitMQ's
texts).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from leveret.amqp.frame import MIN_FRAME_MAX, PROTOCOL_HEADER
from leveret.amqp.methods import (
    ConnectionClose,
    ConnectionCloseOk,
    ConnectionOpen,
    ConnectionOpenOk,
    ConnectionStart,
    ConnectionStartOk,
    ConnectionTune,
    ConnectionTuneOk,
    ConnectionUpdateSecret,
    ConnectionUpdateSecretOk,
    Method,
)
from leveret.amqp.reply_codes import ACCESS_REFUSED, CHANNEL_ERROR, COMMAND_INVALID, NOT_ALLOWED, HardError
from leveret.broker.connection_state import (
    EXPECT_OPEN,
    EXPECT_START_OK,
    EXPECT_TUNE_OK,
    RUNNING,
)
from leveret.broker.limits import check_connection
from leveret.broker.mechanisms import EXTERNAL, NoCertificateName, certificate_user, offered
from leveret.broker.users import BadCredentials

if TYPE_CHECKING:
    from leveret.broker.connection import Connection

log: Final = logging.getLogger("leveret.connection")

ACCEPTED_HEADERS: Final = (PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09", b"AMQP\x01\x01\x09\x01")
FRAME_MAX: Final = 131072
HEARTBEAT: Final = 60  # seconds, suggested to clients


def start(connection: Connection) -> None:
    """Answer the protocol header."""
    mechanisms = " ".join(offered(connection)).encode()
    connection.send_method(0, ConnectionStart(0, 9, connection.broker.server_properties, mechanisms, b"en_US"))


def handle(connection: Connection, method: Method) -> None:
    """Handle a method that came on channel 0; HardError for one that is not expected there or then."""
    if isinstance(method, ConnectionClose):
        connection.release()
        connection.send_method(0, ConnectionCloseOk())
        connection.close_socket()
    elif connection.state == EXPECT_START_OK and isinstance(method, ConnectionStartOk):
        start_ok(connection, method)
    elif connection.state == EXPECT_TUNE_OK and isinstance(method, ConnectionTuneOk):
        tune_ok(connection, method)
    elif connection.state == EXPECT_OPEN and isinstance(method, ConnectionOpen):
        open_vhost(connection, method)
    elif connection.state == RUNNING and isinstance(method, ConnectionUpdateSecret):
        connection.send_method(0, ConnectionUpdateSecretOk())
    else:
        raise HardError(
            CHANNEL_ERROR, f"unexpected method {method.name} on channel 0", method.class_id, method.method_id
        )


def handle_while_closing(connection: Connection, method: Method) -> None:
    """After connection.close was sent only close-ok, or the client's own close, means anything."""
    if isinstance(method, ConnectionCloseOk):
        connection.close_socket()
    elif isinstance(method, ConnectionClose):
        connection.send_method(0, ConnectionCloseOk())


def start_ok(connection: Connection, method: ConnectionStartOk) -> None:
    """Log in. HardError 403 for clients that know authentication_failure_close; the others are hung up on."""
    connection.client_properties = method.client_properties
    if method.mechanism not in offered(connection):
        raise HardError(COMMAND_INVALID, f"unknown authentication mechanism '{method.mechanism}'", 10, 11)
    try:
        connection.user = authenticate(connection, method)
    except BadCredentials as error:
        log.warning("connection %s: %s login refused: %s", connection.name, method.mechanism, error)
        if connection.understands("authentication_failure_close"):
            raise HardError(
                ACCESS_REFUSED,
                f"Login was refused using authentication mechanism {method.mechanism}. "
                "For details see the broker logfile.",
            ) from None
        connection.close_socket()
        return
    connection.state = EXPECT_TUNE_OK
    connection.send_method(0, ConnectionTune(connection.broker.limits.channel_max, FRAME_MAX, HEARTBEAT))


def authenticate(connection: Connection, method: ConnectionStartOk) -> str:
    """The name of the user who logs in, or BadCredentials."""
    users = connection.broker.users
    if method.mechanism != EXTERNAL:
        return users.authenticate(method.mechanism, method.response, connection.from_loopback)
    try:
        name = certificate_user(connection)
    except NoCertificateName as error:
        raise BadCredentials(str(error)) from None
    return users.admit(name, connection.from_loopback)


def tune_ok(connection: Connection, method: ConnectionTuneOk) -> None:
    """Agree on the limits: 0 asks for none, which is above ours. HardError 530 outside of what was offered."""
    check_negotiated("frame_max", method.frame_max, MIN_FRAME_MAX, FRAME_MAX)
    check_negotiated("channel_max", method.channel_max, 1, connection.broker.limits.channel_max)
    connection.frame_max = method.frame_max
    connection.channel_max = method.channel_max
    connection.heartbeat = method.heartbeat
    connection.state = EXPECT_OPEN


def check_negotiated(name: str, value: int, lowest: int, highest: int) -> None:
    """HardError 530 in RabbitMQ's words if a negotiated limit is out of range. 0 is no limit."""
    if value == 0 and highest:
        no_limit = " (no limit)" if name == "channel_max" else ""
        raise HardError(
            NOT_ALLOWED, f"negotiated {name} = 0{no_limit} is higher than the maximum allowed value ({highest})", 10, 31
        )
    if 0 < value < lowest:
        raise HardError(
            NOT_ALLOWED, f"negotiated {name} = {value} is lower than the minimum allowed value ({lowest})", 10, 31
        )
    if value > highest > 0:
        raise HardError(
            NOT_ALLOWED, f"negotiated {name} = {value} is higher than the maximum allowed value ({highest})", 10, 31
        )


def open_vhost(connection: Connection, method: ConnectionOpen) -> None:
    """Open a virtual host; HardError 530 if there is no such one, or no room for another connection."""
    vhost = connection.broker.vhosts.get(method.virtual_host)
    if vhost is None:
        raise HardError(NOT_ALLOWED, f"vhost {method.virtual_host} not found", 10, 40)
    check_connection(connection, vhost)
    connection.begin_running(vhost)
    connection.send_method(0, ConnectionOpenOk())
    log.info(
        "connection %s: user '%s' authenticated and granted access to vhost '%s'",
        connection.name,
        connection.user,
        vhost.name,
    )
