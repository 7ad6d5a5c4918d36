"""Runtime parameters: JSON values that an operator sets under a name, for a virtual host or for the whole broker.

Those of a virtual host belong to a component, which gives them their meaning. The components that mean something here
(policies, limits) are kept where they act; `management.parameters` shows all of them in RabbitMQ's way. What stands
here is kept for others: `federation-upstream` and `shovel`, for one, come in with definitions from RabbitMQ.

Of the global ones two have a meaning: `cluster_name`, which clients are told, and `internal_cluster_id`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from leveret.amqp.field_table import FieldValue
from leveret.broker.events import GLOBAL

if TYPE_CHECKING:
    from leveret.broker.broker import Broker

CLUSTER_NAME: Final = "cluster_name"
CLUSTER_ID: Final = "internal_cluster_id"
ID_SIZE: Final = 16  # octets


class Parameters:
    """All parameters of one broker that no other part of it keeps."""

    def __init__(self, broker: Broker) -> None:
        self._broker: Final = broker
        self._of_vhosts: Final[dict[str, dict[tuple[str, str], object]]] = {}  # then by component and name
        self._global: Final[dict[str, object]] = {}

    # of virtual hosts

    def of_vhost(self, vhost: str) -> dict[tuple[str, str], object]:
        """The parameters of a virtual host by component and name: a copy."""
        return dict(self._of_vhosts.get(vhost, {}))

    def set(self, vhost: str, component: str, name: str, value: object) -> bool:
        """Set a parameter; False if that is its value already. Raises NoSuchVirtualHost."""
        self._broker.vhost(vhost)
        parameters = self._of_vhosts.setdefault(vhost, {})
        key = (component, name)
        if key in parameters and same(parameters[key], value):
            return False
        parameters[key] = value
        self._broker.store.parameter_set(vhost, component, name, value)
        self._broker.events.parameter_set(component, vhost, name, value)
        return True

    def clear(self, vhost: str, component: str, name: str) -> bool:
        """Clear a parameter; False if there is none."""
        parameters = self._of_vhosts.get(vhost)
        if parameters is None or (component, name) not in parameters:
            return False
        del parameters[component, name]
        self._broker.store.parameter_cleared(vhost, component, name)
        self._broker.events.parameter_cleared(component, vhost, name)
        return True

    def forget_vhost(self, vhost: str) -> None:
        """A virtual host is deleted; the store knows."""
        for component, name in self._of_vhosts.pop(vhost, {}):
            self._broker.events.parameter_cleared(component, vhost, name)

    # global ones

    def all_global(self) -> dict[str, object]:
        """The global parameters by name: a copy."""
        return dict(self._global)

    def set_global(self, name: str, value: object) -> bool:
        """Set a global parameter; False if that is its value already. Clients that connect are told a cluster_name."""
        if name in self._global and same(self._global[name], value):
            return False
        self._global[name] = value
        self._broker.store.global_parameter_set(name, value)
        self._broker.events.parameter_set(GLOBAL, None, name, value)
        self._tell_clients()
        return True

    def clear_global(self, name: str) -> bool:
        """Clear a global parameter; False if there is none."""
        if name not in self._global:
            return False
        del self._global[name]
        self._broker.store.global_parameter_cleared(name)
        self._broker.events.parameter_cleared(GLOBAL, None, name)
        self._tell_clients()
        return True

    def cluster_name(self) -> str:
        """What the cluster is called: as the node, if nobody gave it a name."""
        name = self._global.get(CLUSTER_NAME)
        return name if isinstance(name, str) else self._broker.node

    def _tell_clients(self) -> None:
        self._broker.server_properties[CLUSTER_NAME] = FieldValue("S", self.cluster_name())

    def restore(
        self, of_vhosts: Mapping[str, Mapping[tuple[str, str], object]], global_ones: Mapping[str, object]
    ) -> None:
        """These parameters instead of those there were, of which the store knows already."""
        self._of_vhosts.clear()
        for vhost, parameters in of_vhosts.items():
            self._of_vhosts[vhost] = dict(parameters)
        self._global.clear()
        self._global.update(global_ones)
        self._tell_clients()


def same(one: object, other: object) -> bool:
    """Whether two values are the same JSON; in Python 1, 1.0 and True are equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(one[at], other[at]) for at in range(len(one)))
    return type(one) is type(other) and one == other


def new_cluster_id(octets: bytes) -> str:
    """The id of a new broker, from ID_SIZE random octets."""
    return "rabbitmq-cluster-id-" + base64.urlsafe_b64encode(octets).decode().rstrip("=")
