"""Logging in: the SASL mechanisms that carry a password, its check, and what comes of repeated failures.

Some users may only come from loopback, as in RabbitMQ. The login by certificate is in `mechanisms`.
Who has to wait for their turn is told by `failed_logins`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from leveret.amqp.field_table import decode_table
from leveret.amqp.reply_codes import AMQPError
from leveret.broker.failed_logins import LONGEST_WAIT, LoginLine
from leveret.broker.users import Secret

if TYPE_CHECKING:
    from leveret.broker.broker import Broker
    from leveret.broker.timers import Timer
    from leveret.broker.users import User

AMQP: Final = "amqp091"  # as RabbitMQ calls it where it counts logins
HTTP: Final = "http"
PROTOCOLS: Final = (AMQP, HTTP)
BLANK_PASSWORD: Final = (  # RabbitMQ's words, as far as they are true here
    " attempted to log in with a blank password, which is prohibited by the internal authN backend. "
    "Change the password for the user to be non-blank."
)


class BadCredentials(Exception):
    """A login that is refused; says why, for the log."""


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


class LoginAttempts:
    """How many passwords were right and wrong, by protocol."""

    def __init__(self) -> None:
        self.succeeded: Final[dict[str, int]] = {}
        self.failed: Final[dict[str, int]] = {}
        self.forget()

    def forget(self) -> None:
        """Count from zero."""
        for protocol in PROTOCOLS:
            self.succeeded[protocol] = self.failed[protocol] = 0


def always() -> bool:
    """For those who wait for an answer whatever happens."""
    return True


class PasswordCheck:
    """One password that is to be checked, and what follows from that."""

    def __init__(
        self,
        broker: Broker,
        name: str,
        password: bytes,
        address: str,
        from_loopback: bool,
        done: Callable[[User | None, str], None],
        protocol: str = AMQP,
        is_wanted: Callable[[], bool] = always,
    ) -> None:
        """`address` is where it comes from, without a port; `done` is given the user, or why they are refused.

        `is_wanted` tells whether somebody still waits for that, and may be called in any thread.
        """
        self._broker: Final = broker
        self._name: Final = name
        self._password: Final = password
        self._address: Final = address
        self._from_loopback: Final = from_loopback
        self._done: Final = done
        self._protocol: Final = protocol
        self._is_wanted: Final = is_wanted
        self._passed: Final[list[LoginLine]] = []
        self._secret: Secret | None = None
        self._compared = False
        self._right = False
        self.is_unseen = False  # it had to wait for too long, and was refused
        self._deadline: Timer | None = None

    def begin(self) -> None:
        """Check the password when its turn comes. It may be done when this returns."""
        line = self._broker.failed_logins.line_of_name(self._name, self._address)
        if line.is_full():
            self._refuse()
            return
        self._deadline = self._broker.timers.after(LONGEST_WAIT, self._refuse)
        self._enter(line)

    def _enter(self, line: LoginLine) -> None:
        self._passed.append(line)
        line.enter(self)

    def passed(self) -> None:
        """Its turn has come in one line; there may be another."""
        line = None
        if len(self._passed) == 1:
            line = self._broker.failed_logins.line_of_address(self._name, self._address)
        if line is None:
            self._compare()
        elif line.is_full():
            self._refuse()
            self._leave(self._passed)
        else:
            self._enter(line)

    def is_over(self) -> bool:
        """Whether nobody waits for what comes of it; may be called in any thread."""
        return self.is_unseen or not self._is_wanted()

    def dropped(self) -> None:
        """It was over when its turn came in the latest line."""
        self._cancel_deadline()
        self._leave(self._passed[:-1])

    def _refuse(self) -> None:
        """It has waited for too long, or too many do."""
        self.is_unseen = True
        self._cancel_deadline()
        self._broker.login_attempts.failed[self._protocol] += 1
        self._done(None, f"user '{self._name}' - too many attempts from {self._address}")

    def _compare(self) -> None:
        secret = self._secret = self._broker.users.secret(self._name)
        if secret.is_slow:
            self._broker.slow_work.submit(self.run, self.finish)
        else:
            self.run()
            self.finish()

    def run(self) -> None:
        """Compare the password, unless that came to nothing while it waited; may be called in any thread."""
        secret = self._secret
        if secret is not None and not self.is_over():
            self._right = secret.opened_by(self._password)
            self._compared = True

    def finish(self) -> None:
        """Say what came of it; on the event loop."""
        self._cancel_deadline()
        user = self._user_of_password()
        logins = self._broker.failed_logins
        if user is not None:
            logins.succeeded(self._name, self._address)
        elif self._compared:
            for line in self._passed:
                line.failed()
        if not self.is_unseen:
            self._answer(user)
        self._leave(self._passed)

    def _user_of_password(self) -> User | None:
        user, secret = self._broker.users.find(self._name), self._secret
        if not self._right or user is None or secret is None or user.password_hash != secret.password_hash:
            return None
        return user

    def _answer(self, user: User | None) -> None:
        broker = self._broker
        attempts = broker.login_attempts.failed if user is None else broker.login_attempts.succeeded
        attempts[self._protocol] += 1
        if user is None:
            blank = BLANK_PASSWORD if self._password == b"" else " - invalid credentials"
            self._done(None, f"user '{self._name}'{blank}")
        elif self._name in broker.users.loopback_only and not self._from_loopback:
            self._done(None, f"user '{self._name}' can only connect via localhost")
        else:
            self._done(user, "")

    def _leave(self, lines: Sequence[LoginLine]) -> None:
        for line in lines:
            line.left()
        self._broker.failed_logins.tidy(self._name, self._address)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()


@mypyc_attr(allow_interpreted_subclasses=True)
class SlowWork:
    """Does what takes long: here at once; a server does it in a thread."""

    def submit(self, run: Callable[[], None], done: Callable[[], None]) -> None:
        """Run the work, in any thread, and call `done` on the event loop, as part of a tick."""
        run()
        done()
