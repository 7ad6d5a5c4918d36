"""Users, permissions and virtual hosts are there again after a kill, and what was deleted is not."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pika
import pytest
from pika.exceptions import ProbableAuthenticationError

from tests.behaviour.expectations import channel_closed
from tests.ctl.conftest import leveretctl_here
from tests.support.broker_process import BrokerProcess

Ctl = Callable[..., str]


@pytest.fixture
def ctl(fresh_broker: BrokerProcess) -> Ctl:
    def run(*arguments: str) -> str:
        result = leveretctl_here("-q", *arguments, data_dir=fresh_broker.data_dir)
        assert (result.returncode, result.stderr) == (0, ""), arguments
        return result.stdout

    return run


def restart(broker: BrokerProcess) -> None:
    broker.stop(signal.SIGKILL)
    broker.start()


def lists(ctl: Ctl) -> list[str]:
    columns = ("name", "description", "tags", "default_queue_type", "protected_from_deletion")
    vhosts = ctl("list_vhosts", *columns)
    of_vhosts = [
        ctl(command, "-p", line.split("\t")[0])
        for line in vhosts.splitlines()[1:]
        for command in ("list_permissions", "list_topic_permissions", "list_queues")
    ]
    return [vhosts, ctl("list_users"), ctl("list_vhost_limits", "--global"), *of_vhosts]


def connect(broker: BrokerProcess, user: str, password: str, vhost: str) -> pika.BlockingConnection:
    credentials = pika.PlainCredentials(user, password)
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.port, vhost, credentials))


def test_all_of_it_survives_a_kill(fresh_broker: BrokerProcess, ctl: Ctl) -> None:
    ctl("add_user", "älice", "pässword")
    ctl("set_user_tags", "älice", "monitoring", "free tag")
    ctl("add_user", "bob", "first")
    ctl("change_password", "bob", "second")
    ctl("add_user", "carol", "secret")
    ctl("clear_password", "carol")
    ctl("add_user", "gone", "secret")
    ctl("add_vhost", "öne", "-d", "description", "--tags", "a,b", "--default-queue-type", "quorum")
    ctl("add_vhost", "two")
    ctl("enable_vhost_deletion_protection", "two")
    ctl("update_vhost_metadata", "two", "-d", "other")
    ctl("add_vhost", "gone")
    ctl("set_permissions", "-p", "öne", "älice", "^ä", ".*", "")
    ctl("set_permissions", "-p", "öne", "älice", "^ä", ".*", "^ä")
    ctl("set_permissions", "-p", "two", "bob", "a", "b", "c")
    ctl("clear_permissions", "-p", "two", "bob")
    ctl("set_permissions", "-p", "gone", "bob", "a", "b", "c")
    ctl("set_permissions", "-p", "öne", "gone", "a", "b", "c")
    ctl("set_topic_permissions", "-p", "öne", "älice", "amq.topic", "^{username}", ".*")
    ctl("set_topic_permissions", "-p", "öne", "bob", "amq.topic", "x", "y")
    ctl("set_topic_permissions", "-p", "öne", "bob", "other", "x", "y")
    ctl("clear_topic_permissions", "-p", "öne", "bob", "amq.topic")
    ctl("set_topic_permissions", "-p", "öne", "gone", "other", "x", "y")
    ctl("delete_user", "gone")
    ctl("delete_vhost", "gone")
    before = lists(ctl)
    restart(fresh_broker)
    assert lists(ctl) == before
    assert "gone" not in "".join(before)
    with connect(fresh_broker, "älice", "pässword", "öne") as connection:
        channel = connection.channel()
        channel.queue_declare("ä", durable=True)
        refused = "configure access to queue 'b' in vhost 'öne' refused for user 'älice'"
        with channel_closed(403, f"ACCESS_REFUSED - {refused}"):
            channel.queue_declare("b")
    for user, password in (("bob", "first"), ("carol", "secret"), ("gone", "secret")):
        with pytest.raises(ProbableAuthenticationError):
            connect(fresh_broker, user, password, "/")
    assert "bob" in ctl("list_users")
    ctl("authenticate_user", "bob", "second")


def test_who_is_deleted_stays_deleted(fresh_broker: BrokerProcess, ctl: Ctl) -> None:
    """Also what a new broker begins with."""
    ctl("add_user", "admin", "secret")
    ctl("add_vhost", "other")
    ctl("set_permissions", "-p", "other", "admin", ".*", ".*", ".*")
    with pika.BlockingConnection(pika.URLParameters(fresh_broker.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("queue", durable=True)
        channel.basic_publish("", "queue", b"", pika.BasicProperties(delivery_mode=2))
    ctl("delete_user", "guest")
    ctl("delete_vhost", "/")
    for _ in range(2):
        restart(fresh_broker)
        assert ctl("list_users", "--no-table-headers") == "admin\t[]\n"
        assert ctl("list_vhosts", "--no-table-headers") == "other\n"
        connect(fresh_broker, "admin", "secret", "other").close()
        with pytest.raises(ProbableAuthenticationError):
            connect(fresh_broker, "guest", "guest", "/")
    ctl("add_vhost", "/")
    ctl("set_permissions", "admin", ".*", ".*", ".*")
    with connect(fresh_broker, "admin", "secret", "/") as connection:
        assert connection.channel().queue_declare("queue", durable=True).method.message_count == 0
    fresh_broker.stop()
    fresh_broker.start()
    with connect(fresh_broker, "admin", "secret", "/") as connection:
        assert connection.channel().queue_declare("queue", passive=True).method.message_count == 0


def test_messages_are_of_their_virtual_host(fresh_broker: BrokerProcess, ctl: Ctl) -> None:
    """Queues of one name, in virtual hosts of which one is deleted and made again with messages in it."""
    ctl("add_vhost", "other")
    ctl("set_permissions", "-p", "other", "guest", ".*", ".*", ".*")

    def publish(vhost: str, count: int) -> None:
        with connect(fresh_broker, "guest", "guest", vhost) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare("queue", durable=True)
            for _ in range(count):
                channel.basic_publish("", "queue", b"", pika.BasicProperties(delivery_mode=2))

    def counts() -> list[int]:
        found = []
        for vhost in ("/", "other"):
            with connect(fresh_broker, "guest", "guest", vhost) as connection:
                found.append(connection.channel().queue_declare("queue", passive=True).method.message_count)
        return found

    publish("/", 3)
    publish("other", 5)
    restart(fresh_broker)
    assert counts() == [3, 5]
    ctl("delete_vhost", "other")
    ctl("add_vhost", "other")
    ctl("set_permissions", "-p", "other", "guest", ".*", ".*", ".*")
    publish("other", 1)
    assert counts() == [3, 1]
    restart(fresh_broker)
    assert counts() == [3, 1]
