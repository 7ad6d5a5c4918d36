"""Invented histories of a broker: some break a promise, by the name of the rule in `BROKEN`, those in `KEPT` don't."""

from __future__ import annotations

from collections.abc import Callable

from tests.crash.ledger import CONFIRM_LIMIT, Delivery, Ledger


class History:
    """A ledger with a clock that moves a little at each look, and short words for what clients do."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ledger = Ledger(self.tick)

    def tick(self) -> float:
        self.now += 0.001
        return self.now

    def publish(self, *sequences: int, queues: tuple[str, ...] = ("q",), confirm: bool = True, by: str = "p") -> None:
        for sequence in sequences:
            self.ledger.sent(by, sequence, queues)
        if confirm:
            self.ledger.confirmed(by, sequences)

    def publish_transient(self, sequence: int) -> None:
        self.ledger.sent("p", sequence, ["q"], transient=True)
        self.ledger.confirmed("p", [sequence])

    def get(self, *sequences: int, queue: str = "q", again: bool = False, by: str = "p", stream: object = None) -> None:
        for sequence in sequences:
            self.ledger.delivered(Delivery(queue, by, sequence, again, stream))

    def ack(self, *sequences: int, queue: str = "q", processed: bool = False, by: str = "p") -> None:
        self.ledger.settling(queue, [(by, sequence) for sequence in sequences])
        if processed:
            self.ledger.processed(queue, [(by, sequence) for sequence in sequences])

    def give_back(self, *sequences: int) -> None:
        self.ledger.given_back("q", [("p", sequence) for sequence in sequences])

    def commit(self, *sequences: int, queues: tuple[str, ...] = ("q", "r"), confirm: bool = False) -> None:
        transaction = self.ledger.commit_sent("p", [(sequence, queues) for sequence in sequences])
        if confirm:
            self.ledger.commit_confirmed(transaction)

    def crash(self) -> None:
        self.ledger.life_ended()

    def stop(self) -> None:
        self.ledger.life_ended(orderly=True)

    def empty(self, *queues: str) -> None:
        for queue in queues or ("q",):
            self.ledger.emptied(queue)

    @property
    def broken(self) -> dict[str, int]:
        return dict(self.ledger.violation_counts)


# Broken promises


def lost(history: History) -> None:
    history.publish(0, 1, 2)
    history.crash()
    history.get(0, 2)
    history.ack(0, 2)
    history.empty()


def lost_without_a_crash(history: History) -> None:
    history.publish(0)
    history.empty()


def lost_in_one_of_two_queues(history: History) -> None:
    history.publish(0, queues=("q", "r"))
    history.crash()
    history.get(0)
    history.ack(0)
    history.empty("q", "r")


def lost_after_it_was_delivered(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.crash()
    history.empty()


def lost_after_it_was_given_back(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.give_back(0)
    history.empty()


def lost_after_it_came_back(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.ack(0)
    history.crash()
    history.get(0, again=True)
    history.crash()
    history.empty()


def lost_though_it_had_survived(history: History) -> None:
    history.publish(0, confirm=False)
    history.crash()
    history.get(0)
    history.crash()
    history.empty()


def lost_of_a_committed_transaction(history: History) -> None:
    history.commit(0, confirm=True)
    history.crash()
    history.get(0)
    history.ack(0)
    history.empty("q", "r")


def resurrected(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.ack(0, processed=True)
    history.publish(1)
    history.crash()
    history.get(0, again=True)


def resurrected_two_crashes_later(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.ack(0, processed=True)
    history.publish(1)
    history.crash()
    history.crash()
    history.get(0, again=True)


def resurrected_in_one_life(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.ack(0, processed=True)
    history.get(0, again=True)


def resurrected_by_a_stop_in_order(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.ack(0, processed=True)
    history.stop()
    history.get(0, again=True)


def duplicated(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.get(0, again=True)


def duplicated_by_a_crash(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.crash()
    history.get(0, again=True)
    history.get(0, again=True)


def unflagged(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.give_back(0)
    history.get(0)


def unflagged_after_a_crash(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.crash()
    history.get(0)


def reordered(history: History) -> None:
    history.publish(0, 1, 2)
    history.get(0, 2, 1)


def reordered_with_the_flag(history: History) -> None:
    history.publish(0, 1)
    history.crash()
    history.get(1, 0, again=True)


def reordered_after_a_crash(history: History) -> None:
    history.publish(0, 1)
    history.crash()
    history.get(1, 0)


def reordered_across_a_crash(history: History) -> None:
    history.publish(0, 1)
    history.get(1)
    history.crash()
    history.get(0)


def half_a_transaction(history: History) -> None:
    history.commit(0, 1)
    history.crash()
    history.get(0)
    history.get(0, queue="r")
    history.get(1)
    history.ack(0, 1)
    history.ack(0, queue="r")
    history.empty("q", "r")


def half_a_transaction_two_crashes_later(history: History) -> None:
    history.commit(0)
    history.crash()
    history.get(0)
    history.ack(0)
    history.crash()
    history.empty("q", "r")


def never_sent(history: History) -> None:
    history.publish(0)
    history.get(1)


def sent_to_another_queue(history: History) -> None:
    history.publish(0)
    history.get(0, queue="r")


def come_from_nowhere(history: History) -> None:
    history.publish(0, confirm=False)
    history.crash()
    history.empty()
    history.crash()
    history.get(0)


def transient_kept(history: History) -> None:
    history.publish_transient(0)
    history.crash()
    history.get(0)


def too_few(history: History) -> None:
    history.publish(0, 1)
    history.crash()
    history.ledger.counted("q", 1)


def too_many(history: History) -> None:
    history.publish(0, 1)
    history.get(0)
    history.ack(0, processed=True)
    history.publish(2)
    history.crash()
    history.ledger.counted("q", 3)


def confirmed_too_late(history: History) -> None:
    history.publish(0, confirm=False)
    history.now += CONFIRM_LIMIT
    history.ledger.confirmed("p", [0])


def never_confirmed(history: History) -> None:
    history.publish(0, confirm=False)
    history.now += CONFIRM_LIMIT
    history.crash()


BROKEN: list[tuple[str, Callable[[History], None]]] = [
    ("lost", lost),
    ("lost", lost_without_a_crash),
    ("lost", lost_in_one_of_two_queues),
    ("lost", lost_after_it_was_delivered),
    ("lost", lost_after_it_was_given_back),
    ("lost", lost_after_it_came_back),
    ("lost", lost_though_it_had_survived),
    ("lost", lost_of_a_committed_transaction),
    ("resurrected", resurrected),
    ("resurrected", resurrected_two_crashes_later),
    ("resurrected", resurrected_in_one_life),
    ("resurrected", resurrected_by_a_stop_in_order),
    ("duplicated", duplicated),
    ("duplicated", duplicated_by_a_crash),
    ("unflagged", unflagged),
    ("unflagged", unflagged_after_a_crash),
    ("reordered", reordered),
    ("reordered", reordered_with_the_flag),
    ("reordered", reordered_after_a_crash),
    ("reordered", reordered_across_a_crash),
    ("half", half_a_transaction),
    ("half", half_a_transaction_two_crashes_later),
    ("unknown", never_sent),
    ("unknown", sent_to_another_queue),
    ("unknown", come_from_nowhere),
    ("transient", transient_kept),
    ("unconfirmed", confirmed_too_late),
    ("unconfirmed", never_confirmed),
    ("miscounted", too_few),
    ("miscounted", too_many),
]


# Kept promises


def everything_in_order(history: History) -> None:
    history.publish(0, 1, 2)
    history.get(0, 1)
    history.ack(0, 1, processed=True)
    history.publish(3)
    history.crash()
    history.ledger.counted("q", 2)
    history.get(2, 3)
    history.ack(2, 3)


def unconfirmed_and_gone(history: History) -> None:
    history.publish(0)
    history.publish(1, confirm=False)
    history.crash()
    history.ledger.counted("q", 1)
    history.get(0)
    history.ack(0)


def unconfirmed_and_kept(history: History) -> None:
    history.publish(0, confirm=False)
    history.crash()
    history.ledger.counted("q", 1)
    history.get(0)
    history.ack(0)


def seen_before_the_crash_and_unconfirmed(history: History) -> None:
    history.publish(0, confirm=False)
    history.get(0)
    history.crash()


def back_with_the_flag(history: History) -> None:
    history.publish(0, 1)
    history.get(0, 1)
    history.crash()
    history.get(0, 1, again=True)
    history.ack(0, 1)


def ack_lost_with_the_kill(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.ack(0)
    history.crash()
    history.get(0, again=True)
    history.ack(0)


def processed_ack_without_a_later_sync(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.ack(0, processed=True)
    history.publish(1, confirm=False)
    history.crash()
    history.get(0, again=True)
    history.ack(0)


def confirm_of_an_earlier_publish_after_the_ack(history: History) -> None:
    history.publish(0)
    history.get(0)
    history.publish(1, confirm=False)
    history.ack(0, processed=True)
    history.ledger.confirmed("p", [1])
    history.crash()
    history.get(0, again=True)
    history.get(1)
    history.ack(0, 1)


def given_back_and_taken_again(history: History) -> None:
    history.publish(0, 1)
    history.get(0, 1)
    history.give_back(1, 0)
    history.get(0, 1, again=True)
    history.ack(0, 1)


def two_connections(history: History) -> None:
    history.publish(0, 1, 2)
    history.get(0, 2, stream="a")
    history.get(1, stream="b")
    history.ack(0, 1, 2)


def unread_by_a_client_that_vanished(history: History) -> None:
    history.publish(0, 1)
    history.ledger.abandoned("q")
    history.get(1)
    history.get(0, again=True)
    history.ack(0, 1)


def whole_transaction_without_an_answer(history: History) -> None:
    history.commit(0)
    history.crash()
    history.get(0)
    history.get(0, queue="r")
    history.ack(0)
    history.ack(0, queue="r")


def no_transaction_without_an_answer(history: History) -> None:
    history.commit(0, 1)
    history.crash()


def transaction_acknowledged_in_part_before_the_crash(history: History) -> None:
    history.commit(0)
    history.get(0)
    history.ack(0)
    history.crash()
    history.get(0, queue="r")
    history.ack(0, queue="r")


def transient_until_the_crash(history: History) -> None:
    history.publish_transient(0)
    history.publish_transient(1)
    history.get(0)
    history.ack(0)
    history.crash()
    history.ledger.counted("q", 0)


def lanes_apart(history: History) -> None:
    history.publish(5)
    history.publish(3, by="other")
    history.get(5)
    history.get(3, by="other")
    history.ack(5)
    history.ack(3, by="other")


KEPT: list[Callable[[History], None]] = [
    everything_in_order,
    unconfirmed_and_gone,
    unconfirmed_and_kept,
    seen_before_the_crash_and_unconfirmed,
    back_with_the_flag,
    ack_lost_with_the_kill,
    processed_ack_without_a_later_sync,
    confirm_of_an_earlier_publish_after_the_ack,
    given_back_and_taken_again,
    two_connections,
    unread_by_a_client_that_vanished,
    whole_transaction_without_an_answer,
    no_transaction_without_an_answer,
    transaction_acknowledged_in_part_before_the_crash,
    transient_until_the_crash,
    lanes_apart,
]
