"""The events in one process: when each is published, and its headers, as RabbitMQ 3.10 was seen to publish them."""

from __future__ import annotations

import pytest

from leveret.amqp.field_table import FieldValue, Table, from_python
from leveret.amqp.frame import PROTOCOL_HEADER
from leveret.amqp.methods import (
    BasicCancel,
    BasicConsume,
    BasicGetOk,
    BasicNack,
    BasicQos,
    ChannelClose,
    ChannelOpen,
    ConnectionClose,
    ConnectionOpen,
    ConnectionTuneOk,
    ExchangeBind,
    ExchangeDeclare,
    ExchangeDelete,
    ExchangeUnbind,
    QueueBind,
    QueueDeclare,
    QueueDelete,
    QueueUnbind,
)
from leveret.broker.broker import Broker
from leveret.broker.encryption import Certificate, Encryption
from leveret.broker.event_fields import field, printed_address, printed_atom, printed_octets, printed_table
from leveret.broker.events import CLI_USER
from leveret.broker.passwords import SHA256, hashed
from leveret.broker.policy import make_policy
from leveret.broker.process_ids import channel_pid, pid
from tests.broker.driver import Client, Driver, start_ok

Event = tuple[str, dict[str, object]]
NOW_MS = 1_700_000_000_000


class Audience:
    """A queue that is bound to the event exchange for everything, and the headers that came to it."""

    def __init__(self, driver: Driver) -> None:
        self.client = driver.log_in()
        self.client.declare("events")
        self.client.call(QueueBind("events", "amq.rabbitmq.event", "#"))
        self.heard()

    def heard(self) -> list[Event]:
        """Routing keys and headers of the events since this was last asked; a letter stands before a value's text
        where a program could not guess its type."""
        found: list[Event] = []
        self.client.driver.tick()
        while (message := self.client.fetch("events")) is not None:
            assert isinstance(message.method, BasicGetOk)
            assert message.method.exchange == "amq.rabbitmq.event"
            properties = message.properties
            assert properties is not None and properties.headers is not None
            assert (message.body, properties.delivery_mode) == (b"", 2)
            assert properties.timestamp == NOW_MS // 1000
            *names, last = properties.headers
            assert (last, properties.headers[last]) == ("timestamp_in_ms", FieldValue("l", NOW_MS))
            found.append((message.method.routing_key, {name: plain(properties.headers[name]) for name in names}))
        return found

    def keys(self) -> list[str]:
        """The routing keys of the events since this was last asked."""
        return [key for key, _ in self.heard()]


def plain(value: FieldValue) -> object:
    """A value whose wire type is the one that its Python type stands for in events."""
    if value.kind == "A":
        assert isinstance(value.value, list)
        return [plain(element) for element in value.value]
    if value.kind == "F":
        assert isinstance(value.value, dict)
        return {name: plain(element) for name, element in value.value.items()}
    assert value.kind == {bool: "t", int: "l", str: "S", float: "f"}[type(value.value)]
    return value.value


@pytest.fixture
def audience(driver: Driver) -> Audience:
    return Audience(driver)


@pytest.fixture
def user(driver: Driver, audience: Audience) -> Client:
    """A client with an open channel, which has been told of."""
    client = driver.log_in()
    audience.heard()
    return client


def by_guest(**headers: object) -> dict[str, object]:
    return {"user_who_performed_action": "guest", **headers}


def acting(user: str, **headers: object) -> dict[str, object]:
    return {"user_who_performed_action": user, **headers}


def binding_headers(source: str, kind: str, name: str, key: str, arguments: list[str], by: str) -> dict[str, object]:
    return {
        "user_who_performed_action": by,
        "vhost": "/",
        "arguments": arguments,
        "routing_key": key,
        "destination_kind": kind,
        "destination_name": name,
        "source_kind": "exchange",
        "source_name": source,
    }


# the exchange


def test_the_exchange_is_in_the_default_virtual_host_alone(driver: Driver) -> None:
    exchange = driver.broker.vhosts["/"].exchanges["amq.rabbitmq.event"]
    assert (exchange.type_name, exchange.durable, exchange.auto_delete, exchange.internal) == (
        "topic",
        True,
        False,
        True,
    )
    assert "amq.rabbitmq.event" not in driver.broker.add_vhost("other").exchanges


def test_what_nobody_listened_to_is_not_kept(driver: Driver) -> None:
    client = driver.log_in()
    client.declare("before")
    audience = Audience(driver)
    client.declare("after")
    assert [(key, headers["name"]) for key, headers in audience.heard()] == [("queue.created", "after")]


def test_bindings_choose_among_events(driver: Driver) -> None:
    client = driver.log_in()
    client.declare("some")
    client.call(QueueBind("some", "amq.rabbitmq.event", "*.deleted"))
    client.declare("q")
    client.call(QueueDelete("q"))
    message = client.fetch("some")
    assert message is not None and isinstance(message.method, BasicGetOk)
    assert message.method.routing_key == "queue.deleted"
    assert client.fetch("some") is None


def test_the_queue_of_the_events_may_go(driver: Driver, audience: Audience) -> None:
    """It is told of by events that have nowhere to go any more, unless somebody else listens."""
    other = driver.log_in()
    other.declare("others")
    other.call(QueueBind("others", "amq.rabbitmq.event", "queue.#"))
    assert audience.client.call(QueueDelete("events")).method.name == "queue.delete-ok"
    message = other.fetch("others")
    assert message is not None and message.properties is not None and message.properties.headers is not None
    assert message.properties.headers["name"] == FieldValue("S", "events")
    other.call(QueueDelete("others"))
    driver.tick()
    assert driver.queue_names() == set()


def test_the_default_virtual_host_comes_back_with_the_exchange(driver: Driver, audience: Audience) -> None:
    driver.broker.delete_vhost("/")
    driver.broker.add_vhost("/")
    driver.broker.permissions.set("guest", "/", ".*", ".*", ".*")
    again = Audience(driver)
    driver.broker.users.clear_password("guest")
    assert again.keys() == ["user.password.cleared"]


# queues, exchanges and bindings


def test_queues(audience: Audience, user: Client) -> None:
    arguments = {"x-max-length": 5, "l": [1, "a"]}
    user.declare("q", arguments=arguments)
    user.declare("q", arguments=arguments)
    user.call(QueueDeclare("d", durable=True, auto_delete=True))
    assert audience.heard() == [
        (
            "queue.created",
            by_guest(
                exclusive=False,
                owner_pid="",
                arguments=[
                    '{<<"x-max-length">>,signedint,5}',
                    '{<<"l">>,array,[{signedint,1},{longstr,<<"a">>}]}',
                ],
                auto_delete=False,
                durable=False,
                name="q",
                vhost="/",
            ),
        ),
        (
            "queue.created",
            by_guest(exclusive=False, owner_pid="", arguments=[], auto_delete=True, durable=True, name="d", vhost="/"),
        ),
    ]
    user.call(QueueDelete("q"))
    user.call(QueueDelete("q"))
    assert audience.heard() == [("queue.deleted", by_guest(name="q", vhost="/"))]


def test_an_exclusive_queue_names_its_connection(driver: Driver, audience: Audience, user: Client) -> None:
    user.call(QueueDeclare("mine", exclusive=True))
    [(key, headers)] = audience.heard()
    owner = pid(driver.broker, user.connection)
    assert (key, headers["exclusive"], headers["owner_pid"]) == ("queue.created", True, owner)
    user.send(ConnectionClose(200, "", 0, 0), 0)
    assert ("queue.deleted", acting("rmq-internal", name="mine", vhost="/")) in audience.heard()


def test_a_quorum_queue(audience: Audience, user: Client) -> None:
    user.declare("q", arguments={"x-queue-type": "quorum"})
    [event] = audience.heard()
    assert list(event[1]) == [
        "user_who_performed_action",
        "arguments",
        "type",
        "exclusive",
        "auto_delete",
        "durable",
        "name",
        "vhost",
    ]
    assert event[1]["type"] == "rabbit_quorum_queue"


def test_who_deletes_a_queue_that_nobody_needs_any_more(driver: Driver, audience: Audience, user: Client) -> None:
    user.call(QueueDeclare("unused", auto_delete=True))
    user.call(BasicConsume("unused", "tag"))
    audience.heard()
    user.call(BasicCancel("tag"))
    assert audience.heard()[1:] == [("queue.deleted", acting("rmq-internal", name="unused", vhost="/"))]


def test_a_queue_that_expires(driver: Driver, user: Client) -> None:
    """In place of an audience, whose clock stands still."""
    user.declare("events2")
    user.call(QueueBind("events2", "amq.rabbitmq.event", "queue.deleted"))
    user.declare("expires", arguments={"x-expires": 10})
    driver.at(1.0)
    message = user.fetch("events2")
    assert message is not None and message.properties is not None
    assert message.properties.headers == {
        "user_who_performed_action": FieldValue("S", "rmq-internal"),
        "name": FieldValue("S", "expires"),
        "vhost": FieldValue("S", "/"),
        "timestamp_in_ms": FieldValue("l", NOW_MS + 10),
    }


def test_exchanges(audience: Audience, user: Client) -> None:
    arguments: Table = {"alternate-exchange": FieldValue("S", "foo")}
    for _ in range(2):
        user.call(ExchangeDeclare("e", "topic", durable=True, arguments=arguments))
    expected = by_guest(
        policy="",
        arguments=['{<<"alternate-exchange">>,longstr,<<"foo">>}'],
        internal=False,
        auto_delete=False,
        durable=True,
        type="topic",
        name="e",
        vhost="/",
    )
    [(key, headers)] = audience.heard()
    assert (key, headers, list(headers)) == ("exchange.created", expected, list(expected))
    for _ in range(2):
        user.call(ExchangeDelete("e"))
    assert audience.heard() == [("exchange.deleted", by_guest(name="e", vhost="/"))]


def test_bindings(audience: Audience, user: Client) -> None:
    user.declare("q")
    audience.heard()
    arguments: Table = {"x": FieldValue("I", 1)}
    for _ in range(2):
        user.call(QueueBind("q", "amq.topic", "a.#", arguments=arguments))
    printed = ['{<<"x">>,signedint,1}']
    expected = binding_headers("amq.topic", "queue", "q", "a.#", printed, "guest")
    [(key, headers)] = audience.heard()
    assert (key, headers, list(headers)) == ("binding.created", expected, list(expected))
    for _ in range(2):
        user.call(QueueUnbind("q", "amq.topic", "a.#", arguments))
    assert audience.heard() == [("binding.deleted", expected)]


def test_what_goes_with_an_exchange(audience: Audience, user: Client) -> None:
    user.declare("q")
    user.call(ExchangeDeclare("e", "direct"))
    user.call(QueueBind("q", "e", "k"))
    audience.heard()
    user.call(ExchangeDelete("e"))
    assert audience.heard() == [
        ("exchange.deleted", by_guest(name="e", vhost="/")),
        ("binding.deleted", binding_headers("e", "queue", "q", "k", [], "guest")),
    ]


def test_an_exchange_that_goes_with_its_last_binding(audience: Audience, user: Client) -> None:
    user.call(ExchangeDeclare("e", "fanout", auto_delete=True))
    user.call(ExchangeBind("amq.topic", "e", "k"))
    audience.heard()
    user.call(ExchangeUnbind("amq.topic", "e", "k"))
    assert audience.heard() == [
        ("exchange.deleted", by_guest(name="e", vhost="/")),
        ("binding.deleted", binding_headers("e", "exchange", "amq.topic", "k", [], "guest")),
    ]


def test_what_goes_with_a_queue(driver: Driver, audience: Audience, user: Client) -> None:
    user.declare("q")
    user.call(QueueBind("q", "amq.direct", "k"))
    user.call(BasicConsume("q", "tag"))
    audience.heard()
    user.send(QueueDelete("q"))
    assert audience.heard() == [
        ("binding.deleted", binding_headers("amq.direct", "queue", "q", "k", [], "rmq-internal")),
        (
            "consumer.deleted",
            by_guest(
                queue="q",
                vhost="/",
                channel=channel_pid(driver.broker, user.connection.channels[1]),
                consumer_tag="tag",
            ),
        ),
        ("queue.deleted", by_guest(name="q", vhost="/")),
    ]


# connections, channels and consumers


def test_the_life_of_a_connection(driver: Driver, audience: Audience) -> None:
    client = driver.client()
    client.feed(PROTOCOL_HEADER)
    answer = start_ok(capabilities=["basic.nack"])
    answer.client_properties["connection_name"] = FieldValue("S", "mine")
    client.send(answer, 0)
    client.send(ConnectionTuneOk(100, 8192, 7), 0)
    client.send(ConnectionOpen("/"), 0)
    name = "127.0.0.1:1000 -> 127.0.0.1:5672"
    login = {
        "ssl": False,
        "auth_mechanism": "PLAIN",
        "protocol": "{0,9,1}",
        "peer_port": 1000,
        "peer_host": "{127,0,0,1}",
        "connection_name": name,
        "host": "{127,0,0,1}",
        "name": "guest",
        "connection_type": "network",
    }
    properties = [
        '{<<"capabilities">>,table,[{<<"basic.nack">>,bool,true}]}',
        '{<<"connection_name">>,longstr,<<"mine">>}',
    ]
    created = {
        "user_who_performed_action": "guest",
        "node": "leveret@test",
        "connected_at": NOW_MS,
        "client_properties": properties,
        "channel_max": 100,
        "frame_max": 8192,
        "timeout": 7,
        "vhost": "/",
        "user": "guest",
        "protocol": "{0,9,1}",
        "ssl_hash": "",
        "ssl_cipher": "",
        "ssl_key_exchange": "",
        "ssl_protocol": "",
        "auth_mechanism": "PLAIN",
        "peer_cert_validity": "",
        "peer_cert_issuer": "",
        "peer_cert_subject": "",
        "ssl": False,
        "peer_host": "{127,0,0,1}",
        "host": "{127,0,0,1}",
        "peer_port": 1000,
        "port": 5672,
        "name": name,
        "pid": pid(driver.broker, client.connection),
        "type": "network",
        "user_provided_name": "mine",
    }
    heard = audience.heard()
    assert heard == [("user.authentication.success", login), ("connection.created", created)]
    assert [list(headers) for _, headers in heard] == [list(login), list(created)]
    client.send(ConnectionClose(200, "", 0, 0), 0)
    closed = {
        "client_properties": properties,
        "node": "leveret@test",
        "pid": created["pid"],
        "name": name,
        "user_provided_name": "mine",
    }
    [(key, headers)] = audience.heard()
    assert (key, headers, list(headers)) == ("connection.closed", closed, list(closed))


def test_a_connection_with_tls(driver: Driver, audience: Audience) -> None:
    client = driver.client()
    certificate = Certificate("CN=me", "CN=ca", "always", "me")
    client.connection.encryption = Encryption("tlsv1.3", "any", "aes_256_gcm", "aead", certificate)
    client.log_in()
    (_, login), (_, created), _ = audience.heard()
    assert list(login.items())[:6] == [
        ("peer_cert_validity", "always"),
        ("peer_cert_subject", "CN=me"),
        ("peer_cert_issuer", "CN=ca"),
        ("ssl_cipher", "aes_256_gcm"),
        ("ssl_protocol", "tlsv1.3"),
        ("ssl", True),
    ]
    expected = {
        "ssl_hash": "aead",
        "ssl_cipher": "aes_256_gcm",
        "ssl_key_exchange": "any",
        "ssl_protocol": "tlsv1.3",
        "peer_cert_validity": "always",
        "peer_cert_issuer": "CN=ca",
        "peer_cert_subject": "CN=me",
        "ssl": True,
    }
    assert created | expected == created


def test_a_login_that_is_refused(driver: Driver, audience: Audience) -> None:
    """The reason is a list of code points: so RabbitMQ's plugin shows a string of Erlang's."""
    client = driver.client()
    client.feed(PROTOCOL_HEADER)
    client.send(start_ok(response=b"\0gast\0wrong"), 0)
    (failure, headers), *_ = audience.heard()
    assert failure == "user.authentication.failure"
    assert headers["name"] == "gast"
    error = headers["error"]
    assert isinstance(error, list)
    assert "".join(map(chr, error)) == "user 'gast' - invalid credentials"


def test_a_connection_that_never_says_who_it_is(driver: Driver, audience: Audience) -> None:
    driver.client().lose()
    [(key, headers)] = audience.heard()
    assert (key, headers["client_properties"]) == ("connection.closed", [])


def test_channels(driver: Driver, audience: Audience, user: Client) -> None:
    user.call(ChannelOpen(), 7)
    number = pid(driver.broker, user.connection, 7)
    created = by_guest(
        vhost="/",
        user="guest",
        number=7,
        connection=pid(driver.broker, user.connection),
        name="127.0.0.1:1000 -> 127.0.0.1:5672 (7)",
        pid=number,
    )
    [(key, headers)] = audience.heard()
    assert (key, headers, list(headers)) == ("channel.created", created, list(created))
    user.call(ChannelClose(200, "", 0, 0), 7)
    assert audience.heard() == [("channel.closed", by_guest(pid=number))]


def test_a_channel_that_fails_is_closed_once(audience: Audience, user: Client) -> None:
    assert user.refusal(BasicNack(9))[0] == 406
    assert audience.keys() == ["channel.closed"]
    user.send(ConnectionClose(200, "", 0, 0), 0)
    assert audience.keys() == ["connection.closed"]


def test_consumers(driver: Driver, audience: Audience, user: Client) -> None:
    user.declare("q")
    user.call(BasicQos(0, 7))
    audience.heard()
    user.call(BasicConsume("q", "tag", exclusive=True, arguments={"x-priority": FieldValue("I", 3)}))
    channel = channel_pid(driver.broker, user.connection.channels[1])
    created = by_guest(
        arguments=['{<<"x-priority">>,signedint,3}'],
        prefetch_count=7,
        queue="q",
        vhost="/",
        channel=channel,
        ack_required=True,
        exclusive=True,
        consumer_tag="tag",
    )
    [(key, headers)] = audience.heard()
    assert (key, headers, list(headers)) == ("consumer.created", created, list(created))
    user.call(BasicCancel("tag"))
    assert audience.heard() == [
        ("consumer.deleted", by_guest(queue="q", vhost="/", channel=channel, consumer_tag="tag"))
    ]


def test_consumers_of_direct_replies_are_not_told_of(audience: Audience, user: Client) -> None:
    user.call(BasicConsume("amq.rabbitmq.reply-to", "tag", no_ack=True))
    user.call(BasicCancel("tag"))
    assert audience.heard() == []


# what operators do


@pytest.fixture
def broker(driver: Driver, audience: Audience) -> Broker:
    """The broker, which does what a command asks for from now on."""
    driver.broker.events.act_as(CLI_USER)
    return driver.broker


def by_command(**headers: object) -> dict[str, object]:
    return {"user_who_performed_action": "rmq-cli", **headers}


def test_virtual_hosts(audience: Audience, broker: Broker) -> None:
    broker.add_vhost("v", "it's", ["a", "B c"], "quorum")
    broker.add_vhost("v")
    heard = audience.heard()
    names = ["", "amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match", "amq.rabbitmq.trace"]
    assert [(key, headers["name"]) for key, headers in heard[:-1]] == [("exchange.created", name) for name in names]
    created = {
        "tags": ["a", "B c"],
        "description": "it's",
        "user_who_performed_action": "rmq-cli",
        "cluster_state": {"leveret@test": "running"},
        "tracing": False,
        "metadata": '#{default_queue_type => <<"quorum">>,description => <<"it\'s">>,tags => [a,\'B c\']}',
        "default_queue_type": "quorum",
        "name": "v",
    }
    key, headers = heard[-1]
    assert (key, headers, list(headers)) == ("vhost.created", created, list(created))
    broker.vhosts["v"].firehose.switch(True)
    broker.events.act_as(CLI_USER)
    broker.describe_vhost("v", "", [], "")
    [(key, headers)] = audience.heard()
    assert key == "vhost.updated"
    assert headers == created | {
        "tags": [],
        "description": "",
        "tracing": True,
        "metadata": "#{description => <<>>,tags => []}",
        "default_queue_type": "undefined",
    }


def test_a_virtual_host_that_goes(audience: Audience, broker: Broker) -> None:
    vhost = broker.add_vhost("v")
    vhost.usage.limits = {"max-queues": 3}
    broker.permissions.set("guest", "v", "", "", "")
    vhost.add_queue(vhost.new_queue("q", False, False, None, {}))
    audience.heard()
    broker.events.act_as(CLI_USER)
    broker.delete_vhost("v")
    heard = audience.heard()
    assert heard[0] == ("permission.deleted", by_command(vhost="v", user="guest"))
    assert heard[1] == ("queue.deleted", by_command(name="q", vhost="v"))
    assert [key for key, _ in heard[2:9]] == ["exchange.deleted"] * 7
    assert heard[9:] == [
        ("vhost.deleted", by_command(name="v")),
        ("parameter.cleared", by_command(name="limits", component="vhost-limits", vhost="v")),
        ("vhost.limits.cleared", by_command(name="limits")),
        ("vhost.down", acting("rmq-internal", node="leveret@test", name="v")),
    ]


def test_users(audience: Audience, broker: Broker) -> None:
    users = broker.users
    users.add("u", b"secret")
    users.set_password("u", b"other")
    users.clear_password("u")
    users.set_tags("u", ["management", "x"])
    users.set_limits("u", {"max-channels": 3, "max-connections": 2})
    users.set_limits("u", {"max-channels": 3})
    users.put("u", hashed(b"x", b"salt"), SHA256, [])
    users.put("v", hashed(b"x", b"salt"), SHA256, ["monitoring"])
    users.delete("u")
    assert audience.heard() == [
        ("user.created", by_command(name="u")),
        ("user.password.changed", by_command(name="u")),
        ("user.password.cleared", by_command(name="u")),
        ("user.tags.set", by_command(tags=["management", "x"], name="u")),
        (
            "user.limits.set",
            {"max-connections": 2, "max-channels": 3, "username": "u", **by_command(name="limits")},
        ),
        ("user.limits.cleared", {"username": "u", **by_command(name="limits")}),
        ("user.password.changed", by_command(name="u")),
        ("user.tags.set", by_command(tags=[], name="u")),
        ("user.created", by_command(name="v")),
        ("user.tags.set", by_command(tags=["monitoring"], name="v")),
        ("user.deleted", by_command(name="u")),
    ]


def test_permissions(audience: Audience, broker: Broker) -> None:
    permissions = broker.permissions
    permissions.set("guest", "/", "a", "b", "c")
    permissions.set_topic("guest", "/", "amq.topic", "a", "b")
    permissions.clear_topic("guest", "/")
    for _ in range(2):
        permissions.clear("guest", "/")
    permissions.set("guest", "/", ".*", ".*", ".*")
    of_guest = {"vhost": "/", "user": "guest"}
    assert audience.heard()[:-1] == [
        ("permission.created", by_command(read="c", write="b", configure="a", **of_guest)),
        ("topic.permission.created", by_command(read="b", write="a", exchange="amq.topic", **of_guest)),
        ("topic.permission.deleted", by_command(**of_guest)),
        ("permission.deleted", by_command(**of_guest)),
        ("permission.deleted", by_command(**of_guest)),
    ]


def test_policies(audience: Audience, broker: Broker) -> None:
    policies = broker.vhosts["/"].policies
    policies.set(make_policy("p", "^a", "queues", {"max-length": 5, "overflow": "drop-head"}, 2, False), False)
    policies.set(make_policy("o", "^a", "all", {"max-length": 5}, 0, True), True)
    policies.clear("p", False)
    policies.clear("p", False)
    policies.clear("o", True)
    definition: dict[str, object] = {"apply-to": "all", "priority": 0, "definition": {"max-length": 5}, "pattern": "^a"}
    assert audience.heard() == [
        (
            "policy.set",
            {
                "apply-to": "queues",
                "priority": 2,
                "definition": {"overflow": "drop-head", "max-length": 5},
                "pattern": "^a",
                **by_command(vhost="/", name="p"),
            },
        ),
        ("parameter.set", by_command(value=definition, name="o", component="operator_policy", vhost="/")),
        ("policy.set", {**definition, **by_command(vhost="/", name="o")}),
        ("policy.cleared", by_command(vhost="/", name="p")),
        ("parameter.cleared", by_command(name="o", component="operator_policy", vhost="/")),
        ("operator.policy.cleared", by_command(vhost="/", name="o")),
    ]


def test_limits_of_virtual_hosts(audience: Audience, broker: Broker) -> None:
    broker.set_vhost_limits(broker.vhosts["/"], {"max-connections": 2, "max-queues": 5})
    broker.set_vhost_limits(broker.vhosts["/"], {})
    assert audience.heard() == [
        (
            "parameter.set",
            by_command(
                value={"max-queues": 5, "max-connections": 2}, name="limits", component="vhost-limits", vhost="/"
            ),
        ),
        ("vhost.limits.set", {"max-queues": 5, "max-connections": 2, **by_command(name="limits")}),
        ("parameter.cleared", by_command(name="limits", component="vhost-limits", vhost="/")),
        ("vhost.limits.cleared", by_command(name="limits")),
    ]


def test_parameters(audience: Audience, broker: Broker) -> None:
    broker.add_vhost("v")
    audience.heard()
    broker.events.act_as(CLI_USER)
    for _ in range(2):
        broker.parameters.set("v", "shovel", "s", {"a": [1, None], "b": {}})
    broker.parameters.set("v", "shovel", "t", True)
    broker.parameters.clear("v", "shovel", "s")
    broker.parameters.set_global("g", "text")
    broker.parameters.clear_global("g")
    of_s: dict[str, object] = {"name": "s", "component": "shovel", "vhost": "v"}
    assert audience.heard() == [
        ("parameter.set", by_command(value={"b": [], "a": [1, "null"]}, **of_s)),
        ("parameter.set", by_command(value=True, **of_s | {"name": "t"})),
        ("parameter.cleared", by_command(**of_s)),
        ("parameter.set", by_command(value="text", name="g", component="global")),
        ("parameter.cleared", by_command(name="g", component="global")),
    ]
    broker.delete_vhost("v")
    assert ("parameter.cleared", acting("rmq-internal", **of_s | {"name": "t"})) in audience.heard()


def test_who_did_it_is_forgotten_when_the_tick_ends(audience: Audience, broker: Broker) -> None:
    broker.users.clear_password("guest")
    assert audience.heard() == [("user.password.cleared", by_command(name="guest"))]
    broker.users.clear_password("guest")
    assert audience.heard() == [("user.password.cleared", acting("rmq-internal", name="guest"))]


def test_alarms(audience: Audience, broker: Broker) -> None:
    for on in (True, True, False, False):
        broker.set_alarm("disk", on)
    expected = {"node": "leveret@test", "source": "disk"}
    assert audience.heard() == [("alarm.set", expected), ("alarm.cleared", expected)]


# the fields


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ä", '{<<"ä">>,longstr,<<"ä">>}'),
        ("Ā", "{<<196,128>>,longstr,<<196,128>>}"),
        ('a"\\\n\t\x1b', '{<<"a\\"\\\\\\n\\t\\e">>,longstr,<<"a\\"\\\\\\n\\t\\e">>}'),
        ("", "{<<>>,longstr,<<>>}"),
    ],
)
def test_texts_in_erlang_s_notation(value: str, expected: str) -> None:
    """As `~p` prints them: octet by octet, as Latin-1."""
    assert printed_table({value: FieldValue("S", value)}) == [expected]


def test_other_values_in_erlang_s_notation() -> None:
    nested = from_python({"b": True, "v": None, "f": 1.5, "x": b"\x01\x02", "e": {}, "a": []})
    assert printed_table({"t": nested, "time": FieldValue("T", 5), "u": FieldValue("B", 7)}) == [
        '{<<"t">>,table,[{<<"b">>,bool,true},{<<"v">>,void,undefined},{<<"f">>,double,1.5},{<<"x">>,binary,<<1,2>>},'
        '{<<"e">>,table,[]},{<<"a">>,array,[]}]}',
        '{<<"time">>,timestamp,5}',
        '{<<"u">>,unsignedbyte,7}',
    ]
    assert printed_octets(b"\xa0") == '<<"\udca0">>'


def test_addresses_and_atoms() -> None:
    assert printed_address("[::ffff:127.0.0.1]") == "{0,0,0,0,0,65535,32512,1}"
    assert printed_address("fe80::1%eth0") == "{65152,0,0,0,0,0,0,1}"
    assert printed_address("unix") == "unix"
    assert [printed_atom(text) for text in ("a_1@b", "A", "", "a b", "a'b", "ä")] == [
        "a_1@b",
        "'A'",
        "''",
        "'a b'",
        "'a\\'b'",
        "'ä'",
    ]


def test_values_of_parameters() -> None:
    """Any JSON may come, however large or deep."""
    assert field({}) == FieldValue("A", [])
    assert field(2**63) == FieldValue("S", "9223372036854775808")
    assert field([None, 1.5]) == FieldValue("A", [FieldValue("S", "null"), FieldValue("f", 1.5)])
    nested: object = []
    for _ in range(500):
        nested = [nested]
    deepest = field(nested)
    while isinstance(deepest.value, list):
        [deepest] = deepest.value
    assert deepest == FieldValue("S", "nested too deeply")
