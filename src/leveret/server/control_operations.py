"""The requests of the control socket that act on what is there: close connections; purge, pause and delete queues.

They are answered with what leveretctl says of them. What they refuse has the words of rabbitmqctl.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from leveret.broker.broker import Broker
from leveret.broker.connection import Connection
from leveret.broker.pausing import pause, resume
from leveret.broker.process_ids import pid
from leveret.broker.queue import Queue
from leveret.broker.vhost import VirtualHost
from leveret.server.control_request import REFUSED, USAGE, BadRequest, ChangeRefused, Operation, Request, text_of


class Operations:
    """Does such things in a broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker: Final = broker
        self.commands: Final[dict[str, Operation]] = {
            "close_connection": self._close_connection,
            "close_all_connections": self._close_all_connections,
            "close_all_user_connections": self._close_all_user_connections,
            "purge_queue": self._purge_queue,
            "pause_queue": self._pause_queue,
            "resume_queue": self._resume_queue,
            "delete_queue": self._delete_queue,
        }

    # connections

    def _close_connection(self, request: Request) -> dict[str, object]:
        """One by its pid or its name; one that is not there is closed already."""
        named = text_of(request, "connection_pid")
        return self._close(request, lambda connection: named in (connection.name, pid(self._broker, connection)))

    def _close_all_connections(self, request: Request) -> dict[str, object]:
        """Those of a virtual host or of all, as many as `limit` says; 0 is all."""
        everywhere = request.get("everywhere") is True
        vhost = text_of(request, "vhost")
        return self._close(
            request,
            lambda connection: everywhere or (connection.vhost is not None and connection.vhost.name == vhost),
        )

    def _close_all_user_connections(self, request: Request) -> dict[str, object]:
        user = text_of(request, "user")
        return self._close(request, lambda connection: connection.user == user)

    def _close(self, request: Request, meant: Callable[[Connection], bool]) -> dict[str, object]:
        reason, limit = text_of(request, "explanation"), request.get("limit", 0)
        if not isinstance(limit, int) or isinstance(limit, bool):
            raise BadRequest("limit is a number")
        found = [connection for connection in self._broker.connections if meant(connection)]
        for connection in found[:limit] if limit > 0 else found:
            connection.force_close(reason)
        return {"closed": min(len(found), limit) if limit > 0 else len(found)}

    # queues

    def _purge_queue(self, request: Request) -> dict[str, object]:
        _, queue = self._queue(request, ChangeRefused("not_found", REFUSED))
        return {"messages": queue.purge()}

    def _pause_queue(self, request: Request) -> dict[str, object]:
        pause(self._queue(request, ChangeRefused("not_found", REFUSED))[1])
        return {}

    def _resume_queue(self, request: Request) -> dict[str, object]:
        resume(self._queue(request, ChangeRefused("not_found", REFUSED))[1])
        return {}

    def _delete_queue(self, request: Request) -> dict[str, object]:
        vhost, queue = self._queue(request, ChangeRefused("Queue not found", USAGE))
        queue.catch_up()
        if request.get("if_empty") is True and queue.ready_count():
            raise ChangeRefused("Queue is not empty", USAGE)
        if request.get("if_unused") is True and queue.consumers:
            raise ChangeRefused("Queue is in use", USAGE)
        return {"messages": vhost.delete_queue(queue)}

    def _queue(self, request: Request, missing: ChangeRefused) -> tuple[VirtualHost, Queue]:
        name = text_of(request, "vhost")
        vhost = self._broker.vhosts.get(name)
        if vhost is None:
            raise missing
        queue = vhost.queues.get(text_of(request, "queue"))
        if queue is None:
            raise missing
        return vhost, queue
