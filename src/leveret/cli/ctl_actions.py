"""What does each of the commands of leveretctl: the one table from their names to functions.

Each is given the command, the options and the words behind the command's name, prints, and gives the exit status. It
raises UsageError for arguments that mean nothing, ControlFailure, and TimeoutError.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from leveret.cli.ctl_access import access
from leveret.cli.ctl_access_commands import ACCESS_COMMANDS
from leveret.cli.ctl_certificates import certificate_expiration
from leveret.cli.ctl_changes import change
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_commands import (
    COMMANDS,
    LIMIT_COMMANDS,
    PARAMETER_COMMANDS,
    POLICY_COMMANDS,
    TRACE_COMMANDS,
)
from leveret.cli.ctl_definitions import export_definitions, import_definitions
from leveret.cli.ctl_diagnostics import QUESTIONS, diagnose
from leveret.cli.ctl_facts import (
    certificates,
    cipher_suites,
    command_line_arguments,
    list_policies_that_match,
    log_tail,
    os_env,
    resolve_hostname,
    tls_versions,
)
from leveret.cli.ctl_listings import show_limits, show_listing
from leveret.cli.ctl_maintenance import SINGLE_NODE_QUESTIONS, await_online_nodes, restart_vhost
from leveret.cli.ctl_node import show_status, stop
from leveret.cli.ctl_node_commands import OBJECT_COMMANDS, PLUGIN_COMMANDS
from leveret.cli.ctl_operations import operate, set_limit, start_app, stop_app
from leveret.cli.ctl_options import Options
from leveret.cli.ctl_peek import quorum_status, show_message
from leveret.cli.ctl_plugins import plugins
from leveret.cli.ctl_reports import (
    await_startup,
    cluster_status,
    enable_feature_flag,
    environment,
    list_deprecated_features,
    list_feature_flags,
    list_unresponsive_queues,
    report,
    show_names,
    wait,
)

CHANGES: Final = (*POLICY_COMMANDS, *LIMIT_COMMANDS, *TRACE_COMMANDS, *PARAMETER_COMMANDS)

ACTIONS: Final[dict[str, Callable[[Command, Options, list[str]], int]]] = {
    **dict.fromkeys((command.name for command in CHANGES), change),
    **dict.fromkeys((command.name for command in ACCESS_COMMANDS), access),
    **dict.fromkeys((command.name for command in COMMANDS.values() if command.listing), show_listing),
    "list_vhost_limits": show_limits,
    "list_user_limits": show_limits,
    "export_definitions": export_definitions,
    "import_definitions": import_definitions,
    "status": show_status,
    "stop": stop,
    "shutdown": stop,
    "peek": show_message,
    **dict.fromkeys((command.name for command in OBJECT_COMMANDS), operate),
    **dict.fromkeys((command.name for command in PLUGIN_COMMANDS), plugins),
    **{name: partial(diagnose, question) for name, question in (QUESTIONS | SINGLE_NODE_QUESTIONS).items()},
    "set_vm_memory_high_watermark": set_limit,
    "set_disk_free_limit": set_limit,
    "set_log_level": operate,
    "rotate_logs": operate,
    "check_certificate_expiration": certificate_expiration,
    "start_app": start_app,
    "stop_app": stop_app,
    "await_startup": await_startup,
    "wait": wait,
    "cluster_status": cluster_status,
    "environment": environment,
    "report": report,
    "list_hashes": show_names,
    "list_ciphers": show_names,
    "list_feature_flags": list_feature_flags,
    "enable_feature_flag": enable_feature_flag,
    "list_deprecated_features": list_deprecated_features,
    "list_unresponsive_queues": list_unresponsive_queues,
    "quorum_status": quorum_status,
    "suspend_listeners": operate,
    "resume_listeners": operate,
    "drain": operate,
    "revive": operate,
    "force_gc": operate,
    "await_online_nodes": await_online_nodes,
    "restart_vhost": restart_vhost,
    "list_policies_that_match": list_policies_that_match,
    "certificates": certificates,
    "tls_versions": tls_versions,
    "cipher_suites": cipher_suites,
    "log_tail": log_tail,
    "os_env": os_env,
    "command_line_arguments": command_line_arguments,
    "resolve_hostname": resolve_hostname,
}
