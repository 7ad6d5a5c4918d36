"""The commands of leveretctl for maintenance, those of rabbitmq-upgrade, and those of rabbitmq-diagnostics that tell of
the node's surroundings: what each takes, and what its help says."""

from __future__ import annotations

from typing import Final

from leveret.cli.ctl_command import Command
from leveret.cli.ctl_node_commands import TIMEOUT, command

MAINTENANCE_COMMANDS: Final = (
    command(
        "suspend_listeners",
        "Has new client connections refused, until resume_listeners or the next start",
        "",
        "Will suspend client connection listeners on node {node}. The node will no longer accept client connections!",
    ),
    command(
        "resume_listeners",
        "Has client connections accepted again",
        "",
        "Will resume client connection listeners on node {node}. The node will now accept client connections",
    ),
    command(
        "await_online_nodes",
        "Fails unless so many nodes are online, which is one",
        f"<count> {TIMEOUT}",
        "Will wait for at least {count} nodes to join the cluster of {node}. Timeout: {seconds} seconds.",
        words=("count",),
    ),
    command(
        "restart_vhost",
        "Finds the virtual host running",
        f"[--vhost <vhost>] {TIMEOUT}",
        "Trying to restart vhost '{vhost}' on node '{node}' ...",
    ),
    command(
        "reconcile_vhosts",
        "Finds every virtual host running",
        "",
        "Will try to initiate virtual host reconciliation on all reachable cluster nodes...",
    ),
    command(
        "force_gc",
        "Frees memory that only refers to itself, for which the broker pauses",
        banner="Will ask all processes on node {node} to schedule a full sweep GC",
    ),
)
UPGRADE_COMMANDS: Final = (
    command(
        "drain",
        "Puts the node into maintenance: refuses new client connections, and closes all that there are",
        banner="Will put node {node} into maintenance mode. The node will no longer serve any client traffic!",
    ),
    command(
        "revive",
        "Puts the node out of maintenance",
        banner="Will put node {node} back into regular operating mode. "
        "The node will again serve client traffic and host primary queue replicas.",
    ),
    command(
        "await_online_quorum_plus_one",
        "Has nothing to wait for, since there is one node",
        banner="Will wait for a quorum + 1 of nodes to be online for all quorum queues for {seconds} seconds...",
    ),
    command(
        "await_online_synchronized_mirror",
        "Has nothing to wait for, since there is one node",
        banner="Will wait for a synchronised mirror be online for all classic mirrored queues for {seconds} seconds...",
    ),
    command("post_upgrade", "Has nothing to do, since there is one node", banner="Executing post upgrade tasks..."),
)
CLUSTER_CHECKS: Final = (
    command(
        "check_if_node_is_quorum_critical",
        "Succeeds, since there is one node",
        banner="Checking if node {node} is critical for quorum of any quorum queues ...",
    ),
    command(
        "check_for_quorum_queues_without_an_elected_leader",
        "Succeeds, since the broker leads all of them",
        "[--vhost <vhost>] [--across-all-vhosts] <pattern>",
        "Checking leader replicas of quorum queues matching '{pattern}' in {place} ...",
        ("across-all-vhosts",),
        ("pattern",),
    ),
    command(
        "has_reached_target_cluster_size",
        "Succeeds, since the target is one node",
        banner="Checking if target cluster size has been reached on node {node} ...",
    ),
)
FACT_COMMANDS: Final = (
    Command(
        "list_policies_that_match",
        "Lists all policies matching a queue or an exchange; the first of them applies",
        "[--vhost <vhost>] [--object-type <queue | exchange>] <name>",
        ("Listing policies that match {object_type} '{name}' in vhost '{vhost}' ...",),
        options=("object-type",),
        formatters=("pretty_table", "table", "json"),
        words=("name",),
    ),
    command(
        "certificates",
        "Displays the certificates of every listener with TLS, with those of the authorities",
        "",
        "Certificates of node {node} ...",
    ),
    command(
        "tls_versions",
        "Lists the versions of TLS that the node has, whatever its listeners allow",
        banner="Listing all TLS versions supported by the runtime...",
    ),
    command(
        "cipher_suites",
        "Lists the cipher suites that are on by default, or with --all all that there are",
        f"[--format openssl] [--all|-a] {TIMEOUT}",
        "Listing available cipher suites in OpenSSL format",
        ("format", "all"),
    ),
    command(
        "log_location",
        "Shows where the log goes",
        f"[--all|-a] {TIMEOUT}",
        "Log file location(s) on node {node} ...",
        ("all",),
    ),
    command(
        "log_tail",
        "Prints the last lines of the log's file",
        f"[--number|-N <number>] {TIMEOUT}",
        "Last {number} log lines on node {node} ...",
        ("number",),
    ),
    command(
        "os_env",
        "Lists the environment variables of the node that are meant for a broker; passwords are not shown",
        banner="Listing RabbitMQ-specific environment variables defined on node {node}...",
    ),
    command(
        "command_line_arguments",
        "Displays the command line that the node was started with",
        "",
        "Command line arguments of node {node} ...",
    ),
    command(
        "resolve_hostname",
        "Resolves a host name on this machine",
        "<hostname> [--address-family <ipv4 | ipv6>] [--offline]",
        options=("address-family", "offline"),
        words=("hostname",),
    ),
)
MAINTENANCE_WORDS: Final = {
    "count": "how many nodes have to be online",
    "hostname": "the host name",
}
MAINTENANCE_OPTIONS: Final = (
    ("object-type", "<queue | exchange>: what the name is of (default: queue)"),
    ("address-family", "<ipv4 | ipv6>: which addresses are asked for (default: ipv4)"),
    ("across-all-vhosts", "checks the queues of all virtual hosts"),
    ("number", "how many lines, 50 if it isn't given"),
    ("all", "shows all of them"),
)
