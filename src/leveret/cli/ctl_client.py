"""Whom a command asks: the broker of the data folder by its control socket, or with --url one by its HTTP API."""

from __future__ import annotations

from leveret.cli.control_client import Client, ControlClient
from leveret.cli.ctl_options import Options


def connect(options: Options) -> Client:
    """The broker that is meant. Raises ControlFailure, TimeoutError."""
    if options.url is not None:
        from leveret.cli.remote_client import RemoteClient  # takes its time to load, and is wanted by few

        return RemoteClient(options.url, options.timeout)
    return ControlClient(options.data_dir, options.timeout)


def node_status(client: Client) -> dict[str, object]:
    """The status of the node."""
    status = client.ask({"command": "status"}).get("status")
    return status if isinstance(status, dict) else {}
