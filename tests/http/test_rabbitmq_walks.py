"""The walks of the route table and of the tags, in an installed RabbitMQ: it has to answer them as we do.

What it answers otherwise is listed here, each with its reason. What version 3.10 does not know is left out, as is what
RabbitMQ does not have at all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.http import test_routes
from tests.http.client import Api, part
from tests.http.live import live_client
from tests.http.oracle import WHERE_INSTALLED, OracleApi
from tests.http.routes import (
    BETWEEN,
    ENDPOINTS,
    EXPIRATION,
    MADE,
    NOT_THERE,
    START,
    WITHOUT_LEADERS,
    Endpoint,
    endpoint_of,
)
from tests.http.test_access import REFUSED, ROWS, TAGS, Row, people
from tests.http.test_routes import NAMED

pytestmark = WHERE_INSTALLED
PATIENCE = 30.0  # seconds for RabbitMQ's statistics to say what is there
NEWER = (  # beginnings of paths
    "/auth/hash_password",
    "/config/effective",
    "/deprecated-features",
    "/health/checks/below-node-connection-limit",
    "/health/checks/is-in-service",
    "/health/checks/metadata-store",
    "/health/checks/quorum-queues-without-elected-leaders",
    "/health/checks/reached-target-cluster-size",
    "/health/checks/ready-to-serve-clients",
    "/livelog",
    "/logs",
    "/queues/detailed",
    "/queues/{vhost}/{queue}/pause",
    "/queues/{vhost}/{queue}/resume",
    "/queues/{vhost}/{queue}/unacked",
    "/users/{user}/queues",
    "/version",
    "/vhosts/{vhost}/deletion",
)
KNOWN = [endpoint for endpoint in ENDPOINTS if not endpoint.path.startswith(NEWER)]
LISTS_OF_LIMITS = {
    path for _, path in KNOWN if path.startswith(("/vhost-limits", "/user-limits")) and "{name}" not in path
}
CHANGES_OF_LIMITS = {endpoint for endpoint in KNOWN if endpoint.path.startswith(("/vhost-limits", "/user-limits"))}
# RabbitMQ says nothing of what these answer with, so that it takes any Accept header.
ANY_ACCEPT = {
    Endpoint("DELETE", "/queues/{vhost}/{queue}/contents"),
    Endpoint("POST", "/queues/{vhost}/{queue}/actions"),
    Endpoint("DELETE", "/reset"),
    Endpoint("DELETE", "/reset/{node}"),
    Endpoint("POST", START),
    Endpoint("PUT", "/feature-flags/{name}/enable"),
    *(endpoint for endpoint in CHANGES_OF_LIMITS if endpoint.method in ("PUT", "DELETE")),
}
CRASHES = "RabbitMQ answers 500, because it did not expect this"
MAKES_UP = "RabbitMQ answers with the binding that it would have to the default exchange, or with none"
# What RabbitMQ says of a part of a path that names nothing.
OTHERWISE = {
    (Endpoint("POST", "/queues/{vhost}/{queue}/actions"), "vhost"): CRASHES,
    (Endpoint("POST", "/queues/{vhost}/{queue}/actions"), "queue"): CRASHES,
    **{(Endpoint(method, path), "kind"): CRASHES for method, path in KNOWN if path.startswith(BETWEEN)},
    (Endpoint("GET", BETWEEN), "vhost"): MAKES_UP,
    (Endpoint("GET", "/queues/{vhost}/{queue}/bindings"), "vhost"): MAKES_UP,
    (Endpoint("GET", "/queues/{vhost}/{queue}/bindings"), "queue"): MAKES_UP,
    (Endpoint("GET", "/exchanges/{vhost}/{exchange}/bindings/source"), "vhost"): MAKES_UP,
    (Endpoint("GET", "/exchanges/{vhost}/{exchange}/bindings/source"), "exchange"): MAKES_UP,
    (Endpoint("GET", "/exchanges/{vhost}/{exchange}/bindings/destination"), "vhost"): MAKES_UP,
    (Endpoint("GET", "/exchanges/{vhost}/{exchange}/bindings/destination"), "exchange"): MAKES_UP,
    (Endpoint("GET", "/connections/{connection}/channels"), "connection"): CRASHES,
    (Endpoint("GET", "/nodes/{node}"), "node"): CRASHES,
    (Endpoint("DELETE", "/vhost-limits/{vhost}/{name}"), "vhost"): CRASHES,
    (Endpoint("DELETE", "/user-limits/{user}/{name}"), "user"): CRASHES,
}
# What RabbitMQ 3.10 lets other tags do than 4, and what it answers otherwise to who may.
OTHER_TAGS = {
    ("GET", "/vhosts/%2F"): "3.10 shows a single virtual host to administrators alone",
    ("POST", "/queues/%2F/subject/actions"): "3.10 has mirrored queues, which can be synchronised",
    ("GET", "/parameters/vhost-limits/%2F/limits"): "once there were limits, RabbitMQ keeps a list of none",
    ("DELETE", "/parameters/vhost-limits/%2F/limits"): "once there were limits, RabbitMQ keeps a list of none",
    ("GET", "/connections/none"): CRASHES,
    ("GET", "/connections/none/channels"): CRASHES,
    ("DELETE", "/connections/none"): CRASHES,
    ("GET", "/channels/none"): CRASHES,
    ("GET", "/connections/username/guest"): CRASHES + " for want of a permission",
    ("DELETE", "/connections/username/none"): CRASHES + " for want of a permission",
}
ODD = "a/b +%"


def each(endpoints: list[Endpoint]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("endpoint", endpoints, ids=[" ".join(endpoint) for endpoint in endpoints])


@pytest.fixture(scope="module")
def theirs(oracle: tuple[int, Api]) -> Iterator[Api]:
    """RabbitMQ's API, with what the walks name."""
    with test_routes.walked_objects(oracle[1]):
        yield oracle[1]


@pytest.fixture(scope="module")
def their_node(theirs: Api) -> str:
    name: str = theirs.get("/api/overview")["node"]
    return name


@pytest.mark.parametrize("path", sorted({path for _, path in KNOWN} - LISTS_OF_LIMITS))
def test_other_methods(theirs: Api, path: str) -> None:
    """RabbitMQ has no HEAD for lists of limits."""
    server: Any = SimpleNamespace(http_port=theirs.port)
    resource = next(resource for resource in test_routes.RESOURCES if resource.path == path)
    test_routes.test_a_method_that_there_is_not_is_refused_with_those_that_there_are(server, resource)


@each(KNOWN)
def test_nobody(theirs: Api, their_node: str, endpoint: Endpoint) -> None:
    """Version 3.10 says it in other words."""
    test_routes.come_as_a_stranger(theirs, their_node, endpoint, "Login failed")


@each([endpoint for endpoint in KNOWN if endpoint not in ANY_ACCEPT])
def test_who_does_not_take_json(theirs: Api, their_node: str, endpoint: Endpoint) -> None:
    test_routes.test_who_does_not_take_json_gets_nothing_done(theirs, their_node, endpoint)


@each([each for each in KNOWN if each.method in ("PUT", "POST") and each.path not in (BETWEEN, START)])
def test_bodies(theirs: Api, their_node: str, endpoint: Endpoint) -> None:
    """RabbitMQ answers 500 to a binding that is no object."""
    test_routes.test_a_body_that_is_no_object_changes_nothing(theirs, their_node, endpoint)


LOOKED_FOR = [
    (endpoint, name)
    for endpoint, name in NAMED
    if endpoint in KNOWN and (endpoint, name) not in OTHERWISE and endpoint.path != EXPIRATION
]


@pytest.mark.parametrize(("endpoint", "name"), LOOKED_FOR)
def test_what_is_not_there(theirs: Api, their_node: str, endpoint: Endpoint, name: str) -> None:
    for odd in (NOT_THERE, ODD):
        test_routes.look_for_what_is_not_there(theirs, their_node, endpoint, name, odd)


@pytest.mark.parametrize("path", [path for path in MADE if "{component}" not in path])
def test_what_is_made(theirs: Api, path: str) -> None:
    """But for parameters, which RabbitMQ takes of the plugins alone that it runs."""
    test_routes.make_and_find(theirs, path, ODD, {})


@pytest.fixture(scope="module")
def scene(oracle: tuple[int, Api]) -> Iterator[tuple[dict[tuple[str, bool], Api], str]]:
    """A user of each tag, and the name of somebody else's connection as a part of a path."""
    port, api = oracle
    with people(api, OracleApi) as users, live_client(port):
        deadline = time.monotonic() + PATIENCE
        while not (rows := [row for row in api.get("/api/channels") if "connection_details" in row and "user" in row]):
            assert time.monotonic() < deadline, "the channel is not listed"
            time.sleep(0.05)
        yield users, part(rows[0]["connection_details"]["name"])


def asked_for(row: Row) -> bool:
    endpoint = endpoint_of(row[0], row[1])
    return endpoint in KNOWN and row[:2] not in OTHER_TAGS


@pytest.mark.parametrize("row", [row for row in ROWS if asked_for(row)], ids=lambda row: f"{row[0]} {row[1]}")
def test_who_may(row: Row, scene: tuple[dict[tuple[str, bool], Api], str], their_node: str) -> None:
    method, path, body, by_tag, by_permission, granted = row
    for (tag, permitted), user in scene[0].items():
        reply = user.call(method, "/api" + path.replace("NODE", their_node).replace("CONNECTION", scene[1]), body)
        assert reply.status == (granted if tag in (by_permission if permitted else by_tag) else REFUSED), tag


def test_what_is_left_out_is_there() -> None:
    rows = {row[:2] for row in ROWS}
    assert set(OTHER_TAGS) <= rows and set(OTHERWISE) <= set(NAMED) and set(KNOWN) >= ANY_ACCEPT
    assert all(any(path.startswith(begin) for _, path in ENDPOINTS) for begin in NEWER)
    assert WITHOUT_LEADERS.startswith(NEWER) and len(TAGS) == 5
