"""`/health/checks`, and the older checks that probes still ask for: 200 if all is well, 503 with a reason if not."""

from __future__ import annotations

from asyncio import to_thread
from typing import Final

from leveret.amqp.frame import content_frames
from leveret.amqp.methods import BasicPublish, QueueDeclare
from leveret.amqp.properties import BasicProperties, encode_content_header
from leveret.broker import queue_methods
from leveret.broker.limits import FRAME_MAX, reached
from leveret.broker.publishing import publish
from leveret.broker.routing import find_route
from leveret.management.certificate_expiration import expiring_listeners
from leveret.management.http.access import user_of_vhost
from leveret.management.http.answers import Answer, of_json
from leveret.management.http.call import Call
from leveret.management.http.errors import bad_request
from leveret.management.http.listeners import listeners
from leveret.management.http.nodes import node_exists
from leveret.management.http.resource import Handler, Resource
from leveret.management.http.session import CHANNEL, session, vhost_to_enter
from leveret.management.http.vhosts import vhost_exists
from leveret.management.node import Node
from leveret.management.periods import SECONDS

TEST_QUEUE: Final = "aliveness-test"
TEST_MESSAGE: Final = b"test_message"
# What RabbitMQ calls its protocols elsewhere, and what they are called here.
PROTOCOLS: Final = {
    "amqp091": "amqp",
    "amqp1.0": "amqp",
    "amqps": "amqp/ssl",
    "amqp0.9.1": "amqp",
    "amqp_ssl": "amqp/ssl",
    "https": "https",
    "management": "http",
}


def passed(**more: object) -> Answer:
    """All is well."""
    return of_json({"status": "ok", **more})


def failed(reason: str, **more: object) -> Answer:
    """Something is wrong."""
    return of_json({"status": "failed", "reason": reason, **more}, 503)


def alarms(place: str) -> Handler:
    """Whether no alarm is on, in the words for a cluster or a node."""

    async def check(call: Call) -> object:
        found = [{"node": call.broker.node, "resource": name} for name in sorted(call.broker.alarms.active)]
        return failed(f"There are alarms in effect {place}", alarms=found) if found else passed()

    return check


async def healthy(_call: Call) -> object:
    """What can't be otherwise if somebody is told."""
    return passed()


async def single_node(_call: Call) -> object:
    """No node is critical where there is only one."""
    return passed(reason="single node cluster")


async def port_listener(call: Call) -> object:
    """Whether somebody listens on a port."""
    text = call.argument("port")
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise bad_request("Invalid port")
    ports = [listener["port"] for listener in listeners(call.node)]
    if int(text) in ports:
        return passed(port=int(text))
    return failed("No active listener", missing=int(text), ports=list(dict.fromkeys(ports)))


async def protocol_listener(call: Call) -> object:
    """Whether somebody listens for a protocol, or for each of several."""
    asked = call.argument("protocols").split(",")
    found = list(dict.fromkeys(str(listener["protocol"]) for listener in listeners(call.node)))
    missing = [name for name in asked if PROTOCOLS.get(name.lower(), name.lower()) not in found]
    if missing:
        return failed("No active listener", missing=",".join(missing), protocols=found)
    return passed(protocol=call.argument("protocols"))


async def certificate_expiration(call: Call) -> object:
    """Whether the certificates of every listener with TLS will still be valid after so long."""
    within, unit = call.argument("within"), call.argument("unit").lower()
    if not (within.isascii() and within.isdigit() and len(within) < 7):
        raise bad_request("Invalid expiration value.")
    if unit not in SECONDS:
        raise bad_request(f"Time unit not recognised. Supported units: {', '.join(SECONDS)}.")
    seconds = int(within) * SECONDS[unit]
    found = await to_thread(expiring_listeners, call.broker.node, call.node.certificate_files, seconds)
    for listener in found:
        del listener["purpose"]  # which only leveretctl shows
    return failed("Certificates expiring", expired=found) if found else passed()


async def in_service(call: Call) -> object:
    """Whether the node is not in maintenance."""
    if call.broker.under_maintenance:
        return failed("this rabbit node is not currently available to serve")
    return passed()


async def below_connection_limit(call: Call) -> object:
    """Whether the node may have another connection."""
    return connection_limit(call.node) or passed()


def connection_limit(node: Node) -> Answer | None:
    """The failure of a node that may have no other connection."""
    connections = int(node.broker.usage.connections)
    if reached(connections, node.broker.limits.connection_max):
        return failed("node connection limit is reached", connections=connections)
    return None


async def ready_to_serve(call: Call) -> object:
    """Whether clients may come."""
    if call.broker.under_maintenance:
        return failed("the rabbit node is not currently available to serve")
    if not any(str(listener["protocol"]).startswith("amqp") for listener in listeners(call.node)):
        return failed("no active listeners for AMQP/AMQPS")
    return connection_limit(call.node) or passed()


async def metadata_store(call: Call) -> object:
    """Whether there is anything in the definitions."""
    if call.broker.vhosts and call.broker.users.all():
        return passed()
    return failed("Metadata store has not yet been initialized: has no users and/or virtual hosts")


async def aliveness(call: Call) -> object:
    """Declare a queue, publish to it and get the message, as the user."""
    with session(call, vhost_to_enter(call)) as opened:
        channel = opened.channel
        queue_methods.declare(channel, opened.vhost, QueueDeclare(TEST_QUEUE, nowait=True))
        header = encode_content_header(len(TEST_MESSAGE), BasicProperties())
        route = find_route(channel.connection, BasicPublish("", TEST_QUEUE))
        publish(channel, route, content_frames(CHANNEL, header, TEST_MESSAGE, FRAME_MAX))
        taken = opened.vhost.queue(TEST_QUEUE).fetch(True)
    if taken is None:
        return failed("no message was received")
    return passed()


def check(path: str, handler: Handler, public: bool = False) -> Resource:
    """A check; RabbitMQ's newer ones are for everybody."""
    return Resource(f"/health/checks/{path}", get=handler, public=public)


RESOURCES: Final = (
    check("alarms", alarms("in the cluster")),
    check("local-alarms", alarms("on the node")),
    check("virtual-hosts", healthy),
    check("port-listener/{port}", port_listener),
    check("protocol-listener/{protocols}", protocol_listener),
    check("certificate-expiration/{within}/{unit}", certificate_expiration),
    check("node-is-mirror-sync-critical", single_node),
    check("node-is-quorum-critical", single_node),
    check("is-in-service", in_service, public=True),
    check("ready-to-serve-clients", ready_to_serve, public=True),
    check("below-node-connection-limit", below_connection_limit, public=True),
    check("reached-target-cluster-size", healthy, public=True),
    check("metadata-store/initialized", healthy),
    check("metadata-store/initialized/with-data", metadata_store),
    check("quorum-queues-without-elected-leaders/all-vhosts", healthy),
    check("quorum-queues-without-elected-leaders/all-vhosts/pattern/{pattern}", healthy),
    check("quorum-queues-without-elected-leaders/vhost/{vhost}", healthy),
    check("quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}", healthy),
    Resource("/aliveness-test/{vhost}", user_of_vhost, vhost_exists, get=aliveness),
    Resource("/healthchecks/node", get=alarms("on the node")),
    Resource("/healthchecks/node/{node}", exists=node_exists, get=alarms("on the node")),
)
