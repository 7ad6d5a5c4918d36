"""The two brokers that are compared, and how policies are set on each: on RabbitMQ over HTTP, on Leveret by leveretctl.

rabbitmqctl starts an Erlang machine for each call, which takes a second; the management plugin does the same in
milliseconds, and its answers have the same words.
"""

from __future__ import annotations

import base64
import contextlib
import html
import http.client
import io
import json
import re
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from leveret.cli import leveretctl
from tests.differential.operations import ClearPolicy, SetPolicy
from tests.support.broker_process import BrokerProcess
from tests.support.rabbitmq import rabbitmq

PLUGINS = (
    "rabbitmq_management",
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
    "rabbitmq_sharding",
)
DONE = ""
one_at_a_time = threading.Lock()  # standard output, which leveretctl writes to, is the process's


class Policies(Protocol):
    """Sets and clears policies; each gives DONE, or the broker's words when it refuses."""

    def set(self, operation: SetPolicy, name: str, pattern: str) -> str: ...

    def clear(self, operation: ClearPolicy, name: str) -> str: ...


@dataclass(frozen=True)
class Target:
    """A broker to play scenarios on. `settle` is how long it may work on after its last answer, in seconds."""

    name: str
    port: int
    policies: Policies
    settle: float


class PoliciesOverHttp:
    """RabbitMQ's management API."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(b"guest:guest").decode(),
            "Content-Type": "application/json",
        }

    def set(self, operation: SetPolicy, name: str, pattern: str) -> str:
        body = {
            "pattern": pattern,
            "definition": json.loads(operation.definition),
            "priority": operation.priority,
            "apply-to": operation.apply_to,
        }
        status, answer = self._request("PUT", operation.operator, name, json.dumps(body))
        return DONE if status in (201, 204) else words(html.unescape(str(json.loads(answer)["reason"])))

    def clear(self, operation: ClearPolicy, name: str) -> str:
        status, _ = self._request("DELETE", operation.operator, name)
        return DONE if status == 204 else "refused"

    def _request(self, verb: str, operator: bool, name: str, body: str | None = None) -> tuple[int, bytes]:
        kind = "operator-policies" if operator else "policies"
        try:
            return self._ask(verb, f"/api/{kind}/%2F/{quote(name)}", body)
        except ConnectionError:  # the server closed a connection that nothing was asked on for a while
            self._connection.close()
            return self._ask(verb, f"/api/{kind}/%2F/{quote(name)}", body)

    def _ask(self, verb: str, path: str, body: str | None) -> tuple[int, bytes]:
        self._connection.request(verb, path, body, self._headers)
        response = self._connection.getresponse()
        return response.status, response.read()


def words(text: str) -> str:
    """A refusal without what the way to it adds: where lines break, and an empty one at the end."""
    return re.sub(r",\n +", ",", text.strip())


class PoliciesByCommand:
    """leveretctl, run in this process."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def set(self, operation: SetPolicy, name: str, pattern: str) -> str:
        command = "set_operator_policy" if operation.operator else "set_policy"
        options = ["--priority", str(operation.priority), "--apply-to", operation.apply_to]
        status, errors = self._run(command, *options, name, pattern, operation.definition)
        return DONE if status == 0 else words(errors.removeprefix("Error:"))

    def clear(self, operation: ClearPolicy, name: str) -> str:
        status, _ = self._run("clear_operator_policy" if operation.operator else "clear_policy", name)
        return DONE if status == 0 else "refused"

    def _run(self, *arguments: str) -> tuple[int, str]:
        output, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with one_at_a_time, contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            status = leveretctl.main(["--data-dir", str(self._data_dir), *arguments])
        errors.seek(0)
        return status, errors.read()


@contextlib.contextmanager
def leveret_target() -> Iterator[Target]:
    """A Leveret with a folder of its own. It does not sync: nothing here is about what a power failure leaves."""
    with (
        tempfile.TemporaryDirectory(prefix="leveret-differential-") as folder,
        BrokerProcess(Path(folder), "--sync", "never", "--disk-free-limit", "1MB") as process,
    ):
        # What expires at once is gone only in the next millisecond; a scenario that
        # is played again waits for it.
        yield Target("Leveret", process.port, PoliciesByCommand(process.data_dir), settle=0.0005)


@contextlib.contextmanager
def rabbitmq_target() -> Iterator[Target]:
    """The installed RabbitMQ, with the plugins whose exchange types Leveret has. Raises CannotStart."""
    with tempfile.TemporaryDirectory(prefix="leveret-differential-") as folder:
        Path(folder).chmod(0o711)  # another user's RabbitMQ has to get through to its own folder
        own = Path(folder) / "rabbitmq"
        own.mkdir()
        with rabbitmq(own, PLUGINS) as broker:
            name = f"RabbitMQ {broker.version}"
            yield Target(name, broker.port, PoliciesOverHttp(broker.http_port), settle=0.002)
