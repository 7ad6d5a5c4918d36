"""The header x-delay: how long a delayed exchange keeps a message before it routes it.

As RabbitMQ's delayed message plugin reads it: a number of milliseconds of any of the integer or floating point types,
or a string of digits; anything else, and what is not above 0, means no delay. Unlike there it may be as large as 64
bits allow, where the plugin ends at 49 days. A message that has waited is delivered with the negated number, so that
nobody delays it again and consumers can tell.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

from leveret.amqp.field_table import FieldValue
from leveret.amqp.properties import BasicProperties

HEADER: Final = "x-delay"
LONGEST: Final = 2**63 - 1
LOWEST_SIGNED_INT: Final = -(2**31)
NUMBER: Final = re.compile(r"[+-]?[0-9]{1,40}")
KINDS: Final = "bBsuIilLfdDS"


def delay_of(properties: BasicProperties) -> int:
    """The milliseconds for which a message with these properties is to be delayed, 0 if it is not."""
    if properties.headers is None:
        return 0
    header = properties.headers.get(HEADER)
    if header is None or header.kind not in KINDS:
        return 0
    value = header.value
    number = 0
    if isinstance(value, int):
        number = value
    elif isinstance(value, str):
        if NUMBER.fullmatch(value) is not None:
            number = int(value)
    elif (isinstance(value, float) and math.isfinite(value)) or isinstance(value, Decimal):
        number = int(value)
    return max(0, min(number, LONGEST))


def mark_delayed(properties: BasicProperties, delay: int) -> None:
    """Negate the header of a message that has waited this long; the type is the plugin's, as long as it fits."""
    kind = "I" if -delay >= LOWEST_SIGNED_INT else "l"
    properties.headers = {**(properties.headers or {}), HEADER: FieldValue(kind, -delay)}
