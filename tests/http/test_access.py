"""Every resource and method for every tag, with permissions in the virtual host and without.

The table has to name each endpoint of the program's route table, so that a new one without a row fails.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from leveret.broker.failed_logins import FIRST_DELAY, FREE_FAILURES
from tests.http.client import Api, part
from tests.http.live import live_client
from tests.http.routes import ENDPOINTS, endpoint_of
from tests.support.broker_process import BrokerProcess
from tests.support.raw_client import CONNECTION_TUNE, RawClient, plain, start_ok

ENDLESS = {"/api/livelog"}  # which HEAD asks for just as well
TAGS = ("", "management", "policymaker", "monitoring", "administrator")
EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
NOTHING = {"configure": "^$", "write": "^$", "read": "^$"}
REFUSED = 401

# Who is let through: with a tag alone, or with permissions for the virtual host besides.
ALL, MONITOR, ADMIN = (
    {"management", "policymaker", "monitoring", "administrator"},
    {"monitoring", "administrator"},
    {"administrator"},
)
ANYBODY = {"", *ALL}
POLICY = {"policymaker", "administrator"}
GET_MESSAGES = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
MESSAGE = {"routing_key": "", "properties": {}, "payload": "", "payload_encoding": "string"}
TOPIC = {"exchange": "x", "write": "", "read": ""}

WITHOUT_LEADERS = "quorum-queues-without-elected-leaders"
OF_LEADERS = ("all-vhosts", "all-vhosts/pattern/q", "vhost/%2F", "vhost/%2F/pattern/q")
FOR_PROBES = (
    "is-in-service",
    "ready-to-serve-clients",
    "below-node-connection-limit",
    "reached-target-cluster-size",
)

Row = tuple[str, str, Any, set[str], set[str], int]

# method, path, body; the tags that suffice, those that suffice with permissions; the status for who may
ROWS: list[Row] = [
    ("GET", "/overview", None, ALL, ALL, 200),
    ("GET", "/logs", None, ADMIN, ADMIN, 200),
    ("GET", "/livelog", None, ADMIN, ADMIN, 200),
    ("GET", "/whoami", None, ALL, ALL, 200),
    ("GET", "/nodes", None, MONITOR, MONITOR, 200),
    ("GET", "/nodes/NODE", None, MONITOR, MONITOR, 200),
    ("GET", "/nodes/NODE/memory", None, MONITOR, MONITOR, 200),
    ("GET", "/vhosts", None, ALL, ALL, 200),
    ("GET", "/vhosts/%2F", None, MONITOR, ALL, 200),
    ("PUT", "/vhosts/%2F", {}, ADMIN, ADMIN, 204),
    ("DELETE", "/vhosts/none", None, ADMIN, ADMIN, 404),
    ("POST", "/vhosts/none/deletion/protection", None, ADMIN, ADMIN, 404),
    ("DELETE", "/vhosts/none/deletion/protection", None, ADMIN, ADMIN, 404),
    ("POST", "/vhosts/%2F/start/NODE", None, ADMIN, ADMIN, 204),
    ("GET", "/vhosts/%2F/permissions", None, ADMIN, ADMIN, 200),
    ("GET", "/vhosts/%2F/topic-permissions", None, ADMIN, ADMIN, 200),
    ("GET", "/vhosts/%2F/connections", None, ADMIN, ALL, 200),
    ("GET", "/vhosts/%2F/channels", None, ADMIN, ALL, 200),
    ("GET", "/users", None, ADMIN, ADMIN, 200),
    ("GET", "/users/without-permissions", None, ADMIN, ADMIN, 200),
    ("POST", "/users/bulk-delete", {"users": []}, ADMIN, ADMIN, 204),
    ("GET", "/users/guest", None, ADMIN, ADMIN, 200),
    ("PUT", "/users/subject", {"tags": ""}, ADMIN, ADMIN, 204),
    ("DELETE", "/users/none", None, ADMIN, ADMIN, 404),
    ("GET", "/users/guest/permissions", None, ADMIN, ADMIN, 200),
    ("GET", "/users/guest/queues", None, ALL, ALL, 200),
    ("GET", "/users/guest/topic-permissions", None, ADMIN, ADMIN, 200),
    ("GET", "/permissions", None, ADMIN, ADMIN, 200),
    ("GET", "/permissions/%2F/guest", None, ADMIN, ADMIN, 200),
    ("PUT", "/permissions/%2F/guest", EVERYTHING, ADMIN, ADMIN, 204),
    ("DELETE", "/permissions/%2F/none", None, ADMIN, ADMIN, 404),
    ("GET", "/topic-permissions", None, ADMIN, ADMIN, 200),
    ("GET", "/topic-permissions/%2F/subject", None, ADMIN, ADMIN, 200),
    ("GET", "/topic-permissions/%2F/subject/x", None, ADMIN, ADMIN, 200),
    ("PUT", "/topic-permissions/%2F/subject", TOPIC, ADMIN, ADMIN, 204),
    ("PUT", "/topic-permissions/%2F/subject/x", TOPIC, ADMIN, ADMIN, 204),
    ("DELETE", "/topic-permissions/%2F/none", None, ADMIN, ADMIN, 404),
    ("DELETE", "/topic-permissions/%2F/none/x", None, ADMIN, ADMIN, 404),
    ("GET", "/queues", None, ALL, ALL, 200),
    ("GET", "/queues/detailed", None, ALL, ALL, 200),
    ("GET", "/queues/%2F", None, ADMIN, ALL, 200),
    ("GET", "/queues/%2F/subject", None, ADMIN, ALL, 200),
    ("GET", "/queues/%2F/subject/bindings", None, ADMIN, ALL, 200),
    ("PUT", "/queues/%2F/subject", {"durable": True}, set(), ALL, 204),
    ("DELETE", "/queues/%2F/subject/contents", None, set(), ALL, 204),
    ("POST", "/queues/%2F/subject/get", GET_MESSAGES, set(), ALL, 200),
    ("PUT", "/queues/%2F/subject/pause", None, set(), ALL, 204),
    ("PUT", "/queues/%2F/subject/resume", None, set(), ALL, 204),
    ("GET", "/queues/%2F/subject/unacked", None, ADMIN, ALL, 200),
    ("POST", "/queues/%2F/subject/actions", {"action": "sync"}, ADMIN, ADMIN, 400),
    ("DELETE", "/queues/%2F/none", None, ADMIN, ALL, 404),
    ("GET", "/exchanges", None, ALL, ALL, 200),
    ("GET", "/exchanges/%2F", None, ADMIN, ALL, 200),
    ("GET", "/exchanges/%2F/subject", None, ADMIN, ALL, 200),
    ("GET", "/exchanges/%2F/subject/bindings/source", None, ADMIN, ALL, 200),
    ("GET", "/exchanges/%2F/subject/bindings/destination", None, ADMIN, ALL, 200),
    ("PUT", "/exchanges/%2F/subject", {"durable": True}, set(), ALL, 204),
    ("POST", "/exchanges/%2F/subject/publish", MESSAGE, set(), ALL, 200),
    ("DELETE", "/exchanges/%2F/none", None, ADMIN, ALL, 404),
    ("GET", "/bindings", None, ALL, ALL, 200),
    ("GET", "/bindings/%2F", None, ADMIN, ALL, 200),
    ("GET", "/bindings/%2F/e/subject/q/subject", None, ADMIN, ALL, 200),
    ("POST", "/bindings/%2F/e/subject/q/subject", {"routing_key": "k"}, set(), ALL, 201),
    ("GET", "/bindings/%2F/e/subject/q/subject/k", None, ADMIN, ALL, 200),
    ("DELETE", "/bindings/%2F/e/subject/q/subject/none", None, ADMIN, ALL, 404),
    ("GET", "/connections", None, ALL, ALL, 200),
    ("GET", "/connections/CONNECTION", None, MONITOR, MONITOR, 200),
    ("GET", "/connections/CONNECTION/channels", None, MONITOR, MONITOR, 200),
    ("GET", "/connections/none", None, ALL, ALL, 404),
    ("GET", "/connections/none/channels", None, ALL, ALL, 404),
    ("DELETE", "/connections/none", None, ALL, ALL, 404),
    ("GET", "/connections/username/guest", None, MONITOR, MONITOR, 200),
    ("DELETE", "/connections/username/none", None, ADMIN, ADMIN, 204),
    ("GET", "/channels", None, ALL, ALL, 200),
    ("GET", "/channels/CONNECTION%20(1)", None, MONITOR, MONITOR, 200),
    ("GET", "/channels/none", None, ALL, ALL, 404),
    ("GET", "/consumers", None, ALL, ALL, 200),
    ("GET", "/consumers/%2F", None, ALL, ALL, 200),
    ("GET", "/definitions", None, ADMIN, ADMIN, 200),
    ("POST", "/definitions", {}, ADMIN, ADMIN, 204),
    ("GET", "/all-configuration", None, ADMIN, ADMIN, 200),
    ("POST", "/all-configuration", {}, ADMIN, ADMIN, 204),
    ("GET", "/definitions/%2F", None, ADMIN, ADMIN, 200),
    ("POST", "/definitions/%2F", {}, ADMIN, ADMIN, 204),
    ("GET", "/policies", None, ALL, ALL, 200),
    ("GET", "/policies/%2F", None, ADMIN, ALL, 200),
    ("GET", "/policies/%2F/none", None, ADMIN, POLICY, 404),
    ("PUT", "/policies/%2F/none", {}, ADMIN, POLICY, 400),
    ("DELETE", "/policies/%2F/none", None, ADMIN, POLICY, 404),
    ("GET", "/operator-policies", None, ALL, ALL, 200),
    ("GET", "/operator-policies/%2F", None, ADMIN, ALL, 200),
    ("GET", "/operator-policies/%2F/none", None, ADMIN, ADMIN, 404),
    ("PUT", "/operator-policies/%2F/none", {}, ADMIN, ADMIN, 400),
    ("DELETE", "/operator-policies/%2F/none", None, ADMIN, ADMIN, 404),
    ("GET", "/parameters", None, POLICY, POLICY, 200),
    ("GET", "/parameters/vhost-limits", None, POLICY, POLICY, 200),
    ("GET", "/parameters/vhost-limits/%2F", None, ADMIN, POLICY, 200),
    ("GET", "/parameters/vhost-limits/%2F/limits", None, ADMIN, POLICY, 404),
    ("PUT", "/parameters/vhost-limits/%2F/limits", {}, ADMIN, POLICY, 400),
    ("DELETE", "/parameters/vhost-limits/%2F/limits", None, ADMIN, POLICY, 404),
    ("GET", "/global-parameters", None, POLICY, POLICY, 200),
    ("GET", "/global-parameters/none", None, POLICY, POLICY, 404),
    ("PUT", "/global-parameters/none", {}, POLICY, POLICY, 400),
    ("DELETE", "/global-parameters/none", None, POLICY, POLICY, 404),
    ("GET", "/vhost-limits", None, ALL, ALL, 200),
    ("GET", "/vhost-limits/%2F", None, MONITOR, ALL, 200),
    ("PUT", "/vhost-limits/%2F/max-queues", {}, ADMIN, ADMIN, 400),
    ("DELETE", "/vhost-limits/%2F/max-queues", None, ADMIN, ADMIN, 204),
    ("GET", "/user-limits", None, ALL, ALL, 200),
    ("GET", "/user-limits/guest", None, ALL, ALL, 200),
    ("PUT", "/user-limits/guest/max-channels", {}, ADMIN, ADMIN, 400),
    ("DELETE", "/user-limits/guest/max-channels", None, ADMIN, ADMIN, 204),
    ("GET", "/health/checks/alarms", None, ALL, ALL, 200),
    ("GET", "/health/checks/local-alarms", None, ALL, ALL, 200),
    ("GET", "/health/checks/virtual-hosts", None, ALL, ALL, 200),
    ("GET", "/health/checks/port-listener/1", None, ALL, ALL, 503),
    ("GET", "/health/checks/protocol-listener/amqp", None, ALL, ALL, 200),
    ("GET", "/health/checks/certificate-expiration/1/months", None, ALL, ALL, 200),
    ("GET", "/health/checks/node-is-mirror-sync-critical", None, ALL, ALL, 200),
    ("GET", "/health/checks/node-is-quorum-critical", None, ALL, ALL, 200),
    ("GET", "/health/checks/metadata-store/initialized", None, ALL, ALL, 200),
    ("GET", "/health/checks/metadata-store/initialized/with-data", None, ALL, ALL, 200),
    *(("GET", f"/health/checks/{WITHOUT_LEADERS}/{path}", None, ALL, ALL, 200) for path in OF_LEADERS),
    *(("GET", f"/health/checks/{path}", None, ANYBODY, ANYBODY, 200) for path in FOR_PROBES),
    ("GET", "/version", None, ANYBODY, ANYBODY, 200),
    ("GET", "/aliveness-test/%2F", None, set(), ALL, 200),
    ("GET", "/healthchecks/node", None, ALL, ALL, 200),
    ("GET", "/healthchecks/node/NODE", None, ALL, ALL, 200),
    ("GET", "/extensions", None, ALL, ALL, 200),
    ("GET", "/feature-flags", None, ADMIN, ADMIN, 200),
    ("PUT", "/feature-flags/quorum_queue/enable", {}, ADMIN, ADMIN, 204),
    ("GET", "/cluster-name", None, ALL, ALL, 200),
    ("PUT", "/cluster-name", {}, ADMIN, ADMIN, 400),
    ("DELETE", "/reset", None, ADMIN, ADMIN, 204),
    ("DELETE", "/reset/NODE", None, ADMIN, ADMIN, 204),
    ("GET", "/auth/attempts/NODE", None, MONITOR, MONITOR, 200),
    ("DELETE", "/auth/attempts/NODE", None, MONITOR, MONITOR, 204),
    ("GET", "/auth/attempts/NODE/source", None, MONITOR, MONITOR, 200),
    ("DELETE", "/auth/attempts/NODE/source", None, MONITOR, MONITOR, 204),
    ("GET", "/deprecated-features", None, ALL, ALL, 200),
    ("GET", "/deprecated-features/used", None, ALL, ALL, 200),
    ("GET", "/config/effective", None, ADMIN, ADMIN, 200),
    ("GET", "/auth/hash_password/x", None, ADMIN, ADMIN, 200),
    ("POST", "/auth/hash_password", {"password": "x"}, ADMIN, ADMIN, 200),
]


@contextmanager
def people(api: Api, api_of: type[Api] = Api) -> Iterator[dict[tuple[str, bool], Api]]:
    """The API as seen by a user of each tag, without permissions and with all of them, and what they look at."""
    apis: dict[tuple[str, bool], Api] = {}
    for tag in TAGS:
        for permitted in (False, True):
            name = f"{tag or 'untagged'}-{permitted}"
            assert api.put(f"/api/users/{name}", {"password": "p", "tags": tag}).status == 201
            if permitted:
                assert api.put(f"/api/permissions/%2F/{name}", EVERYTHING).status == 201
            apis[tag, permitted] = api_of(api.port, name, "p")
    assert api.put("/api/users/subject", {"password": "p", "tags": ""}).status == 201
    assert api.put("/api/topic-permissions/%2F/subject", TOPIC).status == 201
    assert api.put("/api/queues/%2F/subject", {"durable": True}).status == 201
    assert api.put("/api/exchanges/%2F/subject", {"durable": True}).status == 201
    assert api.post("/api/bindings/%2F/e/subject/q/subject", {"routing_key": "k"}).status == 201
    yield apis
    for each in apis.values():
        assert api.delete(f"/api/users/{each.user}").status == 204
        each.close()
    assert api.delete("/api/users/subject").status == 204
    assert api.delete("/api/queues/%2F/subject").status == 204
    assert api.delete("/api/exchanges/%2F/subject").status == 204


@pytest.fixture(scope="module")
def users(api: Api) -> Iterator[dict[tuple[str, bool], Api]]:
    with people(api) as users:
        yield users


@pytest.fixture(scope="module")
def node(api: Api) -> str:
    name: str = api.get("/api/overview")["node"]
    return name


@pytest.fixture(scope="module")
def connection(api: Api, leveret: BrokerProcess) -> Iterator[str]:
    """The name of a connection of somebody else, as a part of a path; it has the channel 1."""
    with live_client(leveret.port):
        (row,) = api.get("/api/connections")
        yield part(row["name"])


def test_every_endpoint_has_a_row() -> None:
    asked_for = {endpoint_of(method, path) for method, path, *_ in ROWS}
    assert asked_for == set(ENDPOINTS)


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
def test_who_may(row: Row, users: dict[tuple[str, bool], Api], node: str, connection: str) -> None:
    method, path, body, by_tag, by_permission, granted = row
    path = "/api" + path.replace("NODE", node).replace("CONNECTION", connection)
    for (tag, permitted), api in users.items():
        reply = api.call("HEAD" if path in ENDLESS else method, path, body)
        may = tag in (by_permission if permitted else by_tag)
        assert reply.status == (granted if may else REFUSED), (tag, permitted, reply)
        if not may and path not in ENDLESS:
            assert reply.json["error"] == "not_authorised" and "www-authenticate" not in reply.headers


def test_who_may_hang_up_on_others(api: Api, leveret: BrokerProcess, users: dict[tuple[str, bool], Api]) -> None:
    before = {each["name"] for each in api.get("/api/connections")}
    for (tag, _), user in users.items():
        with RawClient(leveret.port) as client:
            client.log_in()
            (name,) = {each["name"] for each in api.get("/api/connections")} - before
            before.add(name)
            reply = user.delete(f"/api/connections/{part(name)}")
            if tag in ADMIN:
                assert reply.status == 204
                client.expect_connection_close(320, "Closed via management plugin")
            else:
                reason = "User not authorised to access object" if tag else "Not management user"
                assert reply.error == (REFUSED, "not_authorised", reason)
                client.log_out()


# what is shown and done with fewer permissions


def test_lists_show_what_the_user_may_use(api: Api, leveret: BrokerProcess) -> None:
    for vhost in ("mine", "theirs"):
        api.put(f"/api/vhosts/{vhost}")
        api.put(f"/api/queues/{vhost}/q")
    api.put("/api/users/limited", {"password": "p", "tags": "management"})
    api.put("/api/permissions/mine/limited", NOTHING)
    limited = Api(leveret.http_port, "limited", "p")
    assert [vhost["name"] for vhost in limited.get("/api/vhosts")] == ["mine"]
    for kind in ("queues", "exchanges", "bindings"):
        assert {row["vhost"] for row in limited.get(f"/api/{kind}")} == {"mine"}
    assert limited.get("/api/overview")["object_totals"]["queues"] == 1
    assert "listeners" not in limited.get("/api/overview")
    reason = "User not authorised to access virtual host"
    assert limited.call("GET", "/api/queues/theirs").error == (401, "not_authorised", reason)
    assert limited.call("GET", "/api/queues", headers={"x-vhost": "theirs"}).error == (401, "not_authorised", reason)
    api.put("/api/users/limited", {"password": "p", "tags": "monitoring"})
    assert {"mine", "theirs"} <= {vhost["name"] for vhost in limited.get("/api/vhosts")}
    api.delete("/api/users/limited")
    for vhost in ("mine", "theirs"):
        api.delete(f"/api/vhosts/{vhost}")


@pytest.mark.parametrize("vhost", ["chosen", "gew\u00e4hlt"])
def test_the_header_x_vhost_chooses_a_virtual_host(api: Api, vhost: str) -> None:
    api.put(f"/api/vhosts/{part(vhost)}")
    api.put(f"/api/queues/{part(vhost)}/only")
    found = api.call("GET", "/api/queues?columns=name", headers={"x-vhost": vhost.encode().decode("latin-1")}).json
    assert found == [{"name": "only"}]
    assert api.call("GET", "/api/queues", headers={"x-vhost": "none"}).status == 404
    api.delete(f"/api/vhosts/{part(vhost)}")


REFUSED_BY_PERMISSION: list[tuple[str, str, Any, str]] = [
    ("PUT", "/queues/%2F/guarded-new", {}, "Access refused."),
    ("DELETE", "/queues/%2F/guarded", None, "Access refused."),
    ("DELETE", "/queues/%2F/guarded/contents", None, "Access refused."),
    ("PUT", "/exchanges/%2F/guarded-new", {}, "Access refused."),
    ("DELETE", "/exchanges/%2F/guarded", None, "Access refused."),
    ("POST", "/bindings/%2F/e/guarded/q/guarded", {}, "Access refused."),
    ("DELETE", "/bindings/%2F/e/guarded/q/guarded/~", None, "Access refused."),
    (
        "POST",
        "/queues/%2F/guarded/get",
        GET_MESSAGES,
        "ACCESS_REFUSED - read access to queue 'guarded' in vhost '/' refused for user 'weak'",
    ),
]


def test_changes_need_permissions_too(api: Api, leveret: BrokerProcess) -> None:
    """RabbitMQ hides its reason, except where it goes through a channel."""
    api.put("/api/queues/%2F/guarded")
    api.put("/api/exchanges/%2F/guarded", {})
    assert api.post("/api/bindings/%2F/e/guarded/q/guarded", {}).status == 201
    api.put("/api/users/weak", {"password": "p", "tags": "management"})
    api.put("/api/permissions/%2F/weak", NOTHING)
    weak = Api(leveret.http_port, "weak", "p")
    for method, path, body, reason in REFUSED_BY_PERMISSION:
        reply = weak.call(method, f"/api{path}", body)
        assert reply.error == (401, "not_authorised", reason), (method, path)
    published = weak.post("/api/exchanges/%2F/guarded/publish", MESSAGE)
    text = "403 ACCESS_REFUSED - write access to exchange 'guarded' in vhost '/' refused for user 'weak'"
    assert published.error == (400, "bad_request", text)
    api.delete("/api/users/weak")
    assert api.delete("/api/queues/%2F/guarded").status == 204
    assert api.delete("/api/exchanges/%2F/guarded").status == 204
    assert api.call("GET", "/api/queues/%2F/guarded-new").status == 404


def test_failures_by_http_slow_down_amqp_too(api: Api, leveret: BrokerProcess) -> None:
    """Requests that are made side by side are looked at one after the other."""
    api.put("/api/users/guessed", {"password": "right", "tags": "management"})
    wrong = [Api(leveret.http_port, "guessed", f"wrong{number}") for number in range(FREE_FAILURES + 1)]
    with ThreadPoolExecutor(len(wrong)) as threads:
        begun = time.monotonic()
        replies = list(threads.map(lambda each: each.call("GET", "/api/whoami").status, wrong))
    assert replies == [401] * len(wrong)
    assert time.monotonic() - begun >= FIRST_DELAY * 0.99
    with RawClient(leveret.port) as client:
        client.greet()
        client.send(start_ok(response=plain("guessed", "right")))
        client.expect(CONNECTION_TUNE)
    assert time.monotonic() - begun >= 3 * FIRST_DELAY * 0.99
    right = Api(leveret.http_port, "guessed", "right")
    assert right.get("/api/whoami")["name"] == "guessed"
    for each in (*wrong, right):
        each.close()
    api.delete("/api/users/guessed")
