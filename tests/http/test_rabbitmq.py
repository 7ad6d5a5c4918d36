"""The same requests to an installed RabbitMQ: the same statuses, errors and JSON, and the same keys and types.

What RabbitMQ 3.10 answers otherwise than 4, and what only Erlang has, is listed here by name. Without RabbitMQ these
tests say so and are skipped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.http.client import Api, part
from tests.http.live import EXCHANGE, EXCLUSIVE, QUEUE, live_client
from tests.http.oracle import WHERE_INSTALLED
from tests.http.story import JSON, Step, play
from tests.http.test_definitions import SHOP
from tests.http.test_stories import STORIES
from tests.support.broker_process import BrokerProcess

pytestmark = WHERE_INSTALLED
CHART = "&".join(f"{kind}_age=60&{kind}_incr=5" for kind in ("lengths", "msg_rates", "data_rates"))
PATIENCE = 30.0  # seconds for RabbitMQ's statistics to say what is there

# Answered by 3.10 in other words than by 4, or in a form that no program reads: Erlang's lists of characters.
OTHER_WORDS = {
    ("PUT", "/exchanges/%2F/hx", "nosuch"),
    ("PUT", "/permissions/%2F/hu", "("),
    ("PUT", "/topic-permissions/%2F/hu", "("),
}
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
    "messages_paged_out",
    "proc_used_details",
    "sockets_used_details",
    "user_who_performed_action",
}
LEFT_OUT = ERLANG | UNKNOWN


def in_other_words(step: Step) -> bool:
    return any(
        (step.method, step.path) == (method, path) and isinstance(step.body, dict) and word in step.body.values()
        for method, path, word in OTHER_WORDS
    )


def unordered(value: Any) -> Any:
    """Lists of objects in an order that does not depend on the broker."""
    if isinstance(value, list) and all(isinstance(element, dict) for element in value):
        return sorted(value, key=repr)
    return value


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_rabbitmq_answers_the_stories_alike(oracle: tuple[int, Api], story: tuple[Step, ...]) -> None:
    for number, step in enumerate(story):
        status, said = play(oracle[1], step)
        where = f"step {number}: {step.method} {step.path} {step.body}"
        assert status == step.status, where
        if in_other_words(step):
            assert said["error"] == step.json["error"], where
        else:
            assert unordered(said) == unordered(step.json), where


# shapes


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
            if key in ours:
                yield from differences(value, ours[key], f"{where}.{key}")
            else:
                yield f"{where}.{key} is missing"
    elif isinstance(theirs, list) and theirs and ours:
        yield from differences(theirs[0], ours[0], f"{where}[]")


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


def shapes(api: Api, port: int) -> dict[str, Any]:
    """What is said of everything that there is while a client is at work."""
    with live_client(port):
        connection = connection_name(api)
        node = api.get("/api/overview")["node"]
        paths = {
            "overview": "overview",
            "nodes": "nodes",
            "node": f"nodes/{node}",
            "vhosts": "vhosts",
            "vhost": "vhosts/%2F",
            "connections": "connections",
            "connections of a vhost": "vhosts/%2F/connections",
            "connections of a user": "connections/username/guest",
            "connection": f"connections/{connection}",
            "channels": "channels",
            "channels of a connection": f"connections/{connection}/channels",
            "channels of a vhost": "vhosts/%2F/channels",
            "channel": f"channels/{connection}%20(1)",
            "consumers": "consumers",
            "queues": "queues?sort=name&sort_reverse=true",
            "queues of a vhost": "queues/%2F",
            "queues without statistics": "queues?disable_stats=true",
            "queues with totals": "queues?disable_stats=true&enable_queue_totals=true",
            "page of queues": "queues?page=1",
            "queue": f"queues/%2F/{QUEUE}",
            "exclusive queue": f"queues/%2F/{EXCLUSIVE}",
            "exchanges": "exchanges?sort=name&sort_reverse=true",
            "exchange": f"exchanges/%2F/{EXCHANGE}",
            "bindings": "bindings",
            "users": "users",
            "permissions": "permissions",
            "whoami": "whoami",
            "definitions": "definitions",
            "definitions of a vhost": "definitions/%2F",
            "feature flags": "feature-flags",
            "charted queue": f"queues/%2F/{QUEUE}?{CHART}",
            "charted overview": f"overview?{CHART}",
        }
        return {name: api.get(f"/api/{path}") for name, path in paths.items()}


def test_the_shapes_are_alike(oracle: tuple[int, Api], api: Api, leveret: BrokerProcess) -> None:
    theirs, ours = shapes(oracle[1], oracle[0]), shapes(api, leveret.port)
    found = [text for name in theirs for text in differences(theirs[name], ours[name], name)]
    assert not found, "\n".join(found)


def test_rabbitmq_takes_our_definitions(oracle: tuple[int, Api], api: Api) -> None:
    """What came from a RabbitMQ goes back to one, and is there what it was."""
    assert api.call("POST", "/api/definitions", SHOP, JSON).status == 204
    ours = api.get("/api/definitions")
    assert oracle[1].call("POST", "/api/definitions", ours, JSON).status == 204
    theirs = oracle[1].get("/api/definitions")
    for category in ("queues", "exchanges", "bindings", "policies", "parameters", "permissions", "topic_permissions"):
        found = [without_type(each) for each in theirs[category] if each["vhost"] == "shop/eu"]
        wanted = [without_type(each) for each in ours[category] if each["vhost"] == "shop/eu"]
        assert wanted and set(map(canonical, wanted)) <= set(map(canonical, found)), category
    hashes = {user["name"]: (user["password_hash"], user["limits"]) for user in theirs["users"]}
    for user in ours["users"]:
        assert hashes[user["name"]] == (user["password_hash"], user["limits"])
    for name in ("shop-app", "shop-ops", "shop-cert"):
        for each in (api, oracle[1]):
            each.delete(f"/api/users/{name}")
    for each in (api, oracle[1]):
        each.delete(f"/api/vhosts/{part('shop/eu')}")


def without_type(each: dict[str, Any]) -> dict[str, Any]:
    """An object of a file without the type of a queue, which RabbitMQ 3.10 does not write beside its arguments."""
    return {name: value for name, value in each.items() if name != "type" or "internal" in each}


def canonical(each: dict[str, Any]) -> str:
    return json.dumps(each, sort_keys=True)
