"""The x-recent-history exchange: to every destination bound, and a new binding gets the last messages first.

It remembers `x-recent-history-length` messages, 20 unless told otherwise, in memory only; not those with the header
`x-recent-history-no-store` set to true. What it remembers are copies: a message itself belongs to the queues that it
went to and to their store.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from leveret.amqp.field_table import Table
from leveret.amqp.properties import BasicProperties
from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError
from leveret.broker.arguments import INTEGER_KINDS
from leveret.broker.exchange.fanout import FanoutExchange
from leveret.broker.message import Message

REMEMBERED: Final = 20


class RecentHistoryExchange(FanoutExchange):
    """Routes to all, and remembers."""

    type_name = "x-recent-history"
    routes_each_message = True

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        length = arguments.get("x-recent-history-length")
        self.length: Final = length.value if length is not None and isinstance(length.value, int) else REMEMBERED
        self.history: Final[deque[Message]] = deque()

    def validate_arguments(self) -> None:
        length = self.arguments.get("x-recent-history-length")
        if length is None:
            return
        if length.kind not in INTEGER_KINDS or self.length < 1:
            shown = length.value
            if length.kind == "S":
                shown = f'<<"{length.value}">>'
            elif length.kind == "t":
                shown = "true" if length.value else "false"
            raise SoftError(
                PRECONDITION_FAILED,
                f"Invalid argument {shown}, 'x-recent-history-length' must be a positive integer",
            )

    def remember(self, message: Message, properties: BasicProperties) -> None:
        no_store = (properties.headers or {}).get("x-recent-history-no-store")
        if no_store is not None and no_store.kind == "t" and no_store.value:
            return
        self.history.append(message.copy(message.time))
        if len(self.history) > self.length:
            self.history.popleft()
