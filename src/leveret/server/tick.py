"""The tick: read every ready socket once, then deliver, confirm and send once.

The event loop calls a reader for each ready socket; the first of them in a round asks for `end`, which the loop
runs after all readers of that round. So what arrived together is handled together, and each connection costs one
send.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Final

from leveret.broker.broker import Broker
from leveret.broker.connection import Connection
from leveret.server.client import Client
from leveret.server.tls_client import TlsClient, TlsSession


class Tick:
    """Drives one broker on one event loop, for so many clients at most."""

    def __init__(self, broker: Broker, loop: asyncio.AbstractEventLoop, most_clients: int = sys.maxsize) -> None:
        self.most_clients: Final = most_clients
        self.broker: Final = broker
        self.loop: Final = loop
        self.clients: Final[dict[Connection, Client]] = {}
        self.arriving = 0  # sockets that were accepted and are not clients yet
        self.backed_up = False  # the store has more to write than it should
        self._begun = False
        self._armed_for: float | None = None
        self._alarm: asyncio.TimerHandle | None = None
        broker.timers.set_time(loop.time())

    def begin(self) -> None:
        """Something happened: set the time, and have `end` called when all that happened is handled."""
        if not self._begun:
            self._begun = True
            self.broker.timers.set_time(self.loop.time())
            self.loop.call_soon(self.end)

    def end(self) -> None:
        """Deliver, confirm and send what the tick brought about."""
        self._begun = False
        broker = self.broker
        begun_at = broker.timers.now
        broker.end_tick()
        self.backed_up = broker.store.backed_up()
        clients = self.clients
        for connection in broker.take_dirty():
            client = clients.get(connection)
            if client is not None:
                client.flush()
        if broker.touched or broker.dirty:  # an output that drained lets consumers and clients go on
            self.begin()
        broker.tick_seconds.observe(self.loop.time() - begun_at)
        self._arm()

    def run(self, action: Callable[[], None]) -> None:
        """Do what a thread of the store has come to, as a tick of its own: somebody waits for it."""
        self.broker.timers.set_time(self.loop.time())
        action()
        self.end()

    def _arm(self) -> None:
        """Be woken when the broker's next timer is due."""
        due = self.broker.timers.next_due()
        armed = self._armed_for
        if due is None or (armed is not None and armed <= due):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._armed_for = due
        self._alarm = self.loop.call_at(due, self._timers_due)

    def _timers_due(self) -> None:
        self._armed_for = self._alarm = None
        self.begin()
        self.broker.timers.run(self.loop.time())

    def is_full(self) -> bool:
        """Whether as many sockets are open as may be."""
        return len(self.clients) + self.arriving >= self.most_clients

    def add(
        self, sock: socket.socket, peer: str, local: str, from_loopback: bool, session: TlsSession | None = None
    ) -> Client:
        """A client connected, with TLS if there is a session of it."""
        self.begin()  # before its timers are set: the time may be that of a tick long ago
        sock.setblocking(False)
        connection = self.broker.connect(peer, local, from_loopback)
        if session is None:
            client = Client(self, sock, connection)
        else:
            connection.encryption = session.encryption
            client = TlsClient(self, sock, connection, session)
        self.clients[connection] = client
        return client

    def forget(self, client: Client) -> None:
        """A client's socket is closed."""
        self.clients.pop(client.connection, None)
        self.begin()
