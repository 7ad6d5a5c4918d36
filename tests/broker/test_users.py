"""Users, permissions and virtual hosts as the broker has them: what each change does, and how it is refused."""

from __future__ import annotations

import pytest

from leveret.amqp.methods import (
    BasicPublish,
    ChannelClose,
    ChannelCloseOk,
    ConnectionClose,
    QueueDeclare,
    QueueDeclareOk,
)
from leveret.broker.broker import Broker, NoSuchVirtualHost, ProtectedVirtualHost, TooManyVirtualHosts
from leveret.broker.defaults import Defaults, DefaultUser
from leveret.broker.limits import NodeLimits
from leveret.broker.passwords import SHA256, InvalidHash
from leveret.broker.pattern import InvalidPattern
from leveret.broker.permissions import REMEMBERED, NamePattern, TopicPermission
from leveret.broker.users import NoSuchUser, UserExists
from leveret.broker.vhost import InvalidQueueType
from tests.broker.driver import Client, Driver, publish_frames


@pytest.fixture
def broker(driver: Driver) -> Broker:
    return driver.broker


def test_what_a_broker_begins_with() -> None:
    defaults = Defaults("main", DefaultUser("admin", "secret", ["monitoring"]))
    broker = Broker("1", "n", lambda: 0.0, bytes, defaults=defaults)
    assert list(broker.vhosts) == ["main"]
    assert [user.name for user in broker.users.all()] == ["admin"]
    assert broker.users.user("admin").tags == ["monitoring"]
    assert broker.users.check_password("admin", b"secret") is not None
    permission = broker.permissions.find("admin", "main")
    assert permission is not None
    assert (permission.configure, permission.write, permission.read) == (".*", ".*", ".*")


# users


def test_changes_of_users(broker: Broker) -> None:
    users = broker.users
    users.add("alice", b"secret", ["a"])
    with pytest.raises(UserExists):
        users.add("alice", b"other")
    assert users.check_password("alice", b"secret") is users.user("alice")
    users.set_tags("alice", ["b", "c"])
    assert users.user("alice").tags == ["b", "c"]
    users.set_password("alice", b"other")
    assert users.check_password("alice", b"secret") is None
    assert users.check_password("alice", b"other") is users.user("alice")
    users.clear_password("alice")
    assert users.check_password("alice", b"other") is None
    users.put("alice", "", SHA256, [])
    assert users.user("alice").tags == []
    users.delete("alice")
    for change in (users.delete, users.clear_password, users.user):
        with pytest.raises(NoSuchUser):
            change("alice")
    with pytest.raises(NoSuchUser):
        users.set_tags("alice", [])
    with pytest.raises(NoSuchUser):
        users.set_password("alice", b"")
    with pytest.raises(InvalidHash):
        users.put("alice", "x", SHA256, [])
    assert users.find("alice") is None


def test_putting_a_user_again_keeps_what_they_have(driver: Driver, broker: Broker) -> None:
    client = driver.log_in()
    before = broker.users.user("guest")
    broker.users.set_limits("guest", {"max-channels": 3})
    broker.users.put("guest", "", SHA256, ["x"])
    assert broker.users.user("guest") is before
    assert before.usage.limits == {"max-channels": 3}
    assert before.usage.connections == 1
    assert not client.is_closed()
    assert broker.permissions.find("guest", "/") is not None


def test_deleting_a_user_takes_permissions_and_connections(driver: Driver, broker: Broker) -> None:
    client = driver.log_in()
    broker.add_vhost("other")
    broker.permissions.set("guest", "other", "", "", "")
    broker.permissions.set_topic("guest", "other", "x", "", "")
    broker.users.delete("guest")
    driver.tick()
    assert [received.method for received in client.take()] == [
        ConnectionClose(320, "CONNECTION_FORCED - user 'guest' is deleted", 0, 0)
    ]
    assert broker.permissions.all() == []
    assert broker.permissions.all_topics() == []


# permissions


@pytest.mark.parametrize(
    ("pattern", "permitted", "refused"),
    [
        (".*", ["", "a", "\n", "ä"], []),
        ("", [""], ["a", "\n"]),
        ("^$", [""], ["a"]),
        ("a", ["a", "bab"], ["", "b", "A"]),
        ("^a$", ["a"], ["ab", "ba"]),
        ("^(a|amq\\.gen.*)$", ["a", "amq.gen-x"], ["amq.default"]),
        ("(?i)^a", ["A", "ab"], ["b"]),
        ("^ä", ["äb"], ["b"]),
    ],
)
def test_patterns(pattern: str, permitted: list[str], refused: list[str]) -> None:
    names = NamePattern(pattern)
    names.check()
    for _ in range(2):
        assert all(names.permits(name) for name in permitted)
        assert not any(names.permits(name) for name in refused)


def test_a_pattern_remembers_no_more_names_than_it_may() -> None:
    names = NamePattern("^[0-9]*[02468]$")
    for number in range(3 * REMEMBERED):
        assert names.permits(str(number)) == (number % 2 == 0)
    assert len(names._known) <= REMEMBERED


def test_a_pattern_that_cannot_be_read_permits_nothing() -> None:
    """As a store could have one that another version of the library took."""
    names = NamePattern("(")
    with pytest.raises(InvalidPattern):
        names.check()
    assert not names.permits("(")
    assert not names.permits("")


def test_changes_of_permissions(broker: Broker) -> None:
    permissions = broker.permissions
    epoch = broker.vhost("/").epoch
    permissions.set("guest", "/", "c", "w", "r")
    permissions.set_topic("guest", "/", "x", "w", "r")
    permissions.set_topic("guest", "/", "y", "w", "r")
    permissions.clear_topic("guest", "/", "x")
    permissions.clear_topic("guest", "/", "missing")
    permissions.clear_topic("guest", "/")
    permissions.clear("guest", "/")
    permissions.clear("guest", "/")
    assert broker.vhost("/").epoch > epoch  # or routes that were cached would be used on
    assert permissions.all() == [] and permissions.all_topics() == []
    with pytest.raises(InvalidPattern):
        permissions.set("nobody", "nowhere", "(", "", "")
    with pytest.raises(NoSuchUser):
        permissions.set("nobody", "nowhere", "", "", "")
    with pytest.raises(NoSuchVirtualHost):
        permissions.set("guest", "nowhere", "", "", "")
    with pytest.raises(InvalidPattern):
        permissions.set_topic("nobody", "nowhere", "x", "", "(")
    with pytest.raises(NoSuchUser):
        permissions.clear("nobody", "nowhere")
    with pytest.raises(NoSuchVirtualHost):
        permissions.clear_topic("guest", "nowhere")


def test_variables_of_topic_permissions() -> None:
    topic = TopicPermission("a.b", "v|w", "x", "^{username}-{vhost}$", "{client_id}")
    assert topic.writable.permits("a.b-v|w")
    assert not topic.writable.permits("axb-v|w")
    assert not topic.writable.permits("w")


def test_a_permission_that_goes_while_a_message_comes(driver: Driver, broker: Broker) -> None:
    """The method was permitted, but not the message."""
    client = driver.log_in()
    client.declare("queue")
    frames = publish_frames(BasicPublish("", "queue"), b"body")
    client.feed(frames[:-3])
    broker.permissions.set("guest", "/", ".*", "^$", ".*")
    client.feed(frames[-3:])
    driver.tick()
    text = "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'guest'"
    assert [received.method for received in client.take()] == [ChannelClose(403, text, 60, 40)]
    assert driver.counts("queue") == (0, 0)


def test_a_cached_route_is_dropped_when_permissions_change(driver: Driver, broker: Broker) -> None:
    client = driver.log_in()
    client.declare("queue")
    for _ in range(3):
        client.publish("", "queue", b"")
    assert driver.counts("queue") == (3, 0)
    broker.permissions.clear("guest", "/")
    client.publish("", "queue", b"")
    driver.tick()
    [received] = client.take()
    assert isinstance(received.method, ChannelClose)
    assert driver.counts("queue") == (3, 0)
    client.send(ChannelCloseOk())
    broker.permissions.set("guest", "/", "", "amq.default", "")
    client = driver.log_in()
    client.publish("", "queue", b"")
    driver.tick()
    assert driver.counts("queue") == (4, 0)


# virtual hosts


def test_changes_of_virtual_hosts(broker: Broker) -> None:
    added = broker.add_vhost("one", "about", ["a"], "quorum")
    assert broker.add_vhost("one", "other", [], "") is added
    broker.describe_vhost("one", tags=["b"])
    broker.describe_vhost("one", "other", None, "classic", True)
    with pytest.raises(ProtectedVirtualHost):
        broker.delete_vhost("one")
    broker.describe_vhost("one", protected=False)
    broker.delete_vhost("one")
    for change in (broker.delete_vhost, broker.describe_vhost, broker.vhost):
        with pytest.raises(NoSuchVirtualHost):
            change("one")
    for name in ("stream", "bogus"):
        with pytest.raises(InvalidQueueType):
            broker.add_vhost("one", default_queue_type=name)
        with pytest.raises(InvalidQueueType):
            broker.describe_vhost("/", default_queue_type=name)


def test_the_node_may_have_so_many_virtual_hosts() -> None:
    broker = Broker("1", "n", lambda: 0.0, bytes, limits=NodeLimits(vhost_max=2))
    broker.add_vhost("one")
    broker.add_vhost("one")
    with pytest.raises(TooManyVirtualHosts, match="cannot create vhost 'two': vhost limit of 2 is reached"):
        broker.add_vhost("two")
    broker.delete_vhost("one")
    broker.add_vhost("two")


def in_vhost(driver: Driver, name: str) -> Client:
    """A client that has a virtual host open, and channel 1."""
    client = driver.log_in()
    client.connection.vhost = driver.broker.vhost(name)
    return client


def test_deleting_a_virtual_host_ends_all_that_is_in_it(driver: Driver, broker: Broker) -> None:
    vhost = broker.add_vhost("other")
    broker.permissions.set("guest", "other", ".*", ".*", ".*")
    broker.permissions.set_topic("guest", "other", "x", "", "")
    client, stays = in_vhost(driver, "other"), driver.log_in()
    for name, durable, exclusive in (("durable", True, False), ("transient", False, False), ("mine", False, True)):
        method = QueueDeclare(name, durable=durable, exclusive=exclusive)
        assert isinstance(client.call(method).method, QueueDeclareOk)
        client.publish("", name, b"body")
    queues = list(vhost.queues.values())
    client.fetch("durable", no_ack=False)
    broker.delete_vhost("other")
    driver.tick()
    assert [received.method for received in client.take()] == [
        ConnectionClose(320, "CONNECTION_FORCED - vhost 'other' is deleted", 0, 0)
    ]
    assert all(queue.deleted and queue.gone for queue in queues)
    assert [permission.vhost for permission in broker.permissions.all()] == ["/"]
    assert broker.permissions.all_topics() == []
    assert list(broker.vhosts) == ["/"]
    stays.declare("queue")
    assert broker.add_vhost("other") is not vhost
    assert not broker.vhost("other").queues


@pytest.mark.parametrize(
    ("durable", "exclusive", "auto_delete", "kind"),
    [
        (True, False, False, "quorum"),
        (False, False, False, "classic"),
        (True, False, True, "classic"),
        (True, True, False, "classic"),
    ],
)
def test_the_default_type_of_queues(
    driver: Driver, broker: Broker, durable: bool, exclusive: bool, auto_delete: bool, kind: str
) -> None:
    client = driver.log_in()
    client.send(QueueDeclare("before", durable=True))
    broker.describe_vhost("/", default_queue_type="quorum")
    for _ in range(2):
        client.send(QueueDeclare("queue", False, durable, exclusive, auto_delete))
    driver.tick()
    assert [received.method.name for received in client.take()] == ["queue.declare-ok"] * 3
    assert driver.queue("queue").arguments["x-queue-type"].value == kind
    assert driver.queue("queue").is_quorum == (kind == "quorum")


def test_a_default_type_needs_a_name(driver: Driver, broker: Broker) -> None:
    broker.describe_vhost("/", default_queue_type="quorum")
    client = driver.log_in()
    refusal = client.refusal(QueueDeclare("", durable=True))
    assert refusal == (406, "Cannot declare a server-named queue for type rabbit_quorum_queue")
