"""The commands that set and clear policies, limits and parameters and switch tracing, and those that show limits.

They end when the broker says that the change is in effect and on the disk.
"""

from __future__ import annotations

from typing import Final

from leveret.cli.control_client import DATA_ERROR, SOFTWARE, UNAVAILABLE, Client, ControlFailure
from leveret.cli.ctl_client import connect
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_options import Options
from leveret.cli.ctl_output import write
from leveret.cli.formatters import Row, json_text, lines

LIMITS: Final = ("vhost_limits", "user_limits")
NO_LIMITS: Final = "{}"
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
        done = ask(client, request, [banner] if options.banner else []).get("done")
    if not isinstance(done, dict):
        raise ControlFailure(SOFTWARE, "the broker's answer is not understood")
    outcome = command.outcome.format(vhost=options.vhost)
    if options.formatter == "json":
        said = {"value": outcome} if outcome else {}
        write([json_text({"node": done.get("node"), "result": "ok", **said})])
    elif outcome:
        show_alone(outcome, options)
    return 0


def show_limits(command: Command, options: Options) -> int:
    """The limits of a virtual host or a user, or of all that have any."""
    of_vhosts = command.listing == "vhost_limits"
    owner = "vhost" if of_vhosts else "user"
    banner = [line.format(vhost=options.vhost, user=options.user) for line in command.banner]
    if options.everywhere:
        banner = [f"Listing limits for all {owner}s ..."]
    with connect(options) as client:
        request: dict[str, object] = {"command": command.name, "columns": [owner, "limits"]}
        rows = rows_of(ask(client, request, banner if options.banner else []))
        if options.everywhere:
            set_ones = [row for row in rows if row[1] != NO_LIMITS]
            write(lines(options.formatter, [owner, "limits"], set_ones, options.headers and not options.silent))
            return 0
        limits = {str(name): str(value) for name, value in rows}
        if of_vhosts:
            show_vhost_limits(limits.get(options.vhost), client, options)
        else:
            show_user_limits(limits.get(options.user), options)
    return 0


def show_vhost_limits(limits: str | None, client: Client, options: Options) -> None:
    """The limits of one virtual host, None if there is no such one; nothing if it has none."""
    if limits is None:
        raise ControlFailure(DATA_ERROR, f"Virtual host '{options.vhost}' does not exist", "")
    if options.formatter == "json":
        if limits == NO_LIMITS:
            write(["[]"])
            return
        status = client.ask({"command": "status"}).get("status")
        node = status.get("node_name") if isinstance(status, dict) else None
        write([json_text({"node": node, "result": "ok", "value": limits})])
    elif limits != NO_LIMITS:
        show_alone(limits, options)


def show_user_limits(limits: str | None, options: Options) -> None:
    """The limits of one user, None if there is no such one."""
    if limits is None:
        raise ControlFailure(UNAVAILABLE, f'{{:no_such_user, "{options.user}"}}', "Error:\n")
    if options.formatter == "json":
        write([json_text({"message": limits})])
    else:
        show_alone(limits, options)


def show_alone(text: str, options: Options) -> None:
    """A text that is no listing."""
    write(lines("pretty_table", ["Output"], [[text]], True) if options.formatter == "pretty_table" else [text])


def rows_of(answer: dict[str, object]) -> list[Row]:
    """The rows of a listing, or ControlFailure."""
    rows = answer.get("rows")
    if not isinstance(rows, list):
        raise ControlFailure(SOFTWARE, "the broker's answer is not understood")
    return rows
