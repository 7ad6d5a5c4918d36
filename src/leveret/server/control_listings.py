"""The requests of the control socket that only look: at lists, and at one message of a queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from leveret.broker.broker import Broker
from leveret.broker.peeking import Damaged, peek
from leveret.management.columns import DEFAULT_COLUMNS, unsupported
from leveret.management.listings import LISTINGS, Value
from leveret.management.peeking import described
from leveret.server.control_answers import encoded, typed_table
from leveret.server.control_request import BadRequest, ChangeRefused, Request, no_such_user, no_such_vhost, text_of

MOST_COLUMNS: Final = 256
# The others of RabbitMQ's lists are just empty if there is no such virtual host.
OF_VHOST_THAT_MUST_BE: Final = ("policies", "operator_policies", "parameters", "permissions", "topic_permissions")
OF_USER: Final = ("user_permissions", "user_topic_permissions")


def listing(broker: Broker, kind: str, request: Request) -> Iterator[str]:
    """The answer with the rows of a list, in pieces. Raises BadRequest, ChangeRefused."""
    vhost = request.get("vhost", "/")
    columns = strings(request.get("columns", list(DEFAULT_COLUMNS[kind])))
    if not isinstance(vhost, str) or columns is None or len(columns) > MOST_COLUMNS:
        raise BadRequest("vhost is a string, columns are a list of strings")
    if wrong := unsupported(kind, columns):
        raise BadRequest(f"unknown columns: {','.join(wrong)[:256]}")
    if kind in OF_VHOST_THAT_MUST_BE and vhost not in broker.vhosts:
        raise no_such_vhost(vhost)
    of = vhost
    if kind in OF_USER:
        of = text_of(request, "user")
        if broker.users.find(of) is None:
            raise ChangeRefused(no_such_user(of))
    return listing_in_pieces(columns, LISTINGS[kind].rows(broker, of, columns))


def listing_in_pieces(columns: list[str], rows: Iterator[list[Value]]) -> Iterator[str]:
    """The line of an answer with these rows."""
    yield f'{{"columns":{encoded(columns)},"rows":['
    separator = ""
    for row in rows:
        yield separator + encoded([cell(value) for value in row])
        separator = ","
    yield "]}\n"


def cell(value: Value) -> object:
    """A listing's value as JSON has it."""
    return typed_table(value) if isinstance(value, dict) else value


def strings(value: object) -> list[str] | None:
    """The value if it is a list of strings."""
    if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
        return None
    return value


def peeked_message(broker: Broker, begin_tick: Callable[[], None], request: Request) -> list[list[object]]:
    """The message at a position of a queue. Raises BadRequest, ChangeRefused."""
    vhost_name, position = text_of(request, "vhost"), request.get("position")
    if not isinstance(position, int) or isinstance(position, bool) or position < 1:
        raise BadRequest("position is a positive integer")
    vhost = broker.vhosts.get(vhost_name)
    queue = None if vhost is None else vhost.queues.get(text_of(request, "queue"))
    if queue is None:
        raise ChangeRefused(f"Target queue was not found in virtual host '{vhost_name}'")
    begin_tick()  # what was being read for the queue may have to be waited for
    try:
        peeked = peek(queue, position)
    except Damaged:
        raise ChangeRefused("The message at that position is damaged") from None
    if peeked is None:
        raise ChangeRefused("Target queue does not have a message at that position")
    return typed_table(dict(described(peeked)))
