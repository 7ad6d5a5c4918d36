"""Work in slices: whoever goes over thousands of things lets the broker have its turn every two milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

from leveret.broker.vhost import VirtualHost

Item = TypeVar("Item")

SLICE: Final = 0.002  # seconds


async def in_slices(items: Iterable[Item]) -> AsyncIterator[Item]:
    """The items one by one, each of which should take well below a millisecond; the broker works in between.

    What is listed may be gone when its turn comes.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + SLICE
    for item in items:
        yield item
        if loop.time() >= until:
            await asyncio.sleep(0)
            until = loop.time() + SLICE


async def paced(pieces: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """The pieces as they are made; the broker works in between, however little making them waits for anything."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SLICE
    async for piece in pieces:
        yield piece
        if loop.time() >= until:
            await asyncio.sleep(0)
            until = loop.time() + SLICE


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
