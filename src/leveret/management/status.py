"""The status of a node: what runs, since when, on what, and how much of it there is.

Keys are those of `rabbitmqctl status --formatter json` where RabbitMQ has the thing; sizes are octets,
times are seconds.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from leveret.broker.alarms import NAMES
from leveret.broker.broker import PRODUCT_VERSION, Broker
from leveret.build import description
from leveret.management.protocols import PROTOCOLS

PROC: Final = Path("/proc/self")


def node_status(
    broker: Broker,
    data_dir: Path,
    listeners: Sequence[str],
    config_files: Sequence[str] = (),
    log_files: Sequence[str] = ("<stderr>",),
) -> dict[str, object]:
    """The status of this process; `listeners` are the URLs that it is listening on."""
    return {
        "pid": os.getpid(),
        "os": platform.system(),
        "uptime": int(broker.wall_clock() - broker.started_at),
        "is_under_maintenance": broker.under_maintenance,
        "node_name": broker.node,
        "product_name": "Leveret",
        "product_version": broker.version,
        "product_build": description(),
        "rabbitmq_version": PRODUCT_VERSION,
        "python_version": platform.python_version(),
        "data_directory": str(data_dir),
        "active_plugins": [],
        "config_files": list(config_files),
        "log_files": list(log_files),
        "alarms": [alarm(name, broker.node) for name in NAMES if name in broker.alarms.active],
        "store": broker.store.describe(),
        "memory": {"strategy": "rss", "total": {"rss": resident_memory()}},
        "file_descriptors": {
            "total_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "total_used": open_descriptors(),
            "sockets_used": len(broker.connections) + len(listeners),
        },
        "disk_free": disk_free(data_dir),
        "totals": {
            "virtual_host_count": len(broker.vhosts),
            "connection_count": len(broker.connections),
            "queue_count": sum(len(vhost.queues) for vhost in broker.vhosts.values()),
        },
        "listeners": [listener(url, broker.node) for url in listeners],
    }


def alarm(name: str, node: str) -> dict[str, object]:
    """An alarm that is on, in RabbitMQ's terms."""
    return {"type": "resource_limit", "resource": name, "node": node}


def resident_memory() -> int:
    """Octets of memory that this process occupies; where the system doesn't tell, the most that it has occupied."""
    try:
        pages = int((PROC / "statm").read_text().split()[1])
    except OSError:
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else largest * 1024
    return pages * resource.getpagesize()


def open_descriptors() -> int | None:
    """How many descriptors this process has open, None where the system doesn't tell."""
    try:
        return len(os.listdir(PROC / "fd"))
    except OSError:
        return None


def disk_free(folder: Path) -> int | None:
    """Octets that may still be written on the folder's file system, None if it can't be asked."""
    try:
        answer = os.statvfs(folder)
    except OSError:
        return None
    return answer.f_bavail * answer.f_frsize


def listener(url: str, node: str) -> dict[str, object]:
    """A listener in RabbitMQ's terms; one on a Unix socket has its path as interface and port 0."""
    scheme, _, place = url.partition("://")
    name = scheme.removesuffix("+unix")
    protocol, purpose = PROTOCOLS[name]
    host, _, port = (place, "", "0") if name != scheme else place.rpartition(":")
    return {
        "interface": host.strip("[]"),
        "node": node,
        "port": int(port),
        "protocol": protocol,
        "purpose": purpose,
    }
