"""Changes of the durable definitions, as the statements that `store.definitions` commits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from leveret.amqp.field_table import Table, encode_table
from leveret.broker.permissions import Permission, TopicPermission
from leveret.broker.users import User

_SET_VHOST: Final = "INSERT OR REPLACE INTO vhosts VALUES (?, ?, ?, ?, ?)"
_DELETE_VHOST: Final = (
    "DELETE FROM policies WHERE vhost = ?",
    "DELETE FROM vhost_limits WHERE vhost = ?",
    "DELETE FROM parameters WHERE vhost = ?",
    "DELETE FROM topic_permissions WHERE vhost = ?",
    "DELETE FROM permissions WHERE vhost = ?",
    "DELETE FROM bindings WHERE vhost = ?",
    "DELETE FROM queues WHERE vhost = ?",
    "DELETE FROM exchanges WHERE vhost = ?",
    "DELETE FROM vhosts WHERE name = ?",
)
_ADD_EXCHANGE: Final = "INSERT OR REPLACE INTO exchanges VALUES (?, ?, ?, ?, ?, ?)"
_DELETE_EXCHANGE: Final = (
    "DELETE FROM bindings WHERE vhost = ? AND source = ?",
    "DELETE FROM bindings WHERE vhost = ? AND destination_kind = 'exchange' AND destination = ?",
    "DELETE FROM exchanges WHERE vhost = ? AND name = ?",
)
_ADD_QUEUE: Final = "INSERT INTO queues VALUES (?, ?, ?, ?, ?, ?, 0)"
_PAUSE_QUEUE: Final = "UPDATE queues SET paused = ? WHERE id = ?"
_DELETE_BINDINGS_TO_QUEUE: Final = (
    "DELETE FROM bindings WHERE vhost = (SELECT vhost FROM queues WHERE id = ?) AND destination_kind = 'queue'"
    " AND destination = (SELECT name FROM queues WHERE id = ?)"
)
_DELETE_QUEUE: Final = "DELETE FROM queues WHERE id = ?"
_ADD_BINDING: Final = "INSERT OR REPLACE INTO bindings VALUES (?, ?, ?, ?, ?, ?)"
_DELETE_BINDING: Final = (
    "DELETE FROM bindings WHERE vhost = ? AND destination_kind = ? AND destination = ? AND source = ?"
    " AND routing_key = ? AND arguments = ?"
)
_SET_POLICY: Final = "INSERT OR REPLACE INTO policies VALUES (?, ?, ?, ?, ?, ?, ?)"
_CLEAR_POLICY: Final = "DELETE FROM policies WHERE vhost = ? AND operator = ? AND name = ?"
_CLEAR_VHOST_LIMITS: Final = "DELETE FROM vhost_limits WHERE vhost = ?"
_SET_VHOST_LIMIT: Final = "INSERT INTO vhost_limits VALUES (?, ?, ?)"
_CLEAR_USER_LIMITS: Final = "DELETE FROM user_limits WHERE user = ?"
_SET_USER_LIMIT: Final = "INSERT INTO user_limits VALUES (?, ?, ?)"
_SET_USER: Final = "INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?)"
_DELETE_USER: Final = (
    "DELETE FROM user_limits WHERE user = ?",
    "DELETE FROM topic_permissions WHERE user = ?",
    "DELETE FROM permissions WHERE user = ?",
    "DELETE FROM users WHERE name = ?",
)
_SET_PERMISSION: Final = "INSERT OR REPLACE INTO permissions VALUES (?, ?, ?, ?, ?)"
_CLEAR_PERMISSION: Final = "DELETE FROM permissions WHERE user = ? AND vhost = ?"
_SET_TOPIC_PERMISSION: Final = "INSERT OR REPLACE INTO topic_permissions VALUES (?, ?, ?, ?, ?)"
_CLEAR_TOPIC_PERMISSION: Final = "DELETE FROM topic_permissions WHERE user = ? AND vhost = ? AND exchange = ?"
_SET_PARAMETER: Final = "INSERT OR REPLACE INTO parameters VALUES (?, ?, ?, ?)"
_CLEAR_PARAMETER: Final = "DELETE FROM parameters WHERE vhost = ? AND component = ? AND name = ?"
_SET_GLOBAL_PARAMETER: Final = "INSERT OR REPLACE INTO global_parameters VALUES (?, ?)"
_CLEAR_GLOBAL_PARAMETER: Final = "DELETE FROM global_parameters WHERE name = ?"

Parameters: TypeAlias = tuple[object, ...]


class Changes:
    """Changes in the order they were made, to be committed together.

    Setting or adding what is there replaces it: a start may have left out an exchange or a binding that it could make
    no sense of, and it is still in the file. Only adding a queue with an id that is taken makes the commit fail.
    Deleting what is not there changes nothing.
    """

    def __init__(self) -> None:
        self.statements: Final[list[tuple[str, Parameters]]] = []

    def __len__(self) -> int:
        return len(self.statements)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self.statements

    def set_vhost(
        self,
        name: str,
        description: str = "",
        tags: Sequence[str] = (),
        default_queue_type: str = "",
        protected: bool = False,
    ) -> None:
        """A virtual host is made, or described otherwise."""
        row = (_octets(name), _octets(description), json.dumps(list(tags)), default_queue_type, protected)
        self.statements.append((_SET_VHOST, row))

    def delete_vhost(self, name: str) -> None:
        """A virtual host is deleted with everything in it."""
        for statement in _DELETE_VHOST:
            self.statements.append((statement, (_octets(name),)))

    def add_exchange(
        self, vhost: str, name: str, type_name: str, auto_delete: bool, internal: bool, arguments: Table
    ) -> None:
        """A durable exchange is declared."""
        row = (_octets(vhost), _octets(name), type_name, auto_delete, internal, encode_table(arguments))
        self.statements.append((_ADD_EXCHANGE, row))

    def delete_exchange(self, vhost: str, name: str) -> None:
        """An exchange is deleted with the bindings from it and to it."""
        key = (_octets(vhost), _octets(name))
        for statement in _DELETE_EXCHANGE:
            self.statements.append((statement, key))

    def add_queue(self, id: int, vhost: str, name: str, auto_delete: bool, arguments: Table, user: str = "") -> None:
        """A durable queue is declared by a user. Its id is one that `queue_ids` gave it."""
        row = (id, _octets(vhost), _octets(name), auto_delete, encode_table(arguments), _octets(user))
        self.statements.append((_ADD_QUEUE, row))

    def pause_queue(self, id: int, paused: bool) -> None:
        """A queue is paused, or resumed."""
        self.statements.append((_PAUSE_QUEUE, (paused, id)))

    def delete_queue(self, id: int) -> None:
        """A queue is deleted with the bindings to it."""
        self.statements.append((_DELETE_BINDINGS_TO_QUEUE, (id, id)))
        self.statements.append((_DELETE_QUEUE, (id,)))

    def add_binding(
        self, vhost: str, source: str, destination_kind: str, destination: str, routing_key: str, arguments: Table
    ) -> None:
        """A binding is made between durable ends, where there was none equal to it."""
        row = _binding_row(vhost, source, destination_kind, destination, routing_key, arguments)
        self.statements.append((_ADD_BINDING, row))

    def delete_binding(
        self, vhost: str, source: str, destination_kind: str, destination: str, routing_key: str, arguments: Table
    ) -> None:
        """A binding is removed."""
        row = _binding_row(vhost, source, destination_kind, destination, routing_key, arguments)
        self.statements.append((_DELETE_BINDING, row))

    def set_policy(
        self,
        vhost: str,
        operator: bool,
        name: str,
        pattern: str,
        apply_to: str,
        definition: Mapping[str, object],
        priority: int,
    ) -> None:
        """A policy, or an operator policy, is set. The priority has to fit into 64 bits."""
        encoded = json.dumps(definition, separators=(",", ":"))
        row = (_octets(vhost), operator, _octets(name), _octets(pattern), apply_to, encoded, priority)
        self.statements.append((_SET_POLICY, row))

    def clear_policy(self, vhost: str, operator: bool, name: str) -> None:
        """A policy, or an operator policy, is removed."""
        self.statements.append((_CLEAR_POLICY, (_octets(vhost), operator, _octets(name))))

    def set_vhost_limits(self, vhost: str, limits: Mapping[str, int]) -> None:
        """These are the limits of a virtual host now. They have to fit into 64 bits."""
        self.statements.append((_CLEAR_VHOST_LIMITS, (_octets(vhost),)))
        self.statements.extend([(_SET_VHOST_LIMIT, (_octets(vhost), *limit)) for limit in limits.items()])

    def set_user_limits(self, user: str, limits: Mapping[str, int]) -> None:
        """These are the limits of a user now. They have to fit into 64 bits."""
        self.statements.append((_CLEAR_USER_LIMITS, (_octets(user),)))
        self.statements.extend([(_SET_USER_LIMIT, (_octets(user), *limit)) for limit in limits.items()])

    def set_user(self, user: User) -> None:
        """A user is made, or has another password or other tags."""
        row = (_octets(user.name), user.password_hash, user.hashing_algorithm, json.dumps(user.tags))
        self.statements.append((_SET_USER, row))

    def delete_user(self, name: str) -> None:
        """A user is deleted with permissions and limits."""
        for statement in _DELETE_USER:
            self.statements.append((statement, (_octets(name),)))

    def set_permission(self, permission: Permission) -> None:
        """A permission is set."""
        texts = (permission.user, permission.vhost, permission.configure, permission.write, permission.read)
        self.statements.append((_SET_PERMISSION, tuple([_octets(text) for text in texts])))

    def clear_permission(self, user: str, vhost: str) -> None:
        """A permission is removed."""
        self.statements.append((_CLEAR_PERMISSION, (_octets(user), _octets(vhost))))

    def set_topic_permission(self, topic: TopicPermission) -> None:
        """A topic permission is set."""
        texts = (topic.user, topic.vhost, topic.exchange, topic.write, topic.read)
        self.statements.append((_SET_TOPIC_PERMISSION, tuple([_octets(text) for text in texts])))

    def clear_topic_permission(self, user: str, vhost: str, exchange: str) -> None:
        """A topic permission is removed."""
        key = (_octets(user), _octets(vhost), _octets(exchange))
        self.statements.append((_CLEAR_TOPIC_PERMISSION, key))

    def set_parameter(self, vhost: str, component: str, name: str, value: object) -> None:
        """A parameter of a virtual host is set. The value is JSON."""
        row = (_octets(vhost), _octets(component), _octets(name), json.dumps(value, separators=(",", ":")))
        self.statements.append((_SET_PARAMETER, row))

    def clear_parameter(self, vhost: str, component: str, name: str) -> None:
        """A parameter of a virtual host is removed."""
        self.statements.append((_CLEAR_PARAMETER, (_octets(vhost), _octets(component), _octets(name))))

    def set_global_parameter(self, name: str, value: object) -> None:
        """A global parameter is set. The value is JSON."""
        self.statements.append((_SET_GLOBAL_PARAMETER, (_octets(name), json.dumps(value, separators=(",", ":")))))

    def clear_global_parameter(self, name: str) -> None:
        """A global parameter is removed."""
        self.statements.append((_CLEAR_GLOBAL_PARAMETER, (_octets(name),)))


def _binding_row(
    vhost: str, source: str, destination_kind: str, destination: str, routing_key: str, arguments: Table
) -> Parameters:
    return (
        _octets(vhost),
        destination_kind,
        _octets(destination),
        _octets(source),
        _octets(routing_key),
        encode_table(arguments),
    )


def _octets(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
