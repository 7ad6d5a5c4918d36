"""What a client does while others listen to events and copies, the same on any broker, and what they hear.

Headers are kept with their wire types; what differs from run to run is replaced: process identifiers, ports, times
and the broker's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal

import pika
import pika.data
import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import AMQPError
from pika.spec import BasicProperties

from tests.http.client import Api

VARIABLE = (
    (re.compile(r"<[^<>]*@[^<>]*>"), "PID"),
    (re.compile(r"127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+"), "CONNECTION"),
    (re.compile(r"^[\w.-]+@[\w.-]+$"), "NODE"),
    (re.compile(r"^amq\.gen-.*"), "GENERATED"),
    (re.compile(r"^amq\.rabbitmq\.reply-to\..*"), "REPLY"),
)
OF_THE_RUN = {"timestamp_in_ms", "connected_at", "port", "peer_port", "time"}  # their types are compared
NEWER = "x-last-death-"  # headers that RabbitMQ 3.10 doesn't have yet
LAST = "story.last"
PATIENCE = 20.0  # seconds without anything new

Heard = tuple[str, bytes, tuple[str, ...]]  # routing key, body, and each header or property as text


@contextmanager
def typed_headers() -> Iterator[None]:
    """Have pika give each value of a table together with its wire type."""
    decode = pika.data.decode_value

    def typed(encoded: bytes, offset: int) -> tuple[object, int]:
        kind = encoded[offset : offset + 1].decode()
        value, after = decode(encoded, offset)
        return (kind, value), after

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pika.data, "decode_value", typed)
        yield


def steady(name: str, value: object) -> object:
    """A typed value without what differs from run to run."""
    if isinstance(value, tuple):
        kind, inner = value
        return (kind, "" if name in OF_THE_RUN else steady(name, inner))
    if isinstance(value, list):
        return [steady(name, element) for element in value]
    if isinstance(value, dict):
        return {worded(key): steady(key, element) for key, element in value.items() if not key.startswith(NEWER)}
    if isinstance(value, str):
        return worded(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def worded(text: str) -> str:
    """A text with words in the place of what differs from run to run."""
    for pattern, word in VARIABLE:
        text = pattern.sub(word, text)
    return text


class Listener:
    """A queue that is bound to an exchange of the broker's own, for everything."""

    def __init__(self, url: str, exchange: str) -> None:
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.queue_bind(self.queue, exchange, "#")

    def listen(self, last: Callable[[Heard], bool]) -> list[Heard]:
        """All that comes up to the last one."""
        found: list[Heard] = []
        for method, properties, body in self.channel.consume(self.queue, auto_ack=True, inactivity_timeout=PATIENCE):
            assert method is not None, f"nothing comes behind {found[-3:]}"
            headers = {key: steady(key, value) for key, value in properties.headers.items()}
            told = [f"{key}: {value}" for key, value in headers.items()]
            others = [name for name, value in vars(properties).items() if value is not None and name != "headers"]
            found.append((method.routing_key, body, (*told, *sorted(others), str(properties.delivery_mode))))
            if last(found[-1]):
                break
        self.channel.cancel()
        return found

    def close(self) -> None:
        self.connection.close()


def connect(url: str, **parameters: object) -> BlockingConnection:
    wanted = pika.URLParameters(url)
    for name, value in parameters.items():
        setattr(wanted, name, value)
    return pika.BlockingConnection(wanted)


def life(url: str) -> None:
    """Declare, bind, consume and delete in every way that has an event of its own."""
    with connect(url, client_properties={"connection_name": "story", "n": 5, "t": {"ä": "Ā"}}) as connection:
        channel = connection.channel()
        arguments = {"x-max-length": 5, "l": [1, "a", None, Decimal("1.5")]}
        for _ in range(2):
            channel.queue_declare("story.q", durable=True, arguments=arguments)
        channel.queue_declare("story.own", exclusive=True, auto_delete=True)
        channel.queue_declare("story.quorum", durable=True, arguments={"x-queue-type": "quorum"})
        channel.exchange_declare("story.e", "topic", durable=True, arguments={"alternate-exchange": "none"})
        channel.exchange_declare("story.f", "fanout", auto_delete=True, internal=True)
        for _ in range(2):
            channel.queue_bind("story.q", "story.e", "a.#", {"x": 1})
        channel.exchange_bind("story.e", "story.f", "k")
        channel.basic_qos(prefetch_count=7)
        channel.basic_consume("story.q", ignore, consumer_tag="tag", arguments={"x-priority": 3})
        channel.basic_cancel("tag")
        channel.basic_consume("story.own", ignore, auto_ack=True, exclusive=True, consumer_tag="own")
        channel.queue_unbind("story.q", "story.e", "a.#", {"x": 1})
        channel.exchange_unbind("story.e", "story.f", "k")
        channel.queue_bind("story.q", "story.e", "b")
        channel.queue_delete("story.q")
        channel.queue_declare("story.r")
        channel.queue_bind("story.r", "story.e", "c")
        channel.exchange_delete("story.e")
        for queue in ("story.r", "story.quorum"):
            channel.queue_delete(queue)
        with suppress(AMQPError):
            connection.channel().queue_declare("story.missing", passive=True)
        connection.channel().close()
    for refused in ({"credentials": pika.PlainCredentials("guest", "wrong")}, {"virtual_host": "story.missing"}):
        with suppress(AMQPError):
            connect(url, **refused)
    with connect(url) as connection:
        connection.channel().exchange_declare(LAST, "direct")
        connection.channel().exchange_delete(LAST)


POLICY = {"pattern": "^a", "definition": {"max-length": 5}, "priority": 2, "apply-to": "queues"}
OPERATIONS: tuple[tuple[str, str, object], ...] = (
    ("PUT", "/vhosts/story", {"description": "it's", "tags": "a,b"}),
    ("PUT", "/vhosts/story", {"description": "other", "tags": "c", "tracing": True}),
    ("PUT", "/users/story", {"password": "x", "tags": "monitoring,management"}),
    ("PUT", "/users/story", {"password": "y", "tags": "monitoring"}),
    ("PUT", "/permissions/story/story", {"configure": "", "write": "a", "read": ".*"}),
    ("PUT", "/topic-permissions/story/story", {"exchange": "amq.topic", "write": "a", "read": ".*"}),
    ("DELETE", "/topic-permissions/story/story", None),
    ("DELETE", "/permissions/story/story", None),
    ("PUT", "/policies/story/p", POLICY),
    ("PUT", "/operator-policies/story/o", POLICY),
    ("DELETE", "/policies/story/p", None),
    ("DELETE", "/operator-policies/story/o", None),
    ("PUT", "/vhost-limits/story/max-queues", {"value": 5}),
    ("PUT", "/user-limits/story/max-channels", {"value": 5}),
    ("DELETE", "/user-limits/story/max-channels", None),
    ("PUT", "/global-parameters/story", {"value": {"a": 1, "b": [True, 1.5, None]}}),
    ("PUT", "/queues/story/q", {"durable": True, "arguments": {"x-expires": 100000}}),
    ("PUT", "/exchanges/story/e", {"type": "fanout"}),
    ("POST", "/bindings/story/e/e/q/q", {"routing_key": "k"}),
    ("DELETE", "/exchanges/story/e", None),
    ("DELETE", "/users/story", None),
    ("DELETE", "/vhosts/story", None),
)


def operate(url: str, api: Api) -> None:
    """Do what operators do, each act of which has an event of its own."""
    for method, path, body in OPERATIONS:
        reply = api.call(method, f"/api{path}", body, {"content-type": "application/json"})
        assert reply.status in (201, 204), (method, path, reply)
    with connect(url) as connection:
        connection.channel().exchange_declare(LAST, "direct")
        connection.channel().exchange_delete(LAST)


def traffic(url: str) -> None:
    """Publish and be sent messages in the ways that the firehose tells apart."""
    with connect(url) as connection:
        channel = connection.channel()
        for queue in ("story.q", "story.r"):
            channel.queue_declare(queue)
            channel.queue_bind(queue, "amq.topic", "story.#")
        channel.basic_publish("", "story.q", b"plain")
        channel.basic_publish("", "story.missing", b"missing")
        channel.basic_publish("amq.topic", "story.key", b"full", full_properties())
        channel.basic_publish("amq.topic", "none", b"nowhere")
        get(channel, "story.q", auto_ack=False)
        get(channel, "story.q")
        channel.basic_recover(True)
        get(channel, "story.q")
        get(channel, "story.r")
        arguments = {"x-message-ttl": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "story.r"}
        channel.queue_declare("story.dies", arguments=arguments)
        channel.basic_publish("", "story.dies", b"")
        wait_for_one(channel, "story.r")
        transaction = connection.channel()
        transaction.tx_select()
        transaction.basic_publish("", "story.r", b"never")
        transaction.tx_rollback()
        channel.basic_consume("amq.rabbitmq.reply-to", ignore, auto_ack=True)
        channel.basic_publish("", "story.r", b"request", BasicProperties(reply_to="amq.rabbitmq.reply-to"))
        properties = wait_for_one(channel, "story.r")
        assert isinstance(properties.reply_to, str)
        channel.basic_publish("", properties.reply_to, b"reply")
        for queue in ("story.q", "story.r", "story.dies"):
            channel.queue_delete(queue)
        channel.basic_publish("", LAST, b"")
        channel.queue_declare("", exclusive=True)


def full_properties() -> BasicProperties:
    return BasicProperties(
        "text/x",
        "gzip",
        {"a": 1, "CC": ["cc", "cd"], "BCC": ["bcc"]},
        2,
        3,
        "correlation",
        "reply",
        "60000",
        "id",
        123456789,
        "type",
        "guest",
        "app",
        "cluster",
    )


def ignore(*_: object) -> None:
    pass


def get(channel: BlockingChannel, queue: str, auto_ack: bool = True) -> BasicProperties:
    """Fetch a message that must be there."""
    method, properties, _ = channel.basic_get(queue, auto_ack=auto_ack)
    assert method is not None
    return properties


def wait_for_one(channel: BlockingChannel, queue: str) -> BasicProperties:
    """Fetch a message that is on its way: an empty queue is not traced, so it may be asked again."""
    while True:
        method, properties, _ = channel.basic_get(queue, auto_ack=True)
        if method is not None:
            return properties


def events_of(acts: Callable[[], None], url: str) -> list[Heard]:
    """The events of what is done, to the one of the last exchange."""
    with typed_headers():
        listener = Listener(url, "amq.rabbitmq.event")
        acts()
        heard = listener.listen(lambda event: event[0] == "exchange.deleted" and f"name: ('S', '{LAST}')" in event[2])
        listener.close()
    return heard


def copies_of_traffic(url: str) -> list[Heard]:
    """The copies of the traffic, tracing being on."""
    with typed_headers():
        listener = Listener(url, "amq.rabbitmq.trace")
        traffic(url)
        heard = listener.listen(lambda copy: f"routing_keys: ('A', [('S', '{LAST}')])" in copy[2])
        listener.close()
    return heard
