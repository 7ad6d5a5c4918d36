"""The exchanges x-random and x-local-random: each message to one of the bindings at random, each as likely.

x-local-random is RabbitMQ 4's, where it avoids a way through the cluster; on one node every queue is local, so that
only its rules for bindings are left.
"""

from __future__ import annotations

import random

from leveret.amqp.reply_codes import PRECONDITION_FAILED, SoftError
from leveret.broker.binding import Binding
from leveret.broker.exchange.one_of_all import OneOfAllExchange


class RandomExchange(OneOfAllExchange):
    """Routes to one binding at random."""

    type_name = "x-random"
    routes_each_message = True

    def choose(self, routing_key: str, count: int) -> int:
        return int(random.random() * count)


class LocalRandomExchange(RandomExchange):
    """Routes to one binding at random; only queues can be bound, without a binding key."""

    type_name = "x-local-random"

    def validate(self, binding: Binding) -> None:
        if binding.routing_key:
            raise SoftError(PRECONDITION_FAILED, f"Non empty binding '{binding.routing_key}' key not permitted")
        if binding.destination.kind != "queue":
            raise SoftError(PRECONDITION_FAILED, "Destination not found")
