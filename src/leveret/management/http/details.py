"""What is said of connections and channels inside of something else."""

from __future__ import annotations

from typing import Any

from leveret.broker.broker import Broker
from leveret.broker.channel import Channel
from leveret.broker.connection import Connection
from leveret.management.listings import host_and_port


def connection_details(connection: Connection) -> dict[str, Any]:
    """Where a connection is from."""
    host, port = host_and_port(connection.peer)
    return {"name": connection.name, "peer_host": host, "peer_port": port}


def channel_name(channel: Channel) -> str:
    """The name by which a channel is found."""
    return f"{channel.connection.name} ({int(channel.number)})"


def channel_details(channel: Channel, broker: Broker) -> dict[str, Any]:
    """Which channel something belongs to."""
    connection = channel.connection
    host, port = host_and_port(connection.peer)
    return {
        "connection_name": connection.name,
        "name": channel_name(channel),
        "node": broker.node,
        "number": int(channel.number),
        "peer_host": host,
        "peer_port": port,
        "user": connection.user,
    }
