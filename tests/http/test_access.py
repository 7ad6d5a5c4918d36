"""Every resource and method for every tag, with permissions in the virtual host and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.http.client import Api
from tests.support.broker_process import BrokerProcess

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
POLICY = {"policymaker", "administrator"}
GET_MESSAGES = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
MESSAGE = {"routing_key": "", "properties": {}, "payload": "", "payload_encoding": "string"}
TOPIC = {"exchange": "x", "write": "", "read": ""}

Row = tuple[str, str, Any, set[str], set[str], int]

# method, path, body; the tags that suffice, those that suffice with permissions; the status for who may
ROWS: list[Row] = [
    ("GET", "/overview", None, ALL, ALL, 200),
    ("GET", "/logs", None, ADMIN, ADMIN, 200),
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
    ("GET", "/connections/username/guest", None, MONITOR, MONITOR, 200),
    ("DELETE", "/connections/username/none", None, ADMIN, ADMIN, 204),
    ("GET", "/channels", None, ALL, ALL, 200),
    ("GET", "/consumers", None, ALL, ALL, 200),
    ("GET", "/consumers/%2F", None, ALL, ALL, 200),
    ("GET", "/definitions", None, ADMIN, ADMIN, 200),
    ("POST", "/definitions", {}, ADMIN, ADMIN, 204),
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
    ("GET", "/aliveness-test/%2F", None, set(), ALL, 200),
    ("GET", "/healthchecks/node", None, ALL, ALL, 200),
    ("GET", "/extensions", None, ALL, ALL, 200),
    ("GET", "/feature-flags", None, ADMIN, ADMIN, 200),
    ("PUT", "/feature-flags/quorum_queue/enable", {}, ADMIN, ADMIN, 204),
    ("GET", "/cluster-name", None, ALL, ALL, 200),
    ("PUT", "/cluster-name", {}, ADMIN, ADMIN, 400),
    ("DELETE", "/reset", None, ADMIN, ADMIN, 204),
    ("GET", "/auth/attempts/NODE", None, MONITOR, MONITOR, 200),
    ("GET", "/deprecated-features", None, ALL, ALL, 200),
    ("GET", "/config/effective", None, ADMIN, ADMIN, 200),
    ("GET", "/auth/hash_password/x", None, ADMIN, ADMIN, 200),
]


@pytest.fixture(scope="module")
def users(api: Api, leveret: BrokerProcess) -> Iterator[dict[tuple[str, bool], Api]]:
    """The API as seen by a user of each tag, without permissions and with all of them."""
    apis: dict[tuple[str, bool], Api] = {}
    for tag in TAGS:
        for permitted in (False, True):
            name = f"{tag or 'untagged'}-{permitted}"
            assert api.put(f"/api/users/{name}", {"password": "p", "tags": tag}).status == 201
            if permitted:
                assert api.put(f"/api/permissions/%2F/{name}", EVERYTHING).status == 201
            apis[tag, permitted] = Api(leveret.http_port, name, "p")
    assert api.put("/api/users/subject", {"tags": ""}).status == 201
    assert api.put("/api/topic-permissions/%2F/subject", TOPIC).status == 201
    assert api.put("/api/queues/%2F/subject", {"durable": True}).status == 201
    assert api.put("/api/exchanges/%2F/subject", {"durable": True}).status == 201
    assert api.post("/api/bindings/%2F/e/subject/q/subject", {"routing_key": "k"}).status == 201
    yield apis
    for each in apis.values():
        each.close()


@pytest.fixture(scope="module")
def node(api: Api) -> str:
    name: str = api.get("/api/overview")["node"]
    return name


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
def test_who_may(row: Row, users: dict[tuple[str, bool], Api], node: str) -> None:
    method, path, body, by_tag, by_permission, granted = row
    for (tag, permitted), api in users.items():
        reply = api.call(method, f"/api{path.replace('NODE', node)}", body)
        may = tag in (by_permission if permitted else by_tag)
        assert reply.status == (granted if may else REFUSED), (tag, permitted, reply)
        if not may:
            assert reply.json["error"] == "not_authorised" and "www-authenticate" not in reply.headers


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


def test_the_header_x_vhost_chooses_a_virtual_host(api: Api) -> None:
    api.put("/api/vhosts/chosen")
    api.put("/api/queues/chosen/only")
    found = api.call("GET", "/api/queues?columns=name", headers={"x-vhost": "chosen"}).json
    assert found == [{"name": "only"}]
    assert api.call("GET", "/api/queues", headers={"x-vhost": "none"}).status == 404
    api.delete("/api/vhosts/chosen")


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
