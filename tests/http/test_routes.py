"""Every resource of the program's route table with every method: what is common to all of them holds for each.

The walks are made from the table itself, so that a resource that is new is walked without being named here, or fails
because nothing says yet what it has to answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from leveret.management.http.application import RESOURCES
from leveret.management.http.resource import Resource
from tests.http.client import Api, part
from tests.http.routes import (
    BODIES,
    ENDLESS,
    ENDPOINTS,
    FREE_PARTS,
    MADE,
    METHODS,
    MISSING,
    NAMES,
    NOT_THERE,
    PUBLIC,
    TOPIC,
    Endpoint,
    filled,
    made_by,
    missing,
    resource_of,
)
from tests.support.broker_process import BrokerProcess

CHALLENGE = 'Basic realm="RabbitMQ Management"'
STRING = "invalid payload: the request body JSON-decoded to a string. Is the input doubly-JSON-encoded?"
NO_OBJECTS = {"{bad": "not_json", "[]": "not_json", "5": "not_json", '"{}"': STRING}
# Names that a careless program takes apart, or takes for something else. Paths have them percent-encoded.
ODD_NAMES = ["a/b", "/", "a b", "a+b", "ü日本", "..", ".", "%", "%2F", "~", "*", "a;b=c", "a?b#c&d", "'\"<>\\", "a\tb"]

every_resource = pytest.mark.parametrize("resource", RESOURCES, ids=[resource.path for resource in RESOURCES])
every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=[" ".join(endpoint) for endpoint in ENDPOINTS])


@pytest.fixture(scope="module", autouse=True)
def walked(api: Api) -> Iterator[None]:
    """What the walks name is there."""
    with walked_objects(api):
        yield


@contextmanager
def walked_objects(api: Api) -> Iterator[None]:
    """A queue and an exchange, as long as they are walked."""
    assert api.put("/api/queues/%2F/walked", {"durable": True}).status == 201
    assert api.put("/api/exchanges/%2F/walked", {"type": "fanout"}).status == 201
    yield
    assert api.delete("/api/queues/%2F/walked").status == 204
    assert api.delete("/api/exchanges/%2F/walked").status == 204


@pytest.fixture(scope="module")
def node(api: Api) -> str:
    name: str = api.get("/api/overview")["node"]
    return name


def url(endpoint: Endpoint, own_node: str, **names: str) -> str:
    return "/api" + filled(endpoint.path, **names).replace("NODE", part(own_node))


def test_what_is_said_of_the_routes_is_true_of_some() -> None:
    """Nothing is left of resources that are gone, and each is reached by the path that the walks have for it."""
    assert set(BODIES) == {endpoint for endpoint in ENDPOINTS if endpoint.method in ("PUT", "POST")}
    assert set(NAMES) == {name for endpoint in ENDPOINTS for name in endpoint.parts}
    assert {Endpoint(method, path) for method, path, _ in MISSING} <= set(ENDPOINTS)
    assert set(MADE) <= {path for method, path in ENDPOINTS if method == "PUT"}
    assert {path for method, path in ENDPOINTS if method == "GET"} >= PUBLIC
    for resource in RESOURCES:
        assert resource_of(filled(resource.path)) is resource


@every_resource
def test_a_method_that_there_is_not_is_refused_with_those_that_there_are(
    leveret: BrokerProcess, resource: Resource
) -> None:
    """Before anybody is asked who they are; OPTIONS says the same."""
    nobody = Api(leveret.http_port, None)
    path = "/api" + filled(resource.path)
    allowed = ", ".join(resource.methods)
    assert allowed.endswith("OPTIONS") and ("GET" in resource.methods) == allowed.startswith("HEAD, GET, ")
    for method in METHODS:
        if method not in resource.methods:
            reply = nobody.call(method, path)
            assert (reply.status, reply.headers["allow"], reply.body) == (405, allowed, b"")
    options = nobody.call("OPTIONS", path)
    assert (options.status, options.headers["allow"], options.body) == (200, allowed, b"")
    assert nobody.call("BREW", path).status == 501
    nobody.close()


@every_endpoint
def test_who_asks_has_to_say_who_they_are(api: Api, node: str, endpoint: Endpoint) -> None:
    come_as_a_stranger(api, node, endpoint, "Not_Authorized")


def come_as_a_stranger(api: Api, node: str, endpoint: Endpoint, reason: str) -> None:
    """Ask without credentials, with wrong ones and with ones that are none; a wrong password is refused so."""
    path = url(endpoint, node)
    nobody, stranger = Api(api.port, None), Api(api.port, "guest", "wrong")
    api.get("/api/whoami")  # who has just logged in rightly need not wait before failing
    mistaken = {"authorization": "Basic !"}
    replies = [nobody.call(endpoint.method, path), stranger.call(endpoint.method, path)]
    replies.append(nobody.call(endpoint.method, path, headers=mistaken))
    if endpoint.path in PUBLIC:
        assert [reply.status for reply in replies] == [200, 200, 200]
    else:
        assert [(reply.status, reply.body) for reply in replies[::2]] == [(401, b""), (400, b"")]
        assert replies[1].error == (401, "not_authorized", reason)
        assert [reply.headers.get("www-authenticate") for reply in replies] == [CHALLENGE, CHALLENGE, None]
    nobody.close()
    stranger.close()


@every_endpoint
def test_who_does_not_take_json_gets_nothing_done(api: Api, node: str, endpoint: Endpoint) -> None:
    reply = api.call(endpoint.method, url(endpoint, node), endpoint.body, {"accept": "text/html"})
    assert (reply.status, reply.body) == (406, b"")


@pytest.mark.parametrize("path", [path for method, path in ENDPOINTS if method == "GET" and path not in ENDLESS])
def test_head_is_get_without_a_body(api: Api, node: str, path: str) -> None:
    path = url(Endpoint("GET", path), node)
    got, head = api.call("GET", path), api.call("HEAD", path)
    assert (head.status, head.body) == (got.status, b"")
    assert head.headers.keys() == got.headers.keys()
    assert head.headers.get("content-type") == got.headers.get("content-type")


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in ENDPOINTS if endpoint.method in ("PUT", "POST")])
def test_a_body_that_is_no_object_changes_nothing(api: Api, node: str, endpoint: Endpoint) -> None:
    path = url(endpoint, node)
    for body, reason in NO_OBJECTS.items():
        reply = api.call(endpoint.method, path, body)
        if not endpoint.reads_body:
            assert reply.status in (204, 400), body
            assert reply.status == 204 or reply.json["reason"] == "unsupported"
        elif "definitions" in endpoint.path or endpoint.path == "/all-configuration":
            assert reply.error == (400, "bad_request", "failed_to_parse_json"), body
        else:
            assert reply.error == (400, "bad_request", reason), body
    if endpoint.path == "/vhosts/{vhost}/deletion/protection":
        assert api.delete(path).status == 204


NAMED = [
    (endpoint, name)
    for endpoint in ENDPOINTS
    for name in endpoint.parts
    if name not in FREE_PARTS and name != made_by(endpoint)
]


@pytest.mark.parametrize(("endpoint", "name"), NAMED, ids=[f"{' '.join(endpoint)} {name}" for endpoint, name in NAMED])
def test_what_is_not_there_is_not_found_whatever_it_is_called(
    api: Api, node: str, endpoint: Endpoint, name: str
) -> None:
    for odd in (NOT_THERE, *ODD_NAMES):
        if (name, odd) != ("vhost", "/"):
            look_for_what_is_not_there(api, node, endpoint, name, odd)


def look_for_what_is_not_there(api: Api, node: str, endpoint: Endpoint, name: str, odd: str) -> None:
    """Ask with this name for this part of the path, and see that nobody knows it."""
    expected = missing(endpoint, name)
    reply = api.call(endpoint.method, url(endpoint, node, **{name: part(odd)}), endpoint.body)
    assert reply.status == expected.status, odd
    if expected.error:
        assert reply.json["error"] == expected.error, odd
    if expected.reason is not None:
        assert reply.json["reason"] == expected.reason.replace("NAME", odd), odd


@every_endpoint
def test_a_path_that_is_no_path_is_a_bad_request(api: Api, node: str, endpoint: Endpoint) -> None:
    """As RabbitMQ's HTTP server has it; the name would be another one when it is asked for again."""
    for name in endpoint.parts:
        for broken in ("%", "a%2", "%zz", "%%20"):
            reply = api.call(endpoint.method, url(endpoint, node, **{name: broken}), endpoint.body)
            assert (reply.status, reply.body) == (400, b""), broken


@pytest.mark.parametrize("path", MADE)
def test_any_name_can_be_given_and_found_again(api: Api, path: str) -> None:
    component = {"component": "shovel"} if "{component}" in path else {}
    for odd in ODD_NAMES:
        if (MADE[path][0], odd) != ("vhost", "/"):
            make_and_find(api, path, odd, component)


def make_and_find(api: Api, path: str, odd: str, others: dict[str, str]) -> None:
    """Make something with this name, see that it is there, and delete it; `others` name the rest of the path."""
    name, column, listed = MADE[path]
    of_user = name == "user" and "permissions" in path
    if of_user:
        assert api.put(f"/api/users/{part(odd)}", {"password": "p", "tags": ""}).status == 201, odd
    target = "/api" + filled(path, **others, **{name: part(odd)})
    body = {**TOPIC, "exchange": odd} if "{exchange}" in path and "topic" in path else BODIES["PUT", path]
    assert [api.put(target, body).status, api.put(target, body).status] == [201, 204], odd
    shown = api.get(target)
    assert [row[column] for row in (shown if isinstance(shown, list) else [shown])] == [odd]
    assert odd in [row[column] for row in api.get("/api" + listed)]
    assert [api.delete(target).status, api.delete(target).status] == [204, 404], odd
    if of_user:
        assert api.delete(f"/api/users/{part(odd)}").status == 204
