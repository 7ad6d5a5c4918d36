"""`/connections`: who is connected, and hanging up on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from leveret.broker.broker import Broker
from leveret.broker.connection import Connection
from leveret.management.http.access import NO_ACCESS_TO_OBJECT, denied, is_administrator, is_monitor, user_of_vhost
from leveret.management.http.call import Call
from leveret.management.http.errors import object_not_found
from leveret.management.http.lists import ABSENT, List, ListColumns
from leveret.management.http.resource import Resource
from leveret.management.http.statistics import of_connections
from leveret.management.http.tables import plain_table
from leveret.management.listings import CONNECTIONS as LISTED
from leveret.management.listings import connections

UNCHANGED: Final = (  # columns that leveretctl and the API show alike
    "auth_mechanism",
    "channel_max",
    "channels",
    "connected_at",
    "frame_max",
    "host",
    "name",
    "peer_cert_issuer",
    "peer_cert_subject",
    "peer_cert_validity",
    "peer_host",
    "peer_port",
    "port",
    "send_pend",
    "ssl",
    "ssl_cipher",
    "ssl_hash",
    "ssl_key_exchange",
    "ssl_protocol",
    "state",
    "timeout",
    "user",
    "vhost",
)
PROTOCOL: Final = "AMQP 0-9-1"
CLOSED_BY_OPERATOR: Final = "Closed via management plugin"  # RabbitMQ's words, which clients are told
REASON: Final = "x-reason"  # the header that may have others


def given_name(connection: Connection) -> object:
    """The name that the client gave itself."""
    name = connection.client_properties.get("connection_name")
    return name.value if name is not None and isinstance(name.value, str) else ABSENT


def protocol(connection: Connection, broker: Broker) -> str | None:
    """The protocol, as soon as it is known."""
    return None if LISTED["protocol"](connection, broker) is None else PROTOCOL


COLUMNS: Final[ListColumns[Connection]] = {
    **{name: LISTED[name] for name in UNCHANGED},
    "client_properties": lambda connection, broker: plain_table(connection.client_properties),
    "node": lambda connection, broker: broker.node,
    "protocol": protocol,
    "type": lambda connection, broker: "network",
    "user_provided_name": lambda connection, broker: given_name(connection),
    "user_who_performed_action": lambda connection, broker: connection.user,
}
SHORT: Final[ListColumns[Connection]] = {name: COLUMNS[name] for name in ("name", "vhost", "user", "node")}
SHORTLY: Final = List(SHORT, paged=False)


def listed(call: Call) -> List[Connection]:
    """The list that a call asks for."""
    return List({**COLUMNS, **of_connections(call)})


# which ones


def visible(call: Call, found: Iterable[Connection]) -> Iterator[Connection]:
    """Those that the user may see: their own, or all; with x-vhost those of this virtual host."""
    vhost = call.vhost_name
    everybodys = is_monitor(call.user)
    for connection in found:
        if not everybodys and connection.user != call.user.name:
            continue
        if vhost is None or (connection.vhost is not None and connection.vhost.name == vhost):
            yield connection


def find_connection(call: Call) -> Connection | None:
    """The connection that is named, if it is there."""
    name = call.argument("connection")
    return next((each for each in call.broker.connections if each.name == name), None)


def may_touch(call: Call, owner: str) -> bool:
    """Whether the user may look at, or with DELETE close, a connection of somebody."""
    privileged = is_administrator(call.user) if call.method == "DELETE" else is_monitor(call.user)
    return privileged or owner == call.user.name


def owner_of_connection(call: Call) -> None:
    """Who may do this to the connection that is named; one that is not there is not found."""
    connection = find_connection(call)
    if connection is not None and not may_touch(call, connection.user):
        raise denied(call.user.name, NO_ACCESS_TO_OBJECT)


def user_themselves(call: Call) -> None:
    """Who may do this to the connections of the user who is named."""
    if not may_touch(call, call.argument("user")):
        raise denied(call.user.name, NO_ACCESS_TO_OBJECT)


def connection_exists(call: Call) -> bool:
    """Whether the connection that is named is there."""
    return find_connection(call) is not None


def connection_of(call: Call) -> Connection:
    """The connection that is named; Refused with 404 if it is not there."""
    connection = find_connection(call)
    if connection is None:
        raise object_not_found()
    return connection


# answers


async def list_connections(call: Call) -> object:
    """Every connection that the user may see."""
    return await listed(call).answer(call, visible(call, connections(call.broker, "")))


async def list_of_vhost(call: Call) -> object:
    """Those of one virtual host."""
    call.vhost()
    return await list_connections(call)


async def get_connection(call: Call) -> object:
    """One connection."""
    return listed(call).row(connection_of(call), call.broker)


async def delete_connection(call: Call) -> None:
    """Close a connection."""
    call.begin_change()
    connection_of(call).force_close(reason(call))


async def list_of_user(call: Call) -> object:
    """The connections of one user, in short."""
    return await SHORTLY.answer(call, of_user(call))


def of_user(call: Call) -> Iterator[Any]:
    """The connections of the user who is named."""
    name = call.argument("user")
    return (connection for connection in connections(call.broker, "") if connection.user == name)


async def delete_of_user(call: Call) -> None:
    """Close all connections of one user."""
    call.begin_change()
    for connection in list(of_user(call)):
        connection.force_close(reason(call))


def reason(call: Call) -> str:
    """Why a connection is closed."""
    return call.header(REASON) or CLOSED_BY_OPERATOR


RESOURCES: Final = (
    Resource("/connections", get=list_connections),
    Resource("/connections/username/{user}", user_themselves, get=list_of_user, delete=delete_of_user),
    Resource(
        "/connections/{connection}",
        owner_of_connection,
        connection_exists,
        get=get_connection,
        delete=delete_connection,
    ),
    Resource("/vhosts/{vhost}/connections", user_of_vhost, get=list_of_vhost),
)
