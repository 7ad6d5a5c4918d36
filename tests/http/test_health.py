"""Health checks, and what else probes and tools ask for."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from tests.http.client import Api
from tests.support.broker_process import BrokerProcess
from tests.support.raw_client import RawClient

OK = {"status": "ok"}
PUBLIC = ("is-in-service", "ready-to-serve-clients", "below-node-connection-limit", "reached-target-cluster-size")


@pytest.mark.parametrize(
    "path",
    [
        "alarms",
        "local-alarms",
        "virtual-hosts",
        "certificate-expiration/1/months",
        "metadata-store/initialized",
        "metadata-store/initialized/with-data",
        "quorum-queues-without-elected-leaders/all-vhosts",
        "quorum-queues-without-elected-leaders/vhost/%2F/pattern/.*",
        *PUBLIC,
    ],
)
def test_all_is_well(api: Api, path: str) -> None:
    assert api.get(f"/api/health/checks/{path}") == OK


def test_a_single_node_is_never_critical(api: Api) -> None:
    for path in ("node-is-quorum-critical", "node-is-mirror-sync-critical"):
        assert api.get(f"/api/health/checks/{path}") == {**OK, "reason": "single node cluster"}


def test_newer_checks_are_for_everybody_and_older_ones_are_not(api: Api) -> None:
    nobody = Api(api.port, None)
    for path in PUBLIC:
        assert nobody.get(f"/api/health/checks/{path}") == OK
    assert nobody.get("/api/version") == "4.3.5"
    for path in ("/api/health/checks/alarms", "/api/healthchecks/node", "/api/aliveness-test/%2F", "/api/extensions"):
        assert nobody.call("GET", path).status == 401
    nobody.close()


def test_listeners(api: Api, leveret: BrokerProcess) -> None:
    ports = [leveret.port, leveret.http_port, leveret.metrics_port]
    for port in ports:
        assert api.get(f"/api/health/checks/port-listener/{port}") == {**OK, "port": port}
    reply = api.call("GET", "/api/health/checks/port-listener/1")
    failure = {"status": "failed", "reason": "No active listener"}
    assert (reply.status, reply.json) == (503, {**failure, "missing": 1, "ports": ports})
    assert api.call("GET", "/api/health/checks/port-listener/abc").error == (400, "bad_request", "Invalid port")
    for protocol in ("amqp", "http", "amqp,http", "amqp0.9.1"):
        assert api.get(f"/api/health/checks/protocol-listener/{protocol}") == {**OK, "protocol": protocol}
    reply = api.call("GET", "/api/health/checks/protocol-listener/mqtt,amqp")
    assert (reply.status, reply.json) == (
        503,
        {**failure, "missing": "mqtt", "protocols": ["amqp", "http", "http/prometheus"]},
    )


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("x/months", "Invalid expiration value."),
        ("1/fortnights", "Time unit not recognised. Supported units: days, weeks, months, years."),
    ],
)
def test_expirations_that_make_no_sense(api: Api, path: str, reason: str) -> None:
    reply = api.call("GET", f"/api/health/checks/certificate-expiration/{path}")
    assert reply.error == (400, "bad_request", reason)


def test_an_alarm_is_told(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "--disk-free-limit", "1EiB") as process:
        api = Api(process.http_port)
        node = api.get("/api/overview")["node"]
        for path, place in (("alarms", "in the cluster"), ("local-alarms", "on the node")):
            reply = api.call("GET", f"/api/health/checks/{path}")
            assert (reply.status, reply.json) == (
                503,
                {
                    "status": "failed",
                    "reason": f"There are alarms in effect {place}",
                    "alarms": [{"node": node, "resource": "disk"}],
                },
            )
        for path in ("/api/healthchecks/node", f"/api/healthchecks/node/{node}"):
            assert api.call("GET", path).status == 503
        api.close()


def test_a_node_that_is_full(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "--connection-max", "1") as process:
        api = Api(process.http_port, None)
        with RawClient(process.port) as client:
            client.log_in()
            for path in ("ready-to-serve-clients", "below-node-connection-limit"):
                reply = api.call("GET", f"/api/health/checks/{path}")
                failure = {"status": "failed", "reason": "node connection limit is reached", "connections": 1}
                assert (reply.status, reply.json) == (503, failure)
        api.close()


def test_older_checks(api: Api) -> None:
    node = api.get("/api/overview")["node"]
    assert api.get("/api/healthchecks/node") == api.get(f"/api/healthchecks/node/{node}") == OK
    assert api.call("GET", "/api/healthchecks/node/elsewhere").status == 404


def test_the_test_of_aliveness(api: Api) -> None:
    for _ in range(2):
        assert api.get("/api/aliveness-test/%2F") == OK
    queue = api.get("/api/queues/%2F/aliveness-test")
    assert (queue["messages"], queue["durable"]) == (0, False)
    assert api.call("GET", "/api/aliveness-test/nowhere").status == 404
    api.put("/api/users/weak", {"password": "pw", "tags": "management"})
    api.put("/api/permissions/%2F/weak", {"configure": "", "write": "", "read": ""})
    weak = Api(api.port, "weak", "pw")
    assert weak.call("GET", "/api/aliveness-test/%2F").status == 401
    weak.close()
    api.delete("/api/users/weak")
    api.delete("/api/queues/%2F/aliveness-test")


def test_the_test_of_aliveness_fails_if_nothing_comes_back(api: Api) -> None:
    nothing = {"pattern": "^aliveness-test$", "definition": {"max-length": 0}}
    assert api.put("/api/policies/%2F/nothing", nothing).status == 201
    reply = api.call("GET", "/api/aliveness-test/%2F")
    assert (reply.status, reply.json) == (503, {"status": "failed", "reason": "no message was received"})
    assert api.delete("/api/policies/%2F/nothing").status == 204
    assert api.get("/api/aliveness-test/%2F") == OK
    assert api.delete("/api/queues/%2F/aliveness-test").status == 204


def test_a_node_without_virtual_hosts_has_no_data(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as process:
        api = Api(process.http_port)
        assert api.delete("/api/vhosts/%2F").status == 204
        reply = api.call("GET", "/api/health/checks/metadata-store/initialized/with-data")
        reason = "Metadata store has not yet been initialized: has no users and/or virtual hosts"
        assert (reply.status, reply.json) == (503, {"status": "failed", "reason": reason})
        assert api.get("/api/health/checks/metadata-store/initialized") == OK
        api.close()


def test_features(api: Api) -> None:
    flags = api.get("/api/feature-flags")
    assert {flag["state"] for flag in flags} == {"enabled"}
    assert set(flags[0]) == {"name", "desc", "doc_url", "state", "stability", "provided_by"}
    assert api.put("/api/feature-flags/quorum_queue/enable", {}).status == 204
    assert api.put("/api/feature-flags/time_travel/enable", {}).error == (400, "bad_request", "unsupported")
    assert api.get("/api/extensions") == [{"javascript": "dispatcher.js"}]


def test_deprecated_features_that_are_used(api: Api) -> None:
    api.put("/api/vhosts/deprecated")
    names = {feature["name"] for feature in api.get("/api/deprecated-features")}
    assert "transient_nonexcl_queues" in names
    assert api.get("/api/deprecated-features/used") == []
    api.put("/api/queues/deprecated/q", {"durable": False})
    assert [each["name"] for each in api.get("/api/deprecated-features/used")] == ["transient_nonexcl_queues"]
    api.delete("/api/vhosts/deprecated")


def test_the_name_of_the_cluster(api: Api, leveret: BrokerProcess) -> None:
    node = api.get("/api/overview")["node"]
    assert api.get("/api/cluster-name") == {"name": node}
    assert api.put("/api/cluster-name", {"name": "production"}).status == 204
    assert api.get("/api/cluster-name") == {"name": "production"}
    assert api.get("/api/overview")["cluster_name"] == "production"
    assert api.put("/api/cluster-name", {}).error == (400, "bad_request", "[{key_missing,name}]")
    api.delete("/api/global-parameters/cluster_name")
    assert api.get("/api/cluster-name") == {"name": node}


def test_hashes_of_passwords(api: Api) -> None:
    found = api.get("/api/auth/hash_password/s3cret")["ok"]
    assert api.put("/api/users/hashed", {"password_hash": found, "tags": "management"}).status == 201
    user = Api(api.port, "hashed", "s3cret")
    assert user.get("/api/whoami")["name"] == "hashed"
    user.close()
    assert api.post("/api/auth/hash_password", {"password": "x"}).json["ok"] != found
    assert api.post("/api/auth/hash_password", {"password": 5}).status == 400
    api.delete("/api/users/hashed")


def test_attempts_to_log_in(api: Api, leveret: BrokerProcess) -> None:
    path = f"/api/auth/attempts/{api.get('/api/overview')['node']}"
    assert api.delete(path).status == 204
    wrong = Api(api.port, "guest", "wrong")
    assert wrong.call("GET", "/api/whoami").status == 401
    wrong.close()
    with RawClient(leveret.port) as client:
        client.log_in()
    counts = {each.pop("protocol"): each for each in api.get(path)}
    assert counts["amqp091"] == {"auth_attempts": 1, "auth_attempts_failed": 0, "auth_attempts_succeeded": 1}
    assert counts["http"]["auth_attempts_failed"] == 1
    assert api.get(f"{path}/source") == []
    assert api.call("GET", "/api/auth/attempts/elsewhere").status == 404


def test_the_configuration(api: Api) -> None:
    reply = api.call("GET", "/api/config/effective")
    assert reply.headers["content-type"].startswith("text/plain")
    assert "channel_max = 2047" in reply.body.decode().splitlines()


def test_a_text_is_json_too(leveret: BrokerProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", leveret.http_port)
    connection.request("GET", "/api/version")
    assert json.loads(connection.getresponse().read()) == "4.3.5"
    connection.close()
