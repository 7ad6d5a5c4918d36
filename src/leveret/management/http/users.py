"""`/users`: who may log in, with which tags."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Final

from leveret.broker.passwords import NO_PASSWORD, InvalidHash, algorithm_named, algorithm_of
from leveret.broker.users import User
from leveret.management.http.access import administrator
from leveret.management.http.bodies import short_text
from leveret.management.http.call import Call
from leveret.management.http.errors import bad_request, object_not_found
from leveret.management.http.lists import List, ListColumns
from leveret.management.http.resource import Resource

COLUMNS: Final[ListColumns[User]] = {
    "name": lambda user, broker: user.name,
    "password_hash": lambda user, broker: user.password_hash,
    "hashing_algorithm": lambda user, broker: user.hashing_algorithm,
    "tags": lambda user, broker: user.tags,
    "limits": lambda user, broker: user.usage.limits,
}
USERS: Final = List(COLUMNS, ["name"], paged=False)


async def list_users(call: Call) -> object:
    """Every user."""
    return await USERS.answer(call, call.broker.users.all())


def without_permissions(call: Call) -> Iterator[User]:
    """The users who may open no virtual host."""
    permitted = {permission.user for permission in call.broker.permissions.all()}
    return (user for user in call.broker.users.all() if user.name not in permitted)


async def list_without_permissions(call: Call) -> object:
    """The users who may open no virtual host."""
    return await USERS.answer(call, without_permissions(call))


def find_user(call: Call) -> User | None:
    """The user who is named, if there is such a one."""
    return call.broker.users.find(call.argument("user"))


def user_exists(call: Call) -> bool:
    """Whether the user who is named is there."""
    return find_user(call) is not None


def user_of(call: Call) -> User:
    """The user who is named; Refused with 404 if there is no such one."""
    user = find_user(call)
    if user is None:
        raise object_not_found()
    return user


async def get_user(call: Call) -> object:
    """One user."""
    return USERS.row(user_of(call), call.broker)


async def put_user(call: Call) -> None:
    """Make a user, or give one another password and other tags; without a password they can't log in with one."""
    body = await call.json()
    name = short_text(call.argument("user"))
    tags = tags_of(body)
    password, password_hash = body.get("password"), body.get("password_hash")
    if password is not None and password_hash is not None:
        raise bad_request("both_password_and_password_hash_are_provided")
    users = call.broker.users
    call.begin_change()
    if password is not None:
        if not isinstance(password, str):
            raise bad_request(["not_string", "password"])
        if users.find(name) is None:
            users.add(name, password.encode("utf-8", "replace"), tags)
        else:
            users.set_password(name, password.encode("utf-8", "replace"))
            users.set_tags(name, tags)
    else:
        try:
            password_hash = hash_of(password_hash)
            users.put(name, password_hash, algorithm_in(body, password_hash), tags)
        except InvalidHash as error:
            raise bad_request(str(error)) from None
    await call.committed()


def tags_of(body: dict[str, Any]) -> list[str]:
    """The tags of a user, as a list or as a text with commas. Refused if there are none."""
    if "tags" not in body:
        raise bad_request("tags_not_present")
    tags = body["tags"]
    if isinstance(tags, str):
        return [tag.strip() for tag in tags.split(",") if tag.strip()]
    if not isinstance(tags, list):
        raise bad_request("tags are a text or a list")
    return [str(tag) for tag in tags]


def hash_of(value: object) -> str:
    """A password hash, empty if there is none. Refused if it isn't in base64."""
    if value is None:
        return NO_PASSWORD
    if not isinstance(value, str):
        raise bad_request(["not_string", "password_hash"])
    if not value.startswith("$2"):  # bcrypt's are not
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise bad_request(["not_base64", value]) from None
    return value


def algorithm_in(body: dict[str, Any], password_hash: str) -> str:
    """The algorithm of a password hash, by its size if it isn't named. Refused if there is no such one."""
    try:
        named = body.get("hashing_algorithm")
        return algorithm_of(password_hash) if named is None else algorithm_named(str(named))
    except InvalidHash as error:
        raise bad_request(str(error)) from None


async def delete_user(call: Call) -> None:
    """Delete a user, and close their connections."""
    call.begin_change()
    call.broker.users.delete(user_of(call).name)
    await call.committed()


async def bulk_delete(call: Call) -> None:
    """Delete several users."""
    body = await call.json("users")
    names = body["users"]
    if not isinstance(names, list):
        raise bad_request("users are a list")
    for name in names:
        if not isinstance(name, str) or call.broker.users.find(name) is None:
            raise bad_request(["no_such_user", name])
    call.begin_change()
    for name in dict.fromkeys(names):
        call.broker.users.delete(name)
    await call.committed()


RESOURCES: Final = (
    Resource("/users", administrator, get=list_users),
    Resource("/users/bulk-delete", administrator, post=bulk_delete),
    Resource("/users/without-permissions", administrator, get=list_without_permissions),
    Resource("/users/{user}", administrator, user_exists, get=get_user, put=put_user, delete=delete_user),
)
