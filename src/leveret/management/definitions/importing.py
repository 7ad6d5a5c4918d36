"""Taking definitions in: all of a file is read and checked first, and only then applied.

Both are done in small steps, between which the broker may work. Nothing is applied if anything is wrong. What is
applied without a pause is one transaction of the store; a crash in a longer import leaves the first part of it, and
importing again does the rest.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from leveret.broker.broker import Broker
from leveret.broker.limits import MAX_QUEUES, NO_LIMIT
from leveret.management import json_values
from leveret.management.definitions.access import PermissionStep, TopicPermissionStep, UserStep, VirtualHostStep
from leveret.management.definitions.settings import (
    GlobalParameterStep,
    ParameterStep,
    PolicyStep,
    policies_changed_in,
)
from leveret.management.definitions.steps import Category, Fields, InvalidDefinitions, Outlook, Step
from leveret.management.definitions.topology import BindingStep, ExchangeStep, QueueStep
from leveret.management.http.slices import SLICE, in_slices
from leveret.management.json_values import NotJson, without_collection

log: Final = logging.getLogger("leveret.definitions")

# In the order in which they are applied: policies before what they apply to, which then has them from the start.
BEFORE_TOPOLOGY: Final = (
    Category("users", "user", UserStep, False),
    Category("vhosts", "virtual host", VirtualHostStep, False),
    Category("permissions", "permission", PermissionStep, False),
    Category("topic_permissions", "topic permission", TopicPermissionStep, False),
    Category("global_parameters", "global parameter", GlobalParameterStep, False),
    Category("policies", "policy", PolicyStep, True),
    Category("parameters", "parameter", ParameterStep, True),
)
TOPOLOGY: Final = (
    Category("exchanges", "exchange", ExchangeStep, True),
    Category("queues", "queue", QueueStep, True),
    Category("bindings", "binding", BindingStep, True),
)
TOGETHER: Final = 200  # objects that are applied without a pause, which takes a few milliseconds
MANY: Final = 1000  # changes that make a pause if the collector of garbage looks at them
HASH: Final = "imported_definition_hash_value"  # the global parameter, which RabbitMQ has too


class Import:
    """Takes documents in, or the part of them that a file of one virtual host has, into that one."""

    def __init__(self, broker: Broker, documents: Sequence[object], vhost: str | None = None) -> None:
        """Raises NoSuchVirtualHost."""
        if vhost is not None:
            broker.vhost(vhost)
        self._broker: Final = broker
        self._documents: Final = documents
        self._vhost: Final = vhost
        self.current = 0  # the number of the document that is being checked
        self._outlook: Final = Outlook(broker)
        self._before_topology: Final[list[Step]] = []
        self._topology: Final[list[Step]] = []
        self.changed = 0  # how many objects were not as the document has them

    @property
    def warnings(self) -> list[str]:
        """What is not taken in, or has no effect."""
        return self._outlook.warnings

    def check(self) -> Iterator[None]:
        """Read and check everything, one object at a time. Raises InvalidDefinitions."""
        for categories, steps in ((BEFORE_TOPOLOGY, self._before_topology), (TOPOLOGY, self._topology)):
            for category in categories:
                for number, document in enumerate(self._documents):
                    self.current = number
                    for at, values in enumerate(category.read(document, self._vhost)):
                        step = category.step(Fields(f"{category.kind} number {at + 1}", values, self._vhost))
                        if step.check(self._outlook):
                            steps.append(step)
                        yield
        self._check_limits()

    def apply(self) -> Iterator[None]:
        """Apply what was checked, one object at a time. Raises InvalidDefinitions if that became impossible."""
        changed_policies: dict[str, None] = {}
        for step in self._before_topology:
            if step.apply(self._broker):
                self.changed += 1
                vhost = policies_changed_in(step)
                if vhost is not None:
                    changed_policies[vhost] = None
            yield
        for name in changed_policies:
            found = self._broker.vhosts.get(name)
            if found is not None:  # or it was deleted meanwhile
                yield from found.reapply_policies()
        for step in self._topology:
            if step.apply(self._broker):
                self.changed += 1
            yield

    def _check_limits(self) -> None:
        """InvalidDefinitions if there would be more queues or exchanges than there may be; RabbitMQ's text."""
        vhosts = self._broker.vhosts
        for name, added in Counter(vhost for vhost, _ in self._outlook.queues).items():
            if name not in vhosts:
                continue
            limit, there = vhosts[name].usage.limit(MAX_QUEUES), len(vhosts[name].queues)
            if limit != NO_LIMIT and there + added > limit:
                raise InvalidDefinitions(
                    f'Adding {added} queue(s) to virtual host "{name}" would exceed the limit of {limit} queue(s).\n\n'
                    f"This virtual host currently has {there} queue(s) defined.\n\nImport aborted!"
                )
        limits = self._broker.limits
        for kind, limit, there, added in (
            ("queue", limits.cluster_queue_limit, sum(len(each.queues) for each in vhosts.values()),
             len(self._outlook.queues)),
            ("exchange", limits.cluster_exchange_limit, sum(len(each.exchanges) for each in vhosts.values()),
             len(self._outlook.exchanges)),
        ):  # fmt: skip
            if added and limit != NO_LIMIT and there + added > limit:
                raise InvalidDefinitions(
                    f"{there} {kind}s and {added} more would exceed the limit of {limit} {kind}s in the cluster"
                )


def decoded(text: bytes) -> object:
    """The document in a file's octets; an empty file has nothing in it. Raises InvalidDefinitions.

    May run in another thread.
    """
    text = text.removeprefix(b"\xef\xbb\xbf")
    if not text.strip():
        return {}
    try:
        return json_values.decoded(text)
    except NotJson as error:
        raise InvalidDefinitions(f"not JSON: {error}") from None


def hash_of(files: list[bytes]) -> str:
    """What tells the contents of these files from others."""
    digest = hashlib.sha256()
    for octets in files:
        digest.update(octets)
    return digest.hexdigest()


def import_now(broker: Broker, document: object) -> Import:
    """Take in a document at once, as one transaction. Raises InvalidDefinitions, and then nothing was changed."""
    return complete(Import(broker, [document]))


def complete(work: Import) -> Import:
    """As `import_now`: for a broker that serves nobody yet."""
    with without_collection():
        for _ in work.check():
            pass
        for _ in work.apply():
            pass
    report(work)
    return work


async def import_in_slices(
    broker: Broker, document: object, begin_tick: Callable[[], None], vhost: str | None = None
) -> Import:
    """Take in a document while the broker goes on. It is in effect and on the disk when this returns.

    Raises InvalidDefinitions, and then nothing was changed unless somebody deleted what the document relies on
    meanwhile; NoSuchVirtualHost.
    """
    work = Import(broker, [document], vhost)
    with without_collection():
        async for _ in in_slices(work.check()):
            pass
        begin_tick()
        loop = asyncio.get_running_loop()
        until = loop.time() + SLICE
        for at, _ in enumerate(work.apply()):
            if at >= TOGETHER and loop.time() >= until:
                await asyncio.sleep(0)
                begin_tick()
                until = loop.time() + SLICE
        if work.changed >= MANY:
            gc.freeze()  # as at the start: what is there now stays, and need not be looked at again and again
    committed = asyncio.Event()
    broker.store.when_committed(committed.set)
    await committed.wait()
    report(work)
    return work


def report(work: Import) -> None:
    """Log what came of an import."""
    for warning in work.warnings:
        log.warning("definitions: %s", warning)
    log.info("imported definitions: %s objects were added or changed", work.changed)
