"""The requests of the control socket that export and import definitions.

What is imported follows the line of the request: as many octets as `octets` says. `vhost` is a virtual host, or null
for the whole broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from leveret.broker.broker import Broker, NoSuchVirtualHost
from leveret.management.definitions.export import exported
from leveret.management.definitions.importing import HASH, decoded, hash_of, import_in_slices
from leveret.management.definitions.steps import InvalidDefinitions
from leveret.server.control_request import BadRequest, ChangeRefused, Request, no_such_vhost

DEFINITIONS = "definitions"  # the kind of error: they can't be taken in
LARGEST = 256 * 1024 * 1024  # octets


def octets_behind(request: Request) -> int:
    """How many octets follow the request's line."""
    octets = request.get("octets", 0)
    if not isinstance(octets, int) or isinstance(octets, bool) or not 0 <= octets <= LARGEST:
        raise BadRequest(f"octets are a number up to {LARGEST}")
    return octets


def export_definitions(broker: Broker, request: Request) -> Iterator[str]:
    """The answer in pieces. Raises BadRequest, ChangeRefused."""
    vhost = vhost_of(request)
    try:
        pieces = exported(broker, vhost)
    except NoSuchVirtualHost:
        raise no_such_vhost(str(vhost)) from None
    return answer_in_pieces(pieces)


def answer_in_pieces(pieces: Iterator[str]) -> Iterator[str]:
    """The answer's line around what is exported."""
    yield '{"definitions":'
    yield from pieces
    yield "}\n"


async def import_definitions(
    broker: Broker, begin_tick: Callable[[], None], request: Request, octets: bytes
) -> dict[str, object]:
    """Take in definitions; they are in effect and on the disk when this returns. Raises BadRequest, ChangeRefused."""
    vhost = vhost_of(request)
    skip = request.get("skip_if_unchanged") is True
    digest = hash_of([octets])
    if skip and broker.parameters.all_global().get(HASH) == digest:
        return {"changed": 0, "warnings": []}
    try:
        document = await asyncio.to_thread(decoded, octets)
        done = await import_in_slices(broker, document, begin_tick, vhost)
    except NoSuchVirtualHost as error:
        raise no_such_vhost(str(error)) from None
    except InvalidDefinitions as error:
        raise ChangeRefused(str(error), DEFINITIONS) from None
    if skip:
        begin_tick()
        broker.parameters.set_global(HASH, digest)
    return {"changed": done.changed, "warnings": list(done.warnings)}


def vhost_of(request: Request) -> str | None:
    """The virtual host that a request is about, None if it is about all."""
    vhost = request.get("vhost")
    if vhost is not None and not isinstance(vhost, str):
        raise BadRequest("vhost is a string or null")
    return vhost
