"""Who asks, and whether they may: HTTP basic authentication and RabbitMQ's tags (reference: A.14).

`management` lets a user see and change what their permissions allow. `policymaker` adds policies and parameters,
`monitoring` the nodes and everybody's connections; `administrator` may do all.

A check is a function of a call that raises `Refused` with 401, which RabbitMQ answers to those who are known, too.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from leveret.broker.login import HTTP, PasswordCheck
from leveret.broker.users import ADMINISTRATOR, MANAGEMENT, MONITORING, POLICYMAKER, User
from leveret.management.http.errors import malformed, not_authenticated, not_authorised
from leveret.management.node import Node
from leveret.server.listener import is_loopback, plain_host

if TYPE_CHECKING:
    from leveret.management.http.call import Call

log: Final = logging.getLogger("leveret.management")

MAY_USE_API: Final = frozenset({ADMINISTRATOR, MONITORING, POLICYMAKER, MANAGEMENT})
NO_ACCESS_TO_VHOST: Final = "User not authorised to access virtual host"
NO_ACCESS_TO_OBJECT: Final = "User not authorised to access object"


def credentials(header: str) -> tuple[str, bytes]:
    """User name and password of an Authorization header; Refused if it has no such."""
    scheme, _, encoded = header.partition(" ")
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except binascii.Error:
        raise malformed() from None
    if scheme.lower() != "basic" or not colon:
        raise malformed()
    return name.decode("utf-8", "replace"), password


async def authenticate(
    node: Node,
    header: str | None,
    host: str,
    tags: Collection[str] = MAY_USE_API,
    otherwise: str = "Not management user",
) -> User:
    """The user whom a request is from; `host` is where it came from.

    Refused if that can't be told, or with `otherwise` as the reason if they have none of the tags.
    """
    if header is None:
        raise not_authenticated()
    name, password = credentials(header)
    host = plain_host(host)
    checked: asyncio.Future[User | None] = asyncio.get_running_loop().create_future()

    def done(user: User | None, _reason: str) -> None:
        if not checked.done():
            checked.set_result(user)

    node.begin_tick()
    PasswordCheck(node.broker, name, password, host, True, done, HTTP).begin()
    user = await checked
    if user is None:
        log_denial(name, "invalid credentials", host)
        raise not_authenticated("Not_Authorized")
    if name in node.broker.users.loopback_only and not is_loopback(host):
        raise denied(name, "User can only log in via localhost", host)
    if not any(tag in user.tags for tag in tags):
        raise denied(name, otherwise, host)
    return user


def log_denial(name: str, reason: str, host: str) -> None:
    """RabbitMQ's line for what is refused, and for a login the address that it came from as well."""
    fields = {"user": name, "peer": host} if host else {"user": name}
    place = f", from {host}" if host else ""
    log.warning("HTTP access denied: user '%s' - %s%s", name, reason, place, extra={"fields": fields})


def denied(name: str, reason: str, host: str = "") -> Exception:
    """The error for a user who may not do this."""
    log_denial(name, reason, host)
    return not_authorised(reason)


# who may do what


def is_administrator(user: User) -> bool:
    """Whether a user may do everything."""
    return ADMINISTRATOR in user.tags


def is_monitor(user: User) -> bool:
    """Whether a user may see everybody's connections."""
    return ADMINISTRATOR in user.tags or MONITORING in user.tags


def is_policymaker(user: User) -> bool:
    """Whether a user may set policies, where they have permissions."""
    return ADMINISTRATOR in user.tags or POLICYMAKER in user.tags


def anybody(_call: Call) -> None:
    """Everybody who may use the API."""


def administrator(call: Call) -> None:
    """Administrators alone."""
    if not is_administrator(call.user):
        raise denied(call.user.name, "Not administrator user")


def monitor(call: Call) -> None:
    """Who may see everybody's connections."""
    if not is_monitor(call.user):
        raise denied(call.user.name, "Not monitor user")


def user_of_vhost(call: Call) -> None:
    """Who has permissions for the virtual host that is named; one that is not there is not found."""
    if not (is_administrator(call.user) or matches_vhost(call)):
        raise denied(call.user.name, NO_ACCESS_TO_VHOST)


def viewer_of_vhost(call: Call) -> None:
    """Who may know of the virtual host that is named."""
    if not (is_monitor(call.user) or matches_vhost(call)):
        raise denied(call.user.name, NO_ACCESS_TO_VHOST)


def policymaker_of_vhost(call: Call) -> None:
    """Who may set policies in the virtual host that is named."""
    if not (is_administrator(call.user) or (is_policymaker(call.user) and matches_vhost(call))):
        raise denied(call.user.name, NO_ACCESS_TO_OBJECT)


def policymaker(call: Call) -> None:
    """Who may set global parameters."""
    if not is_policymaker(call.user):
        raise denied(call.user.name, NO_ACCESS_TO_OBJECT)


def matches_vhost(call: Call) -> bool:
    """Whether the user has permissions for the virtual host that is named, or none is that is there."""
    name = call.vhost_name
    broker = call.node.broker
    return name is None or name not in broker.vhosts or broker.permissions.find(call.user.name, name) is not None
