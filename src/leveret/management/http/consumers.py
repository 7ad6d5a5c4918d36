"""`/consumers`: who gets messages, and from which queue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from leveret.broker.consumer import Consumer
from leveret.broker.queue_settings import NONE
from leveret.management.http.access import is_monitor
from leveret.management.http.call import Call
from leveret.management.http.details import channel_details
from leveret.management.http.lists import List, ListColumns
from leveret.management.http.resource import Resource
from leveret.management.http.tables import plain_table
from leveret.management.listings import CONSUMERS as LISTED
from leveret.management.listings import consumers

COLUMNS: Final[ListColumns[Consumer]] = {
    "arguments": lambda consumer, broker: plain_table(consumer.arguments),
    **{name: LISTED[name] for name in ("ack_required", "active", "activity_status")},
    "channel_details": lambda consumer, broker: channel_details(consumer.channel, broker),
    "consumer_timeout": lambda consumer, broker: 0 if consumer.timeout == NONE else int(consumer.timeout),
    "consumer_tag": lambda consumer, broker: consumer.tag,
    "exclusive": lambda consumer, broker: consumer.exclusive,
    "prefetch_count": lambda consumer, broker: int(consumer.prefetch),
    "queue": lambda consumer, broker: {"name": consumer.queue.name, "vhost": consumer.queue.vhost.name},
}
CONSUMERS: Final = List(COLUMNS, paged=False)


def consumers_of(call: Call) -> Iterator[Consumer]:
    """The consumers of a virtual host, or of all that the user may use: their own, or for a monitor everybody's."""
    everybodys = is_monitor(call.user)
    for vhost in call.vhosts():
        for consumer in consumers(call.broker, vhost.name):
            if everybodys or consumer.channel.connection.user == call.user.name:
                yield consumer


async def list_consumers(call: Call) -> object:
    """Every consumer that the user may see."""
    return await CONSUMERS.answer(call, consumers_of(call))


RESOURCES: Final = (
    Resource("/consumers", get=list_consumers),
    Resource("/consumers/{vhost}", get=list_consumers),
)
