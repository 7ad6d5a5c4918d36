"""Answers that are made piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

from leveret.management.http.answers import MADE_BEFOREHAND, Answer, Streamed, of_generated, send_stream

PIECE = bytes(MADE_BEFOREHAND // 4)


async def made(count: int, seen: list[int]) -> AsyncGenerator[bytes]:
    """So many pieces, each of which is seen when it is made."""
    for number in range(count):
        seen.append(number)
        yield PIECE


def test_a_small_answer_is_made_at_once() -> None:
    answer = asyncio.run(of_generated(made(3, [])))
    assert isinstance(answer, Answer)
    assert answer.pieces == 3 * [PIECE]


def test_no_more_of_a_large_answer_is_made_than_a_client_takes() -> None:
    async def taken(seen: list[int]) -> None:
        answer = await of_generated(made(9, seen))
        assert isinstance(answer, Streamed)
        assert len(seen) == 4
        for count in range(1, 10):
            assert await anext(answer.pieces) == PIECE
            assert len(seen) == max(4, count)
        assert await anext(answer.pieces, None) is None

    asyncio.run(taken([]))


def test_nothing_more_is_made_for_a_client_that_is_gone() -> None:
    async def receive() -> dict[str, object]:
        await taken.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message.get("body"):
            taken.set()
            await asyncio.sleep(0)

    taken = asyncio.Event()
    seen: list[int] = []

    async def streamed() -> None:
        answer = await of_generated(made(100, seen))
        assert isinstance(answer, Streamed)
        await send_stream(answer, receive, send, True)

    asyncio.run(streamed())
    assert len(seen) < 10
