"""What all exchange types share: attributes, the table of bindings, and what a type has to say about routing.

A type keeps its own index of the bindings, told of each by `index` and `unindex`; `match` appends the destinations
of a message to `found`, in any order and possibly more than once: the virtual host removes repetitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from leveret.amqp.field_table import Table
from leveret.amqp.properties import BasicProperties
from leveret.broker.binding import Binding, Destination
from leveret.broker.deduplication import exchange_identifiers
from leveret.broker.message import Message

if TYPE_CHECKING:
    from leveret.broker.delay_queue import DelayQueue
    from leveret.broker.policy import Policy

DELAYED_MESSAGE: Final = "x-delayed-message"  # the exchange type; how it routes is told by an argument


class Exchange(Destination):
    """An exchange of any type. `type_name` is AMQP's name of the type.

    Whether it `delays` messages with x-delay is a matter of its own (`broker.delay_queue`).
    """

    type_name = ""
    routes_each_message = False  # whether more than the routing key decides, so that no route can be cached
    goes_to_one = False  # whether a message goes to one destination at most, also if it has several routing keys

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, "exchange", durable)
        self.auto_delete: Final = auto_delete
        self.internal: Final = internal
        self.arguments: Final = arguments
        self.policy: Policy | None = None
        self.operator_policy: Policy | None = None
        self.alternate: str | None = None
        self.bindings: dict[tuple[str, str, str, bytes], Binding] = {}
        self.deleted = False
        self.delays = False
        self.delay_queue: DelayQueue | None = None  # from the first message on that it delays
        self.identifiers = exchange_identifiers(arguments)  # that came by, if duplicates are to be dropped
        if self.identifiers is not None:
            self.routes_each_message = True
        self.publish_in: i64 = 0  # messages that were published to it
        self.publish_out: i64 = 0  # and how many queues they went to, together
        self.apply({})

    def apply(self, definition: Mapping[str, str | int]) -> None:
        """Act by what the policies of the exchange define, where its arguments leave it to them."""
        argument = self.arguments.get("alternate-exchange")
        alternate = definition.get("alternate-exchange") if argument is None else argument.value
        self.alternate = alternate if isinstance(alternate, str) else None
        delayed = self.arguments.get("x-delayed-exchange")
        self.delays = (
            self.type_name == DELAYED_MESSAGE
            or (delayed is not None and delayed.value is True)
            or definition.get("delayed-message") is True
        )

    def bind(self, binding: Binding) -> bool:
        """Add a binding; False if the same one is there already."""
        if binding.identity in self.bindings:
            return False
        self.validate(binding)
        self.bindings[binding.identity] = binding
        binding.destination.bindings_to[binding] = None
        self.index(binding)
        return True

    def unbind(self, identity: tuple[str, str, str, bytes]) -> Binding | None:
        """Remove a binding; None if there is no such one."""
        binding = self.bindings.pop(identity, None)
        if binding is not None:
            del binding.destination.bindings_to[binding]
            self.unindex(binding)
        return binding

    def validate_arguments(self) -> None:
        """Raise SoftError if this type can't be declared with these arguments."""

    def validate(self, binding: Binding) -> None:
        """Raise SoftError if this type can't take the binding."""

    def index(self, binding: Binding) -> None:
        """A binding was added."""
        raise NotImplementedError

    def unindex(self, binding: Binding) -> None:
        """A binding was removed."""
        raise NotImplementedError

    def match(self, routing_key: str, properties: BasicProperties, found: list[Destination]) -> None:
        """Append every destination that a message with this key and these properties goes to."""
        raise NotImplementedError

    def remember(self, message: Message, properties: BasicProperties) -> None:
        """A message came by; only types that route each message are told."""


class DestinationCount:
    """Destinations of one key, each with the number of bindings that lead to it."""

    def __init__(self) -> None:
        self.counts: dict[Destination, int] = {}

    def add(self, destination: Destination) -> None:
        """One more binding leads there."""
        self.counts[destination] = self.counts.get(destination, 0) + 1

    def remove(self, destination: Destination) -> None:
        """One binding less leads there."""
        left = self.counts[destination] - 1
        if left:
            self.counts[destination] = left
        else:
            del self.counts[destination]
