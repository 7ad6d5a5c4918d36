"""Values of a request's body, with RabbitMQ's leniency and its errors for what has the wrong type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from leveret.management.http.call import Call
from leveret.management.http.errors import bad_request

SHORT_STRING: Final = 255  # octets, of names and routing keys


def flag(body: Mapping[str, Any], name: str) -> bool:
    """A flag, also as text; False if there is none. Refused if it is something else."""
    value = body.get(name)
    if value is None or value is False or value == "false":
        return False
    if value is True or value == "true":
        return True
    raise bad_request(["not_boolean", value])


def integer(body: Mapping[str, Any], name: str) -> int:
    """A number, also as text. Refused if it is something else."""
    value = body[name]
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) < 20:
        return int(value)
    raise bad_request(["not_integer", value])


def text(body: Mapping[str, Any], name: str, default: str = "") -> str:
    """A text. Refused if it is something else."""
    value = body.get(name, default)
    if not isinstance(value, str):
        raise bad_request(["not_string", name])
    return value


def short_text(value: str) -> str:
    """A name or a routing key that is about to be used. Refused if AMQP has no room for it."""
    try:
        octets = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, which JSON can say
        raise bad_request("not_utf8") from None
    if len(octets) > SHORT_STRING:
        raise bad_request(f"a name or routing key is longer than {SHORT_STRING} octets")
    return value


def check_node(call: Call, body: Mapping[str, Any]) -> None:
    """Refused if the body wants something to be on another node."""
    node = body.get("node")
    if node is not None and node != call.broker.node:
        raise bad_request(f"Node {node} could not be contacted")
