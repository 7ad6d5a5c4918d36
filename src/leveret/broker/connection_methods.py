"""The methods of class connection: negotiation, opening a virtual host, closing (AMQP 0-9-1 section 1.4, RabbitMQ's
texts).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.amqp.frame import FRAME_OVERHEAD, MIN_FRAME_MAX, PROTOCOL_HEADER
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
from leveret.broker import connection_log
from leveret.broker.connection_state import (
    EXPECT_OPEN,
    EXPECT_START_OK,
    EXPECT_TUNE_OK,
    RUNNING,
)
from leveret.broker.limits import check_connection
from leveret.broker.login import BadCredentials, PasswordCheck, credentials
from leveret.broker.mechanisms import EXTERNAL, offered, user_of_certificate

if TYPE_CHECKING:
    from leveret.broker.connection import Connection
    from leveret.broker.users import User
    from leveret.broker.vhost import VirtualHost

log: Final = logging.getLogger("leveret.connection")

ACCEPTED_HEADERS: Final = (PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09", b"AMQP\x01\x01\x09\x01")


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
        update_secret(connection)
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
    connection.auth_mechanism = method.mechanism
    login = Login(connection)
    if method.mechanism == EXTERNAL:
        login.done(*user_of_certificate(connection))
        return
    try:
        name, password = credentials(method.mechanism, method.response)
    except BadCredentials as error:
        login.done(None, str(error))
        return
    login.name = name
    connection.waiting = True  # nothing else that the client sends is handled before that is done
    host = connection.peer.rpartition(":")[0]
    check = login.check = PasswordCheck(
        connection.broker, name, password, host, connection.from_loopback, login.done, is_wanted=login.is_wanted
    )
    check.begin()


class Login:
    """What follows from the check of a password that came with start-ok."""

    def __init__(self, connection: Connection) -> None:
        self._connection: Final = connection
        self.name = ""  # who they say they are
        self.check: PasswordCheck | None = None

    def is_wanted(self) -> bool:
        """Whether the client is still there; may be called in any thread."""
        return self._connection.state == EXPECT_START_OK

    def done(self, user: User | None, reason: str) -> None:
        """Go on to connection.tune, or close: with 403 if the client knows authentication_failure_close."""
        connection = self._connection
        connection.waiting = False
        if not self.is_wanted():
            return  # the client is gone
        if user is None:
            mechanism = connection.auth_mechanism
            connection_log.login_refused(connection, mechanism, reason)
            connection.broker.events.login_refused(connection, self.name, reason)
            unseen = self.check is not None and self.check.is_unseen  # so the password may be right: let them try again
            if connection.understands("authentication_failure_close") and not unseen:
                text = f"Login was refused using authentication mechanism {mechanism}. "
                error = HardError(ACCESS_REFUSED, text + "For details see the broker logfile.")
                connection.close(error.code, error.text)
            else:
                connection.close_socket()
            return
        connection.user = user.name
        connection.broker.events.logged_in(connection)
        connection.state = EXPECT_TUNE_OK
        limits = connection.broker.limits
        connection.send_method(0, ConnectionTune(limits.channel_max, limits.frame_max, limits.heartbeat))
        connection.go_on()


def update_secret(connection: Connection) -> None:
    """Take a new secret, and end what the user may not do any more: the connection (HardError 530), or consumers.

    The secrets of our own users do not expire, so nothing is compared (RabbitMQ's rule for its internal users).
    """
    check_vhost_access(connection, connection.vhost_opened())
    for channel in list(connection.channels.values()):
        if not channel.closing:
            channel.cancel_forbidden()
    connection.send_method(0, ConnectionUpdateSecretOk())


def tune_ok(connection: Connection, method: ConnectionTuneOk) -> None:
    """Agree on the limits: 0 asks for none, which is above ours. HardError 530 outside of what was offered."""
    limits = connection.broker.limits
    check_negotiated("frame_max", method.frame_max, MIN_FRAME_MAX, limits.frame_max)
    check_negotiated("channel_max", method.channel_max, 1, limits.channel_max)
    connection.frame_max = i64(method.frame_max)
    connection.whole_content_max = i64(min(method.frame_max - FRAME_OVERHEAD, limits.max_message_size))
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
    """Open a virtual host; HardError 530 if there is no such one, no room for another connection, or no
    permission for the user."""
    vhost = connection.broker.vhosts.get(method.virtual_host)
    if vhost is None:
        raise HardError(NOT_ALLOWED, f"vhost {method.virtual_host} not found", 10, 40)
    check_connection(connection, vhost)
    check_vhost_access(connection, vhost)
    connection.begin_running(vhost)
    connection.send_method(0, ConnectionOpenOk())
    connection.broker.events.connection_created(connection)
    connection_log.authenticated(connection)


def check_vhost_access(connection: Connection, vhost: VirtualHost) -> None:
    """HardError 530 unless the user has permissions for a virtual host."""
    if connection.broker.permissions.find(connection.user, vhost.name) is None:
        raise HardError(NOT_ALLOWED, f"access to vhost '{vhost.name}' refused for user '{connection.user}'", 10, 40)
