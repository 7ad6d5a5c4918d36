"""The commands for connections, queues and the node print, refuse and end as rabbitmqctl's do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pika
import pika.exceptions
import pytest

from tests.ctl.conftest import Ctl, leveretctl, leveretctl_here
from tests.support.broker_process import BrokerProcess


@pytest.fixture
def connection(leveret: BrokerProcess) -> Iterator[pika.BlockingConnection]:
    opened = pika.BlockingConnection(pika.URLParameters(leveret.url))
    yield opened
    if opened.is_open:
        opened.close()


def printed(ctl: Ctl, *arguments: str) -> list[str]:
    """What a command prints that succeeds."""
    result = ctl(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def refusal(ctl: Ctl, *arguments: str) -> tuple[int, str]:
    """Exit status and error of a command that prints nothing else."""
    result = ctl("-q", *arguments)
    assert result.stdout == ""
    return result.returncode, result.stderr


def wait_for_close(connection: pika.BlockingConnection) -> tuple[int, str]:
    """How the broker closes a connection."""
    with pytest.raises(pika.exceptions.ConnectionClosed) as closed:
        while True:
            connection.process_data_events(5)
    return closed.value.reply_code, closed.value.reply_text


@pytest.mark.parametrize("column", ["pid", "name"])
def test_one_connection_is_closed(ctl: Ctl, connection: pika.BlockingConnection, column: str) -> None:
    [named] = printed(ctl, "-s", "list_connections", column)
    assert printed(ctl, "close_connection", named, "go away") == [f"Closing connection {named}, reason: go away..."]
    assert wait_for_close(connection) == (320, "CONNECTION_FORCED - go away")


def test_the_connections_of_a_virtual_host(ctl_here: Ctl, connection: pika.BlockingConnection) -> None:
    assert printed(ctl_here, "-q", "close_all_connections", "-p", "nosuch", "why") == ["Closed 0 connections"]
    assert printed(ctl_here, "close_all_connections", "why") == [
        "Closing all connections in vhost /, reason: why...",
        "Closed 1 connections",
    ]
    assert wait_for_close(connection) == (320, "CONNECTION_FORCED - why")


def test_all_connections(ctl_here: Ctl, connection: pika.BlockingConnection) -> None:
    [answer] = printed(ctl_here, "close_all_connections", "--global", "-p", "nosuch", "why", "--formatter", "json")
    assert json.loads(answer)["value"] == "Closed 1 connections"
    assert wait_for_close(connection)[0] == 320


def test_the_connections_of_a_user(ctl_here: Ctl, connection: pika.BlockingConnection) -> None:
    assert printed(ctl_here, "close_all_user_connections", "nosuch", "why")
    assert connection.is_open
    connection.process_data_events(0)
    banner = "Closing connections of user guest, reason: why..."
    assert printed(ctl_here, "close_all_user_connections", "guest", "why") == [banner]
    assert wait_for_close(connection) == (320, "CONNECTION_FORCED - why")


def test_purge_and_delete_a_queue(ctl: Ctl, ctl_here: Ctl, connection: pika.BlockingConnection) -> None:
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("full")
    for _ in range(3):
        channel.basic_publish("", "full", b"")
    assert refusal(ctl, "delete_queue", "full", "--if-empty") == (64, "Error:\nQueue is not empty\n")
    assert printed(ctl, "purge_queue", "full") == ["Purging queue 'full' in vhost '/' ..."]
    assert channel.queue_declare("full", passive=True).method.message_count == 0
    channel.basic_consume("full", lambda *_: None)
    assert (
        ctl_here("delete_queue", "full", "-u").stdout == "Deleting queue 'full' on vhost '/' if queue is unused ...\n"
    )
    assert refusal(ctl_here, "delete_queue", "full", "-e", "-u") == (64, "Error:\nQueue is in use\n")
    assert printed(ctl, "delete_queue", "full") == [
        "Deleting queue 'full' on vhost '/' ...",
        "Queue was successfully deleted with 0 ready messages",
    ]
    assert refusal(ctl_here, "delete_queue", "full") == (64, "Error:\nQueue not found\n")
    assert refusal(ctl_here, "purge_queue", "full") == (69, "Error:\nnot_found\n")
    assert refusal(ctl_here, "purge_queue", "-p", "nosuch", "full") == (69, "Error:\nnot_found\n")


def test_limits_of_the_node(leveret: BrokerProcess, ctl_here: Ctl) -> None:
    [node] = {str(found["node_name"]) for found in [json.loads(ctl_here("status", "--formatter", "json").stdout)]}
    try:
        set_to = printed(ctl_here, "set_vm_memory_high_watermark", "0.0001")
        assert set_to == [f"Setting memory threshold on {node} to 0.0001 ..."]
        assert refusal(ctl_here, "check_local_alarms") == (69, f"Error:\nMemory alarm on node {node}\n")
        assert refusal(ctl_here, "check_alarms") == (69, f"Memory alarm on node {node}\n")
        assert printed(ctl_here, "-q", "alarms") == [f"Memory alarm on node {node}"]
        assert json.loads(refusal(ctl_here, "check_alarms", "--formatter", "json")[1])["result"] == "error"
        assert refusal(ctl_here, "node_health_check")[0] == 70
    finally:
        set_to = printed(ctl_here, "set_vm_memory_high_watermark", "absolute", "100GB")
    assert set_to == [f"Setting memory threshold on {node} to 100GB bytes ..."]
    assert printed(ctl_here, "-q", "check_local_alarms") == [f"Node {node} reported no local alarms"]
    assert printed(ctl_here, "set_disk_free_limit", "1EB") == [f"Setting disk free limit on {node} to 1EB bytes ..."]
    assert refusal(ctl_here, "check_alarms")[1] == f"Free disk space alarm on node {node}\n"
    assert printed(ctl_here, "-q", "set_disk_free_limit", "mem_relative", "0.0001") == []
    assert printed(ctl_here, "-s", "check_alarms") == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["set_vm_memory_high_watermark", "x"], "Bad argument."),
        (["set_vm_memory_high_watermark", "absolute", "x"], "Bad argument."),
        (["set_vm_memory_high_watermark", "relative", "1"], "Bad argument."),
        (
            ["set_vm_memory_high_watermark", "1.4"],
            "Bad argument: The threshold should be a fraction between 0.0 and 1.0",
        ),
        (["set_disk_free_limit", "x"], "Bad argument."),
        (["set_disk_free_limit", "mem_relative", "x"], "Bad argument."),
        (["check_port_listener", "x"], "Bad argument: Argument must be a positive integer"),
    ],
)
def test_limits_that_mean_nothing(ctl_here: Ctl, arguments: list[str], reason: str) -> None:
    status, error = refusal(ctl_here, *arguments)
    assert (status, error.splitlines()[0]) == (65, f"Error (argument validation): {reason}")


def test_the_log(leveret: BrokerProcess, ctl_here: Ctl) -> None:
    assert printed(ctl_here, "set_log_level", "none") == ['Setting log level to "none" ...']
    before = leveret.log_path.read_text()
    pika.BlockingConnection(pika.URLParameters(leveret.url)).close()
    assert printed(ctl_here, "-q", "rotate_logs") == []
    pika.BlockingConnection(pika.URLParameters(leveret.url)).close()
    assert leveret.log_path.read_text() == before
    assert printed(ctl_here, "-q", "set_log_level", "info") == []
    pika.BlockingConnection(pika.URLParameters(leveret.url)).close()
    assert leveret.log_path.read_text() != before
    text = "Error:\nlevel bogus is not supported. Try one of debug, info, warning, error, critical, none\n"
    assert refusal(ctl_here, "set_log_level", "bogus") == (69, text)


def test_feature_flags(ctl_here: Ctl) -> None:
    listed = printed(ctl_here, "list_feature_flags")
    assert listed[:2] == ["Listing feature flags ...", "name\tstate"]
    assert "quorum_queue\tenabled" in listed
    assert printed(ctl_here, "-s", "list_feature_flags", "state", "name")[0].startswith("enabled\t")
    assert refusal(ctl_here, "list_feature_flags", "bogus")[0] == 64
    assert printed(ctl_here, "enable_feature_flag", "all") == ["Enabling all feature flags ..."]
    assert printed(ctl_here, "-q", "enable_feature_flag", "quorum_queue") == []
    status, error = refusal(ctl_here, "enable_feature_flag", "bogus")
    assert (status, error.partition(" node ")[0]) == (64, "Error:\nThis feature flag is not supported by")


def test_deprecated_features(ctl_here: Ctl, connection: pika.BlockingConnection) -> None:
    assert "global_qos" in {line.split("\t")[0] for line in printed(ctl_here, "-s", "list_deprecated_features")}
    assert printed(ctl_here, "-s", "list_deprecated_features", "--used", "name") == []
    connection.channel().queue_declare("transient")
    assert printed(ctl_here, "-s", "list_deprecated_features", "--used", "name") == ["transient_nonexcl_queues"]
    connection.channel().queue_delete("transient")


def test_what_is_told_of_the_node(ctl_here: Ctl) -> None:
    status = json.loads(ctl_here("status", "--formatter", "json").stdout)
    cluster = json.loads(ctl_here("cluster_status", "--formatter", "json").stdout)
    assert cluster["running_nodes"] == [status["node_name"]]
    assert cluster["listeners"] == {status["node_name"]: status["listeners"]}
    assert f"Node: {status['node_name']}, status: not under maintenance" in printed(ctl_here, "cluster_status")
    environment = json.loads(ctl_here("environment", "--formatter", "json").stdout)
    assert environment["data_dir"] == status["data_directory"]
    assert "guest" not in environment["default_pass"]
    report = printed(ctl_here, "report")
    assert report[0] == f"Reporting server status of node {status['node_name']} ..."
    assert {"Runtime", "Connections:", "Exchanges on /:", "amq.direct\tdirect"} <= set(report)
    assert "sha256" in json.loads(ctl_here("list_hashes", "--formatter", "json").stdout)["value"]
    assert json.loads(ctl_here("list_ciphers", "--formatter", "json").stdout)["value"]
    assert printed(ctl_here, "list_unresponsive_queues") == ["Listing unresponsive queues for vhost / ..."]


def test_waiting_for_a_broker(leveret: BrokerProcess, ctl_here: Ctl, tmp_path: Path) -> None:
    assert printed(ctl_here, "await_startup") == []
    file = tmp_path / "pid"
    file.write_text(f"{leveret.pid}\n")
    assert printed(ctl_here, "wait", str(file))[:2] == [
        f"Waiting for pid file '{file}' to appear",
        f"pid is {leveret.pid}",
    ]
    assert printed(ctl_here, "-q", "wait", "--pid", str(leveret.pid)) == []
    assert refusal(ctl_here, "wait")[0] == 64
    status, text = refusal(ctl_here, "wait", str(tmp_path / "none"), "-t", "0")
    assert status == 75 and text.endswith("timed out. Timeout value used: 0\n")
    assert leveretctl_here("await_startup", "-t", "0", data_dir=tmp_path).returncode == 75
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert refusal(ctl_here, "wait", "-P", str(child)) == (69, "Error:\nprocess_not_running\n")


def test_the_application_and_the_process_are_one(ctl_here: Ctl) -> None:
    assert refusal(ctl_here, "stop_app")[0] == 69
    assert printed(ctl_here, "-q", "start_app") == []


def test_shutdown(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        result = leveretctl("shutdown", data_dir=broker.data_dir)
        assert result.returncode == 0
        assert broker.process is not None
        assert broker.process.wait(10) == 0
