"""The user, the virtual host and the users that a new broker begins with, as programs and applications meet them."""

from __future__ import annotations

from pathlib import Path

import pika
import pika.exceptions
import pytest

from leveret.amqp.frame import PROTOCOL_HEADER
from leveret.broker.broker import Broker
from leveret.broker.defaults import Defaults, DefaultUser
from tests.broker.driver import Driver, start_ok
from tests.http.client import Api
from tests.support.broker_process import BrokerProcess


def url(broker: BrokerProcess, user: str, password: str, vhost: str) -> pika.URLParameters:
    return pika.URLParameters(f"amqp://{user}:{password}@127.0.0.1:{broker.port}/{vhost.replace('/', '%2F')}")


def refused(broker: BrokerProcess, user: str, password: str, vhost: str) -> bool:
    try:
        pika.BlockingConnection(url(broker, user, password, vhost)).close()
    except (pika.exceptions.ProbableAuthenticationError, pika.exceptions.ProbableAccessDeniedError):
        return True
    return False


def test_the_variables_of_rabbitmqs_image(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    broker.environment = {
        "RABBITMQ_DEFAULT_USER": "shop",
        "RABBITMQ_DEFAULT_PASS": "s3cret",
        "RABBITMQ_DEFAULT_VHOST": "goods",
    }
    with broker:
        with pika.BlockingConnection(url(broker, "shop", "s3cret", "goods")) as connection:
            connection.channel().queue_declare("q", durable=True)
        assert refused(broker, "guest", "guest", "goods")
        assert refused(broker, "shop", "guest", "goods")
        broker.stop()
        broker.environment["RABBITMQ_DEFAULT_PASS"] = "another"  # what there is counts, as in RabbitMQ
        broker.start()
        with pika.BlockingConnection(url(broker, "shop", "s3cret", "goods")) as connection:
            connection.channel().queue_declare("q", passive=True)
        assert refused(broker, "shop", "another", "goods")
        assert "s3cret" not in broker.log_path.read_text()


@pytest.mark.parametrize("arguments", [(), ("--ephemeral",)])
def test_a_file_says_what_users_may_do(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "rabbitmq.conf").write_text(
        """
        default_user = chief
        default_pass = s3cret
        default_vhost = shop
        default_permissions.configure = ^own-
        default_user_tags.monitoring = true
        default_queue_type = quorum
        default_users.clerk.password = hunter2
        default_users.clerk.vhost_pattern = ^shop
        default_users.clerk.configure = ''
        default_users.stranger.password = hunter2
        default_users.stranger.vhost_pattern = ^elsewhere$
        loopback_users = none
        """
    )
    with BrokerProcess(tmp_path, "--config", str(tmp_path), *arguments) as broker:
        with pika.BlockingConnection(url(broker, "chief", "s3cret", "shop")) as connection:
            channel = connection.channel()
            channel.queue_declare("own-queue", durable=True)
            with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="configure access to queue 'other'"):
                channel.queue_declare("other")
            channel = connection.channel()
            with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="inequivalent arg 'x-queue-type'"):
                channel.queue_declare("own-queue", durable=True, arguments={"x-queue-type": "classic"})
        with pika.BlockingConnection(url(broker, "clerk", "hunter2", "shop")) as connection:
            channel = connection.channel()
            channel.basic_publish("", "own-queue", b"x")
            with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="configure access to queue 'mine'"):
                channel.queue_declare("mine")
        assert refused(broker, "stranger", "hunter2", "shop")
        assert refused(broker, "guest", "guest", "shop")


def test_a_file_says_what_virtual_hosts_begin_with(tmp_path: Path) -> None:
    (tmp_path / "rabbitmq.conf").write_text(
        """
        default_limits.vhosts.first.pattern = ^/$
        default_limits.vhosts.first.max_connections = 1
        default_limits.vhosts.others.max_queues = 2
        default_limits.vhosts.late.max_queues = 7
        default_policies.operator.short.vhost_pattern = ^dev-|^/$
        default_policies.operator.short.queue_pattern = ^tmp
        default_policies.operator.short.max_length = 1
        """
    )
    with BrokerProcess(tmp_path, "--config", str(tmp_path)) as broker:
        api = Api(broker.http_port)
        assert api.call("PUT", "/api/vhosts/dev-1").status == 201
        assert api.call("PUT", "/api/vhosts/test").status == 201
        limits = {entry["vhost"]: entry["value"] for entry in api.get("/api/vhost-limits")}
        assert limits == {"/": {"max-connections": 1}, "dev-1": {"max-queues": 2}, "test": {"max-queues": 2}}
        assert {policy["vhost"]: policy["definition"] for policy in api.get("/api/operator-policies")} == {
            "/": {"max-length": 1},
            "dev-1": {"max-length": 1},
        }
        assert api.call("PUT", "/api/queues/%2F/tmp1", {"durable": True}).status == 201
        assert api.get("/api/queues/%2F/tmp1")["operator_policy"] == "short"
        assert api.call("DELETE", "/api/vhost-limits/%2F/max-connections").status == 204
        api.close()
        broker.stop()
        broker.start()  # what was deleted stays so
        api = Api(broker.http_port)
        assert {entry["vhost"] for entry in api.get("/api/vhost-limits")} == {"dev-1", "test"}
        assert {policy["vhost"] for policy in api.get("/api/operator-policies")} == {"/", "dev-1"}
        api.close()


# In process


def broker_with(*users: DefaultUser) -> Broker:
    return Broker("0", "test", lambda: 0.0, bytes, defaults=Defaults(users=users))


def permissions(broker: Broker, user: str, vhost: str) -> tuple[str, str, str] | None:
    found = broker.permissions.find(user, vhost)
    return None if found is None else (found.configure, found.write, found.read)


def test_a_new_virtual_host_begins_with_the_users_that_match_it() -> None:
    broker = broker_with(
        DefaultUser("ann", "pw", ["monitoring"], "^dev-", "^a", "^b", "^c"), DefaultUser("bob", "", [], "^test$")
    )
    assert broker.users.find("ann") is None
    broker.add_vhost("dev-1")
    assert permissions(broker, "ann", "dev-1") == ("^a", "^b", "^c")
    assert permissions(broker, "bob", "dev-1") is None
    ann = broker.users.check_password("ann", b"pw")
    assert ann is not None
    assert ann.tags == ["monitoring"]
    broker.add_vhost("test")
    assert permissions(broker, "bob", "test") == (".*", ".*", ".*")
    assert broker.users.check_password("bob", b"") is None


def test_a_user_who_is_there_keeps_password_and_tags() -> None:
    broker = broker_with(DefaultUser("ann", "first", ["monitoring"], ".*"))
    broker.users.set_password("ann", b"second")
    broker.users.set_tags("ann", [])
    broker.permissions.clear("ann", "/")
    broker.add_vhost("more")
    broker.add_vhost("/")
    ann = broker.users.check_password("ann", b"second")
    assert ann is not None
    assert ann.tags == []
    assert permissions(broker, "ann", "more") == (".*", ".*", ".*")
    assert permissions(broker, "ann", "/") is None


@pytest.mark.parametrize("loopback_only", [True, False])
def test_guest_may_come_from_elsewhere_if_nobody_says_otherwise(loopback_only: bool) -> None:
    names = frozenset({"guest"} if loopback_only else ())
    driver = Driver(Broker("0", "test", lambda: 0.0, bytes, loopback_users=names))
    client = driver.client(from_loopback=False)
    client.feed(PROTOCOL_HEADER)
    client.send(start_ok(), 0)
    driver.tick()
    answers = [received.method.name for received in client.take()]
    assert answers == ["connection.start", "connection.close" if loopback_only else "connection.tune"]
