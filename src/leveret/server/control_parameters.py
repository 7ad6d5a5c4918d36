"""The requests of the control socket that set and clear runtime parameters and global ones, and the cluster's name."""

from __future__ import annotations

from typing import Final

from leveret.broker.broker import Broker, NoSuchVirtualHost
from leveret.broker.parameters import CLUSTER_NAME
from leveret.broker.vhost import VirtualHost
from leveret.management.json_values import NotJson, decoded
from leveret.management.parameters import OPERATOR_POLICY, InvalidParameter, clear_parameter, set_parameter
from leveret.server.control_request import Change, ChangeRefused, Request, no_such_vhost, text_of

NOT_THERE: Final = "Parameter does not exist"


class ParameterChanges:
    """Changes parameters in a broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker: Final = broker
        self.commands: Final[dict[str, Change]] = {
            "set_parameter": self._set,
            "clear_parameter": self._clear,
            "set_global_parameter": self._set_global,
            "clear_global_parameter": self._clear_global,
            "set_cluster_name": self._set_cluster_name,
        }

    def _set(self, request: Request) -> VirtualHost | None:
        vhost, component, name = named(request)
        value = decoded_value(text_of(request, "value"))
        try:
            set_parameter(self._broker, vhost, component, name, value)
        except NoSuchVirtualHost:
            raise no_such_vhost(vhost) from None
        except InvalidParameter as error:
            raise ChangeRefused(str(error)) from None
        return self._to_apply_again(vhost, component)

    def _clear(self, request: Request) -> VirtualHost | None:
        vhost, component, name = named(request)
        if not clear_parameter(self._broker, vhost, component, name):
            raise ChangeRefused(NOT_THERE)
        return self._to_apply_again(vhost, component)

    def _to_apply_again(self, vhost: str, component: str) -> VirtualHost | None:
        """The virtual host whose policies have changed."""
        return self._broker.vhost(vhost) if component == OPERATOR_POLICY else None

    def _set_global(self, request: Request) -> None:
        value = decoded_value(text_of(request, "value"))
        self._broker.parameters.set_global(text_of(request, "name"), value)

    def _clear_global(self, request: Request) -> None:
        if not self._broker.parameters.clear_global(text_of(request, "name")):
            raise ChangeRefused(NOT_THERE)

    def _set_cluster_name(self, request: Request) -> None:
        self._broker.parameters.set_global(CLUSTER_NAME, text_of(request, "name"))


def named(request: Request) -> tuple[str, str, str]:
    """Virtual host, component and name of the parameter that a request is about."""
    return text_of(request, "vhost"), text_of(request, "component"), text_of(request, "name")


def decoded_value(text: str) -> object:
    """The JSON value that a parameter gets. Raises ChangeRefused."""
    try:
        return decoded(text)
    except NotJson as error:
        raise ChangeRefused(f"JSON decoding error. Reason: {error}") from None
