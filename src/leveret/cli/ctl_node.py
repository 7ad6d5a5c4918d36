"""The commands status and stop of leveretctl."""

from __future__ import annotations

import sys

from leveret.cli.control_client import UNAVAILABLE, ControlFailure
from leveret.cli.ctl_client import connect, node_status
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_options import Options
from leveret.cli.formatters import json_text
from leveret.cli.standard_streams import flush, write
from leveret.cli.status_report import status_report


def show_status(_command: Command, options: Options, _words: list[str]) -> int:
    """The node's status, for people or as JSON."""
    with connect(options) as client:
        status = node_status(client)
    if options.formatter == "json":
        write([json_text(status)])
        return 0
    if not options.quiet:
        write([f"Status of node {status.get('node_name')} ..."])
    write(status_report(status, options.unit, bold=sys.stdout.isatty()))
    return 0


def stop(_command: Command, options: Options, _words: list[str]) -> int:
    """Stop the broker, and return when it has ended."""
    try:
        with connect(options) as client:
            stopping = client.stop().get("stopping")
            node = stopping.get("node") if isinstance(stopping, dict) else None
            if not options.quiet:
                write([f"Stopping and halting node {node} ..."])
                flush()
            if options.waits:
                client.wait_for_end()
    except ControlFailure as failure:
        if failure.status != UNAVAILABLE or not options.idempotent:
            raise
        if not options.quiet:
            write([f"No broker is running with the data folder {options.data_dir.absolute()}"])
    return 0
