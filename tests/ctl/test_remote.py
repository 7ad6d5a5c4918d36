"""leveretctl --url asks the HTTP API, and prints what it prints by the control socket."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
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
