"""The ledger of a crash test: what the clients know, and what a broker may therefore do after it was killed.

The clients tell the ledger each publish, confirm, delivery and acknowledgement, and the ledger holds every delivery
against all that came before it. It knows nothing of sockets, so that tests can feed it invented histories and see
that each kind of error is found.

A *life* is the time between a start of the broker and its end. A *lane* is one publisher's messages in one queue:
the unit in which AMQP promises order. The rules, by the name of the violation:

lost           A message is owed in a queue once its publish is confirmed (its transaction committed), or once it was
               seen in a later life than that of its publish, until a client sends an ack (or a reject) for it. What
               is owed is there when the queue is emptied, and counted when a new life begins.
resurrected    An acknowledged message doesn't come back without a crash. After a kill it may, unless its
               acknowledgement is certain: after it a method on the same channel was answered, and after that answer
               another persistent message was published, and confirmed before the kill. Then the acknowledgement is
               older than a batch that was synced, and the broker has handed it to the operating system. After an
               orderly stop, an answer on the same channel is enough.
duplicated     A message that is out with a client isn't delivered again before it is given back: by nack or reject, or
               by the end of its connection.
unflagged      A message that was delivered before has redelivered set, whatever happened in between.
reordered      In one life, the messages of a lane come to a connection in the order of their publishing, but for
               those that were delivered before in that life, and the flagged ones of a queue from which a client
               vanished with deliveries unread. A message without the flag never comes in a later life than one
               published after it.
               (Neither rule holds for dead letters: their move may be lost with all that followed from it, and the
               message makes its way again.)
half           A transaction is whole or absent, and so is a queue's deletion. If commit-ok never came, what is seen of
               it in later lives is all of it, but for what was acknowledged before the crash.
unknown        Nothing is delivered that was never sent to this queue, or whose transaction's commit was never sent,
               or that had been missing when the queue was emptied.
transient      A transient message isn't delivered in a later life.
unconfirmed    No publish waits for its confirm for more than some seconds.
miscounted     A queue says at the start of a life that it holds at least what is owed, at most what is possible.

Further violations (changed contents, wrong definitions, slow restarts and the like) are added by others with `add`.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import IntFlag
from typing import NamedTuple

SHOWN_VIOLATIONS = 20
CONFIRM_LIMIT = 5.0  # seconds that a publish may wait for its confirm


class Violation(NamedTuple):
    """A promise that was broken: which, and how."""

    rule: str
    text: str


class Mark(IntFlag):
    """What is known of one message in one queue."""

    SENT = 1
    OWED = 2  # confirmed, or survived a restart
    TRANSIENT = 4
    SEEN = 8
    SEEN_LATER = 16  # in a later life than it was sent in
    SETTLING = 32  # a client sent an ack or reject for it, and it hasn't come back since
    PROCESSED = 64  # and the broker answered something on the same channel after that
    CERTAIN = 128  # and it may not come back, not even after a kill
    SETTLED_EARLY = 256  # an ack or reject was sent in the life it was published in
    GONE = 512  # not in the queue when that was emptied, or transient and of an earlier life


# As integers: these are combined for every message.
SENT, OWED, TRANSIENT, SEEN, SEEN_LATER, SETTLING, PROCESSED, CERTAIN, SETTLED_EARLY, GONE = (int(m) for m in Mark)


class Lane:
    """One publisher's messages in one queue, by their sequence number."""

    def __init__(self, publisher: str, queue: str) -> None:
        self.publisher = publisher
        self.queue = queue
        self.marks = array("H")
        self.sent_life = array("H")
        self.seen_life = array("H")  # of the latest delivery
        self.settled_life = array("H")  # of the latest acknowledgement
        self.owed = 0  # messages that must be in the queue
        self.possible = 0  # messages that may be in the queue
        self.highest_seen = -1  # in this life
        self.highest_before = -1  # seen in an earlier life
        self.latest: dict[object, int] = {}  # in this life, by connection

    def add(self, sequence: int, marks: int, life: int) -> None:
        """A message was published into this lane; numbers that another queue got stay empty here."""
        missing = sequence + 1 - len(self.marks)
        if missing > 0:
            for column in (self.marks, self.sent_life, self.seen_life, self.settled_life):
                column.extend([0] * missing)
        self.marks[sequence] = marks
        self.sent_life[sequence] = life
        self.possible += 1

    def mark(self, sequence: int, added: int, removed: int = 0) -> None:
        """Change what is known of a message, and what the queue owes with it."""
        before = self.marks[sequence]
        after = (before | added) & ~removed
        self.marks[sequence] = after
        self.owed += is_owed(after) - is_owed(before)
        self.possible += is_possible(after) - is_possible(before)

    def describe(self, sequence: int) -> str:
        """A message and all that is known of it."""
        marks = Mark(self.marks[sequence]) if sequence < len(self.marks) else Mark(0)
        text = f"{self.publisher} {sequence} in {self.queue}"
        if not marks & SENT:
            return text
        lives = f"sent in life {self.sent_life[sequence]}"
        if marks & SEEN:
            lives += f", last delivered in {self.seen_life[sequence]}"
        if marks & (SETTLING | SETTLED_EARLY):
            lives += f", last acknowledged in {self.settled_life[sequence]}"
        return f"{text} ({lives}; {' '.join(str(one.name).lower() for one in marks)})"


def is_owed(marks: int) -> bool:
    return marks & (OWED | SETTLING | GONE) == OWED


def is_possible(marks: int) -> bool:
    return marks & SENT != 0 and marks & (CERTAIN | GONE) == 0


class Delivery(NamedTuple):
    """A message as a client got it; `stream` stands for the client's connection."""

    queue: str
    publisher: str
    sequence: int
    redelivered: bool
    stream: object = None


class Transaction(NamedTuple):
    """The messages of one commit."""

    life: int
    members: list[tuple[Lane, int]]


class Unconfirmed(NamedTuple):
    """A publish whose confirm hasn't come."""

    lanes: list[Lane]
    sent_at: float
    transient: bool


class Ledger:
    """All that the clients of one broker know, over all of its lives. Every method may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.life = 1
        self.counts: Counter[str] = Counter()
        self.violation_counts: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self.lanes: dict[tuple[str, str], Lane] = {}
        self.unconfirmed: dict[str, dict[int, Unconfirmed]] = {}
        self.slowest_confirm = 0.0  # seconds
        self.open_transactions: list[Transaction] = []  # commit sent, commit-ok not seen
        self._transients: list[tuple[Lane, int]] = []  # of this life
        self._processed: list[tuple[float, Lane, int]] = []  # acknowledged and answered in this life
        self._out: set[tuple[Lane, int]] = set()  # delivered, neither acknowledged nor given back
        self._abandoned: set[str] = set()  # queues, in this life
        self._synced_send = -1.0  # when the latest persistent message was sent that was confirmed in this life
        self.remade: set[str] = set()  # publishers whose messages are delivered as dead letters
        self._lock = threading.RLock()

    def add(self, rule: str, text: str) -> None:
        """A promise was broken; of each rule only some are kept in full, all are counted."""
        with self._lock:
            self.violation_counts[rule] += 1
            if self.violation_counts[rule] <= SHOWN_VIOLATIONS:
                self.violations.append(Violation(rule, f"life {self.life}: {text}"))

    def lane(self, publisher: str, queue: str) -> Lane:
        """The lane of a publisher and a queue."""
        found = self.lanes.get((publisher, queue))
        if found is None:
            found = self.lanes[publisher, queue] = Lane(publisher, queue)
        return found

    # Publishing

    def sent(self, publisher: str, sequence: int, queues: Iterable[str], transient: bool = False) -> None:
        """A message is about to be sent that goes to these queues; each publisher's sequence numbers grow."""
        with self._lock:
            self._sent(publisher, sequence, queues, transient)

    def _sent(self, publisher: str, sequence: int, queues: Iterable[str], transient: bool) -> list[Lane]:
        lanes = [self.lane(publisher, queue) for queue in queues]
        for lane in lanes:
            lane.add(sequence, SENT | TRANSIENT if transient else SENT, self.life)
            if transient:
                self._transients.append((lane, sequence))
        self.counts["sent"] += 1
        waiting = Unconfirmed(lanes, self.clock(), transient)
        self.unconfirmed.setdefault(publisher, {})[sequence] = waiting
        return lanes

    def confirmed(self, publisher: str, sequences: Iterable[int]) -> None:
        """The broker acknowledged these publishes."""
        with self._lock:
            for sequence in sequences:
                self._confirmed(publisher, sequence)

    def _confirmed(self, publisher: str, sequence: int) -> None:
        publish = self.unconfirmed[publisher].pop(sequence)
        for lane in publish.lanes:
            lane.mark(sequence, OWED)
        self._waited(publisher, sequence, publish)
        if not publish.transient:
            self._synced_send = max(self._synced_send, publish.sent_at)
        self.counts["confirmed"] += 1

    def _waited(self, publisher: str, sequence: int, publish: Unconfirmed) -> None:
        seconds = self.clock() - publish.sent_at
        self.slowest_confirm = max(self.slowest_confirm, seconds)
        if seconds > CONFIRM_LIMIT:
            self.add("unconfirmed", f"{publisher} {sequence} waited {seconds:.1f} s for its confirm")

    def refused(self, publisher: str, sequences: Iterable[int]) -> None:
        """The broker answered these publishes with basic.nack: they may be there or not."""
        with self._lock:
            for sequence in sequences:
                del self.unconfirmed[publisher][sequence]
                self.counts["refused"] += 1

    def commit_sent(self, publisher: str, messages: Sequence[tuple[int, Sequence[str]]]) -> Transaction:
        """tx.commit is about to be sent; its messages, each with the queues that it goes to."""
        with self._lock:
            members = [
                (lane, sequence)
                for sequence, queues in messages
                for lane in self._sent(publisher, sequence, queues, transient=False)
            ]
            transaction = Transaction(self.life, members)
            self.open_transactions.append(transaction)
            return transaction

    def commit_confirmed(self, transaction: Transaction) -> None:
        """tx.commit-ok came."""
        with self._lock:
            self.open_transactions.remove(transaction)
            self.counts["transactions"] += 1
            for publisher, sequence in {(lane.publisher, sequence) for lane, sequence in transaction.members}:
                self._confirmed(publisher, sequence)

    # Consuming

    def delivered(self, delivery: Delivery) -> None:
        """A message came to a client."""
        with self._lock:
            self.counts["delivered"] += 1
            lane, sequence = self.lane(delivery.publisher, delivery.queue), delivery.sequence
            marks = lane.marks[sequence] if sequence < len(lane.marks) else 0
            if not marks & SENT:
                self.add("unknown", f"{lane.describe(sequence)} was never sent there, or not committed")
                return
            if marks & GONE:
                rule = "transient" if marks & TRANSIENT else "unknown"
                self.add(rule, f"{lane.describe(sequence)} is there again")
            if marks & SETTLING:
                self._came_back(lane, sequence, marks)
            if (lane, sequence) in self._out:
                self.add("duplicated", f"{lane.describe(sequence)} is out with a client already")
            self._out.add((lane, sequence))
            if delivery.publisher not in self.remade:
                self._check_flag(lane, delivery, marks)
                self._check_order(lane, delivery, marks)
            added = SEEN
            if lane.sent_life[sequence] < self.life:
                added |= SEEN_LATER | OWED
            lane.mark(sequence, added, SETTLING | PROCESSED | CERTAIN | GONE)
            lane.seen_life[sequence] = self.life
            lane.highest_seen = max(lane.highest_seen, sequence)

    def _came_back(self, lane: Lane, sequence: int, marks: int) -> None:
        if lane.settled_life[sequence] == self.life:
            if marks & PROCESSED:
                self.add("resurrected", f"without a crash: {lane.describe(sequence)}")
            self.counts["came back as its connection ended"] += 1
        elif marks & CERTAIN:
            self.add("resurrected", f"its acknowledgement was certain: {lane.describe(sequence)}")
        elif marks & PROCESSED:
            self.counts["came back after a processed ack"] += 1
        else:
            self.counts["came back after a sent ack"] += 1

    def _check_flag(self, lane: Lane, delivery: Delivery, marks: int) -> None:
        if delivery.redelivered:
            if not marks & SEEN:
                self.counts["flagged though never seen"] += 1
            return
        self.counts["first deliveries"] += 1
        if marks & SEEN:
            self.add("unflagged", f"{lane.describe(delivery.sequence)} comes again without redelivered")
        elif delivery.sequence < lane.highest_before:
            self.add(
                "reordered",
                f"{lane.describe(delivery.sequence)} comes without redelivered, "
                f"but {lane.highest_before} came in an earlier life",
            )

    def _check_order(self, lane: Lane, delivery: Delivery, marks: int) -> None:
        if marks & SEEN and lane.seen_life[delivery.sequence] == self.life:
            return
        if delivery.redelivered and lane.queue in self._abandoned:
            return
        latest = lane.latest.get(delivery.stream, -1)
        if delivery.sequence < latest:
            self.add("reordered", f"{lane.describe(delivery.sequence)} comes after {latest}")
        lane.latest[delivery.stream] = max(latest, delivery.sequence)

    def settling(self, queue: str, messages: Iterable[tuple[str, int]]) -> None:
        """A client is about to acknowledge (or reject for good) these messages, each a publisher and a sequence."""
        with self._lock:
            for publisher, sequence in messages:
                lane = self.lane(publisher, queue)
                early = SETTLED_EARLY if lane.sent_life[sequence] == self.life else 0
                lane.mark(sequence, SETTLING | early)
                lane.settled_life[sequence] = self.life
                self._out.discard((lane, sequence))
                self.counts["settled"] += 1

    def given_back(self, queue: str, messages: Iterable[tuple[str, int]]) -> None:
        """A client is about to requeue these messages, or to end its connection without having settled them."""
        with self._lock:
            self._out.difference_update((self.lane(publisher, queue), sequence) for publisher, sequence in messages)

    def processed(self, queue: str, messages: Iterable[tuple[str, int]]) -> None:
        """The broker answered a method that was sent after these acknowledgements on the same channel."""
        with self._lock:
            now = self.clock()
            for publisher, sequence in messages:
                lane = self.lane(publisher, queue)
                lane.mark(sequence, PROCESSED)
                self._processed.append((now, lane, sequence))

    def abandoned(self, queue: str) -> None:
        """A client is about to cut its connection, with deliveries from this queue that it may not have read."""
        with self._lock:
            self._abandoned.add(queue)

    # Lives

    def life_ended(self, orderly: bool = False) -> None:
        """The broker is dead: killed, or stopped as it should be. All that the clients had got is told already."""
        with self._lock:
            for answered_at, lane, sequence in self._processed:
                if (orderly or answered_at < self._synced_send) and lane.marks[sequence] & PROCESSED:
                    lane.mark(sequence, CERTAIN)
            for lane, sequence in self._transients:
                lane.mark(sequence, GONE)
            for publisher, waiting in self.unconfirmed.items():
                for sequence, publish in waiting.items():
                    self._waited(publisher, sequence, publish)
                waiting.clear()
            self._processed.clear()
            self._transients.clear()
            self._abandoned.clear()
            self._out.clear()
            self._synced_send = -1.0
            for lane in self.lanes.values():
                lane.highest_before = max(lane.highest_before, lane.highest_seen)
                lane.highest_seen = -1
                lane.latest.clear()
            self.life += 1

    def bounds(self, queue: str) -> tuple[int, int]:
        """How many messages a queue holds at least and at most, when none of them is out with a client."""
        with self._lock:
            lanes = [lane for lane in self.lanes.values() if lane.queue == queue]
            return sum(lane.owed for lane in lanes), sum(lane.possible for lane in lanes)

    def counted(self, queue: str, ready: int) -> None:
        """At the start of a life a queue says how many messages it holds."""
        owed, possible = self.bounds(queue)
        if not owed <= ready <= possible:
            self.add("miscounted", f"{queue} holds {ready} messages, it should be {owed} to {possible}")

    def emptied(self, queue: str) -> None:
        """Every message of a queue was delivered in this life, and nothing is left in it."""
        with self._lock:
            for lane in self.lanes.values():
                if lane.queue == queue:
                    self._emptied(lane)
            for transaction in list(self.open_transactions):
                if transaction.life < self.life:
                    self._check_transaction(transaction, queue)

    def _emptied(self, lane: Lane) -> None:
        for sequence, marks in enumerate(lane.marks):
            if is_owed(marks):
                self.add("lost", lane.describe(sequence))
            if is_possible(marks) and lane.seen_life[sequence] != self.life:
                lane.mark(sequence, GONE)

    def _check_transaction(self, transaction: Transaction, queue: str) -> None:
        """Judge it once all of its queues were emptied, that is, once each member was seen later or is gone."""
        marks = [lane.marks[sequence] for lane, sequence in transaction.members]
        if not all(one & (SEEN_LATER | GONE | CERTAIN) for one in marks):
            return
        self.open_transactions.remove(transaction)
        if not any(one & SEEN_LATER for one in marks):
            self.counts["transactions gone"] += 1
        elif all(one & (SEEN_LATER | SETTLED_EARLY) for one in marks):
            self.counts["transactions kept"] += 1
        else:
            members = "; ".join(lane.describe(sequence) for lane, sequence in transaction.members)
            self.add("half", f"of a transaction of life {transaction.life}: {members}")
