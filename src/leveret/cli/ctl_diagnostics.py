"""What rabbitmq-diagnostics asks of a node, with its words and its exit statuses: probes call these.

A check that fails ends with status 69. All of them ask for the node's status and look at a part of it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from leveret.cli.control_client import DATA_ERROR, SOFTWARE, UNAVAILABLE, ControlFailure
from leveret.cli.ctl_client import connect, node_status
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_options import Options, UsageError
from leveret.cli.formatters import json_text
from leveret.cli.standard_streams import write
from leveret.cli.status_report import alarms as alarm_lines
from leveret.cli.status_report import listeners as listener_lines
from leveret.cli.status_report import part, size

UPGRADE_TIMEOUT: Final = 120  # seconds, that of rabbitmq-upgrade
MOST_SECONDS: Final = 30.0  # for one listener to accept a connection
# What RabbitMQ calls its protocols elsewhere, and what they are called here.
PROTOCOLS: Final = {
    "amqp091": "amqp",
    "amqp0.9.1": "amqp",
    "amqp1.0": "amqp",
    "amqps": "amqp/ssl",
    "management": "http",
}
EVERYWHERE: Final = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


class Finding(NamedTuple):
    """What an answer is: for people, and as JSON; and whether the check has failed.

    `before` is what stands before the text of a failure.
    """

    text: list[str]
    json: dict[str, Any]
    failed: bool = False
    before: str = "Error:\n"
    status: int = UNAVAILABLE


Question = Callable[[dict[str, Any], Options, list[str]], Finding]


def diagnose(question: Question, command: Command, options: Options, words: list[str]) -> int:
    """Ask a question, and print the answer. Raises ControlFailure if a check fails."""
    if command.name == "check_port_listener" and not (words[0].isascii() and words[0].isdigit() and int(words[0])):
        raise UsageError("Bad argument: Argument must be a positive integer", command, DATA_ERROR)
    with connect(options) as client:
        status = node_status(client)
    given = dict(zip(command.words, words, strict=True))
    if options.banner:
        known = {
            "node": status.get("node_name"),
            "timeout": options.timeout * 1000,
            "seconds": options.timeout_or(UPGRADE_TIMEOUT),
            "place": "all vhosts" if options.across_all_vhosts else f"vhost {options.vhost}",
        }
        write([line.format(**given, **known) for line in command.banner])
    finding = question(status, options, words)
    if not finding.failed:
        write([json_text(finding.json)] if options.formatter == "json" else finding.text)
        return 0
    if options.formatter == "json":
        raise ControlFailure(finding.status, json_text(finding.json), "")
    raise ControlFailure(finding.status, "\n".join(finding.text), finding.before)


def message(text: str) -> Finding:
    """An answer that is a text in JSON too."""
    return Finding([text], {"message": text})


def ping(_status: dict[str, Any], _options: Options, _words: list[str]) -> Finding:
    """The broker has answered."""
    return message("Ping succeeded")


def running(status: dict[str, Any], _options: Options, _words: list[str]) -> Finding:
    """The control socket is there only while the broker serves."""
    return message(f"RabbitMQ on node {status['node_name']} is fully booted and running")


def booting(status: dict[str, Any], _options: Options, _words: list[str]) -> Finding:
    """A broker that answers has started."""
    return message(
        f"RabbitMQ on node {status['node_name']} is fully booted (check with is_running), stopped or has not started "
        "booting yet"
    )


def server_version(status: dict[str, Any], _options: Options, _words: list[str]) -> Finding:
    """The version of RabbitMQ that this is like."""
    version = status["rabbitmq_version"]
    return Finding([version], {"result": "ok", "value": version})


def list_alarms(status: dict[str, Any], _options: Options, _words: list[str]) -> Finding:
    """The alarms, with no judgement."""
    node, found = status["node_name"], status["alarms"]
    if not found:
        text = [f"Node {node} reported no alarms, local or clusterwide"]
        return Finding(text, {"alarms": [], "node": node, "result": "ok"})
    text = alarm_lines(found)
    return Finding(text, {"global": [], "local": text, "message": f"Node {node} reported alarms", "result": "ok"})


def check_alarms(status: dict[str, Any], options: Options, _words: list[str]) -> Finding:
    """Fails if there are any, of the cluster, which is this node."""
    return no_alarms(status, options, "alarms, local or clusterwide", "alarms", "")


def check_local_alarms(status: dict[str, Any], options: Options, _words: list[str]) -> Finding:
    """Fails if there are any."""
    return no_alarms(status, options, "local alarms", "local alarms", "Error:\n")


def no_alarms(status: dict[str, Any], options: Options, none: str, some: str, before: str) -> Finding:
    """Whether there are no alarms."""
    node, found = status["node_name"], status["alarms"]
    if not found:
        return Finding([] if options.silent else [f"Node {node} reported no {none}"], {"result": "ok"})
    text = alarm_lines(found)
    shown = {"local": text, "message": f"Node {node} reported {some}", "result": "error"}
    return Finding(text, shown, True, before)


def listeners(status: dict[str, Any], _options: Options, _words: list[str]) -> Finding:
    """The listeners."""
    found = status["listeners"]
    return Finding(listener_lines(found), {"listeners": found, "node": status["node_name"], "result": "ok"})


def port_listener(status: dict[str, Any], _options: Options, words: list[str]) -> Finding:
    """Whether one of the listeners is on a port."""
    node, found, port = status["node_name"], status["listeners"], words[0]
    ports = list(dict.fromkeys(listener["port"] for listener in found))
    if int(port) in ports:
        return Finding(
            [f"A listener for port {port} is running on node {node}."],
            {"node": node, "port": int(port), "result": "ok"},
        )
    return Finding(
        [
            f"No listener for port {port} is active on node {node}. "
            f"Found listeners that use the following ports: {', '.join(map(str, ports))}"
        ],
        {"listeners": found, "missing": port, "ports": ports, "result": "error"},
        True,
        "",
    )


def protocol_listener(status: dict[str, Any], _options: Options, words: list[str]) -> Finding:
    """Whether one of the listeners is for a protocol."""
    node, found, protocol = status["node_name"], status["listeners"], words[0]
    protocols = list(dict.fromkeys(listener["protocol"] for listener in found))
    if PROTOCOLS.get(protocol.lower(), protocol.lower()) in protocols:
        return Finding(
            [f"A listener for protocol {protocol} is running on node {node}."],
            {"node": node, "protocol": protocol, "result": "ok"},
        )
    text = (
        f"No listener for protocol {protocol} is active on node {node}. "
        f"Found listeners for the following protocols: {', '.join(sorted(protocols))}"
    )
    return Finding([text], {"listeners": found, "missing": protocol, "protocols": protocols, "result": "error"}, True)


def port_connectivity(status: dict[str, Any], options: Options, _words: list[str]) -> Finding:
    """Whether every listener accepts a connection, from here."""
    node, found = status["node_name"], status["listeners"]
    failing = [listener for listener in found if not accepts(listener, options)]
    if failing:
        text = [f"Connection to ports of the following listeners on node {node} failed: ", *listener_lines(failing)]
        return Finding(text, {"listeners": found, "failures": failing, "node": node, "result": "error"}, True)
    ports = ", ".join(str(port) for port in sorted({listener["port"] for listener in found if listener["port"]}))
    text = [f"Successfully connected to ports {ports} on node {node}."]
    return Finding(text, {"listeners": found, "node": node, "result": "ok"})


def accepts(listener: dict[str, Any], options: Options) -> bool:
    """Whether a listener accepts a connection."""
    timeout = min(float(options.timeout), MOST_SECONDS)
    host = str(listener["interface"])
    try:
        if not listener["port"]:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(timeout)
                sock.connect(host)
            return True
        host = options.address or EVERYWHERE.get(host, host)
        socket.create_connection((host, listener["port"]), timeout).close()
    except OSError:
        return False
    return True


def virtual_hosts(status: dict[str, Any], _options: Options, _words: list[str]) -> Finding:
    """All of them serve as long as the broker does."""
    return Finding([f"Node {status['node_name']} reported all vhosts as running"], {"result": "ok"})


def memory_breakdown(status: dict[str, Any], options: Options, _words: list[str]) -> Finding:
    """What of the process's memory is the content of messages, and what is all the rest."""
    total = part(status, "memory", "total", "rss")
    whole = total if isinstance(total, int) else 0
    content = part(status, "store", "octets_in_memory")
    messages = min(content, whole) if isinstance(content, int) else 0
    parts = sorted({"other": whole - messages, "messages": messages}.items(), key=lambda each: -each[1])
    shares = {name: round(100 * octets / whole, 2) if whole else 0.0 for name, octets in parts}
    return Finding(
        [f"{name}: {size(octets, options.unit)} ({shares[name]}%)" for name, octets in parts],
        {name: {"bytes": octets, "percentage": shares[name]} for name, octets in parts},
    )


def health_check(status: dict[str, Any], _options: Options, _words: list[str]) -> Finding:
    """The old check of everything."""
    if not status["alarms"]:
        return message("Health check passed")
    node = status["node_name"]
    names = ",".join(f"{{resource_limit,{alarm['resource']},{node}}}" for alarm in status["alarms"])
    text = f"Error: health check failed. Message: resource alarm(s) in effect:[{names}]"
    return Finding([text], {"result": "error", "message": text}, True, status=SOFTWARE)


QUESTIONS: Final[dict[str, Question]] = {
    "ping": ping,
    "check_running": running,
    "is_running": running,
    "is_booting": booting,
    "server_version": server_version,
    "alarms": list_alarms,
    "check_alarms": check_alarms,
    "check_local_alarms": check_local_alarms,
    "listeners": listeners,
    "check_port_listener": port_listener,
    "check_protocol_listener": protocol_listener,
    "check_port_connectivity": port_connectivity,
    "check_virtual_hosts": virtual_hosts,
    "memory_breakdown": memory_breakdown,
    "node_health_check": health_check,
}
