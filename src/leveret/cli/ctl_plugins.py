"""What rabbitmq-plugins does here, for scripts that call it: nothing. What there is of RabbitMQ's plugins is built in.

None of it needs a broker, so it works while an image is built.
"""

from __future__ import annotations

import fnmatch
import sys
from typing import Final

from leveret import __version__
from leveret.cli.control_client import UNAVAILABLE, ControlFailure
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_options import Options
from leveret.cli.formatters import json_text
from leveret.cli.standard_streams import write

BUILT_IN: Final = (
    "rabbitmq_auth_mechanism_ssl",
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_delayed_message_exchange",
    "rabbitmq_event_exchange",
    "rabbitmq_management",
    "rabbitmq_management_agent",
    "rabbitmq_message_deduplication",
    "rabbitmq_prometheus",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
)


def plugins(command: Command, options: Options, words: list[str]) -> int:
    """Do what one of these commands does. Raises ControlFailure for a plugin that is not there."""
    if command.name == "list":
        return list_plugins(options, words[0] if words else "")
    missing = [word for word in words if word not in BUILT_IN]
    if command.name == "is_enabled":
        if missing:
            raise ControlFailure(UNAVAILABLE, f"{named(missing)} not enabled: it is not built in", "Error:\n")
        write([json_text({"result": "ok"}) if options.formatter == "json" else f"{named(words)} enabled"])
        return 0
    if missing and command.name != "disable":
        write([f"Warning: {named(missing)} not built in, nothing is changed"], sys.stderr)
    if options.formatter == "json":
        enabled = list(BUILT_IN)
        write([json_text({"mode": "online", "enabled": enabled, "started": [], "stopped": [], "set": enabled})])
    elif not options.quiet:
        write(["Plugin configuration unchanged."])
    return 0


def named(words: list[str]) -> str:
    """The subject of a sentence about plugins."""
    return f"Plugin {words[0]} is" if len(words) == 1 else f"Plugins {', '.join(words)} are"


def list_plugins(options: Options, pattern: str) -> int:
    """Those that are built in and have the pattern in their name."""
    found = [name for name in BUILT_IN if pattern in name or fnmatch.fnmatch(name, pattern)]
    if options.formatter == "json":
        rows = [
            {
                "name": name,
                "version": __version__,
                "running_version": __version__,
                "enabled": "enabled",
                "running": True,
            }
            for name in found
        ]
        write([json_text({"plugins": rows, "status": "running", "format": "normal"})])
    elif options.minimal:
        write(found)
    else:
        banner = [] if options.quiet else [f'Listing plugins with pattern "{pattern or ".*"}" ...']
        write(
            [*banner, " Configured: E = explicitly enabled; e = implicitly enabled", " | Status: * = built in", " |/"]
        )
        write(f"[E*] {name:<34} {__version__}" for name in found)
    return 0
