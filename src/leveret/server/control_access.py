"""The requests of the control socket for users, virtual hosts and permissions, with rabbitmqctl's errors.

A request with a password comes over a socket that only the broker's own user can open, and is never logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from leveret.broker.broker import Broker, NoSuchVirtualHost, ProtectedVirtualHost, TooManyVirtualHosts
from leveret.broker.login import PasswordCheck
from leveret.broker.passwords import SHA256, InvalidHash
from leveret.broker.pattern import InvalidPattern
from leveret.broker.users import NoSuchUser, User, UserExists
from leveret.broker.vhost import InvalidQueueType
from leveret.server.control_request import (
    REFUSED,
    USAGE,
    BadRequest,
    Change,
    ChangeRefused,
    Request,
    no_such_user,
    no_such_vhost,
    text_of,
)

# How leveretctl shows an error: with which exit status, and what before it.
NO_USER: Final = "user"
EXISTS: Final = "exists"
DATA: Final = "data"


class AccessChanges:
    """Makes such changes in a broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker: Final = broker
        self.commands: Final[dict[str, Change]] = {
            "add_user": self._add_user,
            "delete_user": self._delete_user,
            "change_password": self._change_password,
            "clear_password": self._clear_password,
            "set_user_tags": self._set_user_tags,
            "add_vhost": self._add_vhost,
            "delete_vhost": self._delete_vhost,
            "update_vhost_metadata": self._update_vhost_metadata,
            "set_vhost_tags": self._set_vhost_tags,
            "enable_vhost_deletion_protection": self._protect_vhost,
            "disable_vhost_deletion_protection": self._protect_vhost,
            "set_permissions": self._set_permissions,
            "set_permissions_globally": self._set_permissions,
            "clear_permissions": self._clear_permissions,
            "set_topic_permissions": self._set_topic_permissions,
            "clear_topic_permissions": self._clear_topic_permissions,
        }

    # users

    def _add_user(self, request: Request) -> None:
        name, password = text_of(request, "user"), text_of(request, "password")
        users = self._broker.users
        try:
            if request.get("hashed") is not True:
                users.add(name, password_of(password))
            elif users.find(name) is not None:
                raise UserExists(name)
            else:
                users.put(name, password, SHA256, ())
        except UserExists:
            raise ChangeRefused(f'User "{name}" already exists', EXISTS) from None
        except InvalidHash as invalid:
            raise ChangeRefused(str(invalid), DATA) from None

    def _delete_user(self, request: Request) -> None:
        self._broker.users.delete(self._user(request).name)

    def _change_password(self, request: Request) -> None:
        password = text_of(request, "password")
        self._broker.users.set_password(self._user(request).name, password_of(password))

    def _clear_password(self, request: Request) -> None:
        name = text_of(request, "user")
        try:
            self._broker.users.clear_password(name)
        except NoSuchUser:
            raise ChangeRefused(no_such_user(name)) from None

    def _set_user_tags(self, request: Request) -> None:
        tags = texts_of(request, "tags")
        self._broker.users.set_tags(self._user(request).name, tags or ())

    def _user(self, request: Request) -> User:
        name = text_of(request, "user")
        user = self._broker.users.find(name)
        if user is None:
            raise ChangeRefused(f'User "{name}" does not exist', NO_USER)
        return user

    # virtual hosts

    def _add_vhost(self, request: Request) -> None:
        name, queue_type = text_of(request, "vhost"), optional_text_of(request, "default_queue_type")
        description, tags = optional_text_of(request, "description"), texts_of(request, "tags")
        try:
            self._broker.add_vhost(name, description or "", tags or (), queue_type or "")
        except InvalidQueueType:
            raise ChangeRefused("Unsupported default queue type", USAGE) from None
        except TooManyVirtualHosts as too_many:
            raise ChangeRefused(str(too_many), USAGE) from None

    def _delete_vhost(self, request: Request) -> None:
        name = text_of(request, "vhost")
        try:
            self._broker.delete_vhost(name)
        except NoSuchVirtualHost:
            raise no_such_vhost(name) from None
        except ProtectedVirtualHost:
            raise ChangeRefused(
                f"Cannot delete virtual host '{name}': it is protected from deletion. "
                f"To lift this protection, use 'disable_vhost_deletion_protection'"
            ) from None

    def _update_vhost_metadata(self, request: Request) -> None:
        name, queue_type = text_of(request, "vhost"), optional_text_of(request, "default_queue_type")
        description, tags = optional_text_of(request, "description"), texts_of(request, "tags")
        try:
            self._broker.describe_vhost(name, description, tags, queue_type)
        except NoSuchVirtualHost:
            raise no_such_vhost(name) from None
        except InvalidQueueType:
            raise ChangeRefused("Unsupported default queue type", USAGE) from None

    def _set_vhost_tags(self, request: Request) -> None:
        name, tags = text_of(request, "vhost"), texts_of(request, "tags")
        try:
            self._broker.describe_vhost(name, tags=tags or ())
        except NoSuchVirtualHost:
            raise ChangeRefused(f'Virtual host "{name}" does not exist', DATA) from None

    def _protect_vhost(self, request: Request) -> None:
        name = text_of(request, "vhost")
        try:
            self._broker.describe_vhost(name, protected=request.get("command") == "enable_vhost_deletion_protection")
        except NoSuchVirtualHost:
            raise no_such_vhost(name) from None

    # permissions

    def _set_permissions(self, request: Request) -> None:
        """For one virtual host, or for all that there are now."""
        name = text_of(request, "user")
        vhosts = [text_of(request, "vhost")]
        if request.get("command") == "set_permissions_globally":
            vhosts = list(self._broker.vhosts)
        patterns = [text_of(request, key) for key in ("configure", "write", "read")]
        for vhost in vhosts:
            try:
                self._broker.permissions.set(name, vhost, *patterns)
            except InvalidPattern as invalid:
                raise invalid_pattern(invalid, "'") from None
            except (NoSuchUser, NoSuchVirtualHost) as missing:
                raise permission_refused(missing, name, vhost) from None

    def _clear_permissions(self, request: Request) -> None:
        name, vhost = text_of(request, "user"), text_of(request, "vhost")
        try:
            self._broker.permissions.clear(name, vhost)
        except (NoSuchUser, NoSuchVirtualHost) as missing:
            raise permission_refused(missing, name, vhost) from None

    def _set_topic_permissions(self, request: Request) -> None:
        name, vhost, exchange = text_of(request, "user"), text_of(request, "vhost"), text_of(request, "exchange")
        write, read = text_of(request, "write"), text_of(request, "read")
        try:
            self._broker.permissions.set_topic(name, vhost, exchange, write, read)
        except InvalidPattern as invalid:
            raise invalid_pattern(invalid, '"') from None
        except (NoSuchUser, NoSuchVirtualHost) as missing:
            raise permission_refused(missing, name, vhost) from None

    def _clear_topic_permissions(self, request: Request) -> None:
        name, vhost = text_of(request, "user"), text_of(request, "vhost")
        try:
            self._broker.permissions.clear_topic(name, vhost, optional_text_of(request, "exchange"))
        except (NoSuchUser, NoSuchVirtualHost) as missing:
            raise permission_refused(missing, name, vhost) from None


async def authenticate(
    broker: Broker, begin_tick: Callable[[], None], request: Request, _octets: bytes
) -> dict[str, object]:
    """Check a password, as a login does; ChangeRefused if it isn't that user's, BadRequest."""
    name, password = text_of(request, "user"), text_of(request, "password")
    checked = asyncio.Event()
    reasons: list[str] = []

    def done(user: User | None, reason: str) -> None:
        if user is None:
            reasons.append(reason)
        checked.set()

    begin_tick()
    PasswordCheck(broker, name, password_of(password), "leveretctl", True, done).begin()
    await checked.wait()
    if reasons:
        raise ChangeRefused(f'Error: failed to authenticate user "{name}"\n{reasons[0]}', DATA)
    return {}


def password_of(text: str) -> bytes:
    """The octets of a password."""
    return text.encode("utf-8", "surrogateescape")


def optional_text_of(request: Request, key: str) -> str | None:
    """A text of the request, None if it isn't given, or BadRequest."""
    return None if request.get(key) is None else text_of(request, key)


def texts_of(request: Request, key: str) -> Sequence[str] | None:
    """A list of texts, None if it isn't given, or BadRequest."""
    value = request.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
        raise BadRequest(f"{key} is a list of strings")
    return value


def invalid_pattern(invalid: InvalidPattern, quote: str) -> ChangeRefused:
    """The error for what is no regular expression, as rabbitmqctl prints it."""
    text = f"{{:invalid_regexp, {quote}{invalid.pattern}{quote}, {{'{invalid.text}', {invalid.offset}}}}}"
    return ChangeRefused(text, REFUSED)


def permission_refused(missing: Exception, user: str, vhost: str) -> ChangeRefused:
    """The error for a user or a virtual host that is not there."""
    if isinstance(missing, NoSuchUser):
        return ChangeRefused(f"User {user} does not exist", NO_USER)
    return ChangeRefused(f"Virtual host {vhost} does not exist", REFUSED)
