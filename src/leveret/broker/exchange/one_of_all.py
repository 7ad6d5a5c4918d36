"""What the exchanges share that send a message to one of all their bindings, whatever the binding keys.

The candidates stand in the order of kind and name of their destinations, so that a choice made by number is the same
after a restart. As in RabbitMQ a destination that is bound several times is as many candidates.
"""

from __future__ import annotations

from leveret.amqp.field_table import Table
from leveret.amqp.properties import BasicProperties
from leveret.broker.binding import Binding, Destination
from leveret.broker.exchange.base import Exchange


class OneOfAllExchange(Exchange):
    """Routes to the destination of one binding, whose number `choose` says."""

    goes_to_one = True

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self.candidates: list[Destination] = []
        self.changed = False  # whether the candidates have to be found anew

    def index(self, binding: Binding) -> None:
        self.changed = True

    def unindex(self, binding: Binding) -> None:
        self.changed = True

    def match(self, routing_key: str, properties: BasicProperties, found: list[Destination]) -> None:
        if self.changed:
            self.candidates = [self.bindings[identity].destination for identity in sorted(self.bindings)]
            self.changed = False
        if self.candidates:
            found.append(self.candidates[self.choose(routing_key, len(self.candidates))])

    def choose(self, routing_key: str, count: int) -> int:
        """The number of the candidate that takes the message, below `count`."""
        raise NotImplementedError
