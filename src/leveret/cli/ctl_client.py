"""Whom a command asks: the broker of the data folder by its control socket, or with --url one by its HTTP API."""

from __future__ import annotations

from leveret.cli.control_client import SOFTWARE, Client, ControlClient, ControlFailure
from leveret.cli.ctl_options import Options
from leveret.cli.formatters import Row


def connect(options: Options) -> Client:
    """The broker that is meant. Raises ControlFailure, TimeoutError."""
    if options.url is not None:
        from leveret.cli.remote_client import RemoteClient  # takes its time to load, and is wanted by few

        return RemoteClient(options.url, options.timeout)
    return ControlClient(options.data_dir, options.timeout)


def whom(options: Options) -> str:
    """Who is asked, for people."""
    if options.url is not None:
        return f"the HTTP API at {without_password(options.url)}"
    return f"the broker with the data folder {options.data_dir.absolute()}"


def without_password(url: str) -> str:
    """A URL that may be shown; it may be one in which something is wrong."""
    before, at, place = url.rpartition("@")
    scheme, colon, _ = before.partition("://")
    return url if not at else f"{scheme}://...@{place}" if colon else f"...@{place}"


def node_status(client: Client) -> dict[str, object]:
    """The status of the node."""
    return part_of(client.ask({"command": "status"}), "status")


def part_of(answer: dict[str, object], key: str) -> dict[str, object]:
    """What stands under a key of an answer, or ControlFailure."""
    part = answer.get(key)
    if not isinstance(part, dict):
        raise not_understood()
    return part


def rows_of(answer: dict[str, object]) -> list[Row]:
    """The rows of a listing, or ControlFailure."""
    rows = answer.get("rows")
    if not isinstance(rows, list):
        raise not_understood()
    return rows


def not_understood() -> ControlFailure:
    """The error for an answer that is none."""
    return ControlFailure(SOFTWARE, "the broker's answer is not understood")
