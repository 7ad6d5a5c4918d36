"""`/bindings`, and those of one queue or exchange.

A binding has no name, so paths call it by its properties key: the routing key, encoded for a URL, and behind `~` a hash
of the arguments, if there are any; `~` alone is an empty routing key. The hash is ours, as RabbitMQ's is Erlang's.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote_plus, unquote_plus

from leveret.amqp.field_table import Table, encode_table
from leveret.amqp.methods import ExchangeBind, ExchangeUnbind, Method, QueueBind, QueueUnbind
from leveret.broker import exchange_methods, queue_methods
from leveret.broker.binding import Binding, Destination
from leveret.broker.vhost import VirtualHost
from leveret.management.http.access import user_of_vhost
from leveret.management.http.answers import Answer
from leveret.management.http.bodies import short_text, text
from leveret.management.http.call import Call
from leveret.management.http.errors import object_not_found
from leveret.management.http.exchanges import exchange_exists, exchange_of
from leveret.management.http.lists import List, ListColumns
from leveret.management.http.queues import queue_exists, queue_of
from leveret.management.http.resource import Resource
from leveret.management.http.session import session
from leveret.management.http.tables import plain_table, table_of
from leveret.management.listings import bindings

KINDS: Final = {"q": "queue", "e": "exchange"}
HASH_SIZE: Final = 9  # octets
PLAIN: Final = re.compile("[A-Za-z0-9_.-]*")  # keys that need no encoding, which takes ten times as long as to see this
SORTED_BY: Final = ("vhost", "source", "destination", "routing_key", "properties_key")


class Placed:
    """A binding with its virtual host, which it doesn't know itself."""

    def __init__(self, vhost: VirtualHost, binding: Binding) -> None:
        self.vhost: Final = vhost
        self.binding: Final = binding


def arguments_hash(arguments: Table) -> str:
    """What stands for a binding's arguments in its properties key."""
    digest = hashlib.blake2b(encode_table(arguments), digest_size=HASH_SIZE).digest()
    return base64.urlsafe_b64encode(digest).decode()


def properties_key(routing_key: str, arguments: Table) -> str:
    """The name of a binding between two things."""
    key = routing_key
    if not PLAIN.fullmatch(key):
        key = quote_plus(key, errors="surrogateescape").replace("~", "%7E")
    return f"{key}~{arguments_hash(arguments)}" if arguments else key or "~"


COLUMNS: Final[ListColumns[Placed]] = {
    "source": lambda item, broker: item.binding.source.name,
    "vhost": lambda item, broker: item.vhost.name,
    "destination": lambda item, broker: item.binding.destination.name,
    "destination_type": lambda item, broker: item.binding.destination.kind,
    "routing_key": lambda item, broker: item.binding.routing_key,
    "arguments": lambda item, broker: plain_table(item.binding.arguments),
    "properties_key": lambda item, broker: properties_key(item.binding.routing_key, item.binding.arguments),
}
BINDINGS: Final = List(COLUMNS, SORTED_BY, paged=False)


# looking


def bindings_of(call: Call) -> Iterator[Placed]:
    """The bindings of a virtual host, or of all that the user may use."""
    for vhost in call.vhosts():
        yield from placed(vhost, bindings(call.broker, vhost.name))


def placed(vhost: VirtualHost, found: Iterable[Binding]) -> Iterator[Placed]:
    """Bindings with their virtual host."""
    for binding in found:
        yield Placed(vhost, binding)


def bindings_to(vhost: VirtualHost, destination: Destination) -> Iterator[Placed]:
    """The bindings that lead to a queue, also that from the default exchange, or to an exchange."""
    if destination.kind == "queue":
        yield Placed(vhost, Binding(vhost.default_exchange, destination, destination.name, {}))
    yield from placed(vhost, list(destination.bindings_to))


async def list_bindings(call: Call) -> object:
    """All bindings."""
    return await BINDINGS.answer(call, bindings_of(call))


async def list_of_queue(call: Call) -> object:
    """The bindings of a queue."""
    return await BINDINGS.answer(call, bindings_to(call.vhost(), queue_of(call)))


async def list_to_exchange(call: Call) -> object:
    """The bindings that lead to an exchange."""
    return await BINDINGS.answer(call, bindings_to(call.vhost(), exchange_of(call)))


async def list_from_exchange(call: Call) -> object:
    """The bindings that lead away from an exchange."""
    vhost, exchange = call.vhost(), exchange_of(call)
    if exchange is vhost.default_exchange:
        own = (item for item in placed(vhost, bindings(call.broker, vhost.name)) if item.binding.source is exchange)
        return await BINDINGS.answer(call, own)
    return await BINDINGS.answer(call, placed(vhost, list(exchange.bindings.values())))


def find_destination(call: Call) -> Destination | None:
    """The queue or exchange that is named as the destination, if it is there. Refused for another kind."""
    vhost = call.vhost()
    name, kind = call.argument("destination"), call.argument("kind")
    if kind not in KINDS:
        raise object_not_found()
    return vhost.queues.get(name) if kind == "q" else vhost.exchanges.get(name)


def between(call: Call) -> Iterator[Placed]:
    """The bindings between two things, none if one of them is not there."""
    destination = find_destination(call)
    source = call.argument("source")
    if destination is not None:
        for item in bindings_to(call.vhost(), destination):
            if item.binding.source.name == source:
                yield item


async def list_between(call: Call) -> object:
    """The bindings between two things."""
    return await BINDINGS.answer(call, between(call))


def find_binding(call: Call) -> Placed | None:
    """The binding that is named, if it is there."""
    if call.find_vhost() is None:
        return None
    key, _, arguments = call.argument("properties").partition("~")
    routing_key = unquote_plus(key, errors="surrogateescape")
    for item in between(call):
        binding = item.binding
        found = arguments_hash(binding.arguments) if binding.arguments else ""
        if binding.routing_key == routing_key and found == arguments:
            return item
    return None


def binding_exists(call: Call) -> bool:
    """Whether the binding that is named is there."""
    return find_binding(call) is not None


def binding_of(call: Call) -> Placed:
    """The binding that is named; Refused with 404 if it is not there."""
    item = find_binding(call)
    if item is None:
        raise object_not_found()
    return item


async def get_binding(call: Call) -> object:
    """One binding."""
    return BINDINGS.row(binding_of(call), call.broker)


# changing


async def post_binding(call: Call) -> object:
    """Bind; the answer says where the binding is."""
    vhost = call.vhost_to_change()
    body = await call.json()
    find_destination(call)
    routing_key = short_text(text(body, "routing_key"))
    arguments = table_of(body.get("arguments", {}))
    names = short_text(call.argument("destination")), short_text(call.argument("source"))
    with session(call, vhost) as opened:
        if call.argument("kind") == "q":
            handle(opened.channel, QueueBind(*names, routing_key, True, arguments))
        else:
            handle(opened.channel, ExchangeBind(*names, routing_key, True, arguments))
    await call.committed()
    destination, key = quoted(call.argument("destination")), quoted(properties_key(routing_key, arguments))
    return Answer(201, headers={"location": f"{destination}/{key}"})


def handle(channel: Any, method: Method) -> None:
    """Have a channel do what a method of one of the two classes says."""
    if isinstance(method, (QueueBind, QueueUnbind)):
        queue_methods.handle(channel, method)
    else:
        exchange_methods.handle(channel, method)


def quoted(name: str) -> str:
    """A name as a part of a path, as RabbitMQ quotes it."""
    return quote_plus(name, errors="surrogateescape")


async def delete_binding(call: Call) -> None:
    """Unbind."""
    binding = binding_of(call).binding
    names = binding.destination.name, binding.source.name
    with session(call, call.vhost_to_change()) as opened:
        if binding.destination.kind == "queue":
            handle(opened.channel, QueueUnbind(*names, binding.routing_key, binding.arguments))
        else:
            handle(opened.channel, ExchangeUnbind(*names, binding.routing_key, True, binding.arguments))
    await call.committed()


BETWEEN: Final = "/bindings/{vhost}/e/{source}/{kind}/{destination}"

RESOURCES: Final = (
    Resource("/bindings", user_of_vhost, get=list_bindings),
    Resource("/bindings/{vhost}", user_of_vhost, get=list_bindings),
    Resource(BETWEEN, user_of_vhost, get=list_between, post=post_binding),
    Resource(f"{BETWEEN}/{{properties}}", user_of_vhost, binding_exists, get=get_binding, delete=delete_binding),
    Resource("/queues/{vhost}/{queue}/bindings", user_of_vhost, queue_exists, get=list_of_queue),
    Resource("/exchanges/{vhost}/{exchange}/bindings/source", user_of_vhost, exchange_exists, get=list_from_exchange),
    Resource(
        "/exchanges/{vhost}/{exchange}/bindings/destination", user_of_vhost, exchange_exists, get=list_to_exchange
    ),
)
