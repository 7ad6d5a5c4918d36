"""The tick on an event loop whose time the test holds."""

from __future__ import annotations

import asyncio
import os
import socket

from leveret.broker.broker import Broker
from leveret.broker.connection_state import CLOSED
from leveret.server.tick import Tick


class HeldLoop(asyncio.BaseEventLoop):
    """Runs nothing, watches no socket, and says the time it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def add_reader(self, *arguments: object) -> None:  # type: ignore[override]
        pass

    def remove_reader(self, *arguments: object) -> bool:  # type: ignore[override]
        return True


def test_a_client_that_comes_after_a_long_rest_has_the_whole_time_for_its_handshake() -> None:
    loop = HeldLoop()
    broker = Broker("test", "leveret@test", lambda: 0.0, os.urandom)
    tick = Tick(broker, loop)
    loop.now = 1000.0
    ours, theirs = socket.socketpair()
    tick.add(ours, "peer", "local", True)
    (connection,) = broker.connections
    broker.timers.run(loop.now + 9.9)
    assert connection.state != CLOSED
    broker.timers.run(loop.now + 10.1)
    assert connection.state == CLOSED
    for client in list(tick.clients.values()):
        client.close()
    theirs.close()
    loop.close()
