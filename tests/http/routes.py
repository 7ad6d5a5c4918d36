"""The program's own table of routes, and what a test needs to walk it: a name for every part, a body for every verb.

A resource that is new has no body here, and a part of a path that is new has no name: the walks fail until it has.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from starlette.routing import compile_path

from leveret.management.http.application import RESOURCES
from leveret.management.http.resource import Resource

PART = re.compile(r"\{(\w+)\}")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
NOT_THERE = "not-there"  # a name of nothing
# What is there, or could be, by the part of a path that names it. NODE is the broker's own node.
NAMES = {
    "channel": NOT_THERE,
    "component": "vhost-limits",
    "connection": NOT_THERE,
    "destination": "walked",
    "exchange": "walked",
    "kind": "q",
    "name": "walked",
    "node": "NODE",
    "password": "secret",
    "pattern": "^q",
    "port": "1",
    "properties": "walked",
    "protocols": "amqp",
    "queue": "walked",
    "source": "walked",
    "unit": "months",
    "user": "guest",
    "vhost": "%2F",
    "within": "1",
}
POLICY = {"pattern": "^walked$", "definition": {"max-length": 10}}
PERMISSION = {"configure": ".*", "write": ".*", "read": ".*"}
TOPIC = {"exchange": "amq.topic", "write": ".*", "read": ".*"}
# What a PUT or POST that is granted says; None for those that RabbitMQ reads no body of.
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/all-configuration"): {},
    ("POST", "/auth/hash_password"): {"password": "secret"},
    ("POST", "/bindings/{vhost}/e/{source}/{kind}/{destination}"): {"routing_key": "walked"},
    ("POST", "/definitions"): {},
    ("POST", "/definitions/{vhost}"): {},
    ("POST", "/exchanges/{vhost}/{exchange}/publish"): {
        "routing_key": "",
        "properties": {},
        "payload": "",
        "payload_encoding": "string",
    },
    ("POST", "/queues/{vhost}/{queue}/actions"): {"action": "cancel_sync"},
    ("POST", "/queues/{vhost}/{queue}/get"): {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"},
    ("POST", "/users/bulk-delete"): {"users": []},
    ("POST", "/vhosts/{vhost}/deletion/protection"): None,
    ("POST", "/vhosts/{vhost}/start/{node}"): None,
    ("PUT", "/cluster-name"): {"name": "walked"},
    ("PUT", "/exchanges/{vhost}/{exchange}"): {"type": "fanout"},
    ("PUT", "/feature-flags/{name}/enable"): None,
    ("PUT", "/global-parameters/{name}"): {"value": 1},
    ("PUT", "/operator-policies/{vhost}/{name}"): POLICY,
    ("PUT", "/parameters/{component}/{vhost}/{name}"): {"value": {}},
    ("PUT", "/permissions/{vhost}/{user}"): PERMISSION,
    ("PUT", "/policies/{vhost}/{name}"): POLICY,
    ("PUT", "/queues/{vhost}/{queue}"): {"durable": True},
    ("PUT", "/queues/{vhost}/{queue}/pause"): None,
    ("PUT", "/queues/{vhost}/{queue}/resume"): None,
    ("PUT", "/topic-permissions/{vhost}/{user}"): TOPIC,
    ("PUT", "/topic-permissions/{vhost}/{user}/{exchange}"): TOPIC,
    ("PUT", "/user-limits/{user}/{name}"): {"value": 10},
    ("PUT", "/users/{user}"): {"password": "guest", "tags": "administrator"},
    ("PUT", "/vhost-limits/{vhost}/{name}"): {"value": 10},
    ("PUT", "/vhosts/{vhost}"): {},
}


class Endpoint(NamedTuple):
    """A method of a resource. HEAD comes with GET, and OPTIONS with everything."""

    method: str
    path: str

    @property
    def body(self) -> Any:
        """What it is sent with."""
        return BODIES[self] if self.method in ("PUT", "POST") else None

    @property
    def reads_body(self) -> bool:
        return self.body is not None

    @property
    def parts(self) -> list[str]:
        return PART.findall(self.path)


ENDLESS = {"/livelog"}  # whose answer goes on as long as the client stays: test_logs.py has it
ENDPOINTS = [
    Endpoint(method, resource.path)
    for resource in RESOURCES
    for method in resource.methods
    if method not in ("HEAD", "OPTIONS")
]
PATTERNS = [(compile_path(resource.path)[0], resource) for resource in RESOURCES]


def filled(path: str, **names: str) -> str:
    """The path below /api with names for its parts, these or else those that are there."""
    return PART.sub(lambda part: names.get(part[1], NAMES[part[1]]), path)


def resource_of(path: str) -> Resource | None:
    """Which resource a path below /api, as a request has it, names."""
    bare = path.partition("?")[0]
    return next((resource for pattern, resource in PATTERNS if pattern.match(bare)), None)


def endpoint_of(method: str, path: str) -> Endpoint | None:
    """The endpoint that a request goes to, if there is one."""
    resource = resource_of(path)
    return None if resource is None or method not in resource.methods else Endpoint(method, resource.path)


class Missing(NamedTuple):
    """How a name of nothing is answered. `reason` has that name where it says NAME; None is not looked at."""

    status: int
    error: str = ""
    reason: str | None = None


NOT_FOUND = Missing(404, "Object Not Found", "Not Found")
NO_VHOST = Missing(404, "not_found", "vhost_not_found")
NO_VHOST_OR_USER = Missing(400, "bad_request", "vhost_or_user_not_found")
REFUSED = Missing(401, "not_authorised", "Access refused.")
LISTED = Missing(200)
DONE = Missing(204)
BETWEEN = "/bindings/{vhost}/e/{source}/{kind}/{destination}"
PUBLISH, GET_MESSAGES = "/exchanges/{vhost}/{exchange}/publish", "/queues/{vhost}/{queue}/get"
WITHOUT_LEADERS = "/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}"
TOPICS = "/topic-permissions/{vhost}/{user}"
START = "/vhosts/{vhost}/start/{node}"
EXPIRATION = "/health/checks/certificate-expiration/{within}/{unit}"
# What is not answered with NOT_FOUND, or for PUT and POST with NO_VHOST, when a part of the path names nothing.
MISSING: dict[tuple[str, str, str], Missing] = {
    ("DELETE", "/connections/username/{user}", "user"): DONE,
    ("DELETE", "/user-limits/{user}/{name}", "name"): DONE,
    ("DELETE", "/vhost-limits/{vhost}/{name}", "name"): DONE,
    ("GET", "/connections/username/{user}", "user"): LISTED,
    ("GET", "/definitions/{vhost}", "vhost"): Missing(400, "bad_request", "vhost_not_found"),
    ("GET", "/users/{user}/queues", "user"): LISTED,  # those that they declared, who may be gone
    ("GET", "/parameters/{component}", "component"): LISTED,
    ("GET", "/parameters/{component}/{vhost}", "component"): LISTED,
    ("GET", BETWEEN, "destination"): LISTED,
    ("GET", BETWEEN, "source"): LISTED,
    ("GET", EXPIRATION, "unit"): Missing(400, "bad_request"),
    ("GET", EXPIRATION, "within"): Missing(400, "bad_request", "Invalid expiration value."),
    ("GET", "/health/checks/port-listener/{port}", "port"): Missing(400, "bad_request", "Invalid port"),
    ("GET", "/health/checks/protocol-listener/{protocols}", "protocols"): Missing(503),
    ("GET", WITHOUT_LEADERS, "vhost"): LISTED,
    ("GET", WITHOUT_LEADERS + "/pattern/{pattern}", "vhost"): LISTED,
    ("POST", BETWEEN, "destination"): Missing(404, "not_found", "no queue 'NAME' in vhost '/'"),
    ("POST", BETWEEN, "kind"): NOT_FOUND,
    ("POST", BETWEEN, "source"): Missing(404, "not_found", "no exchange 'NAME' in vhost '/'"),
    ("POST", PUBLISH, "exchange"): Missing(400, "bad_request", "404 NOT_FOUND - no exchange 'NAME' in vhost '/'"),
    ("POST", PUBLISH, "vhost"): REFUSED,
    ("POST", GET_MESSAGES, "queue"): Missing(404, "not_found", "NOT_FOUND - no queue 'NAME' in vhost '/'"),
    ("POST", GET_MESSAGES, "vhost"): REFUSED,
    ("POST", "/queues/{vhost}/{queue}/actions", "queue"): NOT_FOUND,
    ("POST", "/queues/{vhost}/{queue}/actions", "vhost"): NOT_FOUND,
    ("POST", "/vhosts/{vhost}/deletion/protection", "vhost"): NOT_FOUND,
    ("POST", START, "node"): Missing(400, "bad_request", "Request to node NAME failed with nodedown"),
    ("POST", START, "vhost"): Missing(400, "bad_request"),
    ("PUT", "/feature-flags/{name}/enable", "name"): Missing(400, "bad_request", "unsupported"),
    ("PUT", "/parameters/{component}/{vhost}/{name}", "component"): Missing(400, "bad_request"),
    ("PUT", "/permissions/{vhost}/{user}", "user"): NO_VHOST_OR_USER,
    ("PUT", "/permissions/{vhost}/{user}", "vhost"): NO_VHOST_OR_USER,
    ("PUT", "/queues/{vhost}/{queue}/pause", "queue"): NOT_FOUND,
    ("PUT", "/queues/{vhost}/{queue}/pause", "vhost"): NOT_FOUND,
    ("PUT", "/queues/{vhost}/{queue}/resume", "queue"): NOT_FOUND,
    ("PUT", "/queues/{vhost}/{queue}/resume", "vhost"): NOT_FOUND,
    ("PUT", TOPICS, "user"): NO_VHOST_OR_USER,
    ("PUT", TOPICS, "vhost"): NO_VHOST_OR_USER,
    ("PUT", TOPICS + "/{exchange}", "user"): NO_VHOST_OR_USER,
    ("PUT", TOPICS + "/{exchange}", "vhost"): NO_VHOST_OR_USER,
    ("PUT", "/user-limits/{user}/{name}", "name"): Missing(400, "bad_request"),
    ("PUT", "/user-limits/{user}/{name}", "user"): Missing(400, "bad_request"),
    ("PUT", "/vhost-limits/{vhost}/{name}", "name"): Missing(400, "bad_request"),
}
# Which answer whoever asks.
PUBLIC = {
    "/health/checks/below-node-connection-limit",
    "/health/checks/is-in-service",
    "/health/checks/reached-target-cluster-size",
    "/health/checks/ready-to-serve-clients",
    "/version",
}
FREE_PARTS = {"password", "pattern"}  # which name nothing
# Resources that a PUT makes: the part that names them, the column that shows that name, and where they are listed.
MADE: dict[str, tuple[str, str, str]] = {
    "/exchanges/{vhost}/{exchange}": ("exchange", "name", "/exchanges"),
    "/global-parameters/{name}": ("name", "name", "/global-parameters"),
    "/operator-policies/{vhost}/{name}": ("name", "name", "/operator-policies"),
    "/parameters/{component}/{vhost}/{name}": ("name", "name", "/parameters/shovel"),
    "/permissions/{vhost}/{user}": ("user", "user", "/permissions"),
    "/policies/{vhost}/{name}": ("name", "name", "/policies"),
    "/queues/{vhost}/{queue}": ("queue", "name", "/queues"),
    "/topic-permissions/{vhost}/{user}": ("user", "user", "/topic-permissions"),
    "/topic-permissions/{vhost}/{user}/{exchange}": ("exchange", "exchange", "/topic-permissions"),
    "/users/{user}": ("user", "name", "/users"),
    "/vhosts/{vhost}": ("vhost", "name", "/vhosts"),
}


def missing(endpoint: Endpoint, part: str) -> Missing:
    """How an endpoint answers when this part of its path names nothing."""
    default = NO_VHOST if endpoint.method in ("PUT", "POST") else NOT_FOUND
    return MISSING.get((*endpoint, part), default)


def made_by(endpoint: Endpoint) -> str | None:
    """The part of the path that may name what is new."""
    return MADE[endpoint.path][0] if endpoint.method == "PUT" and endpoint.path in MADE else None
