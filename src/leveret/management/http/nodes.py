"""`/nodes`: the one node that there is, with what it needs of the machine."""

from __future__ import annotations

import os
import resource
from typing import Any, Final

from leveret.broker.alarms import DISK, MEMORY
from leveret.broker.broker import Broker
from leveret.management.http.access import monitor
from leveret.management.http.call import Call
from leveret.management.http.listeners import contexts
from leveret.management.http.overview import exchange_types
from leveret.management.http.resource import Resource
from leveret.management.http.statistics import check_ranges
from leveret.management.node import Node
from leveret.management.status import disk_free, open_descriptors, resident_memory

MECHANISM_NAMES: Final = {
    "AMQPLAIN": "QPid AMQPLAIN mechanism",
    "EXTERNAL": "SASL EXTERNAL authentication mechanism",
    "PLAIN": "SASL PLAIN authentication mechanism",
}


def node_row(node: Node) -> dict[str, Any]:
    """All that is said of a node. What Erlang's virtual machine has and Python has not is left out."""
    broker = node.broker
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    config_files, log_files = node.files()
    sockets = len(broker.connections) + len(node.listeners)
    return {
        "name": broker.node,
        "type": "disc",
        "running": True,
        "being_drained": broker.under_maintenance,
        "partitions": [],
        "os_pid": str(os.getpid()),
        "fd_total": descriptors,
        "fd_used": open_descriptors(),
        "sockets_total": descriptors,
        "sockets_used": sockets,
        "mem_limit": node.memory_limit,
        "mem_used": resident_memory(),
        "mem_alarm": MEMORY in broker.alarms.active,
        "mem_calculation_strategy": "rss",
        "disk_free_limit": node.disk_free_limit,
        "disk_free": None if node.data_dir is None else disk_free(node.data_dir),
        "disk_free_alarm": DISK in broker.alarms.active,
        "proc_total": 1,
        "proc_used": 1,
        "run_queue": 0,
        "processors": os.cpu_count(),
        "rates_mode": node.http.rates_mode,
        "uptime": int((broker.wall_clock() - broker.started_at) * 1000),
        "exchange_types": exchange_types(),
        "auth_mechanisms": auth_mechanisms(broker),
        "applications": [{"name": "leveret", "description": "Leveret", "version": broker.version}],
        "contexts": contexts(node),
        "log_files": list(log_files),
        "db_dir": "" if node.data_dir is None else str(node.data_dir.absolute()),
        "config_files": list(config_files),
        "net_ticktime": 60,
        "enabled_plugins": ["rabbitmq_management"],
        "cluster_links": [],
    }


def auth_mechanisms(broker: Broker) -> list[dict[str, object]]:
    """How clients may log in."""
    return [
        {"name": name, "description": MECHANISM_NAMES.get(name, name), "enabled": True} for name in broker.mechanisms
    ]


async def list_nodes(call: Call) -> object:
    """The node, in a list."""
    return [await get_node(call)]


async def get_node(call: Call) -> dict[str, Any]:
    """The node, with what has come and gone."""
    check_ranges(call.query)
    return {**node_row(call.node), **call.node.rates.churn(call.ranges)}


def node_exists(call: Call) -> bool:
    """Whether it is this node that is named."""
    return call.argument("node") == call.broker.node


async def get_memory(_call: Call) -> object:
    """How much memory the process has."""
    used = resident_memory()
    return {"memory": {"strategy": "rss", "total": {"rss": used, "allocated": used}}}


RESOURCES: Final = (
    Resource("/nodes", monitor, get=list_nodes),
    Resource("/nodes/{node}", monitor, node_exists, get=get_node),
    Resource("/nodes/{node}/memory", monitor, node_exists, get=get_memory),
)
