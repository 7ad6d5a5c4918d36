"""A message as `peek` shows it: keys with their types and values, under RabbitMQ's names and in its order."""

from __future__ import annotations

from typing import Final

from leveret.amqp.field_table import FieldValue
from leveret.broker.peeking import NO_COUNT, Peeked
from leveret.broker.publishing import selected_keys

DELIVERY_COUNT: Final = "x-delivery-count"
SHOWN: Final = 64  # octets of the body
PROPERTIES: Final = {  # with the types that their values have in tables
    "cluster_id": "S",
    "app_id": "S",
    "user_id": "S",
    "type": "S",
    "timestamp": "T",
    "message_id": "S",
    "expiration": "S",
    "reply_to": "S",
    "correlation_id": "S",
    "priority": "B",
    "delivery_mode": "B",
    "content_encoding": "S",
    "content_type": "S",
}


def described(peeked: Peeked) -> list[tuple[str, FieldValue]]:
    """What there is to see of a message."""
    message = peeked.message
    properties = message.properties()
    shown: list[tuple[str, FieldValue]] = []
    for name, kind in PROPERTIES.items():
        value = getattr(properties, "type_" if name == "type" else name)
        if value is not None:
            shown.append((name, FieldValue(kind, value)))
    headers = dict(properties.headers or {})
    keys = [message.address.routing_key, *selected_keys(headers, "CC"), *message.address.blind_keys]
    shown.append(("routing_keys", FieldValue("A", [FieldValue("S", key) for key in keys])))
    shown.append(("exchange", FieldValue("S", message.address.exchange)))
    shown.append((f"payload (max {SHOWN} bytes)", FieldValue("x", message.body()[:SHOWN])))
    if peeked.delivery_count != NO_COUNT:
        headers[DELIVERY_COUNT] = FieldValue("l", int(peeked.delivery_count))
    shown += [(f"header.{name}", headers[name]) for name in sorted(headers)]
    return shown
