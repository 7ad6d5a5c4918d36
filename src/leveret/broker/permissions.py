"""What users may do: patterns for the names that they may configure, write to and read from, by virtual host.

Whoever has such permissions for a virtual host may open it, and nobody else. Topic permissions narrow down which
routing keys may be published to a topic exchange, or bound to it; where there are none, every key may.

A permission never changes, so it can remember what it was asked: an operation on a name costs one look-up the second
time. Publishing costs nothing at all, since the routes that connections cache were permitted when they were made.
Setting or clearing a permission makes another and raises the virtual host's epoch, which drops those routes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from leveret.amqp.reply_codes import ACCESS_REFUSED, SoftError
from leveret.broker.pattern import InvalidPattern, Pattern

if TYPE_CHECKING:
    from leveret.broker.broker import Broker
    from leveret.broker.connection import Connection
    from leveret.broker.exchange.base import Exchange

CONFIGURE: Final = 0
WRITE: Final = 1
READ: Final = 2
OPERATIONS: Final = ("configure", "write", "read")
QUEUE: Final = "queue"
EXCHANGE: Final = "exchange"
EVERYTHING: Final = ".*"
REMEMBERED: Final = 1000  # names for each pattern
DEFAULT_EXCHANGE: Final = "amq.default"  # what patterns and errors call it


class NamePattern:
    """The names that a pattern permits. An empty pattern permits the empty name alone (RabbitMQ's rule)."""

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self._pattern: Pattern | None = None
        self._known: Final[dict[str, bool]] = {}

    def check(self) -> None:
        """Raises InvalidPattern."""
        if self.text and self.text != EVERYTHING:
            self._pattern = Pattern(self.text)

    def permits(self, name: str) -> bool:
        """Whether a name is permitted."""
        if self.text == EVERYTHING:
            return True
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[name] = self._found(name)
        return known

    def _found(self, name: str) -> bool:
        if self.text == "":
            return name == ""
        if self._pattern is None:
            try:
                self._pattern = Pattern(self.text)
            except InvalidPattern:  # the library took it once; nobody may do more than was meant
                return False
        return self._pattern.matches(name)


class Permission:
    """What a user may do in a virtual host."""

    def __init__(self, user: str, vhost: str, configure: str, write: str, read: str) -> None:
        self.user: Final = user
        self.vhost: Final = vhost
        self.configure: Final = configure
        self.write: Final = write
        self.read: Final = read
        self.patterns: Final = (NamePattern(configure), NamePattern(write), NamePattern(read))  # by operation


class TopicPermission:
    """Which routing keys a user may publish to a topic exchange, and bind to it.

    `{username}` and `{vhost}` in the patterns stand for these names, whatever characters they have.
    """

    def __init__(self, user: str, vhost: str, exchange: str, write: str, read: str) -> None:
        self.user: Final = user
        self.vhost: Final = vhost
        self.exchange: Final = exchange
        self.write: Final = write
        self.read: Final = read
        names = {"{username}": re.escape(user), "{vhost}": re.escape(vhost)}
        self.writable: Final = NamePattern(filled_in(write, names))
        self.readable: Final = NamePattern(filled_in(read, names))


def filled_in(pattern: str, names: dict[str, str]) -> str:
    """A pattern with names in the place of its variables."""
    for variable, name in names.items():
        pattern = pattern.replace(variable, name)
    return pattern


class Permissions:
    """All permissions of one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker: Final = broker
        self._permissions: Final[dict[tuple[str, str], Permission]] = {}  # by user and virtual host
        self._topics: Final[dict[tuple[str, str], dict[str, TopicPermission]]] = {}  # by those, and by exchange

    def find(self, user: str, vhost: str) -> Permission | None:
        """What a user may do in a virtual host; None if they may not even open it."""
        return self._permissions.get((user, vhost))

    def all(self) -> list[Permission]:
        """Every permission."""
        return list(self._permissions.values())

    def find_topic(self, user: str, vhost: str, exchange: str) -> TopicPermission | None:
        """What a user may do with the topics of an exchange; None if that is not narrowed down."""
        topics = self._topics.get((user, vhost))
        return None if topics is None else topics.get(exchange)

    def all_topics(self) -> list[TopicPermission]:
        """Every topic permission."""
        return [topic for topics in self._topics.values() for topic in topics.values()]

    # changes

    def set(self, user: str, vhost: str, configure: str, write: str, read: str) -> None:
        """Set a permission. Raises InvalidPattern, NoSuchUser, NoSuchVirtualHost, in this order."""
        permission = Permission(user, vhost, configure, write, read)
        for pattern in permission.patterns:
            pattern.check()
        self._check(user, vhost)
        self._permissions[user, vhost] = permission
        self._broker.store.permission_set(permission)
        self._broker.events.permission_created(permission)
        self._changed(vhost)

    def clear(self, user: str, vhost: str) -> None:
        """Clear a permission, if there is one. Raises NoSuchUser, NoSuchVirtualHost."""
        self._check(user, vhost)
        if self._permissions.pop((user, vhost), None) is not None:
            self._broker.store.permission_cleared(user, vhost)
            self._changed(vhost)
        self._broker.events.permission_deleted(user, vhost)

    def set_topic(self, user: str, vhost: str, exchange: str, write: str, read: str) -> None:
        """Set a topic permission; the exchange may be one to come. Raises as `set` does."""
        NamePattern(write).check()
        NamePattern(read).check()
        topic = TopicPermission(user, vhost, exchange, write, read)
        self._check(user, vhost)
        self._topics.setdefault((user, vhost), {})[exchange] = topic
        self._broker.store.topic_permission_set(topic)
        self._broker.events.topic_permission_created(topic)
        self._changed(vhost)

    def clear_topic(self, user: str, vhost: str, exchange: str | None = None) -> None:
        """Clear the topic permission for an exchange, or for all of them. Raises as `clear` does."""
        self._check(user, vhost)
        topics = self._topics.get((user, vhost), {})
        for name in list(topics) if exchange is None else [exchange]:
            if topics.pop(name, None) is not None:
                self._broker.store.topic_permission_cleared(user, vhost, name)
        self._changed(vhost)
        self._broker.events.topic_permission_deleted(user, vhost)

    def forget_user(self, name: str) -> None:
        """A user is deleted."""
        for key in [key for key in self._permissions if key[0] == name]:
            del self._permissions[key]
            self._changed(key[1])
        for key in [key for key in self._topics if key[0] == name]:
            del self._topics[key]

    def forget_vhost(self, name: str) -> None:
        """A virtual host is deleted."""
        for key in [key for key in self._permissions if key[1] == name]:
            del self._permissions[key]
            self._broker.events.permission_deleted(key[0], name)
        for key in [key for key in self._topics if key[1] == name]:
            del self._topics[key]

    def restore(self, permissions: Sequence[Permission], topics: Sequence[TopicPermission]) -> None:
        """These permissions instead of those there were, of which the store knows already."""
        self._permissions.clear()
        self._topics.clear()
        for permission in permissions:
            self._permissions[permission.user, permission.vhost] = permission
        for topic in topics:
            self._topics.setdefault((topic.user, topic.vhost), {})[topic.exchange] = topic

    def _check(self, user: str, vhost: str) -> None:
        self._broker.users.user(user)
        self._broker.vhost(vhost)

    def _changed(self, vhost: str) -> None:
        self._broker.vhost(vhost).epoch += 1


# the checks


def may_access(connection: Connection, operation: int, kind: str, name: str) -> bool:
    """Whether the connection's user may do this to a queue or an exchange, which need not be there."""
    permission = connection.broker.permissions.find(connection.user, connection.vhost_opened().name)
    if permission is None:
        return False
    if name == "" and kind == EXCHANGE:
        name = DEFAULT_EXCHANGE
    return permission.patterns[operation].permits(name)


def check_access(connection: Connection, operation: int, kind: str, name: str) -> None:
    """SoftError 403 where `may_access` says no."""
    if not may_access(connection, operation, kind, name):
        shown = DEFAULT_EXCHANGE if name == "" and kind == EXCHANGE else name
        raise SoftError(
            ACCESS_REFUSED,
            f"{OPERATIONS[operation]} access to {kind} '{shown}' in vhost '{connection.vhost_opened().name}' "
            f"refused for user '{connection.user}'",
        )


def check_any_access(connection: Connection, kind: str, name: str) -> None:
    """SoftError 403 unless the user may do something with it: what a passive declare needs since RabbitMQ 4.3.1."""
    if not (may_access(connection, WRITE, kind, name) or may_access(connection, READ, kind, name)):
        check_access(connection, CONFIGURE, kind, name)


def check_topic(connection: Connection, operation: int, exchange: Exchange, routing_key: str) -> None:
    """SoftError 403 unless the user may publish (WRITE) or bind (READ) this key, if the exchange is a topic one."""
    if exchange.type_name != "topic":
        return
    vhost = connection.vhost_opened().name
    topic = connection.broker.permissions.find_topic(connection.user, vhost, exchange.name)
    if topic is None or (topic.writable if operation == WRITE else topic.readable).permits(routing_key):
        return
    raise SoftError(
        ACCESS_REFUSED,
        f"{OPERATIONS[operation]} access to topic '{routing_key}' in exchange '{exchange.name}' "
        f"in vhost '{vhost}' refused for user '{connection.user}'",
    )
