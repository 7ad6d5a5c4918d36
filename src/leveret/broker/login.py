"""Logging in: the SASL mechanisms that carry a password, its check, and what comes of repeated failures.

Some users may only come from loopback, as in RabbitMQ. The login by certificate is in `mechanisms`.

Who fails again and again is made to wait, longer each time, before the next password is even looked at, so that
nothing can be learned from how long a refusal takes. That holds for one user name from one address, so that nobody
else can be locked out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from leveret.amqp.field_table import decode_table
from leveret.amqp.reply_codes import AMQPError
from leveret.broker.users import Secret

if TYPE_CHECKING:
    from leveret.broker.broker import Broker
    from leveret.broker.users import User

log: Final = logging.getLogger("leveret.connection")

AMQP: Final = "amqp091"  # as RabbitMQ calls it where it counts logins
HTTP: Final = "http"
PROTOCOLS: Final = (AMQP, HTTP)
FREE_FAILURES: Final = 3  # as many as somebody who mistypes a password may need
FIRST_DELAY: Final = 0.25  # seconds before the attempt behind those; doubled by each further failure
LONGEST_DELAY: Final = 4.0  # seconds; well below the handshake timeout
BLANK_PASSWORD: Final = (  # RabbitMQ's words, as far as they are true here
    " attempted to log in with a blank password, which is prohibited by the internal authN backend. "
    "Change the password for the user to be non-blank."
)
FORGOTTEN_AFTER: Final = 60.0  # seconds without a failure
FAILURES_KEPT: Final = 10_000  # names and addresses, so that strangers can't fill the memory,
LONGEST_KEPT: Final = 256  # and characters of a name, for the same reason


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


class Failures:
    """The latest failures of one user name from one address."""

    def __init__(self) -> None:
        self.count = 0
        self.latest = 0.0


class FailedLogins:
    """The failed logins of one broker, by user name and address. Times are those of the broker's timers."""

    def __init__(self) -> None:
        self._failures: Final[dict[tuple[str, str], Failures]] = {}

    def delay(self, name: str, address: str, now: float) -> float:
        """How many seconds the next attempt has to wait before its password is looked at."""
        name = name[:LONGEST_KEPT]
        failures = self._failures.get((name, address))
        if failures is None or failures.count < FREE_FAILURES:
            return 0.0
        if now - failures.latest > FORGOTTEN_AFTER:
            del self._failures[name, address]
            return 0.0
        return min(FIRST_DELAY * 2.0 ** min(failures.count - FREE_FAILURES, 16), LONGEST_DELAY)

    def failed(self, name: str, address: str, now: float) -> None:
        """A password was wrong."""
        name = name[:LONGEST_KEPT]
        failures = self._failures.pop((name, address), None)
        if failures is None:
            failures = Failures()
            if len(self._failures) >= FAILURES_KEPT:
                del self._failures[next(iter(self._failures))]  # whose latest failure is the longest ago
        elif now - failures.latest > FORGOTTEN_AFTER:
            failures.count = 0
        failures.count += 1
        failures.latest = now
        self._failures[name, address] = failures
        if failures.count >= FREE_FAILURES:
            log.warning("%s failed logins of user '%s' from %s in a row", failures.count, name, address)

    def succeeded(self, name: str, address: str) -> None:
        """A password was right."""
        self._failures.pop((name[:LONGEST_KEPT], address), None)


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
    ) -> None:
        """`address` is where it comes from, without a port; `done` is given the user, or why they are refused."""
        self._broker: Final = broker
        self._name: Final = name
        self._password: Final = password
        self._address: Final = address
        self._from_loopback: Final = from_loopback
        self._done: Final = done
        self._protocol: Final = protocol
        self._secret: Secret | None = None
        self._right = False

    def begin(self) -> None:
        """Check the password, after the delay that earlier failures cost. It may be done when this returns."""
        timers = self._broker.timers
        delay = self._broker.failed_logins.delay(self._name, self._address, timers.now)
        if delay > 0:
            timers.after(delay, self._compare)
        else:
            self._compare()

    def _compare(self) -> None:
        secret = self._secret = self._broker.users.secret(self._name)
        if secret.is_slow:
            self._broker.slow_work.submit(self.run, self.finish)
        else:
            self.run()
            self.finish()

    def run(self) -> None:
        """Compare the password; may be called in any thread."""
        secret = self._secret
        self._right = secret is not None and secret.opened_by(self._password)

    def finish(self) -> None:
        """Say what came of it; on the event loop."""
        broker = self._broker
        user = broker.users.find(self._name)
        secret = self._secret
        if not self._right or user is None or secret is None or user.password_hash != secret.password_hash:
            broker.login_attempts.failed[self._protocol] += 1
            broker.failed_logins.failed(self._name, self._address, broker.timers.now)
            blank = BLANK_PASSWORD if self._password == b"" else " - invalid credentials"
            self._done(None, f"user '{self._name}'{blank}")
            return
        broker.login_attempts.succeeded[self._protocol] += 1
        broker.failed_logins.succeeded(self._name, self._address)
        if self._name in broker.users.loopback_only and not self._from_loopback:
            self._done(None, f"user '{self._name}' can only connect via localhost")
        else:
            self._done(user, "")


@mypyc_attr(allow_interpreted_subclasses=True)
class SlowWork:
    """Does what takes long: here at once; a server does it in a thread."""

    def submit(self, run: Callable[[], None], done: Callable[[], None]) -> None:
        """Run the work, in any thread, and call `done` on the event loop, as part of a tick."""
        run()
        done()
