"""The commands of leveretctl that close connections, purge, pause and delete queues, set limits and the log."""

from __future__ import annotations

import re
from typing import Final

from leveret.cli.control_client import DATA_ERROR, UNAVAILABLE, ControlFailure
from leveret.cli.ctl_changes import REQUEST_KEYS, ask
from leveret.cli.ctl_client import connect, node_status, part_of
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_options import Options, UsageError
from leveret.cli.formatters import json_text
from leveret.cli.standard_streams import write

SIZE: Final = re.compile(r"\d+(?:\.\d+)?\s*(?:[kmgtpe]i?b?)?", re.ASCII | re.IGNORECASE)
FRACTION: Final = re.compile(r"\d+(?:\.\d*)?", re.ASCII)


def operate(command: Command, options: Options, words: list[str]) -> int:
    """Have the broker do one of OBJECT_COMMANDS, log otherwise, or take no clients for a while."""
    given = dict(zip(command.words, words, strict=True))
    request: dict[str, object] = {REQUEST_KEYS.get(name, name): word for name, word in given.items()}
    request |= {"command": command.name, "vhost": options.vhost, "everywhere": options.everywhere}
    request |= {"limit": options.limit, "if_empty": options.if_empty, "if_unused": options.if_unused}
    with connect(options) as client:
        node = node_status(client).get("node_name") if "{node}" in "".join(command.banner) else ""
        banner = banner_of(command, options).format(**given, vhost=options.vhost, node=node)
        done = part_of(ask(client, request, [banner] if options.banner else []), "done")
    said = result(command, done)
    if options.formatter == "json":
        value = {} if said is None else {"value": said}
        write([json_text({"node": done.get("node"), "result": "ok", **value})])
    elif said is not None:
        write([said])
    return 0


def banner_of(command: Command, options: Options) -> str:
    """The banner, which depends on the options."""
    [banner] = command.banner
    if command.name == "close_all_connections" and options.everywhere:
        return "Closing all connections to node, reason: {explanation}..."
    if command.name == "delete_queue" and (options.if_empty or options.if_unused):
        conditions = ["queue is empty"] * options.if_empty + ["queue is unused"] * options.if_unused
        return banner.removesuffix(" ...") + f" if {' and if '.join(conditions)} ..."
    return banner


def result(command: Command, done: dict[str, object]) -> str | None:
    """What is said of what was done, if anything is."""
    if command.name == "close_all_connections":
        return f"Closed {done.get('closed')} connections"
    if command.name == "delete_queue":
        return f"Queue was successfully deleted with {done.get('messages')} ready messages"
    return None


def set_limit(command: Command, options: Options, words: list[str]) -> int:
    """Set the limit of memory or of free disk space: a size, or a share of the memory."""
    of_memory = command.name == "set_vm_memory_high_watermark"
    keyword = "absolute" if of_memory else "mem_relative"
    if len(words) == 2 and words[0] != keyword:
        raise bad_argument(command)
    request: dict[str, object] = {"command": command.name}
    value, is_share = words[-1], (len(words) == 2) != of_memory
    if is_share:
        if not FRACTION.fullmatch(value):
            raise bad_argument(command)
        request["fraction"] = float(value)
        if of_memory and float(value) > 1:
            raise bad_argument(command, ": The threshold should be a fraction between 0.0 and 1.0")
    elif SIZE.fullmatch(value):
        request["size"] = value
    else:
        raise bad_argument(command)
    shown = value if is_share and of_memory else f"{value} times the total RAM" if is_share else f"{value} bytes"
    with connect(options) as client:
        node = node_status(client).get("node_name")
        ask(client, request, [command.banner[0].format(node=node, value=shown)] if options.banner else [])
    if options.formatter == "json":
        write([json_text({"node": node, "result": "ok"})])
    return 0


def bad_argument(command: Command, reason: str = "") -> UsageError:
    """The error for a limit that is none."""
    return UsageError(f"Bad argument{reason or '.'}", command, DATA_ERROR)


def start_app(command: Command, options: Options, _words: list[str]) -> int:
    """Nothing is left to do if the broker runs."""
    with connect(options) as client:
        node = node_status(client).get("node_name")
    if options.banner:
        write([command.banner[0].format(node=node)])
    return 0


def stop_app(_command: Command, _options: Options, _words: list[str]) -> int:
    """There is no process around the broker that could go on without it."""
    raise ControlFailure(
        UNAVAILABLE,
        "a broker can't be stopped without its process: use stop, and have the process started again by its supervisor",
        "Error:\n",
    )
