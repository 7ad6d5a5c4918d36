"""/definitions: exported and imported through HTTP, as a file or a form, by the whole broker or one virtual host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pika
import pytest

from tests.http.client import Api, part
from tests.support.broker_process import BrokerProcess

FILES = Path(__file__).parents[1] / "management" / "files"
SHOP = (FILES / "rabbitmq-3.10.json").read_bytes()
OF_SHOP = (FILES / "rabbitmq-3.10-vhost.json").read_bytes()


def form(**parts: str) -> tuple[str, bytes]:
    """A form with these parts: its content type, and its octets."""
    boundary = "----boundary7Xa"
    lines = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="f.json"\r\n\r\n{value}\r\n'
        for name, value in parts.items()
    ]
    return f"multipart/form-data; boundary={boundary}", "".join([*lines, f"--{boundary}--\r\n"]).encode()


@pytest.fixture
def shop(api: Api) -> Any:
    """The definitions of a RabbitMQ, imported."""
    assert api.post("/api/definitions", SHOP).status == 204
    yield api
    api.delete(f"/api/vhosts/{part('shop/eu')}")
    for name in ("shop-app", "shop-ops", "shop-cert"):
        api.delete(f"/api/users/{name}")


def test_a_file_of_rabbitmq_is_imported(shop: Api) -> None:
    queues = {queue["name"]: queue for queue in shop.get(f"/api/queues/{part('shop/eu')}")}
    assert queues["shop.orders"]["arguments"]["x-message-ttl"] == 60000
    assert queues["shop.orders"]["policy"] == "lengths" and queues["shop.orders"]["operator_policy"] == "guard"
    assert queues["shop.payments"]["type"] == "quorum"
    assert shop.get("/api/whoami")["name"] == "guest"
    app = Api(shop.port, "shop-ops", "trustno1")
    assert app.get("/api/whoami") == {"name": "shop-ops", "tags": ["monitoring", "policymaker"]}
    app.close()


def test_imported_users_log_in_and_their_messages_go_their_way(shop: Api, leveret: BrokerProcess) -> None:
    parameters = pika.ConnectionParameters(
        "127.0.0.1", leveret.port, "shop/eu", pika.PlainCredentials("shop-app", "hunter2")
    )
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.basic_publish("shop.spread", "customer-1", b"spread")
        channel.basic_publish("shop.dead", "", b"dead")
        assert channel.basic_get("shop.archive", True)[2] == b"dead"
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as caught:
            channel.basic_publish("shop.events", "order.created", b"order")
            channel.queue_declare("shop.orders", passive=True)
        assert caught.value.reply_code == 403  # the topic permission


def test_importing_again_changes_nothing(shop: Api) -> None:
    before = shop.get("/api/definitions")
    assert shop.post("/api/definitions", SHOP).status == 204
    assert shop.post("/api/definitions", json.dumps(before)).status == 204
    assert shop.get("/api/definitions") == before


def test_an_export_has_all_categories(shop: Api) -> None:
    content = shop.get("/api/definitions")
    assert content == shop.get("/api/all-configuration")
    assert content["rabbitmq_definition_format"] == "cluster"
    shop_queue = next(queue for queue in content["queues"] if queue["name"] == "shop.single")
    assert shop_queue == {
        "name": "shop.single",
        "vhost": "shop/eu",
        "type": "classic",
        "durable": True,
        "auto_delete": False,
        "arguments": {"x-expires": 1800000, "x-single-active-consumer": True, "x-queue-type": "classic"},
    }
    original = json.loads(SHOP)
    for category in ("permissions", "topic_permissions", "policies", "exchanges", "bindings"):
        there = [each for each in content[category] if each["vhost"] == "shop/eu"]
        wanted = [each for each in original[category] if "mirrored" not in each.values()]
        wanted = [each for each in wanted if each.get("destination") != "shop.audit"]
        assert sorted(wanted, key=str) == sorted(
            [each for each in there if "mirrored" not in each.values()], key=str
        ), category
    users = {user["name"]: user for user in content["users"]}
    assert [users[user["name"]] for user in original["users"]] == original["users"]


def test_one_virtual_host_goes_into_another(shop: Api) -> None:
    shop.put("/api/vhosts/copy")
    assert shop.post("/api/definitions/copy", OF_SHOP).status == 204
    of_copy, of_shop = shop.get("/api/definitions/copy"), shop.get(f"/api/definitions/{part('shop/eu')}")
    assert of_copy["original_vhost_name"] == "copy"
    for category in ("queues", "exchanges", "bindings", "policies", "parameters"):
        assert sorted(of_copy[category], key=str) == sorted(of_shop[category], key=str)
    shop.delete("/api/vhosts/copy")


def test_a_form(api: Api) -> None:
    kind, body = form(file='{"queues": [{"name": "by-form", "vhost": "/"}]}')
    assert api.call("POST", "/api/definitions", body, {"content-type": kind}).status == 204
    assert api.get("/api/queues/%2F/by-form")["durable"]
    kind, body = form(file="{}", redirect="/#/")
    reply = api.call("POST", "/api/definitions", body, {"content-type": kind})
    assert (reply.status, reply.headers["location"]) == (303, "/#/")
    api.delete("/api/queues/%2F/by-form")


def test_a_download(api: Api) -> None:
    reply = api.call("GET", "/api/definitions", download="broker.json")
    assert reply.headers["content-disposition"] == "attachment; filename=broker.json"
    assert api.call("GET", "/api/definitions", download="a b").status == 400
    assert api.call("GET", "/api/definitions", download="x\r\ny: z").status == 400


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("", "nonsense", (400, "bad_request", "failed_to_parse_json")),
        ("", "[]", (400, "bad_request", "failed_to_parse_json")),
        (
            "",
            '{"queues": [{"name": "q", "vhost": "nowhere"}]}',
            (400, "bad_request", "queue 'q' in vhost 'nowhere': there is no virtual host 'nowhere'"),
        ),
        ("/nowhere", "{}", (404, "not_found", "vhost_not_found")),
    ],
)
def test_what_is_refused(api: Api, path: str, body: str, error: object) -> None:
    assert api.post(f"/api/definitions{path}", body).error == error


def test_a_virtual_host_that_is_not_there(api: Api) -> None:
    assert api.call("GET", "/api/definitions/nowhere").error == (400, "bad_request", "vhost_not_found")
    assert api.delete("/api/definitions").status == 405


def test_definitions_are_for_administrators(shop: Api) -> None:
    ops = Api(shop.port, "shop-ops", "trustno1")
    for path in ("/api/definitions", f"/api/definitions/{part('shop/eu')}"):
        for method in ("GET", "POST"):
            assert ops.call(method, path, "{}").error == (401, "not_authorised", "Not administrator user")
    ops.close()


def test_what_was_imported_survives(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as process:
        api = Api(process.http_port)
        assert api.post("/api/definitions", SHOP).status == 204
        before = api.get("/api/definitions")
        api.close()
        process.stop()
        process.start()
        api = Api(process.http_port)
        after = api.get("/api/definitions")
        api.close()
    assert comparable(before) == comparable(after)


def comparable(content: dict[str, Any]) -> dict[str, Any]:
    """The definitions that are durable, without the order of their objects, which is not kept."""
    return {
        name: sorted(json.dumps(each, sort_keys=True) for each in value if each.get("durable", True))
        if isinstance(value, list)
        else value
        for name, value in content.items()
    }
