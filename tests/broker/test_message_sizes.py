"""Sizes of messages are counted by RabbitMQ's bounds, each of which belongs to what is below it."""

from __future__ import annotations

from leveret.broker.traffic import SIZE_BOUNDS, MessageSizes


def test_every_bound() -> None:
    for at, bound in enumerate(SIZE_BOUNDS):
        sizes = MessageSizes()
        sizes.add(bound)
        sizes.add(bound + 1)
        assert sizes.counts() == [0] * at + [1, 1] + [0] * (len(SIZE_BOUNDS) - at - 1)
        assert sizes.octets == 2 * bound + 1


def test_an_empty_message() -> None:
    sizes = MessageSizes()
    sizes.add(0)
    assert sizes.counts() == [1] + [0] * len(SIZE_BOUNDS) and sizes.octets == 0
