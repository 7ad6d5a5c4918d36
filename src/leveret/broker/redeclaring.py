"""Declaring again what is there already: compared with what it is, and refused if it differs.

How strictly is a setting of the broker. STRICT is AMQP's way and the default. QUEUE_TYPE is RabbitMQ's setting
`quorum_queue.property_equivalence.relaxed_checks_on_redeclaration`: a quorum queue may be redeclared as a classic one.
RELAXED answers any redeclare that differs with declare-ok, keeps what is there, and logs it once; only what the client
could not rely on then is still refused: durability that is not there, and what is deleted or closed to it unexpectedly.
"""

from __future__ import annotations

import logging
from typing import Final

from leveret.amqp.field_table import Table
from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError
from leveret.broker.arguments import check_equivalent_arguments
from leveret.broker.binding import Destination

log: Final = logging.getLogger("leveret.broker")

STRICT: Final = "strict"
QUEUE_TYPE: Final = "queue-type"
RELAXED: Final = "relaxed"
MODES: Final = (STRICT, QUEUE_TYPE, RELAXED)


class Property:
    """A property of a queue or an exchange as it is, and as a redeclare has it, in the words of RabbitMQ's errors.

    `harmless`: if they differ, a client that takes it for what it declared is not harmed.
    """

    def __init__(self, name: str, current: str, received: str, harmless: bool) -> None:
        self._name: Final = name
        self._current: Final = current
        self._received: Final = received
        self.harmless: Final = harmless

    def check(self, what: str) -> None:
        """SoftError 406 if they differ."""
        if self._current != self._received:
            raise SoftError(
                PRECONDITION_FAILED,
                f"inequivalent arg '{self._name}' for {what}: "
                f"received '{self._received}' but current is '{self._current}'",
            )


def flag(name: str, current: bool, received: bool, harmless: bool) -> Property:
    """A property that is on or off; `harmless` is whether it is if it is as now and was declared otherwise."""
    return Property(name, "true" if current else "false", "true" if received else "false", harmless)


def check_redeclared(
    mode: str,
    existing: Destination,
    properties: list[Property],
    arguments: tuple[Table, Table],
    compared: tuple[str, ...],
    what: str,
) -> None:
    """SoftError 406 unless a redeclare of `what` ("queue 'q' in vhost '/'") is to be answered with declare-ok.

    `arguments` are the current ones and the received ones, `compared` the names of those that matter.
    """
    try:
        for property in properties:
            property.check(what)
        check_equivalent_arguments(arguments[0], arguments[1], compared, what)
    except SoftError as difference:
        if mode != RELAXED:
            raise
        for property in properties:
            if not property.harmless:
                property.check(what)
        if not existing.redeclared_otherwise:
            existing.redeclared_otherwise = True
            log.warning("%s was redeclared otherwise and stays as it is: %s", what, difference.explanation)
