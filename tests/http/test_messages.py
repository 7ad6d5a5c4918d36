"""Publishing and getting beyond what the stories tell: odd names, dead letters, queues that AMQP clients use too."""

from __future__ import annotations

from typing import Any

import pika
import pytest

from tests.http.client import Api, part
from tests.support.broker_process import BrokerProcess

Message = dict[str, Any]


def message(key: str, payload: str = "x", **more: Any) -> Message:
    return {"routing_key": key, "properties": {}, "payload": payload, "payload_encoding": "string", **more}


def publish(api: Api, body: Message, exchange: str = "amq.default") -> Any:
    return api.post(f"/api/exchanges/%2F/{exchange}/publish", body).json


def got(api: Api, queue: str, ackmode: str = "ack_requeue_false", count: int = 100) -> list[Message]:
    body = {"count": count, "ackmode": ackmode, "encoding": "auto"}
    reply = api.post(f"/api/queues/%2F/{part(queue)}/get", body)
    assert reply.status == 200, reply
    messages: list[Message] = reply.json
    return messages


@pytest.mark.parametrize("name", ["a/b", "ü ö", "100%", "a+b", "~", "'\"", "q?x=1#y", "\u65e5\u672c", "x" * 255])
def test_any_name_will_do(api: Api, name: str) -> None:
    path = f"/api/queues/%2F/{part(name)}"
    assert api.put(path, {"auto_delete": True}).status == 201
    assert api.get(path)["name"] == name
    assert publish(api, message(name)) == {"routed": True}
    (found,) = got(api, name)
    assert found["routing_key"] == name
    (binding,) = api.get(f"{path}/bindings")
    assert api.get(f"/api/bindings/%2F/e/amq.default/q/{part(name)}/{part(binding['properties_key'])}") == binding
    assert api.delete(path).status == 204


def test_names_that_are_too_long(api: Api) -> None:
    reason = "a name or routing key is longer than 255 octets"
    assert api.put(f"/api/queues/%2F/{'x' * 256}").error == (400, "bad_request", reason)
    assert api.put(f"/api/exchanges/%2F/{part('ü' * 128)}").error == (400, "bad_request", reason)
    assert publish(api, message("k" * 256)) == {"error": "bad_request", "reason": reason}
    assert api.put(f"/api/users/{'x' * 256}", {"tags": ""}).error == (400, "bad_request", reason)


def test_half_a_character_is_no_text(api: Api) -> None:
    body = '{"routing_key":"\\ud800","properties":{},"payload":"","payload_encoding":"string"}'
    assert api.post("/api/exchanges/%2F/amq.default/publish", body).error == (400, "bad_request", "not_json")


def test_amqp_clients_and_the_api_share_their_queues(api: Api, leveret: BrokerProcess) -> None:
    api.put("/api/queues/%2F/shared")
    with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", leveret.port)) as connection:
        channel = connection.channel()
        properties = {"type": "t", "timestamp": 5, "headers": {"n": 1}, "priority": 0, "delivery_mode": 1}
        publish(api, message("shared", "from HTTP", properties=properties))
        method, found, body = channel.basic_get("shared", auto_ack=True)
        assert method is not None and body == b"from HTTP"
        assert (found.type, found.timestamp, found.headers, found.priority) == ("t", 5, {"n": 1}, 0)
        channel.basic_publish("amq.direct", "nowhere", b"")
        channel.basic_publish("", "shared", b"\xff\x00", pika.BasicProperties(app_id="a"))
        (back,) = got(api, "shared")
        assert (back["payload"], back["payload_encoding"], back["properties"]) == ("/wA=", "base64", {"app_id": "a"})
    api.delete("/api/queues/%2F/shared")


def test_messages_that_are_looked_at_stay_in_order(api: Api) -> None:
    api.put("/api/queues/%2F/ordered")
    for number in range(5):
        publish(api, message("ordered", str(number)))
    for ackmode in ("ack_requeue_true", "reject_requeue_true", "ack_requeue_true"):
        assert [found["payload"] for found in got(api, "ordered", ackmode)] == list("01234")
    taken = got(api, "ordered", count=2)
    assert [found["payload"] for found in taken] == ["0", "1"]
    assert [found["message_count"] for found in taken] == [4, 3] and taken[0]["redelivered"] is True
    assert api.get("/api/queues/%2F/ordered")["messages"] == 3
    api.delete("/api/queues/%2F/ordered")


def test_rejected_messages_are_dead_lettered(api: Api) -> None:
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    api.put("/api/queues/%2F/dead")
    api.put("/api/queues/%2F/alive", {"arguments": arguments})
    publish(api, message("alive", "letter"))
    assert len(got(api, "alive", "reject_requeue_false")) == 1 and got(api, "alive") == []
    (letter,) = got(api, "dead")
    assert letter["properties"]["headers"]["x-first-death-reason"] == "rejected"
    for queue in ("dead", "alive"):
        api.delete(f"/api/queues/%2F/{queue}")


def test_an_ackmode_has_to_be_known(api: Api) -> None:
    api.put("/api/queues/%2F/known")
    reply = api.post("/api/queues/%2F/known/get", {"count": 1, "ackmode": "maybe", "encoding": "auto"})
    assert reply.status == 400 and "ack_requeue_true" in reply.json["reason"]
    api.delete("/api/queues/%2F/known")


def test_a_durable_queue_of_another_kind(api: Api) -> None:
    body = {"durable": True, "arguments": {"x-queue-type": "quorum"}}
    assert api.put("/api/queues/%2F/voted", body).status == 201
    queue = api.get("/api/queues/%2F/voted")
    assert queue["type"] == "quorum" and queue["members"] == queue["online"] == [queue["leader"]] == [queue["node"]]
    assert api.delete("/api/queues/%2F/voted", **{"if-unused": "true"}).status == 400
    assert api.delete("/api/queues/%2F/voted").status == 204
