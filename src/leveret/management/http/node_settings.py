"""What the API says of the broker besides its objects: features, versions, configuration, its name, its past.

Whoever comes from RabbitMQ asks whether a feature is enabled; all that hold here are, and can't be turned off.
"""

from __future__ import annotations

from typing import Final

from leveret.broker.broker import PRODUCT_VERSION
from leveret.broker.login import PROTOCOLS
from leveret.broker.parameters import CLUSTER_NAME
from leveret.broker.passwords import SALT, hashed
from leveret.management.features import DEPRECATED, FEATURE_FLAGS, TRANSIENT
from leveret.management.http.access import administrator, monitor
from leveret.management.http.answers import Answer
from leveret.management.http.bodies import text
from leveret.management.http.call import Call
from leveret.management.http.errors import bad_request
from leveret.management.http.nodes import node_exists
from leveret.management.http.resource import Resource

NODE_LIMITS: Final = (
    "connection_max",
    "channel_max",
    "channel_max_per_node",
    "consumer_max_per_channel",
    "cluster_queue_limit",
    "cluster_exchange_limit",
    "vhost_max",
)


async def extensions(_call: Call) -> object:
    """The extensions of the API that a web interface loads."""
    return [{"javascript": "dispatcher.js"}]


async def feature_flags(_call: Call) -> object:
    """All feature flags, which are enabled."""
    return [
        {
            "name": name,
            "desc": description,
            "doc_url": "",
            "state": "enabled",
            "stability": "required",
            "provided_by": "rabbit",
        }
        for name, description in FEATURE_FLAGS.items()
    ]


async def enable_feature_flag(call: Call) -> None:
    """Enable what is enabled."""
    if call.argument("name") not in FEATURE_FLAGS:
        raise bad_request("unsupported")


def flag_exists(_call: Call) -> bool:
    """RabbitMQ answers 204 for every flag that it knows."""
    return True


def deprecated(names: list[str]) -> list[dict[str, object]]:
    """What is said of deprecated features."""
    return [
        {
            "name": name,
            "desc": DEPRECATED[name],
            "deprecation_phase": "permitted_by_default",
            "doc_url": "",
            "state": "permitted",
            "provided_by": "rabbit",
        }
        for name in names
    ]


async def deprecated_features(_call: Call) -> object:
    """What RabbitMQ wants to do without."""
    return deprecated(list(DEPRECATED))


async def deprecated_features_used(call: Call) -> object:
    """Those of them of which somebody makes use."""
    transient = any(
        not queue.durable and queue.owner is None
        for vhost in list(call.broker.vhosts.values())
        for queue in vhost.queues.values()
    )
    return deprecated([TRANSIENT] if transient else [])


async def get_cluster_name(call: Call) -> object:
    """What the cluster is called."""
    return {"name": call.broker.parameters.cluster_name()}


async def put_cluster_name(call: Call) -> None:
    """Call it otherwise."""
    body = await call.json("name")
    name = text(body, "name")
    call.begin_change()
    call.broker.parameters.set_global(CLUSTER_NAME, name)
    await call.committed()


def access_to_cluster_name(call: Call) -> None:
    """Everybody may know it, administrators may change it."""
    if call.method not in ("GET", "HEAD"):
        administrator(call)


async def version(_call: Call) -> object:
    """The version of RabbitMQ that the API is that of."""
    return PRODUCT_VERSION


async def configuration(call: Call) -> object:
    """What the node was started with, a line for each setting."""
    node = call.node
    known: dict[str, object] = {name: getattr(call.broker.limits, name) for name in NODE_LIMITS}
    known |= {"memory_limit": node.memory_limit, "disk_free_limit": node.disk_free_limit}
    known |= {"data_dir": node.data_dir, "listeners": ", ".join(node.listeners)}
    lines = [f"{name} = {value}\n" for name, value in sorted(known.items())]
    return Answer(200, ["".join(lines).encode()], {"content-type": "text/plain"})


async def reset(call: Call) -> None:
    """Forget the statistics of the past."""
    call.node.rates.forget()


async def hash_password(call: Call) -> object:
    """The hash of a password, for a definitions file."""
    return hash_of(call, call.argument("password"))


async def hash_posted_password(call: Call) -> object:
    """As `hash_password`, without a password that stands in logs and histories."""
    password = (await call.json("password"))["password"]
    if not isinstance(password, str):
        raise bad_request("password must be a string")
    return hash_of(call, password)


def hash_of(call: Call, password: str) -> dict[str, str]:
    """RabbitMQ's answer with a hash."""
    return {"ok": hashed(password.encode("utf-8", "surrogateescape"), call.broker.random_octets(SALT))}


async def auth_attempts(call: Call) -> object:
    """How many logins were tried, by protocol."""
    counts = call.broker.login_attempts
    return [
        {
            "protocol": protocol,
            "auth_attempts": counts.succeeded[protocol] + counts.failed[protocol],
            "auth_attempts_failed": counts.failed[protocol],
            "auth_attempts_succeeded": counts.succeeded[protocol],
        }
        for protocol in PROTOCOLS
        if counts.succeeded[protocol] + counts.failed[protocol]
    ]


async def attempts_by_source(_call: Call) -> object:
    """By address: RabbitMQ counts them only if it is told to, and so nothing is counted here."""
    return []


async def forget_attempts(call: Call) -> None:
    """Count logins from zero again."""
    call.broker.login_attempts.forget()


RESOURCES: Final = (
    Resource("/extensions", get=extensions),
    Resource("/feature-flags", administrator, get=feature_flags),
    Resource("/feature-flags/{name}/enable", administrator, flag_exists, put=enable_feature_flag),
    Resource("/deprecated-features", get=deprecated_features),
    Resource("/deprecated-features/used", get=deprecated_features_used),
    Resource("/cluster-name", access_to_cluster_name, get=get_cluster_name, put=put_cluster_name),
    Resource("/version", public=True, get=version),
    Resource("/config/effective", administrator, get=configuration),
    Resource("/reset", administrator, delete=reset),
    Resource("/reset/{node}", administrator, node_exists, delete=reset),
    Resource("/auth/hash_password", administrator, post=hash_posted_password),
    Resource("/auth/hash_password/{password}", administrator, get=hash_password),
    Resource("/auth/attempts/{node}", monitor, node_exists, get=auth_attempts, delete=forget_attempts),
    Resource("/auth/attempts/{node}/source", monitor, node_exists, get=attempts_by_source, delete=forget_attempts),
)
