"""What failed logins cost: who fails again and again has to wait, longer each time, before the next password is
even looked at, so that nothing can be learned from how long a refusal takes.

Attempts stand in lines: one for each user name from each address, and one for each address, whatever the names. A line
lets a few wrong passwords pass; from then on one attempt at a time is looked at, some time after the latest failure.
So attempts that are made side by side are answered one after the other. A right password costs no time: as long as
passwords are right, the line moves on at once.

Nobody is locked out from another address. Who has logged in from an address before need not wait for what strangers
do there (many clients may come from one load balancer), but for the failures of their own name only. No attempt waits
longer than `LONGEST_WAIT`; then it is refused unseen.
"""

from __future__ import annotations

import ipaddress
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from leveret.broker.login import PasswordCheck
    from leveret.broker.timers import Timer, Timers

log: Final = logging.getLogger("leveret.connection")

FREE_FAILURES: Final = 3  # as many as somebody who mistypes a password may need
FREE_OF_ADDRESS: Final = 30
FIRST_DELAY: Final = 0.25  # seconds after the latest failure; doubled by each further one
LONGEST_DELAY: Final = 4.0
LONGEST_OF_ADDRESS: Final = 1.0
LONGEST_WAIT: Final = 8.0  # seconds; below the handshake timeout
FORGOTTEN_AFTER: Final = 60.0  # seconds without a failure
KEPT: Final = 10_000  # names and addresses, so that strangers can't fill the memory,
LONGEST_KEPT: Final = 256  # and characters of a name, for the same reason
MOST_WAITING: Final = 2000  # in one line; others are refused unseen
ROUNDING: Final = 1e-6  # seconds by which a timer may be early
IPV6_NETWORK: Final = 64  # bits; whoever has one address of it has all of them


class LoginLine:
    """The attempts of one name from one address, or all of an address, and how the latest of them failed."""

    def __init__(self, timers: Timers, described: str, free: int, longest: float) -> None:
        self._timers: Final = timers
        self._described: Final = described  # for the log
        self._free: Final = free
        self._longest: Final = longest
        self._waiting: Final[deque[PasswordCheck]] = deque()
        self._looked_at = 0  # attempts that have left the line and of which nothing came yet
        self._failures = 0
        self._latest = 0.0
        self._timer: Timer | None = None
        self._moving = False

    def is_idle(self) -> bool:
        """Whether there is nobody in it."""
        return not self._waiting and self._looked_at == 0

    def is_full(self) -> bool:
        """Whether nobody else may wait."""
        return len(self._waiting) >= MOST_WAITING

    def has_failures(self) -> bool:
        """Whether failures are remembered."""
        return self._failures > 0

    def enter(self, attempt: PasswordCheck) -> None:
        """Have the attempt pass when its turn comes, which may be at once."""
        self._waiting.append(attempt)
        self.move()

    def left(self) -> None:
        """Something came of an attempt that has passed."""
        self._looked_at -= 1
        self.move()

    def failed(self) -> None:
        """A password was wrong."""
        self._forget_old()
        self._failures += 1
        self._latest = self._timers.now
        if self._failures >= self._free:
            log.warning("%s failed logins %s in a row", self._failures, self._described)

    def forget(self) -> None:
        """A password was right."""
        self._failures = 0

    def move(self) -> None:
        """Have those pass whose turn it is."""
        if self._moving:
            return  # somebody who passes is done at once; the loop below goes on
        self._moving = True
        try:
            while self._waiting and self._wait() <= ROUNDING:
                attempt = self._waiting.popleft()
                if attempt.is_over():
                    attempt.dropped()
                else:
                    self._looked_at += 1
                    attempt.passed()
        finally:
            self._moving = False
        if self._waiting and self._looked_at == 0 and self._timer is None:
            self._timer = self._timers.after(self._wait(), self._time_is_up)

    def _wait(self) -> float:
        """Seconds until the next may pass, at least those that are certain."""
        self._forget_old()
        if self._failures + self._looked_at < self._free:
            return 0.0
        if self._looked_at > 0:
            return self._longest
        delay = min(FIRST_DELAY * 2.0 ** min(self._failures - self._free, 16), self._longest)
        return max(self._latest + delay - self._timers.now, 0.0)

    def _forget_old(self) -> None:
        if self._timers.now - self._latest > FORGOTTEN_AFTER:
            self._failures = 0

    def _time_is_up(self) -> None:
        self._timer = None
        self.move()


class FailedLogins:
    """The lines of one broker."""

    def __init__(self, timers: Timers) -> None:
        self._timers: Final = timers
        self._names: Final[
            dict[tuple[str, str], LoginLine]
        ] = {}  # by name and address, first the one unused for longest
        self._addresses: Final[dict[tuple[str, str], LoginLine]] = {}  # by no name and address
        self._known: Final[dict[tuple[str, str], None]] = {}  # names that have logged in from the address

    def line_of_name(self, name: str, address: str) -> LoginLine:
        """The line that an attempt has to pass first."""
        key = key_of(name, address)
        return used(self._names, key) or self._added(self._names, key, f"of user '{key[0]}' from {key[1]}")

    def line_of_address(self, name: str, address: str) -> LoginLine | None:
        """The line that it has to pass then, if that name has not logged in from there before."""
        if key_of(name, address) in self._known:
            return None
        key = "", source_of(address)
        return used(self._addresses, key) or self._added(self._addresses, key, f"from {key[1]}")

    def _added(self, lines: dict[tuple[str, str], LoginLine], key: tuple[str, str], described: str) -> LoginLine:
        make_room(lines)
        of_name = lines is self._names
        free, longest = (FREE_FAILURES, LONGEST_DELAY) if of_name else (FREE_OF_ADDRESS, LONGEST_OF_ADDRESS)
        line = lines[key] = LoginLine(self._timers, described, free, longest)
        return line

    def succeeded(self, name: str, address: str) -> None:
        """A password was right: the failures of that name are forgiven, not those of the whole address."""
        key = key_of(name, address)
        self._known.pop(key, None)
        if len(self._known) >= KEPT:
            del self._known[next(iter(self._known))]
        self._known[key] = None
        line = self._names.get(key)
        if line is not None:
            line.forget()

    def tidy(self, name: str, address: str) -> None:
        """Forget the lines of an attempt that is over, if nobody is in them and no failure is remembered."""
        key = key_of(name, address)
        forget_unused(self._names, key)
        forget_unused(self._addresses, ("", key[1]))


def key_of(name: str, address: str) -> tuple[str, str]:
    """What failures are remembered by: of a name that is too long its beginning, of an IPv6 address its network."""
    return name[:LONGEST_KEPT], source_of(address)


def source_of(address: str) -> str:
    """Whom an address stands for; it may be in brackets, have a zone, or be none at all, as that of a Unix socket."""
    try:
        parsed = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    mapped = ipaddress.IPv6Address(int(parsed)).ipv4_mapped
    if mapped is not None:
        return str(mapped)
    return str(ipaddress.ip_network((int(parsed), IPV6_NETWORK), strict=False))


def used(lines: dict[tuple[str, str], LoginLine], key: tuple[str, str]) -> LoginLine | None:
    """The line of that key, which is the one lately used from now on; None if there is none."""
    line = lines.pop(key, None)
    if line is not None:
        lines[key] = line
    return line


def make_room(lines: dict[tuple[str, str], LoginLine]) -> None:
    """Make room for another line: drop the one that has been unused for longest."""
    if len(lines) >= KEPT:
        for key, line in lines.items():
            if line.is_idle():
                del lines[key]
                return


def forget_unused(lines: dict[tuple[str, str], LoginLine], key: tuple[str, str]) -> None:
    """Drop a line of which there is nothing to remember."""
    line = lines.get(key)
    if line is not None and line.is_idle() and not line.has_failures():
        del lines[key]
