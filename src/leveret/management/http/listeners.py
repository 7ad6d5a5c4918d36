"""The listeners of a node, as the overview and the nodes show them."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from leveret.management.node import Node
from leveret.management.protocols import PROTOCOLS

CONTEXTS: Final = {
    "http": "RabbitMQ Management",
    "https": "RabbitMQ Management",
    "http/prometheus": "RabbitMQ Prometheus",
    "https/prometheus": "RabbitMQ Prometheus",
}


def listeners(node: Node) -> list[dict[str, object]]:
    """Every listening TCP address."""
    result: list[dict[str, object]] = []
    for url in node.listeners:
        parts = urlsplit(url)
        if parts.scheme in PROTOCOLS:
            result.append(
                {
                    "node": node.broker.node,
                    "protocol": PROTOCOLS[parts.scheme][0],
                    "ip_address": parts.hostname or "",
                    "port": parts.port or 0,
                    "socket_opts": [],
                }
            )
    return result


def contexts(node: Node) -> list[dict[str, object]]:
    """Where the HTTP API and the metrics are."""
    return [
        {
            "ssl_opts": [],
            "node": node.broker.node,
            "description": CONTEXTS[str(listener["protocol"])],
            "path": "/" if str(listener["protocol"]).endswith("/prometheus") else node.http.path_prefix or "/",
            "ip": listener["ip_address"],
            "port": str(listener["port"]),
        }
        for listener in listeners(node)
        if listener["protocol"] in CONTEXTS
    ]
