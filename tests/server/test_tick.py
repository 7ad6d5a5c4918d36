"""The tick on an event loop whose time the test holds."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from leveret.broker.broker import Broker
from leveret.broker.connection_state import CLOSED
from leveret.server.tick import Tick


class HeldLoop(asyncio.AbstractEventLoop):
    """Keeps what it is to call, and says the time it is told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback, *arguments, context=None):  # type: ignore[no-untyped-def]
        self.soon.append(callback)

    def call_at(self, when, callback, *arguments, context=None):  # type: ignore[no-untyped-def]
        return asyncio.TimerHandle(when, callback, arguments, self)

    def call_later(self, delay, callback, *arguments, context=None):  # type: ignore[no-untyped-def]
        return self.call_at(self.now + delay, callback)

    def add_reader(self, descriptor, callback, *arguments):  # type: ignore[no-untyped-def]
        pass

    def remove_reader(self, descriptor):  # type: ignore[no-untyped-def]
        return True

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass


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
