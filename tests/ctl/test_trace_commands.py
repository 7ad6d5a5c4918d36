"""trace_on and trace_off print and end as rabbitmqctl's do, and switch the tracing of a virtual host."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.ctl.conftest import Ctl
from tests.http.client import Api
from tests.support.broker_process import BrokerProcess


@pytest.fixture
def channel(leveret: BrokerProcess) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        yield connection.channel()


def printed(ctl: Ctl, *arguments: str) -> list[str]:
    """What a command prints that succeeds."""
    result = ctl(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_switching(ctl_here: Ctl, channel: BlockingChannel) -> None:
    """Copies come in the order in which what they are of was published, so the last one shows what was left out."""
    copies = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(copies, "amq.rabbitmq.trace", "publish.#")
    for command in ("trace_off", "trace_on", "trace_off", "trace_on"):
        channel.basic_publish("amq.fanout", "", command.encode())
        channel.exchange_declare("amq.fanout", passive=True)
        printed(ctl_here, command)
    channel.basic_publish("amq.fanout", "", b"last")
    found: list[bytes] = []
    for _, _, body in channel.consume(copies, auto_ack=True, inactivity_timeout=10):
        assert body is not None, found
        found.append(body)
        if body == b"last":
            break
    assert found == [b"trace_off", b"last"]
    printed(ctl_here, "trace_off")


def test_whether_a_virtual_host_is_traced_is_listed(ctl_here: Ctl, leveret: BrokerProcess) -> None:
    """The same here, by --url, and in the HTTP API, of each virtual host by itself."""
    elsewhere = ("--url", f"http://guest:guest@127.0.0.1:{leveret.http_port}")

    def listed(*where: str) -> dict[str, bool]:
        text = "".join(printed(ctl_here, *where, "-q", "--formatter", "json", "list_vhosts", "name", "tracing"))
        return {row["name"]: row["tracing"] for row in json.loads(text)}

    printed(ctl_here, "add_vhost", "traced")
    try:
        for where, command, on in (
            ((), "trace_on", True),
            ((), "trace_off", False),
            (elsewhere, "trace_on", True),
            (elsewhere, "trace_off", False),
        ):
            printed(ctl_here, *where, command, "-p", "traced")
            assert listed() == listed(*elsewhere) == {"/": False, "traced": on}
            api = Api(leveret.http_port)
            assert {vhost["name"]: vhost["tracing"] for vhost in api.get("/api/vhosts")} == {"/": False, "traced": on}
            api.close()
    finally:
        printed(ctl_here, "delete_vhost", "traced")


def test_what_is_printed(ctl_here: Ctl) -> None:
    assert printed(ctl_here, "trace_on") == ['Starting tracing for vhost "/" ...', "Trace enabled for vhost /"]
    assert printed(ctl_here, "trace_on", "-p", "/") == [
        'Starting tracing for vhost "/" ...',
        "Trace enabled for vhost /",
    ]
    assert printed(ctl_here, "-q", "trace_on") == ["Trace enabled for vhost /"]
    [line] = printed(ctl_here, "--formatter", "json", "trace_on")
    said = json.loads(line)
    assert said == {"node": said["node"], "result": "ok", "value": "Trace enabled for vhost /"}
    assert printed(ctl_here, "trace_off") == ['Stopping tracing for vhost "/" ...', "Trace disabled for vhost /"]
    assert printed(ctl_here, "-s", "trace_off") == ["Trace disabled for vhost /"]


@pytest.mark.parametrize("command", ["trace_on", "trace_off"])
def test_what_is_refused(ctl_here: Ctl, leveret: BrokerProcess, command: str) -> None:
    """rabbitmqctl says that it traces virtual hosts that there are not, and looks at no further words."""
    result = ctl_here(command, "-p", "nosuch")
    assert (result.returncode, result.stderr) == (65, "Virtual host 'nosuch' does not exist\n")
    result = ctl_here("--url", f"http://guest:guest@127.0.0.1:{leveret.http_port}", command, "-p", "nosuch")
    assert (result.returncode, result.stderr) == (65, "Virtual host 'nosuch' does not exist\n")
    result = ctl_here(command, "x")
    assert result.returncode == 64
    assert "too many" in result.stderr
