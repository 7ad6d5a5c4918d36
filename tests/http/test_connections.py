"""/connections, /channels and /consumers while clients are at work, and hanging up on them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pika
import pytest

from tests.http.client import Api, part
from tests.http.live import EXCLUSIVE, QUEUE, TAG, live_client
from tests.support.broker_process import BrokerProcess
from tests.support.raw_client import RawClient

PATIENCE = 10.0  # seconds


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def live(leveret: BrokerProcess) -> Iterator[pika.BlockingConnection]:
    with live_client(leveret.port) as connection:
        yield connection


@pytest.fixture(scope="module")
def name(api: Api, live: pika.BlockingConnection) -> str:
    """The name of the live client's connection."""
    (connection,) = api.get("/api/connections")
    found: str = connection["name"]
    return found


def test_the_connection(api: Api, leveret: BrokerProcess, name: str) -> None:
    connection = api.get(f"/api/connections/{part(name)}")
    assert connection["user_provided_name"] == "live" and connection["user"] == "guest"
    assert connection["auth_mechanism"] == "PLAIN" and connection["protocol"] == "AMQP 0-9-1"
    assert connection["port"] == leveret.port and connection["peer_host"] == "127.0.0.1"
    assert connection["state"] == "running" and connection["channels"] == 1 and connection["ssl"] is False
    assert connection["client_properties"]["capabilities"]["basic.nack"] is True
    assert connection["recv_oct"] > 100 and connection["send_oct"] > 100
    assert abs(connection["connected_at"] / 1000 - time.time()) < 600


def test_the_channel(api: Api, name: str) -> None:
    channel = api.get(f"/api/channels/{part(f'{name} (1)')}")
    assert channel["number"] == 1 and channel["confirm"] is True and channel["consumer_count"] == 2
    assert channel["messages_unacknowledged"] == 3 and channel["prefetch_count"] == 7
    assert channel["connection_details"]["name"] == name
    assert channel["message_stats"]["publish"] == 3 and channel["message_stats"]["deliver"] == 3
    assert {consumer["queue"]["name"] for consumer in channel["consumer_details"]} == {QUEUE, EXCLUSIVE}
    by_connection = api.get(f"/api/connections/{part(name)}/channels")
    by_vhost = api.get("/api/vhosts/%2F/channels")
    assert [each["name"] for each in by_connection] == [each["name"] for each in by_vhost] == [f"{name} (1)"]


@pytest.mark.parametrize("channel", ["none", "none (1)", "NAME (2)", "NAME (x)", "NAME 1", "NAME ()"])
def test_channels_that_are_not_there(api: Api, name: str, channel: str) -> None:
    assert api.call("GET", f"/api/channels/{part(channel.replace('NAME', name))}").status == 404


def test_the_consumers(api: Api, name: str) -> None:
    consumers = {each["queue"]["name"]: each for each in api.get("/api/consumers/%2F")}
    assert consumers[QUEUE]["consumer_tag"] == TAG and consumers[QUEUE]["arguments"] == {"x-priority": 3}
    assert consumers[QUEUE]["ack_required"] is True and consumers[EXCLUSIVE]["ack_required"] is False
    assert consumers[EXCLUSIVE]["activity_status"] == "single_active"
    assert consumers[QUEUE]["channel_details"]["connection_name"] == name
    assert consumers[QUEUE]["consumer_timeout"] == 0  # milliseconds; there is none


def test_the_timeout_of_a_consumer(api: Api, live: pika.BlockingConnection) -> None:
    channel = live.channel()
    channel.queue_declare("timed", durable=True, arguments={"x-queue-type": "quorum", "x-consumer-timeout": 90000})
    channel.basic_consume("timed", lambda *_: None, consumer_tag="timed")
    (consumer,) = [each for each in api.get("/api/consumers") if each["consumer_tag"] == "timed"]
    assert consumer["consumer_timeout"] == 90000
    channel.queue_delete("timed")
    channel.close()


def test_the_queues_of_the_connection(api: Api, name: str) -> None:
    queue = api.get(f"/api/queues/%2F/{QUEUE}")
    assert [queue[key] for key in ("messages", "messages_ready", "messages_unacknowledged")] == [3, 0, 3]
    assert queue["message_bytes"] == 15 and queue["consumers"] == 1
    assert None not in [value for name, value in queue.items() if name.startswith("message")]
    assert queue["consumer_details"][0]["consumer_tag"] == TAG
    exclusive = api.get(f"/api/queues/%2F/{EXCLUSIVE}")
    assert exclusive["exclusive"] is True and exclusive["owner_pid_details"]["name"] == name
    assert exclusive["single_active_consumer_tag"].startswith("ctag")
    locked = api.put(f"/api/queues/%2F/{EXCLUSIVE}", {})
    assert locked.status == 400 and "locked queue" in locked.json["reason"]


def test_a_page_of_connections(api: Api, name: str) -> None:
    page = api.get("/api/connections", page=1, name=name.partition(" ")[0], columns="name")
    assert page["items"] == [{"name": name}]
    assert api.get("/api/connections/username/guest")[0].keys() == {"name", "vhost", "user", "node"}


def test_users_see_and_close_their_own(api: Api, leveret: BrokerProcess, name: str) -> None:
    api.put("/api/users/own", {"password": "p", "tags": "management"})
    api.put("/api/permissions/%2F/own", {"configure": "", "write": "", "read": ""})
    own = Api(leveret.http_port, "own", "p")
    credentials = pika.PlainCredentials("own", "p")
    client = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", leveret.port, credentials=credentials))
    client.channel()
    (mine,) = own.get("/api/connections")
    assert mine["user"] == "own" and len(own.get("/api/channels")) == 1 and own.get("/api/consumers") == []
    assert len(api.get("/api/connections")) == 2
    for path in (f"/api/connections/{part(name)}", f"/api/channels/{part(name + ' (1)')}"):
        assert own.call("GET", path).error == (401, "not_authorised", "User not authorised to access object")
    assert own.delete(f"/api/connections/{part(name)}").status == 401
    assert own.get("/api/overview")["object_totals"]["connections"] == 1
    assert own.delete("/api/connections/username/own").status == 204
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker, match="Closed via management plugin"):
        client.process_data_events(PATIENCE)
    api.delete("/api/users/own")


def test_hanging_up_says_why(api: Api, leveret: BrokerProcess) -> None:
    before = {each["name"] for each in api.get("/api/connections")}
    with RawClient(leveret.port) as client:
        client.log_in()
        (name,) = {each["name"] for each in api.get("/api/connections")} - before
        headers = {"x-reason": "f\u00fcr den Test".encode().decode("latin-1")}
        reply = api.call("DELETE", f"/api/connections/{part(name)}", headers=headers)
        assert reply.status == 204
        client.expect_connection_close(320, "f\u00fcr den Test")
    wait_until(lambda: api.call("GET", f"/api/connections/{part(name)}").status == 404)
