"""The x-modulus-hash exchange: the routing key's hash modulo the number of bindings says which one takes the message.

The hash is CRC-32, which is the same on every machine and after every restart. It is not RabbitMQ's, so a key may lead
to another queue than it did there.
"""

from __future__ import annotations

from zlib import crc32

from leveret.broker.exchange.one_of_all import OneOfAllExchange


class ModulusHashExchange(OneOfAllExchange):
    """Routes equal routing keys to the same binding while the bindings stay."""

    type_name = "x-modulus-hash"

    def choose(self, routing_key: str, count: int) -> int:
        return crc32(routing_key.encode("utf-8", "surrogateescape")) % count
