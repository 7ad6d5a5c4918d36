"""What the listings of users, virtual hosts and permissions have in their rows; `listings` makes them.

They are in the order of their names: that in which they were made is forgotten by a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from leveret.broker.broker import Broker
from leveret.broker.permissions import Permission, TopicPermission
from leveret.broker.users import User
from leveret.broker.vhost import VirtualHost

Value: TypeAlias = str | bool | list[str] | list[tuple[str, str | int]]


def cluster_state(broker: Broker) -> list[tuple[str, str | int]]:
    """The state of a virtual host on each node: there is one, and there it runs."""
    return [(broker.node, "running")]


def users(broker: Broker, _vhost: str) -> Iterator[User]:
    """Every user."""
    yield from sorted(broker.users.all(), key=lambda user: user.name)


def vhosts(broker: Broker, _vhost: str) -> Iterator[VirtualHost]:
    """Every virtual host."""
    yield from sorted(broker.vhosts.values(), key=lambda vhost: vhost.name)


def permissions(broker: Broker, vhost: str) -> Iterator[Permission]:
    """The permissions for a virtual host."""
    found = [permission for permission in broker.permissions.all() if permission.vhost == vhost]
    yield from sorted(found, key=lambda permission: permission.user)


def user_permissions(broker: Broker, user: str) -> Iterator[Permission]:
    """The permissions of a user."""
    found = [permission for permission in broker.permissions.all() if permission.user == user]
    yield from sorted(found, key=lambda permission: permission.vhost)


def topic_permissions(broker: Broker, vhost: str) -> Iterator[TopicPermission]:
    """The topic permissions for a virtual host."""
    found = [topic for topic in broker.permissions.all_topics() if topic.vhost == vhost]
    yield from sorted(found, key=lambda topic: (topic.user, topic.exchange))


def user_topic_permissions(broker: Broker, user: str) -> Iterator[TopicPermission]:
    """The topic permissions of a user."""
    found = [topic for topic in broker.permissions.all_topics() if topic.user == user]
    yield from sorted(found, key=lambda topic: (topic.vhost, topic.exchange))


USERS: Final[dict[str, Callable[[User, Broker], Value]]] = {
    "user": lambda user, broker: user.name,
    "tags": lambda user, broker: user.tags,
}

VHOSTS: Final[dict[str, Callable[[VirtualHost, Broker], Value]]] = {
    "name": lambda vhost, broker: vhost.name,
    "tracing": lambda vhost, broker: vhost.firehose.on,
    "description": lambda vhost, broker: vhost.description,
    "tags": lambda vhost, broker: vhost.tags,
    "default_queue_type": lambda vhost, broker: vhost.default_queue_type or "undefined",
    "cluster_state": lambda vhost, broker: cluster_state(broker),
    "protected_from_deletion": lambda vhost, broker: vhost.protected,
}

PERMISSIONS: Final[dict[str, Callable[[Permission, Broker], Value]]] = {
    "user": lambda permission, broker: permission.user,
    "vhost": lambda permission, broker: permission.vhost,
    "configure": lambda permission, broker: permission.configure,
    "write": lambda permission, broker: permission.write,
    "read": lambda permission, broker: permission.read,
}

TOPIC_PERMISSIONS: Final[dict[str, Callable[[TopicPermission, Broker], Value]]] = {
    "user": lambda topic, broker: topic.user,
    "vhost": lambda topic, broker: topic.vhost,
    "exchange": lambda topic, broker: topic.exchange,
    "write": lambda topic, broker: topic.write,
    "read": lambda topic, broker: topic.read,
}

# Of one virtual host, or of one user, each row has the other.
PERMISSIONS_FOR_VHOST: Final = {name: value for name, value in PERMISSIONS.items() if name != "vhost"}
PERMISSIONS_OF_USER: Final = {name: value for name, value in PERMISSIONS.items() if name != "user"}
TOPICS_FOR_VHOST: Final = {name: value for name, value in TOPIC_PERMISSIONS.items() if name != "vhost"}
TOPICS_OF_USER: Final = {name: value for name, value in TOPIC_PERMISSIONS.items() if name != "user"}
