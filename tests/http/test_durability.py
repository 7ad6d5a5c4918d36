"""What the API has answered is on the disk: it is there after the broker is killed at that moment."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.http.client import Api
from tests.support.broker_process import BrokerProcess

EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
MESSAGE = {
    "routing_key": "k",
    "properties": {"delivery_mode": 2, "headers": {"a": [1, {"b": "c"}]}},
    "payload": "x" * 300_000,  # several frames
    "payload_encoding": "string",
}


def killed_and_started(broker: BrokerProcess) -> Api:
    broker.stop(signal.SIGKILL)
    broker.start()
    return Api(broker.http_port)


def test_every_answer_holds_over_a_kill(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        api = Api(broker.http_port)
        assert api.put("/api/vhosts/kept", {"description": "kept", "tags": "a"}).status == 201
        assert api.put("/api/users/kept", {"password": "p", "tags": "management"}).status == 201
        assert api.put("/api/permissions/kept/kept", EVERYTHING).status == 201
        assert api.put("/api/topic-permissions/kept/kept", {"exchange": "t", "write": "w", "read": "r"}).status == 201
        api = killed_and_started(broker)
        vhost = api.get("/api/vhosts/kept")
        assert (vhost["description"], vhost["tags"]) == ("kept", ["a"])
        assert api.get("/api/topic-permissions/kept/kept")[0]["write"] == "w"
        own = Api(broker.http_port, "kept", "p")
        assert own.put("/api/queues/kept/q", {"durable": True, "arguments": {"x-max-length": 5}}).status == 201
        assert own.put("/api/exchanges/kept/x", {"durable": True, "type": "topic"}).status == 201
        assert own.post("/api/bindings/kept/e/x/q/q", {"routing_key": "#"}).status == 201
        assert own.post("/api/exchanges/kept/x/publish", MESSAGE).json == {"routed": True}
        killed_and_started(broker)
        own = Api(broker.http_port, "kept", "p")
        assert own.get("/api/queues/kept/q")["arguments"] == {"x-max-length": 5}
        assert len(own.get("/api/queues/kept/q/bindings")) == 2
        (got,) = own.post(
            "/api/queues/kept/q/get", {"count": 9, "ackmode": "ack_requeue_false", "encoding": "auto"}
        ).json
        assert got["payload"] == "x" * 300_000 and got["payload_bytes"] == 300_000
        assert got["properties"] == MESSAGE["properties"]
        assert own.delete("/api/queues/kept/q").status == 204
        api = killed_and_started(broker)
        assert api.call("GET", "/api/queues/kept/q").status == 404
        assert api.delete("/api/vhosts/kept").status == 204
        assert api.delete("/api/users/kept").status == 204
        api = killed_and_started(broker)
        assert api.call("GET", "/api/vhosts/kept").status == 404
        assert [user["name"] for user in api.get("/api/users")] == ["guest"]
