"""What does each of the commands of `ctl_node_commands`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from leveret.cli.ctl_certificates import certificate_expiration
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_diagnostics import QUESTIONS, diagnose
from leveret.cli.ctl_node_commands import OBJECT_COMMANDS, PLUGIN_COMMANDS
from leveret.cli.ctl_operations import operate, set_limit, start_app, stop_app
from leveret.cli.ctl_options import Options
from leveret.cli.ctl_peek import quorum_status
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

ACTIONS: Final[dict[str, Callable[[Command, Options, list[str]], int]]] = {
    **dict.fromkeys((command.name for command in OBJECT_COMMANDS), operate),
    **dict.fromkeys((command.name for command in PLUGIN_COMMANDS), plugins),
    **dict.fromkeys(QUESTIONS, diagnose),
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
}
