"""`/permissions` and `/topic-permissions`: what users may do in virtual hosts, and with which topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from leveret.broker.broker import NoSuchVirtualHost
from leveret.broker.pattern import InvalidPattern, Pattern
from leveret.broker.permissions import Permission, TopicPermission
from leveret.broker.users import NoSuchUser
from leveret.management.http.access import administrator
from leveret.management.http.bodies import text
from leveret.management.http.call import Call
from leveret.management.http.errors import Refused, bad_request, object_not_found
from leveret.management.http.lists import List, ListColumns
from leveret.management.http.resource import Resource
from leveret.management.http.users import user_exists
from leveret.management.http.vhosts import vhost_exists

COLUMNS: Final[ListColumns[Permission]] = {
    "user": lambda permission, broker: permission.user,
    "vhost": lambda permission, broker: permission.vhost,
    "configure": lambda permission, broker: permission.configure,
    "write": lambda permission, broker: permission.write,
    "read": lambda permission, broker: permission.read,
}
PERMISSIONS: Final = List(COLUMNS, ["vhost", "user"], paged=False)
TOPIC_COLUMNS: Final[ListColumns[TopicPermission]] = {
    "user": lambda topic, broker: topic.user,
    "vhost": lambda topic, broker: topic.vhost,
    "exchange": lambda topic, broker: topic.exchange,
    "write": lambda topic, broker: topic.write,
    "read": lambda topic, broker: topic.read,
}
TOPICS: Final = List(TOPIC_COLUMNS, ["vhost", "user", "exchange"], paged=False)


# permissions


async def list_permissions(call: Call) -> object:
    """Every permission."""
    return await PERMISSIONS.answer(call, call.broker.permissions.all())


async def list_of_vhost(call: Call) -> object:
    """Those for one virtual host."""
    vhost = call.vhost().name
    return await PERMISSIONS.answer(call, (each for each in call.broker.permissions.all() if each.vhost == vhost))


async def list_of_user(call: Call) -> object:
    """Those of one user."""
    user = call.argument("user")
    return await PERMISSIONS.answer(call, (each for each in call.broker.permissions.all() if each.user == user))


def find_permission(call: Call) -> Permission | None:
    """The permission that is named, if it is there."""
    return call.broker.permissions.find(call.argument("user"), call.argument("vhost"))


def permission_exists(call: Call) -> bool:
    """Whether the permission that is named is there."""
    return find_permission(call) is not None


async def get_permission(call: Call) -> object:
    """One permission."""
    permission = find_permission(call)
    if permission is None:
        raise object_not_found()
    return PERMISSIONS.row(permission, call.broker)


async def put_permission(call: Call) -> None:
    """Set a permission."""
    check_user_and_vhost(call)
    body = await call.json("configure", "write", "read")
    patterns = [text(body, name) for name in ("configure", "write", "read")]
    await change(call, call.broker.permissions.set, *patterns)


def check_user_and_vhost(call: Call) -> None:
    """Refused if the user or the virtual host is not there, which RabbitMQ looks at before the body."""
    if not (user_exists(call) and vhost_exists(call)):
        raise bad_request("vhost_or_user_not_found")


async def delete_permission(call: Call) -> None:
    """Clear a permission."""
    await change(call, call.broker.permissions.clear)


async def change(call: Call, action: Callable[..., None], *values: str) -> None:
    """Do something to the permissions of the user and the virtual host that are named."""
    call.begin_change()
    try:
        action(call.argument("user"), call.argument("vhost"), *values)
    except InvalidPattern as error:
        raise invalid_pattern(values, error) from None
    except (NoSuchUser, NoSuchVirtualHost):
        raise bad_request("vhost_or_user_not_found") from None
    await call.committed()


def invalid_pattern(values: Sequence[str], error: InvalidPattern) -> Refused:
    """The error for what is no regular expression, with the one of these that it is about."""
    pattern = next((value for value in values if not is_pattern(value)), "")
    return bad_request(["invalid_regexp", pattern, [error.text, error.offset]])


def is_pattern(value: str) -> bool:
    """Whether a text is a regular expression."""
    try:
        Pattern(value)
    except InvalidPattern:
        return False
    return True


# topic permissions


async def list_topics(call: Call) -> object:
    """Every topic permission."""
    return await TOPICS.answer(call, call.broker.permissions.all_topics())


async def list_topics_of_vhost(call: Call) -> object:
    """Those for one virtual host."""
    vhost = call.vhost().name
    return await TOPICS.answer(call, (each for each in call.broker.permissions.all_topics() if each.vhost == vhost))


async def list_topics_of_user(call: Call) -> object:
    """Those of one user."""
    user = call.argument("user")
    return await TOPICS.answer(call, (each for each in call.broker.permissions.all_topics() if each.user == user))


def topics_named(call: Call) -> Iterator[TopicPermission]:
    """Those of one user in one virtual host."""
    user, vhost = call.argument("user"), call.argument("vhost")
    return (each for each in call.broker.permissions.all_topics() if (each.user, each.vhost) == (user, vhost))


def topic_exists(call: Call) -> bool:
    """Whether the user has topic permissions in the virtual host."""
    return next(topics_named(call), None) is not None


async def get_topics(call: Call) -> object:
    """The topic permissions of one user in one virtual host."""
    return await TOPICS.answer(call, topics_named(call))


async def put_topic(call: Call) -> None:
    """Set a topic permission."""
    check_user_and_vhost(call)
    body = await call.json("exchange", "write", "read")
    values = [text(body, name) for name in ("exchange", "write", "read")]
    await change(call, call.broker.permissions.set_topic, *values)


async def delete_topics(call: Call) -> None:
    """Clear all topic permissions of one user in one virtual host."""
    await change(call, call.broker.permissions.clear_topic)


async def delete_topic(call: Call) -> None:
    """Clear the topic permission for one exchange."""
    await change(call, call.broker.permissions.clear_topic, call.argument("exchange"))


TOPIC: Final = "/topic-permissions/{vhost}/{user}"

RESOURCES: Final = (
    Resource("/permissions", administrator, get=list_permissions),
    Resource(
        "/permissions/{vhost}/{user}",
        administrator,
        permission_exists,
        get=get_permission,
        put=put_permission,
        delete=delete_permission,
    ),
    Resource("/vhosts/{vhost}/permissions", administrator, vhost_exists, get=list_of_vhost),
    Resource("/users/{user}/permissions", administrator, user_exists, get=list_of_user),
    Resource("/topic-permissions", administrator, get=list_topics),
    Resource(TOPIC, administrator, topic_exists, get=get_topics, put=put_topic, delete=delete_topics),
    Resource(f"{TOPIC}/{{exchange}}", administrator, topic_exists, get=get_topics, put=put_topic, delete=delete_topic),
    Resource("/vhosts/{vhost}/topic-permissions", administrator, vhost_exists, get=list_topics_of_vhost),
    Resource("/users/{user}/topic-permissions", administrator, user_exists, get=list_topics_of_user),
)
