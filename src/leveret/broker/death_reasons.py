"""Why a queue dead-letters a message: the words that stand in x-death."""

from __future__ import annotations

from typing import Final

REJECTED: Final = "rejected"  # basic.reject or basic.nack without requeue
EXPIRED: Final = "expired"
MAXLEN: Final = "maxlen"  # the queue's length limit, in messages or in octets
DELIVERY_LIMIT: Final = "delivery_limit"
