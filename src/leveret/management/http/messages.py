"""Publishing a message, and getting some, as people do to try things out."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from leveret.amqp.frame import content_frames
from leveret.amqp.methods import BasicPublish
from leveret.amqp.properties import BasicProperties, encode_content_header
from leveret.amqp.reply_codes import ACCESS_REFUSED, NOT_FOUND, RESOURCE_LOCKED, AMQPError, SoftError
from leveret.broker.basic_methods import count_get
from leveret.broker.limits import FRAME_MAX
from leveret.broker.message import Message
from leveret.broker.permissions import QUEUE, READ, check_access
from leveret.broker.publishing import publish
from leveret.broker.queue import Queue
from leveret.broker.queue_methods import named_queue
from leveret.broker.routing import find_route
from leveret.broker.settlement import REJECTED, RETURNED
from leveret.management.http.access import user_of_vhost
from leveret.management.http.answers import encoded, of_pieces
from leveret.management.http.bodies import integer, short_text, text
from leveret.management.http.call import Call
from leveret.management.http.columns import asked_for, extracted
from leveret.management.http.errors import Refused, bad_request, from_channel, not_authorised, not_found
from leveret.management.http.resource import Resource
from leveret.management.http.session import CHANNEL, Session, session, vhost_to_enter
from leveret.management.http.slices import SLICE, in_chunks, in_slices
from leveret.management.http.tables import plain_table, table_of

TEXTS: Final = (
    "content_type",
    "content_encoding",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)
NUMBERS: Final = {"delivery_mode": 255, "priority": 255, "timestamp": 2**64 - 1}
NAMES: Final = (  # in the order of the wire
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)
NOT_TAKEN: Final = "rejected Unable to publish message. Check queue limits."
ROWS_AT_ONCE: Final = 200  # that are joined, which takes less than a millisecond
ACK_MODES: Final = ("ack_requeue_true", "ack_requeue_false", "reject_requeue_true", "reject_requeue_false")


# publishing


async def publish_message(call: Call) -> object:
    """Publish a message, and say whether it came to a queue."""
    body = await call.json("routing_key", "properties", "payload", "payload_encoding")
    if not isinstance(body["payload"], str):
        raise bad_request("payload_not_string")
    method = BasicPublish(short_text(call.argument("exchange")), short_text(text(body, "routing_key")), True)
    properties = properties_of(body["properties"])
    payload = decoded(body["payload"], body["payload_encoding"])
    content = content_frames(CHANNEL, content_header(len(payload), properties), payload, FRAME_MAX)
    with session(call, vhost_to_enter(call), from_channel) as opened:
        channel = opened.channel
        channel.confirming = True
        publish(channel, find_route(channel.connection, method), content)
        routed, taken = await opened.confirmed()
    if not taken:
        raise bad_request(NOT_TAKEN)
    return {"routed": routed}


def content_header(size: int, properties: BasicProperties) -> bytes:
    """The payload of the header frame. Refused if a property is too long."""
    try:
        return encode_content_header(size, properties)
    except ValueError as error:
        raise bad_request(str(error)) from None


def properties_of(value: object) -> BasicProperties:
    """The properties that a JSON object says; unknown ones are ignored. Refused for one of the wrong type."""
    if not isinstance(value, Mapping):
        if value == []:
            return BasicProperties()
        raise bad_request("properties are an object")
    properties = BasicProperties()
    for name in TEXTS:
        if name in value:
            if not isinstance(value[name], str):
                raise bad_request(["not_string", name])
            setattr(properties, "type_" if name == "type" else name, value[name])
    for name, largest in NUMBERS.items():
        number = value.get(name, 0)
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= largest:
            raise bad_request(["not_int", name])
        if name in value:
            setattr(properties, name, number)
    if "headers" in value:
        properties.headers = table_of(value["headers"])
    return properties


def decoded(payload: str, encoding: object) -> bytes:
    """The octets of a payload."""
    if encoding == "string":
        return payload.encode("utf-8", "replace")
    if encoding == "base64":
        try:
            return base64.b64decode(payload, validate=True)
        except (binascii.Error, ValueError):
            raise bad_request(["not_base64", payload]) from None
    raise bad_request(["unsupported_encoding", encoding])


# getting


@dataclass(frozen=True)
class Wish:
    """How many messages are asked for, and in which form; `most` is how many octets of each."""

    count: int
    ack_mode: str
    as_base64: bool
    most: int | None


async def get_messages(call: Call) -> object:
    """Take messages from a queue, or look at them and put them back."""
    wish = wish_of(await call.json("ackmode", "count", "encoding"))
    with session(call, vhost_to_enter(call), from_get) as opened:
        rows = await got(call, opened, call.argument("queue"), wish)
    return of_pieces([piece async for piece in pieces_of(rows)])


def wish_of(body: Mapping[str, Any]) -> Wish:
    """What a body asks for. Refused if that makes no sense."""
    if body["encoding"] not in ("auto", "base64"):
        raise bad_request("Unsupported encoding. Please use auto or base64.")
    if body["ackmode"] not in ACK_MODES:
        raise bad_request(f"Unsupported ackmode. Please use one of {', '.join(ACK_MODES)}.")
    most = max(integer(body, "truncate"), 0) if "truncate" in body else None
    return Wish(integer(body, "count"), body["ackmode"], body["encoding"] == "base64", most)


async def pieces_of(rows: Iterable[str]) -> AsyncIterator[bytes]:
    """A list in pieces, of rows that are JSON already."""
    begin = "["
    async for chunk in in_slices(in_chunks(rows, ROWS_AT_ONCE)):
        yield (begin + ",".join(chunk)).encode()
        begin = ","
    yield b"[]" if begin == "[" else b"]"


async def got(call: Call, opened: Session, name: str, wish: Wish) -> list[str]:
    """The messages as JSON; those that are rejected are rejected when all are taken, or the same would come again."""
    loop = asyncio.get_running_loop()
    columns = asked_for(call.query)
    rows: list[str] = []
    tags: list[int] = []
    until = loop.time() + SLICE
    while len(rows) != wish.count:
        taken = fetched(opened, name, wish)
        if taken is None:
            break
        rows.append(encoded(extracted(taken[1], columns)))
        tags.append(taken[0])
        if loop.time() >= until:
            await asyncio.sleep(0)
            call.begin_change()
            until = loop.time() + SLICE
    if wish.ack_mode.startswith("reject"):
        for tag in tags:
            opened.channel.reject(tag, False, RETURNED if wish.ack_mode == "reject_requeue_true" else REJECTED)
    return rows


def fetched(opened: Session, name: str, wish: Wish) -> tuple[int, dict[str, Any]] | None:
    """The next message with its delivery tag, None if there is none: basic.get, but for what it writes.

    A paused queue shows its messages here (as LavinMQ's do), so that people can look into it.
    """
    channel = opened.channel
    check_access(channel.connection, READ, QUEUE, name)
    queue = named_queue(channel, opened.vhost, name)
    check_not_single_active(queue, opened)
    no_ack = wish.ack_mode == "ack_requeue_false"
    taken = queue.fetch(no_ack)
    redelivered = taken is not None and taken[2]
    for traffic in (channel.traffic, queue.traffic):
        count_get(traffic, no_ack, taken is not None, redelivered)
    if taken is None:
        return None
    message, position, _ = taken
    tag = channel.deliver_got(message, queue, position, no_ack)
    if redelivered:
        message = queue.as_redelivered(message, position, no_ack)
    return tag, row_of(message, redelivered, queue.ready_count(), wish)


def check_not_single_active(queue: Queue, opened: Session) -> None:
    """SoftError 405 for a queue that basic.get can't be used with."""
    if queue.is_quorum and queue.settings.single_active_consumer:
        raise SoftError(
            RESOURCE_LOCKED,
            f"cannot obtain access to locked queue '{queue.name}' in vhost '{opened.vhost.name}'. "
            "basic.get operations are not supported by quorum queues with single active consumer",
        )


def row_of(message: Message, redelivered: bool, ready: int, wish: Wish) -> dict[str, Any]:
    """What is said of a message."""
    body = message.body()
    payload, encoding = encoded_payload(body if wish.most is None else body[: wish.most], wish.as_base64)
    return {
        "payload_bytes": len(body),
        "redelivered": redelivered,
        "exchange": message.address.exchange,
        "routing_key": message.address.routing_key,
        "message_count": ready,
        "properties": properties_row(message.properties()),
        "payload": payload,
        "payload_encoding": encoding,
    }


def encoded_payload(octets: bytes, as_base64: bool) -> tuple[str, str]:
    """A payload as text if it is one and that is wanted, else in base64."""
    if not as_base64:
        try:
            return octets.decode(), "string"
        except UnicodeDecodeError:
            pass
    return base64.b64encode(octets).decode(), "base64"


def properties_row(properties: BasicProperties) -> object:
    """The properties that a message has; none are an empty list, as RabbitMQ prints them."""
    result: dict[str, Any] = {}
    for name in NAMES:
        value = getattr(properties, "type_" if name == "type" else name)
        if value is not None:
            result[name] = plain_table(value) if name == "headers" else value
    return result or []


def from_get(error: AMQPError) -> Refused:
    """What RabbitMQ makes of an AMQP error of basic.get."""
    if error.code == NOT_FOUND:
        return not_found(error.text)
    return not_authorised(error.text) if error.code == ACCESS_REFUSED else from_channel(error)


RESOURCES: Final = (
    Resource("/exchanges/{vhost}/{exchange}/publish", user_of_vhost, post=publish_message),
    Resource("/queues/{vhost}/{queue}/get", user_of_vhost, post=get_messages),
)
