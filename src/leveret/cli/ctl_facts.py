"""What does those commands of rabbitmq-diagnostics that tell of the node's surroundings: certificates, TLS, its log,
environment and command line, and the policies that match a name.
"""

from __future__ import annotations

import socket
from collections import deque
from pathlib import Path
from typing import Any, Final

from leveret.cli.control_client import DATA_ERROR, SOFTWARE, UNAVAILABLE, USAGE, ControlFailure
from leveret.cli.ctl_changes import ask
from leveret.cli.ctl_client import connect, node_status, rows_of
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_maintenance import files_of
from leveret.cli.ctl_options import Options, UsageError
from leveret.cli.formatters import json_text, lines
from leveret.cli.standard_streams import write
from leveret.cli.status_report import listeners as listener_lines
from leveret.management.columns import DEFAULT_COLUMNS

OPENSSL: Final = ("openssl", "json")  # the latter is the option's own default
NO_VARIABLES: Final = "(none)"
FAMILIES: Final = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


def asked_of_node(command: Command, request: str, options: Options, **known: object) -> dict[str, Any]:
    """What the broker says, with the banner printed."""
    with connect(options) as client:
        node = node_status(client).get("node_name")
        banner = [line.format(node=node, **known) for line in command.banner]
        done = ask(client, {"command": request}, banner if options.banner else []).get("done")
    if not isinstance(done, dict):
        raise ControlFailure(SOFTWARE, "the broker's answer is not understood")
    return done


def show(options: Options, text: list[str], value: object) -> int:
    """Print a text, or its value as JSON."""
    write([json_text(value)] if options.formatter == "json" else text)
    return 0


def certificates(command: Command, options: Options, _words: list[str]) -> int:
    """Those of every listener with TLS."""
    found: list[dict[str, Any]] = asked_of_node(command, command.name, options)["certificates"]
    text: list[str] = []
    for each, line in zip(found, listener_lines(found), strict=True):
        text += [line, "", "Certificate:", each["certfile"].rstrip("\n"), ""]
        text += ["Authorities:", each["cacertfile"].rstrip("\n"), ""] if each["cacertfile"] else []
    return show(options, text or ["No listener has TLS"], found)


def tls_versions(command: Command, options: Options, _words: list[str]) -> int:
    """The versions that the broker's TLS library has."""
    versions = asked_of_node(command, "tls", options)["versions"]
    return show(options, versions, {"versions": versions})


def cipher_suites(command: Command, options: Options, _words: list[str]) -> int:
    """The cipher suites of the broker's TLS library, by OpenSSL's names; there are no other names for them here."""
    if options.format not in OPENSSL:
        raise UsageError("Bad argument: Format should be openssl, there is no other here", command, DATA_ERROR)
    names = asked_of_node(command, "tls", options)["all_cipher_suites" if options.all else "cipher_suites"]
    return show(options, names, names)


def os_env(command: Command, options: Options, _words: list[str]) -> int:
    """The variables of the broker's process."""
    done = asked_of_node(command, command.name, options)
    variables: dict[str, str] = done["variables"]
    text = [f"{name}={value}" for name, value in variables.items()]
    return show(options, text or [NO_VARIABLES], {"node": done["node"], "result": "ok", "variables": variables})


def command_line_arguments(command: Command, options: Options, _words: list[str]) -> int:
    """How the broker's process was started."""
    done = asked_of_node(command, command.name, options)
    return show(options, [done["arguments"]], {"node": done["node"], "result": "ok", "value": done["arguments"]})


def list_policies_that_match(command: Command, options: Options, words: list[str]) -> int:
    """The policies that match a name, the one that applies first."""
    if options.object_type not in ("queue", "exchange"):
        raise UsageError(f"--object-type {options.object_type} is not supported, use one of queue, exchange", command)
    given = {"name": words[0], "vhost": options.vhost, "object_type": options.object_type}
    columns = list(DEFAULT_COLUMNS["policies"])
    banner = [line.format(**given) for line in command.banner] if options.banner else []
    with connect(options) as client:
        try:
            done = ask(client, {"command": command.name, **given}, banner).get("done")
        except ControlFailure as failure:
            if options.formatter != "json" or failure.status != UNAVAILABLE or not failure.is_refusal:
                raise
            missing = {"result": "error", "message": "object (queue, exchange) not found", "policies": []}
            return show(options, [], missing)
        names = done.get("names", []) if isinstance(done, dict) else []
        request: dict[str, object] = {"command": "list_policies", "vhost": options.vhost, "columns": columns}
        found = {str(row[columns.index("name")]): row for row in rows_of(client.ask(request))} if names else {}
    rows = [found[name] for name in names if name in found]
    if options.formatter == "json":
        policies = [dict(zip(columns, row, strict=True)) for row in rows]
        write([json_text({"result": "ok", "policies": policies})])
    elif rows:
        write(lines(options.formatter, columns, rows, options.headers and not options.silent))
    return 0


# on this machine


def log_tail(command: Command, options: Options, _words: list[str]) -> int:
    """The last lines of the broker's first log file, which is on this machine."""
    if options.url is not None:
        raise ControlFailure(
            USAGE, f"{command.name} can't be done with --url: the HTTP API does not have it", "Error:\n"
        )
    with connect(options) as client:
        status: dict[str, Any] = node_status(client)
    if options.banner:
        write([line.format(number=options.number, node=status["node_name"]) for line in command.banner])
    files = files_of(status["log_files"])
    if not files:
        raise ControlFailure(UNAVAILABLE, "No log files configured on the node", "Error:\n")
    found = tail(Path(files[0]), options.number)
    if options.formatter == "json":
        write(lines("json", ["message"], [[line] for line in found], False))
    else:
        write(found)
    return 0


def tail(file: Path, number: int) -> list[str]:
    """The last so many lines of a file; no more is kept in memory. Raises ControlFailure."""
    try:
        with file.open(encoding="utf-8", errors="replace", newline="\n") as opened:
            return [line.rstrip("\n") for line in deque(opened, number)]
    except OSError as error:
        raise ControlFailure(UNAVAILABLE, f"{file} can't be read: {error.strerror}", "Error:\n") from None


def resolve_hostname(command: Command, options: Options, words: list[str]) -> int:
    """The addresses that a name has on this machine, which is the broker's unless --offline or --url are given."""
    name, family = words[0], options.address_family
    if family.lower() not in FAMILIES:
        raise UsageError(
            f"Bad argument: unsupported IP address family {family}. Valid values are: ipv4, ipv6", command, DATA_ERROR
        )
    node = None
    if not options.on_this_machine:
        if options.url is not None:
            raise ControlFailure(USAGE, f"{command.name} can't be done with --url but with --offline", "Error:\n")
        with connect(options) as client:
            node = node_status(client).get("node_name")
    if options.banner:
        asked = f"Resolving hostname {name}" if node is None else f"Asking node {node} to resolve hostname {name}"
        write([f"{asked} to {family} addresses..."])
    try:
        found = socket.getaddrinfo(name, None, FAMILIES[family.lower()], socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        text = "Hostname does not resolve (resolution failed with an nxdomain)"
        raise ControlFailure(DATA_ERROR, text, "Error:\n") from None
    addresses = [str(address[0]) for *_, address in found]
    whole = {"address_family": family, "addresses": addresses, "hostname": name, "node": node, "result": "ok"}
    return show(options, addresses, whole)
