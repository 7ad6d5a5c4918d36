"""Alarms: what the machine is short of, and what clients are told about it.

While any alarm is on, a connection that publishes is blocked: the message that showed it is still taken, then the
connection is neither handled nor read any more, not even for its acknowledgements, until the last alarm clears. Whoever
doesn't publish goes on unharmed, so that consumers can make room (RabbitMQ's rule).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from leveret.amqp.methods import ConnectionBlocked, ConnectionUnblocked

if TYPE_CHECKING:
    from leveret.broker.connection import Connection

log: Final = logging.getLogger("leveret.connection")

MEMORY: Final = "memory"
DISK: Final = "disk"
NAMES: Final = (MEMORY, DISK)  # in the order in which they are told


class Alarms:
    """The alarms of one broker. `active` holds the names of those that are on."""

    def __init__(self) -> None:
        self.active: Final[set[str]] = set()

    def set(self, name: str, on: bool) -> bool:
        """Raise or clear an alarm; False if that changes nothing."""
        if on == (name in self.active):
            return False
        if on:
            self.active.add(name)
        else:
            self.active.remove(name)
        return True

    def reason(self) -> str:
        """What connection.blocked says, in RabbitMQ's words: `low on memory`, `low on disk`, `low on memory & disk`."""
        return "low on " + " & ".join([name for name in NAMES if name in self.active])


def tell_blocked(connection: Connection) -> None:
    """Send connection.blocked, once, to a client that announced that it knows it."""
    reason = connection.broker.alarms.reason()
    log.info("connection %s is blocked: %s", connection.name, reason)
    if connection.understands("connection.blocked"):
        connection.send_method(0, ConnectionBlocked(reason))


def tell_unblocked(connection: Connection) -> None:
    """Send connection.unblocked to a client that was sent connection.blocked, and have the owner read again."""
    log.info("connection %s is not blocked any more", connection.name)
    if connection.understands("connection.blocked"):
        connection.send_method(0, ConnectionUnblocked())
    # Not by wake, which does nothing while older output is stuck: such a client may read nothing until it is read.
    connection.broker.dirty.append(connection)
