"""The commands of leveretctl that export and import definitions. Files are read and written here, not by the broker."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from leveret.cli.control_client import DATA_ERROR
from leveret.cli.ctl_changes import ask
from leveret.cli.ctl_client import connect, part_of
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_options import Options, UsageError
from leveret.cli.formatters import json_text
from leveret.cli.standard_streams import write

STANDARD_STREAM: Final = "-"
MODE: Final = 0o600  # of a new file: there are hashes of passwords in it


def export_definitions(command: Command, options: Options, words: list[str]) -> int:
    """Write the definitions to a file, or to standard output and nothing else."""
    check_format(command, options)
    [file] = words
    path = Path(file)
    if file != STANDARD_STREAM and not path.parent.is_dir():
        raise UsageError(f"Bad argument: Directory {path.parent} does not exist", command, DATA_ERROR)
    banner = [command.banner[0].format(file=file)] if options.banner and file != STANDARD_STREAM else []
    with connect(options) as client:
        request: dict[str, object] = {"command": command.name, "vhost": options.vhost_if_given}
        definitions = part_of(ask(client, request, banner), "definitions")
    text = json_text(definitions)
    if file == STANDARD_STREAM:
        write([text])
        return 0
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE), "w", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise UsageError(f"Bad argument: cannot write {file}: {error.strerror}", command, DATA_ERROR) from None
    return 0


def import_definitions(command: Command, options: Options, words: list[str]) -> int:
    """Have the broker take in a file, or what comes from standard input."""
    check_format(command, options)
    file = words[0] if words else STANDARD_STREAM
    of_file, of_stream = command.banner
    octets = read_file(command, file)
    banner = of_stream if file == STANDARD_STREAM else of_file.format(file=file)
    request: dict[str, object] = {
        "command": command.name,
        "vhost": options.vhost_if_given,
        "octets": len(octets),
        "skip_if_unchanged": options.skip_if_unchanged,
    }
    with connect(options) as client:
        done = part_of(ask(client, request, [banner] if options.banner else [], octets), "done")
    warnings = done.get("warnings")
    write([f"Warning: {warning}" for warning in (warnings if isinstance(warnings, list) else [])], sys.stderr)
    if options.banner:
        write([f"Definitions were imported: {done.get('changed')} objects were added or changed"])
    return 0


def check_format(command: Command, options: Options) -> None:
    """UsageError for RabbitMQ's other format, which is Erlang's own."""
    if options.format != "json":
        raise UsageError("Bad argument: Format should be json", command, DATA_ERROR)


def read_file(command: Command, file: str) -> bytes:
    """What is to be imported."""
    if file == STANDARD_STREAM:
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except FileNotFoundError:
        raise UsageError(f"Bad argument: File {file} does not exist", command, DATA_ERROR) from None
    except OSError as error:
        raise UsageError(f"Bad argument: cannot read {file}: {error.strerror}", command, DATA_ERROR) from None
