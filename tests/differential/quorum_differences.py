"""What is different in quorum queues between Leveret and RabbitMQ 3.10 on purpose.

Leveret's are queues like all others, with what 4.3 adds for them: they keep the same order, limits and times.
"""

from __future__ import annotations

import re

from tests.differential.comparison import Difference, Moment, headers_of, with_headers
from tests.differential.operations import (
    Cancel,
    Consume,
    DeclareQueue,
    Get,
    Publish,
    Qos,
    Recover,
    SelectConfirm,
    Settle,
    Wait,
    returns_at_once,
)
from tests.differential.session import Event
from tests.differential.wire import Typed

QUORUM = (("x-queue-type", Typed("S", "quorum")),)
FIRST_DELIVERY = ("x-delivery-count", Typed("l", 0))


def quorum_queues(moment: Moment) -> set[str]:
    """The queues that were declared as quorum queues."""
    kind = ("x-queue-type", Typed("S", "quorum"))
    return {one.queue for one in moment.before if isinstance(one, DeclareQueue) and kind in one.arguments}


def without_first_delivery_count(moment: Moment) -> None:
    """3.10 counts from the first delivery, which is number 0, where 4.3 has no header."""
    if not quorum_queues(moment):
        return
    for events in (moment.ours, moment.theirs):
        for at, event in enumerate(events):
            if "properties" in event.details:
                headers = tuple(item for item in headers_of(event) if item != FIRST_DELIVERY)
                events[at] = with_headers(event, headers)


def returned_to_quorum_queue(moment: Moment) -> bool:
    """Something came back to a quorum queue: several at once, not by basic.reject, or with no limit to how often."""
    unlimited = any(
        "x-delivery-limit" not in dict(one.arguments)
        for one in moment.before
        if isinstance(one, DeclareQueue) and one.queue in quorum_queues(moment)
    )
    closes = [event for event in moment.whole_step if event.what in ("channel.close", "connection.close")]
    closed = bool(closes) and all(closes.count(event) > 1 for event in closes)  # by both brokers
    ended = moment.operation is None
    return bool(quorum_queues(moment)) and (
        closed
        or ended
        or any(returns_at_once(one) for one in moment.before)
        or (unlimited and any(isinstance(one, Settle) and one.requeue for one in moment.before))
    )


def priorities_in_quorum_queue(moment: Moment) -> bool:
    """Messages of more than one priority went to quorum queues, and deliveries came in another order."""
    priorities = {dict(one.properties).get("priority") for one in moment.before if isinstance(one, Publish)}
    return bool(quorum_queues(moment)) and len(priorities) > 1


def without_miscounted_consumers(moment: Moment) -> None:
    """A quorum queue of RabbitMQ counts a consumer that was cancelled for as long as it has unacked messages, and does
    not count those that wait for a single active one.
    """
    if moment.where != "queues" or not moment.ours or not moment.theirs:
        return
    alone = {
        one.queue
        for one in moment.before
        if isinstance(one, DeclareQueue) and any(name == "x-single-active-consumer" for name, _ in one.arguments)
    }
    for at, (ours, theirs) in enumerate(zip(moment.ours, moment.theirs, strict=False)):
        counts = dict(theirs.details)
        for queue in quorum_queues(moment) & ours.details.keys() & counts.keys():
            counted, miscounted = consumers(ours.details[queue]), consumers(counts[queue])
            if counted < miscounted or (queue in alone and counted > miscounted > 0):
                counts[queue] = str(counts[queue]).replace(f" {miscounted} consumers", f" {counted} consumers")
        moment.theirs[at] = Event(theirs.where, theirs.what, counts)


def consumers(counts: object) -> int:
    """The number of consumers in a queue's counts."""
    found = re.search(r"(\d+) consumers", str(counts))
    return int(found[1]) if found else 0


def prefetch_of_a_channel(moment: Moment) -> bool:
    """RabbitMQ closed a connection because a quorum queue is consumed on a channel with a prefetch of its own."""
    return any("does not support global qos" in str(event.details.get("text")) for event in moment.whole_step)


def full_later(moment: Moment) -> bool:
    """A quorum queue refuses publishes when it is full, and RabbitMQ's took one more."""
    refused = any(
        event.what == "refused" or "partial tx completion" in str(event.details.get("text")) for event in moment.ours
    )
    return (refused or bool(moment.shorter & quorum_queues(moment))) and "reject-publish" in moment.settings("overflow")


def expires_later(moment: Moment) -> bool:
    """A quorum queue with an expiry is gone here, and still there."""
    ours, theirs = moment.counts
    return bool(moment.settings("expires") and (theirs.keys() - ours.keys()) & quorum_queues(moment))


QUORUM_DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "x-delivery-count of a first delivery",
        "4.3 has none, 3.10 has 0.",
        (DeclareQueue("@q0", durable=True, arguments=QUORUM), SelectConfirm(), Publish("", "@q0"), Get("@q0")),
        adjust=without_first_delivery_count,
    ),
    Difference(
        "what comes back to a quorum queue",
        "It takes its old place, as in classic queues. It counts, as in 4.3, when it was rejected or its client died.",
        (
            DeclareQueue("@q0", durable=True, arguments=QUORUM),
            SelectConfirm(),
            Publish("", "@q0"),
            Consume("@q0", "c0"),
            Recover(),
        ),
        parts=returned_to_quorum_queue,
    ),
    Difference(
        "priorities in a quorum queue",
        "4.3 delivers by priority, 3.10 in order of arrival.",
        (
            DeclareQueue("@q0", durable=True, arguments=QUORUM),
            SelectConfirm(),
            Publish("", "@q0"),
            Publish("", "@q0", properties=(("priority", 9),)),
            Get("@q0"),
        ),
        parts=priorities_in_quorum_queue,
    ),
    Difference(
        "consumers of a quorum queue",
        "RabbitMQ counts one that was cancelled until its messages are settled, and none that waits to be active.",
        (
            DeclareQueue("@q0", durable=True, arguments=QUORUM),
            SelectConfirm(),
            Publish("", "@q0"),
            Consume("@q0", "c0"),
            Cancel("c0"),
        ),
        adjust=without_miscounted_consumers,
    ),
    Difference(
        "prefetch of a channel that consumes a quorum queue",
        "It holds there as well; 3.10 closes the connection, 4 has no such prefetch.",
        (
            DeclareQueue("@q0", durable=True, arguments=QUORUM),
            Qos(1, for_channel=True),
            Consume("@q0", "c0"),
        ),
        parts=prefetch_of_a_channel,
    ),
    Difference(
        "length of a quorum queue that refuses publishes",
        "Leveret's never gets longer than its limit; RabbitMQ's notices that it is full when it is longer.",
        (
            DeclareQueue(
                "@q0",
                durable=True,
                arguments=(*QUORUM, ("x-max-length", Typed("l", 0)), ("x-overflow", Typed("S", "reject-publish"))),
            ),
            SelectConfirm(),
            Publish("", "@q0"),
        ),
        parts=full_later,
    ),
    Difference(
        "expiry of a quorum queue",
        "It is on time here; RabbitMQ looks for such queues every five seconds.",
        (
            DeclareQueue("@q0", durable=True, arguments=(*QUORUM, ("x-expires", Typed("l", 5)))),
            Wait(),
        ),
        parts=expires_later,
    ),
)
