"""Message rates through HTTP: of queues, channels, exchanges, connections, virtual hosts, and the whole broker."""

from __future__ import annotations

import time
from typing import Any

import pika

from tests.http.client import Api, part
from tests.support.broker_process import BrokerProcess

PATIENCE = 20.0  # seconds


def wait_for_rate(api: Api, path: str, *keys: str) -> Any:
    """What a path answers when the rate at these keys is above 0, which takes a second or so from the first time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer = api.get(path)
        value = answer
        for key in keys:
            value = value.get(key, {})
        if value.get("rate", 0) > 0:
            return answer
        time.sleep(0.05)
    raise AssertionError(answer)


def test_rates_are_told_where_messages_flow(api: Api, leveret: BrokerProcess) -> None:
    api.get("/api/overview")  # somebody begins to ask
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("flowing", auto_delete=True)
        for _ in range(20):
            channel.basic_publish("amq.fanout", "", b"x")  # dropped
            channel.basic_publish("", "flowing", b"x")
        channel.basic_get("flowing", auto_ack=False)
        channel.basic_consume("flowing", lambda *_: None, auto_ack=True)
        connection.process_data_events(0.01)
        queue = wait_for_rate(api, "/api/queues/%2F/flowing", "message_stats", "publish_details")
        stats = queue["message_stats"]
        assert (stats["publish"], stats["get"], stats["deliver_no_ack"], stats["deliver_get"]) == (20, 1, 19, 20)
        assert "confirm" not in stats
        assert stats["deliver_get_details"]["rate"] > 0
        assert queue["messages_details"].keys() == {"rate"}
        [row] = [row for row in api.get("/api/queues") if row["name"] == "flowing"]
        assert row["message_stats"]["publish_details"] == stats["publish_details"]
        assert "message_stats" not in api.get("/api/queues", disable_stats="true")[0]

        [connected] = api.get("/api/connections")
        assert connected["recv_oct"] > 20 and connected["recv_oct_details"]["rate"] > 0
        assert connected["recv_cnt"] > 0 and connected["send_cnt"] > 0
        [one] = api.get("/api/channels")
        assert one["message_stats"]["confirm"] == one["message_stats"]["publish"] == 40
        assert one["message_stats"]["drop_unroutable"] == 20
        assert one == {key: value for key, value in api.get(f"/api/channels/{part(one['name'])}").items() if key in one}
        exchange = api.get("/api/exchanges/%2F/amq.fanout")
        assert (exchange["message_stats"]["publish_in"], exchange["message_stats"]["publish_out"]) == (20, 0)
        [vhost] = api.get("/api/vhosts")
        assert vhost["message_stats"]["drop_unroutable"] == 20 and vhost["recv_oct"] > 0
        overview = api.get("/api/overview")
        assert overview["message_stats"]["publish_details"]["rate"] > 0
        assert overview["churn_rates"]["queue_created"] >= 1
        assert overview["queue_totals"].keys() >= {"messages", "messages_details"}

        charted = api.get("/api/queues/%2F/flowing", msg_rates_age=60, msg_rates_incr=5, lengths_age=60, lengths_incr=5)
        for details in (charted["message_stats"]["publish_details"], charted["messages_ready_details"]):
            assert details.keys() == {"rate", "samples", "avg", "avg_rate"}
            assert len(details["samples"]) == 13
            times = [sample["timestamp"] for sample in details["samples"]]
            assert times == sorted(times, reverse=True) and all(time % 5000 == 0 for time in times)
        only = api.get("/api/queues", columns="name,message_stats.publish_details.rate", sort="messages_details.rate")
        assert only[0].keys() <= {"name", "message_stats"}

        assert api.delete("/api/reset").status == 204
        assert api.get("/api/queues/%2F/flowing")["message_stats"]["publish_details"] == {"rate": 0.0}
        assert api.get("/api/queues/%2F/flowing")["message_stats"]["publish"] == 20


def test_where_nothing_happens_there_are_no_statistics(api: Api) -> None:
    api.put("/api/queues/%2F/quiet")
    queue = api.get("/api/queues/%2F/quiet")
    assert "message_stats" not in queue
    assert queue["messages_details"] == {"rate": 0.0}
    assert "message_stats" not in api.get("/api/exchanges/%2F/amq.match")
    api.delete("/api/queues/%2F/quiet")


def test_others_see_the_statistics_of_their_virtual_hosts(api: Api) -> None:
    api.put("/api/users/seer", {"password": "pw", "tags": "management"})
    api.put("/api/vhosts/seen")
    api.put("/api/permissions/seen/seer", {"configure": "", "write": "", "read": ""})
    seer = Api(api.port, "seer", "pw")
    assert seer.get("/api/overview")["message_stats"] == {}
    seer.close()
    api.delete("/api/vhosts/seen")
    api.delete("/api/users/seer")


def test_getting_through_the_api_counts_as_getting(api: Api) -> None:
    api.put("/api/queues/%2F/got")
    body = {"routing_key": "got", "properties": {}, "payload": "x", "payload_encoding": "string"}
    for _ in range(2):
        api.post("/api/exchanges/%2F/amq.default/publish", body)
    for ackmode in ("ack_requeue_true", "ack_requeue_false"):
        asked = {"count": 3, "ackmode": ackmode, "encoding": "auto"}
        assert len(api.post("/api/queues/%2F/got/get", asked).json) == 2
    stats = api.get("/api/queues/%2F/got")["message_stats"]
    assert (stats["get"], stats["get_no_ack"], stats["get_empty"]) == (2, 2, 2)
    assert (stats["deliver_get"], stats["redeliver"]) == (4, 2)
    api.delete("/api/queues/%2F/got")
