"""leveretctl --url asks the HTTP API, and prints what it prints by the control socket."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pika
import pika.exceptions
import pytest

from tests.ctl.conftest import Ctl, leveretctl, leveretctl_here
from tests.support.broker_process import BrokerProcess

Remote = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def url(leveret: BrokerProcess) -> str:
    return f"http://guest:guest@127.0.0.1:{leveret.http_port}"


@pytest.fixture(scope="module")
def remote(url: str, tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """Runs leveretctl, which finds no broker but the remote one."""
    nowhere = tmp_path_factory.mktemp("nowhere")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return leveretctl_here("--url", url, *arguments, data_dir=nowhere)

    return run


@pytest.fixture(scope="module", autouse=True)
def queues(leveret: BrokerProcess) -> None:
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("tasks", durable=True, arguments={"x-max-length": 5, "x-overflow": "reject-publish"})
        channel.queue_bind("tasks", "amq.topic", "a.#", {"x": 1})
        channel.basic_publish("", "tasks", b"1")


def test_a_program_of_its_own(leveret: BrokerProcess, url: str, tmp_path: Path) -> None:
    result = leveretctl("--url", url, "-q", "ping", data_dir=tmp_path)
    assert (result.returncode, result.stdout) == (0, "Ping succeeded\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["list_queues"],
        ["list_queues", "name", "durable", "auto_delete", "policy", "state", "messages_ready", "consumers"],
        ["list_exchanges", "name", "type", "durable", "auto_delete", "internal", "policy"],
        ["list_bindings"],
        ["list_connections"],
        ["list_channels"],
        ["list_consumers"],
        ["list_users"],
        ["list_vhosts", "name", "tags", "description"],
        ["list_permissions"],
        ["list_user_permissions", "guest"],
        ["list_topic_permissions"],
        ["list_user_topic_permissions", "guest"],
        ["list_policies"],
        ["list_operator_policies"],
        ["list_parameters"],
        ["list_vhost_limits", "--global"],
        ["list_user_limits"],
        ["list_feature_flags"],
        ["list_deprecated_features", "--used"],
        ["check_running"],
        ["check_alarms"],
        ["listeners"],
        ["check_port_connectivity"],
        ["await_startup"],
        ["list_policies", "-p", "nosuch"],
        ["list_permissions", "-p", "nosuch"],
        ["delete_user", "nosuch"],
        ["delete_queue", "nosuch"],
        ["delete_queue", "tasks", "--if-empty"],
        ["purge_queue", "nosuch"],
    ],
)
def test_both_ways_say_the_same(remote: Remote, ctl_here: Ctl, arguments: list[str]) -> None:
    there, here = remote(*arguments), ctl_here(*arguments)
    assert sorted(there.stdout.splitlines()) == sorted(here.stdout.splitlines())
    assert (there.returncode, there.stderr) == (here.returncode, here.stderr)


CHANGES: list[tuple[list[str], list[str], str]] = [
    (["add_user", "joe", "secret"], ["list_users"], "joe\t[]"),
    (["set_user_tags", "joe", "monitoring"], ["list_users"], "joe\t[monitoring]"),
    (["change_password", "joe", "other"], ["authenticate_user", "joe", "other"], "Success"),
    (["add_vhost", "v", "--description", "mine"], ["list_vhosts", "name", "description"], "v\tmine"),
    (["set_vhost_tags", "v", "a", "b"], ["list_vhosts", "name", "description", "tags"], "v\tmine\t[a, b]"),
    (["set_permissions", "-p", "v", "joe", "a", "b", "c"], ["list_permissions", "-p", "v"], "joe\ta\tb\tc"),
    (["set_permissions_globally", "joe", "x", "y", "z"], ["list_permissions"], "joe\tx\ty\tz"),
    (
        ["set_topic_permissions", "joe", "amq.topic", "w", "r"],
        ["list_user_topic_permissions", "joe"],
        "/\tamq.topic\tw\tr",
    ),
    (
        ["set_policy", "p", "^t", '{"max-length":9}', "--priority", "3", "--apply-to", "queues"],
        ["list_policies"],
        '/\tp\t^t\tqueues\t{"max-length":9}\t3',
    ),
    (
        ["set_operator_policy", "o", "^t", '{"max-length":9}'],
        ["list_operator_policies"],
        '/\to\t^t\tall\t{"max-length":9}\t0',
    ),
    (["set_vhost_limits", '{"max-queues":99}'], ["list_vhost_limits"], '{"max-queues":99}'),
    (["set_vhost_limits", '{"max-connections":98}'], ["list_vhost_limits"], '{"max-connections":98}'),
    (["set_user_limits", "joe", '{"max-channels":9}'], ["list_user_limits", "--user", "joe"], '{"max-channels":9}'),
    (["set_global_parameter", "g", '{"a":1}'], ["list_global_parameters"], 'g\t{"a":1}'),
    (["set_cluster_name", "ours"], ["list_global_parameters"], 'cluster_name\t"ours"'),
    (["purge_queue", "tasks"], ["list_queues"], "tasks\t0"),
]


def test_changes(remote: Remote, ctl_here: Ctl) -> None:
    for change, listing, line in CHANGES:
        result = remote(*change)
        assert (result.returncode, result.stderr) == (0, ""), change
        assert line in ctl_here("-q", *listing).stdout.splitlines(), change
        if not listing[0].startswith("auth"):
            assert sorted(remote("-q", *listing).stdout) == sorted(ctl_here("-q", *listing).stdout), listing
    assert remote("add_user", "joe", "x").returncode == 70
    for undone in (
        ["clear_user_limits", "joe", "all"],
        ["clear_vhost_limits"],
        ["clear_policy", "p"],
        ["clear_operator_policy", "o"],
        ["clear_global_parameter", "g"],
        ["clear_topic_permissions", "joe"],
        ["clear_permissions", "joe"],
        ["enable_vhost_deletion_protection", "v"],
        ["disable_vhost_deletion_protection", "v"],
        ["delete_vhost", "v"],
        ["clear_password", "joe"],
        ["delete_user", "joe"],
        ["delete_queue", "tasks"],
    ):
        result = remote("-q", *undone)
        assert (result.returncode, result.stderr) == (0, ""), undone
    left = json.loads(ctl_here("export_definitions", "-").stdout)
    assert [user["name"] for user in left["users"]] == ["guest"]
    assert [vhost["name"] for vhost in left["vhosts"]] == ["/"]
    assert left["policies"] == left["queues"] == left["topic_permissions"] == []
    assert json.loads(remote("export_definitions", "-").stdout)["users"] == left["users"]


def test_connections_are_closed(leveret: BrokerProcess, remote: Remote) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(leveret.url))
    result = remote("-q", "close_all_connections", "why")
    assert (result.returncode, result.stdout) == (0, "Closed 1 connections\n")
    with pytest.raises(pika.exceptions.ConnectionClosed, match="CONNECTION_FORCED - why"):
        while True:
            connection.process_data_events(5)


@pytest.mark.parametrize("command", [["stop"], ["rotate_logs"], ["set_log_level", "info"], ["environment"]])
def test_what_the_api_does_not_have(remote: Remote, command: list[str]) -> None:
    result = remote("-q", *command)
    text = f"Error:\n{command[0]} can't be done with --url: the HTTP API does not have it\n"
    assert (result.returncode, result.stderr) == (64, text)


def test_urls_that_do_not_work(leveret: BrokerProcess, tmp_path: Path) -> None:
    wrong = leveretctl_here("--url", f"http://guest:x@127.0.0.1:{leveret.http_port}", "list_users", data_dir=tmp_path)
    assert wrong.returncode == 77
    nobody = leveretctl_here("--url", "http://guest:guest@127.0.0.1:1", "list_users", data_dir=tmp_path)
    assert (nobody.returncode, nobody.stderr.startswith("Error: cannot reach the HTTP API at 127.0.0.1:1:")) == (
        69,
        True,
    )
    senseless = leveretctl_here("--url", "ftp://me:secret@x", "list_users", data_dir=tmp_path)
    assert (senseless.returncode, "secret" in senseless.stderr) == (64, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--url", "guest:secret@host:15672", "list_users"],
        ["--url", "http://guest:secret@host:15672", "list_users", "--bogus"],
        ["--url=http://guest:secret@host:15672", "list_users", "--bogus"],
    ],
)
def test_errors_do_not_tell_the_password(arguments: list[str], tmp_path: Path) -> None:
    result = leveretctl_here(*arguments, data_dir=tmp_path)
    assert (result.returncode, "secret" in result.stderr, "...@host" in result.stderr) == (64, False, True)


def test_a_timeout_says_who_did_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        result = leveretctl_here("--url", f"http://me:secret@{place}", "-t", "0", "list_users", data_dir=tmp_path)
    text = f"Error: operation list_users on the HTTP API at http://...@{place} timed out. Timeout value used: 0\n"
    assert (result.returncode, result.stderr) == (75, text)


def test_a_flag_counts_more_than_the_variable(
    leveret: BrokerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEVERET_URL", "http://guest:guest@127.0.0.1:1")
    assert leveretctl_here("-q", "ping", data_dir=tmp_path).returncode == 69
    flag = leveretctl_here("--data-dir", str(leveret.data_dir), "-q", "ping", data_dir=tmp_path)
    assert (flag.returncode, flag.stderr) == (0, "")


@contextlib.contextmanager
def answering(status: int, content: bytes, **headers: str) -> Iterator[str]:
    """A web server that answers everything so; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://guest:guest@127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("command", [["list_users"], ["list_queues"], ["status"], ["set_cluster_name", "x"]])
@pytest.mark.parametrize("content", [b"<html></html>", b"", b"true"])
def test_what_is_no_api_is_told_in_one_line(content: bytes, command: list[str], tmp_path: Path) -> None:
    with answering(200, content) as url:
        result = leveretctl_here("--url", url, "-q", *command, data_dir=tmp_path)
    place = url.rpartition("@")[2]
    assert (result.returncode, result.stderr) == (
        70,
        f"Error: what answers at {place} is not the HTTP API of a broker\n",
    )


def test_a_redirect_is_told_and_not_followed(tmp_path: Path) -> None:
    with answering(301, b"", location="http://127.0.0.1:1/") as url:
        result = leveretctl_here("--url", url, "-q", "list_users", data_dir=tmp_path)
    place = url.rpartition("@")[2]
    text = f"Error: the HTTP API at {place} is elsewhere: it redirects (301)\n"
    assert (result.returncode, result.stderr) == (69, text)


def test_a_login_that_is_not_utf_8_is_refused_as_any_other(leveret: BrokerProcess, tmp_path: Path) -> None:
    url = f"http://guest:\udcff@127.0.0.1:{leveret.http_port}"
    assert leveretctl_here("--url", url, "list_users", data_dir=tmp_path).returncode == 77


def test_a_reason_in_any_script_reaches_the_client(leveret: BrokerProcess, remote: Remote) -> None:
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        [name] = [row["name"] for row in json.loads(remote("list_connections", "name", "--formatter", "json").stdout)]
        result = remote("-q", "close_connection", name, "žádost\ndruhá")
        assert (result.returncode, result.stderr) == (0, "")
        with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
            connection.process_data_events(5)
    assert closed.value.reply_text == "CONNECTION_FORCED - žádost druhá"
