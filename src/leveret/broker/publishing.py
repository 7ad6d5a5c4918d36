"""Taking a published message in: its properties checked, its queues found, confirmed or kept for a commit.

The usual message has no properties, or a delivery mode alone, and costs two comparisons here. Others are scanned
for being well formed without being decoded. Decoded is only what the broker itself acts on: CC and BCC, user-id,
expiration, a direct reply-to address, and all of them where an exchange routes by more than the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from librt.strings import read_i16_be, read_i32_be
from mypy_extensions import i64

from leveret.amqp.field_table import TYPE_NAMES, Table
from leveret.amqp.frame import content_frames, split_content
from leveret.amqp.methods import BasicReturn
from leveret.amqp.properties import (
    EXPIRATION,
    BasicProperties,
    decode_properties,
    encode_content_header,
    scan_properties,
)
from leveret.amqp.reply_codes import NO_ROUTE, PRECONDITION_FAILED, SoftError
from leveret.broker.consumer import write_content
from leveret.broker.deduplication import Admission, withdraw
from leveret.broker.direct_reply_to import REPLY_TO
from leveret.broker.durability import Store
from leveret.broker.expiry import checked_expiration
from leveret.broker.message import FLAGS_AT, FRAME_HEAD, NEVER, PROPERTIES_AT, Address, Message
from leveret.broker.permissions import WRITE, check_topic
from leveret.broker.queue import Queue
from leveret.broker.routing import Route
from leveret.broker.transaction import Publication
from leveret.broker.users import IMPERSONATOR

if TYPE_CHECKING:
    from leveret.broker.channel import Channel
    from leveret.broker.connection import Connection

PERSISTENT: Final = 2
DELIVERY_MODE_ONLY: Final[i64] = 0x1000
HEADERS: Final[i64] = 0x2000
REPLY_TO_PRESENT: Final[i64] = 0x0200
USER_ID: Final[i64] = 0x0010
AHEAD_OF_CONSUMERS: Final[i64] = 8 * 1024 * 1024  # octets ready in a queue with consumers before publishers are slowed
EMPTY_HEADER: Final[i64] = 14  # octets of a content header payload without properties
SENDER_SELECTED: Final = ("CC", "BCC")


def publish(channel: Channel, route: Route, content: bytes) -> None:
    """A whole message arrived on a channel: content is its frames, header first.

    SoftError 406 for a CC, user-id, expiration or reply-to that the broker refuses, HardError for malformed properties.
    """
    flags: i64 = i64(read_i16_be(content, FLAGS_AT)) & 0xFFFF
    header_size = i64(read_i32_be(content, 3))
    if route.each_message or not (
        (flags == 0 and header_size == EMPTY_HEADER)
        or (flags == DELIVERY_MODE_ONLY and header_size == EMPTY_HEADER + 1)
    ):
        publish_with_properties(channel, route, content, flags)
        return
    persistent = flags != 0 and content[PROPERTIES_AT] == PERSISTENT
    connection = channel.connection
    time_ms = connection.broker.timers.time_ms
    message = Message(route.address, content, connection.frame_max, persistent, time_ms, NEVER)
    count_publish(channel, route, message, route.queues)
    if channel.transaction is None:
        take_in(channel, message, route.queues, route.mandatory)
    else:
        keys = [route.address.routing_key]
        channel.transaction.publish(for_commit(message, route.queues, keys, route.mandatory, None))


def publish_with_properties(channel: Channel, route: Route, content: bytes, flags: i64) -> None:
    """As `publish`, for a message whose properties may mean something to the broker."""
    connection = channel.connection
    header = content[FRAME_HEAD : FRAME_HEAD + i64(read_i32_be(content, 3))]
    persistent = scan_properties(header) == PERSISTENT
    queues = route.queues
    keys: list[str] | None = None
    admissions: list[Admission] | None = None
    properties: BasicProperties | None = None
    address = route.address
    if route.each_message or must_decode(flags, header):
        properties = decode_properties(header, FLAGS_AT - FRAME_HEAD)
        check_user_id(connection, properties)
    expiration = checked_expiration(header) if flags & EXPIRATION else NEVER
    if properties is not None:
        keys = routing_keys(route, properties)
        for key in keys[1:]:  # the route was permitted for the first
            check_topic(connection, WRITE, route.exchange, key)
        blind_keys = selected_keys(properties.headers or {}, "BCC")
        if blind_keys:
            address = Address(address.exchange, address.routing_key, tuple(blind_keys))
        content = rewritten(channel, content, properties)
    time_ms = connection.broker.timers.time_ms
    message = Message(address, content, connection.frame_max, persistent, time_ms, expiration)
    if keys is not None and properties is not None and (route.each_message or len(keys) > 1):
        admissions = []
        vhost = connection.vhost_opened()
        queues = vhost.route(route.exchange, keys, properties, message, admissions)[0]
        if vhost.firehose.on:
            vhost.firehose.published(channel, message, keys, queues)
    count_publish(channel, route, message, queues)
    if channel.transaction is not None:
        keys = keys or [address.routing_key]
        channel.transaction.publish(for_commit(message, queues, keys, route.mandatory, admissions))
    elif not take_in(channel, message, queues, route.mandatory):
        withdraw(admissions)


def for_commit(
    message: Message, queues: list[Queue], keys: list[str], mandatory: bool, admissions: list[Admission] | None
) -> Publication:
    """What a transaction keeps of a message with these routing keys.

    The default exchange's queues are told by name alone, since they may be declared before the commit.
    """
    delay_queues = [queue for queue in queues if queue.is_delay_queue]
    names = {queue.name: None for queue in queues if not queue.is_delay_queue}
    if message.address.exchange == "" and not delay_queues:
        names.update(dict.fromkeys(keys))
    return Publication(message, list(names), delay_queues, mandatory, admissions)


def count_publish(channel: Channel, route: Route, message: Message, queues: list[Queue]) -> None:
    """Count a message that was published, and its ways out of the exchange."""
    channel.message_sizes.add(message.body_size())
    channel.traffic.publish += 1
    route.exchange.publish_in += 1
    route.exchange.publish_out += len(queues)


def take_in(channel: Channel, message: Message, queues: list[Queue], mandatory: bool) -> bool:
    """Put a message into its queues, and confirm or return it; False if it has none, or one of them refused it."""
    store = channel.connection.broker.store
    stored = store.keeps and must_survive(message, queues)
    if stored:
        message.persistent = True
        store.persist(message)
    if channel.confirming:
        channel.count_publish(stored)
    refused = False
    for queue in queues:
        if not queue.enqueue(message):
            refused = True
        if queue.backing.window_bytes > AHEAD_OF_CONSUMERS and queue.consumers and not queue.paused:
            channel.connection.outran_consumers = True
    if refused and channel.confirming:
        channel.refuse_publish()
    if queues:
        return not refused
    if mandatory:
        return_message(channel, message)
    else:
        channel.traffic.drop_unroutable += 1
    return False


def must_survive(message: Message, queues: list[Queue]) -> bool:
    """Whether one of these queues has to keep the message for good; a quorum queue does so with every message."""
    return any(queue.durable and (message.persistent or queue.is_quorum) for queue in queues)


def enqueue_routed(store: Store, message: Message, queues: list[Queue]) -> bool:
    """Put a message that no channel waits for into its queues; False if one of them is full and refused it."""
    if store.keeps and must_survive(message, queues):
        message.persistent = True
        store.persist(message)
    taken = True
    for queue in queues:
        if not queue.enqueue(message):
            taken = False
    return taken


def must_decode(flags: i64, header: bytes) -> bool:
    """Whether the properties hold something that the broker acts on itself."""
    if flags & USER_ID:
        return True
    if flags & REPLY_TO_PRESENT and REPLY_TO.encode() in header:
        return True
    return flags & HEADERS != 0 and b"CC" in header


def routing_keys(route: Route, properties: BasicProperties) -> list[str]:
    """The routing key of a message, and those in its CC and BCC headers."""
    keys = [route.address.routing_key]
    for name in SENDER_SELECTED:
        keys += selected_keys(properties.headers or {}, name)
    return keys


def selected_keys(headers: Table, name: str) -> list[str]:
    """The routing keys in a CC or BCC header; SoftError 406 if it isn't an array of long strings (RabbitMQ's rule)."""
    header = headers.get(name)
    if header is None:
        return []
    if header.kind != "A" or not isinstance(header.value, list):
        raise SoftError(
            PRECONDITION_FAILED,
            f'invalid message: {{unacceptable_type_in_header,"{name}",{TYPE_NAMES[header.kind]}}}',
        )
    return [str(entry.value) for entry in header.value if entry.kind == "S"]


def check_user_id(connection: Connection, properties: BasicProperties) -> None:
    """SoftError 406 if the user-id isn't that of the user who publishes (RabbitMQ's validated user-id)."""
    user = connection.user
    if properties.user_id is not None and properties.user_id != user and not may_impersonate(connection):
        raise SoftError(
            PRECONDITION_FAILED,
            f"user_id property set to '{properties.user_id}' but authenticated user was '{user}'",
        )


def may_impersonate(connection: Connection) -> bool:
    """Whether the connection's user may publish under any user-id."""
    user = connection.broker.users.find(connection.user)
    return user is not None and IMPERSONATOR in user.tags


def rewritten(channel: Channel, content: bytes, properties: BasicProperties) -> bytes:
    """The content without BCC and with the real reply-to address, where it has such."""
    changed = False
    if properties.reply_to == REPLY_TO:
        if channel.reply_queue is None:
            raise SoftError(PRECONDITION_FAILED, "fast reply consumer does not exist")
        properties.reply_to = channel.reply_queue.name
        changed = True
    if properties.headers is not None and "BCC" in properties.headers:
        properties.headers = {name: value for name, value in properties.headers.items() if name != "BCC"}
        changed = True
    if not changed:
        return content
    body = split_content(content)[1]
    header = encode_content_header(len(body), properties)
    return content_frames(int(channel.number), header, body, int(channel.connection.frame_max))


def return_message(channel: Channel, message: Message) -> None:
    """Send a mandatory message back that went to no queue (basic.return 312)."""
    channel.traffic.return_unroutable += 1
    address = message.address
    channel.send(BasicReturn(NO_ROUTE, "NO_ROUTE", address.exchange, address.routing_key))
    write_content(channel, message)
