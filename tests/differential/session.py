"""One connection of a scenario: frames become events, and a channel or connection that the broker closed is noticed.

A `Session` only sends what it is told and sorts what comes. Everything that a broker says on a channel is an `Event`,
in order; who asked takes the replies out and leaves the rest to be compared.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.differential.wire import CONTENT, decoded_method, decoded_properties
from tests.support.raw_client import (
    CHANNEL_CLOSE_OK,
    CHANNEL_OPEN,
    CONNECTION_CLOSE_OK,
    HEADER,
    METHOD,
    ConnectionEnded,
    Frame,
    RawClient,
    method,
)

REPLY_DEADLINE = 5.0  # seconds; a broker that has not answered by then does not


@dataclass
class Event:
    """Something that a broker said: where (a channel, or a consumer on it), what, and with which details."""

    where: str
    what: str
    details: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        details = ", ".join(f"{name}={value!r}" for name, value in self.details.items())
        return f"{self.where}: {self.what}({details})"


class Session:
    """A connection with any number of channels."""

    def __init__(self, port: int, capabilities: Mapping[str, object]) -> None:
        self.client = RawClient(port).log_in(properties={"capabilities": capabilities})
        self.open_channels: set[int] = set()
        self.ended = False
        self.marker = ""  # an exclusive queue that goes with the connection
        self.arrived: dict[int, list[Event]] = {}
        self._unfinished: dict[int, tuple[Event, int, bytearray]] = {}  # with the size that the body will have

    def send(self, data: bytes) -> None:
        self.client.send(data)

    def open(self, *channels: int) -> None:
        """Open channels, all in one go."""
        self.send(b"".join(method(channel, CHANNEL_OPEN, b"\0") for channel in channels))
        self.open_channels.update(channels)
        for channel in channels:
            opened = self.reply(channel, "channel.open-ok")
            assert opened is not None, f"channel {channel} does not open: {self.arrived}"

    def reply(self, channel: int, *names: str) -> Event | None:
        """Read until one of these comes on the channel, and take it out; None if channel or connection end instead.

        That nothing comes within the deadline is an event too, and gives None.
        """
        looked_at = 0
        while True:
            events = self.arrived.setdefault(channel, [])
            for at in range(looked_at, len(events)):
                if events[at].what in names:
                    return events.pop(at)
            looked_at = len(events)
            if self.ended or channel not in self.open_channels:
                return None
            try:
                self._read()
            except TimeoutError:
                events.append(Event("", "no answer", {"awaited": names}))
                return None

    def take(self, channel: int) -> list[Event]:
        """What came on a channel and nobody has taken."""
        return self.arrived.pop(channel, [])

    def wait_for_end(self) -> None:
        """Read until the broker has closed the socket."""
        while not self.ended:
            self._read()

    def _read(self) -> None:
        try:
            frame = self.client.next_frame(REPLY_DEADLINE)
        except ConnectionEnded:
            self.ended = True
            return
        if frame.kind == METHOD:
            self._method(frame)
        else:
            self._content(frame)

    def _method(self, frame: Frame) -> None:
        what, details = decoded_method(frame.payload)
        event = Event("", what, details)
        if what in CONTENT:
            self._unfinished[frame.channel] = (event, -1, bytearray())
            return
        self.arrived.setdefault(frame.channel, []).append(event)
        if what == "channel.close":
            self.send(method(frame.channel, CHANNEL_CLOSE_OK))
            self.open_channels.discard(frame.channel)
        elif what == "channel.close-ok":
            self.open_channels.discard(frame.channel)
        elif what == "connection.close":
            self.send(method(0, CONNECTION_CLOSE_OK))
            self.wait_for_end()

    def _content(self, frame: Frame) -> None:
        event, size, body = self._unfinished[frame.channel]
        if frame.kind == HEADER:
            size = struct.unpack_from(">Q", frame.payload, 4)[0]
            event.details["properties"] = decoded_properties(frame.payload)
            self._unfinished[frame.channel] = (event, size, body)
        else:
            body += frame.payload
        if len(body) == size:
            event.details["body"] = bytes(body)
            del self._unfinished[frame.channel]
            self.arrived.setdefault(frame.channel, []).append(event)
