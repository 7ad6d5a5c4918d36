"""The users: who may log in, with which password, and the tags that say what else they may do.

A change is in effect when the method that makes it returns, and on the disk when the store says so
(`Store.when_committed`). A user who is deleted loses their permissions and connections at once.

A password is checked in the same time whether the name is known or not: an unknown name is compared with the hash of
some other user, always the same one, and so is a user who has no password.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from leveret.broker.limits import Usage
from leveret.broker.passwords import NO_PASSWORD, SALT, SHA256, check_hash, hashed, is_slow, matches

if TYPE_CHECKING:
    from leveret.broker.broker import Broker

ADMINISTRATOR: Final = "administrator"
MONITORING: Final = "monitoring"
POLICYMAKER: Final = "policymaker"
MANAGEMENT: Final = "management"
IMPERSONATOR: Final = "impersonator"  # may publish under any user-id
KEY_SIZE: Final = 16


class NoSuchUser(Exception):
    """There is no user of that name, which is the text."""


class UserExists(Exception):
    """There is a user of that name already, which is the text."""


class User:
    """A user. The hash is empty for one who can't log in with a password; `usage` has what is open, and the limits."""

    def __init__(self, name: str, password_hash: str, hashing_algorithm: str, tags: Sequence[str]) -> None:
        self.name: Final = name
        self.password_hash = password_hash
        self.hashing_algorithm = hashing_algorithm
        self.tags: list[str] = list(tags)
        self.usage: Final = Usage()


class Secret:
    """What a password is compared with. It may be compared by any thread."""

    def __init__(self, password_hash: str, algorithm: str, is_of_user: bool) -> None:
        self.password_hash: Final = password_hash
        self.algorithm: Final = algorithm
        self.is_of_user: Final = is_of_user  # and not of another, who stands in for one who can't log in
        self.is_slow: Final = is_slow(algorithm)

    def opened_by(self, password: bytes) -> bool:
        """Whether this is the user's password."""
        return matches(password, self.password_hash, self.algorithm) and self.is_of_user


class Users:
    """The users of one broker. `loopback_only` may not come from elsewhere."""

    def __init__(self, broker: Broker, loopback_only: frozenset[str] = frozenset({"guest"})) -> None:
        self._broker: Final = broker
        self._users: Final[dict[str, User]] = {}
        self._key: Final = broker.random_octets(KEY_SIZE)
        self._nobody: Final = hashed(broker.random_octets(KEY_SIZE), broker.random_octets(SALT))
        self._stand_ins: list[User] | None = None  # who has a password; None if that is to be found out
        self.loopback_only: Final = loopback_only

    def find(self, name: str) -> User | None:
        """The user of that name."""
        return self._users.get(name)

    def all(self) -> list[User]:
        """Every user."""
        return list(self._users.values())

    def user(self, name: str) -> User:
        """The user of that name, or NoSuchUser."""
        user = self._users.get(name)
        if user is None:
            raise NoSuchUser(name)
        return user

    def usage(self, name: str) -> Usage:
        """What a user has open and may have; one that is no user any more may have everything."""
        user = self._users.get(name)
        return Usage() if user is None else user.usage

    # passwords

    def check_password(self, name: str, password: bytes) -> User | None:
        """The user of that name, if this is the password. Bcrypt takes its time: `secret` is for who can't wait."""
        return self._users.get(name) if self.secret(name).opened_by(password) else None

    def secret(self, name: str) -> Secret:
        """What the password of that user has to be compared with, also if there is no such user."""
        digest = hashlib.sha256(self._key + name.encode("utf-8", "backslashreplace")).digest()
        others = self._with_password()
        other = others[int.from_bytes(digest[:6], "big") % len(others)] if others else None
        user = self._users.get(name)
        if user is not None and user.password_hash != NO_PASSWORD:
            return Secret(user.password_hash, user.hashing_algorithm, True)
        if other is None:
            return Secret(self._nobody, SHA256, False)
        return Secret(other.password_hash, other.hashing_algorithm, False)

    def _with_password(self) -> list[User]:
        """The users who have a password, gathered once: going over all of them takes long enough to be noticed."""
        if self._stand_ins is None:
            self._stand_ins = [user for user in self._users.values() if user.password_hash != NO_PASSWORD]
        return self._stand_ins

    # changes

    def add(self, name: str, password: bytes, tags: Sequence[str] = ()) -> User:
        """A new user, without permissions. Raises UserExists."""
        if name in self._users:
            raise UserExists(name)
        return self.put(name, self._hashed(password), SHA256, tags)

    def put(self, name: str, password_hash: str, hashing_algorithm: str, tags: Sequence[str]) -> User:
        """A user with this hash (empty for no password) and these tags, in the place of one of that name.

        The algorithm is one of `passwords`. Raises InvalidHash. Permissions, limits and connections stay.
        """
        check_hash(password_hash, hashing_algorithm)
        self._stand_ins = None
        events = self._broker.events
        user = self._users.get(name)
        if user is None:
            user = self._users[name] = User(name, password_hash, hashing_algorithm, tags)
            events.user_created(name)
            if tags:
                events.user_tags_set(user)
        else:
            user.password_hash, user.hashing_algorithm, user.tags = password_hash, hashing_algorithm, list(tags)
            events.user_password_changed(user)
            events.user_tags_set(user)
        self._broker.store.user_set(user)
        return user

    def set_password(self, name: str, password: bytes) -> None:
        """Another password; connections stay. Raises NoSuchUser."""
        user = self.user(name)
        self._stand_ins = None
        user.password_hash, user.hashing_algorithm = self._hashed(password), SHA256
        self._broker.store.user_set(user)
        self._broker.events.user_password_changed(user)

    def clear_password(self, name: str) -> None:
        """The user can't log in with a password any more. Raises NoSuchUser."""
        user = self.user(name)
        self._stand_ins = None
        user.password_hash = NO_PASSWORD
        self._broker.store.user_set(user)
        self._broker.events.user_password_changed(user)

    def set_tags(self, name: str, tags: Sequence[str]) -> None:
        """These tags instead of those there were. Raises NoSuchUser."""
        user = self.user(name)
        user.tags = list(tags)
        self._broker.store.user_set(user)
        self._broker.events.user_tags_set(user)

    def set_limits(self, name: str, limits: dict[str, int]) -> None:
        """These limits instead of those there were. Raises NoSuchUser."""
        usage = self.user(name).usage
        cleared = not limits or not usage.limits.keys() <= limits.keys()
        self._broker.events.user_limits_set(name, limits, cleared)
        usage.limits = limits
        self._broker.store.user_limits_set(name, limits)

    def delete(self, name: str) -> None:
        """Delete a user with all permissions, and close their connections. Raises NoSuchUser."""
        self.user(name)
        del self._users[name]
        self._stand_ins = None
        self._broker.permissions.forget_user(name)
        self._broker.store.user_deleted(name)
        self._broker.events.user_deleted(name)
        for connection in list(self._broker.connections):
            if connection.user == name:
                connection.force_close(f"user '{name}' is deleted")

    def restore(self, users: Sequence[User]) -> None:
        """These users instead of those there were, of which the store knows already."""
        self._users.clear()
        self._stand_ins = None
        for user in users:
            self._users[user.name] = user

    def _hashed(self, password: bytes) -> str:
        return hashed(password, self._broker.random_octets(SALT))
