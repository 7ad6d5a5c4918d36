"""Users, virtual hosts and permissions of a definitions file."""

from __future__ import annotations

from typing import Final

from leveret.broker.broker import Broker, NoSuchVirtualHost, TooManyVirtualHosts
from leveret.broker.limits import NO_LIMIT, OF_USERS, OF_VHOSTS, InvalidLimits, reached, valid_limits
from leveret.broker.passwords import (
    DIGESTS,
    NO_PASSWORD,
    SHA256,
    InvalidHash,
    algorithm_named,
    algorithm_of,
    check_hash,
)
from leveret.broker.pattern import InvalidPattern
from leveret.broker.permissions import NamePattern
from leveret.broker.queue_arguments import CLASSIC, QUORUM
from leveret.broker.users import NoSuchUser
from leveret.management.definitions.steps import Fields, Outlook, Step
from leveret.management.parameters import set_vhost_limits

UNKNOWN_TYPE: Final = "undefined"  # what RabbitMQ 3.12 writes for none


class UserStep(Step):
    """A user. The password comes as a hash of any kind that RabbitMQ or LavinMQ write, or as it is."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields)
        self.name: Final = fields.text("name")
        fields.what = f"user '{self.name}'"
        self.tags: Final = fields.strings("tags") or []
        self.password: Final = fields.text("password", "")
        self.password_hash: Final = fields.text("password_hash", NO_PASSWORD)
        self.algorithm = SHA256
        self.limits: dict[str, int] | None = None
        try:
            named = fields.text("hashing_algorithm", "")
            self.algorithm = algorithm_named(named) if named else algorithm_of(self.password_hash)
            check_hash(self.password_hash, self.algorithm)
            if "limits" in fields.values:
                self.limits = valid_limits(fields.object("limits"), OF_USERS, "user-limits")
        except (InvalidHash, InvalidLimits) as error:
            raise fields.wrong(str(error)) from None

    def check(self, outlook: Outlook) -> bool:
        outlook.users.add(self.name)
        return True

    def apply(self, broker: Broker) -> bool:
        changed = self._put(broker)
        user = broker.users.user(self.name)
        if self.limits is not None and self.limits != user.usage.limits:
            broker.users.set_limits(self.name, self.limits)
            changed = True
        return changed

    def _put(self, broker: Broker) -> bool:
        user = broker.users.find(self.name)
        if self.password and not self.password_hash:
            return self._put_with_password(broker)
        wanted = (self.password_hash, self.algorithm, self.tags)
        if user is not None and (user.password_hash, user.hashing_algorithm, user.tags) == wanted:
            return False
        broker.users.put(self.name, self.password_hash, self.algorithm, self.tags)
        return True

    def _put_with_password(self, broker: Broker) -> bool:
        """The password is hashed anew only if it is another one."""
        user = broker.users.find(self.name)
        password = self.password.encode("utf-8", "surrogateescape")
        changed = False
        if user is None:
            user = broker.users.add(self.name, password, self.tags)
            changed = True
        elif user.hashing_algorithm not in DIGESTS or broker.users.check_password(self.name, password) is None:
            broker.users.set_password(self.name, password)
            changed = True
        if user.tags != self.tags:
            broker.users.set_tags(self.name, self.tags)
            changed = True
        return changed


class VirtualHostStep(Step):
    """A virtual host with what is said of it. RabbitMQ says it in `metadata`, and some of it beside that too."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields)
        self.name: Final = fields.text("name")
        fields.what = f"virtual host '{self.name}'"
        said = Fields(f"metadata of {fields.what}", fields.object("metadata"))
        self.description: Final = self._text(fields, said, "description")
        tags = fields.strings("tags")
        self.tags: Final = said.strings("tags") if tags is None else tags
        queue_type = self._text(said, fields, "default_queue_type")
        self.default_queue_type = "" if queue_type == UNKNOWN_TYPE else queue_type
        protected = said.values.get("protected_from_deletion")
        self.protected: Final = protected if isinstance(protected, bool) else None
        limits = fields.values.get("limits")
        try:
            self.limits: Final = valid_limits(fields.object("limits"), OF_VHOSTS, "limits") if limits else None
        except InvalidLimits as error:
            raise fields.wrong(str(error)) from None

    @staticmethod
    def _text(first: Fields, second: Fields, name: str) -> str | None:
        fields = first if first.values.get(name) is not None else second
        return fields.text(name) if fields.values.get(name) is not None else None

    def check(self, outlook: Outlook) -> bool:
        if self.default_queue_type not in (None, "", CLASSIC, QUORUM):
            outlook.warnings.append(f"{self.fields.what}: there are no queues of type '{self.default_queue_type}'")
            self.default_queue_type = None
        limit = outlook.broker.limits.vhost_max
        if self.name not in outlook.vhosts and limit != NO_LIMIT and reached(len(outlook.vhosts), limit):
            raise self.fields.wrong(f"the limit of {limit} virtual hosts is reached")
        outlook.vhosts.add(self.name)
        return True

    def apply(self, broker: Broker) -> bool:
        changed = False
        vhost = broker.vhosts.get(self.name)
        if vhost is None:
            try:
                vhost = broker.add_vhost(
                    self.name, self.description or "", self.tags or [], self.default_queue_type or ""
                )
            except TooManyVirtualHosts as error:
                raise self.fields.wrong(str(error)) from None
            changed = True
        there = (vhost.description, vhost.tags, vhost.default_queue_type, vhost.protected)
        said = (self.description, self.tags, self.default_queue_type, self.protected)
        if any(new is not None and new != old for new, old in zip(said, there, strict=True)):
            broker.describe_vhost(self.name, *said)
            changed = True
        if self.limits is not None and set_vhost_limits(broker, vhost, self.limits):
            changed = True
        return changed


class PermissionStep(Step):
    """What a user may do in a virtual host."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields)
        self.user: Final = fields.text("user")
        self.vhost: Final = fields.text("vhost")
        fields.what = f"permissions of user '{self.user}' in vhost '{self.vhost}'"
        self.patterns: Final = tuple(fields.text(name) for name in ("configure", "write", "read"))
        check_patterns(fields, self.patterns)

    def check(self, outlook: Outlook) -> bool:
        outlook.check_user(self.fields, self.user)
        outlook.check_vhost(self.fields, self.vhost)
        return True

    def apply(self, broker: Broker) -> bool:
        there = broker.permissions.find(self.user, self.vhost)
        if there is not None and (there.configure, there.write, there.read) == self.patterns:
            return False
        configure, write, read = self.patterns
        try:
            broker.permissions.set(self.user, self.vhost, configure, write, read)
        except (NoSuchUser, NoSuchVirtualHost) as error:
            raise self.fields.wrong(f"'{error}' was deleted meanwhile") from None
        return True


class TopicPermissionStep(Step):
    """Which topics a user may publish to an exchange, or bind to it."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields)
        self.user: Final = fields.text("user")
        self.vhost: Final = fields.text("vhost")
        self.exchange: Final = fields.text("exchange")
        fields.what = f"topic permissions of user '{self.user}' in vhost '{self.vhost}' for '{self.exchange}'"
        self.patterns: Final = (fields.text("write"), fields.text("read"))
        check_patterns(fields, self.patterns)

    def check(self, outlook: Outlook) -> bool:
        outlook.check_user(self.fields, self.user)
        outlook.check_vhost(self.fields, self.vhost)
        return True

    def apply(self, broker: Broker) -> bool:
        there = broker.permissions.find_topic(self.user, self.vhost, self.exchange)
        if there is not None and (there.write, there.read) == self.patterns:
            return False
        write, read = self.patterns
        try:
            broker.permissions.set_topic(self.user, self.vhost, self.exchange, write, read)
        except (NoSuchUser, NoSuchVirtualHost) as error:
            raise self.fields.wrong(f"'{error}' was deleted meanwhile") from None
        return True


def check_patterns(fields: Fields, patterns: tuple[str, ...]) -> None:
    """InvalidDefinitions unless all of them are regular expressions."""
    for pattern in patterns:
        try:
            NamePattern(pattern).check()
        except InvalidPattern as error:
            raise fields.wrong(f"'{pattern}' is no regular expression: {error.text}") from None
