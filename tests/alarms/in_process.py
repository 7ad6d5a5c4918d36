"""A broker in the test's own process, fed with octets, on a clock that stands still."""

from __future__ import annotations

import os

from leveret.broker.broker import Broker
from leveret.broker.connection_state import CLOSED
from leveret.broker.durability import Store
from tests.support.raw_client import (
    CHANNEL_OPEN,
    PROTOCOL_HEADER,
    Frame,
    Table,
    get,
    method,
    open_vhost,
    start_ok,
    tune_ok,
)

KNOWS_BLOCKED = {"capabilities": {"connection.blocked": True}}


def make_broker() -> Broker:
    return Broker("test", "leveret@test", lambda: 1_700_000_000.0, os.urandom, Store())


class FedClient:
    """A connection of the broker with channels 1 and 2; what it answers is taken as frames."""

    def __init__(self, broker: Broker, properties: Table = KNOWS_BLOCKED, heartbeat: int = 0) -> None:
        self.broker = broker
        self.connection = broker.connect("client", "broker", True)
        opening = [PROTOCOL_HEADER, start_ok(properties=properties), tune_ok(heartbeat=heartbeat), open_vhost()]
        opening += [method(channel, CHANNEL_OPEN, b"\0") for channel in (1, 2)]
        self.feed(b"".join(opening))

    def feed(self, data: bytes) -> list[Frame]:
        """One tick in which the client's octets arrive; gives the frames that the tick brought it."""
        self.connection.feed(data)
        self.broker.end_tick()
        return self.take()

    def take(self) -> list[Frame]:
        """The frames that lie in the output, as a flush takes them."""
        frames: list[Frame] = []
        if not self.connection.pending_output():
            return frames
        data = b"".join(self.connection.take_output())
        while data:
            size = int.from_bytes(data[3:7], "big")
            assert data[size + 7] == 0xCE
            frames.append(Frame(data[0], int.from_bytes(data[1:3], "big"), data[7 : size + 7]))
            data = data[size + 8 :]
        return frames

    @property
    def closed(self) -> bool:
        return self.connection.state == CLOSED


def ready(broker: Broker, queue: str) -> int:
    """The messages that are ready in a queue."""
    return broker.vhosts["/"].queues[queue].ready_count()


def bodies(client: FedClient, queue: str) -> list[bytes]:
    """Fetch every ready message of a queue on channel 1."""
    fetched = [client.feed(get(1, queue)) for _ in range(ready(client.broker, queue))]
    return [b"".join(frame.payload for frame in frames[2:]) for frames in fetched]


def methods(frames: list[Frame]) -> list[tuple[int, int]]:
    return [frame.method for frame in frames]
