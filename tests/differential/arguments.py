"""What a scenario's arguments, properties, headers and policies are chosen from.

Everything is drawn with a `Choose`, which takes one of several: hypothesis can drive it, or a plain generator of random
numbers. An argument belongs to a feature, and a scenario has few features, so that arguments meet that have to do with
each other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from tests.differential.player import SHORT_TIME
from tests.differential.wire import Typed, TypedTable

T = TypeVar("T")


class Choose(Protocol):
    """Takes one of several."""

    def __call__(self, options: Sequence[T], /) -> T: ...


Draw = Callable[[Choose], Typed]

QUEUES = ("@q0", "@q1", "@q2")
EXCHANGES = ("@e0", "@e1", "@e2")
KEYS = ("a", "a.b", "a.b.c", "")
SELDOM = (False, False, False, False, True)
OFTEN = (True, True, True, True, False)
EITHER = (True, False)


def integer(*values: int) -> Draw:
    """One of these numbers, as an integer of any type that has room for it."""
    return functools.partial(_integer, values)


def _integer(values: Sequence[int], choose: Choose) -> Typed:
    value = choose(values)
    kinds = "Il" if abs(value) < 2**31 else "l"
    if -128 <= value < 128:
        kinds += "bs" if value < 0 else "Buibs"
    return Typed(choose(kinds), value)


def string(*values: str) -> Draw:
    return functools.partial(_string, values)


def _string(values: Sequence[str], choose: Choose) -> Typed:
    return Typed("S", choose(values))


def boolean(choose: Choose) -> Typed:
    return Typed("t", choose((1, 0)))


ODD_NUMBERS = integer(-1, 0, 1, 5, 256, 2**31 - 1, 2**40, 315360000000, 315360000001)
ODD_STRINGS = string("", "abc", "1", "drop-head", "classic", "@e0")
OTHERS = (
    Typed("d", 1.5),
    Typed("f", 0.5),
    Typed("D", (1, 15)),
    Typed("T", 1_700_000_000),
    Typed("V", None),
    Typed("x", b"ab"),
    Typed("A", (Typed("S", "a"),)),
    Typed("F", (("a", Typed("l", 1)),)),
)


def odd(choose: Choose) -> Typed:
    """A value of any type, which is seldom right."""
    kind = choose(("number", "number", "string", "string", "boolean", "other"))
    if kind == "other":
        return choose(OTHERS)
    return {"number": ODD_NUMBERS, "string": ODD_STRINGS, "boolean": boolean}[kind](choose)


# Of each feature the arguments of queues that belong to it, with values that mean something.
QUEUE_ARGUMENTS: dict[str, dict[str, Draw]] = {
    "length": {
        "x-max-length": integer(0, 1, 1, 2, 2, 3),
        "x-max-length-bytes": integer(0, 4, 8, 8, 12),
        "x-overflow": string("drop-head", "reject-publish", "reject-publish-dlx"),
    },
    "time to live": {"x-message-ttl": integer(SHORT_TIME, SHORT_TIME, 0, 60_000)},
    "queue expiry": {"x-expires": integer(SHORT_TIME, SHORT_TIME, 60_000)},
    "priorities": {"x-max-priority": integer(0, 1, 3, 10, 255)},
    "single active consumer": {"x-single-active-consumer": boolean},
    "quorum": {"x-delivery-limit": integer(0, 1, 2)},
    "redeclare": {
        "x-queue-mode": string("default", "lazy"),
        "x-queue-version": integer(1, 2),
        "x-queue-type": string("classic"),
        "x-unknown": odd,
        "x-message-ttl": integer(60_000, 70_000),
    },
}
CHECKED_ARGUMENTS = (
    "x-message-ttl",
    "x-expires",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-overflow",
    "x-max-priority",
    "x-single-active-consumer",
    "x-queue-type",
    "x-queue-mode",
    "x-queue-version",
)
POLICY_KEYS: dict[str, tuple[object, ...]] = {
    "message-ttl": (SHORT_TIME, 60_000, 0, -1, "x"),
    "expires": (SHORT_TIME, 60_000, 0),
    "max-length": (0, 1, 2, -1, "1"),
    "max-length-bytes": (4, 8, -1),
    "overflow": ("drop-head", "reject-publish", "reject-publish-dlx", "other"),
    "dead-letter-exchange": ("", "amq.fanout", 1),
    "dead-letter-routing-key": ("a", 1),
    "alternate-exchange": ("amq.fanout", 1),
    "no-such-key": (1,),
}
OPERATOR_KEYS = ("expires", "max-length", "max-length-bytes", "message-ttl", "overflow", "dead-letter-exchange")
WRONG_EXPIRATIONS = ("", "abc", "-1", "1.5", " 1", "315360000001", "1" * 30)


def queue_arguments(choose: Choose, features: Sequence[str], queue: str) -> TypedTable:
    """Arguments for a queue, mostly good ones."""
    arguments = dead_letter_arguments(choose, queue) if "dead letters" in features else {}
    for feature in features:
        for name, draw in QUEUE_ARGUMENTS.get(feature, {}).items():
            if choose(EITHER):
                arguments[name] = draw(choose)
    if "invalid arguments" in features and choose(EITHER):
        name, value = choose(CHECKED_ARGUMENTS), odd(choose)
        passes = name in ("x-message-ttl", "x-expires") and value.kind in "Buibsl" and value.value in (1, 5, 256)
        arguments[name] = Typed("l", 60_000) if passes else value  # nobody waits for these times
    return tuple(arguments.items())


def dead_letter_arguments(choose: Choose, queue: str) -> dict[str, Typed]:
    """Where a queue's dead letters go: mostly to the next queue, directly or through an exchange."""
    following = QUEUES[(QUEUES.index(queue) + 1) % 2] if queue in QUEUES else QUEUES[0]
    keys = (following, following, following, following, queue, "a", "")
    kind = choose((*["direct"] * 7, *["exchange"] * 4, "back", "missing", "key", ""))
    if kind == "direct":
        return {
            "x-dead-letter-exchange": Typed("S", ""),
            "x-dead-letter-routing-key": Typed("S", choose(keys)),
        }
    if kind == "exchange":
        exchange = {"x-dead-letter-exchange": Typed("S", choose(EXCHANGES))}
        return exchange if choose(EITHER) else {**exchange, "x-dead-letter-routing-key": Typed("S", choose(keys))}
    if kind == "back":
        return {"x-dead-letter-exchange": Typed("S", "")}
    if kind == "missing":
        return {"x-dead-letter-exchange": Typed("S", "@missing")}
    return {"x-dead-letter-routing-key": Typed("S", "a")} if kind == "key" else {}


HEADER_VALUES: tuple[Draw, ...] = (
    string("x", "y"),
    integer(1, 2),
    boolean,
    lambda choose: Typed("V", None),
    lambda choose: choose((Typed("d", 1.0), Typed("T", 1), Typed("x", b"x"))),
)


def headers(choose: Choose) -> list[tuple[str, Typed]]:
    """Up to three headers, of few names and values, so that they match bindings."""
    return [(name, choose(HEADER_VALUES)(choose)) for name in ("h", "i", "x-j") if choose(EITHER)]


def binding_arguments(choose: Choose, features: Sequence[str]) -> TypedTable:
    """Arguments of a binding: what a headers exchange matches."""
    if "headers" not in features:
        return ()
    arguments = headers(choose)
    if choose(OFTEN):
        match = choose(("all", "any", "all-with-x", "any-with-x", "other", ""))
        arguments.insert(0, ("x-match", Typed("S", match) if match else Typed("l", 1)))
    return tuple(arguments)


def message_properties(choose: Choose, features: Sequence[str]) -> tuple[tuple[str, object], ...]:
    """The properties of a message, those of the features most often."""
    properties: dict[str, object] = {}
    if choose(EITHER):
        properties["delivery_mode"] = choose((1, 2))
    if "priorities" in features and choose(OFTEN):
        properties["priority"] = choose((0, 1, 2, 3, 9, 255))
    if "time to live" in features and choose(EITHER):
        properties["expiration"] = choose((str(SHORT_TIME), str(SHORT_TIME), "0", "60000"))
    if "invalid arguments" in features and choose(SELDOM):
        properties["expiration"] = choose(WRONG_EXPIRATIONS)
    carried = headers(choose) if "headers" in features else []
    if "dead letters" in features and choose(SELDOM):
        copies = tuple(Typed("S", key) for key in (*QUEUES, "a") if choose(SELDOM))
        carried += [(choose(("CC", "BCC")), Typed("A", copies))]
    with_none = choose(SELDOM)
    if carried or with_none:
        properties["headers"] = tuple(carried)
    if choose(SELDOM):
        properties["message_id"] = choose(("", "id"))
        properties["timestamp"] = 1_700_000_000
    return tuple(properties.items())


def policy_definition(choose: Choose, operator: bool) -> str:
    """A definition in JSON, mostly of one or two keys, some of them wrong."""
    keys: Sequence[str] = OPERATOR_KEYS if operator else sorted(POLICY_KEYS)
    chosen = {choose(keys) for _ in range(choose((1, 1, 2, 2, 0)))}
    return "{" + ", ".join(f'"{key}": {quoted(choose(POLICY_KEYS[key]))}' for key in sorted(chosen)) + "}"


def quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
