"""The status of a node for people to read, in the sections and the words of `rabbitmqctl status`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from leveret.cli.ctl_commands import heading

UNSAFE: Final = "UNSAFE: A POWER FAILURE LOSES MESSAGES THAT WERE CONFIRMED"
ALARMS: Final = {"memory": "Memory", "disk": "Free disk space"}
UNITS: Final = {"bytes": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3}


def status_report(status: dict[str, object], unit: str, bold: bool) -> Iterator[str]:
    """The lines of the report; sizes in the unit, one of UNITS. What the broker doesn't tell is left out."""
    sections = (
        ("Runtime", runtime(status)),
        ("Data directory", labelled(status, {"data_directory": "Node data directory"})),
        ("Message store", store(status, unit)),
        ("Config files", files(status.get("config_files"))),
        ("Log file(s)", files(status.get("log_files"))),
        ("Alarms", alarms(status.get("alarms")) or ["(none)"]),
        ("Memory", [f"Total memory used: {size(part(status, 'memory', 'total', 'rss'), unit)}"]),
        ("File Descriptors", descriptors(status)),
        ("Free Disk Space", [f"Free disk space: {size(status.get('disk_free'), unit)}"]),
        ("Totals", totals(status)),
        ("Listeners", listeners(status.get("listeners"))),
    )
    for at, (title, lines) in enumerate(sections):
        if at:
            yield ""
        yield heading(title, bold)
        yield ""
        yield from lines


def runtime(status: dict[str, object]) -> list[str]:
    """What runs, and since when."""
    names = {
        "pid": "OS PID",
        "os": "OS",
        "uptime": "Uptime (seconds)",
        "is_under_maintenance": "Is under maintenance?",
        "product_name": "Product name",
        "product_version": "Product version",
        "product_build": "Product build",
        "rabbitmq_version": "RabbitMQ version",
        "node_name": "Node name",
        "python_version": "Python version",
    }
    return labelled(status, names)


def labelled(status: dict[str, object], names: dict[str, str]) -> list[str]:
    """A line for each of the values that are there."""
    return [f"{label}: {shown(status[key])}" for key, label in names.items() if status.get(key) is not None]


def shown(value: object) -> str:
    """A value in RabbitMQ's words."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def part(status: object, *keys: str) -> object:
    """What stands at a path of keys, None if nothing does."""
    for key in keys:
        status = status.get(key) if isinstance(status, dict) else None
    return status


def size(octets: object, unit: str) -> str:
    """A number of octets in a unit, as RabbitMQ rounds it."""
    if not isinstance(octets, int):
        return "unknown"
    return f"{octets} bytes" if unit == "bytes" else f"{round(octets / UNITS[unit], 4)} {unit}"


def files(names: object) -> list[str]:
    """A line for each name."""
    return [f" * {name}" for name in names] if isinstance(names, list) else []


def store(status: dict[str, object], unit: str) -> list[str]:
    """What the broker keeps messages in, and how safe that is."""
    found = part(status, "store")
    if not found:
        return ["NOTHING IS KEPT: this broker is ephemeral, its messages and definitions end with it"]
    sync = part(found, "sync")
    loud = "" if sync == "always" else f" - {UNSAFE}"
    return [
        f"Sync: {sync}{loud}",
        f"Segments: {part(found, 'segments')}, on disk: {size(part(found, 'octets'), unit)}",
        f"Messages, counted in each of their queues: {part(found, 'live')}",
        f"Waiting to be written: {part(found, 'pending')}, {size(part(found, 'pending_octets'), unit)}",
        f"Message content in memory: {size(part(found, 'octets_in_memory'), unit)}",
    ]


def alarms(found: object) -> list[str]:
    """A line for each alarm that is on."""
    return [
        f"{ALARMS.get(str(part(alarm, 'resource')), part(alarm, 'resource'))} alarm on node {part(alarm, 'node')}"
        for alarm in (found if isinstance(found, list) else [])
    ]


def descriptors(status: dict[str, object]) -> list[str]:
    """File descriptors in use, and how many there may be."""
    used, limit, sockets = (
        part(status, "file_descriptors", key) for key in ("total_used", "total_limit", "sockets_used")
    )
    return [f"Total: {'unknown' if used is None else used}, limit: {limit}", f"Sockets: {sockets}"]


def totals(status: dict[str, object]) -> list[str]:
    """How much of it there is."""
    names = {"connection_count": "Connection", "queue_count": "Queue", "virtual_host_count": "Virtual host"}
    return [f"{label} count: {part(status, 'totals', key)}" for key, label in names.items()]


def listeners(found: object) -> list[str]:
    """A line for each listener."""
    keys = ("interface", "port", "protocol", "purpose")
    return [
        "Interface: {}, port: {}, protocol: {}, purpose: {}".format(*(part(listener, key) for key in keys))
        for listener in (found if isinstance(found, list) else [])
    ]
