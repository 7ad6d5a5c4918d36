"""What publishers and consumers have in common: a thread with a connection, which ends when the broker's life does."""

from __future__ import annotations

import struct
import threading
import traceback
from random import Random
from typing import NamedTuple

from tests.crash.ledger import Ledger
from tests.crash.messages import Messages, Publisher, property_list
from tests.support.raw_client import (
    BODY,
    CHANNEL_CLOSE,
    CONNECTION_CLOSE,
    CONNECTION_CLOSE_OK,
    HEADER,
    NO_METHOD,
    ConnectionEnded,
    Frame,
    RawClient,
    content_header,
    describe,
    frame,
    method,
    publish_method,
)

BODY_FRAME = 131064
MANDATORY = 1
BASIC_RETURN, BASIC_NACK = (60, 50), (60, 120)
LAST_WORDS = 0.5  # seconds without a frame after which a broker that wasn't killed has said all
PATIENCE = 8.0  # seconds after which a broker that doesn't answer is broken
SIGNAL_DELAY = 0.25  # seconds between the broker's end and the word of it


class UnexpectedFrame(Exception):
    """The broker said what it shouldn't in an orderly dialogue."""


# How a client sees a broker's end: gone, or, after an orderly stop, a connection.close in the place of an answer.
DISMISSALS = (ConnectionEnded, OSError, UnexpectedFrame, AssertionError)


class Life:
    """One life of the broker as the workers see it; it ends just after the broker was killed or told to stop.

    It also ends, for the workers, when they shall leave a broker that goes on.
    """

    def __init__(self, port: int, ledger: Ledger, messages: Messages, random: Random) -> None:
        self.port = port
        self.ledger = ledger
        self.messages = messages
        self.random = random
        self.ending = threading.Event()
        self.broker_gone = False

    def end(self, broker_gone: bool) -> None:
        """Tell the workers that it is over."""
        self.broker_gone = broker_gone
        self.ending.set()


class Content(NamedTuple):
    """What follows a method that brings a message."""

    properties: bytes
    body: bytes


def read_content(client: RawClient) -> Content:
    """The header and the body of the message whose method was just read."""
    header = client.next_frame()
    if header.kind != HEADER:
        raise UnexpectedFrame(describe(header))
    size = struct.unpack_from(">Q", header.payload, 4)[0]
    pieces, received = [], 0
    while received < size:
        piece = client.next_frame()
        if piece.kind != BODY:
            raise UnexpectedFrame(describe(piece))
        pieces.append(piece.payload)
        received += len(piece.payload)
    return Content(header.payload[12:], b"".join(pieces))


def publish_bytes(messages: Messages, publisher: Publisher, sequence: int) -> bytes:
    """A whole mandatory publish on channel 1."""
    body = messages.body(publisher, sequence)
    header = content_header(1, len(body), properties=property_list(publisher, sequence))
    pieces = [frame(BODY, 1, body[at : at + BODY_FRAME]) for at in range(0, len(body), BODY_FRAME)]
    start = publish_method(1, publisher.exchange, publisher.routing_key(sequence), MANDATORY)
    return start + header + b"".join(pieces)


class Worker(threading.Thread):
    """A client of the load. Whatever goes wrong before the life's end is a violation."""

    def __init__(self, life: Life, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.life = life
        self.ledger = life.ledger
        self.random = Random(life.random.random())

    def run(self) -> None:
        try:
            self.work()
        except Exception as error:
            # The connection may be seen to end a moment before the killer has told of it.
            expected = not isinstance(error, TimeoutError) and isinstance(error, DISMISSALS)
            if not (expected and self.life.ending.wait(SIGNAL_DELAY) and self.life.broker_gone):
                self.ledger.add("unexpected", f"{self.name}: {''.join(traceback.format_exception(error))}")

    def work(self) -> None:
        """Be a client until the life ends."""
        raise NotImplementedError

    def handle(self, got: Frame) -> None:
        """A frame came; each kind of client knows some, and calls this one for the others."""
        raise UnexpectedFrame(describe(got))

    def connect(self) -> RawClient:
        """A connection with channel 1 open."""
        return RawClient(self.life.port).log_in(channels=(1,))

    def hear_out(self, client: RawClient) -> None:
        """The life ends: take all that the broker had sent, then leave it, if it is still there."""
        while True:
            try:
                got = client.next_frame(LAST_WORDS)
                if got.kind == HEADER or got.kind == BODY:
                    continue  # of a message that was returned
                if got.method == CONNECTION_CLOSE:
                    client.send(method(0, CONNECTION_CLOSE_OK))
                    return
                self.handle(got)
            except ConnectionEnded:
                return
            except TimeoutError:
                client.log_out()
                return


def check_open(got: Frame) -> None:
    """UnexpectedFrame if the broker closes the channel or the connection, or sends a content without a method."""
    if got.method in (CHANNEL_CLOSE, CONNECTION_CLOSE, NO_METHOD):
        raise UnexpectedFrame(describe(got))
