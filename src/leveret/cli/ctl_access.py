"""The commands of leveretctl that change users, virtual hosts and permissions, and those that check passwords.

A password that is not among the arguments, where other users of the machine could see it, is read from standard input.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from leveret.cli.control_client import DATA_ERROR, SOFTWARE, ControlFailure
from leveret.cli.ctl_changes import ask
from leveret.cli.ctl_client import connect, part_of
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_options import Options, UsageError
from leveret.cli.formatters import json_text
from leveret.cli.standard_streams import write

WITH_PASSWORD: Final = ("add_user", "change_password", "authenticate_user", "hash_password")
WITH_METADATA: Final = ("add_vhost", "update_vhost_metadata")
NO_PASSWORD: Final = "Password is not provided via argument or stdin"
ADDED: Final = (
    "Done. Don't forget to grant the user permissions to some virtual hosts! "
    "See 'rabbitmqctl help set_permissions' to learn more."
)


def access(command: Command, options: Options, words: list[str]) -> int:
    """Do what one of these commands says. Raises UsageError, ControlFailure."""
    given = dict(zip(command.words, words, strict=False))
    rest = words[len(command.words) :]
    check(command, options, given)
    request = {"command": command.name, "vhost": options.vhost} | requested(command, options, given, rest)
    banner = banners(command, options, given, rest)
    if command.name in WITH_PASSWORD:
        if rest:
            request["password"] = rest[0]
        else:
            write(banner if command.words else [])
            request["password"] = read_password(command, options)
            banner = []
    if command.name == "hash_password":
        write(banner)
        return show_hash(str(request["password"]), options)
    with connect(options) as client:
        done = part_of(ask(client, request, banner), "done")
    show_done(command, options, done.get("node"))
    return 0


def check(command: Command, options: Options, given: dict[str, str]) -> None:
    """UsageError for arguments that mean nothing to any broker."""
    if command.name == "add_user" and given["username"] == "":
        raise UsageError("Bad argument: user cannot be an empty string", command, DATA_ERROR)
    metadata = (options.description, options.tags, options.default_queue_type)
    if command.name == "update_vhost_metadata" and metadata == (None, None, None):
        raise UsageError("not enough arguments.", command)
    if options.default_queue_type not in (None, "quorum", "classic"):
        raise UsageError(
            f"Bad argument: Default queue type must be one of: quorum, classic. Provided: {options.default_queue_type}",
            command,
            DATA_ERROR,
        )


def requested(command: Command, options: Options, given: dict[str, str], rest: list[str]) -> dict[str, object]:
    """What the broker is asked, besides the command, its virtual host and a password."""
    request: dict[str, object] = {"user" if name == "username" else name: word for name, word in given.items()}
    if command.name in ("set_user_tags", "set_vhost_tags"):
        request["tags"] = rest
    elif command.name in WITH_METADATA:
        tags = options.tags
        request["description"] = options.description
        request["tags"] = None if tags is None else [tag.strip() for tag in tags.split(",") if tag.strip()]
        request["default_queue_type"] = options.default_queue_type
    elif command.name == "clear_topic_permissions":
        request["exchange"] = rest[0] if rest else None
    elif command.name == "add_user":
        request["hashed"] = options.pre_hashed
    return request


def banners(command: Command, options: Options, given: dict[str, str], rest: list[str]) -> list[str]:
    """What is printed before anything else, if anything is."""
    if not options.banner:
        return []
    names = {"vhost": options.vhost, "tags": ", ".join(rest)} | given
    if rest:
        names |= {"exchange": rest[0], "password": rest[0]}
    of_one = command.name == "clear_topic_permissions" and rest
    return [command.banner[1 if of_one else 0].format(**names)] if rest or command.words else []


def read_password(command: Command, options: Options) -> str:
    """A password from standard input, which a terminal doesn't show."""
    prompt = "" if options.quiet else "Password: "
    if sys.stdin is not None and sys.stdin.isatty():
        from getpass import getpass  # which talks to the terminal

        return getpass(prompt)
    if prompt and options.banner:
        write([prompt])
    line = sys.stdin.buffer.readline() if sys.stdin is not None else b""
    if not line:
        status = DATA_ERROR if command.name == "add_user" else SOFTWARE
        raise ControlFailure(status, NO_PASSWORD, "Error:\n")
    return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")


def show_hash(password: str, options: Options) -> int:
    """The hash of a password, as definitions have it."""
    from leveret.broker.passwords import SALT, hashed  # of the broker, and not needed for anything else

    text = hashed(password.encode("utf-8", "surrogateescape"), os.urandom(SALT))
    write([json_text({"message": text}) if options.formatter == "json" else text])
    return 0


def show_done(command: Command, options: Options, node: object) -> None:
    """What is printed when all went well."""
    as_json = options.formatter == "json"
    if command.name == "add_user":
        if as_json:
            write([json_text({"message": ADDED, "node": node, "status": "ok"})])
        elif options.banner:
            write([ADDED])
    elif command.name == "authenticate_user":
        write([json_text({"message": "Success"}) if as_json else "Success"])
    elif as_json:
        write([json_text({"node": node, "result": "ok"})])
