"""Pieces that are made without waiting for anything leave the broker its turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from leveret.management.http.slices import SLICE, paced

PIECES = 20


async def made_at_once() -> AsyncIterator[int]:
    for number in range(PIECES):
        until = time.monotonic() + SLICE
        while time.monotonic() < until:
            pass
        yield number


async def pieces_and_turns() -> tuple[list[int], int]:
    """The pieces, and how often somebody else had a turn meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    pieces = [piece async for piece in paced(made_at_once())]
    counting.cancel()
    return pieces, turns


def test_somebody_else_has_a_turn_between_long_pieces() -> None:
    pieces, turns = asyncio.run(pieces_and_turns())
    assert pieces == list(range(PIECES)) and turns >= PIECES
