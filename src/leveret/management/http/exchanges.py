"""`/exchanges`: the exchanges, their declaration and deletion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from leveret.amqp.methods import ExchangeDeclare, ExchangeDelete
from leveret.broker import exchange_methods
from leveret.broker.exchange.base import Exchange
from leveret.management.http.access import user_of_vhost
from leveret.management.http.bodies import flag, short_text, text
from leveret.management.http.call import Call
from leveret.management.http.errors import object_not_found
from leveret.management.http.lists import ABSENT, List, ListColumns
from leveret.management.http.resource import Resource
from leveret.management.http.session import session
from leveret.management.http.statistics import check_ranges, message_stats
from leveret.management.http.tables import plain_table, table_of


class Placed:
    """An exchange with its virtual host, which it doesn't know itself."""

    def __init__(self, vhost: str, exchange: Exchange) -> None:
        self.vhost: Final = vhost
        self.exchange: Final = exchange


def messages_delayed(exchange: Exchange) -> object:
    """How many messages an exchange holds back, absent for one that never did."""
    return ABSENT if exchange.delay_queue is None else exchange.delay_queue.ready_count()


COLUMNS: Final[ListColumns[Placed]] = {
    "arguments": lambda item, broker: plain_table(item.exchange.arguments),
    "auto_delete": lambda item, broker: item.exchange.auto_delete,
    "durable": lambda item, broker: item.exchange.durable,
    "internal": lambda item, broker: item.exchange.internal,
    "messages_delayed": lambda item, broker: messages_delayed(item.exchange),
    "name": lambda item, broker: item.exchange.name,
    "policy": lambda item, broker: ABSENT if item.exchange.policy is None else item.exchange.policy.name,
    "type": lambda item, broker: item.exchange.type_name,
    "vhost": lambda item, broker: item.vhost,
}


def listed(call: Call) -> List[Placed]:
    """The list that a call asks for."""
    check_ranges(call.query)
    return List({**COLUMNS, "message_stats": lambda item, broker: message_stats(call, item.exchange)})


def exchanges_of(call: Call) -> Iterator[Placed]:
    """The exchanges that a call lists."""
    for vhost in call.vhosts():
        for exchange in list(vhost.exchanges.values()):
            if not exchange.deleted:
                yield Placed(vhost.name, exchange)


async def list_exchanges(call: Call) -> object:
    """The exchanges of a virtual host, or of all that the user may use."""
    return await listed(call).answer(call, exchanges_of(call))


def find_exchange(call: Call) -> Exchange | None:
    """The exchange that is named, if it is there."""
    vhost = call.find_vhost()
    return None if vhost is None else vhost.exchanges.get(call.argument("exchange"))


def exchange_exists(call: Call) -> bool:
    """Whether the exchange that is named is there."""
    return find_exchange(call) is not None


def exchange_of(call: Call) -> Exchange:
    """The exchange that is named; Refused with 404 if it is not there."""
    exchange = find_exchange(call)
    if exchange is None:
        raise object_not_found()
    return exchange


async def get_exchange(call: Call) -> object:
    """One exchange."""
    row = listed(call).row(Placed(call.vhost().name, exchange_of(call)), call.broker)
    return {**row, "incoming": [], "outgoing": []}  # by channel and queue, which RabbitMQ shows with detailed rates


async def put_exchange(call: Call) -> None:
    """Declare an exchange."""
    vhost = call.vhost_to_change()
    body = await call.json()
    declare = ExchangeDeclare(
        short_text(call.argument("exchange")),
        text(body, "type", "direct"),
        durable=flag(body, "durable"),
        auto_delete=flag(body, "auto_delete"),
        internal=flag(body, "internal"),
        nowait=True,
        arguments=table_of(body.get("arguments", {})),
    )
    with session(call, vhost) as opened:
        exchange_methods.handle(opened.channel, declare)
    await call.committed()


async def delete_exchange(call: Call) -> None:
    """Delete an exchange, if it is as unused as is asked for."""
    method = ExchangeDelete(exchange_of(call).name, call.is_set("if-unused"), True)
    with session(call, call.vhost_to_change()) as opened:
        exchange_methods.handle(opened.channel, method)
    await call.committed()


RESOURCES: Final = (
    Resource("/exchanges", user_of_vhost, get=list_exchanges),
    Resource("/exchanges/{vhost}", user_of_vhost, get=list_exchanges),
    Resource(
        "/exchanges/{vhost}/{exchange}",
        user_of_vhost,
        exchange_exists,
        get=get_exchange,
        put=put_exchange,
        delete=delete_exchange,
    ),
)
