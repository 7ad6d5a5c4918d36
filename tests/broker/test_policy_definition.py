"""Definitions of policies: what RabbitMQ refuses and in which words, and how an operator policy is laid over one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret.broker.policy_definition import (
    LOWER_WINS,
    OPERATOR_RULES,
    POLICY_RULES,
    InvalidPolicyDefinition,
    effective_definition,
    lower_delivery_limit,
    validate_operator_policy_definition,
    validate_policy_definition,
)

VALID = {
    "alternate-exchange": "other",
    "consumer-disconnected-timeout": 60_000,
    "consumer-timeout": 0,
    "dead-letter-exchange": "",
    "dead-letter-routing-key": "key",
    "dead-letter-strategy": "at-least-once",
    "delayed-message": True,
    "delayed-retry-max": 5,
    "delayed-retry-min": 0,
    "delayed-retry-type": "all",
    "delivery-limit": -1,
    "expires": 1,
    "federation-upstream": "upstream",
    "federation-upstream-pattern": "^a.*$",
    "federation-upstream-set": "all",
    "initial-cluster-size": 3,
    "max-age": "7D",
    "max-in-memory-bytes": 0,
    "max-in-memory-length": 0,
    "max-length": 0,
    "max-length-bytes": 0,
    "message-ttl": 0,
    "overflow": "reject-publish-dlx",
    "queue-leader-locator": "balanced",
    "queue-master-locator": "min-masters",
    "queue-mode": "lazy",
    "queue-version": 1,
    "shards-per-node": 2,
    "stream-filter-size-bytes": 16,
    "stream-max-segment-size-bytes": 500_000_000,
    "target-group-size": 3,
}
OPERATOR_KEYS = {
    *("expires", "message-ttl", "max-length", "max-length-bytes", "max-in-memory-length", "max-in-memory-bytes"),
    *("delivery-limit", "queue-version", "overflow", "target-group-size", "queue-master-locator"),
    *("delayed-retry-type", "delayed-retry-min", "delayed-retry-max"),
}


@pytest.mark.parametrize("name", VALID)
def test_every_key_is_accepted(name: str) -> None:
    validate_policy_definition({name: VALID[name]})


def test_no_key_is_known_that_is_not_tested() -> None:
    assert set(POLICY_RULES) == {*VALID, "routing-key"}


def test_an_operator_policy_knows_the_keys_that_bound_a_queue() -> None:
    assert set(OPERATOR_RULES) == OPERATOR_KEYS
    validate_operator_policy_definition({name: VALID[name] for name in OPERATOR_KEYS})
    for name in set(VALID) - OPERATOR_KEYS:
        with pytest.raises(InvalidPolicyDefinition, match=r"are not recognised policy settings$"):
            validate_operator_policy_definition({name: VALID[name]})


REFUSED: list[tuple[dict[str, object], str]] = [
    ({}, "no policy provided"),
    ({"foo": "bar"}, '[{<<"foo">>,<<"bar">>}] are not recognised policy settings'),
    ({"z": 1, "a": None}, '[{<<"a">>,null},{<<"z">>,1}] are not recognised policy settings'),
    ({"foo": 1, "message-ttl": -1}, "-1 is not a valid message TTL"),
    ({"max-length": -1, "expires": 0}, "0 is not a valid queue expiry"),
    ({"message-ttl": "a"}, '<<"a">> is not a valid message TTL'),
    ({"message-ttl": 1.5}, "1.5 is not a valid message TTL"),
    ({"message-ttl": 100.0}, "100.0 is not a valid message TTL"),
    ({"message-ttl": 1000.0}, "1.0e3 is not a valid message TTL"),
    ({"message-ttl": 0.0}, "0.0 is not a valid message TTL"),
    ({"message-ttl": 0.001}, "0.001 is not a valid message TTL"),
    ({"message-ttl": -1.5e-7}, "-1.5e-7 is not a valid message TTL"),
    ({"message-ttl": 123456789012345678.0}, "1.2345678901234568e17 is not a valid message TTL"),
    ({"message-ttl": float("inf")}, "inf is not a valid message TTL"),
    ({"message-ttl": None}, "null is not a valid message TTL"),
    ({"message-ttl": True}, "true is not a valid message TTL"),
    ({"message-ttl": False}, "false is not a valid message TTL"),
    ({"message-ttl": [1, 2, "a"]}, '[1,2,<<"a">>] is not a valid message TTL'),
    ({"message-ttl": [65, 66, 67]}, '"ABC" is not a valid message TTL'),
    ({"message-ttl": []}, "[] is not a valid message TTL"),
    ({"message-ttl": {"b": 1, "a": [True]}}, '#{<<"a">> => [true],<<"b">> => 1} is not a valid message TTL'),
    ({"message-ttl": ""}, "<<>> is not a valid message TTL"),
    ({"message-ttl": 'a"b\n'}, '<<"a\\"b\\n">> is not a valid message TTL'),
    ({"message-ttl": "a\x01b"}, "<<97,1,98>> is not a valid message TTL"),
    ({"message-ttl": "é"}, '<<"é"/utf8>> is not a valid message TTL'),
    ({"max-length": -1}, "-1 is not a valid maximum length"),
    ({"max-length-bytes": -1}, "-1 is not a valid maximum length in bytes"),
    ({"max-in-memory-length": -1}, "-1 is not a valid maximum memory in bytes"),
    ({"max-in-memory-bytes": -1}, "-1 is not a valid maximum memory in bytes"),
    ({"queue-mode": "x"}, '<<"x">> is not a valid queue-mode value'),
    ({"queue-version": 3}, "3 is not a valid queue-version value"),
    ({"queue-version": True}, "true is not a valid queue-version value"),
    ({"overflow": "x"}, '<<"x">> is not a valid overflow value'),
    ({"delayed-message": 1}, "1 is not a valid delayed message setting"),
    ({"delayed-message": "true"}, '<<"true">> is not a valid delayed message setting'),
    ({"delivery-limit": "-1"}, '<<"-1">> is not a valid delivery limit'),
    ({"max-age": "1"}, '<<"1">> is not a valid max age'),
    ({"max-age": "0s"}, '<<"0s">> is not a valid max age'),
    ({"max-age": 5}, "5 is not a valid max age"),
    ({"queue-leader-locator": "x"}, '<<"x">> is not a valid queue leader locator value'),
    ({"initial-cluster-size": -1}, "-1 is not a valid cluster size"),
    ({"stream-max-segment-size-bytes": -1}, "-1 is not a valid segment size"),
    ({"stream-max-segment-size-bytes": 3_000_000_001}, "3000000001 is not a valid segment size"),
    ({"stream-filter-size-bytes": 15}, "15 is not a valid filter size. Valid range is 16-255"),
    ({"dead-letter-strategy": "x"}, '<<"x">> is not a valid dead letter strategy'),
    ({"dead-letter-exchange": 3}, "3 is not a valid dead letter exchange name"),
    ({"dead-letter-routing-key": 3}, "3 is not a valid dead letter routing key"),
    ({"alternate-exchange": 3}, "3 is not a valid alternate exchange name"),
    ({"queue-master-locator": "x"}, '<<"x">> invalid queue-master-locator value'),
    ({"consumer-timeout": -1}, "-1 is not a valid consumer timeout"),
    ({"federation-upstream": 1}, "1 is not a valid federation upstream name"),
    ({"federation-upstream-set": 1}, "1 is not a valid federation upstream set name"),
    ({"federation-upstream-pattern": 1}, "1 is not a valid federation upstream pattern name"),
    (
        {"federation-upstream": "a", "federation-upstream-set": "b"},
        "cannot specify federation-upstream, federation-upstream-set or federation-upstream-pattern together",
    ),
    ({"shards-per-node": -1}, "shards-per-node should be greater than 0, actually was -1"),
    ({"shards-per-node": "a"}, 'shards-per-node should be a number, actually was <<"a">>'),
    ({"routing-key": "a"}, "shards-per-node must be specified"),
    ({"routing-key": 1, "shards-per-node": 1}, "routing-key should be binary, actually was 1"),
]


@pytest.mark.parametrize(("definition", "text"), REFUSED, ids=[str(definition) for definition, _ in REFUSED])
def test_what_rabbitmq_refuses_is_refused_in_its_words(definition: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidPolicyDefinition) as refusal:
        validate_policy_definition(definition)
    assert str(refusal.value) == text


def test_a_pattern_that_does_not_compile_is_refused() -> None:
    with pytest.raises(
        InvalidPolicyDefinition, match=r"^could not compile pattern \( to a regular expression\. Error: "
    ):
        validate_policy_definition({"federation-upstream-pattern": "("})


DEFINITIONS = st.dictionaries(st.sampled_from(LOWER_WINS), st.integers(1, 5))


@given(DEFINITIONS, DEFINITIONS)
def test_of_two_numbers_the_lower_holds(policy: dict[str, str | int], operator_policy: dict[str, str | int]) -> None:
    merged = effective_definition(policy, operator_policy)
    assert list(merged) == sorted(set(policy) | set(operator_policy))
    for name, value in merged.items():
        given_values = {definition[name] for definition in (policy, operator_policy) if name in definition}
        assert value in given_values
        assert all(value <= other for other in given_values)  # type: ignore[operator]


def test_what_is_no_number_is_the_operators() -> None:
    policy: dict[str, str | int] = {"overflow": "drop-head", "queue-version": 2, "dead-letter-exchange": "x"}
    operator_policy: dict[str, str | int] = {"overflow": "reject-publish", "queue-version": 1}
    assert effective_definition(policy, operator_policy) == {
        "dead-letter-exchange": "x",
        "overflow": "reject-publish",
        "queue-version": 1,
    }


@pytest.mark.parametrize(
    ("one", "other", "lower"), [(3, 5, 3), (0, 5, 0), (-1, 5, 5), (-2, 0, 0), (-1, -1, -1), (-7, -2, -2)]
)
def test_a_delivery_limit_is_more_careful_than_none(one: int, other: int, lower: int) -> None:
    assert lower_delivery_limit(one, other) == lower_delivery_limit(other, one) == lower
    assert effective_definition({"delivery-limit": one}, {"delivery-limit": other}) == {"delivery-limit": lower}
