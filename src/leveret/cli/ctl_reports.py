"""The commands of leveretctl that tell of the node as a whole, and those that wait for it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from leveret.cli.control_client import SOFTWARE, TEMPORARY, UNAVAILABLE, Client, ControlFailure
from leveret.cli.ctl_client import connect, node_status, rows_of
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_options import Options, UsageError
from leveret.cli.formatters import Row, json_text, lines
from leveret.cli.standard_streams import write
from leveret.cli.status_report import alarms, listeners, status_report
from leveret.management.columns import DEFAULT_COLUMNS
from leveret.management.features import DEPRECATED, FEATURE_FLAGS, TRANSIENT

PAUSE: Final = 0.1  # seconds between two looks at a broker that is not there yet
STARTUP: Final = 300  # seconds
WAIT: Final = 10
NONE: Final = ["(none)"]
REPORTED: Final = ("connections", "channels", "queues", "exchanges", "bindings", "consumers", "policies", "permissions")
FEATURE_COLUMNS: Final = ("name", "state", "stability", "provided_by", "desc", "doc_url")
DEPRECATED_COLUMNS: Final = ("name", "deprecation_phase", "provided_by", "desc", "doc_url", "state")


def cluster_status(command: Command, options: Options, _words: list[str]) -> int:
    """The cluster that one node is."""
    with connect(options) as client:
        status: dict[str, Any] = node_status(client)
        names = {str(row[0]): str(row[1]) for row in rows_of(client.ask(of_globals()))}
    node = status["node_name"]
    name = json.loads(names["cluster_name"]) if "cluster_name" in names else node
    maintenance = "marked for maintenance" if status["is_under_maintenance"] else "not under maintenance"
    versions = {"rabbitmq_name": "RabbitMQ", "rabbitmq_version": status["rabbitmq_version"]}
    versions |= {"leveret_version": status["product_version"]}
    if options.formatter == "json":
        whole = {
            "alarms": status["alarms"],
            "cluster_name": name,
            "disk_nodes": [node],
            "feature_flags": [feature(flag) for flag in FEATURE_FLAGS],
            "listeners": {node: status["listeners"]},
            "maintenance_status": {node: maintenance},
            "partitions": {},
            "ram_nodes": [],
            "running_nodes": [node],
            "versions": {node: versions},
        }
        write([json_text(whole)])
        return 0
    banner(command, options, node)
    sections = {
        "Basics": [f"Cluster name: {name}"],
        "Disk Nodes": [node],
        "Running Nodes": [node],
        "Versions": [f"{node}: RabbitMQ {versions['rabbitmq_version']}, Leveret {versions['leveret_version']}"],
        "Maintenance status": [f"Node: {node}, status: {maintenance}"],
        "Alarms": alarms(status["alarms"]) or NONE,
        "Network Partitions": NONE,
        "Listeners": [f"Node: {node}, {line[0].lower()}{line[1:]}" for line in listeners(status["listeners"])],
        "Feature flags": [f"Flag: {flag}, state: enabled" for flag in FEATURE_FLAGS],
    }
    for title, text in sections.items():
        write([title, "", *text, ""])
    return 0


def of_globals() -> dict[str, object]:
    """The request for global parameters."""
    return {"command": "list_global_parameters", "columns": ["name", "value"]}


def banner(command: Command, options: Options, node: object) -> None:
    """Print the banner."""
    if options.banner:
        write([line.format(node=node) for line in command.banner])


def environment(command: Command, options: Options, _words: list[str]) -> int:
    """The settings in effect, by their keys in leveret.toml."""
    with connect(options) as client:
        done = client.ask({"command": "environment"}).get("done")
    found = done.get("environment") if isinstance(done, dict) else None
    if not isinstance(done, dict) or not isinstance(found, dict):
        raise ControlFailure(SOFTWARE, "the broker's answer is not understood")
    if options.formatter == "json":
        write([json_text(found)])
        return 0
    banner(command, options, done.get("node"))
    write(f"{key} = {value}" for key, value in sorted(found.items()))
    return 0


def report(_command: Command, options: Options, _words: list[str]) -> int:
    """Everything that somebody who is to help will ask for; passwords are not in it."""
    with connect(options) as client:
        status = node_status(client)
        if options.banner:
            write([f"Reporting server status of node {status.get('node_name')} ...", ""])
        write(status_report(status, options.unit, False))
        vhosts = [str(row[0]) for row in rows_of(client.ask({"command": "list_vhosts", "columns": ["name"]}))]
        for kind in REPORTED:
            of_node = kind in ("connections", "channels")
            for vhost in vhosts[:1] if of_node else vhosts:
                columns = list(DEFAULT_COLUMNS[kind])
                request: dict[str, object] = {"command": f"list_{kind}", "vhost": vhost, "columns": columns}
                rows = rows_of(client.ask(request))
                title = f"{kind.capitalize()}:" if of_node else f"{kind.capitalize()} on {vhost}:"
                write(["", title, *lines("table", columns, rows, True)])
    return 0


# features and algorithms


def feature(name: str) -> dict[str, str]:
    """A feature flag in all of its columns."""
    values = (name, "enabled", "stable", "rabbit", FEATURE_FLAGS[name], "")
    return dict(zip(FEATURE_COLUMNS, values, strict=True))


def show_table(command: Command, options: Options, words: list[str], found: list[dict[str, str]]) -> int:
    """What is the same in every broker, in the columns that are asked for."""
    known, usual = {
        "list_feature_flags": (FEATURE_COLUMNS, ["name", "state"]),
        "list_deprecated_features": (DEPRECATED_COLUMNS, ["name", "deprecation_phase"]),
    }.get(command.name, ((), ["name"]))
    columns = list(dict.fromkeys(name for word in words for name in word.split(",") if name))
    wrong = [name for name in columns if known and name not in known]
    if wrong:
        raise UsageError(f"Info key(s) {','.join(wrong)} are not supported", command)
    with connect(options) as client:
        node_status(client)
        if command.name == "list_deprecated_features" and options.used and not transient_queues(client):
            found = [each for each in found if each["name"] != TRANSIENT]
    if options.banner:
        write([line.format(vhost=options.vhost) for line in command.banner])
    columns = columns or usual
    rows: list[Row] = [[each[name] for name in columns] for each in found]
    write(lines(options.formatter, columns, rows, options.headers and not options.silent))
    return 0


def transient_queues(client: Client) -> bool:
    """Whether there are queues that are neither durable nor exclusive."""
    for vhost in rows_of(client.ask({"command": "list_vhosts", "columns": ["name"]})):
        request: dict[str, object] = {"command": "list_queues", "vhost": vhost[0], "columns": ["durable", "exclusive"]}
        if [False, False] in rows_of(client.ask(request)):
            return True
    return False


def list_feature_flags(command: Command, options: Options, words: list[str]) -> int:
    """All feature flags."""
    return show_table(command, options, words, [feature(name) for name in FEATURE_FLAGS])


def list_deprecated_features(command: Command, options: Options, words: list[str]) -> int:
    """What RabbitMQ wants to do without; with --used only what somebody makes use of."""
    found = [TRANSIENT] if options.used else list(DEPRECATED)
    phase = "permitted_by_default"
    rows = [
        dict(zip(DEPRECATED_COLUMNS, (name, phase, "rabbit", DEPRECATED[name], "", "permitted"), strict=True))
        for name in found
    ]
    return show_table(command, options, words, rows)


def list_unresponsive_queues(command: Command, options: Options, words: list[str]) -> int:
    """Every queue of a broker that answers does so too."""
    return show_table(command, options, words, [])


def enable_feature_flag(command: Command, options: Options, words: list[str]) -> int:
    """Refuse flags that there are not; the others are enabled."""
    with connect(options) as client:
        node = node_status(client).get("node_name")
    name = words[0]
    if options.banner:
        write(["Enabling all feature flags ..." if name == "all" else command.banner[0].format(feature_flag=name)])
    if name != "all" and name not in FEATURE_FLAGS:
        raise ControlFailure(64, f"This feature flag is not supported by node {node}", "Error:\n")
    if options.formatter == "json":
        write([json_text({"node": node, "result": "ok"})])
    return 0


def show_names(command: Command, options: Options, _words: list[str]) -> int:
    """Algorithms that this system has, as an Erlang list."""
    names = hash_names() if command.name == "list_hashes" else cipher_names()
    if options.formatter == "json":
        write([json_text({"result": "ok", "value": names})])
        return 0
    banner(command, options, "")
    write([f"[{','.join(names)}]"])
    return 0


def hash_names() -> list[str]:
    """The hashes of the system."""
    import hashlib  # wanted by few

    return sorted(hashlib.algorithms_available)


def cipher_names() -> list[str]:
    """The cipher suites of the system's TLS library that are on."""
    import ssl  # wanted by few

    return [cipher["name"] for cipher in ssl.create_default_context().get_ciphers()]


# waiting


def await_startup(_command: Command, options: Options, _words: list[str]) -> int:
    """Return when the broker serves."""
    until_there(options, options.timeout_or(STARTUP), lambda status: True)
    if options.formatter == "json":
        write([json_text({"result": "ok"})])
    return 0


def wait(command: Command, options: Options, words: list[str]) -> int:
    """Return when the broker with a process number serves; UNAVAILABLE if that process ends before."""
    if bool(words) == (options.pid is not None):
        raise UsageError("too many arguments." if words else "not enough arguments.", command)
    seconds = options.timeout_or(WAIT)
    deadline = time.monotonic() + seconds
    pid = options.pid or 0
    if words:
        if not options.quiet:
            write([f"Waiting for pid file '{words[0]}' to appear"])
        pid = pid_in(Path(words[0]), deadline, command, options)
    if not options.quiet:
        write([f"pid is {pid}"])

    def is_it(status: dict[str, object]) -> bool:
        return status.get("pid") == pid

    def lives() -> None:
        with contextlib.suppress(PermissionError):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                raise ControlFailure(UNAVAILABLE, "process_not_running", "Error:\n") from None

    status = until_there(options, max(deadline - time.monotonic(), 0), is_it, lives)
    if not options.quiet:
        write([f"The broker is running on node {status.get('node_name')}"])
    return 0


def pid_in(file: Path, deadline: float, command: Command, options: Options) -> int:
    """The process number in a file, when it is there. TimeoutError."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            text = file.read_text(encoding="utf-8", errors="replace").strip()
            if text.isascii() and text.isdigit():
                return int(text)
            if text:
                raise ControlFailure(SOFTWARE, f"garbage in pid file {file}", "Error:\n")
        if time.monotonic() >= deadline:
            raise timed_out(command.name, options, options.timeout_or(WAIT))
        time.sleep(PAUSE)


def until_there(
    options: Options,
    seconds: float,
    is_it: Callable[[dict[str, object]], bool],
    before: Callable[[], None] = lambda: None,
) -> dict[str, object]:
    """The status of the broker as soon as it serves. ControlFailure if it doesn't in so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        before()
        try:
            with connect(options) as client:
                status = node_status(client)
            if is_it(status):
                return status
        except ControlFailure as failure:
            if failure.status != UNAVAILABLE:
                raise
        if time.monotonic() >= deadline:
            raise timed_out("await_startup", options, seconds)
        time.sleep(PAUSE)


def timed_out(name: str, options: Options, seconds: float) -> ControlFailure:
    """The error of a broker that doesn't start in time."""
    return ControlFailure(
        TEMPORARY,
        f"operation {name} on the broker with the data folder {options.data_dir.absolute()} timed out. "
        f"Timeout value used: {int(seconds * 1000)}",
    )
