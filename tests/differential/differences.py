"""What is different between Leveret and RabbitMQ 3.10 on purpose: each by name, with its reason and an example.

Debian has RabbitMQ 3.10, and where 4.3 differs from it, Leveret mostly follows 4.3. A difference is to be as narrow as
it can be: `adjust` makes equal only what it is about, and `parts` looks at what both brokers said. The reader finds the
same in `docs/differences.md`. The tests play every example, so what is no longer different cannot stay here.
"""

from __future__ import annotations

import re
from collections import Counter

from tests.differential.comparison import Difference, Moment, headers_of, with_headers
from tests.differential.operations import (
    ClearPolicy,
    Consume,
    DeclareExchange,
    DeclareQueue,
    Get,
    LoseConnection,
    Operation,
    Publish,
    Qos,
    Recover,
    SetPolicy,
    Settle,
    Transaction,
    returns_at_once,
)
from tests.differential.quorum_differences import QUORUM_DIFFERENCES
from tests.differential.session import Event
from tests.differential.wire import Typed

LAST_DEATH = ("x-last-death-exchange", "x-last-death-queue", "x-last-death-reason")
TO_FIRST_QUEUE, TO_SECOND_QUEUE, TO_THIRD_QUEUE, TO_FOURTH_QUEUE = (
    (("x-dead-letter-exchange", Typed("S", "")), ("x-dead-letter-routing-key", Typed("S", queue)))
    for queue in ("@q0", "@q1", "@q2", "@q3")
)
REFUSING = (
    ("x-dead-letter-exchange", Typed("S", "")),
    ("x-max-length", Typed("l", 0)),
    ("x-overflow", Typed("S", "reject-publish-dlx")),
)


def without_last_death(moment: Moment) -> None:
    """4.0 added three headers."""
    for at, event in enumerate(moment.ours):
        headers = headers_of(event)
        if any(name in LAST_DEATH for name, _ in headers):
            moment.ours[at] = with_headers(event, tuple(item for item in headers if item[0] not in LAST_DEATH))


def with_sorted_deaths(moment: Moment) -> None:
    """The keys of a death stand in an order that in 3.10 depends on how often the message has died."""
    for events in (moment.ours, moment.theirs):
        for at, event in enumerate(events):
            headers = headers_of(event)
            if any(name == "x-death" for name, _ in headers):
                events[at] = with_headers(event, tuple((name, sorted_deaths(name, value)) for name, value in headers))


def sorted_deaths(name: str, value: Typed) -> Typed:
    """The value of x-death with the keys of each death sorted; any other header as it is."""
    if name != "x-death" or not isinstance(value.value, tuple):
        return value
    return Typed(value.kind, tuple(Typed(death.kind, tuple(sorted(death.value))) for death in value.value))


def several_takers(moment: Moment) -> bool:
    """Several messages come back at once that several consumers of their queue took, or one and basic.get."""
    consumers = [one for one in moment.before if isinstance(one, Consume)]
    got = {one.queue for one in moment.before if isinstance(one, Get) and not one.no_ack}
    takers = Counter([one.queue for one in consumers] + [one.queue for one in consumers if one.queue in got])
    shared = any(count > 1 for count in takers.values())
    return shared and returns_at_once(moment.operation) and moment.where.startswith("consumer ")


def end_of_connection(moment: Moment) -> bool:
    """A connection ends that has a consumer on one channel, to which comes what another channel gives back."""
    ends = isinstance(moment.operation, LoseConnection) or any(
        event.what == "connection.close" for event in moment.whole_step
    )
    takers = [one for one in moment.before if isinstance(one, Consume)]
    givers = [one for one in moment.before if isinstance(one, Consume | Get) and not one.no_ack]
    shared = any(
        taker.channel // 2 == giver.channel // 2 and taker.channel != giver.channel and taker.queue == giver.queue
        for taker in takers
        for giver in givers
    )
    return ends and shared and not moment.where.startswith("connection ")


def prefetch_of_running_consumers(moment: Moment) -> bool:
    """A basic.qos for consumers, on a channel that already had one, has come before."""
    for at, operation in enumerate(moment.before):
        if isinstance(operation, Qos) and not operation.for_channel:
            earlier = moment.before[:at]
            if any(isinstance(one, Consume) and one.channel == operation.channel for one in earlier):
                return True
    return False


def commits_out_of_order(moment: Moment) -> bool:
    """A transaction is committed in which messages were published that others go before in the queue's order."""
    commit = moment.operation
    if not isinstance(commit, Transaction) or commit.what != "commit":
        return False
    within: list[Operation] = []
    for one in moment.before[:-1]:
        ends = isinstance(one, Transaction) and one.what != "select" and one.channel == commit.channel
        within = [] if ends else [*within, one]
    mine = [one for one in within if one.channel == commit.channel]
    published = [dict(one.properties).get("priority") for one in mine if isinstance(one, Publish)]
    gives_back = any(isinstance(one, Settle) and one.requeue for one in mine)
    by_priority = bool(moment.settings("max-priority")) and len(set(published)) > 1
    return (
        bool(published)
        and (gives_back or by_priority)
        and any(event.what == "basic.deliver" for event in moment.whole_step)
    )


def expires_unnoticed(moment: Moment) -> bool:
    """A queue with priorities is shorter here, and messages may expire."""
    expires = bool(moment.settings("message-ttl")) or any(
        "expiration" in dict(one.properties) for one in moment.before if isinstance(one, Publish)
    )
    prioritized = {
        one.queue
        for one in moment.before
        if isinstance(one, DeclareQueue) and any(name == "x-max-priority" for name, _ in one.arguments)
    }
    return expires and bool(moment.shorter & prioritized)


def own_dead_letter(moment: Moment) -> bool:
    """A full queue dead-letters what it refuses, and letter and message meet in another queue in the other order."""
    here, there = ([event.details.get("body") for event in events] for events in (moment.ours, moment.theirs))
    return (
        isinstance(moment.operation, Publish | Transaction)
        and "reject-publish-dlx" in moment.settings("overflow")
        and here == there
        and len(here) > len(set(here))
    )


def deaths(event: Event) -> tuple[Typed, ...]:
    """The entries of a message's x-death."""
    entries = dict(headers_of(event)).get("x-death", Typed("A", ())).value
    return entries if isinstance(entries, tuple) else ()


def with_sorted_older_deaths(moment: Moment) -> None:
    """In 3.10 each death turns the order of the older ones around."""
    for events in (moment.ours, moment.theirs):
        for at, event in enumerate(events):
            if len(deaths(event)) > 2:
                newest, *older = deaths(event)
                entries = Typed("A", (newest, *sorted(older, key=repr)))
                changed = tuple((name, entries if name == "x-death" else value) for name, value in headers_of(event))
                events[at] = with_headers(event, changed)


def cycle_after_many_deaths(moment: Moment) -> bool:
    """Other messages are here and there, and some of them died three times or more."""
    here, there = ([event.details.get("body") for event in events] for events in (moment.ours, moment.theirs))
    return here != there and any(len(deaths(event)) > 2 for event in moment.ours + moment.theirs)


def overflow_of_an_operator(moment: Moment) -> bool:
    operation = moment.operation
    return (
        isinstance(operation, SetPolicy)
        and operation.operator
        and any(
            event.where == "policies"
            and re.search(r'<<"overflow">>.* are not recognised policy settings', str(event.details["text"]))
            for event in moment.whole_step
        )
    )


def limit_before_overflow(moment: Moment) -> bool:
    """Policies change, and one of them has a limit and refuses what is above it."""
    return isinstance(moment.operation, SetPolicy | ClearPolicy) and any(
        "max-length" in one.definition and "reject-publish" in one.definition
        for one in moment.before
        if isinstance(one, SetPolicy)
    )


def prefetch_after_get(moment: Moment) -> bool:
    """A prefetch was set for a channel that had unacked messages of basic.get, and more was delivered here."""
    for at, operation in enumerate(moment.before):
        if isinstance(operation, Qos) and operation.for_channel:
            got = [one for one in moment.before[:at] if isinstance(one, Get) and not one.no_ack]
            if any(one.channel == operation.channel for one in got):
                return moment.where.endswith(f"of channel {operation.channel}") and len(moment.ours) > len(
                    moment.theirs
                )
    return False


def ttl_of_what_is_there(moment: Moment) -> bool:
    """Policies changed the TTL of messages that were there, and other numbers of them are left."""
    ours, theirs = moment.counts
    changes = [
        at
        for at, one in enumerate(moment.before)
        if isinstance(one, ClearPolicy) or (isinstance(one, SetPolicy) and "message-ttl" in one.definition)
    ]
    there = [isinstance(one, Publish) for at in changes[-1:] for one in moment.before[:at]]
    limited = any(isinstance(moment.before[at], SetPolicy) for at in changes)
    return ours != theirs and limited and any(there)


def unknown_exchange_type(moment: Moment) -> bool:
    return (
        isinstance(moment.operation, DeclareExchange)
        and [event.details.get("code") for event in moment.ours] in ([406], [])
        and [event.details.get("code") for event in moment.theirs] in ([503], [])
    )


def text_in_one_line(moment: Moment) -> None:
    """Erlang breaks a term that is long."""
    for at, event in enumerate(moment.theirs):
        text = event.details.get("text")
        if isinstance(text, str) and "\n" in text:
            moment.theirs[at] = Event(event.where, event.what, {**event.details, "text": re.sub(r"\n +", "", text)})


def argument_of_another_type(moment: Moment) -> bool:
    """RabbitMQ refuses an argument that only the other queue type has, and Leveret takes it or looks at its value."""
    texts = [str(event.details.get("text")) for event in moment.theirs]
    names = "x-dead-letter-strategy|x-delivery-limit|x-max-priority|x-queue-mode|x-queue-version"
    return (
        isinstance(moment.operation, DeclareQueue)
        and len(texts) == 1
        and bool(re.search(rf"invalid arg '({names})' for .* of queue type rabbit_(classic|quorum)_queue$", texts[0]))
    )


def crash_on_queue_type(moment: Moment) -> bool:
    return (
        isinstance(moment.operation, DeclareQueue)
        and not moment.operation.queue
        and any(name == "x-queue-type" for name, _ in moment.operation.arguments)
        and any(event.details.get("code") == 541 for event in moment.whole_step)
    )


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "x-last-death headers",
        "RabbitMQ has them since 4.0.",
        (
            DeclareQueue("@q0", arguments=TO_SECOND_QUEUE),
            DeclareQueue("@q1"),
            Publish("", "@q0"),
            Get("@q0"),
            Settle("reject"),
        ),
        adjust=without_last_death,
    ),
    Difference(
        "order of the keys of x-death",
        "It is 4.3's, where it is always the same; in 3.10 it depends on how often the message has died.",
        (
            DeclareQueue("@q0", arguments=TO_SECOND_QUEUE),
            DeclareQueue("@q1"),
            Publish("", "@q0", properties=(("expiration", "0"),)),
            Get("@q1"),
        ),
        adjust=with_sorted_deaths,
    ),
    Difference(
        "order of older deaths",
        "The newest is first, as in 4; in 3.10 each death turns the order of the others around.",
        (
            DeclareQueue("@q0", arguments=(*TO_SECOND_QUEUE, ("x-message-ttl", Typed("l", 0)))),
            DeclareQueue("@q1", arguments=(*TO_THIRD_QUEUE, ("x-max-length", Typed("l", 0)))),
            DeclareQueue("@q2", arguments=(*TO_FOURTH_QUEUE, ("x-max-length", Typed("l", 0)))),
            DeclareQueue("@q3"),
            Publish("", "@q0"),
            Get("@q3"),
        ),
        adjust=with_sorted_older_deaths,
    ),
    Difference(
        "cycles of messages that died three times",
        "3.10 may not find them, for it confuses the order of the deaths.",
        (
            DeclareQueue("@q0", arguments=(*TO_SECOND_QUEUE, ("x-max-length", Typed("l", 1)))),
            DeclareQueue("@q1", arguments=(*TO_FIRST_QUEUE, ("x-max-length", Typed("l", 0)))),
            Publish("", "@q0"),
            Get("@q0"),
            Settle("reject"),
            Publish("", "@q0"),
        ),
        parts=cycle_after_many_deaths,
    ),
    Difference(
        "expiry of a message that comes before others",
        "It is seen at once; in a queue with priorities RabbitMQ looks only when something else happens to it.",
        (
            DeclareQueue("@q0", arguments=(("x-max-priority", Typed("l", 3)),)),
            Publish("", "@q0"),
            Publish("", "@q0", properties=(("priority", 3), ("expiration", "0"))),
        ),
        parts=expires_unnoticed,
    ),
    Difference(
        "messages of several consumers that come back at once",
        "Leveret gives them out again in the queue's order; RabbitMQ one consumer's after another's, and basic.get's.",
        (
            DeclareQueue("@q0"),
            Consume("@q0", "c0"),
            Consume("@q0", "c1"),
            Publish("", "@q0"),
            Publish("", "@q0"),
            Publish("", "@q0"),
            Recover(),
        ),
        parts=several_takers,
    ),
    Difference(
        "a refused message's letter beside the message",
        "It is in the other queue first here; in RabbitMQ it takes longer on its way.",
        (
            DeclareQueue("@q0", arguments=REFUSING),
            DeclareQueue("@q1"),
            Consume("@q1", "c0"),
            Publish("", "@q0", properties=(("headers", (("BCC", Typed("A", (Typed("S", "@q1"),))),)),)),
        ),
        parts=own_dead_letter,
    ),
    Difference(
        "deliveries to a connection that is being closed",
        "Leveret ends all channels of a connection at once; RabbitMQ one by one, and to the others it still delivers.",
        (
            DeclareQueue("@q0"),
            Consume("@q0", "c0", channel=1),
            Consume("@q0", "c0"),
            Publish("", "@q0"),
            Publish("", "@q0"),
            Consume("@q0", "c0"),
        ),
        parts=end_of_connection,
    ),
    Difference(
        "prefetch of running consumers",
        "A basic.qos for consumers is obeyed at once by those that run, until the next basic.consume.",
        (
            DeclareQueue("@q0"),
            Publish("", "@q0"),
            Publish("", "@q0"),
            Consume("@q0", "c0", prefetch=1),
            Qos(2),
        ),
        parts=prefetch_of_running_consumers,
    ),
    Difference(
        "order within a transaction",
        "A commit is one step here: what it gives back, or has a higher priority, is delivered first.",
        (
            DeclareQueue("@q0"),
            Publish("", "@q0"),
            Consume("@q0", "c0"),
            Transaction(),
            Settle("reject", requeue=True),
            Publish("", "@q0"),
            Transaction("commit"),
        ),
        parts=commits_out_of_order,
    ),
    Difference(
        "overflow in an operator policy",
        "4.3 knows the key there, 3.10 does not.",
        (SetPolicy("@p0", "^@", '{"overflow": "drop-head"}', operator=True),),
        parts=overflow_of_an_operator,
    ),
    Difference(
        "a policy with a limit and overflow at once",
        "RabbitMQ applies the limit first, and so drops what an overflow that refuses would have kept.",
        (
            DeclareQueue("@q0"),
            Publish("", "@q0"),
            Publish("", "@q0"),
            SetPolicy("@p0", "^@", '{"max-length": 1, "overflow": "reject-publish"}'),
        ),
        parts=limit_before_overflow,
    ),
    Difference(
        "prefetch of a channel that basic.get was used on",
        "What basic.get took never counts; in RabbitMQ it does if the prefetch is set afterwards.",
        (
            DeclareQueue("@q0"),
            Publish("", "@q0"),
            Publish("", "@q0"),
            Get("@q0"),
            Qos(1, for_channel=True),
            Consume("@q0", "c0"),
        ),
        parts=prefetch_after_get,
    ),
    Difference(
        "TTL by a policy for messages that are there",
        "It counts for them too, as RabbitMQ's documentation says; there a message keeps that with which it came.",
        (DeclareQueue("@q0"), Publish("", "@q0"), SetPolicy("@p0", "^@", '{"message-ttl": 0}')),
        parts=ttl_of_what_is_there,
    ),
    Difference(
        "unknown exchange type",
        "406, and only the channel closes, as in 4; 3.10 closes the connection with 503.",
        (DeclareExchange("@e0", "x-none"),),
        parts=unknown_exchange_type,
    ),
    Difference(
        "long terms in reply texts",
        "Erlang breaks a term into lines that is too long for one; Leveret does not.",
        (Publish("", "@q0", properties=(("expiration", "1" * 30),)),),
        adjust=text_in_one_line,
    ),
    Difference(
        "arguments that only one queue type has",
        "Leveret knows them on every type where they can mean something, and takes them on the others.",
        (DeclareQueue("@q0", arguments=(("x-delivery-limit", Typed("l", 2)),)),),
        parts=argument_of_another_type,
    ),
    Difference(
        "unknown type of a queue that the broker is to name",
        "3.10 fails on it and closes the connection with 541, and 4.3 the channel with 406.",
        (DeclareQueue("", arguments=(("x-queue-type", Typed("S", "")),)),),
        parts=crash_on_queue_type,
    ),
    *QUORUM_DIFFERENCES,
)
