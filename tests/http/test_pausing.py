"""Pausing and resuming a queue, and what is out of it unacknowledged, as LavinMQ has them."""

from __future__ import annotations

import signal
from pathlib import Path

import pika
import pytest

from tests.http.client import Api
from tests.http.story import NOT_FOUND
from tests.support.broker_process import BrokerProcess

GET = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}


@pytest.mark.parametrize("arguments", [{}, {"x-single-active-consumer": True}, {"x-max-priority": 5}])
def test_a_paused_queue_keeps_its_messages(api: Api, leveret: BrokerProcess, arguments: dict[str, int | bool]) -> None:
    delivered: list[tuple[int, bytes]] = []
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("pausing", auto_delete=True, arguments=arguments)
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume("pausing", lambda c, m, p, body: delivered.append((m.delivery_tag, body)))
        channel.basic_publish("", "pausing", b"before")
        while len(delivered) < 1:
            connection.process_data_events(1)
        for _ in range(2):
            assert api.put("/api/queues/%2F/pausing/pause").status == 204
        assert api.get("/api/queues/%2F/pausing")["state"] == "paused"
        channel.basic_consume("pausing", lambda c, m, p, body: delivered.append((m.delivery_tag, body)), auto_ack=True)
        for number in range(3):
            channel.basic_publish("", "pausing", b"%d" % number)
        channel.basic_ack(delivered[0][0])  # a consumer that was parked has room again
        assert channel.basic_get("pausing") == (None, None, None)
        assert channel.queue_declare("pausing", passive=True).method.message_count == 3
        assert len(delivered) == 1
        [shown] = api.post("/api/queues/%2F/pausing/get", GET).json  # people may look into it all the same
        assert shown["payload"] == "0"
        for _ in range(2):
            assert api.put("/api/queues/%2F/pausing/resume").status == 204
        assert api.get("/api/queues/%2F/pausing")["state"] == "running"
        while len(delivered) < 3:
            connection.process_data_events(1)
            channel.basic_ack(0, multiple=True)
        assert sorted(body for _, body in delivered) == [b"1", b"2", b"before"]


def test_consumers_come_and_go_while_a_queue_is_paused(api: Api, leveret: BrokerProcess) -> None:
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("coming")
        first = channel.basic_consume("coming", lambda *_: None, auto_ack=True, arguments={"x-priority": 9})
        api.put("/api/queues/%2F/coming/pause")
        channel.basic_publish("", "coming", b"")
        assert channel.queue_declare("coming", passive=True).method.message_count == 1
        assert api.get("/api/queues/%2F/coming")["consumer_capacity"] == 0
        channel.basic_cancel(first)
        delivered: list[bytes] = []
        channel.basic_consume("coming", lambda c, m, p, body: delivered.append(body), auto_ack=True)
        assert channel.queue_declare("coming", passive=True).method.message_count == 1
        api.put("/api/queues/%2F/coming/resume")
        while not delivered:
            connection.process_data_events(1)
        channel.queue_delete("coming")


def test_what_pausing_asks_for(api: Api, leveret: BrokerProcess) -> None:
    for path in ("/api/queues/%2F/nosuch/pause", "/api/queues/%2F/nosuch/resume", "/api/queues/nosuch/q/pause"):
        reply = api.put(path)
        assert (reply.status, reply.json) == (404, NOT_FOUND)
    assert api.call("GET", "/api/queues/%2F/nosuch/unacked").status == 404
    assert api.call("GET", "/api/queues/%2F/nosuch/pause").status == 405
    api.put("/api/users/reader", {"password": "p", "tags": "management"})
    api.put("/api/permissions/%2F/reader", {"configure": "", "write": "", "read": ".*"})
    api.put("/api/queues/%2F/paused", {"auto_delete": True})
    reader = Api(leveret.http_port, "reader", "p")
    assert reader.put("/api/queues/%2F/paused/pause").error == (401, "not_authorised", "Access refused.")
    assert api.get("/api/queues/%2F/paused")["state"] == "running"
    api.delete("/api/users/reader")
    api.delete("/api/queues/%2F/paused")


def test_a_durable_queue_is_still_paused_after_a_kill(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        api = Api(broker.http_port)
        for name in ("kept", "resumed"):
            api.put(f"/api/queues/%2F/{name}", {"durable": True})
            assert api.put(f"/api/queues/%2F/{name}/pause").status == 204
        assert api.put("/api/queues/%2F/resumed/resume").status == 204
        broker.stop(signal.SIGKILL)
        broker.start()
        api = Api(broker.http_port)
        states = {queue["name"]: queue["state"] for queue in api.get("/api/queues")}
        assert states == {"kept": "paused", "resumed": "running"}
        assert [queue["name"] for queue in api.get("/api/users/guest/queues")] == ["kept", "resumed"]
        with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            delivered: list[bytes] = []
            channel.basic_consume("kept", lambda c, m, p, body: delivered.append(body), auto_ack=True)
            channel.basic_publish("", "kept", b"x")
            assert channel.queue_declare("kept", passive=True).method.message_count == 1
            assert delivered == []
            api.put("/api/queues/%2F/kept/resume")
            while not delivered:
                connection.process_data_events(1)


def test_unacknowledged_deliveries(api: Api, leveret: BrokerProcess) -> None:
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for name in ("out", "other"):
            channel.queue_declare(name, auto_delete=True)
            for _ in range(4):
                channel.basic_publish("", name, b"")
        channel.basic_get("other")
        channel.basic_qos(prefetch_count=3)
        delivered: list[int] = []
        channel.basic_consume("out", lambda c, m, p, b: delivered.append(m.delivery_tag), consumer_tag="tag")
        while len(delivered) < 3:
            connection.process_data_events(1)
        other = connection.channel()
        other.basic_get("out")
        channel.basic_ack(delivered[0])  # there is no other to take its place
        channel.queue_declare("out", passive=True)
        [one, two, got] = api.get("/api/queues/%2F/out/unacked", columns="delivery_tag,consumer_tag")
        assert (one, two) == (
            {"delivery_tag": delivered[1], "consumer_tag": "tag"},
            {"delivery_tag": delivered[2], "consumer_tag": "tag"},
        )
        assert got == {"delivery_tag": 1, "consumer_tag": "Basic get"}
        names = {row["name"] for row in api.get("/api/channels")}
        rows = api.get("/api/queues/%2F/out/unacked")
        assert {row["channel_name"] for row in rows} == names
        assert all(0 <= row["unacked_for_seconds"] < 20 and isinstance(row["unacked_for_seconds"], int) for row in rows)
        page = api.get("/api/queues/%2F/out/unacked", page=1, page_size=1, name="TAG", sort="delivery_tag")
        assert (page["total_count"], page["filtered_count"], page["item_count"]) == (3, 2, 1)
        assert page["items"][0]["delivery_tag"] == delivered[1]
        assert len(api.get("/api/queues/%2F/other/unacked")) == 1
        channel.queue_delete("other")
