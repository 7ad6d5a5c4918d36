"""The publishers of the load: with confirms, or with transactions."""

from __future__ import annotations

import struct
import time

from tests.crash.messages import Publisher
from tests.crash.worker import BASIC_NACK, BASIC_RETURN, PATIENCE, Life, UnexpectedFrame, Worker, publish_bytes
from tests.support.raw_client import (
    BASIC_ACK,
    CONFIRM_SELECT,
    CONFIRM_SELECT_OK,
    Frame,
    MethodId,
    RawClient,
    method,
)

TX_SELECT, TX_SELECT_OK = (90, 10), (90, 11)
TX_COMMIT, TX_COMMIT_OK = (90, 20), (90, 21)
TX_ROLLBACK, TX_ROLLBACK_OK = (90, 30), (90, 31)

WINDOWS = (1, 5, 50, 400)  # how many publishes may wait for their confirms
PAUSES = (0.0, 0.0, 0.002, 0.02)  # seconds between bursts


class PublishingWorker(Worker):
    """A publisher in one life. `positions` holds the next sequence number of each publisher, over all lives."""

    def __init__(self, life: Life, publisher: Publisher, positions: dict[str, int]) -> None:
        super().__init__(life, f"publisher {publisher.name}")
        self.publisher = publisher
        self.positions = positions
        self.pause = self.random.choice(PAUSES)

    def next_sequence(self) -> int:
        sequence = self.positions.get(self.publisher.name, 0)
        self.positions[self.publisher.name] = sequence + 1
        return sequence

    def handle(self, got: Frame) -> None:
        if got.method == BASIC_RETURN:
            self.ledger.add("returned", f"a message of {self.publisher.name} found no queue")
            raise UnexpectedFrame("basic.return")
        super().handle(got)


class ConfirmingPublisher(PublishingWorker):
    """Publishes in bursts, with as many unconfirmed messages as its window allows."""

    def __init__(self, life: Life, publisher: Publisher, positions: dict[str, int]) -> None:
        super().__init__(life, publisher, positions)
        self.window = self.random.choice(WINDOWS)
        self.waiting: dict[int, int] = {}  # delivery tag -> sequence, in order
        self.last_tag = 0

    def work(self) -> None:
        with self.connect() as client:
            client.call(1, CONFIRM_SELECT, b"\0", CONFIRM_SELECT_OK)
            answered_at = time.monotonic()
            while not self.life.ending.is_set():
                room = self.window - len(self.waiting)
                if room > 0:
                    self.send_burst(client, self.random.randint(1, min(room, 40)))
                try:
                    self.handle(client.next_frame(0.25 if len(self.waiting) >= self.window else 0))
                    answered_at = time.monotonic()
                except TimeoutError:
                    if self.waiting and time.monotonic() > answered_at + PATIENCE:
                        raise UnexpectedFrame(f"no confirm for {PATIENCE} s") from None
                if self.pause:
                    time.sleep(self.random.uniform(0, 2 * self.pause))
            self.hear_out(client)
            if self.waiting and not self.life.broker_gone:
                self.ledger.add("unconfirmed", f"{self.name}: {len(self.waiting)} publishes when all was quiet")

    def send_burst(self, client: RawClient, count: int) -> None:
        pieces = []
        for _ in range(count):
            sequence = self.next_sequence()
            transient = self.publisher.is_transient(sequence)
            self.ledger.sent(self.publisher.name, sequence, self.publisher.queues(sequence), transient)
            self.last_tag += 1
            self.waiting[self.last_tag] = sequence
            pieces.append(publish_bytes(self.life.messages, self.publisher, sequence))
        client.send(b"".join(pieces))

    def handle(self, got: Frame) -> None:
        if got.method not in (BASIC_ACK, BASIC_NACK):
            super().handle(got)
            return
        tag, bits = struct.unpack_from(">QB", got.payload, 4)
        if tag not in self.waiting:
            # Some clients ignore such an answer as a whole, and wait for the earlier tags forever.
            state = "never sent" if tag > self.last_tag else "answered before"
            self.ledger.add("confirms", f"{self.name}: {got.method} of tag {tag}, bits {bits}, which was {state}")
        tags = [one for one in self.waiting if one <= tag] if bits & 1 else [tag] * (tag in self.waiting)
        sequences = [self.waiting.pop(one) for one in tags]
        if got.method == BASIC_ACK:
            self.ledger.confirmed(self.publisher.name, sequences)
        else:
            self.ledger.refused(self.publisher.name, sequences)


class TransactionalPublisher(PublishingWorker):
    """Publishes a few messages at a time in a transaction, and now and then takes it back."""

    def work(self) -> None:
        with self.connect() as client:
            client.call(1, TX_SELECT, b"", TX_SELECT_OK)
            while not self.life.ending.is_set():
                sequences = [self.next_sequence() for _ in range(self.random.randint(1, 8))]
                publishes = b"".join(publish_bytes(self.life.messages, self.publisher, one) for one in sequences)
                if self.random.random() < 0.5:
                    client.send(publishes)
                    publishes = b""
                    time.sleep(self.random.uniform(0, 0.005))
                if self.random.random() < 0.1:
                    client.send(publishes + method(1, TX_ROLLBACK))
                    self.take_answer(client, TX_ROLLBACK_OK)
                else:
                    messages = [(one, self.publisher.queues(one)) for one in sequences]
                    transaction = self.ledger.commit_sent(self.publisher.name, messages)
                    client.send(publishes + method(1, TX_COMMIT))
                    self.take_answer(client, TX_COMMIT_OK)
                    self.ledger.commit_confirmed(transaction)
                time.sleep(self.random.uniform(0, 2 * self.pause))

    def take_answer(self, client: RawClient, expected: MethodId) -> None:
        """Wait for the answer, also past the life's end: it may have been sent before."""
        got = client.next_frame(PATIENCE)
        if got.method != expected:
            self.handle(got)
