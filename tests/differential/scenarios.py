"""Writes scenarios.

A scenario has a few features and only operations and arguments of these, so that they meet often. There are up to three
queues, three exchanges and four channels; most of what happens happens to the first of each, or nothing would meet.
Clients do things in a row (publish a few messages, take one and settle it), so these are written in a row.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from tests.differential.arguments import (
    EITHER,
    EXCHANGES,
    KEYS,
    OFTEN,
    QUEUES,
    SELDOM,
    Choose,
    binding_arguments,
    integer,
    message_properties,
    odd,
    policy_definition,
    queue_arguments,
    string,
)
from tests.differential.operations import (
    EXCHANGE_BIND,
    EXCHANGE_UNBIND,
    BindExchange,
    BindQueue,
    Cancel,
    ClearPolicy,
    CloseChannel,
    Consume,
    DeclareExchange,
    DeclareQueue,
    DeleteExchange,
    DeleteQueue,
    Get,
    LoseConnection,
    Operation,
    Publish,
    PurgeQueue,
    Qos,
    Recover,
    Scenario,
    SelectConfirm,
    SetPolicy,
    Settle,
    Transaction,
    UnbindQueue,
    Wait,
)
from tests.differential.wire import Typed, TypedTable

# Features that have to do with each other, and so are in a scenario together.
GROUPS = (
    ("length", "dead letters", "time to live", "queue expiry", "priorities", "policies", "operator policies"),
    ("length", "dead letters", "time to live", "priorities", "transactions", "quorum"),
    ("single active consumer", "exclusive", "consumer priorities", "prefetch", "connections", "priorities", "quorum"),
    ("exchanges", "headers", "alternate exchange", "plugin exchanges", "policies", "transactions"),
    ("invalid arguments", "redeclare", "exclusive", "connections", "policies", "quorum"),
)
FEATURES = tuple(dict.fromkeys(feature for group in GROUPS for feature in group))
EXCHANGE_FEATURES = {"exchanges", "headers", "alternate exchange", "dead letters", "policies"}
PLUGIN_EXCHANGE = "@e3"
PLUGIN_TYPES = ("x-consistent-hash", "x-random", "x-recent-history", "x-modulus-hash")
ODD_QUEUES = (*QUEUES, "", "@s0", "amq.name", "amq.gen-name")  # @s0 is the first that the broker names
ODD_EXCHANGES = (*EXCHANGES, "", "amq.fanout", "amq.name", "@missing")
TYPES = ("direct", "fanout", "topic", "headers")
PATTERNS = (*KEYS, "#", "a.*", "*.b", "a.#", "#.c")
POLICY_PATTERNS = ("^@", "^@q0$", "^@q", "^@q", "^@e", "^@[", "^@q1$")
TAGS = ("c0", "c1", "c2")
POLICIES = ("@p0", "@p1")
MOST_WAITS = 2  # with more, times to live that follow one another would end too close to the end of a wait


class Writer:
    """Writes one scenario, of features that are drawn first.

    It guesses where messages are, only so that most of what it writes has something to act on: `ready` in each queue,
    `unacked` on each channel, and who consumes.
    """

    def __init__(self, choose: Choose, features: Sequence[str]) -> None:
        self.choose = choose
        self.features = tuple(sorted(features))
        self.steps: list[Operation] = []
        self.queues = QUEUES[: choose((2, 2, 3) if self.has("dead letters") else (1, 2, 2, 3))]
        self.ready: Counter[str] = Counter()
        self.unacked: Counter[int] = Counter()
        self.consumers: dict[str, list[int]] = {}

    def has(self, *features: str) -> bool:
        return any(feature in self.features for feature in features)

    # names

    def channel(self) -> int:
        return self.choose((0, 0, 0, 0, 0, 1, 2, 2, 3))

    def queue(self) -> str:
        """A queue, seldom one that was not declared in the beginning."""
        return self.choose((*self.queues[:1] * 12, *self.queues * 6, QUEUES[-1]))

    def exchange(self) -> str:
        return self.choose((*EXCHANGES[:2] * 8, *EXCHANGES))

    def arrive(self, queue: str) -> None:
        """Guess that a message came to a queue."""
        if self.consumers.get(queue):
            self.unacked[self.choose(self.consumers[queue])] += 1
        else:
            self.ready[queue] += 1

    # the scenario

    def write(self) -> Scenario:
        choose = self.choose
        for name in self.queues:
            self.declare_queue(name)
        if EXCHANGE_FEATURES.intersection(self.features):
            for name in EXCHANGES[: choose((2, 2, 3))]:
                self.declare_exchange(name)
            for _ in range(choose((1, 2, 3, 4))):
                self.bind()
        if self.has("plugin exchanges"):
            self.declare_plugin_exchange()
        for channel in (0, 1, 2, 3) if self.has("quorum") else choose(((0,), (0, 1, 2), ())):
            self.steps.append(SelectConfirm(channel))
        features = self.acts_of_features()
        for _ in range(choose((3, 6, 12, 16, 20, 24))):
            choose([*features, *self.acts_on_messages(len(features) // 3)])()
        return tuple(self.steps)

    def acts_on_messages(self, weight: int) -> list[Callable[[], None]]:
        """What clients do in any scenario, as often as it stands here: mostly something with messages that are there.

        `weight` is by how much these come more often.
        """
        owed, waiting = sum(self.unacked.values()) > 0, sum(self.ready.values()) > 0
        acts = [self.publish, self.publish_some, self.consume, self.anything_else]
        acts += [self.settle] * 5 if owed else [self.settle]
        acts += [self.take, self.take, self.take] if waiting else [self.publish_some, self.publish_some]
        return acts * (1 + weight)

    def acts_of_features(self) -> list[Callable[[], None]]:
        """What clients do in this scenario because of its features."""
        acts: list[Callable[[], None]] = []
        for feature, some in {
            "time to live": [self.wait],
            "queue expiry": [self.wait],
            "redeclare": [self.declare_again, self.name_oddly],
            "invalid arguments": [self.declare_again, self.declare_again],
            "prefetch": [self.limit],
            "connections": [self.lose_connection],
            "transactions": [self.transact, self.transact],
            "policies": [self.set_policy, self.set_policy, self.clear_policy],
            "operator policies": [self.set_operator_policy, self.set_operator_policy, self.clear_policy],
            "exchanges": [self.bind, self.change_exchanges, self.bind_exchange],
            "headers": [self.bind],
        }.items():
            if feature in self.features:
                acts += some
        return acts

    # declaring

    def declare_queue(self, name: str) -> None:
        choose = self.choose
        arguments = queue_arguments(choose, self.features, name)
        if self.has("quorum"):
            others = tuple(item for item in arguments if item[0] != "x-queue-type")
            arguments = (("x-queue-type", Typed("S", "quorum")), *others)
            self.steps.append(DeclareQueue(name, self.channel(), durable=True, arguments=arguments))
            return
        exclusive = choose(SELDOM) if self.has("connections", "exclusive") else False
        durable, auto_delete = choose(EITHER), choose(SELDOM)
        self.steps.append(
            DeclareQueue(name, self.channel(), False, durable, exclusive, auto_delete, arguments=arguments)
        )

    def declare_again(self) -> None:
        self.declare_queue(self.choose(ODD_QUEUES) if self.has("redeclare") and self.choose(SELDOM) else self.queue())

    def declare_exchange(self, name: str) -> None:
        choose = self.choose
        arguments: TypedTable = ()
        if self.has("alternate exchange") and choose(EITHER):
            arguments = (("alternate-exchange", string(*EXCHANGES, "amq.fanout", "@missing")(choose)),)
        if self.has("invalid arguments") and choose(SELDOM):
            arguments = (("alternate-exchange", odd(choose)),)
        kind = "headers" if self.has("headers") and choose(EITHER) else choose(TYPES)
        if self.has("invalid arguments") and choose(SELDOM):
            kind = choose(("x-none", ""))
        internal = choose(SELDOM) if self.has("exchanges") else False
        auto_delete = choose(SELDOM) if self.has("exchanges") else False
        self.steps.append(
            DeclareExchange(name, kind, self.channel(), False, choose(EITHER), auto_delete, internal, arguments)
        )

    def declare_plugin_exchange(self) -> None:
        """An exchange of a plugin with one queue, for which of several a hash takes is no promise."""
        kind = self.choose(PLUGIN_TYPES)
        self.steps.append(DeclareExchange(PLUGIN_EXCHANGE, kind, durable=self.choose(EITHER)))
        self.steps.append(BindQueue("@q0", PLUGIN_EXCHANGE, self.choose(("1", "1", "5", "0", "a", "-1"))))

    def bind(self) -> None:
        arguments = binding_arguments(self.choose, self.features)
        self.steps.append(BindQueue(self.queue(), self.exchange(), self.choose(PATTERNS), self.channel(), arguments))

    def bind_exchange(self) -> None:
        which = self.choose((EXCHANGE_BIND, EXCHANGE_BIND, EXCHANGE_UNBIND))
        destination, source, key = self.exchange(), self.exchange(), self.choose(PATTERNS)
        self.steps.append(BindExchange(destination, source, key, self.channel(), which=which))

    def change_exchanges(self) -> None:
        choose = self.choose
        name = choose(ODD_EXCHANGES) if choose(SELDOM) else self.exchange()
        what = choose(("declare", "check", "delete", "unbind"))
        if what == "declare":
            self.declare_exchange(name)
        elif what == "check":
            self.steps.append(DeclareExchange(name, channel=self.channel(), passive=True))
        elif what == "delete":
            self.steps.append(DeleteExchange(name, self.channel(), choose(EITHER)))
        else:
            arguments = binding_arguments(choose, self.features)
            self.steps.append(UnbindQueue(self.queue(), name, choose(PATTERNS), self.channel(), arguments))

    def name_oddly(self) -> None:
        """Anything with a queue or an exchange that has no plain name."""
        choose = self.choose
        queue, exchange, channel = choose(ODD_QUEUES), choose(ODD_EXCHANGES), self.channel()
        self.steps.append(
            choose(
                (
                    DeclareQueue(queue, channel, passive=True),
                    Get(queue, channel),
                    BindQueue(queue, exchange, "a", channel),
                    UnbindQueue(queue, exchange, "a", channel),
                    DeleteQueue(queue, channel),
                    Consume(queue, choose(TAGS), channel),
                    Publish(exchange, queue, channel),
                )
            )
        )

    # messages

    def publish(self) -> None:
        """One message, of any kind."""
        choose = self.choose
        exchange, through_exchange = "", choose(EITHER)
        if self.has("plugin exchanges") and through_exchange:
            exchange = PLUGIN_EXCHANGE
        elif EXCHANGE_FEATURES.intersection(self.features) and through_exchange:
            exchange = self.exchange()
        key = choose(KEYS) if exchange else self.queue()
        properties = message_properties(choose, self.features)
        size = choose((4, 4, 4, 9, 0))
        self.steps.append(Publish(exchange, key, self.channel(), choose(SELDOM), properties, size))
        self.arrive(key if key in QUEUES else QUEUES[0])

    def publish_some(self) -> None:
        """A few messages to one queue on one channel."""
        queue, channel = self.queue(), self.channel()
        for _ in range(self.choose((1, 2, 3, 4))):
            properties = message_properties(self.choose, self.features)
            self.steps.append(Publish("", queue, channel, properties=properties))
            self.arrive(queue)

    def take(self) -> None:
        """Get a message and, mostly, settle it."""
        filled = [queue for queue in self.ready if self.ready[queue] > 0]
        sensibly = self.choose(OFTEN)
        queue = self.choose(filled) if filled and sensibly else self.queue()
        channel, no_ack = self.channel(), self.choose(SELDOM)
        self.steps.append(Get(queue, channel, no_ack))
        self.ready[queue] -= 1
        if not no_ack:
            self.unacked[channel] += 1
            if self.choose(EITHER):
                self.settle_on(channel, self.choose((0, 0, -1)))

    def consume(self) -> None:
        choose = self.choose
        arguments: TypedTable = ()
        if self.has("consumer priorities") and choose(OFTEN):
            arguments = (("x-priority", integer(-1, 0, 1, 5)(choose)),)
        if self.has("invalid arguments") and choose(SELDOM):
            arguments = (("x-priority", odd(choose)),)
        exclusive = choose(SELDOM) if self.has("exclusive") else False
        prefetch = choose((None, 1, 2, 0)) if self.has("prefetch") else None
        queue, tag, channel, no_ack = self.queue(), choose(TAGS), self.channel(), choose(SELDOM)
        self.steps.append(Consume(queue, tag, channel, no_ack, exclusive, prefetch, arguments))
        if not no_ack:
            self.unacked[channel] += self.ready.pop(queue, 0)
            self.consumers.setdefault(queue, []).append(channel)

    def settle(self) -> None:
        """Settle something, mostly where there is something."""
        which = self.choose((0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, -1, None))
        owing = [channel for channel in self.unacked if self.unacked[channel] > 0]
        if owing or not self.choose(OFTEN):
            self.settle_on(self.choose(owing) if owing else self.channel(), which)

    def settle_on(self, channel: int, which: int | None) -> None:
        """Quorum queues of 4.3 do not count what comes back by basic.nack, those of before do."""
        hows = ("ack", "reject", "reject") if self.has("quorum") else ("ack", "nack", "reject", "reject", "reject")
        requeue = self.choose(SELDOM if self.has("dead letters") else EITHER)
        how = self.choose(hows)
        self.steps.append(Settle(how, which, channel, self.choose(SELDOM), requeue))
        self.unacked[channel] -= 1
        if how != "ack":
            self.arrive(self.choose(self.queues))

    def anything_else(self) -> None:
        choose = self.choose
        queue, channel = self.queue(), self.channel()
        self.steps.append(
            choose(
                (
                    Cancel(choose(TAGS), channel),
                    Cancel(choose(TAGS), channel),
                    Recover(channel, choose(OFTEN)),
                    Recover(channel),
                    PurgeQueue(queue, channel),
                    DeleteQueue(queue, channel, choose(SELDOM), choose(SELDOM)),
                    CloseChannel(channel),
                    SelectConfirm(channel),
                )
            )
        )

    # the rest

    def wait(self) -> None:
        if sum(isinstance(step, Wait) for step in self.steps) < MOST_WAITS:
            self.steps.append(Wait())

    def limit(self) -> None:
        self.steps.append(Qos(self.choose((0, 1, 2, 3)), self.channel(), self.choose(OFTEN)))

    def lose_connection(self) -> None:
        self.steps.append(LoseConnection(self.channel(), self.choose(EITHER)))

    def transact(self) -> None:
        """Mostly a whole transaction on one channel."""
        channel = self.channel()
        self.steps.append(Transaction("select", channel))
        for _ in range(self.choose((0, 1, 2, 3))):
            properties = message_properties(self.choose, self.features)
            act = self.choose(("publish", "publish", "get", "settle"))
            if act == "publish":
                self.steps.append(Publish("", self.queue(), channel, self.choose(SELDOM), properties))
            elif act == "get":
                self.steps.append(Get(self.queue(), channel))
            else:
                self.settle_on(channel, 0)
        if self.choose(OFTEN):
            self.steps.append(Transaction(self.choose(("commit", "commit", "rollback")), channel))

    def set_policy(self) -> None:
        self._set_policy(operator=False)

    def set_operator_policy(self) -> None:
        self._set_policy(operator=True)

    def _set_policy(self, operator: bool) -> None:
        choose = self.choose
        name, pattern = choose(POLICIES), choose(POLICY_PATTERNS)
        apply_to = choose(("queues", "queues", "all", "exchanges"))
        definition = policy_definition(choose, operator)
        self.steps.append(SetPolicy(name, pattern, definition, choose((0, 0, 1, -1)), apply_to, operator))

    def clear_policy(self) -> None:
        operator = self.has("operator policies") and (self.choose(EITHER) or not self.has("policies"))
        self.steps.append(ClearPolicy(self.choose(POLICIES), operator))


def write_scenario(choose: Choose, features: Sequence[str] = FEATURES) -> Scenario:
    """A scenario with up to three of these features."""
    groups = [[feature for feature in group if feature in features] for group in GROUPS]
    group = choose([group for group in groups if group])
    chosen = {choose(group) for _ in range(choose((0, 1, 2, 3, 3, 4, 5)))}
    return Writer(choose, sorted(chosen)).write()


def random_scenario(seed: str, features: Sequence[str] = FEATURES) -> Scenario:
    """The scenario of a seed."""
    return write_scenario(random.Random(seed).choice, features)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Scenarios for hypothesis, which remembers those that failed and makes them smaller."""
    return write_scenario(lambda options: draw(st.sampled_from(options)))
