"""Plays a scenario on one broker and notes all that the broker says, step by step.

A broker works on several things at once, and a note must not depend on which was faster. So after each operation the
player waits until the broker is quiet: it asks for the counts of all queues and then has each channel answer once more,
until two rounds in a row bring nothing new. RabbitMQ's processes get their messages in order, so what an operation
caused has arrived by then, through several queues if messages were dead-lettered. The counts are noted as well.

What a protocol leaves open is not noted: the order of deliveries from different queues, and their delivery tags then.
"""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass, field

from tests.differential.brokers import DONE, Target
from tests.differential.operations import (
    ClearPolicy,
    CloseChannel,
    Consume,
    DeclareExchange,
    DeclareQueue,
    Get,
    LoseConnection,
    Operation,
    Publish,
    Scenario,
    SelectConfirm,
    SetPolicy,
    Settle,
    Transaction,
    Wait,
)
from tests.differential.probe import Probe
from tests.differential.session import Event, Session
from tests.differential.wire import Typed
from tests.support.raw_client import (
    CHANNEL_CLOSE,
    CONNECTION_CLOSE,
    EXCHANGE_DECLARE,
    close_arguments,
    declare_queue,
    get,
    method,
    shortstr,
    table,
)

CHANNELS = 4
MARKER_CHANNEL = 9
SHORT_TIME = 300  # milliseconds; the time to live that a scenario can wait for
WAITING = 0.5  # seconds, more than SHORT_TIME and less than two of it
TOO_SLOW = 0.2  # seconds between two waits after which short times may have passed by themselves
MOST_ROUNDS = 200
NEVER_DELIVERED = 1000
GIVEN_NAME = re.compile(r"amq\.gen-[A-Za-z0-9_-]{22}")  # that no client learnt, in an error text
# The first connection is told when a consumer is cancelled, the second is not.
CAPABILITIES: tuple[dict[str, object], ...] = (
    {"consumer_cancel_notify": True, "basic.nack": True, "publisher_confirms": True},
    {},
)


@dataclass
class Delivery:
    """A delivery that the client may settle; `step` is when it arrived."""

    tag: int
    queue: str
    step: int


@dataclass
class Channel:
    """What the client knows of one of its channels."""

    confirming: bool = False
    transactional: bool = False
    published: int = 0
    unconfirmed: set[int] = field(default_factory=set)
    consumers: dict[str, Consume] = field(default_factory=dict)
    unacked: list[Delivery] = field(default_factory=list)
    uncommitted: list[Delivery] = field(default_factory=list)


@dataclass
class Recording:
    """What a broker said: the events of each step. `late` tells that it was too slow for short times to be exact."""

    steps: list[list[Event]]
    late: bool = False


class Player:
    """Plays scenarios on a broker, one after the other, over connections that it keeps."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.sessions = [self._connect(number) for number in range(len(CAPABILITIES))]
        self.probe = Probe(target.port)
        self.patience = 1.0
        self._begin("")

    def _begin(self, prefix: str) -> None:
        self.prefix = prefix
        self.names: dict[str, str] = {}  # of queues that the broker named
        self.channels = [Channel() for _ in range(CHANNELS)]
        self.events: list[Event] = []
        self.step = 0
        self.bodies = 0
        self.exchanges: set[str] = set()
        self.policies: set[tuple[str, bool]] = set()
        self.unquiet = False
        self.slow = False  # whether a queue answers before it has done all that it was told, as quorum queues do

    def play(self, scenario: Scenario, prefix: str, patience: float = 1.0) -> Recording:
        """Play it, then put everything back and see what the queues hold, and delete all of it."""
        self._begin(prefix)
        self.patience = patience
        started, begun, slowest = time.time(), time.monotonic(), 0.0
        steps: list[list[Event]] = []
        self.slow = "'quorum'" in repr(scenario)
        for operation in scenario:
            if isinstance(operation, Wait):
                slowest = max(slowest, time.monotonic() - begun)
                time.sleep(WAITING)
                begun = time.monotonic()
            else:
                self._do(operation)
            steps.append(self._events_of_step())
        slowest = max(slowest, time.monotonic() - begun)
        steps.append(self._ending())
        self._clean_up()
        plain = Plain(self, started)
        late = slowest > TOO_SLOW and needs_short_times(scenario)
        return Recording([[plain.event(event) for event in step] for step in steps], late)

    def resolve(self, text: str) -> str:
        """The broker's name for a scenario's."""
        for name, given in self.names.items():
            text = text.replace(name, given)
        return text.replace("@", self.prefix)

    # connections

    def _connect(self, number: int) -> Session:
        session = Session(self.target.port, CAPABILITIES[number])
        session.open(1, 2, MARKER_CHANNEL)
        session.marker = f"marker-{uuid.uuid4().hex}"
        session.send(declare_queue(MARKER_CHANNEL, session.marker, 4))
        assert session.reply(MARKER_CHANNEL, "queue.declare-ok")
        return session

    def _place(self, channel: int) -> tuple[Session, int]:
        """The connection of a channel, and the channel's number on it."""
        return self.sessions[channel // 2], channel % 2 + 1

    def _mend(self) -> None:
        """Open again what the broker has closed."""
        for number, session in enumerate(self.sessions):
            if session.ended:
                closes = session.take(0) or [Event("", "end of the connection")]
                self.events += [Event(f"connection {number}", close.what, close.details) for close in closes]
                self._reconnect(number)
        for number in range(CHANNELS):
            session, channel = self._place(number)
            if channel not in session.open_channels:
                self._note(number)
                self.channels[number] = Channel()
                session.open(channel)
                self.unquiet = True

    def _reconnect(self, number: int) -> None:
        """Wait until the broker has noticed the end of a connection, and make a new one."""
        for channel in (2 * number, 2 * number + 1):
            self._note(channel)
            self.channels[channel] = Channel()
        self.sessions[number].client.close()
        self.probe.wait_until_missing(self.sessions[number].marker)
        self.sessions[number] = self._connect(number)
        self.unquiet = True

    # operations

    def _do(self, operation: Operation) -> None:
        if isinstance(operation, Publish):
            self._publish(operation)
        elif isinstance(operation, Settle):
            self._settle(operation)
        elif isinstance(operation, CloseChannel):
            session, number = self._place(operation.channel)
            session.send(method(number, CHANNEL_CLOSE, close_arguments()))
            session.reply(number, "channel.close-ok")
        elif isinstance(operation, LoseConnection):
            self._lose(operation)
        elif isinstance(operation, SetPolicy | ClearPolicy):
            self._set_or_clear(operation)
        else:
            self._call(operation)

    def _call(self, operation: Operation) -> None:
        """Send a method and note its reply."""
        session, number = self._place(operation.channel)
        channel = self.channels[operation.channel]
        if isinstance(operation, DeclareQueue) and operation.queue not in ("", "amq.rabbitmq.reply-to"):
            self.probe.watch(operation.queue, self.resolve(operation.queue))
        if isinstance(operation, DeclareExchange) and operation.exchange.startswith("@"):
            self.exchanges.add(self.resolve(operation.exchange))
        session.send(operation.frames(number, self.resolve))
        if isinstance(operation, Consume):
            if operation.prefetch is not None:
                session.reply(number, "basic.qos-ok")
            channel.consumers.setdefault(operation.tag, operation)
        reply = session.reply(number, *operation.reply)
        if reply is None:
            return
        if isinstance(operation, DeclareQueue) and not operation.queue:
            given, name = str(reply.details["queue"]), f"@s{len(self.names)}"
            self.names[name] = given
            self.probe.watch(name, given)
        self.events.append(Event(f"channel {operation.channel}", reply.what, reply.details))
        if isinstance(operation, Get) and reply.what == "basic.get-ok" and not operation.no_ack:
            channel.unacked.append(Delivery(self._tag(reply), operation.queue, self.step))
        elif isinstance(operation, SelectConfirm):
            channel.confirming = True
        elif isinstance(operation, Transaction):
            self._transact(channel, operation.what)

    def _transact(self, channel: Channel, what: str) -> None:
        channel.transactional = True
        if what == "rollback":
            channel.unacked = sorted(channel.unacked + channel.uncommitted, key=lambda delivery: delivery.step)
        channel.uncommitted = []

    @staticmethod
    def _tag(event: Event) -> int:
        tag = event.details["tag"]
        assert isinstance(tag, int)
        return tag

    def _publish(self, operation: Publish) -> None:
        """Publish, and on a confirming channel wait for the outcome."""
        session, number = self._place(operation.channel)
        channel = self.channels[operation.channel]
        self.bodies += 1
        session.send(operation.content(number, self.resolve, b"m%d" % self.bodies))
        if not channel.confirming:
            return
        channel.published += 1
        channel.unconfirmed.add(channel.published)
        confirm = session.reply(number, "basic.ack", "basic.nack")
        if confirm is not None:
            self._note(operation.channel)  # what was returned comes before the confirm
            self._confirm(operation.channel, confirm)

    def _confirm(self, number: int, event: Event) -> None:
        """Note a confirm, or refusal, for each message that it is about."""
        channel, tag = self.channels[number], self._tag(event)
        tags = {one for one in channel.unconfirmed if one <= tag} if event.details["multiple"] else {tag}
        what = "confirmed" if event.what == "basic.ack" else "refused"
        for one in sorted(tags):
            self.events.append(Event(f"channel {number}", what, {"publish": one}))
        channel.unconfirmed -= tags

    def _settle(self, operation: Settle) -> None:
        session, number = self._place(operation.channel)
        channel = self.channels[operation.channel]
        if operation.which is None:
            session.send(operation.settling(number, NEVER_DELIVERED))
            return
        if not channel.unacked:
            return
        chosen = channel.unacked[operation.which % len(channel.unacked)]
        settled = [chosen]
        if operation.multiple and operation.how != "reject":
            settled = [one for one in channel.unacked if one.step <= chosen.step]
        session.send(operation.settling(number, max(one.tag for one in settled)))
        channel.unacked = [one for one in channel.unacked if one not in settled]
        if channel.transactional:
            channel.uncommitted += settled

    def _lose(self, operation: LoseConnection) -> None:
        number = operation.channel // 2
        session = self.sessions[number]
        if operation.politely:
            session.send(method(0, CONNECTION_CLOSE, close_arguments()))
            session.reply(0, "connection.close-ok")
        else:
            session.client.reset()
        self._reconnect(number)

    def _set_or_clear(self, operation: SetPolicy | ClearPolicy) -> None:
        name = self.resolve(operation.policy)
        if isinstance(operation, SetPolicy):
            answer = self.target.policies.set(operation, name, self.resolve(operation.pattern))
        else:
            answer = self.target.policies.clear(operation, name)
        if answer == DONE:
            self.policies.add((operation.policy, operation.operator))
        self.events.append(Event("policies", "done" if answer == DONE else "refused", {"text": answer}))
        self.unquiet = True

    # what comes

    def _flush(self) -> None:
        """Have every channel answer once, so that what was sent to it before is here."""
        passive = method_of_flush()
        for number in range(CHANNELS):
            session, channel = self._place(number)
            session.send(method(channel, EXCHANGE_DECLARE, passive))
        for number in range(CHANNELS):
            session, channel = self._place(number)
            session.reply(channel, "exchange.declare-ok")
            self._note(number)

    def _wait_for_quiet(self) -> dict[str, str]:
        """Wait until nothing new comes; gives the counts of the queues."""
        before: tuple[dict[str, str], int] | None = None
        for _ in range(MOST_ROUNDS):
            self._mend()
            self._flush()
            self._mend()
            if self.unquiet or self.slow:
                time.sleep(self.target.settle * self.patience * (1 + 4 * self.slow))
            self.unquiet = False
            now = (self.probe.counts(self.sessions), len(self.events))
            if now == before:
                return now[0]
            if before is not None or self.patience > 1:
                time.sleep(self.target.settle * self.patience / 4)
            before = now
        raise AssertionError(f"{self.target.name} does not come to rest: {before}")

    def _note(self, number: int) -> None:
        """Note what came on a channel, and keep what may be settled."""
        session, wire_number = self._place(number)
        for event in session.take(wire_number):
            event.where = f"channel {number}"
            channel = self.channels[number]
            if event.what in ("basic.ack", "basic.nack"):
                self._confirm(number, event)
                continue
            if event.what in ("basic.deliver", "basic.cancel"):
                tag = str(event.details.pop("consumer"))
                event.where = f"consumer {tag} of channel {number}"
                consumer = channel.consumers.get(tag)
                if event.what == "basic.deliver" and consumer is not None and not consumer.no_ack:
                    channel.unacked.append(Delivery(self._tag(event), consumer.queue, self.step))
            self.events.append(event)

    def _events_of_step(self) -> list[Event]:
        """What the broker said since the last step, when it is quiet."""
        counts = self._wait_for_quiet()
        for channel in self.channels:
            channel.unacked.sort(key=lambda delivery: (delivery.step, delivery.queue))
            new = {delivery.queue for delivery in channel.unacked if delivery.step == self.step}
            self._hide_tags(channel, new)
        events, self.events = self.events, []
        self.step += 1
        return [*events, Event("queues", "counts", dict(counts))]

    def _hide_tags(self, channel: Channel, queues: set[str]) -> None:
        """Leave out delivery tags where several queues delivered at once, for which came first is nobody's promise."""
        number = self.channels.index(channel)
        delivering = {event.where for event in self.events if event.what == "basic.deliver"}
        mine = {where for where in delivering if where.endswith(f" of channel {number}")}
        if len(mine) < 2 and len(queues) < 2:
            return
        for event in self.events:
            if event.where in mine or (event.where == f"channel {number}" and event.what == "basic.get-ok"):
                event.details.pop("tag", None)

    # the end

    def _ending(self) -> list[Event]:
        """Close the channels, so that all that is unacked goes back, and take out what the queues hold."""
        events: list[Event] = []
        for number in range(CHANNELS):
            self._do(CloseChannel(number))
            events += self._events_of_step()
        for name, session in self.probe.places(self.sessions).items():
            while True:
                session.send(get(MARKER_CHANNEL, self.resolve(name)))
                message = session.reply(MARKER_CHANNEL, "basic.get-ok", "basic.get-empty")
                if message is None or message.what == "basic.get-empty":
                    break
                message.details.pop("tag")
                events.append(Event(f"content of {name}", "message", message.details))
            if MARKER_CHANNEL not in session.open_channels:
                session.take(MARKER_CHANNEL)
                session.open(MARKER_CHANNEL)
        return events

    def _clean_up(self) -> None:
        for name, operator in sorted(self.policies):
            self.target.policies.clear(ClearPolicy(name, operator=operator), self.resolve(name))
        self.probe.delete_all(self.sessions, sorted(self.exchanges))


def needs_short_times(scenario: Scenario) -> bool:
    """Whether anything in a scenario ends by itself after a short time."""
    return any(isinstance(operation, Wait) or str(SHORT_TIME) in repr(operation) for operation in scenario)


def method_of_flush() -> bytes:
    """The arguments of a passive exchange.declare of what is always there."""
    return b"\0\0" + shortstr("amq.direct") + shortstr("direct") + b"\1" + table()


class Plain:
    """Takes out of events what differs from one run to the next: the prefix, given names, and the time of day."""

    def __init__(self, player: Player, started: float) -> None:
        self._prefix = player.prefix
        self._names = player.names
        self._started = started

    def event(self, event: Event) -> Event:
        details = {self._text(name): self._value(value) for name, value in event.details.items()}
        return Event(event.where, event.what, details)

    def _text(self, text: str) -> str:
        for name, given in self._names.items():
            text = text.replace(given, name)
        text = GIVEN_NAME.sub("amq.gen-name", text)
        return text.replace(self._prefix, "@") if self._prefix else text

    def _value(self, value: object) -> object:
        if isinstance(value, Typed):
            if value.kind == "T" and isinstance(value.value, int):
                return Typed("T", self._time(value.value))
            return Typed(value.kind, self._value(value.value))
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, tuple):
            return tuple(self._value(one) for one in value)
        if isinstance(value, dict):
            return {name: self._value(one) for name, one in value.items()}
        return value

    def _time(self, seconds: int) -> object:
        return "now" if self._started - 2 < seconds < time.time() + 2 else seconds
