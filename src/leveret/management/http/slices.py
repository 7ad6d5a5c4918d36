"""Work in slices: whoever goes over thousands of things lets the broker have its turn every two milliseconds.

All work in slices shares these two milliseconds, several loops of one request as well as several requests: what the
broker waits for would else be the sum of what each of them takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Final, TypeVar

from leveret.broker.vhost import VirtualHost

Item = TypeVar("Item")

SLICE: Final = 0.002  # seconds


class Turn:
    """How long the work in slices may go on in this round of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Final = loop
        self._has_begun = False
        self._end = 0.0

    def begin(self) -> None:
        """Begin the slice, unless it has begun in this round."""
        if not self._has_begun:
            self._has_begun = True
            self._end = self._loop.time() + SLICE
            self._loop.call_soon(self._end_round)

    def is_over(self) -> bool:
        """Whether it is the broker's turn."""
        self.begin()
        return self._loop.time() >= self._end

    def _end_round(self) -> None:
        self._has_begun = False


@lru_cache(maxsize=1)
def turn_in(loop: asyncio.AbstractEventLoop) -> Turn:
    """The turn that all work in a loop shares."""
    return Turn(loop)


async def in_slices(items: Iterable[Item]) -> AsyncIterator[Item]:
    """The items one by one, each of which should take well below a millisecond; the broker works in between.

    What is listed may be gone when its turn comes.
    """
    turn = turn_in(asyncio.get_running_loop())
    turn.begin()
    for item in items:
        yield item
        if turn.is_over():
            await asyncio.sleep(0)
            turn.begin()


async def paced(pieces: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """The pieces as they are made; the broker works in between, however little making them waits for anything."""
    turn = turn_in(asyncio.get_running_loop())
    turn.begin()
    async for piece in pieces:
        yield piece
        if turn.is_over():
            await asyncio.sleep(0)
            turn.begin()


def in_chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items, so many at once: going over a list is faster than over one by one in slices."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


async def reapplied(vhost: VirtualHost, begin_tick: Callable[[], None]) -> None:
    """The policies of a virtual host have changed: they apply to everything in it when this returns."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SLICE
    for _ in vhost.reapply_policies():
        if loop.time() >= until:
            await asyncio.sleep(0)
            begin_tick()
            until = loop.time() + SLICE
