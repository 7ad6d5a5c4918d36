"""check_certificate_expiration, with the words and the exit statuses of rabbitmq-diagnostics.

What is found is printed as Elixir shows it, since that is what rabbitmq-diagnostics prints and scripts look for.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from leveret.cli.control_client import UNAVAILABLE, ControlFailure
from leveret.cli.ctl_client import connect, node_status
from leveret.cli.ctl_command import Command
from leveret.cli.ctl_options import Options
from leveret.cli.formatters import json_text
from leveret.cli.standard_streams import write
from leveret.management.periods import SECONDS

ATOMS: Final = ("node", "protocol")
PLAIN_ATOM: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_@]*")


def certificate_expiration(command: Command, options: Options, _words: list[str]) -> int:
    """Fails with status 69 if a certificate ends within the time that is asked for. Raises ControlFailure."""
    period = {"within": options.within, "unit": options.unit}  # which is what the HTTP API is asked
    request: dict[str, object] = {"command": command.name, "seconds": options.within * SECONDS[options.unit], **period}
    with connect(options) as client:
        done = client.ask(request).get("done")
        node = done.get("node") if isinstance(done, dict) else node_status(client).get("node_name")
    if options.banner:
        write([line.format(node=node) for line in command.banner])
    found: list[dict[str, Any]] = done.get("expired", []) if isinstance(done, dict) else []
    if not found:
        unit = options.unit.removesuffix("s") if options.within == 1 else options.unit
        text = f"No certificates are expiring within {options.within} {unit}."
        write([json_text({"result": "ok"}) if options.formatter == "json" else text])
        return 0
    if options.formatter == "json":
        listeners = [{key: as_json(value) for key, value in each.items()} for each in found]
        raise ControlFailure(UNAVAILABLE, json_text({"expired": listeners, "result": "error"}), "")
    raise ControlFailure(UNAVAILABLE, "\n".join(map(in_elixir, found)), "")


def as_json(value: object) -> object:
    """A value of a listener, with errors as RabbitMQ has them: `["error", text]`."""
    if not isinstance(value, list):
        return value
    return [["error", each["error"]] if isinstance(each, dict) else each for each in value]


def in_elixir(listener: dict[str, Any]) -> str:
    """A listener as Elixir's `inspect` writes it."""
    parts = [f"{key}: {atom(value) if key in ATOMS else term(value)}" for key, value in sorted(listener.items())]
    return f"%{{{', '.join(parts)}}}"


def atom(name: str) -> str:
    """An atom."""
    return f":{name}" if PLAIN_ATOM.fullmatch(name) else f":{json.dumps(name, ensure_ascii=False)}"


def term(value: object) -> str:
    """A text, a number, or a list of dates and errors."""
    if isinstance(value, list):
        return f"[{', '.join(map(term, value))}]"
    if isinstance(value, dict):
        return f"{{:error, {term(value['error'])}}}"
    return json.dumps(value, ensure_ascii=False)
