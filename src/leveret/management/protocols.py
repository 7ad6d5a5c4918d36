"""What is spoken at a listener. It stands apart, since commands need it and do not load the broker."""

from __future__ import annotations

from typing import Final

PROTOCOLS: Final = {  # RabbitMQ's name and a description, by the scheme of a listener's URL
    "amqp": ("amqp", "AMQP 0-9-1"),
    "amqps": ("amqp/ssl", "AMQP 0-9-1 over TLS"),
    "http": ("http", "HTTP API"),
    "https": ("https", "HTTP API over TLS"),
    "http+prometheus": ("http/prometheus", "Prometheus exporter API over HTTP"),
    "https+prometheus": ("https/prometheus", "Prometheus exporter API over TLS"),
}
PURPOSES: Final = dict(PROTOCOLS.values())
