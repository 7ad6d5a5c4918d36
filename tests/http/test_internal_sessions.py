"""What the API does through a channel of its own is no client's connection: neither logged as one nor counted."""

from __future__ import annotations

from pathlib import Path

from tests.http.client import Api
from tests.support.broker_process import BrokerProcess

MESSAGE = {"routing_key": "q", "properties": {}, "payload": "x", "payload_encoding": "string"}
GET = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}


def test_requests_open_no_connections(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "--log-level", "debug") as broker:
        api = Api(broker.http_port)
        assert api.put("/api/vhost-limits/%2F/max-connections", {"value": 0}).status == 204
        assert api.put("/api/queues/%2F/q", {"durable": True}).status == 201
        assert api.post("/api/exchanges/%2F/amq.default/publish", MESSAGE).json == {"routed": True}
        assert api.post("/api/queues/%2F/q/get", GET).status == 200
        assert api.put("/api/queues/%2F/q", {"durable": False}).status == 400
        churn = api.get("/api/overview")["churn_rates"]
        for name in ("connection_created", "connection_closed", "channel_created", "channel_closed"):
            assert churn[name] == 0
        assert (churn["queue_declared"], churn["queue_created"]) == (2, 1)
    log = broker.log_path.read_text()
    assert "queue 'q' added" in log
    assert "AMQP connection" not in log
