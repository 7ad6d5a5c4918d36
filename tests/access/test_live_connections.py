"""What becomes of connections when users, permissions and virtual hosts change under them."""

from __future__ import annotations

import pika
import pytest
from pika.adapters.blocking_connection import BlockingConnection
from pika.exceptions import ProbableAccessDeniedError, ProbableAuthenticationError
from pika.spec import Basic, Channel, Connection

from tests.access.conftest import PASSWORD, Access, text_of_refusal
from tests.behaviour.expectations import await_errors, channel_closed, connection_closed, leveret_only, wait_until
from tests.behaviour.raw_connection import RawConnection

CAPABILITIES: dict[str, object] = {"capabilities": {"consumer_cancel_notify": True}}


def refused_open(access: Access, user: str, vhost: str) -> str:
    """Why connection.open is refused with 530."""
    with pytest.raises(ProbableAccessDeniedError) as caught:
        access.connect(user, vhost)
    return str(caught.value.args[0])


def wait_for_end(connection: BlockingConnection) -> None:
    wait_until(lambda: not connection.is_open, connection)


def test_who_has_no_permissions_may_not_open_a_virtual_host(access: Access) -> None:
    vhost = access.vhost("closed")
    user = access.user("stranger")
    text = f"access to vhost '{vhost}' refused for user '{user}'"
    assert text in refused_open(access, user, vhost)
    access.permit(user, vhost, "^$", "^$", "^$")
    access.connect(user, vhost)
    access.ctl("clear_permissions", "-p", vhost, user)
    assert text in refused_open(access, user, vhost)


def test_clearing_permissions_leaves_the_connection_and_refuses_what_it_does_next(access: Access) -> None:
    vhost = access.vhost("cleared")
    user = access.user("cleared", vhost)
    connection = access.connect(user, vhost)
    channel = connection.channel()
    channel.queue_declare("queue")
    access.ctl("clear_permissions", "-p", vhost, user)
    text = text_of_refusal(f"read access to queue 'queue' in vhost '{vhost}' refused for user '{user}'")
    channel = connection.channel()
    with channel_closed(403, f"ACCESS_REFUSED - {text}"):
        channel.basic_get("queue")
    assert connection.is_open


@leveret_only("RabbitMQ's channels remember for a while what they were permitted")
def test_a_route_is_not_used_again_when_its_permission_is_gone(access: Access) -> None:
    vhost = access.vhost("route")
    user = access.user("route", vhost)
    channel = access.connect(user, vhost).channel()
    channel.queue_declare("queue")
    for _ in range(3):
        channel.basic_publish("", "queue", b"kept")
    await_errors(channel)
    access.permit(user, vhost, ".*", "^$", ".*")
    text = f"write access to exchange 'amq.default' in vhost '{vhost}' refused for user '{user}'"
    with channel_closed(403, f"ACCESS_REFUSED - {text}"):
        channel.basic_publish("", "queue", b"dropped")
        await_errors(channel)
    channel = access.connect("guest", vhost).channel()
    assert channel.queue_declare("queue", passive=True).method.message_count == 3


def test_consumers_go_on_when_permissions_change(access: Access) -> None:
    vhost = access.vhost("consumers")
    user = access.user("consumer", vhost)
    channel = access.connect(user, vhost).channel()
    channel.queue_declare("queue")
    bodies: list[bytes] = []
    channel.basic_consume("queue", lambda *message: bodies.append(message[3]), auto_ack=True)
    access.permit(user, vhost, "^$", "^$", "^$")
    access.connect("guest", vhost).channel().basic_publish("", "queue", b"late")
    wait_until(lambda: bodies == [b"late"], channel.connection)


@leveret_only("RabbitMQ before 4.x looks at nothing again")
def test_a_new_secret_ends_the_consumers_that_may_not_read_any_more(access: Access) -> None:
    vhost = access.vhost("secret")
    user = access.user("secret", vhost)
    channel = access.connect("guest", vhost).channel()
    for queue in ("kept", "lost"):
        channel.queue_declare(queue)
    connection = RawConnection(access.broker.port, None, user, PASSWORD, vhost, CAPABILITIES)
    connection.open_channel()
    for queue in ("kept", "lost"):
        assert isinstance(connection.call(Basic.Consume(queue=queue, consumer_tag=queue)), Basic.ConsumeOk)
    access.permit(user, vhost, "^$", "^$", "kept")
    update = Connection.UpdateSecret("renewed", "it was time")
    cancelled = connection.call(update, 0)
    assert isinstance(cancelled, Basic.Cancel)
    assert cancelled.consumer_tag == "lost"
    assert isinstance(connection.method(), Connection.UpdateSecretOk)
    channel.basic_publish("", "lost", b"lost")
    channel.basic_publish("", "kept", b"kept")
    delivered = connection.method()
    assert isinstance(delivered, Basic.Deliver)
    assert delivered.consumer_tag == "kept"
    access.ctl("clear_permissions", "-p", vhost, user)
    closed = connection.call(update, 0)
    assert isinstance(closed, Connection.Close)
    text = f"NOT_ALLOWED - access to vhost '{vhost}' refused for user '{user}'"
    assert (closed.reply_code, closed.reply_text) == (530, text)
    connection.die()


def test_a_new_secret_is_taken_whatever_it_is(access: Access) -> None:
    """The secrets of RabbitMQ's own users do not expire, and so it does not compare new ones."""
    vhost = access.vhost("renewed")
    connection = RawConnection(access.broker.port, None, access.user("renewed", vhost), PASSWORD, vhost)
    assert isinstance(connection.call(Connection.UpdateSecret("other", ""), 0), Connection.UpdateSecretOk)
    assert isinstance(connection.call(Channel.Open()), Channel.OpenOk)
    connection.die()


def test_deleting_a_user_closes_their_connections_and_no_others(access: Access) -> None:
    vhost = access.vhost("deleted-user")
    user, other = access.user("deleted", vhost), access.user("other", vhost)
    connections = [access.connect(user, vhost), access.connect(user, vhost)]
    connections[0].channel().queue_declare("mine", exclusive=True)
    stays = access.connect(other, vhost)
    access.delete_user(user)
    for connection in connections:
        with connection_closed(320, f"CONNECTION_FORCED - user '{user}' is deleted"):
            wait_for_end(connection)
            connection.channel()
    channel = stays.channel()
    with channel_closed(404, f"NOT_FOUND - no queue 'mine' in vhost '{vhost}'"):
        channel.queue_declare("mine", passive=True)
    with pytest.raises(ProbableAuthenticationError):
        access.connect(user, vhost)


def test_a_user_who_is_made_again_begins_with_nothing(access: Access) -> None:
    vhost = access.vhost("again")
    user = access.user("again", vhost)
    access.ctl("set_topic_permissions", "-p", vhost, user, "amq.topic", "^$", "^$")
    access.ctl("set_user_limits", user, '{"max-connections": 0}')
    access.delete_user(user)
    access.user("again")
    assert f"access to vhost '{vhost}' refused" in refused_open(access, user, vhost)
    access.permit(user, vhost)
    channel = access.connect(user, vhost).channel()
    channel.basic_publish("amq.topic", "key", b"")
    await_errors(channel)


def test_another_password_is_for_the_next_login(access: Access) -> None:
    vhost = access.vhost("password")
    user = access.user("password", vhost)
    connection = access.connect(user, vhost)
    access.ctl("change_password", user, "another")
    connection.channel()
    with pytest.raises(ProbableAuthenticationError):
        access.connect(user, vhost)
    access.connect(user, vhost, "another")
    access.ctl("clear_password", user)
    with pytest.raises(ProbableAuthenticationError):
        access.connect(user, vhost, "another")
    connection.channel()


def test_deleting_a_virtual_host_takes_all_that_is_in_it(access: Access) -> None:
    vhost, other = access.vhost("deleted"), access.vhost("kept")
    user = access.user("of-vhost", vhost)
    access.permit(user, other)
    connection, stays = access.connect(user, vhost), access.connect(user, other)
    cancelled: list[object] = []
    channel = connection.channel()
    channel.add_on_cancel_callback(cancelled.append)
    for each in (channel, stays.channel()):
        each.confirm_delivery()
        each.queue_declare("queue", durable=True)
        each.exchange_declare("exchange", "topic", durable=True)
        each.queue_bind("queue", "exchange", "#")
        each.basic_publish("exchange", "key", b"", pika.BasicProperties(delivery_mode=2))
    channel.basic_get("queue")
    channel.basic_consume("queue", lambda *_: None)
    access.delete_vhost(vhost)
    with connection_closed(320, f"CONNECTION_FORCED - vhost '{vhost}' is deleted"):
        wait_for_end(connection)
        connection.channel()
    assert cancelled == []
    assert f"vhost {vhost} not found" in refused_open(access, user, vhost)
    assert stays.channel().queue_declare("queue", passive=True).method.message_count == 1
    access.vhost("deleted")
    assert f"access to vhost '{vhost}' refused for user '{user}'" in refused_open(access, user, vhost)
    channel = access.connect("guest", vhost).channel()
    assert channel.queue_declare("queue", durable=True).method.message_count == 0
    channel.exchange_declare("exchange", "direct")
    channel.basic_publish("exchange", "key", b"")
    await_errors(channel)
    assert channel.queue_declare("queue", passive=True).method.message_count == 0


def test_limits_of_a_virtual_host_are_its_own(access: Access) -> None:
    limited, free = access.vhost("limited"), access.vhost("free")
    access.ctl("set_vhost_limits", "-p", limited, '{"max-connections": 1, "max-queues": 1}')
    channel = access.connect("guest", limited).channel()
    channel.queue_declare("one")
    text = f"cannot declare queue 'two': queue limit in vhost '{limited}' (1) is reached"
    with channel_closed(406, f"PRECONDITION_FAILED - {text}"):
        channel.queue_declare("two")
    text = f"access to vhost '{limited}' refused for user 'guest': connection limit (1) is reached"
    assert text in refused_open(access, "guest", limited)
    access.connect("guest", free).channel().queue_declare("two")


def test_who_may_publish_as_somebody_else(access: Access) -> None:
    vhost = access.vhost("impersonation")
    user = access.user("actor", vhost)
    somebody = pika.BasicProperties(user_id="somebody")
    channel = access.connect(user, vhost).channel()
    channel.basic_publish("", "key", b"", pika.BasicProperties(user_id=user))
    await_errors(channel)
    text = f"user_id property set to 'somebody' but authenticated user was '{user}'"
    with channel_closed(406, f"PRECONDITION_FAILED - {text}"):
        channel.basic_publish("", "key", b"", somebody)
        await_errors(channel)
    access.ctl("set_user_tags", user, "impersonator")
    channel = access.connect(user, vhost).channel()
    channel.basic_publish("", "key", b"", somebody)
    await_errors(channel)


@leveret_only("RabbitMQ 3.10 gives the default type to queues that can't have it")
def test_the_default_type_of_queues(access: Access) -> None:
    vhost = access.vhost("quorum", "--default-queue-type", "quorum")
    channel = access.connect("guest", vhost).channel()
    channel.queue_declare("durable", durable=True)
    channel.queue_declare("durable", durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_declare("transient")
    channel.queue_declare("exclusive", durable=True, exclusive=True)
    channel.queue_declare("classic", durable=True, arguments={"x-queue-type": "classic"})
    lines = access.ctl("list_queues", "-p", vhost, "--no-table-headers", "name", "type").splitlines()
    types = dict(line.split("\t") for line in lines)
    assert types == {"durable": "quorum", "transient": "classic", "exclusive": "classic", "classic": "classic"}
