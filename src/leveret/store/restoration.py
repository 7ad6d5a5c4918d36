"""From the definitions that were kept to what a broker that starts has: exchanges, queues, policies and so on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from leveret.broker.binding import Binding, Destination
from leveret.broker.broker import DEFAULT_DESCRIPTION, Broker
from leveret.broker.defaults import Defaults
from leveret.broker.delay_queue import NAME_PREFIX, DelayQueue
from leveret.broker.exchange.types import is_known, make_exchange
from leveret.broker.parameters import CLUSTER_ID, ID_SIZE, new_cluster_id
from leveret.broker.policy import InvalidPolicy, make_policy
from leveret.broker.queue import Queue
from leveret.broker.vhost import VirtualHost
from leveret.store.definition_changes import Changes
from leveret.store.loaded_definitions import BindingDefinition, LoadedDefinitions, QueueDefinition

log: Final = logging.getLogger("leveret.store")


def first_definitions(defaults: Defaults, random_octets: Callable[[int], bytes]) -> Changes:
    """What a new broker begins with."""
    changes = Changes()
    changes.set_global_parameter(CLUSTER_ID, new_cluster_id(random_octets(ID_SIZE)))
    if not defaults.made:
        return changes
    changes.set_vhost(defaults.vhost, DEFAULT_DESCRIPTION)
    limits = defaults.limits_of(defaults.vhost)
    if limits:
        changes.set_vhost_limits(defaults.vhost, limits)
    for policy in defaults.operator_policies_of(defaults.vhost):
        changes.set_policy(
            defaults.vhost,
            True,
            policy.name,
            policy.pattern.text,
            policy.apply_to,
            policy.told,
            policy.priority,
        )
    users, permissions = defaults.first_users(random_octets)
    for user in users:
        changes.set_user(user)
    for permission in permissions:
        changes.set_permission(permission)
    return changes


def restore_definitions(broker: Broker, loaded: LoadedDefinitions) -> dict[int, Queue]:
    """Make what was defined, and give the queues by their ids."""
    broker.vhosts.clear()
    for described in loaded.vhosts:
        broker.vhosts[described.name] = broker.new_vhost(
            described.name, described.description, described.tags, described.default_queue_type, described.protected
        )
    broker.users.restore(loaded.users)
    broker.permissions.restore(loaded.permissions, loaded.topic_permissions)
    broker.parameters.restore(loaded.parameters, loaded.global_parameters)
    for exchange in loaded.exchanges:
        vhost = broker.vhosts[exchange.vhost]
        if not is_known(exchange.type_name):
            log.error("exchange '%s' is of unknown type '%s' and left out", exchange.name, exchange.type_name)
            continue
        vhost.exchanges[exchange.name] = make_exchange(
            exchange.type_name, exchange.name, True, exchange.auto_delete, exchange.internal, exchange.arguments
        )
    queues: dict[int, Queue] = {}
    for definition in loaded.queues:
        vhost = broker.vhosts[definition.vhost]
        if definition.name.startswith(NAME_PREFIX):
            restore_delay_queue(vhost, definition, queues)
            continue
        queue = Queue(vhost, definition.name, True, definition.auto_delete, None, definition.arguments, definition.id)
        vhost.queues[queue.name] = queue
        queues[definition.id] = queue
    for binding in loaded.bindings:
        restore_binding(broker.vhosts[binding.vhost], binding)
    restore_policies(broker, loaded)
    restore_limits(broker, loaded)
    return queues


def restore_delay_queue(vhost: VirtualHost, definition: QueueDefinition, queues: dict[int, Queue]) -> None:
    """Give an exchange its delay queue again; without the exchange it is left out."""
    exchange = vhost.exchanges.get(definition.name.removeprefix(NAME_PREFIX))
    if exchange is None:
        log.error("the delayed messages in '%s' are left out: their exchange is gone", definition.name)
    else:
        exchange.delay_queue = DelayQueue(vhost, exchange, definition.id)
        queues[definition.id] = exchange.delay_queue


def restore_binding(vhost: VirtualHost, binding: BindingDefinition) -> None:
    """Bind again; a binding whose ends are not there is left out."""
    source = vhost.exchanges.get(binding.source)
    destination: Destination | None = (
        vhost.queues.get(binding.destination)
        if binding.destination_kind == "queue"
        else vhost.exchanges.get(binding.destination)
    )
    if source is None or destination is None:
        log.error("binding of '%s' to '%s' is left out: one of them is gone", binding.destination, binding.source)
    else:
        source.bind(Binding(source, destination, binding.routing_key, binding.arguments))


def restore_policies(broker: Broker, loaded: LoadedDefinitions) -> None:
    """Set the policies again, and apply them; one that this version can't make sense of is left out."""
    for policy in loaded.policies:
        try:
            made = make_policy(
                policy.name,
                policy.pattern,
                policy.apply_to,
                policy.definition,
                policy.priority,
                policy.operator,
                tolerant=True,
            )
        except InvalidPolicy as error:
            log.error("policy '%s' of vhost '%s' is left out: %s", policy.name, policy.vhost, error)
            continue
        broker.vhosts[policy.vhost].policies.restore(made, policy.operator)
    for vhost in broker.vhosts.values():
        for _ in vhost.reapply_policies():
            pass


def restore_limits(broker: Broker, loaded: LoadedDefinitions) -> None:
    """Set the limits of virtual hosts and users again."""
    for name, limits in loaded.vhost_limits.items():
        broker.vhosts[name].usage.limits = limits
    for name, limits in loaded.user_limits.items():
        broker.users.usage(name).limits = limits
