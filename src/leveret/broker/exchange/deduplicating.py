"""The x-message-deduplication exchange of RabbitMQ's community plugin: a fanout exchange that drops duplicates.

Any other exchange does the same with the argument of that name (`broker.deduplication`). Of this type are the limits of
the arguments and their texts. `x-cache-persistence` is taken, and what is remembered is in memory all the same.
"""

from __future__ import annotations

from leveret.amqp.field_table import FieldValue, Table
from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError
from leveret.broker.deduplication import ENABLED, SIZE, TTL, exchange_identifiers
from leveret.broker.exchange.fanout import FanoutExchange
from leveret.broker.queue_arguments import number_of


class DeduplicatingExchange(FanoutExchange):
    """Routes to all what it has not seen."""

    type_name = "x-message-deduplication"
    routes_each_message = True

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self.identifiers = exchange_identifiers({**arguments, ENABLED: FieldValue("t", True)})

    def validate_arguments(self) -> None:
        size, ttl = self.arguments.get(SIZE), self.arguments.get(TTL)
        persistence = self.arguments.get("x-cache-persistence")
        if size is None or (number_of(size) or 0) < 1:
            reason = f"Missing or invalid argument, '{SIZE}' must be an integer greater than 0"
        elif ttl is not None and (number_of(ttl) or 0) < 1:
            reason = f"Invalid argument, '{TTL}' must be an integer greater than 0"
        elif persistence is not None and persistence.value not in ("disk", "memory"):
            reason = "Invalid argument, 'x-cache-persistence' must be either 'disk' or 'memory'"
        else:
            return
        raise SoftError(PRECONDITION_FAILED, reason)
