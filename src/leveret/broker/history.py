"""What an exchange with a history does for a new binding: the messages it remembers go to the destination."""

from __future__ import annotations

from leveret.broker.binding import Destination
from leveret.broker.exchange.base import Exchange
from leveret.broker.exchange.recent_history import RecentHistoryExchange
from leveret.broker.publishing import enqueue_routed, selected_keys
from leveret.broker.queue import Queue
from leveret.broker.vhost import VirtualHost


def deliver_history(vhost: VirtualHost, source: RecentHistoryExchange, destination: Destination) -> None:
    """Hand the remembered messages on, oldest first; an exchange routes each as if it were published to it now."""
    for remembered in list(source.history):
        message = remembered.copy(vhost.timers.time_ms)
        queues: list[Queue] = []
        if isinstance(destination, Queue):
            queues.append(destination)
        elif isinstance(destination, Exchange):
            properties = message.properties()
            keys = [message.address.routing_key, *selected_keys(properties.headers or {}, "CC")]
            queues = vhost.route(destination, keys, properties, message)[0]
        enqueue_routed(vhost.store, message, queues)
