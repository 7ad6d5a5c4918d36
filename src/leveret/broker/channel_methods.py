"""What a channel does with each method: the methods of class channel themselves, the rest by class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leveret.amqp.methods import (
    AccessRequest,
    AccessRequestOk,
    ChannelClose,
    ChannelCloseOk,
    ChannelFlow,
    ChannelFlowOk,
    ChannelOpen,
    ChannelOpenOk,
    Method,
)
from leveret.amqp.reply_codes import CHANNEL_ERROR, COMMAND_INVALID, UNEXPECTED_FRAME, AMQPError, HardError
from leveret.broker import basic_methods, exchange_methods, queue_methods, transaction_methods
from leveret.broker.channel import Channel
from leveret.broker.limits import check_channel

if TYPE_CHECKING:
    from leveret.broker.connection import Connection


def open_channel(connection: Connection, number: int) -> None:
    """channel.open on a number that is free; HardError 530 if as many channels are open as may be.

    It is their number that is limited, as in RabbitMQ, and not how high they are numbered.
    """
    check_channel(connection)
    channel = Channel(connection, number)
    connection.add_channel(number, channel)
    channel.send(ChannelOpenOk())
    connection.broker.events.channel_created(channel)


def handle(channel: Channel, method: Method) -> None:
    """Handle a method on an open channel. SoftError closes the channel, HardError the connection."""
    if channel.route is not None:
        expected = "body" if channel.content is not None else "header"
        raise HardError(
            UNEXPECTED_FRAME,
            f"expected content {expected} for class 60, got non content {expected} frame instead",
            60,
            40,
        )
    try:
        if method.class_id == 60:
            basic_methods.handle(channel, method)
        elif method.class_id == 50 or method.class_id == 40:
            handle_definition(channel, method)
        elif method.class_id == 20:
            handle_channel_class(channel, method)
        elif method.class_id == 85 or method.class_id == 90:
            transaction_methods.handle(channel, method)
        elif isinstance(method, AccessRequest):
            channel.send(AccessRequestOk(1))
        else:
            raise unexpected(method)
    except AMQPError as error:
        if error.class_id == 0:
            error.class_id, error.method_id = method.class_id, method.method_id
        raise


def handle_definition(channel: Channel, method: Method) -> None:
    """The methods of the classes queue and exchange: what they define is told of under the name of the user."""
    connection = channel.connection
    events = connection.broker.events
    acting = events.act_as(connection.user)
    try:
        if method.class_id == 50:
            queue_methods.handle(channel, method)
        else:
            exchange_methods.handle(channel, method)
    finally:
        events.act_as(acting)
    connection.broker.store.hold_for_definitions(connection)


def handle_channel_class(channel: Channel, method: Method) -> None:
    """channel.open (a second one), flow and close."""
    if isinstance(method, ChannelClose):
        channel.flush_confirms()
        channel.release()
        channel.send(ChannelCloseOk())
        channel.connection.drop_channel(int(channel.number))
    elif isinstance(method, ChannelFlow):
        channel.flow_active = method.active
        channel.send(ChannelFlowOk(method.active))
        if method.active:
            channel.unpark()
    elif isinstance(method, ChannelOpen):
        raise HardError(CHANNEL_ERROR, "second 'channel.open' seen")
    else:
        raise unexpected(method)


def handle_while_closing(channel: Channel, method: Method) -> None:
    """After channel.close was sent only close-ok, or the client's own close, means anything."""
    if isinstance(method, ChannelClose):
        channel.send(ChannelCloseOk())
    elif isinstance(method, ChannelCloseOk):
        channel.connection.drop_channel(int(channel.number))


def unexpected(method: Method) -> HardError:
    """The error for a method that no client may send on a channel."""
    return HardError(COMMAND_INVALID, f"unexpected method {method.name}")
