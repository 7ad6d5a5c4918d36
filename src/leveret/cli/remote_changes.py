"""The changes and checks of the control socket as calls of the HTTP API, refused in rabbitmqctl's words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from leveret.cli.control_client import NO_USER, SOFTWARE, UNAVAILABLE, USAGE, ControlFailure
from leveret.cli.remote_listings import Api, Request

Done = dict[str, object]
Change = Callable[[Api, Request], Done]
PATTERNS: Final = ("configure", "write", "read")


def put(*path: str, body: Callable[[Request], object]) -> Change:
    """Put something at a path. A part of it in braces is a key of the request, as in all of these."""

    def change(api: Api, request: Request) -> Done:
        api.call("PUT", *filled(path, request), body=body(request))
        return {}

    return change


def call(method: str, *path: str) -> Change:
    """Call a path without a body."""

    def change(api: Api, request: Request) -> Done:
        api.call(method, *filled(path, request), reason=str(request.get("explanation", "")))
        return {}

    return change


def filled(path: tuple[str, ...], request: Request) -> list[str]:
    """The parts of a path."""
    return [str(request[part[1:-1]]) if part.startswith("{") else part for part in path]


def values(*names: str) -> Callable[[Request], object]:
    """A body with these keys of the request."""
    return lambda request: {name: request[name] for name in names}


def parsed(text: object) -> Any:
    """The JSON that an argument is."""
    try:
        return json.loads(str(text))
    except ValueError as error:
        raise ControlFailure(UNAVAILABLE, f"Could not parse JSON document: {error}", "Error:\n") from None


def policy(request: Request) -> object:
    """The body of a policy."""
    keys = {"pattern": request["pattern"], "priority": request["priority"], "apply-to": request["apply_to"]}
    return {**keys, "definition": parsed(request["definition"])}


# users


def user_of(api: Api, request: Request) -> dict[str, Any]:
    """The user who is named. Raises ControlFailure."""
    for user in api.call("GET", "users"):
        if isinstance(user, dict) and user.get("name") == request["user"]:
            return user
    raise ControlFailure(NO_USER, f'User "{request["user"]}" does not exist', "Error:\n")


def add_user(api: Api, request: Request) -> Done:
    """A new user, with no tags."""
    if any(user.get("name") == request["user"] for user in api.call("GET", "users")):
        raise ControlFailure(SOFTWARE, f'User "{request["user"]}" already exists', "Error:\n")
    key = "password_hash" if request.get("hashed") else "password"
    api.call("PUT", "users", str(request["user"]), body={key: request["password"], "tags": ""})
    return {}


def change_user(changed: Callable[[Request], dict[str, object]]) -> Change:
    """Put a user as they are but for something."""

    def change(api: Api, request: Request) -> Done:
        user = user_of(api, request)
        new = changed(request)
        body = {"tags": ",".join(user["tags"]) if isinstance(user["tags"], list) else user["tags"], **new}
        if "password" not in new and "password_hash" not in new:
            body |= {"password_hash": user["password_hash"], "hashing_algorithm": user["hashing_algorithm"]}
        api.call("PUT", "users", str(request["user"]), body=body)
        return {}

    return change


def delete_user(api: Api, request: Request) -> Done:
    """Delete a user who must be there."""
    api.call("DELETE", "users", str(user_of(api, request)["name"]))
    return {}


# virtual hosts and permissions


def change_vhost(api: Api, request: Request) -> Done:
    """Put the metadata that are given, and leave the others as they are."""
    name = str(request["vhost"])
    is_new = request["command"] == "add_vhost"
    vhost = {} if is_new else api.call("GET", "vhosts", name)
    keys = ("description", "tags", "default_queue_type")
    known = {key: vhost.get(key) for key in keys} | {key: request[key] for key in keys if request.get(key) is not None}
    body = {key: ",".join(value) if isinstance(value, list) else value for key, value in known.items()}
    api.call("PUT", "vhosts", name, body={key: value for key, value in body.items() if value is not None})
    return {}


def switch_tracing(on: bool) -> Change:
    """Switch the tracing of a virtual host, which must be there: to put it would make one."""

    def change(api: Api, request: Request) -> Done:
        vhost = str(request["vhost"])
        api.call("GET", "vhosts", vhost)
        api.call("PUT", "vhosts", vhost, body={"tracing": on})
        return {}

    return change


def set_permissions_globally(api: Api, request: Request) -> Done:
    """In every virtual host."""
    for vhost in api.call("GET", "vhosts"):
        api.call("PUT", "permissions", vhost["name"], str(request["user"]), body=values(*PATTERNS)(request))
    return {}


def clear_topic_permissions(api: Api, request: Request) -> Done:
    """All of a user's in a virtual host; the API has no way to clear those for one exchange."""
    if request.get("exchange") is not None:
        raise ControlFailure(USAGE, "with --url topic permissions are cleared for all exchanges at once", "Error:\n")
    api.call("DELETE", "topic-permissions", str(request["vhost"]), str(request["user"]))
    return {}


# limits


def set_limits(kind: str, replace: bool) -> Change:
    """Put each of the limits; `replace` clears the others."""

    def change(api: Api, request: Request) -> Done:
        owner, wanted = str(request[kind]), parsed(request["definition"])
        if not isinstance(wanted, dict):
            raise ControlFailure(UNAVAILABLE, "definition must be a dictionary", "Error:\n")
        for name, value in wanted.items():
            api.call("PUT", f"{kind}-limits", owner, name, body={"value": value})
        for name in limits_of(api, kind, owner) if replace else ():
            if name not in wanted:
                api.call("DELETE", f"{kind}-limits", owner, name)
        return {}

    return change


def clear_limits(api: Api, request: Request) -> Done:
    """Clear one limit of a user, or all limits of a user or a virtual host."""
    kind = "user" if request["command"] == "clear_user_limits" else "vhost"
    owner, wanted = str(request[kind]), request.get("limit", "all")
    for name in limits_of(api, kind, owner):
        if wanted in (name, "all"):
            api.call("DELETE", f"{kind}-limits", owner, name)
    return {}


def limits_of(api: Api, kind: str, owner: str) -> list[str]:
    """The names of the limits that are set."""
    return [name for item in api.call("GET", f"{kind}-limits") if item[kind] == owner for name in item["value"]]


# connections and queues


def close_connections(api: Api, request: Request) -> Done:
    """Those of a virtual host or of all, as many as are asked for."""
    found = [
        each["name"]
        for each in api.call("GET", "connections")
        if request["everywhere"] or each["vhost"] == request["vhost"]
    ]
    limit = request["limit"]
    chosen = found[:limit] if isinstance(limit, int) and limit else found
    for name in chosen:
        api.call("DELETE", "connections", name, reason=str(request["explanation"]))
    return {"closed": len(chosen)}


def delete_queue(api: Api, request: Request) -> Done:
    """Delete a queue on conditions, which is said as rabbitmqctl says it."""
    path = ("queues", str(request["vhost"]), str(request["queue"]))
    queue = found_queue(api, path, ControlFailure(USAGE, "Queue not found", "Error:\n"))
    if request["if_empty"] and queue.get("messages_ready"):
        raise ControlFailure(USAGE, "Queue is not empty", "Error:\n")
    if request["if_unused"] and queue.get("consumers"):
        raise ControlFailure(USAGE, "Queue is in use", "Error:\n")
    asked = [key for key, on in (("if-empty", request["if_empty"]), ("if-unused", request["if_unused"])) if on]
    query = "?" + "&".join(f"{key}=true" for key in asked) if asked else ""
    api.call("DELETE", *path, query=query)
    return {"messages": queue.get("messages_ready", 0)}


def purge_queue(api: Api, request: Request) -> Done:
    """Drop what is ready."""
    path = ("queues", str(request["vhost"]), str(request["queue"]))
    found_queue(api, path, ControlFailure(UNAVAILABLE, "not_found", "Error:\n"))
    api.call("DELETE", *path, "contents")
    return {}


def change_deliveries(verb: str) -> Change:
    """Pause or resume a queue."""

    def change(api: Api, request: Request) -> Done:
        path = ("queues", str(request["vhost"]), str(request["queue"]))
        found_queue(api, path, ControlFailure(UNAVAILABLE, "not_found", "Error:\n"))
        api.call("PUT", *path, verb)
        return {}

    return change


def found_queue(api: Api, path: tuple[str, ...], missing: ControlFailure) -> dict[str, Any]:
    """The queue at a path. Raises the failure if there is none."""
    try:
        queue = api.call("GET", *path)
    except ControlFailure as failure:
        raise missing if failure.is_refusal else failure from None
    return queue if isinstance(queue, dict) else {}


def expiring_certificates(api: Api, request: Request) -> Done:
    """The listeners whose certificates end soon."""
    path = ("health", "checks", "certificate-expiration", str(request["within"]), str(request["unit"]))
    return {"expired": api.call("GET", *path).get("expired", [])}


CHANGES: Final[dict[str, Change]] = {
    "add_user": add_user,
    "delete_user": delete_user,
    "change_password": change_user(lambda request: {"password": request["password"]}),
    "clear_password": change_user(lambda request: {"password_hash": ""}),
    "set_user_tags": change_user(lambda request: {"tags": ",".join(map(str, as_list(request["tags"])))}),
    "add_vhost": change_vhost,
    "update_vhost_metadata": change_vhost,
    "set_vhost_tags": change_vhost,
    "delete_vhost": call("DELETE", "vhosts", "{vhost}"),
    "enable_vhost_deletion_protection": call("POST", "vhosts", "{vhost}", "deletion", "protection"),
    "disable_vhost_deletion_protection": call("DELETE", "vhosts", "{vhost}", "deletion", "protection"),
    "trace_on": switch_tracing(True),
    "trace_off": switch_tracing(False),
    "set_permissions": put("permissions", "{vhost}", "{user}", body=values(*PATTERNS)),
    "set_permissions_globally": set_permissions_globally,
    "clear_permissions": call("DELETE", "permissions", "{vhost}", "{user}"),
    "set_topic_permissions": put("topic-permissions", "{vhost}", "{user}", body=values("exchange", "write", "read")),
    "clear_topic_permissions": clear_topic_permissions,
    "set_policy": put("policies", "{vhost}", "{name}", body=policy),
    "clear_policy": call("DELETE", "policies", "{vhost}", "{name}"),
    "set_operator_policy": put("operator-policies", "{vhost}", "{name}", body=policy),
    "clear_operator_policy": call("DELETE", "operator-policies", "{vhost}", "{name}"),
    "set_vhost_limits": set_limits("vhost", True),
    "clear_vhost_limits": clear_limits,
    "set_user_limits": set_limits("user", False),
    "clear_user_limits": clear_limits,
    "set_parameter": put(
        "parameters",
        "{component}",
        "{vhost}",
        "{name}",
        body=lambda request: {
            "component": request["component"],
            "vhost": request["vhost"],
            "name": request["name"],
            "value": parsed(request["value"]),
        },
    ),
    "clear_parameter": call("DELETE", "parameters", "{component}", "{vhost}", "{name}"),
    "set_global_parameter": put(
        "global-parameters",
        "{name}",
        body=lambda request: {"name": request["name"], "value": parsed(request["value"])},
    ),
    "clear_global_parameter": call("DELETE", "global-parameters", "{name}"),
    "set_cluster_name": put("cluster-name", body=values("name")),
    "close_connection": call("DELETE", "connections", "{connection_pid}"),
    "close_all_user_connections": call("DELETE", "connections", "username", "{user}"),
    "close_all_connections": close_connections,
    "purge_queue": purge_queue,
    "pause_queue": change_deliveries("pause"),
    "resume_queue": change_deliveries("resume"),
    "delete_queue": delete_queue,
    "check_certificate_expiration": expiring_certificates,
}


def as_list(value: object) -> list[object]:
    """A list, or nothing."""
    return value if isinstance(value, list) else []
