"""/vhosts, /overview, /nodes: the whole and its parts."""

from __future__ import annotations

import pytest

from tests.http.client import Api, part
from tests.support.broker_process import BrokerProcess
from tests.support.raw_client import RawClient


def test_a_virtual_host_is_made_changed_and_deleted(api: Api) -> None:
    path = f"/api/vhosts/{part('a/b ü')}"
    assert api.put(path).status == 201
    assert api.put(path, {"description": "what for", "tags": "one, two", "default_queue_type": "quorum"}).status == 204
    vhost = api.get(path)
    assert vhost["name"] == "a/b ü" and vhost["description"] == "what for" and vhost["tags"] == ["one", "two"]
    assert vhost["default_queue_type"] == "quorum"
    assert vhost["metadata"] == {
        "description": "what for",
        "tags": ["one", "two"],
        "default_queue_type": "quorum",
        "protected_from_deletion": False,
    }
    assert api.put(path, {"tags": ["three"]}).status == 204
    assert (api.get(path)["tags"], api.get(path)["description"]) == (["three"], "what for")
    assert "a/b ü" in [each["name"] for each in api.get("/api/vhosts")]
    assert api.delete(path).status == 204
    assert api.delete(path).error == (404, "Object Not Found", "Not Found")


def test_a_protected_virtual_host_is_not_deleted(api: Api) -> None:
    protected = {"name": "kept", "metadata": {"description": "", "tags": [], "protected_from_deletion": True}}
    assert api.post("/api/definitions", {"vhosts": [protected]}).status == 204
    reason = "Refusing to delete virtual host 'kept' because it is protected from deletion"
    assert api.delete("/api/vhosts/kept").error == (412, "precondition_failed", reason)
    [exported] = [each for each in api.get("/api/definitions")["vhosts"] if each["name"] == "kept"]
    assert exported["metadata"]["protected_from_deletion"] is True
    protected["metadata"] = {"protected_from_deletion": False}
    assert api.post("/api/definitions", {"vhosts": [protected]}).status == 204
    assert api.delete("/api/vhosts/kept").status == 204


def test_who_makes_a_virtual_host_may_do_everything_in_it(api: Api) -> None:
    api.put("/api/vhosts/made")
    assert api.get("/api/vhosts/made/permissions") == [
        {"user": "guest", "vhost": "made", "configure": ".*", "write": ".*", "read": ".*"}
    ]
    api.delete("/api/vhosts/made")
    assert "made" not in [each["vhost"] for each in api.get("/api/permissions")]


def test_a_default_queue_type_has_to_be_one(api: Api) -> None:
    reply = api.put("/api/vhosts/typed", {"default_queue_type": "paper"})
    assert (reply.status, reply.json["error"]) == (400, "bad_request")
    assert api.call("GET", "/api/vhosts/typed").status == 404


def test_a_virtual_host_may_be_protected_from_deletion(api: Api) -> None:
    api.put("/api/vhosts/precious")
    assert api.post("/api/vhosts/precious/deletion/protection").status == 204
    assert api.get("/api/vhosts/precious")["protected_from_deletion"] is True
    reason = "Refusing to delete virtual host 'precious' because it is protected from deletion"
    assert api.delete("/api/vhosts/precious").error == (412, "precondition_failed", reason)
    assert api.delete("/api/vhosts/precious/deletion/protection").status == 204
    assert api.delete("/api/vhosts/precious").status == 204
    for method in ("POST", "DELETE"):
        assert api.call(method, "/api/vhosts/precious/deletion/protection").status == 404


def test_tracing_is_switched(api: Api) -> None:
    path = "/api/vhosts/traced"
    assert api.put(path, {"tracing": True}).status == 201
    for body, on in (({"description": "x"}, True), ({"tracing": "false"}, False), ({"tracing": "true"}, True)):
        assert api.put(path, body).status == 204
        assert api.get(path)["tracing"] is on
    assert api.put(path, {"tracing": "x"}).error == (400, "bad_request", ["not_boolean", "x"])
    api.delete(path)


def test_messages_are_counted(api: Api) -> None:
    api.put("/api/vhosts/counted")
    api.put("/api/queues/counted/q")
    message = {"routing_key": "q", "properties": {}, "payload": "x", "payload_encoding": "string"}
    for _ in range(3):
        assert api.post("/api/exchanges/counted/amq.default/publish", message).json == {"routed": True}
    vhost = api.get("/api/vhosts/counted")
    assert [vhost[name] for name in ("messages", "messages_ready", "messages_unacknowledged")] == [3, 3, 0]
    assert api.get("/api/overview")["queue_totals"]["messages"] >= 3
    api.delete("/api/vhosts/counted")


def test_connections_of_a_deleted_virtual_host_are_closed(api: Api, leveret: BrokerProcess) -> None:
    api.put("/api/vhosts/short-lived")
    with RawClient(leveret.port) as client:
        client.log_in(vhost="short-lived")
        assert len(api.get("/api/vhosts/short-lived/connections")) == 1
        assert api.delete("/api/vhosts/short-lived").status == 204
        client.expect_connection_close(320)


def test_starting_a_virtual_host_that_runs(api: Api) -> None:
    node = api.get("/api/overview")["node"]
    assert api.post(f"/api/vhosts/%2F/start/{node}").status == 204
    assert api.post("/api/vhosts/%2F/start/other@host").status == 400
    assert api.post(f"/api/vhosts/none/start/{node}").status == 400


def test_the_overview(api: Api, leveret: BrokerProcess) -> None:
    overview = api.get("/api/overview")
    assert overview["product_name"] == "Leveret" and overview["rabbitmq_version"].startswith("4.")
    assert {listener["protocol"]: listener["port"] for listener in overview["listeners"]} == {
        "amqp": leveret.port,
        "http": leveret.http_port,
        "http/prometheus": leveret.metrics_port,
    }
    assert overview["contexts"][0]["port"] == str(leveret.http_port)
    assert set(overview["object_totals"]) == {"channels", "connections", "consumers", "exchanges", "queues"}
    assert {kind["name"] for kind in overview["exchange_types"]} >= {"direct", "fanout", "headers", "topic"}


def test_the_node(api: Api) -> None:
    name = api.get("/api/overview")["node"]
    (node,) = api.get("/api/nodes")
    assert node["name"] == name and node["running"] is True and node["mem_alarm"] is False
    assert node["mem_limit"] > node["mem_used"] > 1_000_000 and node["disk_free"] > 0 and node["uptime"] > 0
    assert api.get(f"/api/nodes/{name}", columns="name") == {"name": name}
    assert api.get(f"/api/nodes/{name}/memory")["memory"]["total"]["rss"] > 1_000_000
    for path in ("/api/nodes/other@host", "/api/nodes/other@host/memory"):
        assert api.call("GET", path).status == 404


@pytest.mark.parametrize("path", ["permissions", "topic-permissions", "connections", "channels"])
def test_parts_of_a_virtual_host_that_is_not_there(api: Api, path: str) -> None:
    assert api.call("GET", f"/api/vhosts/none/{path}").error == (404, "Object Not Found", "Not Found")
