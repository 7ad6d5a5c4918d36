"""What a new broker begins with, and each new virtual host: RabbitMQ's default_user, default_vhost, default_users,
default_limits and default_policies.

A broker that has begun never makes its first user again, so whoever is deleted stays deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from leveret.broker.passwords import NO_PASSWORD, SALT, SHA256, hashed
from leveret.broker.pattern import Pattern
from leveret.broker.permissions import EVERYTHING, Permission
from leveret.broker.policy import Policy
from leveret.broker.users import ADMINISTRATOR, User


class DefaultUser:
    """A user that every virtual host whose name matches the pattern begins with. Without a password nobody logs in."""

    def __init__(
        self,
        name: str,
        password: str = "",
        tags: Sequence[str] = (),
        vhost_pattern: str = EVERYTHING,
        configure: str = EVERYTHING,
        write: str = EVERYTHING,
        read: str = EVERYTHING,
    ) -> None:
        self.name: Final = name
        self.password: Final = password
        self.tags: Final = list(tags)
        self.vhost_pattern: Final = vhost_pattern
        self.configure: Final = configure
        self.write: Final = write
        self.read: Final = read

    def user(self, random_octets: Callable[[int], bytes]) -> User:
        """The user, with a hash of the password."""
        password_hash = hashed(self.password.encode(), random_octets(SALT)) if self.password else NO_PASSWORD
        return User(self.name, password_hash, SHA256, self.tags)

    def permission(self, vhost: str) -> Permission:
        """What the user may do in a virtual host."""
        return Permission(self.name, vhost, self.configure, self.write, self.read)


class DefaultLimits:
    """The limits that every virtual host whose name matches the pattern begins with."""

    def __init__(self, vhost_pattern: str, limits: dict[str, int]) -> None:
        self.vhost_pattern: Final = vhost_pattern
        self.limits: Final = limits


class DefaultPolicy:
    """An operator policy that every virtual host whose name matches the pattern begins with."""

    def __init__(self, vhost_pattern: str, policy: Policy) -> None:
        self.vhost_pattern: Final = vhost_pattern
        self.policy: Final = policy


class Defaults:
    """The first virtual host and user, what every virtual host begins with, and the type of queues that say none.

    An empty queue type is classic. The first virtual host and user are not made where a broker gets its users from
    definitions, as in RabbitMQ: nobody expects guest there.
    """

    def __init__(
        self,
        vhost: str = "/",
        user: DefaultUser | None = None,
        users: Sequence[DefaultUser] = (),
        queue_type: str = "",
        made: bool = True,
        limits: Sequence[DefaultLimits] = (),
        operator_policies: Sequence[DefaultPolicy] = (),
    ) -> None:
        self.vhost: Final = vhost
        self.user: Final = DefaultUser("guest", "guest", [ADMINISTRATOR]) if user is None else user
        self.users: Final = list(users)
        self.queue_type: Final = queue_type
        self.made: Final = made
        self.limits: Final = list(limits)
        self.operator_policies: Final = list(operator_policies)

    def users_of(self, vhost: str) -> list[DefaultUser]:
        """The users that a new virtual host of that name begins with."""
        return [user for user in self.users if Pattern(user.vhost_pattern).matches(vhost)]

    def limits_of(self, vhost: str) -> dict[str, int]:
        """The limits that a new virtual host of that name begins with: the first that are for it."""
        for each in self.limits:
            if Pattern(each.vhost_pattern).matches(vhost):
                return dict(each.limits)
        return {}

    def operator_policies_of(self, vhost: str) -> list[Policy]:
        """The operator policies that a new virtual host of that name begins with."""
        return [each.policy for each in self.operator_policies if Pattern(each.vhost_pattern).matches(vhost)]

    def first_users(self, random_octets: Callable[[int], bytes]) -> tuple[list[User], list[Permission]]:
        """The users of a new broker, and what they may do in its first virtual host."""
        others = [user for user in self.users_of(self.vhost) if user.name != self.user.name]
        every = [self.user, *others]
        return [user.user(random_octets) for user in every], [user.permission(self.vhost) for user in every]
