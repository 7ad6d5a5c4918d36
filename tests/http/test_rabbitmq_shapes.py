"""What an installed RabbitMQ says of everything that there is, and we: the same keys with values of the same types.

Every GET that both have is asked for, while a client is at work. What is left out is listed here by name.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from tests.http.client import Api, part
from tests.http.live import EXCHANGE, EXCLUSIVE, QUEUE, live_client
from tests.http.oracle import WHERE_INSTALLED
from tests.http.routes import endpoint_of
from tests.http.test_rabbitmq_walks import KNOWN
from tests.support.broker_process import BrokerProcess

pytestmark = WHERE_INSTALLED
CHART = "&".join(f"{kind}_age=60&{kind}_incr=5" for kind in ("lengths", "msg_rates", "data_rates"))
PATIENCE = 30.0  # seconds for RabbitMQ's statistics to say what is there

# Of Erlang's machine and of RabbitMQ's insides.
ERLANG = {
    "applications",
    "backing_queue_status",
    "config_files",
    "context_switches",
    "cowboy_opts",
    "garbage_collection",
    "gc_bytes_reclaimed",
    "gc_num",
    "io_read_avg_time",
    "io_read_bytes",
    "io_read_count",
    "io_reopen_count",
    "io_seek_avg_time",
    "io_seek_count",
    "io_sync_avg_time",
    "io_sync_count",
    "io_write_avg_time",
    "io_write_bytes",
    "io_write_count",
    "metrics_gc_queue_length",
    "mnesia_disk_tx_count",
    "mnesia_ram_tx_count",
    "msg_store_read_count",
    "msg_store_write_count",
    "pending_raft_commands",
    "queue_index_read_count",
    "queue_index_write_count",
    "ra_open_file_metrics",
    "recoverable_slaves",
    "reductions",
    "sample_retention_policies",
    "socket_opts",
}
# What nobody counts or notes here.
UNKNOWN = {
    "disk_free_details",
    "disk_reads",
    "disk_writes",
    "fd_used_details",
    "mem_used_details",
    "message_bytes_paged_out",
    "message_bytes_persistent",  # of a durable queue with messages
    "messages_paged_out",
    "messages_persistent",
    "proc_used_details",
    "sockets_used_details",
    "user_who_performed_action",
}
# The parts of Erlang's memory; there are others here.
MEMORY = {
    "allocated_unused",
    "atom",
    "binary",
    "code",
    "connection_channels",
    "connection_other",
    "connection_readers",
    "connection_writers",
    "erlang",
    "metrics",
    "mgmt_db",
    "mnesia",
    "msg_index",
    "other_ets",
    "other_proc",
    "other_system",
    "plugins",
    "queue_procs",
    "queue_slave_procs",
    "quorum_ets",
    "quorum_queue_dlx_procs",
    "quorum_queue_procs",
    "reserved_unallocated",
    "stream_queue_coordinator_procs",
    "stream_queue_procs",
    "stream_queue_replica_reader_procs",
}
LEFT_OUT = ERLANG | UNKNOWN | MEMORY
# RabbitMQ 4 leaves the virtual host out of a file of one, where 3.10 has it in two lists of four.
OF_VHOST_FILE = {"/definitions/%2F.parameters[].vhost", "/definitions/%2F.policies[].vhost"}


def type_name(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "text", list: "list", dict: "object", type(None): "null"}[type(value)]


def differences(theirs: Any, ours: Any, where: str) -> Iterator[str]:
    """What RabbitMQ has and we have not, or with another type; null says nothing about types."""
    if theirs is None or ours is None:
        return
    if type_name(theirs) != type_name(ours):
        yield f"{where} is {type_name(ours)} and not {type_name(theirs)}"
    elif isinstance(theirs, dict):
        for key, value in theirs.items():
            if key in LEFT_OUT or key.removesuffix("_details") in LEFT_OUT or "@" in key:  # a node's name
                continue
            if f"{where}.{key}" in OF_VHOST_FILE:
                continue
            if key in ours:
                yield from differences(value, ours[key], f"{where}.{key}")
            else:
                yield f"{where}.{key} is missing"
    elif isinstance(theirs, list) and theirs and ours:
        for their_element, our_element in pairs(theirs, ours):
            yield from differences(their_element, our_element, f"{where}[]")


def pairs(theirs: list[Any], ours: list[Any]) -> Iterator[tuple[Any, Any]]:
    """The elements of two lists with the same names, of what was made here if there is any; or the first of each.

    Of what was there before one broker may know more than the other, which has not seen the same tests.
    """
    named = {each["name"]: each for each in ours if isinstance(each, dict) and "name" in each}
    found = [(each, named[each["name"]]) for each in theirs if isinstance(each, dict) and each.get("name") in named]
    made_here = [pair for pair in found if str(pair[0]["name"]).startswith(("live", "shaped"))]
    yield from made_here or found or [(theirs[0], ours[0])]


def connection_name(api: Api) -> str:
    """The path of the one connection that is there, as soon as it is."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        connections = api.get("/api/connections")
        if len(connections) == 1 and "user" in connections[0] and complete(api):
            return part(connections[0]["name"])
        time.sleep(0.05)
    raise AssertionError("the connection is not listed")


def complete(api: Api) -> bool:
    """Whether the statistics know what the live client did."""
    queue, channels = api.get(f"/api/queues/%2F/{QUEUE}"), api.get("/api/channels")
    return (
        queue.get("messages_unacknowledged") == 3
        and len(queue["consumer_details"]) == 1
        and len(channels) == 1
        and channels[0].get("consumer_count") == 2
        and len(api.get("/api/consumers")) == 2
        and "idle_since" in queue
        and "idle_since" in channels[0]
    )


LIVE = f"/queues/%2F/{QUEUE}"
# What is set up beside the live client, and how it is taken away again.
SETTINGS: list[tuple[str, Any]] = [
    ("/users/shaped", {"password": "p", "tags": "management"}),
    ("/permissions/%2F/shaped", {"configure": "", "write": "", "read": ""}),
    ("/topic-permissions/%2F/shaped", {"exchange": "amq.topic", "write": "", "read": ""}),
    ("/user-limits/shaped/max-channels", {"value": 10}),
    ("/vhost-limits/%2F/max-queues", {"value": 1000}),
    ("/global-parameters/shaped", {"value": {"a": 1}}),
    ("/policies/%2F/shaped", {"pattern": "^live", "definition": {"max-length": 100, "overflow": "reject-publish"}}),
    ("/operator-policies/%2F/shaped", {"pattern": "^live", "definition": {"max-length": 50}, "apply-to": "queues"}),
]
PATHS = [
    "/overview",
    f"/overview?{CHART}",
    "/whoami",
    "/extensions",
    "/cluster-name",
    "/feature-flags",
    "/nodes",
    "/nodes/NODE",
    "/nodes/NODE/memory",
    "/auth/attempts/NODE",
    "/auth/attempts/NODE/source",
    "/vhosts",
    "/vhosts/%2F",
    "/vhosts/%2F/permissions",
    "/vhosts/%2F/topic-permissions",
    "/vhosts/%2F/connections",
    "/vhosts/%2F/channels",
    "/connections",
    "/connections?page=1",
    "/connections/username/guest",
    "/connections/CONNECTION",
    "/connections/CONNECTION/channels",
    "/channels",
    "/channels?page=1",
    "/channels/CONNECTION%20(1)",
    "/consumers",
    "/consumers/%2F",
    "/queues?sort=name&sort_reverse=true",
    "/queues?disable_stats=true",
    "/queues?disable_stats=true&enable_queue_totals=true",
    "/queues?page=1&sort=name&sort_reverse=true",
    "/queues/%2F",
    LIVE,
    f"{LIVE}?{CHART}",
    f"/queues/%2F/{EXCLUSIVE}",
    f"{LIVE}/bindings",
    "/exchanges?sort=name&sort_reverse=true",
    "/exchanges?page=1&name=live",
    "/exchanges/%2F?sort=name&sort_reverse=true",
    f"/exchanges/%2F/{EXCHANGE}",
    f"/exchanges/%2F/{EXCHANGE}/bindings/source",
    "/exchanges/%2F/amq.topic/bindings/destination",
    "/bindings",
    "/bindings/%2F",
    f"/bindings/%2F/e/{EXCHANGE}/q/{QUEUE}",
    f"/bindings/%2F/e/{EXCHANGE}/e/amq.topic/%23",
    "/users",
    "/users/shaped",
    "/users/without-permissions",
    "/users/shaped/permissions",
    "/users/shaped/topic-permissions",
    "/permissions",
    "/permissions/%2F/shaped",
    "/topic-permissions",
    "/topic-permissions/%2F/shaped",
    "/topic-permissions/%2F/shaped/amq.topic",
    "/definitions",
    "/definitions/%2F",
    "/all-configuration",
    "/policies",
    "/policies/%2F",
    "/policies/%2F/shaped",
    "/operator-policies",
    "/operator-policies/%2F",
    "/operator-policies/%2F/shaped",
    "/parameters",
    "/parameters/operator_policy",
    "/parameters/policy/%2F",
    "/parameters/vhost-limits/%2F/limits",
    "/global-parameters",
    "/global-parameters/shaped",
    "/vhost-limits",
    "/vhost-limits/%2F",
    "/user-limits",
    "/user-limits/shaped",
    "/health/checks/alarms",
    "/health/checks/local-alarms",
    "/health/checks/virtual-hosts",
    "/health/checks/port-listener/PORT",
    "/health/checks/protocol-listener/amqp",
    "/health/checks/certificate-expiration/1/months",
    "/health/checks/node-is-mirror-sync-critical",
    "/health/checks/node-is-quorum-critical",
    "/aliveness-test/%2F",
    "/healthchecks/node",
    "/healthchecks/node/NODE",
]


def shapes(api: Api, port: int) -> dict[str, Any]:
    """What is said of everything that there is while a client is at work."""
    for path, body in SETTINGS:
        assert api.put(f"/api{path}", body).status in (201, 204), path
    with live_client(port):
        connection = connection_name(api)
        node = api.get("/api/overview")["node"]
        names = {"NODE": node, "CONNECTION": connection, "PORT": str(port)}
        found = {path: api.get(f"/api{named(path, names)}") for path in PATHS}
        message = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
        sent = {"properties": {"headers": {"a": 1}, "priority": 3}, "payload": "p", "payload_encoding": "string"}
        published = api.post("/api/exchanges/%2F/amq.default/publish", {**sent, "routing_key": QUEUE})
        found["publish"], found["get"] = published.json, api.post(f"/api{LIVE}/get", message).json
    for path, _ in SETTINGS[2:]:
        assert api.delete(f"/api{path}").status == 204, path
    assert api.delete("/api/users/shaped").status == 204
    assert api.delete("/api/queues/%2F/aliveness-test").status == 204
    return found


def named(path: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        path = path.replace(name, value)
    return path


def test_every_list_and_every_thing_is_asked_for() -> None:
    assert {endpoint_of("GET", path) for path in PATHS} == {each for each in KNOWN if each.method == "GET"}


def test_the_shapes_are_alike(oracle: tuple[int, Api], api: Api, leveret: BrokerProcess) -> None:
    theirs, ours = shapes(oracle[1], oracle[0]), shapes(api, leveret.port)
    found = [text for name in theirs for text in differences(theirs[name], ours[name], name)]
    assert not found, "\n".join(found)
