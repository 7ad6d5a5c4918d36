"""What arguments, policy and operator policy of a queue come to, key by key, as RabbitMQ merges them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret.amqp.field_table import FieldValue, table_from_python
from leveret.broker.queue_settings import (
    DROP_HEAD,
    NONE,
    REJECT_PUBLISH,
    REJECT_PUBLISH_DLX,
    QueueSettings,
    effective_settings,
)

Definition = dict[str, str | int]
TEN_YEARS = 315_360_000_000
NUMBERS = {
    "message-ttl": "message_ttl",
    "expires": "expires",
    "max-length": "max_length",
    "max-length-bytes": "max_length_bytes",
}
TYPES = pytest.mark.parametrize("type", ["classic", "quorum"])


def settings(
    arguments: dict[str, object] | None = None,
    policy: Definition | None = None,
    operator_policy: Definition | None = None,
    type: str | None = None,
) -> QueueSettings:
    """The arguments are named without their x-."""
    named = {f"x-{name}": value for name, value in (arguments or {}).items()}
    if type is not None:
        named["x-queue-type"] = type
    return effective_settings(table_from_python(named), policy or {}, operator_policy or {})


def all_of(settings: QueueSettings) -> dict[str, object]:
    names = [*NUMBERS.values(), "type", "overflow", "dead_letter_exchange", "dead_letter_routing_key"]
    names += ["delivery_limit", "consumer_timeout", "max_priority", "default_priority", "single_active_consumer"]
    return {name: getattr(settings, name) for name in names}


NOTHING = {
    "type": "classic",
    **dict.fromkeys(NUMBERS.values(), NONE),
    "overflow": DROP_HEAD,
    "dead_letter_exchange": None,
    "dead_letter_routing_key": None,
    "delivery_limit": NONE,
    "consumer_timeout": NONE,
    "max_priority": NONE,
    "default_priority": 0,
    "single_active_consumer": False,
}


@pytest.mark.parametrize("type", [None, "classic"])
def test_a_classic_queue_has_nothing_by_default(type: str | None) -> None:
    assert all_of(settings(type=type)) == NOTHING


def test_a_quorum_queue_has_a_delivery_limit_and_priorities_by_default() -> None:
    of_quorum = {"type": "quorum", "delivery_limit": 20, "max_priority": 31, "default_priority": 4}
    assert all_of(settings(type="quorum")) == {**NOTHING, **of_quorum}


def test_arguments_alone_are_taken_as_they_are() -> None:
    arguments: dict[str, object] = {
        "message-ttl": 0,
        "expires": 1,
        "max-length": 2,
        "max-length-bytes": 3,
        "overflow": REJECT_PUBLISH_DLX,
        "dead-letter-exchange": "",
        "dead-letter-routing-key": "key",
        "delivery-limit": 4,
        "consumer-timeout": 5,
        "max-priority": 6,
        "single-active-consumer": True,
    }
    expected = {name.replace("-", "_"): value for name, value in arguments.items()}
    assert all_of(settings(arguments)) == {**NOTHING, **expected}


def test_a_policy_alone_is_taken_as_it_is() -> None:
    policy: Definition = {
        "message-ttl": 0,
        "expires": 1,
        "max-length": 2,
        "max-length-bytes": 3,
        "overflow": REJECT_PUBLISH,
        "dead-letter-exchange": "",
        "dead-letter-routing-key": "key",
        "delivery-limit": 4,
        "consumer-timeout": 5,
    }
    expected = {name.replace("-", "_"): value for name, value in policy.items()}
    assert all_of(settings(policy=policy)) == {**NOTHING, **expected}


def test_what_no_queue_knows_changes_nothing() -> None:
    policy: Definition = {"alternate-exchange": "x", "queue-mode": "lazy", "max-priority": 5, "x-max-length": 1}
    assert all_of(settings({"max-age": "1D", "own": 1}, policy, {"queue-version": 2})) == NOTHING


types = st.sampled_from(["classic", "quorum"])
values = st.none() | st.integers(0, 6)


@given(type=types, name=st.sampled_from(list(NUMBERS)), argument=values, policy=values, operator=values)
def test_of_numbers_the_lowest_holds(
    type: str, name: str, argument: int | None, policy: int | None, operator: int | None
) -> None:
    merged = settings(
        {} if argument is None else {name: argument},
        {} if policy is None else {name: policy},
        {} if operator is None else {name: operator},
        type,
    )
    lowest = min((value for value in (argument, policy, operator) if value is not None), default=NONE)
    assert getattr(merged, NUMBERS[name]) == lowest


limits = st.none() | st.integers(-3, 6)


@given(type=types, argument=limits, policy=limits, operator=limits)
def test_of_delivery_limits_the_most_careful_holds(
    type: str, argument: int | None, policy: int | None, operator: int | None
) -> None:
    merged = settings(
        {} if argument is None else {"delivery-limit": argument},
        {} if policy is None else {"delivery-limit": policy},
        {} if operator is None else {"delivery-limit": operator},
        type,
    )
    said = [value for value in (argument, policy, operator) if value is not None]
    bounds = [value for value in said if value >= 0]
    default = 20 if type == "quorum" and not said else NONE
    assert merged.delivery_limit == min(bounds, default=default)


def test_a_delivery_limit_that_is_no_number_is_never_reached() -> None:
    assert settings({"delivery-limit": "often"}, type="quorum").delivery_limit == NONE
    assert settings({"delivery-limit": "often"}, {"delivery-limit": 3}, type="quorum").delivery_limit == 3


@TYPES
@pytest.mark.parametrize("name", ["dead-letter-exchange", "dead-letter-routing-key"])
def test_for_dead_letters_the_argument_holds(type: str, name: str) -> None:
    attribute = name.replace("-", "_")
    assert getattr(settings({name: "argument"}, {name: "policy"}, type=type), attribute) == "argument"
    assert getattr(settings({name: ""}, {name: "policy"}, type=type), attribute) == ""
    assert getattr(settings({}, {name: "policy"}, type=type), attribute) == "policy"


def test_exchange_and_key_of_dead_letters_are_decided_apart() -> None:
    merged = settings({"dead-letter-exchange": "a"}, {"dead-letter-exchange": "p", "dead-letter-routing-key": "k"})
    assert (merged.dead_letter_exchange, merged.dead_letter_routing_key) == ("a", "k")


def test_for_the_consumer_timeout_the_argument_holds() -> None:
    assert settings({"consumer-timeout": 9}, {"consumer-timeout": 5}).consumer_timeout == 9
    assert settings({"consumer-timeout": 0}, {"consumer-timeout": 5}).consumer_timeout == 0


@pytest.mark.parametrize(
    ("type", "argument", "policy", "operator", "expected"),
    [
        ("classic", DROP_HEAD, REJECT_PUBLISH, None, DROP_HEAD),
        ("quorum", DROP_HEAD, REJECT_PUBLISH, None, REJECT_PUBLISH),
        ("classic", None, REJECT_PUBLISH, DROP_HEAD, DROP_HEAD),
        ("quorum", None, REJECT_PUBLISH, DROP_HEAD, DROP_HEAD),
        ("classic", DROP_HEAD, None, REJECT_PUBLISH, DROP_HEAD),
        ("quorum", DROP_HEAD, None, REJECT_PUBLISH, REJECT_PUBLISH),
        ("classic", None, REJECT_PUBLISH_DLX, None, REJECT_PUBLISH_DLX),
        ("quorum", None, REJECT_PUBLISH_DLX, None, DROP_HEAD),
        ("quorum", REJECT_PUBLISH_DLX, None, None, DROP_HEAD),
        ("quorum", REJECT_PUBLISH_DLX, REJECT_PUBLISH, None, REJECT_PUBLISH),
    ],
)
def test_which_overflow_holds(
    type: str, argument: str | None, policy: str | None, operator: str | None, expected: str
) -> None:
    merged = settings(
        {} if argument is None else {"overflow": argument},
        {} if policy is None else {"overflow": policy},
        {} if operator is None else {"overflow": operator},
        type,
    )
    assert merged.overflow == expected


def test_numbers_of_a_policy_that_fit_nowhere_are_as_good_as_the_largest() -> None:
    huge = 10**30
    policy: Definition = {**dict.fromkeys(NUMBERS, huge), "delivery-limit": huge, "consumer-timeout": huge}
    merged = settings({}, policy)
    assert (merged.message_ttl, merged.expires, merged.consumer_timeout) == (TEN_YEARS, TEN_YEARS, TEN_YEARS)
    assert (merged.max_length, merged.max_length_bytes, merged.delivery_limit) == (1 << 62, 1 << 62, 1 << 62)
    assert settings({}, {"delivery-limit": -huge}).delivery_limit == NONE


@pytest.mark.parametrize("kind", list("bBsuIil"))
def test_every_integer_of_the_wire_is_a_number(kind: str) -> None:
    assert effective_settings({"x-max-length": FieldValue(kind, 5)}, {}, {}).max_length == 5


@pytest.mark.parametrize("value", ["5", -5, 5.0, True, None, [5]])
def test_arguments_that_would_be_refused_today_are_as_none(value: object) -> None:
    arguments = dict.fromkeys([*NUMBERS, "max-priority", "consumer-timeout"], value)
    assert all_of(settings(arguments)) == NOTHING
    assert settings(arguments, {"max-length": 7}).max_length == 7
