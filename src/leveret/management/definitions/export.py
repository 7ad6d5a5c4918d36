"""Definitions as JSON text, in the shape of RabbitMQ 4's `GET /api/definitions`.

The text comes in pieces, one for each object, so that whoever writes it can let the broker work in between. Left out is
what can't be declared again: what is the broker's own (`amq.`), and exclusive queues with their bindings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from leveret.amqp.field_table import FieldValue
from leveret.amqp.text import well_formed
from leveret.broker.arguments import effective_type
from leveret.broker.broker import PRODUCT_VERSION, Broker
from leveret.broker.queue import Queue
from leveret.broker.users import User
from leveret.broker.vhost import VirtualHost
from leveret.management.definitions.arguments import json_of
from leveret.management.parameters import parameters, policy_value

Object: TypeAlias = dict[str, object]
OfVirtualHost: TypeAlias = Callable[[Broker, VirtualHost], Iterator[Object]]

INTERNAL: Final = ("internal", "imported_definition_hash_value")  # how names of global parameters begin that stay here
RESERVED: Final = "amq."


def exported(broker: Broker, vhost: str | None = None) -> Iterator[str]:
    """The text of all definitions, or of those of one virtual host. Raises NoSuchVirtualHost at once."""
    if vhost is None:
        return pieces(heading_of_all(broker), broker, None)
    found = broker.vhost(vhost)
    return pieces(heading_of_vhost(broker, found), broker, found)


def heading_of_all(broker: Broker) -> Object:
    """What stands before the definitions of a broker."""
    name = broker.parameters.cluster_name()
    return {
        **versions(broker),
        "rabbitmq_definition_format": "cluster",
        "original_cluster_name": name,
        "explanation": f"Definitions of cluster '{name}'",
    }


def heading_of_vhost(broker: Broker, vhost: VirtualHost) -> Object:
    """What stands before the definitions of a virtual host."""
    return {
        **versions(broker),
        "rabbitmq_definition_format": "single_virtual_host",
        "original_vhost_name": vhost.name,
        "explanation": f"Definitions of virtual host '{vhost.name}'",
        "metadata": metadata(vhost),
        "description": vhost.description,
        "limits": dict(vhost.usage.limits),
    }


def versions(broker: Broker) -> Object:
    """Whose definitions these are: tools look at the version of RabbitMQ."""
    return {
        "rabbit_version": PRODUCT_VERSION,
        "rabbitmq_version": PRODUCT_VERSION,
        "product_name": "Leveret",
        "product_version": broker.version,
    }


def pieces(heading: Object, broker: Broker, only: VirtualHost | None) -> Iterator[str]:
    """The pieces of the text: what stands before, then each category with its objects."""
    yield encoded(heading)[:-1]
    if only is None:
        for name, of_broker in OF_BROKER.items():
            yield from category(name, of_broker(broker))
    for name, of_vhost in OF_VHOST.items():
        if only is None:
            yield from category(name, of_vhosts(of_vhost, broker))
        else:
            yield from category(name, map(without_vhost, of_vhost(broker, only)))
    yield "}"


def of_vhosts(of_vhost: OfVirtualHost, broker: Broker) -> Iterator[Object]:
    """The objects of one category in all virtual hosts."""
    for vhost in list(broker.vhosts.values()):
        yield from of_vhost(broker, vhost)


def category(name: str, objects: Iterator[Object]) -> Iterator[str]:
    """One category, which is not the first."""
    yield f',"{name}":['
    separator = ""
    for each in objects:
        yield separator + encoded(each)
        separator = ","
    yield "]"


def encoded(value: object) -> str:
    """A value as JSON, in which octets that are not UTF-8 are lost, as in RabbitMQ's."""
    return well_formed(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def without_vhost(each: Object) -> Object:
    """An object of a file for one virtual host, in which its name is not repeated."""
    return {name: value for name, value in each.items() if name != "vhost"}


# of the broker


def users(broker: Broker) -> Iterator[Object]:
    """Every user, with the hash of the password."""
    for user in broker.users.all():
        yield user_definition(user)


def user_definition(user: User) -> Object:
    """A user as definitions have them."""
    return {
        "name": user.name,
        "password_hash": user.password_hash,
        "hashing_algorithm": user.hashing_algorithm,
        "tags": list(user.tags),
        "limits": dict(user.usage.limits),
    }


def vhosts(broker: Broker) -> Iterator[Object]:
    """Every virtual host."""
    for vhost in list(broker.vhosts.values()):
        yield {
            "name": vhost.name,
            "description": vhost.description,
            "tags": list(vhost.tags),
            "metadata": metadata(vhost),
            "limits": dict(vhost.usage.limits) or [],  # as RabbitMQ has it
        }


def metadata(vhost: VirtualHost) -> Object:
    """What is said of a virtual host."""
    said: Object = {"description": vhost.description, "tags": list(vhost.tags)}
    if vhost.default_queue_type:
        said["default_queue_type"] = vhost.default_queue_type
    if vhost.protected:
        said["protected_from_deletion"] = True
    return said


def permissions(broker: Broker) -> Iterator[Object]:
    """Every permission."""
    for each in broker.permissions.all():
        yield {
            "user": each.user,
            "vhost": each.vhost,
            "configure": each.configure,
            "write": each.write,
            "read": each.read,
        }


def topic_permissions(broker: Broker) -> Iterator[Object]:
    """Every topic permission."""
    for each in broker.permissions.all_topics():
        yield {
            "user": each.user,
            "vhost": each.vhost,
            "exchange": each.exchange,
            "write": each.write,
            "read": each.read,
        }


def global_parameters(broker: Broker) -> Iterator[Object]:
    """The global parameters that mean something elsewhere."""
    for name, value in broker.parameters.all_global().items():
        if not name.startswith(INTERNAL):
            yield {"name": name, "value": value}


OF_BROKER: Final[dict[str, Callable[[Broker], Iterator[Object]]]] = {
    "users": users,
    "vhosts": vhosts,
    "permissions": permissions,
    "topic_permissions": topic_permissions,
    "global_parameters": global_parameters,
}


# of a virtual host


def parameters_of(broker: Broker, vhost: VirtualHost) -> Iterator[Object]:
    """The parameters of a virtual host, its limits and operator policies among them."""
    for each in parameters(broker, vhost.name):
        yield {"value": each.value, "vhost": each.vhost, "component": each.component, "name": each.name}


def policies(_broker: Broker, vhost: VirtualHost) -> Iterator[Object]:
    """The policies of a virtual host."""
    for policy in vhost.policies.listed(operator=False):
        yield {"vhost": vhost.name, "name": policy.name, **policy_value(policy)}


def exchanges(_broker: Broker, vhost: VirtualHost) -> Iterator[Object]:
    """The exchanges that somebody declared."""
    for exchange in list(vhost.exchanges.values()):
        if exchange.name and not exchange.name.startswith(RESERVED) and not exchange.deleted:
            yield {
                "name": exchange.name,
                "vhost": vhost.name,
                "type": exchange.type_name,
                "durable": exchange.durable,
                "auto_delete": exchange.auto_delete,
                "internal": exchange.internal,
                "arguments": json_of(exchange.arguments),
            }


def queues(_broker: Broker, vhost: VirtualHost) -> Iterator[Object]:
    """The queues that are nobody's own. Each says its type, as in RabbitMQ 4: it would depend on where it is read."""
    for queue in list(vhost.queues.values()):
        if queue.owner is None and not queue.deleted:
            queue_type = effective_type(queue.arguments.get("x-queue-type"))
            yield {
                "name": queue.name,
                "vhost": vhost.name,
                "type": queue_type,
                "durable": queue.durable,
                "auto_delete": queue.auto_delete,
                "arguments": json_of({**queue.arguments, "x-queue-type": FieldValue("S", queue_type)}),
            }


def bindings(_broker: Broker, vhost: VirtualHost) -> Iterator[Object]:
    """The bindings that somebody made, but for those to exclusive queues."""
    for exchange in list(vhost.exchanges.values()):
        for binding in list(exchange.bindings.values()):
            destination = binding.destination
            if isinstance(destination, Queue) and destination.owner is not None:
                continue
            yield {
                "source": exchange.name,
                "vhost": vhost.name,
                "destination": destination.name,
                "destination_type": destination.kind,
                "routing_key": binding.routing_key,
                "arguments": json_of(binding.arguments),
            }


OF_VHOST: Final[dict[str, OfVirtualHost]] = {
    "parameters": parameters_of,
    "policies": policies,
    "queues": queues,
    "exchanges": exchanges,
    "bindings": bindings,
}
