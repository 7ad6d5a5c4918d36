"""The commands of leveretctl for connections, queues and the node, and those of rabbitmq-diagnostics, -queues and
-plugins: what each takes, and what its help says."""

from __future__ import annotations

from typing import Final

from leveret.cli.ctl_command import ANY_NUMBER, Command

TEXT_OR_JSON: Final = ("table", "pretty_table", "json")
TIMEOUT: Final = "[--timeout <timeout>]"


def command(
    name: str,
    description: str,
    arguments: str = TIMEOUT,
    banner: str = "",
    options: tuple[str, ...] = (),
    words: tuple[str, ...] = (),
    most: int = 0,
) -> Command:
    """A command that prints a text, or JSON."""
    banners = (banner,) if banner else ()
    return Command(name, description, arguments, banners, "", options, TEXT_OR_JSON, words, most)


OBJECT_COMMANDS: Final = (
    command(
        "close_connection",
        "Instructs the broker to close the connection associated with the pid or the name",
        "<connection_pid> <explanation>",
        "Closing connection {connection_pid}, reason: {explanation}...",
        words=("connection_pid", "explanation"),
    ),
    command(
        "close_all_connections",
        "Instructs the broker to close all connections for the specified vhost or entire node",
        "[--vhost <vhost> | --global] [--limit <limit>] <explanation>",
        "Closing all connections in vhost {vhost}, reason: {explanation}...",
        ("global", "limit", "per-connection-delay"),
        ("explanation",),
    ),
    command(
        "close_all_user_connections",
        "Instructs the broker to close all connections of the specified user",
        "<username> <explanation>",
        "Closing connections of user {username}, reason: {explanation}...",
        words=("username", "explanation"),
    ),
    command(
        "purge_queue",
        "Purges a queue (removes all messages in it)",
        "[--vhost <vhost>] <queue>",
        "Purging queue '{queue}' in vhost '{vhost}' ...",
        words=("queue",),
    ),
    command(
        "pause_queue",
        "Stops the deliveries of a queue, which goes on taking messages in",
        "[--vhost <vhost>] <queue>",
        "Pausing queue '{queue}' in vhost '{vhost}' ...",
        words=("queue",),
    ),
    command(
        "resume_queue",
        "Has a paused queue deliver again",
        "[--vhost <vhost>] <queue>",
        "Resuming queue '{queue}' in vhost '{vhost}' ...",
        words=("queue",),
    ),
    command(
        "delete_queue",
        "Deletes a queue",
        "[--vhost <vhost>] <queue> [--if-empty|-e] [--if-unused|-u]",
        "Deleting queue '{queue}' on vhost '{vhost}' ...",
        ("if-empty", "if-unused"),
        ("queue",),
    ),
)
NODE_COMMANDS: Final = (
    command(
        "set_vm_memory_high_watermark",
        "Sets the memory limit until the next start",
        "<fraction> | absolute <value>",
        "Setting memory threshold on {node} to {value} ...",
        words=("fraction",),
        most=2,
    ),
    command(
        "set_disk_free_limit",
        "Sets the limit of free disk space until the next start",
        "<disk_limit> | mem_relative <fraction>",
        "Setting disk free limit on {node} to {value} ...",
        words=("disk_limit",),
        most=2,
    ),
    command(
        "set_log_level",
        "Sets the log level of all categories until the configuration is loaded again",
        "<log_level>",
        'Setting log level to "{log_level}" ...',
        words=("log_level",),
    ),
    command("rotate_logs", "Opens the log's file anew", "", "Rotating logs for node {node} ..."),
)
QUESTIONS: Final = (
    command(
        "ping",
        "Checks that the broker answers",
        banner="Will ping {node}. This only checks if the broker answers. Timeout: {timeout} ms.",
    ),
    command("await_startup", "Waits for the broker to start; up to 300 seconds if no timeout is given"),
    command(
        "wait",
        "Waits for the broker whose process number is in a file, or is given, to start",
        "[<pidfile>] [--pid|-P <pid>] [--timeout <timeout>]",
        options=("pid",),
        most=1,
    ),
    command("cluster_status", "Displays the node as a cluster of one", banner="Cluster status of node {node} ..."),
    command(
        "environment",
        "Displays the settings in effect",
        banner="Application environment of node {node} ...",
    ),
    command("report", "Displays the status and every listing, to be sent to whoever is to help"),
    command("list_hashes", "Lists hash algorithms", "", "Listing supported hash algorithms ..."),
    command("list_ciphers", "Lists the cipher suites of the system's TLS library", "", "Listing supported ciphers ..."),
    command(
        "node_health_check",
        "DEPRECATED. Checks that the broker answers, and that no alarm is in effect",
        banner="Checking health of node {node} ...",
    ),
)
FEATURE_COMMANDS: Final = (
    Command(
        "list_feature_flags",
        "Lists feature flags, all of which are enabled",
        "[<column> ...]",
        ("Listing feature flags ...",),
        options=("no-table-headers",),
        most=ANY_NUMBER,
    ),
    command(
        "enable_feature_flag",
        "Enables a feature flag, or all; all are",
        "<feature_flag> | all",
        'Enabling feature flag "{feature_flag}" ...',
        ("experimental",),
        ("feature_flag",),
    ),
    Command(
        "list_deprecated_features",
        "Lists deprecated features, all of which are permitted",
        "[--used] [<column> ...]",
        ("Listing deprecated features ...",),
        options=("no-table-headers", "used"),
        most=ANY_NUMBER,
    ),
    Command(
        "list_unresponsive_queues",
        "Lists queues that don't answer, of which there are none",
        "[--vhost <vhost>] [--no-table-headers] [<column> ...]",
        ("Listing unresponsive queues for vhost {vhost} ...",),
        options=("no-table-headers", "local", "all"),
        most=ANY_NUMBER,
    ),
)
STOPPING: Final = (
    command("shutdown", "Stops the broker, and returns when it has ended", "[--no-wait]", options=("no-wait", "wait")),
    command("start_app", "Is done with the broker's start", "", "Starting node {node} ..."),
    command("stop_app", "Can't be done without the process: use stop", ""),
)
CHECKS: Final = (
    command(
        "check_running",
        "Fails if the broker doesn't serve",
        banner="Checking if RabbitMQ is running on node {node} ...",
    ),
    command("is_running", "Says whether the broker serves", banner="Asking node {node} for its status ..."),
    command("is_booting", "Says whether the broker is starting", banner="Asking node {node} for its boot status ..."),
    command(
        "check_alarms",
        "Fails if any alarm is in effect",
        banner="Asking node {node} to report any local resource alarms ...",
    ),
    command(
        "check_local_alarms",
        "Fails if any alarm is in effect",
        banner="Asking node {node} to report any local resource alarms ...",
    ),
    command("alarms", "Lists the alarms", banner="Asking node {node} to report any known resource alarms ..."),
    command(
        "check_certificate_expiration",
        "Fails if a certificate of a listener with TLS ends soon",
        "[--within <period>] [--unit <unit>]",
        "Checking certificate expiration on node {node} ...",
        ("within", "unit"),
    ),
    command(
        "check_port_connectivity",
        "Fails if a listener does not accept a connection",
        "[--address <address>]",
        "Testing TCP connections to all active listeners on node {node} ...",
        ("address",),
    ),
    command(
        "check_port_listener",
        "Fails if the broker does not listen on a port",
        f"<port> {TIMEOUT}",
        "Asking node {node} if there's an active listener on port {port} ...",
        words=("port",),
    ),
    command(
        "check_protocol_listener",
        "Fails if the broker does not listen for a protocol",
        f"<protocol> {TIMEOUT}",
        "Asking node {node} if there's an active listener for protocol {protocol} ...",
        words=("protocol",),
    ),
    command(
        "check_virtual_hosts",
        "Fails if a virtual host does not serve",
        banner="Checking if all vhosts are running on node {node} ...",
    ),
    command("listeners", "Lists the listeners", banner="Asking node {node} to report its protocol listeners ..."),
    command(
        "memory_breakdown",
        "Says how much memory the broker occupies, and what of it are messages",
        "[--unit <unit>] [--timeout <timeout>]",
        "Reporting memory breakdown on node {node}...",
        ("unit",),
    ),
    command(
        "server_version",
        "Displays the version of RabbitMQ that the broker takes the place of",
        banner="Asking node {node} for its RabbitMQ version...",
    ),
)
QUEUE_COMMANDS: Final = (
    Command(
        "quorum_status",
        "Displays the one member of a quorum queue",
        "[--vhost <vhost>] <queue>",
        ("Status of quorum queue {queue} on node {node} ...",),
        options=(),
        formatters=("pretty_table", "table", "json"),
        words=("queue",),
    ),
)
ONLINE: Final = ("offline", "online", "all")
PLUGIN_COMMANDS: Final = (
    command(
        "list",
        "Lists what RabbitMQ has in plugins and is built in here",
        "[--enabled|-E] [--implicitly-enabled|-e] [--minimal|-m] [--verbose|-v] [<pattern>]",
        options=("enabled", "implicitly-enabled", "minimal", "verbose"),
        most=1,
    ),
    command(
        "enable",
        "Does nothing: all plugins that there are are enabled",
        "<plugin> [...] [--offline] [--online]",
        options=ONLINE,
        most=ANY_NUMBER,
    ),
    command(
        "disable",
        "Does nothing: what is built in can't be disabled",
        "<plugin> [...] [--offline] [--online]",
        options=ONLINE,
        most=ANY_NUMBER,
    ),
    command(
        "set",
        "Does nothing: all plugins that there are are enabled",
        "[<plugin> ...] [--offline] [--online]",
        options=ONLINE,
        most=ANY_NUMBER,
    ),
    command(
        "is_enabled",
        "Fails if one of the plugins is not built in",
        "<plugin> [...] [--offline] [--online]",
        options=ONLINE,
        words=("plugin",),
        most=ANY_NUMBER,
    ),
)
NODE_WORDS: Final = {
    "connection_pid": "the connection's pid or name, as list_connections shows them",
    "explanation": "the reason that the client is told",
    "fraction": "share of the memory, above 0.0 and up to 1.0; or absolute, and a size such as 2GB",
    "disk_limit": "a size such as 2GB; or mem_relative, and a share of the memory",
    "log_level": "debug, info, warning, error, critical or none",
    "feature_flag": "name of the feature flag, or all",
    "port": "the port",
    "protocol": "amqp, http and so on, as listeners shows them",
    "plugin": "the plugin's name",
}
NODE_OPTIONS: Final = (
    ("within", "how long ahead to look, in days, weeks, months or years as --unit says (default: 4 weeks)"),
    ("limit", "close no more connections than so many (default: 0, which is all)"),
    ("per-connection-delay", "is accepted and means nothing"),
    ("if-empty", "delete the queue only if there is no message in it"),
    ("if-unused", "delete the queue only if it has no consumer"),
    ("pid", "the process number of the broker"),
    ("used", "lists only features that are in use"),
    ("address", "the address to connect to instead of the listener's"),
    ("no-wait", "don't wait for the broker's end"),
)
