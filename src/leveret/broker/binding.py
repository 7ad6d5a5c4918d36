"""Bindings: the edges from an exchange to what it routes to.

A binding is identified by its source, its destination, its routing key and its arguments (RabbitMQ's rule):
declaring the same one again changes nothing. Queues and exchanges are both destinations; a destination knows the
bindings that lead to it, so that deleting it does not search every exchange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leveret.amqp.field_table import Table, encode_table

if TYPE_CHECKING:
    from leveret.broker.exchange.base import Exchange


class Destination:
    """Where a binding may lead: a queue or an exchange."""

    def __init__(self, name: str, kind: str, durable: bool) -> None:
        self.name: Final = name
        self.kind: Final = kind  # "queue" or "exchange", as in listings
        self.bindings_to: dict[Binding, None] = {}
        self.durable: Final = durable
        self.redeclared_otherwise = False  # and was logged to be


class Binding:
    """One edge of the routing graph."""

    def __init__(self, source: Exchange, destination: Destination, routing_key: str, arguments: Table) -> None:
        self.source: Final = source
        self.destination: Final = destination
        self.routing_key: Final = routing_key
        self.arguments: Final = arguments
        self.identity: Final = (destination.kind, destination.name, routing_key, encode_table(arguments))

    def durable(self) -> bool:
        """Whether the binding survives: it does if both its ends do."""
        return self.source.durable and self.destination.durable
