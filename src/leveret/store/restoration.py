"""From the definitions that were kept to what a broker that starts has: exchanges, queues, policies and so on.

A row that makes no sense, by damage or another's hand, does not stop the start: it is left out, and the log says so.
But what may hold messages is kept.
"""

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
from leveret.broker.pausing import keep_paused
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
    restore_vhosts(broker, loaded)
    restore_access(broker, loaded)
    of_vhosts = {name: values for name, values in loaded.parameters.items() if name in broker.vhosts}
    broker.parameters.restore(of_vhosts, loaded.global_parameters)
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
        queue.user = definition.user
        if definition.paused:
            keep_paused(queue)
        vhost.queues[queue.name] = queue
        queues[definition.id] = queue
    for binding in loaded.bindings:
        if binding.vhost in broker.vhosts:
            restore_binding(broker.vhosts[binding.vhost], binding)
    restore_policies(broker, loaded)
    restore_limits(broker, loaded)
    return queues


def restore_vhosts(broker: Broker, loaded: LoadedDefinitions) -> None:
    """Make the virtual hosts again, also one of which only exchanges or queues are left.

    Of what else is left of others the store is told to forget it, or it would be there again with a new virtual host of
    that name.
    """
    broker.vhosts.clear()
    for described in loaded.vhosts:
        broker.vhosts[described.name] = broker.new_vhost(
            described.name, described.description, described.tags, described.default_queue_type, described.protected
        )
    holding = {exchange.vhost for exchange in loaded.exchanges} | {queue.vhost for queue in loaded.queues}
    for name in sorted(holding - broker.vhosts.keys()):
        log.error("vhost '%s' is not defined, but exchanges or queues in it are: it is made again", name)
        broker.vhosts[name] = broker.new_vhost(name)
        broker.store.vhost_set(broker.vhosts[name])
    others = loaded.vhost_limits.keys() | loaded.parameters.keys()
    others |= {binding.vhost for binding in loaded.bindings} | {policy.vhost for policy in loaded.policies}
    others |= {permission.vhost for permission in loaded.permissions}
    others |= {permission.vhost for permission in loaded.topic_permissions}
    for name in sorted(others - broker.vhosts.keys()):
        log.error("vhost '%s' is not defined: its policies, limits, permissions and so on are deleted", name)
        broker.store.vhost_deleted(name, [])


def restore_access(broker: Broker, loaded: LoadedDefinitions) -> None:
    """Give the broker its users and permissions again. Permissions and limits of users that are gone are forgotten."""
    broker.users.restore(loaded.users)
    users = {user.name for user in loaded.users}
    permissions = [each for each in loaded.permissions if each.user in users and each.vhost in broker.vhosts]
    topics = [each for each in loaded.topic_permissions if each.user in users and each.vhost in broker.vhosts]
    broker.permissions.restore(permissions, topics)
    others = {permission.user for permission in loaded.permissions} | loaded.user_limits.keys()
    others |= {permission.user for permission in loaded.topic_permissions}
    for name in sorted(others - users):
        log.error("user '%s' is not defined: their permissions and limits are deleted", name)
        broker.store.user_deleted(name)


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
        if policy.vhost not in broker.vhosts:
            continue
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
        if name in broker.vhosts:
            broker.vhosts[name].usage.limits = limits
    for name, limits in loaded.user_limits.items():
        broker.users.usage(name).limits = limits
