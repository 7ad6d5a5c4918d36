"""The commands that set and clear policies, limits and parameters and switch tracing.

They end when the broker says that the change is in effect and on the disk.
"""

from __future__ import annotations

from typing import Final

from leveret.cli.control_client import Client, ControlFailure
from leveret.cli.ctl_client import connect, part_of
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_options import Options
from leveret.cli.formatters import json_text, lines
from leveret.cli.standard_streams import write

REQUEST_KEYS: Final = {
    "username": "user",
    "limit_type": "limit",
    "component_name": "component",
}  # where they differ from the words of the usage


def ask(client: Client, request: dict[str, object], banner: list[str], octets: bytes = b"") -> dict[str, object]:
    """The broker's answer. The banner is printed if there is one, also one that refuses what is asked for."""
    try:
        answer = client.ask(request, octets)
    except ControlFailure as failure:
        if failure.is_refusal:
            write(banner)
        raise
    write(banner)
    return answer


def change(command: Command, options: Options, words: list[str]) -> int:
    """Have the broker change something."""
    given = dict(zip(command.words, words, strict=True))
    request: dict[str, object] = {REQUEST_KEYS.get(name, name): word for name, word in given.items()}
    request |= {"command": command.name, "vhost": options.vhost}
    if "priority" in command.options:
        request |= {"priority": options.priority, "apply_to": options.apply_to}
    [banner] = command.banner
    if given.get("limit_type") == "all":
        banner = banner.replace('"{limit_type}" limit', "all limits")
    banner = banner.format(**given, vhost=options.vhost, priority=options.priority)
    with connect(options) as client:
        done = part_of(ask(client, request, [banner] if options.banner else []), "done")
    outcome = command.outcome.format(vhost=options.vhost)
    if options.formatter == "json":
        said = {"value": outcome} if outcome else {}
        write([json_text({"node": done.get("node"), "result": "ok", **said})])
    elif outcome:
        show_alone(outcome, options)
    return 0


def show_alone(text: str, options: Options) -> None:
    """A text that is no listing."""
    write(lines("pretty_table", ["Output"], [[text]], True) if options.formatter == "pretty_table" else [text])
