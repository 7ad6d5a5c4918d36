"""The fanout exchange: to every destination bound, whatever the keys."""

from __future__ import annotations

from leveret.amqp.field_table import Table
from leveret.amqp.properties import BasicProperties
from leveret.broker.binding import Binding, Destination
from leveret.broker.exchange.base import DestinationCount, Exchange


class FanoutExchange(Exchange):
    """Routes to all."""

    type_name = "fanout"

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self.destinations = DestinationCount()

    def index(self, binding: Binding) -> None:
        self.destinations.add(binding.destination)

    def unindex(self, binding: Binding) -> None:
        self.destinations.remove(binding.destination)

    def match(self, routing_key: str, properties: BasicProperties, found: list[Destination]) -> None:
        found.extend(self.destinations.counts)
