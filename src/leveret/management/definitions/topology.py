"""Exchanges, queues and bindings of a definitions file. Those that are there stay as they are."""

from __future__ import annotations

from typing import Final

from leveret.amqp.field_table import FieldValue, Table
from leveret.amqp.methods import QueueDeclare
from leveret.amqp.reply_codes import AMQPError
from leveret.broker.binding import Binding, Destination
from leveret.broker.broker import Broker
from leveret.broker.exchange.base import Exchange
from leveret.broker.exchange.types import TYPES, make_exchange
from leveret.broker.exchange_methods import bind
from leveret.broker.queue_arguments import check_queue_arguments, check_quorum_properties, is_quorum
from leveret.broker.queue_methods import add_default_type
from leveret.broker.vhost import VirtualHost
from leveret.management.definitions.arguments import InvalidArgument, canonical, table_of
from leveret.management.definitions.steps import Fields, Outlook, Step

RESERVED: Final = "amq."
STREAM: Final = "stream"
QUEUE: Final = "queue"
EXCHANGE: Final = "exchange"


class Declared(Step):
    """An exchange or a queue."""

    def __init__(self, fields: Fields, kind: str) -> None:
        super().__init__(fields)
        self.kind: Final = kind
        self.vhost: Final = fields.vhost_name()
        self.name: Final = fields.short_text("name")
        fields.what = f"{kind} '{self.name}' in vhost '{self.vhost}'"
        self.durable: Final = fields.flag("durable", True)
        self.auto_delete: Final = fields.flag("auto_delete", False)
        self.arguments: Final = arguments_of(fields)

    def found(self, broker: Broker) -> VirtualHost:
        """The virtual host."""
        return vhost_of(broker, self.vhost, self.fields)


class ExchangeStep(Declared):
    """An exchange."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields, EXCHANGE)
        self.type: Final = fields.text("type")
        self.internal: Final = fields.flag("internal", False)

    def check(self, outlook: Outlook) -> bool:
        outlook.check_vhost(self.fields, self.vhost)
        if self.name == "" or self.name.startswith(RESERVED) or outlook.has_exchange(self.vhost, self.name):
            return False
        if self.type not in TYPES:
            raise self.fields.wrong(f"unknown exchange type '{self.type}'")
        alternate = self.arguments.get("alternate-exchange")
        if alternate is not None and alternate.kind != "S":
            raise self.fields.wrong("alternate-exchange is not a string")
        try:
            self._made().validate_arguments()
        except AMQPError as error:
            raise self.fields.wrong(error.explanation) from None
        outlook.exchanges[self.vhost, self.name] = self.type
        return True

    def apply(self, broker: Broker) -> bool:
        vhost = self.found(broker)
        if self.name in vhost.exchanges:
            return False
        vhost.add_exchange(self._made())
        return True

    def _made(self) -> Exchange:
        return make_exchange(self.type, self.name, self.durable, self.auto_delete, self.internal, self.arguments)


class QueueStep(Declared):
    """A queue. It is nobody's own: who had it to themselves elsewhere is not here."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields, QUEUE)
        queue_type = fields.text("type", "")
        if queue_type and "x-queue-type" not in self.arguments:
            self.arguments["x-queue-type"] = FieldValue("S", queue_type)

    def check(self, outlook: Outlook) -> bool:
        outlook.check_vhost(self.fields, self.vhost)
        if outlook.has_queue(self.vhost, self.name):
            return False
        if self.name == "" or self.name.startswith(RESERVED):
            outlook.leave_out(QUEUE, self.vhost, self.name, f"names that begin with {RESERVED} are the broker's own")
            return False
        queue_type = self.arguments.get("x-queue-type")
        if queue_type is not None and queue_type.value == STREAM:
            outlook.leave_out(QUEUE, self.vhost, self.name, "there are no streams")
            return False
        try:
            check_queue_arguments(self.arguments, self.fields.what)
            if is_quorum(self.arguments):
                check_quorum_properties(self.durable, False, self.auto_delete, self.fields.what)
        except AMQPError as error:
            raise self.fields.wrong(error.explanation) from None
        outlook.queues.add((self.vhost, self.name))
        return True

    def apply(self, broker: Broker) -> bool:
        vhost = self.found(broker)
        if self.name in vhost.queues:
            return False
        declare = QueueDeclare(
            queue=self.name, durable=self.durable, auto_delete=self.auto_delete, arguments=self.arguments
        )
        add_default_type(vhost, broker.defaults.queue_type, declare)
        vhost.add_queue(vhost.new_queue(self.name, self.durable, self.auto_delete, None, declare.arguments))
        return True


class BindingStep(Step):
    """A binding."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields)
        self.vhost: Final = fields.vhost_name()
        self.source: Final = fields.short_text("source")
        self.destination: Final = fields.short_text("destination")
        self.kind: Final = fields.text("destination_type", QUEUE)
        fields.what = f"binding of {self.kind} '{self.destination}' to exchange '{self.source}' in vhost '{self.vhost}'"
        self.routing_key: Final = fields.short_text("routing_key")
        self.arguments: Final = arguments_of(fields)
        if self.kind not in (QUEUE, EXCHANGE):
            raise fields.wrong(f"destination_type is neither {QUEUE} nor {EXCHANGE}")

    def check(self, outlook: Outlook) -> bool:
        outlook.check_vhost(self.fields, self.vhost)
        if self.source == "":
            return False  # every queue is bound to the default exchange
        for kind, name in ((EXCHANGE, self.source), (self.kind, self.destination)):
            has = outlook.has_queue if kind == QUEUE else outlook.has_exchange
            if (kind, self.vhost, name) in outlook.left_out:
                outlook.warnings.append(f"{self.fields.what} is left out with the {kind}")
                return False
            if not has(self.vhost, name):
                raise self.fields.wrong(f"there is no {kind} '{name}'")
        return True

    def apply(self, broker: Broker) -> bool:
        vhost = vhost_of(broker, self.vhost, self.fields)
        source = vhost.exchanges.get(self.source)
        destination = (
            vhost.queues.get(self.destination) if self.kind == QUEUE else vhost.exchanges.get(self.destination)
        )
        if source is None or destination is None:
            raise self.fields.wrong("an end of it was deleted meanwhile")
        binding = Binding(source, destination, self.routing_key, self.arguments)
        if binding.identity in source.bindings or is_bound_alike(binding, destination):
            return False
        try:
            bind(vhost, source, destination, self.routing_key, self.arguments)
        except AMQPError as error:
            raise self.fields.wrong(error.explanation) from None
        return True


def is_bound_alike(binding: Binding, destination: Destination) -> bool:
    """Whether there is a binding of which the same would be exported: JSON does not tell how long a number is."""
    if not any(field.kind != "S" for field in binding.arguments.values()):
        return False
    wanted = canonical(binding.arguments)
    return any(
        there.source is binding.source
        and there.routing_key == binding.routing_key
        and canonical(there.arguments) == wanted
        for there in destination.bindings_to
    )


def arguments_of(fields: Fields) -> Table:
    """The arguments of an object."""
    try:
        return table_of(fields.object("arguments"))
    except InvalidArgument as error:
        raise fields.wrong(str(error)) from None


def vhost_of(broker: Broker, name: str, fields: Fields) -> VirtualHost:
    """The virtual host that something is to be in."""
    vhost = broker.vhosts.get(name)
    if vhost is None:
        raise fields.wrong("the virtual host was deleted meanwhile")
    return vhost
