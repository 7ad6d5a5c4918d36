"""By which name leveretctl is called, and which commands there are under it.

RabbitMQ has several programs. Each of their names may be a link to leveretctl; scripts and probes that call them work.
Called by its own name it has the commands of all but rabbitmq-plugins, whose commands have names too general for that.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from leveret.cli.ctl_command import Command
from leveret.cli.ctl_commands import COMMANDS
from leveret.cli.ctl_maintenance_commands import CLUSTER_CHECKS, FACT_COMMANDS, UPGRADE_COMMANDS
from leveret.cli.ctl_node_commands import CHECKS, PLUGIN_COMMANDS, QUEUE_COMMANDS

OWN_NAME: Final = "leveretctl"
OF_LEVERET: Final = {  # as commands of leveret
    "leveret ctl": OWN_NAME,
    "leveret diagnostics": "rabbitmq-diagnostics",
    "leveret queues": "rabbitmq-queues",
    "leveret plugins": "rabbitmq-plugins",
    "leveret upgrade": "rabbitmq-upgrade",
}
ALSO_DIAGNOSTICS: Final = ("ping", "status", "cluster_status", "environment", "report")
SIZE: Final = "has_reached_target_cluster_size"
ONLY_DIAGNOSTICS: Final = tuple(command.name for command in (*CHECKS, *CLUSTER_CHECKS, *FACT_COMMANDS))
ONLY_QUEUES: Final = ("peek", *(command.name for command in QUEUE_COMMANDS))
ONLY_UPGRADE: Final = tuple(command.name for command in UPGRADE_COMMANDS)
ALSO_QUEUES: Final = ("check_if_node_is_quorum_critical",)


class Program:
    """One of the programs: how it calls itself, and its commands by their names."""

    def __init__(self, name: str, commands: dict[str, Command]) -> None:
        self.name: Final = name
        self.commands: Final = commands

    def said(self, text: str) -> str:
        """A text of the help with the name of this program."""
        return text.replace(OWN_NAME, self.name)


def is_diagnostic(name: str) -> bool:
    """Whether rabbitmq-diagnostics has a command."""
    return name in ONLY_DIAGNOSTICS or name in ALSO_DIAGNOSTICS or name.startswith("list_")


def program(name: str) -> Program:
    """The program that is called so."""
    name = PurePath(name).name
    kind = OF_LEVERET.get(name, name)
    if kind == "rabbitmqctl":
        hidden = {*ONLY_DIAGNOSTICS, *ONLY_QUEUES, *ONLY_UPGRADE} - {SIZE}
        return Program(name, {key: value for key, value in COMMANDS.items() if key not in hidden})
    if kind == "rabbitmq-diagnostics":
        return Program(name, {key: value for key, value in COMMANDS.items() if is_diagnostic(key)})
    if kind == "rabbitmq-queues":
        return Program(name, {key: COMMANDS[key] for key in (*ONLY_QUEUES, *ALSO_QUEUES)})
    if kind == "rabbitmq-upgrade":
        return Program(name, {key: COMMANDS[key] for key in (*ONLY_UPGRADE, SIZE)})
    if kind == "rabbitmq-plugins":
        return Program(name, {command.name: command for command in PLUGIN_COMMANDS})
    return Program(name if kind != name else OWN_NAME, COMMANDS)
