"""`/vhosts`: the virtual hosts, and what they are said to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from leveret.broker.broker import Broker, ProtectedVirtualHost, TooManyVirtualHosts
from leveret.broker.queue_arguments import CLASSIC
from leveret.broker.vhost import InvalidQueueType, VirtualHost
from leveret.management.http.access import administrator, viewer_of_vhost
from leveret.management.http.bodies import flag, text
from leveret.management.http.call import Call
from leveret.management.http.errors import bad_request, precondition_failed
from leveret.management.http.lists import ABSENT, List, ListColumns
from leveret.management.http.overview import counted_queues, visible_vhosts
from leveret.management.http.resource import Resource
from leveret.management.http.statistics import of_vhost
from leveret.management.rates import DATA, OF_LENGTHS


class Counted:
    """A virtual host with its statistics, for which its messages have to be counted."""

    def __init__(self, vhost: VirtualHost, statistics: dict[str, Any]) -> None:
        self.vhost: Final = vhost
        self.statistics: Final = statistics


async def counted(call: Call, vhost: VirtualHost) -> Counted:
    """A virtual host, counted."""
    queues = await counted_queues(list(vhost.queues.values()))
    return Counted(vhost, of_vhost(call, vhost, queues.ready, queues.unacked))


def default_queue_type(vhost: VirtualHost) -> str:
    """The type of queues that are declared without one."""
    return vhost.default_queue_type or CLASSIC


def metadata(vhost: VirtualHost) -> dict[str, object]:
    """What a virtual host is said to be."""
    return {
        "description": vhost.description,
        "tags": vhost.tags,
        "default_queue_type": default_queue_type(vhost),
        "protected_from_deletion": vhost.protected,
    }


def statistic(name: str) -> Callable[[Counted, Broker], Any]:
    """The column with a statistic."""
    return lambda item, broker: item.statistics.get(name, ABSENT)


COLUMNS: Final[ListColumns[Counted]] = {
    "name": lambda item, broker: item.vhost.name,
    "description": lambda item, broker: item.vhost.description,
    "tags": lambda item, broker: item.vhost.tags,
    "default_queue_type": lambda item, broker: default_queue_type(item.vhost),
    "metadata": lambda item, broker: metadata(item.vhost),
    "protected_from_deletion": lambda item, broker: item.vhost.protected,
    "tracing": lambda item, broker: item.vhost.firehose.on,
    "cluster_state": lambda item, broker: {broker.node: "running"},
    **{name: statistic(name) for counter in (*DATA, *OF_LENGTHS) for name in (counter, f"{counter}_details")},
    "message_stats": statistic("message_stats"),
}
VHOSTS: Final = List(COLUMNS, ["name"])


async def list_vhosts(call: Call) -> object:
    """Those that the user may know of."""
    return await VHOSTS.answer(call, [await counted(call, vhost) for vhost in visible_vhosts(call)])


async def get_vhost(call: Call) -> object:
    """One of them."""
    return VHOSTS.row(await counted(call, call.vhost()), call.broker)


async def put_vhost(call: Call) -> None:
    """Make one, or change what is said of it."""
    body = await call.json()
    description = None if body.get("description") is None else text(body, "description")
    tags, queue_type = tags_of(body), default_type_of(body)
    tracing = None if body.get("tracing") is None else flag(body, "tracing")
    call.begin_change()
    try:
        if call.find_vhost() is None:
            call.broker.add_vhost(call.argument("vhost"), description or "", tags or (), queue_type or "")
            call.broker.permissions.set(call.user.name, call.argument("vhost"), ".*", ".*", ".*")
        else:
            call.broker.describe_vhost(call.argument("vhost"), description, tags, queue_type)
    except TooManyVirtualHosts as error:
        raise bad_request(str(error)) from None
    except InvalidQueueType as error:
        raise bad_request(f"Unsupported default queue type: {error}") from None
    if tracing is not None:
        call.vhost().firehose.switch(tracing)
    await call.committed()


def tags_of(body: dict[str, Any]) -> list[str] | None:
    """The tags that a body says, as a list or as a text with commas; None if it says none."""
    tags = body.get("tags")
    if isinstance(tags, str):
        return [tag.strip() for tag in tags.split(",") if tag.strip()]
    return None if not isinstance(tags, list) else [str(tag) for tag in tags]


def default_type_of(body: dict[str, Any]) -> str | None:
    """The default queue type that a body says, None if it says none."""
    queue_type = body.get("default_queue_type", body.get("defaultqueuetype"))
    return None if queue_type in (None, "", "undefined") else str(queue_type)


async def delete_vhost(call: Call) -> None:
    """Delete one with all that is in it."""
    name = call.vhost().name
    call.begin_change()
    try:
        call.broker.delete_vhost(name)
    except ProtectedVirtualHost:
        reason = f"Refusing to delete virtual host '{name}' because it is protected from deletion"
        raise precondition_failed(reason) from None
    await call.committed()


async def protect_vhost(call: Call) -> None:
    """Protect one from being deleted."""
    await set_protection(call, True)


async def unprotect_vhost(call: Call) -> None:
    """Let it be deleted again."""
    await set_protection(call, False)


async def set_protection(call: Call, protected: bool) -> None:
    """Protect a virtual host from being deleted, or don't."""
    name = call.vhost().name
    call.begin_change()
    call.broker.describe_vhost(name, protected=protected)
    await call.committed()


async def start_vhost(call: Call) -> None:
    """Start one on a node, where it runs already."""
    vhost, node = call.argument("vhost"), call.argument("node")
    if node != call.broker.node:
        raise bad_request(f"Request to node {node} failed with nodedown")
    if call.find_vhost() is None:
        raise bad_request(f'Request to node {node} failed with {{no_such_vhost,<<"{vhost}">>}}')


def vhost_exists(call: Call) -> bool:
    """Whether the virtual host that is named is there."""
    return call.find_vhost() is not None


def access_to_vhost(call: Call) -> None:
    """Administrators change, everybody else may look at what they may use."""
    if call.method in ("GET", "HEAD"):
        viewer_of_vhost(call)
    else:
        administrator(call)


RESOURCES: Final = (
    Resource("/vhosts", get=list_vhosts),
    Resource("/vhosts/{vhost}", access_to_vhost, vhost_exists, get=get_vhost, put=put_vhost, delete=delete_vhost),
    Resource(
        "/vhosts/{vhost}/deletion/protection",
        administrator,
        vhost_exists,
        post=protect_vhost,
        delete=unprotect_vhost,
    ),
    Resource("/vhosts/{vhost}/start/{node}", administrator, post=start_vhost),
)
