"""Runtime parameters as RabbitMQ shows them: those that are kept as such, and limits and operator policies, which are
kept where they act.

Parameters of shovels and federation are kept and shown, and do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from leveret.broker.broker import Broker, NoSuchVirtualHost
from leveret.broker.erlang_terms import printed
from leveret.broker.limits import OF_VHOSTS, InvalidLimits, valid_limits
from leveret.broker.policy import ALL, InvalidPolicy, Policy, make_policy
from leveret.broker.vhost import VirtualHost

VHOST_LIMITS: Final = "vhost-limits"
LIMITS: Final = "limits"  # the name of the one parameter of that component
OPERATOR_POLICY: Final = "operator_policy"
POLICY: Final = "policy"
UPSTREAM_SET: Final = "federation-upstream-set"
KEPT: Final = ("federation-upstream", UPSTREAM_SET, "shovel")


class InvalidParameter(Exception):
    """A parameter that RabbitMQ would refuse; the text is RabbitMQ's."""


class Parameter(NamedTuple):
    """A parameter of a virtual host. The value is JSON."""

    vhost: str
    component: str
    name: str
    value: object


def parameters(broker: Broker, vhost: str) -> Iterator[Parameter]:
    """The parameters of a virtual host, none if there is no such one. Policies are none of them, as in RabbitMQ."""
    found = broker.vhosts.get(vhost)
    if found is None:
        return
    if found.usage.limits:
        yield Parameter(vhost, VHOST_LIMITS, LIMITS, dict(found.usage.limits))
    for policy in found.policies.listed(operator=True):
        yield Parameter(vhost, OPERATOR_POLICY, policy.name, policy_value(policy))
    for (component, name), value in broker.parameters.of_vhost(vhost).items():
        yield Parameter(vhost, component, name, value)


def find_parameter(broker: Broker, vhost: str, component: str, name: str) -> Parameter | None:
    """One parameter."""
    for parameter in parameters(broker, vhost):
        if (parameter.component, parameter.name) == (component, name):
            return parameter
    return None


def policy_value(policy: Policy) -> dict[str, object]:
    """An operator policy as the value of a parameter."""
    return {
        "pattern": policy.pattern.text,
        "definition": dict(policy.told),
        "priority": policy.priority,
        "apply-to": policy.apply_to,
    }


def check_parameter(component: str, name: str, value: object, tolerant: bool = False) -> None:
    """InvalidParameter unless such a parameter may be set. A tolerant check takes components that nobody knows."""
    if component == POLICY:
        raise InvalidParameter("policies may not be set using this method")
    if component == VHOST_LIMITS:
        checked_limits(name, value)
    elif component == OPERATOR_POLICY:
        operator_policy(name, value, tolerant)
    elif component in KEPT:
        expected = list if component == UPSTREAM_SET else dict
        if not isinstance(value, expected):
            raise validation_failed(f"{name} not a list {printed(value)}")
    elif not tolerant:
        raise validation_failed(f"component {component} not found")


def set_parameter(broker: Broker, vhost: str, component: str, name: str, value: object, tolerant: bool = False) -> bool:
    """Set a parameter; False if nothing changes by that. Raises NoSuchVirtualHost, InvalidParameter.

    After an operator policy has changed, the policies of the virtual host have yet to be applied again.
    """
    check_parameter(component, name, value, tolerant)
    found = broker.vhost(vhost)
    if component == VHOST_LIMITS:
        return set_vhost_limits(broker, found, checked_limits(name, value))
    if component == OPERATOR_POLICY:
        return set_policy(found, operator_policy(name, value, tolerant), operator=True)
    return broker.parameters.set(vhost, component, name, value)


def clear_parameter(broker: Broker, vhost: str, component: str, name: str) -> bool:
    """Clear a parameter; False if there is none. Of operator policies the same is true as in `set_parameter`."""
    try:
        found = broker.vhost(vhost)
    except NoSuchVirtualHost:
        return False
    if component == VHOST_LIMITS:
        return name == LIMITS and bool(found.usage.limits) and set_vhost_limits(broker, found, {})
    if component == OPERATOR_POLICY:
        return found.policies.clear(name, operator=True)
    return broker.parameters.clear(vhost, component, name)


def set_vhost_limits(broker: Broker, vhost: VirtualHost, limits: dict[str, int]) -> bool:
    """These limits instead of those there were; False if they are the same."""
    if limits == vhost.usage.limits:
        return False
    broker.set_vhost_limits(vhost, limits)
    return True


def set_policy(vhost: VirtualHost, policy: Policy, operator: bool) -> bool:
    """Set a policy, which has yet to be applied; False if it is there already."""
    existing = (vhost.policies.operator if operator else vhost.policies.user).get(policy.name)
    if existing is not None and policy_value(existing) == policy_value(policy):
        return False
    vhost.policies.set(policy, operator)
    return True


def checked_limits(name: str, value: object) -> dict[str, int]:
    """The limits that a parameter's value is, or InvalidParameter."""
    if name != LIMITS:
        raise validation_failed(f"the only parameter of component {VHOST_LIMITS} is {LIMITS}")
    if not isinstance(value, dict):
        raise validation_failed(f"{name} not a list {printed(value)}")
    try:
        return valid_limits(value, OF_VHOSTS, LIMITS)
    except InvalidLimits as error:
        raise validation_failed(str(error)) from None


def operator_policy(name: str, value: object, tolerant: bool) -> Policy:
    """The operator policy that a parameter's value is, or InvalidParameter."""
    if not isinstance(value, dict):
        raise validation_failed(f"{name} not a list {printed(value)}")
    pattern, definition = value.get("pattern"), value.get("definition")
    priority, apply_to = value.get("priority", 0), value.get("apply-to", ALL)
    if not (isinstance(pattern, str) and isinstance(definition, dict) and isinstance(apply_to, str)):
        raise validation_failed(f"{name} needs a pattern and a definition")
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise validation_failed(f"priority should be a number, actually was {printed(priority)}")
    try:
        return make_policy(name, pattern, apply_to, definition, priority, operator=True, tolerant=tolerant)
    except InvalidPolicy as error:
        raise validation_failed(str(error)) from None


def validation_failed(reasons: str) -> InvalidParameter:
    """The error that RabbitMQ makes of what is wrong with a parameter."""
    return InvalidParameter(f"Validation failed\n\n{reasons}\n")
