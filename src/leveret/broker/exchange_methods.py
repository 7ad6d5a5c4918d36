"""The methods of class exchange: declare, delete, bind, unbind (exchange to exchange), with RabbitMQ's checks and
texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leveret.amqp.field_table import TYPE_NAMES, Table
from leveret.amqp.methods import (
    ExchangeBind,
    ExchangeBindOk,
    ExchangeDeclare,
    ExchangeDeclareOk,
    ExchangeDelete,
    ExchangeDeleteOk,
    ExchangeUnbind,
    ExchangeUnbindOk,
    Method,
)
from leveret.amqp.reply_codes import (
    ACCESS_REFUSED,
    COMMAND_INVALID,
    NOT_FOUND,
    PRECONDITION_FAILED,
    HardError,
    SoftError,
)
from leveret.broker.arguments import EXCHANGE_ARGUMENTS
from leveret.broker.binding import Binding, Destination
from leveret.broker.channel import Channel
from leveret.broker.deduplication import check_deduplication_arguments
from leveret.broker.exchange.base import Exchange
from leveret.broker.exchange.recent_history import RecentHistoryExchange
from leveret.broker.exchange.types import is_known, make_exchange
from leveret.broker.history import deliver_history
from leveret.broker.limits import check_exchange
from leveret.broker.permissions import CONFIGURE, EXCHANGE, READ, WRITE, check_access, check_any_access, check_topic
from leveret.broker.redeclaring import Property, check_redeclared, flag
from leveret.broker.vhost import VirtualHost, check_name_not_reserved

if TYPE_CHECKING:
    from leveret.broker.connection import Connection


def handle(channel: Channel, method: Method) -> None:
    """Handle a method of class exchange."""
    vhost = channel.connection.vhost_opened()
    if isinstance(method, ExchangeDeclare):
        declare(channel.connection, vhost, method)
        if not method.nowait:
            channel.send(ExchangeDeclareOk())
    elif isinstance(method, ExchangeDelete):
        delete(channel.connection, vhost, method)
        if not method.nowait:
            channel.send(ExchangeDeleteOk())
    elif isinstance(method, ExchangeBind):
        check_binding(channel.connection, EXCHANGE, method.destination, method.source, method.routing_key)
        destination = exchange_to_bind(vhost, method.destination)
        source = exchange_to_bind(vhost, method.source)
        bind(vhost, source, destination, method.routing_key, method.arguments)
        if not method.nowait:
            channel.send(ExchangeBindOk())
    elif isinstance(method, ExchangeUnbind):
        check_binding(channel.connection, EXCHANGE, method.destination, method.source, method.routing_key)
        unbind(vhost, method.source, vhost.exchanges.get(method.destination), method.routing_key, method.arguments)
        if not method.nowait:
            channel.send(ExchangeUnbindOk())
    else:
        raise HardError(COMMAND_INVALID, f"unexpected method {method.name}")


def declare(connection: Connection, vhost: VirtualHost, method: ExchangeDeclare) -> None:
    """Declare an exchange, or check that the one there is equivalent (SoftError 406, 403, 404)."""
    name = method.exchange.replace("\r", "").replace("\n", "")
    if method.passive:
        check_not_default(name)
        check_any_access(connection, EXCHANGE, name)
        vhost.exchange(name)
        return
    if not is_known(method.type_):
        raise SoftError(PRECONDITION_FAILED, f"unknown exchange type '{method.type_}'")
    check_not_default(name)
    check_access(connection, CONFIGURE, EXCHANGE, name)
    existing = vhost.exchanges.get(name)
    if existing is not None:
        check_equivalent(connection.broker.redeclare, vhost, existing, method)
        return
    check_name_not_reserved("exchange", name)
    check_exchange(name, vhost, connection.broker)
    alternate = method.arguments.get("alternate-exchange")
    if alternate is not None and alternate.kind != "S":
        raise SoftError(
            PRECONDITION_FAILED,
            f"invalid type '{TYPE_NAMES[alternate.kind]}' for arg 'alternate-exchange' "
            f"in exchange '{name}' in vhost '{vhost.name}'",
        )
    check_deduplication_arguments(method.arguments, f"exchange '{name}' in vhost '{vhost.name}'")
    if alternate is not None:
        check_access(connection, READ, EXCHANGE, name)
        check_access(connection, WRITE, EXCHANGE, str(alternate.value))
    exchange = make_exchange(method.type_, name, method.durable, method.auto_delete, method.internal, method.arguments)
    exchange.validate_arguments()
    vhost.add_exchange(exchange)


def check_equivalent(mode: str, vhost: VirtualHost, existing: Exchange, method: ExchangeDeclare) -> None:
    """SoftError 406 if a redeclare differs in type, durable, auto_delete, internal or EXCHANGE_ARGUMENTS."""
    what = f"exchange '{existing.name}' in vhost '{vhost.name}'"
    properties = [
        Property("type", existing.type_name, method.type_, True),
        flag("durable", existing.durable, method.durable, existing.durable),
        flag("auto_delete", existing.auto_delete, method.auto_delete, not existing.auto_delete),
        flag("internal", existing.internal, method.internal, not existing.internal),
    ]
    check_redeclared(mode, existing, properties, (existing.arguments, method.arguments), EXCHANGE_ARGUMENTS, what)


def delete(connection: Connection, vhost: VirtualHost, method: ExchangeDelete) -> None:
    """Delete an exchange; a missing one is fine. SoftError 403 for the broker's own, 406 if in use."""
    name = method.exchange.replace("\r", "").replace("\n", "")
    check_not_default(name)
    if name.startswith("amq."):
        raise SoftError(ACCESS_REFUSED, f"deletion of system exchange '{name}' in vhost '{vhost.name}' not allowed")
    check_access(connection, CONFIGURE, EXCHANGE, name)
    exchange = vhost.exchanges.get(name)
    if exchange is None:
        return
    if method.if_unused and exchange.bindings:
        raise SoftError(PRECONDITION_FAILED, f"exchange '{name}' in vhost '{vhost.name}' in use")
    vhost.delete_exchange(exchange)


def check_not_default(name: str) -> None:
    """SoftError 403 for the default exchange, which can't be declared, deleted or bound."""
    if name == "":
        raise SoftError(ACCESS_REFUSED, "operation not permitted on the default exchange")


def exchange_to_bind(vhost: VirtualHost, name: str) -> Exchange:
    """An exchange that takes part in a binding."""
    check_not_default(name)
    exchange = vhost.exchanges.get(name)
    if exchange is None:
        raise SoftError(NOT_FOUND, f"no exchange '{name}' in vhost '{vhost.name}'")
    return exchange


def check_binding(connection: Connection, kind: str, destination: str, source: str, routing_key: str) -> None:
    """SoftError 403 unless the user may write to the destination, and read from the source with that key.

    The default exchange is neither, for nobody.
    """
    check_access(connection, WRITE, kind, destination)
    if kind == EXCHANGE:
        check_not_default(destination)
    check_not_default(source)
    check_access(connection, READ, EXCHANGE, source)
    exchange = connection.vhost_opened().exchanges.get(source)
    if exchange is not None:
        check_topic(connection, READ, exchange, routing_key)


def bind(vhost: VirtualHost, source: Exchange, destination: Destination, key: str, arguments: Table) -> None:
    """Add a binding; the same one again changes nothing."""
    binding = Binding(source, destination, key, arguments)
    if vhost.add_binding(binding) and isinstance(source, RecentHistoryExchange):
        deliver_history(vhost, source, destination)


def unbind(vhost: VirtualHost, source_name: str, destination: Destination | None, key: str, arguments: Table) -> None:
    """Remove a binding; a missing one is fine, and so is a missing source or destination."""
    check_not_default(source_name)
    source = vhost.exchanges.get(source_name)
    if source is None or destination is None:
        return
    binding = source.bindings.get(Binding(source, destination, key, arguments).identity)
    if binding is not None:
        vhost.remove_binding(binding)
