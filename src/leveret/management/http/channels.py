"""`/channels`: what is open on the connections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from leveret.broker.broker import Broker
from leveret.broker.channel import Channel
from leveret.broker.connection_state import RUNNING
from leveret.management.http.access import NO_ACCESS_TO_OBJECT, denied, user_of_vhost
from leveret.management.http.call import Call
from leveret.management.http.connections import (
    connection_exists,
    connection_of,
    may_touch,
    owner_of_connection,
    visible,
)
from leveret.management.http.consumers import CONSUMERS
from leveret.management.http.details import channel_name, connection_details
from leveret.management.http.errors import object_not_found
from leveret.management.http.lists import List, ListColumns
from leveret.management.http.resource import Resource
from leveret.management.http.statistics import of_channels
from leveret.management.listings import CHANNELS as LISTED
from leveret.management.listings import connections

UNCHANGED: Final = (  # columns that leveretctl and the API show alike
    "acks_uncommitted",
    "confirm",
    "consumer_count",
    "global_prefetch_count",
    "messages_unacknowledged",
    "messages_uncommitted",
    "messages_unconfirmed",
    "number",
    "prefetch_count",
    "transactional",
    "user",
    "vhost",
)


def state(channel: Channel, _broker: Broker) -> str:
    """What a channel is at."""
    return "closing" if channel.closing or channel.connection.state != RUNNING else "running"


COLUMNS: Final[ListColumns[Channel]] = {
    **{name: LISTED[name] for name in UNCHANGED},
    "connection_details": lambda channel, broker: connection_details(channel.connection),
    "name": lambda channel, broker: channel_name(channel),
    "node": lambda channel, broker: broker.node,
    "state": state,
    "user_who_performed_action": lambda channel, broker: channel.connection.user,
}


def listed(call: Call) -> List[Channel]:
    """The list that a call asks for."""
    return List({**COLUMNS, **of_channels(call)})


def channels_of(call: Call) -> Iterator[Channel]:
    """The channels of the connections that the user may see."""
    for connection in visible(call, connections(call.broker, "")):
        for channel in list(connection.channels.values()):
            if not channel.closing:
                yield channel


async def list_channels(call: Call) -> object:
    """Every channel that the user may see."""
    return await listed(call).answer(call, channels_of(call))


async def list_of_vhost(call: Call) -> object:
    """Those of one virtual host."""
    call.vhost()
    return await list_channels(call)


async def list_of_connection(call: Call) -> object:
    """Those of one connection."""
    return await listed(call).answer(call, list(connection_of(call).channels.values()))


def find_channel(call: Call) -> Channel | None:
    """The channel that is named, if it is there."""
    name, _, number = call.argument("channel").rpartition(" ")
    if not (number[:1] == "(" and number[-1:] == ")" and number[1:-1].isdigit() and number.isascii()):
        return None
    for connection in call.broker.connections:
        if connection.name == name:
            return connection.channels.get(int(number[1:-1]))
    return None


def channel_exists(call: Call) -> bool:
    """Whether the channel that is named is there."""
    return find_channel(call) is not None


def owner_of_channel(call: Call) -> None:
    """Who may look at the channel that is named; one that is not there is not found."""
    channel = find_channel(call)
    if channel is not None and not may_touch(call, channel.connection.user):
        raise denied(call.user.name, NO_ACCESS_TO_OBJECT)


async def get_channel(call: Call) -> object:
    """One channel, with its consumers."""
    channel = find_channel(call)
    if channel is None:
        raise object_not_found()
    row = listed(call).row(channel, call.broker)
    consumers = [CONSUMERS.row(consumer, call.broker) for consumer in list(channel.consumers.values())]
    # by exchange and by queue, which RabbitMQ shows with detailed rates alone
    return {**row, "consumer_details": consumers, "deliveries": [], "publishes": []}


RESOURCES: Final = (
    Resource("/channels", get=list_channels),
    Resource("/channels/{channel}", owner_of_channel, channel_exists, get=get_channel),
    Resource("/connections/{connection}/channels", owner_of_connection, connection_exists, get=list_of_connection),
    Resource("/vhosts/{vhost}/channels", user_of_vhost, get=list_of_vhost),
)
