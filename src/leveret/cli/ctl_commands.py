"""The commands of leveretctl: what each takes, and what its help says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from leveret.cli.ctl_access_commands import ACCESS_COMMANDS, ACCESS_OPTIONS, ACCESS_WORDS
from leveret.cli.ctl_command import ANY_NUMBER, Command
from leveret.cli.ctl_maintenance_commands import (
    CLUSTER_CHECKS,
    FACT_COMMANDS,
    MAINTENANCE_COMMANDS,
    MAINTENANCE_OPTIONS,
    MAINTENANCE_WORDS,
    UPGRADE_COMMANDS,
)
from leveret.cli.ctl_node_commands import (
    CHECKS,
    FEATURE_COMMANDS,
    NODE_COMMANDS,
    NODE_OPTIONS,
    NODE_WORDS,
    OBJECT_COMMANDS,
    QUESTIONS,
    QUEUE_COMMANDS,
    STOPPING,
)
from leveret.cli.formatters import FORMATTERS
from leveret.management.columns import COLUMNS

GENERAL_USAGE: Final = "leveretctl [--data-dir <folder>] [--timeout <timeout>] [--quiet] <command> [<command options>]"
GENERAL_OPTIONS: Final = (
    "-?, --help           displays command help",
    "    --version        displays the version",
    "    --data-dir       the broker's data folder (default: $LEVERET_DATA_DIR, else ./leveret-data)",
    "    --url            the HTTP API of a broker elsewhere: http://user:password@host:15672 (default: $LEVERET_URL)",
    "-t, --timeout <n>    operation timeout in seconds (default: 60)",
    "-q, --quiet          suppress informational messages",
    "-s, --silent         suppress informational messages and table header row",
    "-p, --vhost          for commands that are scoped to a virtual host, virtual host to use",
    f"    --formatter      result formatter to use: {', '.join(FORMATTERS)}",
    "-n, --node and -l, --longnames are accepted and mean nothing: the data folder says which broker is meant",
)

POLICY: Final = ("name", "pattern", "definition")
OF_POLICY: Final = "[--vhost <vhost>] [--priority <priority>] [--apply-to <apply-to>] <name> <pattern> <definition>"
POLICY_OPTIONS: Final = ("priority", "apply-to")
POLICY_COMMANDS: Final = (
    Command(
        "set_policy",
        "Sets or updates a policy",
        OF_POLICY,
        (
            'Setting policy "{name}" for pattern "{pattern}" to "{definition}" with priority "{priority}" '
            'for vhost "{vhost}" ...',
        ),
        options=POLICY_OPTIONS,
        words=POLICY,
    ),
    Command(
        "clear_policy",
        "Clears (removes) a policy",
        "[--vhost <vhost>] <name>",
        ('Clearing policy "{name}" on vhost "{vhost}" ...',),
        options=(),
        words=("name",),
    ),
    Command(
        "list_policies",
        "Lists all policies in a virtual host",
        "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
        ('Listing policies for vhost "{vhost}" ...',),
        "policies",
    ),
    Command(
        "set_operator_policy",
        "Sets an operator policy that overrides a subset of arguments in user policies",
        OF_POLICY,
        (
            'Setting operator policy override "{name}" for pattern "{pattern}" to "{definition}" with priority '
            '"{priority}" for vhost "{vhost}" ...',
        ),
        options=POLICY_OPTIONS,
        words=POLICY,
    ),
    Command(
        "clear_operator_policy",
        "Clears an operator policy",
        "[--vhost <vhost>] <name>",
        ('Clearing operator policy "{name}" on vhost "{vhost}" ...',),
        options=(),
        words=("name",),
    ),
    Command(
        "list_operator_policies",
        "Lists operator policy overrides for a virtual host",
        "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
        ('Listing operator policy overrides for vhost "{vhost}" ...',),
        "operator_policies",
    ),
)
LIMIT_COMMANDS: Final = (
    Command(
        "set_vhost_limits",
        "Sets virtual host limits",
        "[--vhost <vhost>] <definition>",
        ('Setting vhost limits to "{definition}" for vhost "{vhost}" ...',),
        options=(),
        words=("definition",),
    ),
    Command(
        "clear_vhost_limits",
        "Clears virtual host limits",
        "[--vhost <vhost>]",
        ('Clearing vhost "{vhost}" limits ...',),
        options=(),
    ),
    Command(
        "list_vhost_limits",
        "Displays configured virtual host limits",
        "[--vhost <vhost>] [--global] [--no-table-headers]",
        ('Listing limits for vhost "{vhost}" ...',),
        "vhost_limits",
        ("global", "no-table-headers"),
    ),
    Command(
        "set_user_limits",
        "Sets user limits",
        "<username> <definition>",
        ('Setting user limits to "{definition}" for user "{username}" ...',),
        options=(),
        words=("username", "definition"),
    ),
    Command(
        "clear_user_limits",
        "Clears user connection/channel limits",
        "<username> <limit_type> | all",
        ('Clearing "{limit_type}" limit for user "{username}" ...',),
        options=(),
        words=("username", "limit_type"),
    ),
    Command(
        "list_user_limits",
        "Displays configured user limits",
        "[--user <username>] [--global]",
        ('Listing limits for user "{user}" ...',),
        "user_limits",
        ("global", "user", "no-table-headers"),
    ),
)
TRACE_COMMANDS: Final = (
    Command(
        "trace_on",
        "Begins to copy all messages of a virtual host to amq.rabbitmq.trace",
        "[--vhost <vhost>]",
        ('Starting tracing for vhost "{vhost}" ...',),
        options=(),
        outcome="Trace enabled for vhost {vhost}",
    ),
    Command(
        "trace_off",
        "Stops to copy the messages of a virtual host",
        "[--vhost <vhost>]",
        ('Stopping tracing for vhost "{vhost}" ...',),
        options=(),
        outcome="Trace disabled for vhost {vhost}",
    ),
)
OF_PARAMETER: Final = ("component_name", "name", "value")
PARAMETER_COMMANDS: Final = (
    Command(
        "set_parameter",
        "Sets a runtime parameter",
        "[--vhost <vhost>] <component_name> <name> <value>",
        ('Setting runtime parameter "{name}" for component "{component_name}" to "{value}" in vhost "{vhost}" ...',),
        options=(),
        words=OF_PARAMETER,
    ),
    Command(
        "clear_parameter",
        "Clears a runtime parameter",
        "[--vhost <vhost>] <component_name> <name>",
        ('Clearing runtime parameter "{name}" for component "{component_name}" on vhost "{vhost}" ...',),
        options=(),
        words=OF_PARAMETER[:2],
    ),
    Command(
        "list_parameters",
        "Lists runtime parameters for a virtual host",
        "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
        ('Listing runtime parameters for vhost "{vhost}" ...',),
        "parameters",
    ),
    Command(
        "set_global_parameter",
        "Sets a global runtime parameter",
        "<name> <value>",
        ('Setting global runtime parameter "{name}" to "{value}" ...',),
        options=(),
        words=OF_PARAMETER[1:],
    ),
    Command(
        "clear_global_parameter",
        "Clears a global runtime parameter",
        "<name>",
        ('Clearing global runtime parameter "{name}" ...',),
        options=(),
        words=("name",),
    ),
    Command(
        "list_global_parameters",
        "Lists global runtime parameters",
        "[--no-table-headers] [--timeout <timeout>]",
        ("Listing global runtime parameters ...",),
        "global_parameters",
    ),
    Command(
        "set_cluster_name",
        "Sets the cluster name",
        "<name>",
        ("Setting cluster name to {name} ...",),
        options=(),
        words=("name",),
    ),
)
DEFINITIONS_COMMANDS: Final = (
    Command(
        "export_definitions",
        "Exports definitions in JSON, of one virtual host if that is named",
        '[--vhost <vhost>] <file_path | "-"> [--format json]',
        ('Exporting definitions in JSON to a file at "{file}" ...',),
        options=("format",),
        words=("file",),
    ),
    Command(
        "import_definitions",
        "Imports definitions in JSON, into one virtual host if that is named",
        '[--vhost <vhost>] [<file_path> | "-"] [--format json] [--skip-if-unchanged]',
        (
            'Importing definitions in JSON from a file at "{file}" ...',
            "Importing definitions in JSON from standard input ...",
        ),
        options=("format", "skip-if-unchanged"),
        most=1,
    ),
)
OF_VHOST: Final = "[--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]"
OF_NODE: Final = "[--no-table-headers] [<column> ...] [--timeout <timeout>]"
COMMANDS: Final = {
    command.name: command
    for command in (
        Command(
            "list_queues",
            "Lists queues and their properties",
            f"[--online] [--offline] [--local] {OF_VHOST}",
            ("Timeout: {timeout} seconds ...", "Listing queues for vhost {vhost} ..."),
            "queues",
            ("no-table-headers", "online", "offline", "local"),
            most=ANY_NUMBER,
        ),
        Command(
            "list_exchanges",
            "Lists exchanges",
            OF_VHOST,
            ("Listing exchanges for vhost {vhost} ...",),
            "exchanges",
            most=ANY_NUMBER,
        ),
        Command(
            "list_bindings",
            "Lists all bindings on a vhost",
            OF_VHOST,
            ("Listing bindings for vhost {vhost}...",),
            "bindings",
            most=ANY_NUMBER,
        ),
        Command(
            "list_connections",
            "Lists AMQP 0.9.1 connections for the node",
            OF_NODE,
            ("Listing connections ...",),
            "connections",
            most=ANY_NUMBER,
        ),
        Command(
            "list_channels",
            "Lists all channels in the node",
            OF_NODE,
            ("Listing channels ...",),
            "channels",
            most=ANY_NUMBER,
        ),
        Command(
            "list_consumers",
            "Lists all consumers for a vhost",
            OF_VHOST,
            ("Listing consumers in vhost {vhost} ...",),
            "consumers",
            most=ANY_NUMBER,
        ),
        Command(
            "status",
            "Displays status of a node",
            "[--unit <unit>] [--timeout <timeout>]",
            options=("unit",),
            formatters=("table", "pretty_table", "json"),
        ),
        Command(
            "stop",
            "Stops the broker, and returns when it has ended",
            "[--idempotent]",
            options=("idempotent",),
            most=1,
        ),
        Command(
            "peek",
            "Shows the message at a position of a queue, and leaves it there",
            "[--vhost <vhost>] <queue> <position>",
            ("Peeking at queue {queue} at position {position} ...",),
            options=(),
            formatters=("pretty_table", "table", "json"),
            words=("queue", "position"),
        ),
        *POLICY_COMMANDS,
        *LIMIT_COMMANDS,
        *PARAMETER_COMMANDS,
        *DEFINITIONS_COMMANDS,
        *ACCESS_COMMANDS,
        *TRACE_COMMANDS,
        *OBJECT_COMMANDS,
        *NODE_COMMANDS,
        *QUESTIONS,
        *FEATURE_COMMANDS,
        *STOPPING,
        *CHECKS,
        *QUEUE_COMMANDS,
        *MAINTENANCE_COMMANDS,
        *UPGRADE_COMMANDS,
        *CLUSTER_CHECKS,
        *FACT_COMMANDS,
    )
}

WORDS: Final = {
    "name": "name (identifier)",
    "component_name": "component name",
    "value": "the value, must be a valid JSON document",
    "file": "local file path to export to, a dash (-) for standard output",
    "pattern": "regular expression pattern that will be used to match queues and exchanges",
    "definition": "what is set, must be a valid JSON document",
    "username": "the user's name",
    "queue": "name of the queue",
    "position": "position in the queue, starts at 1",
    "limit_type": "must be max-connections or max-channels, or all",
    **ACCESS_WORDS,
    **NODE_WORDS,
    **MAINTENANCE_WORDS,
}


def heading(text: str, bold: bool) -> str:
    """A heading, in bold for a terminal."""
    return f"\x1b[1m{text}\x1b[0m" if bold else text


def usage(command: Command | None, bold: bool) -> list[str]:
    """The usage of a command, or of leveretctl."""
    return [heading("Usage", bold), "", GENERAL_USAGE if command is None else command.usage]


def command_help(command: Command, said: Callable[[str], str]) -> list[str]:
    """What a command does and takes."""
    bold = sys.stdout.isatty()
    text = ["", *map(said, usage(command, bold)), "", f"{command.description}.", ""]
    if command.listing and command.most > len(command.words):
        columns = ", ".join(sorted(COLUMNS[command.listing]))
        text += [heading("Arguments and Options", bold), "", "<column>", f"\tmust be one of {columns}", ""]
    for name in command.words:
        text += [f"<{name}>", f"\t{WORDS[name]}", ""]
    for name, meaning in (
        *ACCESS_OPTIONS,
        *NODE_OPTIONS,
        *MAINTENANCE_OPTIONS,
        ("priority", "policy priority (default: 0)"),
        ("apply-to", "<all | queues | classic_queues | quorum_queues | streams | exchanges> (default: all)"),
        ("global", "lists the limits of all virtual hosts, or of all users"),
        ("user", "the user whose limits are listed (default: guest)"),
        ("format", "the only format that there is, which is the default"),
        ("skip-if-unchanged", "imports nothing if the file is the one that was last imported with this option"),
        ("online", "lists only queues that are available, which all are"),
        ("offline", "lists only queues that are not available, of which there are none; or asks no node"),
        ("local", "lists only queues of this node, which all are"),
        ("no-table-headers", "leaves out the row of column names"),
        ("unit", "<bytes | kb | mb | gb>: unit for sizes (default: gb)"),
        ("idempotent", "returns success if the broker is not running"),
    ):
        if name in command.options:
            text += [f"--{name}", f"\t{meaning}", ""]
    return [*text, heading("General Options", bold), "", *GENERAL_OPTIONS]
