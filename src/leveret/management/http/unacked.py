"""`/queues/:vhost/:queue/unacked`: what is out with clients and not acknowledged, as LavinMQ shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from leveret.broker.channel import Channel
from leveret.broker.consumer import Delivery
from leveret.broker.vhost import VirtualHost
from leveret.management.http.access import user_of_vhost
from leveret.management.http.call import Call
from leveret.management.http.details import channel_name
from leveret.management.http.lists import LOOKED_AT_AT_ONCE, List, ListColumns
from leveret.management.http.queues import queue_exists, queue_of
from leveret.management.http.resource import Resource
from leveret.management.http.slices import in_chunks, in_slices

FETCHED: Final = "Basic get"  # in the place of a consumer tag


class Unacked(NamedTuple):
    """A delivery, and whose it is."""

    channel: Channel
    tag: int
    delivery: Delivery


COLUMNS: Final[ListColumns[Unacked]] = {
    "delivery_tag": lambda unacked, broker: unacked.tag,
    "consumer_tag": lambda unacked, broker: consumer_tag(unacked.delivery),
    "unacked_for_seconds": lambda unacked, broker: int(broker.timers.now - unacked.delivery.delivered_at),
    "channel_name": lambda unacked, broker: channel_name(unacked.channel),
}
UNACKED: Final = List(COLUMNS, ["channel_name", "delivery_tag"], searched="consumer_tag")


def consumer_tag(delivery: Delivery) -> str:
    """Which of a channel's consumers has it."""
    return FETCHED if delivery.consumer is None else delivery.consumer.tag


def tags_of(call: Call, vhost: VirtualHost) -> Iterator[tuple[Channel, int]]:
    """Everything that is out in a virtual host; what is settled meanwhile is still said."""
    for connection in list(call.broker.connections):
        if connection.vhost is vhost:
            for channel in list(connection.channels.values()):
                for tag in list(channel.unacked):
                    yield channel, tag


async def list_unacked(call: Call) -> object:
    """The deliveries of one queue that nobody has acknowledged."""
    queue = queue_of(call)
    found: list[Unacked] = []
    async for chunk in in_slices(in_chunks(tags_of(call, queue.vhost), LOOKED_AT_AT_ONCE)):
        for channel, tag in chunk:
            delivery = channel.unacked.get(tag)
            if delivery is not None and delivery.queue is queue:
                found.append(Unacked(channel, tag, delivery))
    return await UNACKED.answer(call, found)


RESOURCES: Final = (Resource("/queues/{vhost}/{queue}/unacked", user_of_vhost, queue_exists, get=list_unacked),)
