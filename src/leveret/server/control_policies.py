"""The requests of the control socket that change policies, limits and tracing."""

from __future__ import annotations

from typing import Final

from leveret.broker.broker import Broker
from leveret.broker.erlang_terms import printed
from leveret.broker.limits import OF_USERS, OF_VHOSTS, InvalidLimits, valid_limits
from leveret.broker.policy import InvalidPolicy, make_policy
from leveret.broker.users import User
from leveret.broker.vhost import VirtualHost
from leveret.management import json_values
from leveret.management.json_values import NotJson
from leveret.server.control_request import (
    BadRequest,
    Change,
    ChangeRefused,
    Request,
    no_such_user,
    no_such_vhost,
    text_of,
)

ALL_LIMITS: Final = "all"


class PolicyChanges:
    """Changes policies and limits, and switches tracing, in a broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker: Final = broker
        self.commands: Final[dict[str, Change]] = {
            "set_policy": self._set_policy,
            "set_operator_policy": self._set_policy,
            "clear_policy": self._clear_policy,
            "clear_operator_policy": self._clear_policy,
            "set_vhost_limits": self._set_vhost_limits,
            "clear_vhost_limits": self._clear_vhost_limits,
            "set_user_limits": self._set_user_limits,
            "clear_user_limits": self._clear_user_limits,
            "trace_on": self._trace,
            "trace_off": self._trace,
        }

    # policies

    def _set_policy(self, request: Request) -> VirtualHost:
        operator = request.get("command") == "set_operator_policy"
        name, pattern = text_of(request, "name"), text_of(request, "pattern")
        apply_to, priority = text_of(request, "apply_to"), request.get("priority")
        if not isinstance(priority, int) or isinstance(priority, bool):
            raise BadRequest("priority is an integer")
        definition = decoded(text_of(request, "definition"))
        try:
            policy = make_policy(name, pattern, apply_to, definition, priority, operator)
        except InvalidPolicy as error:
            raise validation_failed(str(error)) from None
        vhost = self._vhost(request)
        vhost.policies.set(policy, operator)
        return vhost

    def _clear_policy(self, request: Request) -> VirtualHost:
        operator = request.get("command") == "clear_operator_policy"
        vhost = self._broker.vhosts.get(text_of(request, "vhost"))
        if vhost is None or not vhost.policies.clear(text_of(request, "name"), operator):
            raise ChangeRefused("Parameter does not exist")
        return vhost

    def _vhost(self, request: Request) -> VirtualHost:
        name = text_of(request, "vhost")
        vhost = self._broker.vhosts.get(name)
        if vhost is None:
            raise no_such_vhost(name)
        return vhost

    # limits

    def _set_vhost_limits(self, request: Request) -> None:
        definition = decoded(text_of(request, "definition"))
        try:
            limits = valid_limits(definition, OF_VHOSTS, "limits")
        except InvalidLimits as error:
            raise validation_failed(str(error)) from None
        self._broker.set_vhost_limits(self._vhost(request), limits)

    def _clear_vhost_limits(self, request: Request) -> None:
        vhost = self._broker.vhosts.get(text_of(request, "vhost"))
        if vhost is None or not vhost.usage.limits:
            raise ChangeRefused("Parameter does not exist")
        self._broker.set_vhost_limits(vhost, {})

    def _set_user_limits(self, request: Request) -> None:
        """Unlike those of a virtual host, the limits that are not named stay as they are."""
        definition = decoded(text_of(request, "definition"))
        try:
            limits = valid_limits(definition, OF_USERS, "user-limits")
        except InvalidLimits as error:
            raise ChangeRefused(str(error)) from None
        user = self._user(request)
        self._broker.users.set_limits(user.name, {**user.usage.limits, **limits})

    def _clear_user_limits(self, request: Request) -> None:
        """Clear one limit, also one that is not set or not known, or all of them."""
        cleared = text_of(request, "limit")
        user = self._user(request)
        kept = {} if cleared == ALL_LIMITS else user.usage.limits
        limits = {name: value for name, value in kept.items() if name != cleared}
        self._broker.users.set_limits(user.name, limits)

    def _user(self, request: Request) -> User:
        name = text_of(request, "user")
        user = self._broker.users.find(name)
        if user is None:
            raise ChangeRefused(no_such_user(name))
        return user

    # tracing

    def _trace(self, request: Request) -> None:
        self._vhost(request).firehose.switch(request.get("command") == "trace_on")


def decoded(text: str) -> dict[str, object]:
    """The JSON object that a definition is. Raises ChangeRefused."""
    try:
        value = json_values.decoded(text)
    except NotJson as error:
        raise ChangeRefused(f"Could not parse JSON document: {error}") from None
    if not isinstance(value, dict):
        raise validation_failed(f"definition must be a dictionary: {printed(value)}")
    return value


def validation_failed(reasons: str) -> ChangeRefused:
    """The error that RabbitMQ makes of what is wrong with a parameter."""
    return ChangeRefused(f"Validation failed\n\n{reasons}\n")
