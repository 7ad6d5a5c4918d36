"""What does those commands of `ctl_maintenance_commands` that a cluster of one node answers from its status.

They end as RabbitMQ's do on a node that has no others beside it, so that the hooks of an orchestrator go on.
"""

from __future__ import annotations

from typing import Any, Final

from leveret.cli.control_client import DATA_ERROR, SOFTWARE, ControlFailure
from leveret.cli.ctl_client import connect, node_status, rows_of
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_diagnostics import Finding, Question
from leveret.cli.ctl_options import Options, UsageError
from leveret.cli.formatters import json_text
from leveret.cli.standard_streams import write

SINGLE_NODE: Final = "Target node seems to be the only one in a single node cluster, the {} does not apply"
STARTUP: Final = 300  # seconds, RabbitMQ's default


def await_online_nodes(command: Command, options: Options, words: list[str]) -> int:
    """One node is online if it answers. Others never will be, so there is no waiting for them."""
    if not (words[0].isascii() and words[0].isdigit() and int(words[0])):
        raise UsageError("Bad argument: Argument must be a positive integer", command, DATA_ERROR)
    with connect(options) as client:
        node = node_status(client).get("node_name")
    if options.banner:
        seconds = options.timeout_or(STARTUP)
        write([line.format(count=words[0], node=node, seconds=seconds) for line in command.banner])
    if int(words[0]) > 1:
        raise ControlFailure(SOFTWARE, f"Error: Not enough nodes joined {node}'s cluster, which has one.", "Error:\n")
    if options.formatter == "json":
        write([json_text({"node": node, "result": "ok"})])
    return 0


def restart_vhost(command: Command, options: Options, _words: list[str]) -> int:
    """A virtual host that is there runs."""
    with connect(options) as client:
        node = node_status(client).get("node_name")
        names = [row[0] for row in rows_of(client.ask({"command": "list_vhosts", "columns": ["name"]}))]
    if options.banner:
        write([line.format(vhost=options.vhost, node=node) for line in command.banner])
    if options.vhost not in names:
        reason = f'{{:no_such_vhost, "{options.vhost}"}}'
        raise ControlFailure(
            SOFTWARE, f"Failed to start vhost '{options.vhost}' on node '{node}'Reason: {reason}", "Error:\n"
        )
    text = f"Vhost '{options.vhost}' is already running on node '{node}'"
    write([json_text({"message": text}) if options.formatter == "json" else text])
    return 0


# questions that the status answers


def reconciled(status: dict[str, Any], _options: Options, _words: list[str]) -> Finding:
    """Nothing is to be reconciled."""
    text = f"All virtual hosts are running on node {status['node_name']}, which is the whole cluster"
    return Finding([text], {"message": text})


def single_node(what: str) -> Question:
    """The answer of a node that has no others beside it, to a check or another command."""

    def question(_status: dict[str, Any], _options: Options, _words: list[str]) -> Finding:
        text = SINGLE_NODE.format(what)
        return Finding([text], {"message": SINGLE_NODE.format("check"), "result": "ok"})

    return question


def quorum_critical(status: dict[str, Any], options: Options, words: list[str]) -> Finding:
    """The check names the node where RabbitMQ's does."""
    finding = single_node("check")(status, options, words)
    return finding._replace(text=[finding.text[0].replace("Target node", f"Node {status['node_name']}", 1)])


def nothing_left(status: dict[str, Any], _options: Options, _words: list[str]) -> Finding:
    """There is nothing to do or to say."""
    return Finding([], {"node": status["node_name"], "result": "ok"})


def leaders(status: dict[str, Any], options: Options, _words: list[str]) -> Finding:
    """The broker leads every quorum queue as long as it serves."""
    text = f"Node {status['node_name']} reported all quorum queue leaders as healthy"
    return Finding([] if options.silent else [text], {"message": text, "result": "ok"})


def cluster_size(status: dict[str, Any], options: Options, _words: list[str]) -> Finding:
    """One node is what a cluster is to have."""
    text = f"Target cluster size has been reached on node {status['node_name']}"
    return Finding([] if options.silent else [text], {"result": "ok"})


def log_location(status: dict[str, Any], options: Options, _words: list[str]) -> Finding:
    """The log's file, or the console if there is none; with --all everything that it goes to."""
    paths = status["log_files"]
    if not options.all:
        paths = (files_of(paths) or paths)[:1]
    return Finding(paths, {"node_name": status["node_name"], "paths": paths, "result": "ok"})


def files_of(names: list[str]) -> list[str]:
    """The names of a log's outputs that are files."""
    return [name for name in names if not name.startswith("<")]


SINGLE_NODE_QUESTIONS: Final[dict[str, Question]] = {
    "reconcile_vhosts": reconciled,
    "await_online_quorum_plus_one": single_node("command"),
    "await_online_synchronized_mirror": single_node("command"),
    "post_upgrade": nothing_left,
    "check_if_node_is_quorum_critical": quorum_critical,
    "check_for_quorum_queues_without_an_elected_leader": leaders,
    "has_reached_target_cluster_size": cluster_size,
    "log_location": log_location,
}
