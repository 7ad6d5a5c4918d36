"""Maintenance of a node: it takes no clients for a while, without ending.

Suspended listeners refuse connections, since their sockets are closed; they take the same addresses again. A socket
that systemd has handed over can't be had again: it is left open, and clients wait in it until it is resumed. The HTTP
API and the metrics go on, so that a node can be seen in maintenance.

None of it outlasts the process: a node that is started serves, as RabbitMQ's does.
"""

from __future__ import annotations

import logging
from typing import Final

from leveret.broker.broker import Broker
from leveret.server.amqp_listeners import AmqpListeners
from leveret.server.control_request import ChangeRefused, Operation, Request
from leveret.server.listener import CannotListen

log: Final = logging.getLogger("leveret")

REASON: Final = "Node was put into maintenance mode"  # RabbitMQ's, for clients


class Maintenance:
    """Requests of the control socket that suspend listeners, and that drain and revive the node."""

    def __init__(self, broker: Broker, listeners: AmqpListeners) -> None:
        self._broker: Final = broker
        self._listeners: Final = listeners
        self.commands: Final[dict[str, Operation]] = {
            "suspend_listeners": self._suspend_listeners,
            "resume_listeners": self._resume_listeners,
            "drain": self._drain,
            "revive": self._revive,
        }

    def _suspend_listeners(self, _request: Request) -> dict[str, object]:
        """Take no more clients; those that there are stay."""
        self._listeners.suspend()
        log.warning("Suspended all listeners and will no longer accept client connections")
        return {}

    def _resume_listeners(self, _request: Request) -> dict[str, object]:
        """Take clients again. Raises ChangeRefused if an address can't be had any more."""
        try:
            self._listeners.resume()
        except CannotListen as error:
            raise ChangeRefused(str(error)) from None
        log.warning("Resumed all listeners and will accept client connections again")
        return {}

    def _drain(self, request: Request) -> dict[str, object]:
        """Suspend the listeners and close all connections."""
        log.warning("This node is being put into maintenance (drain) mode")
        self._broker.under_maintenance = True
        self._suspend_listeners(request)
        connections = list(self._broker.connections)
        for connection in connections:
            connection.force_close(REASON)
        log.warning("Closed %d local client connections", len(connections))
        return {}

    def _revive(self, request: Request) -> dict[str, object]:
        """Serve again. Raises ChangeRefused as `_resume_listeners` does, and then maintenance goes on."""
        self._resume_listeners(request)
        self._broker.under_maintenance = False
        log.warning("This node is back from maintenance (drain) mode")
        return {}
