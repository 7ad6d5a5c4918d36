"""The x-consistent-hash exchange: equal routing keys, headers or properties go to the same destination, and each
destination gets a share as large as its binding key, a weight.

`hash-header` names the header that is hashed, `hash-property` the property; else it is the routing key. A message
without it is hashed as if it were empty. Of several bindings to one destination the first one's weight counts, as in
RabbitMQ; when it goes, the next one's does.

The choice is weighted rendezvous hashing: key and destination together are hashed to a number between 0 and 1, and the
destination with the largest logarithm divided by its weight wins. So shares are exact for any weights, a weight costs
no memory however large it is, and a destination that comes or goes moves only what it gains or has had. It takes one
logarithm for each destination. The hash is the same after every restart; it is not RabbitMQ's.
"""

from __future__ import annotations

import math
import re
from typing import Final
from zlib import crc32

from mypy_extensions import i64

from leveret.amqp.field_table import Table
from leveret.amqp.properties import BasicProperties
from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError
from leveret.broker.binding import Binding, Destination
from leveret.broker.exchange.base import Exchange

PROPERTIES: Final = ("correlation_id", "message_id", "timestamp")
WEIGHT: Final = re.compile(r"[+-]?[0-9]+")


class Share:
    """What one destination has of the messages, by the first of the bindings to it."""

    def __init__(self, destination: Destination) -> None:
        self.destination: Final = destination
        self.bindings: Final[dict[Binding, None]] = {}
        self.seed: Final[i64] = scattered(crc32(f"{destination.kind} {destination.name}".encode()))
        self.weight = 0.0

    def add(self, binding: Binding) -> None:
        """One more binding to the destination."""
        self.bindings[binding] = None
        self.weigh()

    def remove(self, binding: Binding) -> None:
        """One binding less."""
        del self.bindings[binding]
        self.weigh()

    def weigh(self) -> None:
        """The first binding's key is the weight."""
        for binding in self.bindings:
            self.weight = float(int(binding.routing_key))
            return


class ConsistentHashExchange(Exchange):
    """Routes to one destination by a hash."""

    type_name = "x-consistent-hash"
    goes_to_one = True

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        header, hashed_property = arguments.get("hash-header"), arguments.get("hash-property")
        self.header: Final = None if header is None else str(header.value)
        self.property: Final = None if hashed_property is None else str(hashed_property.value)
        self.routes_each_message = header is not None or hashed_property is not None
        self.shares: Final[dict[Destination, Share]] = {}

    def validate_arguments(self) -> None:
        header, hashed_property = self.arguments.get("hash-header"), self.arguments.get("hash-property")
        if header is not None and hashed_property is not None:
            raise SoftError(PRECONDITION_FAILED, "hash-header and hash-property are mutually exclusive")
        if header is not None and header.kind != "S":
            raise SoftError(PRECONDITION_FAILED, f"Unsupported header: {self.header}")
        if hashed_property is not None and (hashed_property.kind != "S" or self.property not in PROPERTIES):
            raise SoftError(PRECONDITION_FAILED, f"Unsupported property: {self.property}")

    def validate(self, binding: Binding) -> None:
        key = binding.routing_key
        if WEIGHT.fullmatch(key) is None:
            shown = f'<<"{key}">>' if key else "<<>>"
            raise SoftError(PRECONDITION_FAILED, f"The binding key must be an integer: {shown}")
        if int(key) < 1:
            raise SoftError(PRECONDITION_FAILED, "The binding key must be greater than 0")

    def index(self, binding: Binding) -> None:
        share = self.shares.get(binding.destination)
        if share is None:
            share = self.shares[binding.destination] = Share(binding.destination)
        share.add(binding)

    def unindex(self, binding: Binding) -> None:
        share = self.shares[binding.destination]
        share.remove(binding)
        if not share.bindings:
            del self.shares[binding.destination]

    def match(self, routing_key: str, properties: BasicProperties, found: list[Destination]) -> None:
        key: i64 = crc32(self.hashed(routing_key, properties).encode("utf-8", "surrogateescape"))
        winner: Destination | None = None
        most = 0.0
        for share in self.shares.values():
            score = math.log((float(scattered(key ^ share.seed)) + 0.5) / 4294967296.0) / share.weight
            if winner is None or score > most:
                winner, most = share.destination, score
        if winner is not None:
            found.append(winner)

    def hashed(self, routing_key: str, properties: BasicProperties) -> str:
        """What of the message is hashed."""
        if self.header is not None:
            header = (properties.headers or {}).get(self.header)
            return "" if header is None else str(header.value)
        if self.property == "correlation_id":
            return properties.correlation_id or ""
        if self.property == "message_id":
            return properties.message_id or ""
        if self.property == "timestamp":
            return "" if properties.timestamp is None else str(properties.timestamp)
        return routing_key


def scattered(value: i64) -> i64:
    """A number of 32 bits for one of 32 bits, of which each bit depends on all the other's bits."""
    value = ((value >> 16) ^ value) * 0x45D9F3B & 0xFFFFFFFF
    value = ((value >> 16) ^ value) * 0x45D9F3B & 0xFFFFFFFF
    return (value >> 16) ^ value
