"""The answers of the control socket: one line of JSON each, in ASCII, made in pieces and sent in slices.

A field table stands in an answer as RabbitMQ's tools show it in JSON: `[[key, type, value], ...]`.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from decimal import Decimal
from math import isfinite
from typing import Final

from leveret.amqp.field_table import TYPE_NAMES, FieldValue, Table

PATIENCE: Final = 30.0  # seconds for a client to send its next request, or to take a piece of the answer
SLICE: Final = 0.002  # seconds of work before the broker has its turn


def encoded(value: object) -> str:
    """A value as JSON on one line, in ASCII."""
    return json.dumps(value, separators=(",", ":"))


def whole(answer: dict[str, object]) -> Iterator[str]:
    """An answer in one piece."""
    yield f"{encoded(answer)}\n"


async def send_error(sock: socket.socket, kind: str, text: str) -> None:
    """Say that a request can't be answered."""
    await send_in_slices(sock, whole({"error": {"kind": kind, "text": text}}))


async def send_in_slices(sock: socket.socket, pieces: Iterator[str]) -> None:
    """Send an answer that is made piece by piece, and let the broker work in between."""
    loop = asyncio.get_running_loop()
    made: list[str] = []
    until = loop.time() + SLICE
    for piece in pieces:
        made.append(piece)
        if loop.time() >= until:
            await send_octets(sock, "".join(made).encode())
            made.clear()
            await asyncio.sleep(0)
            until = loop.time() + SLICE
    await send_octets(sock, "".join(made).encode())


async def send_octets(sock: socket.socket, data: bytes) -> None:
    """Send a piece of an answer; TimeoutError if the client doesn't take it."""
    async with asyncio.timeout(PATIENCE):
        await asyncio.get_running_loop().sock_sendall(sock, data)


# field tables


def typed_table(table: Table) -> list[list[object]]:
    """A field table as `[[key, type, value], ...]`."""
    return [[key, TYPE_NAMES[field.kind], typed_value(field)] for key, field in table.items()]


def typed_value(field: FieldValue) -> object:
    """A value: arrays as `[[type, value], ...]`, decimals as `[scale, unscaled]`, octets as text, void as null."""
    value = field.value
    if isinstance(value, dict):
        return typed_table(value)
    if isinstance(value, list):
        return [[TYPE_NAMES[element.kind], typed_value(element)] for element in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, Decimal):
        _, digits, exponent = value.as_tuple()
        return [-int(exponent), int("".join(map(str, digits)))]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value
