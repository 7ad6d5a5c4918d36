"""Rows of the listings, and the status of a node, from what the HTTP API says.

What only the broker itself knows is empty: a connection's or a channel's pid is its name here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from leveret.cli.formatters import Row, json_text
from leveret.management.protocols import PURPOSES

Request = dict[str, object]


class Api(Protocol):
    """An HTTP API."""

    def call(self, method: str, *path: str, body: object = None, query: str = "", reason: str = "") -> Any:
        """The JSON that comes back."""


Listing = Callable[[Api, Request], list[Row]]
TYPES: Final = {bool: "bool", int: "long", float: "double", str: "longstr", type(None): "void"}
# Where the value of a column stands, if not under the column's name.
PLACES: Final = {
    "source_name": ("source",),
    "destination_name": ("destination",),
    "destination_kind": ("destination_type",),
    "connection": ("connection_details", "name"),
    "queue_name": ("queue", "name"),
    "channel_pid": ("channel_details", "name"),
    "slave_pids": ("slave_nodes",),
}


def field(value: object) -> list[Any]:
    """Type and value of a field of a table."""
    if isinstance(value, dict):
        return ["table", table(value)]
    if isinstance(value, list):
        return ["array", [field(each) for each in value]]
    return [TYPES[type(value)], value]


def table(found: dict[str, Any]) -> list[Any]:
    """A field table in the form of the control socket."""
    return [[key, *field(value)] for key, value in found.items()]


def cell(item: dict[str, Any], column: str) -> Any:
    """The value of a column."""
    value: Any = item
    for key in PLACES.get(column, (column,)):
        value = value.get(key) if isinstance(value, dict) else None
    if column in ("arguments", "client_properties"):
        return table(value) if isinstance(value, dict) else []
    if column == "effective_policy_definition":
        return [[key, setting] for key, setting in value.items()] if isinstance(value, dict) else []
    if column == "source_kind":
        return "exchange"
    if column == "pid":
        return item.get("name") if "peer_host" in item or "number" in item else None
    if column in ("definition", "value", "limits"):
        return value if isinstance(value, str) and column != "value" else json_text(value)
    return value


def of(*path: str, scope: str = "", renamed: dict[str, str] | None = None) -> Listing:
    """The listing at a path, to which what is in the request under `scope` is added."""

    def rows(api: Api, request: Request) -> list[Row]:
        whole = (*path, str(request[scope])) if scope else path
        found = api.call("GET", *whole)
        names = renamed or {}
        return [[cell(item, names.get(column, column)) for column in columns_of(request)] for item in found]

    return rows


def columns_of(request: Request) -> list[str]:
    """The columns that are asked for."""
    columns = request.get("columns")
    return [str(column) for column in columns] if isinstance(columns, list) else []


def under(scope: str, what: str, kind: str) -> Listing:
    """The listing of what belongs to a virtual host or a user."""

    def rows(api: Api, request: Request) -> list[Row]:
        found = api.call("GET", kind, str(request[scope]), what)
        return [[cell(item, column) for column in columns_of(request)] for item in found]

    return rows


def parameters(api: Api, request: Request) -> list[Row]:
    """The parameters of a virtual host."""
    api.call("GET", "vhosts", str(request["vhost"]))
    found = [item for item in api.call("GET", "parameters") if item.get("vhost") == request["vhost"]]
    return [[cell(item, column) for column in columns_of(request)] for item in found]


def limits(kind: str) -> Listing:
    """The limits of all users or virtual hosts, also of those that have none."""

    def rows(api: Api, _request: Request) -> list[Row]:
        found = {item[kind]: item["value"] for item in api.call("GET", f"{kind}-limits")}
        names = [item["name"] for item in api.call("GET", f"{kind}s")]
        return [[name, json_text(found.get(name) or {})] for name in names]

    return rows


LISTINGS: Final[dict[str, Listing]] = {
    "queues": of("queues", scope="vhost"),
    "exchanges": of("exchanges", scope="vhost"),
    "bindings": of("bindings", scope="vhost"),
    "consumers": of("consumers", scope="vhost"),
    "connections": of("connections"),
    "channels": of("channels"),
    "users": of("users", renamed={"user": "name"}),
    "vhosts": of("vhosts"),
    "policies": of("policies", scope="vhost"),
    "operator_policies": of("operator-policies", scope="vhost"),
    "parameters": parameters,
    "global_parameters": of("global-parameters"),
    "vhost_limits": limits("vhost"),
    "user_limits": limits("user"),
    "permissions": under("vhost", "permissions", "vhosts"),
    "topic_permissions": under("vhost", "topic-permissions", "vhosts"),
    "user_permissions": under("user", "permissions", "users"),
    "user_topic_permissions": under("user", "topic-permissions", "users"),
}


def status(api: Api) -> dict[str, Any]:
    """The status of the node in the form of the control socket, as far as the API tells it."""
    overview = api.call("GET", "overview")
    name = str(overview["node"])
    node = api.call("GET", "nodes", name)
    totals = overview.get("object_totals") or {}
    on = [resource for resource, key in (("memory", "mem_alarm"), ("disk", "disk_free_alarm")) if node.get(key)]
    return {
        "pid": int(node.get("os_pid") or 0),
        "uptime": int(node.get("uptime", 0)) // 1000,
        "is_under_maintenance": bool(node.get("being_drained")),
        "node_name": name,
        "product_name": overview.get("product_name"),
        "product_version": overview.get("product_version"),
        "rabbitmq_version": overview.get("rabbitmq_version"),
        "data_directory": node.get("db_dir"),
        "config_files": node.get("config_files", []),
        "log_files": node.get("log_files", []),
        "alarms": [{"type": "resource_limit", "resource": each, "node": name} for each in on],
        "store": {"sync": "told by the control socket alone"},
        "memory": {"strategy": node.get("mem_calculation_strategy"), "total": {"rss": node.get("mem_used")}},
        "file_descriptors": {
            "total_limit": node.get("fd_total"),
            "total_used": node.get("fd_used"),
            "sockets_used": node.get("sockets_used"),
        },
        "disk_free": node.get("disk_free"),
        "totals": {
            "virtual_host_count": len(api.call("GET", "vhosts")),
            "connection_count": totals.get("connections"),
            "queue_count": totals.get("queues"),
        },
        "listeners": [
            {
                "interface": each.get("ip_address"),
                "node": name,
                "port": each.get("port"),
                "protocol": each.get("protocol"),
                "purpose": PURPOSES.get(str(each.get("protocol")), ""),
            }
            for each in overview.get("listeners", [])
        ],
    }
