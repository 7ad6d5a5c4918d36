"""The commands that the control socket takes, and what answers each of them. There are four kinds.

A *question* changes nothing and is answered in pieces; a listing may be long. A *change* is made in a tick, like all
work of the broker, and answered when it is in effect everywhere and on the disk: policies are applied in slices of a
few milliseconds, between which the broker works. An *operation* is done in a tick too, and has something to say of
what was done. What takes its time, a *task*, begins its own ticks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Final, TypeAlias

from leveret.broker.broker import Broker
from leveret.broker.events import CLI_USER
from leveret.management.listings import LISTINGS
from leveret.server.control_access import AccessChanges, authenticate
from leveret.server.control_answers import SLICE, whole
from leveret.server.control_definitions import export_definitions, import_definitions
from leveret.server.control_listings import listing, peeked_message
from leveret.server.control_operations import Operations
from leveret.server.control_parameters import ParameterChanges
from leveret.server.control_policies import PolicyChanges
from leveret.server.control_request import BadRequest, Change, Operation, Request

Question: TypeAlias = Callable[[Request], Iterator[str]]
Task: TypeAlias = Callable[[Request, bytes], Awaitable[dict[str, object]]]


class ControlCommands:
    """Answers requests to one broker. `begin_tick` has its tick begin.

    `status` is that of the node; `node_operations` are those that need more than the broker.
    """

    def __init__(
        self,
        broker: Broker,
        begin_tick: Callable[[], None] = lambda: None,
        status: Callable[[], dict[str, object]] = dict,
        node_operations: Mapping[str, Operation] | None = None,
    ) -> None:
        self._broker: Final = broker
        self._begin_tick: Final = begin_tick
        self._questions: Final[dict[str, Question]] = {
            **{f"list_{kind}": partial(listing, broker, kind) for kind in LISTINGS},
            "status": lambda _: whole({"status": status()}),
            "peek": lambda request: whole({"message": peeked_message(broker, begin_tick, request)}),
            "export_definitions": partial(export_definitions, broker),
        }
        self._changes: Final[dict[str, Change]] = {
            **PolicyChanges(broker).commands,
            **AccessChanges(broker).commands,
            **ParameterChanges(broker).commands,
        }
        self._operations: Final[dict[str, Operation]] = {**Operations(broker).commands, **(node_operations or {})}
        self._tasks: Final[dict[str, Task]] = {
            "authenticate_user": partial(authenticate, broker, begin_tick),
            "import_definitions": partial(import_definitions, broker, begin_tick),
        }

    @property
    def node(self) -> str:
        """The name of the node that is controlled."""
        return self._broker.node

    async def answer(self, command: str, request: Request, octets: bytes) -> Iterator[str]:
        """The answer in pieces; `octets` came behind the request. Raises BadRequest, ChangeRefused."""
        if command in self._questions:
            return self._questions[command](request)
        if command in self._changes:
            done = await self._make(self._changes[command], request)
        elif command in self._operations:
            done = await self._do(self._operations[command], request)
        elif command in self._tasks:
            done = await self._tasks[command](request, octets)
        else:
            raise BadRequest(f"unknown command {command[:64]!r}")
        return whole({"done": {"node": self.node, **done}})

    async def _make(self, change: Change, request: Request) -> dict[str, object]:
        loop = asyncio.get_running_loop()
        self._begin_tick()
        self._broker.events.act_as(CLI_USER)
        vhost = change(request)
        committed = self._committed()
        if vhost is not None:
            until = loop.time() + SLICE
            for _ in vhost.reapply_policies():
                if loop.time() >= until:
                    await asyncio.sleep(0)
                    self._begin_tick()
                    until = loop.time() + SLICE
        await committed.wait()
        return {}

    async def _do(self, operation: Operation, request: Request) -> dict[str, object]:
        self._begin_tick()
        done = operation(request)
        await self._committed().wait()
        return done

    def _committed(self) -> asyncio.Event:
        """Set when what was changed until now is on the disk."""
        committed = asyncio.Event()
        self._broker.store.when_committed(committed.set)
        return committed
