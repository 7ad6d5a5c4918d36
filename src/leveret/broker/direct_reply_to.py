"""Direct reply-to: answers that go straight to a channel's consumer, without a declared queue.

A client consumes from `amq.rabbitmq.reply-to` without acknowledgements; requests it then publishes with that
reply-to get an address of its channel's own instead. Publishing to this address through the default exchange
reaches the consumer. Here the address names a queue that stands in no listing and lives as long as the consumer.
"""

from __future__ import annotations

import base64
from typing import Final

REPLY_TO: Final = "amq.rabbitmq.reply-to"


def reply_address(random: bytes) -> str:
    """A new address; `random` makes it impossible to guess."""
    return f"{REPLY_TO}.{base64.urlsafe_b64encode(random).decode().rstrip('=')}"
