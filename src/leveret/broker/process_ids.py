"""What stands for RabbitMQ's process identifiers: `<node.started.object.number>`.

Those of one thing are equal as long as it lives (a queue's owner_pid and its connection's pid), and more can't be read
from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leveret.broker.broker import Broker
    from leveret.broker.channel import Channel


def pid(broker: Broker, item: object, number: int = 0) -> str:
    """The identifier of an item for as long as it lives; `number` tells apart what belongs to the same item."""
    return f"<{broker.node}.{int(broker.started_at)}.{id(item) >> 4}.{number}>"


def channel_pid(broker: Broker, channel: Channel) -> str:
    """The identifier of a channel: its connection's, with its number."""
    return pid(broker, channel.connection, int(channel.number))
