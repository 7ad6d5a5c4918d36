"""Answers: JSON in pieces, with RabbitMQ's headers.

What a list says is made in slices, so it is sent as it was made: a large answer is never in one piece. Of a very large
one no more is made than the client takes, or some dozens of slow clients would have the memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final, TypeAlias

from leveret.amqp.text import well_formed
from leveret.management.http.errors import Refused

Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON: Final = "application/json"
SECURITY_POLICY: Final = "script-src 'self' 'unsafe-eval' 'unsafe-inline'; object-src 'self'"
VARY_WITH_BODY: Final = "accept, accept-encoding, origin"
VARY: Final = "origin"
OF_JSON: Final = {"content-type": JSON, "cache-control": "no-cache", "vary": VARY_WITH_BODY}
WITHOUT_LENGTH: Final = 204
MADE_BEFOREHAND: Final = 512 * 1024  # octets of a list; what has no more says its length

ENCODER: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))


class Answer:
    """A status, a body in pieces, and headers beside those that every answer has."""

    def __init__(self, status: int, pieces: Sequence[bytes] = (), headers: Mapping[str, str] | None = None) -> None:
        self.status: Final = status
        self.pieces: Final = pieces
        self.headers: Final = {} if headers is None else headers


class Streamed:
    """An answer whose pieces come as they are made, until there are no more."""

    def __init__(self, pieces: AsyncGenerator[bytes], headers: Mapping[str, str]) -> None:
        self.pieces: Final = pieces
        self.headers: Final = headers


def encoded(value: object) -> str:
    """A value as JSON on one line."""
    return well_formed(ENCODER.encode(value))


def of_json(value: object, status: int = 200) -> Answer:
    """An answer that says this."""
    return of_pieces([encoded(value).encode()], status)


def of_pieces(pieces: Sequence[bytes], status: int = 200) -> Answer:
    """An answer whose body is JSON already."""
    return Answer(status, pieces, OF_JSON)


async def of_generated(pieces: AsyncGenerator[bytes]) -> Answer | Streamed:
    """An answer whose pieces, which are JSON, are made one by one: streamed if it is large."""
    made: deque[bytes] = deque()
    size = 0
    async for piece in pieces:
        made.append(piece)
        size += len(piece)
        if size >= MADE_BEFOREHAND:
            return Streamed(followed(made, pieces), OF_JSON)
    return of_pieces([*made])


async def followed(made: deque[bytes], pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """What is made already, which is let go of, and then the rest."""
    async with contextlib.aclosing(pieces):
        while made:
            yield made.popleft()
        async for piece in pieces:
            yield piece


def of_refusal(refused: Refused) -> Answer:
    """An answer that says why a request is not granted."""
    if not refused.error:
        return Answer(refused.status, headers=refused.headers)
    body = encoded({"error": refused.error, "reason": refused.reason}).encode()
    return Answer(refused.status, [body], {"content-type": JSON, **refused.headers})


async def send_answer(answer: Answer, send: Send, with_body: bool) -> None:
    """Send an answer, of which HEAD wants the headers alone; between two pieces the broker works."""
    headers = {"content-security-policy": SECURITY_POLICY, "vary": VARY, **answer.headers}
    if answer.status != WITHOUT_LENGTH:
        headers["content-length"] = str(sum(map(len, answer.pieces)))
    await send(start(answer.status, headers))
    pieces = answer.pieces if with_body else ()
    for piece in pieces[:-1]:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": pieces[-1] if pieces else b""})


async def send_stream(answer: Streamed, receive: Receive, send: Send, with_body: bool) -> None:
    """Send an answer as it is made. Who takes it slowly is waited for, and has no more than one piece made for them.

    Nothing is made for a client that is gone.
    """
    await send(start(200, {"content-security-policy": SECURITY_POLICY, "vary": VARY, **answer.headers}))
    gone = asyncio.ensure_future(disconnected(receive))
    try:
        async with contextlib.aclosing(answer.pieces) as pieces:
            while with_body and not gone.done() and (piece := await anext(pieces, None)) is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    finally:
        gone.cancel()
    await send({"type": "http.response.body", "body": b""})


async def disconnected(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def start(status: int, headers: Mapping[str, str]) -> MutableMapping[str, Any]:
    """ASGI's first message of an answer."""
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()],
    }
