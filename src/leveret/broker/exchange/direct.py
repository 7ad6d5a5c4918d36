"""The direct exchange: to every destination bound with the message's routing key. The default exchange is one too."""

from __future__ import annotations

from leveret.amqp.field_table import Table
from leveret.amqp.properties import BasicProperties
from leveret.broker.binding import Binding, Destination
from leveret.broker.exchange.base import DestinationCount, Exchange


class DirectExchange(Exchange):
    """Routes by equality of routing key and binding key."""

    type_name = "direct"

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self.by_key: dict[str, DestinationCount] = {}

    def index(self, binding: Binding) -> None:
        destinations = self.by_key.get(binding.routing_key)
        if destinations is None:
            destinations = self.by_key[binding.routing_key] = DestinationCount()
        destinations.add(binding.destination)

    def unindex(self, binding: Binding) -> None:
        destinations = self.by_key[binding.routing_key]
        destinations.remove(binding.destination)
        if not destinations.counts:
            del self.by_key[binding.routing_key]

    def match(self, routing_key: str, properties: BasicProperties, found: list[Destination]) -> None:
        destinations = self.by_key.get(routing_key)
        if destinations is not None:
            found.extend(destinations.counts)
