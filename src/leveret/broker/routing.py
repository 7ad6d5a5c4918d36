"""From a basic.publish to the queues: the route that a publish method's payload stands for.

Publishers repeat themselves, so a connection caches the route of each payload it sees (exchange, routing key and
flags are all in it) and pays one dictionary look-up for the next. A route whose exchanges ask the message's properties
can't know its queues beforehand: they are found for `each_message`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.amqp.methods import BasicPublish
from leveret.amqp.properties import BasicProperties
from leveret.amqp.reply_codes import ACCESS_REFUSED, NOT_IMPLEMENTED, HardError, SoftError
from leveret.broker.exchange.base import Exchange
from leveret.broker.message import Address
from leveret.broker.permissions import EXCHANGE, WRITE, check_access, check_topic
from leveret.broker.queue import Queue

if TYPE_CHECKING:
    from leveret.broker.connection import Connection


NO_PROPERTIES: Final = BasicProperties()


class Route:
    """Where publishes with one exchange, routing key and mandatory flag lead in one epoch of the virtual host."""

    def __init__(
        self, exchange: Exchange, address: Address, mandatory: bool, queues: list[Queue], each_message: bool, epoch: i64
    ) -> None:
        self.exchange: Final = exchange
        self.address: Final = address
        self.mandatory: Final = mandatory
        self.queues: Final = queues
        self.each_message: Final = each_message
        self.epoch: Final[i64] = epoch


def find_route(connection: Connection, publish: BasicPublish) -> Route:
    """The route of a publish: SoftError 404 or 403 for its exchange, HardError 540 for the immediate flag."""
    if publish.immediate:
        raise HardError(NOT_IMPLEMENTED, "immediate=true")
    vhost = connection.vhost_opened()
    check_access(connection, WRITE, EXCHANGE, publish.exchange)
    exchange = vhost.exchange(publish.exchange)
    if exchange.internal:
        raise SoftError(
            ACCESS_REFUSED, f"cannot publish to internal exchange '{exchange.name}' in vhost '{vhost.name}'"
        )
    check_topic(connection, WRITE, exchange, publish.routing_key)
    address = vhost.address(publish.exchange, publish.routing_key)
    queues, each_message = vhost.route(exchange, [publish.routing_key], NO_PROPERTIES)
    return Route(exchange, address, publish.mandatory, queues, each_message or vhost.firehose.on, vhost.epoch)


def current_route(connection: Connection, route: Route) -> Route:
    """The same route as things are now: while a message came in piece by piece, anything may have come and gone.

    Errors as of `find_route`: the exchange may be another one by now, or none.
    """
    if route.epoch == connection.vhost_opened().epoch:
        return route
    address = route.address
    return find_route(connection, BasicPublish(address.exchange, address.routing_key, route.mandatory))
