"""`/parameters`, `/global-parameters`, and the limits of virtual hosts and users."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from leveret.broker.broker import NoSuchVirtualHost
from leveret.broker.limits import OF_USERS, OF_VHOSTS, InvalidLimits, Usage, valid_limits
from leveret.management.http.access import (
    administrator,
    is_monitor,
    policymaker,
    policymaker_of_vhost,
    viewer_of_vhost,
)
from leveret.management.http.call import Call
from leveret.management.http.errors import bad_request, escaped, not_found, object_not_found
from leveret.management.http.lists import List, ListColumns
from leveret.management.http.resource import Resource
from leveret.management.http.slices import reapplied
from leveret.management.http.vhosts import vhost_exists
from leveret.management.parameters import (
    OPERATOR_POLICY,
    POLICY,
    InvalidParameter,
    Parameter,
    clear_parameter,
    find_parameter,
    parameters,
    policy_value,
    set_parameter,
    set_vhost_limits,
    validation_failed,
)

COLUMNS: Final[ListColumns[Parameter]] = {
    "value": lambda parameter, broker: parameter.value,
    "vhost": lambda parameter, broker: parameter.vhost,
    "component": lambda parameter, broker: parameter.component,
    "name": lambda parameter, broker: parameter.name,
}
PARAMETERS: Final = List(COLUMNS, ("vhost", "component", "name"), paged=False)
GLOBAL_COLUMNS: Final[ListColumns[tuple[str, object]]] = {
    "value": lambda item, broker: item[1],
    "name": lambda item, broker: item[0],
}
GLOBAL_PARAMETERS: Final = List(GLOBAL_COLUMNS, ("name",), paged=False)
VHOST_LIMITS: Final[List[tuple[str, Usage]]] = List(
    {"vhost": lambda item, broker: item[0], "value": lambda item, broker: item[1].limits}, ("vhost",), paged=False
)
USER_LIMITS: Final[List[tuple[str, Usage]]] = List(
    {"user": lambda item, broker: item[0], "value": lambda item, broker: item[1].limits}, ("user",), paged=False
)


# parameters of virtual hosts


def parameters_of(call: Call, component: str | None) -> Iterator[Parameter]:
    """The parameters of a component, or of all but policies, in the virtual hosts that a call is about."""
    for vhost in call.vhosts():
        if component == POLICY:  # RabbitMQ shows them here if they are asked for by name
            for policy in vhost.policies.listed(operator=False):
                yield Parameter(vhost.name, POLICY, policy.name, policy_value(policy))
        for parameter in parameters(call.broker, vhost.name):
            if component in (None, parameter.component):
                yield parameter


async def list_parameters(call: Call) -> object:
    """All parameters."""
    return await PARAMETERS.answer(call, parameters_of(call, None))


async def list_of_component(call: Call) -> object:
    """The parameters of one component."""
    return await PARAMETERS.answer(call, parameters_of(call, call.argument("component")))


def find(call: Call) -> Parameter | None:
    """The parameter that is named, if it is there."""
    return find_parameter(call.broker, call.argument("vhost"), call.argument("component"), call.argument("name"))


def parameter_exists(call: Call) -> bool:
    """Whether the parameter that is named is there."""
    return find(call) is not None


async def get_parameter(call: Call) -> object:
    """One parameter."""
    parameter = find(call)
    if parameter is None:
        raise object_not_found()
    return PARAMETERS.row(parameter, call.broker)


async def put_parameter(call: Call) -> None:
    """Set a parameter."""
    call.vhost_to_change()
    body = await call.json("value")
    vhost, component, name = call.argument("vhost"), call.argument("component"), call.argument("name")
    call.begin_change()
    try:
        changed = set_parameter(call.broker, vhost, component, name, body["value"])
    except InvalidParameter as error:
        raise bad_request(escaped(str(error))) from None
    except NoSuchVirtualHost:
        raise not_found("vhost_not_found") from None
    if changed and component == OPERATOR_POLICY:
        await reapplied(call.broker.vhost(vhost), call.begin_change)
    await call.committed()


async def delete_parameter(call: Call) -> None:
    """Clear a parameter."""
    vhost, component = call.vhost(), call.argument("component")
    call.begin_change()
    if clear_parameter(call.broker, vhost.name, component, call.argument("name")) and component == OPERATOR_POLICY:
        await reapplied(vhost, call.begin_change)
    await call.committed()


# global parameters


async def list_global(call: Call) -> object:
    """All global parameters."""
    return await GLOBAL_PARAMETERS.answer(call, call.broker.parameters.all_global().items())


def global_exists(call: Call) -> bool:
    """Whether the global parameter that is named is there."""
    return call.argument("name") in call.broker.parameters.all_global()


async def get_global(call: Call) -> object:
    """One global parameter."""
    name = call.argument("name")
    return {"value": call.broker.parameters.all_global()[name], "name": name}


async def put_global(call: Call) -> None:
    """Set a global parameter."""
    body = await call.json("value")
    call.begin_change()
    call.broker.parameters.set_global(call.argument("name"), body["value"])
    await call.committed()


async def delete_global(call: Call) -> None:
    """Clear a global parameter."""
    call.begin_change()
    call.broker.parameters.clear_global(call.argument("name"))
    await call.committed()


# limits


async def list_vhost_limits(call: Call) -> object:
    """The virtual hosts that have limits, with them."""
    broker = call.broker
    vhosts = list(broker.vhosts.values()) if call.vhost_name is None else [call.vhost()]
    visible = [
        (vhost.name, vhost.usage)
        for vhost in vhosts
        if vhost.usage.limits
        and (is_monitor(call.user) or broker.permissions.find(call.user.name, vhost.name) is not None)
    ]
    return await VHOST_LIMITS.answer(call, visible)


async def put_vhost_limit(call: Call) -> None:
    """Set one limit of a virtual host; the others stay."""
    vhost = call.vhost_to_change()
    body = await call.json("value")
    try:
        limits = valid_limits({**vhost.usage.limits, call.argument("name"): body["value"]}, OF_VHOSTS, "limits")
    except InvalidLimits as error:
        raise bad_request(str(validation_failed(str(error)))) from None
    call.begin_change()
    set_vhost_limits(call.broker, vhost, limits)
    await call.committed()


async def delete_vhost_limit(call: Call) -> None:
    """Clear one limit of a virtual host, also one that is not set."""
    vhost = call.vhost()
    call.begin_change()
    name = call.argument("name")
    set_vhost_limits(call.broker, vhost, {each: value for each, value in vhost.usage.limits.items() if each != name})
    await call.committed()


async def list_user_limits(call: Call) -> object:
    """The users who have limits, with them."""
    users = [(user.name, user.usage) for user in call.broker.users.all() if user.usage.limits]
    return await USER_LIMITS.answer(call, users)


async def list_limits_of_user(call: Call) -> object:
    """The limits of one user, in a list."""
    user = call.broker.users.user(call.argument("user"))
    return await USER_LIMITS.answer(call, [(user.name, user.usage)] if user.usage.limits else [])


def user_exists(call: Call) -> bool:
    """Whether the user who is named is there."""
    return call.broker.users.find(call.argument("user")) is not None


async def put_user_limit(call: Call) -> None:
    """Set one limit of a user; the others stay."""
    body = await call.json("value")
    try:
        limits = valid_limits({call.argument("name"): body["value"]}, OF_USERS, "user-limits")
    except InvalidLimits as error:
        raise bad_request(str(error)) from None
    user = call.broker.users.find(call.argument("user"))
    if user is None:
        raise bad_request(["no_such_user", call.argument("user")])
    call.begin_change()
    call.broker.users.set_limits(user.name, {**user.usage.limits, **limits})
    await call.committed()


async def delete_user_limit(call: Call) -> None:
    """Clear one limit of a user, also one that is not set."""
    user = call.broker.users.user(call.argument("user"))
    name = call.argument("name")
    call.begin_change()
    limits = {each: value for each, value in user.usage.limits.items() if each != name}
    if limits != user.usage.limits:
        call.broker.users.set_limits(user.name, limits)
    await call.committed()


RESOURCES: Final = (
    Resource("/parameters", policymaker, get=list_parameters),
    Resource("/parameters/{component}", policymaker, get=list_of_component),
    Resource("/parameters/{component}/{vhost}", policymaker_of_vhost, vhost_exists, get=list_of_component),
    Resource(
        "/parameters/{component}/{vhost}/{name}",
        policymaker_of_vhost,
        parameter_exists,
        get=get_parameter,
        put=put_parameter,
        delete=delete_parameter,
    ),
    Resource("/global-parameters", policymaker, get=list_global),
    Resource(
        "/global-parameters/{name}",
        policymaker,
        global_exists,
        get=get_global,
        put=put_global,
        delete=delete_global,
    ),
    Resource("/vhost-limits", get=list_vhost_limits),
    Resource("/vhost-limits/{vhost}", viewer_of_vhost, vhost_exists, get=list_vhost_limits),
    Resource(
        "/vhost-limits/{vhost}/{name}", administrator, vhost_exists, put=put_vhost_limit, delete=delete_vhost_limit
    ),
    Resource("/user-limits", get=list_user_limits),
    Resource("/user-limits/{user}", exists=user_exists, get=list_limits_of_user),
    Resource("/user-limits/{user}/{name}", administrator, user_exists, put=put_user_limit, delete=delete_user_limit),
)
