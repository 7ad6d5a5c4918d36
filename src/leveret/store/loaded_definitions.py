"""What the durable definitions were when the broker started."""

from __future__ import annotations

from typing import Final

from leveret.amqp.field_table import Table
from leveret.broker.permissions import Permission, TopicPermission
from leveret.broker.users import User


class VirtualHostDefinition:
    """A virtual host. An empty default queue type is none."""

    def __init__(self, name: str, description: str, tags: list[str], default_queue_type: str, protected: bool) -> None:
        self.name: Final = name
        self.description: Final = description
        self.tags: Final = tags
        self.default_queue_type: Final = default_queue_type
        self.protected: Final = protected


class ExchangeDefinition:
    """A durable exchange."""

    def __init__(
        self, vhost: str, name: str, type_name: str, auto_delete: bool, internal: bool, arguments: Table
    ) -> None:
        self.vhost: Final = vhost
        self.name: Final = name
        self.type_name: Final = type_name
        self.auto_delete: Final = auto_delete
        self.internal: Final = internal
        self.arguments: Final = arguments


class QueueDefinition:
    """A durable queue. Its id is above 0. `user` declared it, and is empty if an earlier version made it."""

    def __init__(
        self, id: int, vhost: str, name: str, auto_delete: bool, arguments: Table, user: str, paused: bool
    ) -> None:
        self.id: Final = id
        self.vhost: Final = vhost
        self.name: Final = name
        self.auto_delete: Final = auto_delete
        self.arguments: Final = arguments
        self.user: Final = user
        self.paused: Final = paused


class BindingDefinition:
    """A binding between durable ends. `destination_kind` is "queue" or "exchange"."""

    def __init__(
        self,
        vhost: str,
        source: str,
        destination_kind: str,
        destination: str,
        routing_key: str,
        arguments: Table,
    ) -> None:
        self.vhost: Final = vhost
        self.source: Final = source
        self.destination_kind: Final = destination_kind
        self.destination: Final = destination
        self.routing_key: Final = routing_key
        self.arguments: Final = arguments


class PolicyDefinition:
    """A policy, or an operator policy."""

    def __init__(
        self,
        vhost: str,
        operator: bool,
        name: str,
        pattern: str,
        apply_to: str,
        definition: dict[str, object],
        priority: int,
    ) -> None:
        self.vhost: Final = vhost
        self.operator: Final = operator
        self.name: Final = name
        self.pattern: Final = pattern
        self.apply_to: Final = apply_to
        self.definition: Final = definition
        self.priority: Final = priority


class LoadedDefinitions:
    """All that was committed. No queue ever had `next_queue_id` or one above it."""

    def __init__(
        self,
        vhosts: list[VirtualHostDefinition],
        exchanges: list[ExchangeDefinition],
        queues: list[QueueDefinition],
        bindings: list[BindingDefinition],
        policies: list[PolicyDefinition],
        vhost_limits: dict[str, dict[str, int]],
        user_limits: dict[str, dict[str, int]],
        users: list[User],
        permissions: list[Permission],
        topic_permissions: list[TopicPermission],
        parameters: dict[str, dict[tuple[str, str], object]],
        global_parameters: dict[str, object],
        next_queue_id: int,
    ) -> None:
        self.vhosts: Final = vhosts
        self.exchanges: Final = exchanges
        self.queues: Final = queues
        self.bindings: Final = bindings
        self.policies: Final = policies
        self.vhost_limits: Final = vhost_limits
        self.user_limits: Final = user_limits
        self.users: Final = users
        self.permissions: Final = permissions
        self.topic_permissions: Final = topic_permissions
        self.parameters: Final = parameters  # by virtual host, then by component and name
        self.global_parameters: Final = global_parameters
        self.next_queue_id: Final = next_queue_id
