"""Topic permissions narrow down the routing keys of topic exchanges: what is published, and what is bound."""

from __future__ import annotations

from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.access.conftest import Access, text_of_refusal
from tests.behaviour.expectations import await_errors, channel_closed, leveret_only


class Scene:
    """A user with topic permissions on the exchange `topics`: for keys that begin with their name, or have an r."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.vhost = access.vhost("topics")
        self.user = access.user("to.pic", self.vhost)
        self.restrict("^{username}\\.", "r|^{vhost}$")
        channel = access.connect("guest", self.vhost).channel()
        for name in ("topics", "other topics", "source"):
            channel.exchange_declare(name, "topic")
        channel.queue_declare("queue")
        self.connection: BlockingConnection = access.connect(self.user, self.vhost)

    def restrict(self, write: str, read: str, exchange: str = "topics") -> None:
        self.access.ctl("set_topic_permissions", "-p", self.vhost, self.user, exchange, write, read)

    def channel(self) -> BlockingChannel:
        return self.connection.channel()

    def refusal(self, operation: str, key: str, exchange: str = "topics") -> str:
        text = f"{operation} access to topic '{key}' in exchange '{exchange}' in vhost '{self.vhost}'"
        return "ACCESS_REFUSED - " + text_of_refusal(f"{text} refused for user '{self.user}'")


@pytest.fixture(scope="module")
def scene(access: Access) -> Iterator[Scene]:
    yield Scene(access)


def test_publishing(scene: Scene) -> None:
    channel = scene.channel()
    channel.basic_publish("topics", f"{scene.user}.key", b"")
    channel.basic_publish("topics", f"{scene.user}.key", b"", mandatory=True)
    channel.basic_publish("other topics", "key", b"")
    channel.basic_publish("amq.direct", "key", b"")
    channel.basic_publish("", "key", b"")
    await_errors(channel)
    with channel_closed(403, scene.refusal("write", "key")):
        channel.basic_publish("topics", "key", b"")
        await_errors(channel)


def test_binding(scene: Scene) -> None:
    channel = scene.channel()
    for key in ("r", scene.vhost):
        channel.queue_bind("queue", "topics", key)
        channel.queue_unbind("queue", "topics", key)
        channel.exchange_bind("other topics", "topics", key)
        channel.exchange_unbind("other topics", "topics", key)
    channel.queue_bind("queue", "other topics", "k")
    channel.exchange_bind("topics", "source", "k")
    with channel_closed(403, scene.refusal("read", "k")):
        channel.queue_bind("queue", "topics", "k")
    channel = scene.channel()
    with channel_closed(403, scene.refusal("read", "")):
        channel.queue_unbind("queue", "topics", "")
    channel = scene.channel()
    with channel_closed(403, scene.refusal("read", "k")):
        channel.exchange_bind("other topics", "topics", "k")
    channel = scene.channel()
    with channel_closed(403, scene.refusal("read", "k")):
        channel.exchange_unbind("other topics", "topics", "k")


def test_a_missing_exchange_has_no_topics(scene: Scene) -> None:
    channel = scene.channel()
    with channel_closed(404, f"NOT_FOUND - no exchange 'missing' in vhost '{scene.vhost}'"):
        channel.queue_bind("queue", "missing", "k")


@leveret_only("RabbitMQ 3.10 looks at the routing key alone, and later versions at all of them")
@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_copies_are_published_too(scene: Scene, header: str) -> None:
    channel = scene.channel()
    mine = f"{scene.user}.key"
    channel.basic_publish("topics", mine, b"", pika.BasicProperties(headers={header: [f"{mine}.copy"]}))
    await_errors(channel)
    with channel_closed(403, scene.refusal("write", "copy")):
        channel.basic_publish("topics", mine, b"", pika.BasicProperties(headers={header: [mine, "copy"]}))
        await_errors(channel)


@leveret_only("RabbitMQ puts names into patterns as they are, so that a dot in them stands for anything")
def test_names_in_patterns_mean_themselves(scene: Scene) -> None:
    channel = scene.channel()
    with channel_closed(403, scene.refusal("write", scene.user.replace(".", "x") + ".key")):
        channel.basic_publish("topics", scene.user.replace(".", "x") + ".key", b"")
        await_errors(channel)


@leveret_only("RabbitMQ's channels remember for a while what they were permitted")
def test_a_change_is_in_effect_at_once(scene: Scene) -> None:
    """Also for a route that the connection has published by."""
    channel = scene.channel()
    for _ in range(2):
        channel.basic_publish("other topics", "key", b"")
    await_errors(channel)
    scene.restrict("^$", "^$", "other topics")
    with channel_closed(403, scene.refusal("write", "key", "other topics")):
        channel.basic_publish("other topics", "key", b"")
        await_errors(channel)
    scene.access.ctl("clear_topic_permissions", "-p", scene.vhost, scene.user, "other topics")
    channel = scene.channel()
    channel.basic_publish("other topics", "key", b"")
    await_errors(channel)
