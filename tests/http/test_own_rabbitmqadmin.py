"""The program that the broker hands out at /cli/rabbitmqadmin, fetched from there and run as scripts do it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.http.client import Api
from tests.support.broker_process import BrokerProcess

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def program(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Path:
    reply = Api(api.port, None).call("GET", "/cli/rabbitmqadmin")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/octet-stream")
    path = tmp_path_factory.mktemp("cli") / "rabbitmqadmin"
    path.write_bytes(reply.body)
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def admin(leveret: BrokerProcess, program: Path) -> Run:
    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", str(program), "-P", str(leveret.http_port), "-c", "/none", *arguments]
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            env={"PYTHONUTF8": "1"},
            check=False,
            timeout=50,
        )

    return run


def said(run: Run, *arguments: str, stdin: str = "") -> str:
    """What the program prints when it succeeds."""
    result = run(*arguments, stdin=stdin)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def refusal(run: Run, *arguments: str) -> str:
    """What it says when it does not."""
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (1, "")
    return result.stderr


def misuse(text: str) -> str:
    return f"\nERROR: {text}\n\nrabbitmqadmin --help for help\n\n"


def test_it_is_a_program_for_old_pythons(program: Path) -> None:
    source = program.read_text()
    assert source.startswith("#!/usr/bin/env python3\n")
    ast.parse(source, feature_version=(3, 6))
    assert "leveret." not in source  # it stands alone
    executed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=50)
    assert executed.stdout == "rabbitmqadmin (Leveret)\n"


def test_the_page(api: Api) -> None:
    for path in ("/cli", "/cli/", "/cli/index.html"):
        reply = Api(api.port, None).call("GET", path)
        assert (reply.status, b"/cli/rabbitmqadmin" in reply.body) == (200, True)


def test_queues_exchanges_and_bindings(admin: Run) -> None:
    assert said(admin, "declare", "queue", "name=q1", "durable=true") == "queue declared\n"
    assert said(admin, "-q", "declare", "queue", "name=ü", "durable=false", 'arguments={"x-max-length":5}') == ""
    assert said(admin, "declare", "exchange", "name=x", "type=topic") == "exchange declared\n"
    assert said(admin, "declare", "binding", "source=x", "destination=q1", "routing_key=true") == "binding declared\n"
    assert said(admin, "list", "queues", "name", "messages", "durable", "arguments") == (
        "+------+----------+---------+---------------------+\n"
        "| name | messages | durable |      arguments      |\n"
        "+------+----------+---------+---------------------+\n"
        "| q1   | 0        | True    |                     |\n"
        '| ü    | 0        | False   | {"x-max-length": 5} |\n'
        "+------+----------+---------+---------------------+\n"
    )
    rows = said(admin, "-f", "tsv", "-V", "/", "list", "bindings")
    assert rows.splitlines() == ["source\tdestination\trouting_key", "\tq1\tq1", "\tü\tü", "x\tq1\ttrue"]
    assert refusal(admin, "declare", "queue", "name=q1", "durable=false") == (
        "*** inequivalent arg 'durable' for queue 'q1' in vhost '/': received 'false' but current is 'true'\n\n"
    )
    assert (
        said(admin, "delete", "binding", "source=x", "destination_type=queue", "destination=q1", "properties_key=true")
        == "binding deleted\n"
    )
    assert said(admin, "declare", "queue", "name=q2", "queue_type=quorum") == "queue declared\n"
    assert said(admin, "-f", "kvp", "list", "queues", "name", "type", "-S", "name", "-R").splitlines() == [
        'name="ü" type="classic"',
        'name="q2" type="quorum"',
        'name="q1" type="classic"',
    ]
    for name in ("q1", "q2", "ü"):
        assert said(admin, "delete", "queue", f"name={name}") == "queue deleted\n"
    assert said(admin, "delete", "exchange", "name=x") == "exchange deleted\n"
    assert said(admin, "list", "queues") == "No items\n"


def test_formats(admin: Run) -> None:
    assert said(admin, "-f", "bash", "list", "vhosts") == "/\n"
    assert said(admin, "-q", "-f", "tsv", "list", "vhosts", "name", "tracing") == "/\tFalse\n"
    assert said(admin, "-f", "tsv", "list", "vhosts", "name", "tracing") == "name\ttracing\n/\tFalse\n"
    assert json.loads(said(admin, "list", "users", "name", "tags", "-f", "raw_json")) == [
        {"name": "guest", "tags": ["administrator"]}
    ]
    assert said(admin, "-f", "pretty_json", "list", "vhosts", "name") == '[\n  {\n    "name": "/"\n  }\n]\n'
    line = "\n" + "-" * 80 + "\n\n"
    assert said(admin, "--format=long", "list", "vhosts", "name", "tracing") == (
        f"{line}   name: /\ntracing: False\n{line}"
    )
    assert said(admin, "list", "permissions") == (
        "+-------+-----------+------+-------+-------+\n"
        "| vhost | configure | read | user  | write |\n"
        "+-------+-----------+------+-------+-------+\n"
        "| /     | .*        | .*   | guest | .*    |\n"
        "+-------+-----------+------+-------+-------+\n"
    )
    assert "object_totals.queues" in said(admin, "show", "overview")


def test_messages(admin: Run, tmp_path: Path) -> None:
    said(admin, "declare", "queue", "name=m")
    assert said(admin, "publish", "routing_key=m", "payload=true") == "Message published\n"
    assert said(admin, "publish", "routing_key=nowhere", "payload=x") == "Message published but NOT routed\n"
    properties = 'properties={"delivery_mode":2}'
    assert said(admin, "publish", "exchange=", "routing_key=m", properties, stdin="in\n") == "Message published\n"
    first = said(admin, "-f", "tsv", "get", "queue=m", "count=2").splitlines()
    assert first == [
        "routing_key\texchange\tmessage_count\tpayload\tpayload_bytes\tpayload_encoding\tproperties\tredelivered",
        "m\t\t1\ttrue\t4\tstring\t\tFalse",
        "m\t\t0\tin",
        '\t3\tstring\t{"delivery_mode": 2}\tFalse',
    ]
    file = tmp_path / "payload"
    shown = said(admin, "-f", "kvp", "get", "queue=m", f"payload_file={file}", "ackmode=ack_requeue_false")
    assert shown == 'routing_key="m" exchange="" message_count="1" payload_bytes="4" redelivered="True"\n'
    assert file.read_bytes() == b"true"
    assert said(admin, "purge", "queue", "name=m") == "queue purged\n"
    assert said(admin, "get", "queue=m") == "No items\n"
    said(admin, "delete", "queue", "name=m")
    assert refusal(admin, "get", "queue=m") == "*** Not found: /api/queues/%2F/m/get\n\n"
    assert refusal(admin, "get", "queue=m", "count=2", f"payload_file={file}") == misuse(
        "Cannot get multiple messages using payload_file"
    )


def test_people_policies_and_limits(admin: Run) -> None:
    assert said(admin, "declare", "vhost", "name=v") == "vhost declared\n"
    assert said(admin, "declare", "user", "name=u", "password=true", "tags=management,monitoring") == "user declared\n"
    assert (
        said(admin, "-f", "tsv", "-q", "list", "users", "name", "tags").splitlines()[-1] == "u\tmanagement monitoring"
    )
    permission = ["vhost=v", "user=u", "configure=", "write=", "read=.*"]
    assert said(admin, "declare", "permission", *permission) == "permission declared\n"
    assert said(admin, "-u", "u", "-p", "true", "-V", "v", "list", "queues") == "No items\n"
    policy = ["name=p", "pattern=^q", 'definition={"max-length":3}', "priority=7", "apply-to=queues"]
    assert said(admin, "-V", "v", "declare", "policy", *policy) == "policy declared\n"
    rows = said(admin, "-V", "v", "-f", "tsv", "list", "policies").splitlines()
    assert rows == [
        "vhost\tname\tapply-to\tdefinition\tpattern\tpriority",
        'v\tp\tqueues\t{"max-length": 3}\t^q\t7',
    ]
    assert said(admin, "declare", "vhost_limit", "vhost=v", "name=max-queues", "value=5") == "vhost_limit declared\n"
    assert said(admin, "-f", "kvp", "list", "vhost_limits") == 'vhost="v" value="{"max-queues": 5}"\n'
    assert said(admin, "delete", "vhost_limit", "vhost=v", "name=max-queues") == "vhost_limit deleted\n"
    assert said(admin, "-V", "v", "delete", "policy", "name=p") == "policy deleted\n"
    assert said(admin, "delete", "permission", "vhost=v", "user=u") == "permission deleted\n"
    assert said(admin, "delete", "user", "name=u") == "user deleted\n"
    assert said(admin, "delete", "vhost", "name=v") == "vhost deleted\n"


def test_definitions(admin: Run, tmp_path: Path) -> None:
    file = tmp_path / "definitions.json"
    assert said(admin, "-H", "127.0.0.1", "export", str(file)) == f'Exported definitions for 127.0.0.1 to "{file}"\n'
    exported = json.loads(file.read_text())
    assert [user["name"] for user in exported["users"]] == ["guest"]
    exported["queues"].append({"name": "of-file", "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}})
    file.write_text(json.dumps(exported))
    assert said(admin, "import", str(file)) == f'Uploaded definitions from "{file}" to localhost\n'
    assert said(admin, "-f", "bash", "list", "queues") == "of-file\n"
    assert said(admin, "delete", "queue", "name=of-file") == "queue deleted\n"
    assert refusal(admin, "import", "/none").startswith("*** [Errno 2] No such file")


def test_a_configuration_file(leveret: BrokerProcess, program: Path, tmp_path: Path) -> None:
    file = tmp_path / "admin.conf"
    file.write_text(
        f"[there]\nhostname = 127.0.0.1\nport = {leveret.http_port}\nusername = guest\npassword = guest\nvhost = /\n"
        "[nobody]\nport = 1\nssl = false\n"
    )

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(program), "-c", str(file), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=50)

    assert said(run, "-N", "there", "-f", "bash", "list", "vhosts") == "/\n"
    assert said(run, "-N", "nobody", "-P", str(leveret.http_port), "-f", "bash", "list", "vhosts") == "/\n"
    url = f"http://guest:guest@127.0.0.1:{leveret.http_port}"
    assert said(run, "-U", url, "-N", "nobody", "-f", "bash", "list", "vhosts") == "/\n"
    assert said(run, "-U", "http://127.0.0.1", "-N", "there", "-f", "bash", "list", "vhosts") == "/\n"
    assert refusal(run, "-U", "127.0.0.1:5672", "-N", "nobody", "list", "vhosts").startswith("*** Could not connect: ")
    assert refusal(run, "-U", "http://127.0.0.1:x", "list", "vhosts").startswith("*** Port could not be cast")
    assert refusal(run, "-N", "nobody", "list", "vhosts").startswith("*** Could not connect: ")
    assert refusal(run, "-N", "unknown", "list", "vhosts") == misuse(
        f"Could not read section 'unknown' in config file '{file}'"
    )
    for text, reason in (("[default]\nssl = maybe", "Not a boolean: maybe"), ("nonsense", "File contains no section")):
        file.write_text(text)
        assert refusal(run, "list", "vhosts").startswith(f"*** {reason}")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Action not specified"),
        (["frobnicate"], "Action frobnicate not understood"),
        (["list", "nothing"], "Don't know how to list nothing"),
        (["show", "queues"], "Don't know how to show queues"),
        (["declare", "nothing", "name=x"], "Type nothing not recognised"),
        (["declare", "queue"], 'mandatory argument "name" is required'),
        (["declare", "queue", "name=q", "foo=1"], 'Argument "foo" is not recognised'),
        (["declare", "queue", "name=q", "arguments={"], "arguments is not JSON: {"),
        (["get", "q"], 'Argument "q" not in the name=value format'),
        (["export"], "Exactly one argument required"),
        (["--frobnicate", "list", "queues"], "no such option: --frobnicate"),
    ],
)
def test_what_is_not_understood(admin: Run, arguments: list[str], text: str) -> None:
    assert refusal(admin, *arguments) == misuse(text)


def test_what_is_refused(admin: Run) -> None:
    assert (
        refusal(admin, "-p", "wrong", "list", "queues") == "*** Access refused: /api/queues?columns=name,messages\n\n"
    )
    assert refusal(admin, "close", "connection", "name=a -> b") == "*** Not found: /api/connections/a%20-%3E%20b\n\n"
    assert refusal(admin, "declare", "queue", "name=q", "durable=maybe") == "*** ['not_boolean', 'maybe']\n\n"
    assert "declare queue name=... [auto_delete=..." in said(admin, "--help")
