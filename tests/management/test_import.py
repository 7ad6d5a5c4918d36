"""Definitions files as RabbitMQ wrote them come in as they are, twice without changing anything the second time."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from leveret.amqp.field_table import FieldValue
from leveret.broker.binding import Binding
from leveret.broker.broker import Broker, NoSuchVirtualHost
from leveret.broker.durability import Store
from leveret.broker.limits import NodeLimits
from leveret.broker.passwords import MD5, SHA512, bcrypt
from leveret.management.definitions.export import exported
from leveret.management.definitions.importing import Import, decoded, import_now
from leveret.management.definitions.steps import InvalidDefinitions
from leveret.store.files import Files
from leveret.store.local import LocalStore

FILES = Path(__file__).parent / "files"
WHOLE_FILES = ("rabbitmq-3.5.json", "rabbitmq-3.10.json", "rabbitmq-4.1.json")
MIXED = json.loads((FILES / "rabbitmq-3.10.json").read_text())


def new_broker(limits: NodeLimits | None = None, store: Store | None = None) -> Broker:
    return Broker("0", "leveret@test", lambda: 0.0, os.urandom, store, limits)


def document(name: str) -> Any:
    return decoded((FILES / name).read_bytes())


def export(broker: Broker, vhost: str | None = None) -> Any:
    return json.loads("".join(exported(broker, vhost)))


def imported(name: str) -> tuple[Broker, Import]:
    broker = new_broker()
    return broker, import_now(broker, document(name))


def import_into(broker: Broker, content: object, vhost: str | None = None) -> Import:
    work = Import(broker, [content], vhost)
    for step in (work.check(), work.apply()):
        for _ in step:
            pass
    return work


def everything(broker: Broker) -> Any:
    """All that an import could change."""
    epochs = {name: int(vhost.epoch) for name, vhost in broker.vhosts.items()}
    return export(broker), epochs, broker.parameters.all_global()


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_importing_again_changes_nothing_and_writes_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / "messages").mkdir()
    posted: SimpleQueue[Callable[[], None]] = SimpleQueue()
    store = LocalStore(str(tmp_path / "d.sqlite"), str(tmp_path / "messages"), Files(), "always", posted.put, raise_it)
    broker = new_broker(store=store)
    store.restore(broker)
    assert import_now(broker, document(name)).changed > 10
    assert not store.idle()
    broker.end_tick()
    while not store.idle():
        posted.get(timeout=20)()
    before = everything(broker)
    assert import_now(broker, document(name)).changed == 0
    assert store.idle()
    assert everything(broker) == before
    store.close()


def raise_it(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_what_is_exported_comes_in_elsewhere_and_is_the_same_there(name: str) -> None:
    broker, _ = imported(name)
    first = export(broker)
    other = new_broker()
    import_now(other, first)
    second = export(other)
    for category, objects in first.items():
        if isinstance(objects, list):
            assert sorted(objects, key=repr) == sorted(second[category], key=repr), category
    assert import_now(broker, second).changed == 0


def test_a_file_of_rabbitmq_3_10() -> None:
    broker, work = imported("rabbitmq-3.10.json")
    vhost = broker.vhosts["shop/eu"]
    assert broker.users.check_password("shop-app", b"hunter2") is not None
    assert broker.users.check_password("shop-ops", b"trustno1") is not None
    assert broker.users.check_password("shop-cert", b"") is None
    assert broker.users.user("shop-ops").tags == ["monitoring", "policymaker"]
    assert broker.users.user("shop-app").usage.limits == {"max-connections": 50}
    assert vhost.usage.limits == {"max-connections": -1, "max-queues": 500}
    topic = broker.permissions.find_topic("shop-app", "shop/eu", "shop.events")
    assert topic is not None and (topic.write, topic.read) == ("^{username}\\..*", ".*")
    assert broker.parameters.all_global()["shop-contact"] == {
        "mail": "ops@example.org",
        "levels": [1, 2.5, True, None],
    }
    orders = vhost.queues["shop.orders"]
    assert orders.arguments["x-message-ttl"] == FieldValue("l", 60000)
    assert orders.policy is not None and orders.policy.name == "lengths"
    assert orders.operator_policy is not None and orders.operator_policy.name == "guard"
    assert vhost.queues["shop.payments"].is_quorum
    assert not vhost.queues["shop.tmp"].durable and vhost.queues["shop.tmp"].auto_delete
    assert "shop.ünïcode 漢字" in vhost.queues
    assert vhost.exchanges["shop.inside"].internal
    assert vhost.exchanges["shop.events"].alternate == "shop.unrouted"
    assert len(vhost.exchanges["shop.events"].bindings) == 3
    assert broker.permissions.find("shop-ops", "shop/eu") is not None
    assert work.warnings == [
        "policy 'mirrored' in vhost 'shop/eu': without effect are ha-mode, ha-params, ha-sync-mode",
        "queue 'shop.audit' in vhost 'shop/eu' is left out: there are no streams",
        "binding of queue 'shop.audit' to exchange 'shop.events' in vhost 'shop/eu' is left out with the queue",
    ]


def test_the_bindings_of_a_headers_exchange_match_as_before() -> None:
    broker, _ = imported("rabbitmq-3.10.json")
    vhost = broker.vhosts["shop/eu"]
    [binding] = vhost.exchanges["shop.by-header"].bindings.values()
    assert binding.destination is vhost.queues["shop.payments"]
    assert binding.arguments == {
        "amount": FieldValue("l", 100),
        "kind": FieldValue("S", "card"),
        "ok": FieldValue("t", True),
        "x-match": FieldValue("S", "all"),
    }


def test_a_file_of_rabbitmq_3_5() -> None:
    broker, work = imported("rabbitmq-3.5.json")
    legacy = broker.users.check_password("legacy", b"old secret")
    assert legacy is not None and legacy.hashing_algorithm == MD5 and legacy.tags == ["administrator"]
    assert broker.users.user("reader").tags == []
    assert broker.parameters.of_vhost("/") == {
        ("federation-upstream", "dc2"): {"uri": "amqp://dc2.example.org", "expires": 3600000},
        ("federation-upstream-set", "all-dcs"): [{"upstream": "dc2"}],
    }
    assert set(broker.parameters.of_vhost("billing")) == {("shovel", "to-archive"), ("sharding", "old-plugin")}
    assert broker.vhosts["/"].policies.user["ha-all"].definition == {"ha-mode": "nodes", "ha-sync-mode": "automatic"}
    assert list(broker.vhosts["billing"].queues) == ["invoices.paid"]
    assert list(broker.vhosts["/"].queues) == []
    assert len(broker.vhosts["billing"].exchanges["invoices"].bindings) == 1
    assert [warning.split(":")[0] for warning in work.warnings] == [
        "policy 'ha-all' in vhost '/'",
        "parameter 'old-plugin' of component 'sharding' in vhost 'billing' is kept, but nobody knows the component",
        "queue 'amq.gen-bZ7Q1xJ8v0tKq2Fq1A' in vhost '/' is left out",
        "binding of queue 'amq.gen-bZ7Q1xJ8v0tKq2Fq1A' to exchange 'amq.direct' in vhost '/' is left out with the "
        "queue",
    ]


def test_settings_of_mirrored_queues_come_back_with_their_lists(tmp_path: Path) -> None:
    """RabbitMQ 3 would not take an export without them."""
    policy = {"ha-mode": "nodes", "ha-params": ["rabbit@a", "rabbit@b"], "ha-sync-mode": "automatic"}
    posted: SimpleQueue[Callable[[], None]] = SimpleQueue()
    (tmp_path / "messages").mkdir()
    arguments = (str(tmp_path / "d.sqlite"), str(tmp_path / "messages"), Files(), "always", posted.put, raise_it)
    for is_new in (True, False):
        store = LocalStore(*arguments)
        broker = new_broker(store=store)
        store.restore(broker)
        if is_new:
            import_now(broker, document("rabbitmq-3.5.json"))
            broker.end_tick()
            while not store.idle():
                posted.get(timeout=20)()
        assert [each["definition"] for each in export(broker)["policies"] if each["name"] == "ha-all"] == [policy]
        store.close()


def test_a_file_of_rabbitmq_4_1() -> None:
    broker = new_broker()
    cluster_id = broker.parameters.all_global()["internal_cluster_id"]
    import_now(broker, document("rabbitmq-4.1.json"))
    orders = broker.vhosts["orders"]
    user = broker.users.check_password("orders", b"new secret")
    assert user is not None and user.hashing_algorithm == SHA512 and user.tags == ["management", "team-orders"]
    assert user.usage.limits == {"max-connections": 200, "max-channels": 1000}
    assert broker.users.check_password("plain", b"s3kRe7") is not None
    assert (orders.description, orders.tags, orders.default_queue_type) == ("Orders", ["blue"], "quorum")
    assert orders.usage.limits == {"max-queues": 100}
    assert broker.vhosts["/"].default_queue_type == broker.vhosts["streams"].default_queue_type == ""
    assert orders.queues["by-default"].is_quorum
    assert orders.queues["new"].policy is orders.policies.user["limits"]
    assert orders.policies.user["limits"].definition == {"delivery-limit": 50, "x-new-in-5": "yes"}
    assert broker.parameters.cluster_name() == "production"
    assert broker.server_properties["cluster_name"] == FieldValue("S", "production")
    assert broker.parameters.all_global()["cluster_tags"] == [{"region": "eu"}]
    assert broker.parameters.all_global()["internal_cluster_id"] == cluster_id
    assert "imported_definition_hash_value" not in broker.parameters.all_global()


def test_what_is_there_stays_as_it_is() -> None:
    broker = new_broker()
    vhost = broker.add_vhost("shop/eu")
    queue = vhost.new_queue("shop.orders", False, False, None, {"x-max-length": FieldValue("I", 1)})
    vhost.add_queue(queue)
    import_now(broker, document("rabbitmq-3.10.json"))
    assert vhost.queues["shop.orders"] is queue
    assert queue.arguments == {"x-max-length": FieldValue("I", 1)} and not queue.durable
    assert broker.users.find("guest") is not None


def test_users_permissions_policies_and_parameters_become_what_the_file_says() -> None:
    broker, _ = imported("rabbitmq-3.10.json")
    broker.users.set_password("shop-app", b"other")
    broker.permissions.set("shop-app", "shop/eu", "", "", "")
    broker.parameters.set_global("shop-contact", 1)
    vhost = broker.vhosts["shop/eu"]
    vhost.policies.clear("lengths", False)
    vhost.policies.clear("guard", True)
    for _ in vhost.reapply_policies():
        pass
    orders = vhost.queues["shop.orders"]
    assert (orders.policy, orders.operator_policy) == (None, None)
    assert import_now(broker, document("rabbitmq-3.10.json")).changed == 5
    assert broker.users.check_password("shop-app", b"hunter2") is not None
    permission = broker.permissions.find("shop-app", "shop/eu")
    assert permission is not None and permission.write == ".*"
    assert orders.policy is vhost.policies.user["lengths"]
    assert orders.operator_policy is vhost.policies.operator["guard"]


def test_a_binding_that_would_be_exported_alike_is_the_same() -> None:
    """An application may have bound with numbers of another length, which JSON doesn't tell."""
    broker = new_broker()
    vhost = broker.vhosts["/"]
    queue = vhost.new_queue("q", True, False, None, {})
    vhost.add_queue(queue)
    headers = vhost.exchanges["amq.headers"]
    vhost.add_binding(Binding(headers, queue, "", {"n": FieldValue("I", 5), "x-match": FieldValue("S", "all")}))
    assert import_now(broker, export(broker)).changed == 0
    assert len(headers.bindings) == 1


# files of one virtual host


def test_a_file_of_one_virtual_host_is_imported_into_one() -> None:
    content = document("rabbitmq-3.10-vhost.json")
    broker = new_broker()
    broker.add_vhost("copy")
    work = import_into(broker, content, "copy")
    assert set(broker.vhosts["copy"].queues) == {queue["name"] for queue in content["queues"]} - {"shop.audit"}
    assert broker.vhosts["copy"].usage.limits == {"max-connections": -1, "max-queues": 500}
    assert work.changed > 20
    assert import_into(broker, content, "copy").changed == 0
    assert not broker.vhosts["/"].queues


def test_a_whole_file_imported_into_one_virtual_host_brings_no_users() -> None:
    broker = new_broker()
    broker.add_vhost("copy")
    import_into(broker, document("rabbitmq-3.10.json"), "copy")
    assert "shop.orders" in broker.vhosts["copy"].queues
    assert [user.name for user in broker.users.all()] == ["guest"]
    assert "shop/eu" not in broker.vhosts


def test_a_virtual_host_is_exported_without_its_name() -> None:
    broker, _ = imported("rabbitmq-3.10.json")
    content = export(broker, "shop/eu")
    assert content["rabbitmq_definition_format"] == "single_virtual_host"
    assert content["original_vhost_name"] == "shop/eu"
    assert content["limits"] == {"max-connections": -1, "max-queues": 500}
    assert all("vhost" not in each for value in content.values() if isinstance(value, list) for each in value)
    assert not {"users", "vhosts", "permissions", "global_parameters"} & set(content)
    broker.add_vhost("copy")
    import_into(broker, content, "copy")
    assert export(broker, "copy")["queues"] == content["queues"]
    assert export(broker, "copy")["bindings"] == content["bindings"]


def test_a_virtual_host_that_is_not_there() -> None:
    with pytest.raises(NoSuchVirtualHost):
        exported(new_broker(), "nowhere")
    with pytest.raises(NoSuchVirtualHost):
        Import(new_broker(), [{}], "nowhere")


# what is wrong


def changed(path: str, value: object) -> Any:
    """The file of RabbitMQ 3.10 with another value at a path; a key that is REMOVED is not there."""
    content = copy.deepcopy(MIXED)
    *keys, last = path.split("/")
    inner = content
    for key in keys:
        inner = inner[int(key) if isinstance(inner, list) else key]
    if value is REMOVED:
        del inner[last]
    else:
        inner[int(last) if isinstance(inner, list) else last] = value
    return content


REMOVED = object()


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("queues", {}, "queues is not a list"),
        ("queues/0", 5, "queue number 1 is not an object"),
        ("queues/0/name", REMOVED, "queue number 1: name is missing"),
        ("queues/0/name", 5, "queue number 1: name is not a string"),
        ("queues/0/name", "x" * 256, "queue number 1: name is longer than 255 octets"),
        ("queues/0/name", "\ud800", "queue number 1: name is not UTF-8"),
        ("queues/0/vhost", REMOVED, "queue number 1: vhost is missing"),
        ("queues/0/vhost", "nowhere", "queue 'shop.single' in vhost 'nowhere': there is no virtual host 'nowhere'"),
        ("queues/0/durable", "yes", "queue 'shop.single' in vhost 'shop/eu': durable is neither true nor false"),
        ("queues/0/arguments", {"x-expires": 0}, "queue 'shop.single' in vhost 'shop/eu': invalid arg 'x-expires'"),
        ("queues/0/arguments", {"x": 2**70}, "queue 'shop.single' in vhost 'shop/eu': 1180591620717411303424"),
        ("queues/0/arguments", [1], "queue 'shop.single' in vhost 'shop/eu': arguments is not an object"),
        ("exchanges/0/type", "x-unknown", "exchange 'shop.by-header' in vhost 'shop/eu': unknown exchange type"),
        ("exchanges/0/arguments", {"alternate-exchange": 5}, "alternate-exchange is not a string"),
        ("bindings/0/destination", "nothing", "there is no queue 'nothing'"),
        ("bindings/0/source", "nothing", "there is no exchange 'nothing'"),
        ("bindings/0/destination_type", "topic", "destination_type is neither queue nor exchange"),
        ("users/0/password_hash", "short", "user 'shop-ops': a hash of rabbit_password_hashing_sha256 has 36 octets"),
        ("users/0/hashing_algorithm", "rot13", "user 'shop-ops': unknown hashing algorithm 'rot13'"),
        ("users/0/tags", 5, "user 'shop-ops': tags is not a list of strings"),
        ("users/0/limits", {"max-cats": 5}, "user 'shop-ops': Unrecognised terms"),
        ("vhosts/0/limits", {"max-queues": "x"}, "virtual host 'shop/eu': max-queues should be a number"),
        ("permissions/0/user", "nobody", "permissions of user 'nobody' in vhost 'shop/eu': there is no user 'nobody'"),
        ("permissions/0/read", "(", "'(' is no regular expression"),
        ("topic_permissions/0/vhost", "nowhere", "there is no virtual host 'nowhere'"),
        ("policies/0/pattern", "(", "policy 'lengths' in vhost 'shop/eu': pattern should be regular expression"),
        ("policies/0/definition", {"max-length": -1}, "policy 'lengths' in vhost 'shop/eu': -1 is not a valid"),
        ("policies/0/priority", "high", "policy 'lengths' in vhost 'shop/eu': priority is not a number"),
        ("parameters/0/value", 5, "parameter 'guard' of component 'operator_policy' in vhost 'shop/eu'"),
        ("parameters/1/value", {"max-cats": 5}, "component 'vhost-limits' in vhost 'shop/eu': Validation failed"),
        ("parameters/0/value", REMOVED, "value is missing"),
        ("global_parameters/0/value", REMOVED, "global parameter 'cluster_name': value is missing"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(path: str, value: object, text: str) -> None:
    broker = new_broker()
    before = everything(broker)
    with pytest.raises(InvalidDefinitions) as caught:
        import_now(broker, changed(path, value))
    assert text in str(caught.value)
    assert everything(broker) == before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "not JSON: Expecting property name"),
        (b'{"a": NaN}', "not JSON: unexpected NaN"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON: it is nested too deeply"),
    ],
)
def test_what_is_no_json(text: bytes, reason: str) -> None:
    with pytest.raises(InvalidDefinitions, match=reason):
        decoded(text)


def test_an_empty_file_and_a_byte_order_mark() -> None:
    assert decoded(b" \n") == {}
    assert decoded(b'\xef\xbb\xbf{"queues": []}') == {"queues": []}
    with pytest.raises(InvalidDefinitions, match="definitions are a JSON object"):
        import_now(new_broker(), [])


def test_limits_hold_for_what_would_be_there() -> None:
    def queues(count: int) -> dict[str, Any]:
        return {"queues": [{"name": f"q{number}", "vhost": "/"} for number in range(count)]}

    broker = new_broker()
    import_now(broker, queues(2))
    broker.vhosts["/"].usage.limits = {"max-queues": 4}
    with pytest.raises(InvalidDefinitions) as caught:
        import_now(broker, queues(5))
    assert str(caught.value).startswith('Adding 3 queue(s) to virtual host "/" would exceed the limit of 4 queue(s).')
    assert len(broker.vhosts["/"].queues) == 2
    import_now(broker, queues(4))
    few = new_broker(NodeLimits(cluster_queue_limit=3, vhost_max=2))
    with pytest.raises(InvalidDefinitions, match="0 queues and 4 more would exceed the limit of 3 queues"):
        import_now(few, queues(4))
    with pytest.raises(InvalidDefinitions, match="virtual host 'b': the limit of 2 virtual hosts is reached"):
        import_now(few, {"vhosts": [{"name": "a"}, {"name": "b"}]})
    assert list(few.vhosts) == ["/"]


def test_bcrypt_hashes_of_lavinmq() -> None:
    password_hash = "$2b$04$abcdefghijklmnopqrstuuqZ0xU7cS2N0dD0u5Q6bqkq8n2VqYpLm"
    content = {"users": [{"name": "u", "password_hash": password_hash, "hashing_algorithm": "Bcrypt", "tags": ""}]}
    if bcrypt() is None:
        with pytest.raises(InvalidDefinitions, match="user 'u': bcrypt hashes need the Python package bcrypt"):
            import_now(new_broker(), content)
    else:
        broker = new_broker()
        import_now(broker, content)
        assert export(broker)["users"][1]["password_hash"] == password_hash


def test_exclusive_queues_are_not_exported() -> None:
    broker = new_broker()
    vhost = broker.vhosts["/"]
    own = vhost.new_queue("own", False, False, broker.connect("a:1", "b:2", True), {})
    vhost.add_queue(own)
    vhost.add_binding(Binding(vhost.exchanges["amq.direct"], own, "own", {}))
    content = export(broker)
    assert content["queues"] == content["bindings"] == content["exchanges"] == []


def test_a_virtual_host_that_is_deleted_before_its_policies_are_applied() -> None:
    broker = new_broker()
    policy = {"vhost": "going", "name": "p", "pattern": "", "definition": {"max-length": 1}}
    work = Import(broker, [{"vhosts": [{"name": "going"}], "policies": [policy]}])
    for _ in work.check():
        pass
    applied = work.apply()
    while "going" not in broker.vhosts or not list(broker.vhost("going").policies.listed(operator=False)):
        next(applied)
    broker.delete_vhost("going")
    for _ in applied:
        pass
    assert "going" not in broker.vhosts and work.changed == 2
