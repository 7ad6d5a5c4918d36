"""The command line: options, help, errors and their exit statuses, and what a broker's end looks like."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pika
import pytest

import leveret as package
from leveret.management.control_socket import NAME
from tests.ctl.conftest import Ctl, leveretctl
from tests.support.broker_process import BrokerProcess

BANNER = ["Timeout: 60.0 seconds ...", "Listing queues for vhost / ..."]


@pytest.fixture(scope="module", autouse=True)
def queue(leveret: BrokerProcess) -> None:
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        connection.channel().queue_declare("tasks")


def error_of(result: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    """Exit status and the first line of an error that has printed nothing else."""
    assert result.stdout == ""
    return result.returncode, result.stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["list_queues"], [*BANNER, "name\tmessages", "tasks\t0"]),
        (["list_queues", "name"], [*BANNER, "name", "tasks"]),
        (["list_queues", "messages", "name"], [*BANNER, "messages\tname", "0\ttasks"]),
        (["list_queues", "messages,name"], [*BANNER, "messages\tname", "0\ttasks"]),
        (["list_queues", "name", "name"], [*BANNER, "name", "tasks"]),
        (["-q", "list_queues", "name"], ["name", "tasks"]),
        (["list_queues", "name", "-q"], ["name", "tasks"]),
        (["list_queues", "--quiet", "name"], ["name", "tasks"]),
        (["list_queues", "-q", "--", "name"], ["name", "tasks"]),
        (["-s", "list_queues", "name"], ["tasks"]),
        (["list_queues", "name", "--silent"], ["tasks"]),
        (["list_queues", "--no-table-headers", "name"], [*BANNER, "tasks"]),
        (["-q", "-p", "/", "list_queues", "name"], ["name", "tasks"]),
        (["list_queues", "-q", "--vhost=/", "name"], ["name", "tasks"]),
        (["-n", "rabbit@host", "-l", "-q", "list_queues", "name"], ["name", "tasks"]),
        (["-t", "5", "list_queues", "name"], ["Timeout: 5.0 seconds ...", BANNER[1], "name", "tasks"]),
        (["list_queues", "--offline"], BANNER),
        (["list_queues", "--online", "name"], [*BANNER, "name", "tasks"]),
        (["list_queues", "--local", "name"], [*BANNER, "name", "tasks"]),
        (["-s", "--formatter=csv", "list_queues", "name"], ['"name"', '"tasks"']),
        (["--formatter", "csv", "list_queues"], ['"name","messages"', '"tasks","0"']),
        (["--formatter", "json", "list_queues"], ["[", '{"name":"tasks","messages":0}', "]"]),
        (["--formatter", "json_stream", "list_queues"], ['{"name":"tasks","messages":0}', ""]),
        (
            ["-q", "--formatter", "pretty_table", "list_queues", "name"],
            ["┌───────┐", "│ name  │", "├───────┤", "│ tasks │", "└───────┘"],
        ),
        (["--version"], [package.__version__]),
        (["version"], [package.__version__]),
    ],
)
def test_what_is_printed(ctl: Ctl, arguments: list[str], printed: list[str]) -> None:
    result = ctl(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "".join(f"{line}\n" for line in printed)


def test_a_column_that_there_is_not(ctl: Ctl) -> None:
    result = ctl("list_queues", "-p", "x", "name", "bogus", "messages", "other")
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr.splitlines() == [
        "Error (argument validation): Info key(s) bogus,other are not supported",
        "Arguments given:",
        "\tlist_queues -p x name bogus messages other",
        "",
        "Usage",
        "",
        "leveretctl [--data-dir <folder>] [--quiet] list_queues [--online] [--offline] [--local] "
        "[--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]",
    ]


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["list_queues", "--bogus", "name"], "--bogus : "),
        (["--bogus", "list_queues"], "--bogus : "),
        (["-x", "list_queues"], "-x : "),
        (["list_queues", "-p"], "-p : "),
        (["list_queues", "-t", "abc"], "-t : abc"),
        (["list_queues", "-t", "-1"], "-t : -1"),
        (["list_queues", "-t", "²"], "-t : ²"),
        (["list_channels", "--online"], "--online : "),
        (["status", "--no-table-headers"], "--no-table-headers : "),
    ],
)
def test_invalid_options(ctl: Ctl, arguments: list[str], option: str) -> None:
    result = ctl(*arguments)
    assert error_of(result) == (64, "Error (argument validation): Invalid options for this command:")
    assert result.stderr.splitlines()[1:4] == [option, "Arguments given:", "\t" + " ".join(arguments)]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["status", "extra"], "too many arguments."),
        (["stop", "pidfile", "extra"], "too many arguments."),
        (["list_queues", "--formatter", "bogus"], "--formatter bogus is not supported"),
        (["status", "--formatter", "csv"], "--formatter csv is not supported"),
        (["status", "--unit", "miles"], "--unit miles is not supported"),
    ],
)
def test_other_arguments_that_mean_nothing(ctl: Ctl, arguments: list[str], error: str) -> None:
    status, line = error_of(ctl(*arguments))
    assert status == 64
    assert line.startswith(f"Error (argument validation): {error}")


def test_a_command_that_there_is_not(ctl: Ctl) -> None:
    result = ctl("nosuchcommand")
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr.splitlines()[:4] == ["", "Command 'nosuchcommand' not found. ", "", "Usage"]


def test_no_command(ctl: Ctl) -> None:
    result = ctl()
    assert (result.returncode, result.stdout) == (64, "")
    assert "list_queues" in result.stderr


def test_help(ctl: Ctl) -> None:
    for arguments in (["help"], ["--help"], ["-?"]):
        result = ctl(*arguments)
        assert (result.returncode, result.stderr) == (0, "")
        assert "list_queues            Lists queues and their properties" in result.stdout
    for arguments in (["help", "list_exchanges"], ["list_exchanges", "--help"]):
        result = ctl(*arguments)
        assert (result.returncode, result.stderr) == (0, "")
        assert (
            "must be one of arguments, auto_delete, durable, internal, messages_delayed, name, policy, type\n"
            in result.stdout
        )
    assert ctl("help", "nosuch").returncode == 64


# the node


def test_status(leveret: BrokerProcess, ctl: Ctl) -> None:
    result = ctl("status")
    assert (result.returncode, result.stderr) == (0, "")
    printed = result.stdout.splitlines()
    assert printed[0].startswith("Status of node leveret@")
    for line in (
        f"OS PID: {leveret.pid}",
        "Product name: Leveret",
        f"Product version: {package.__version__}",
        f"Node data directory: {leveret.data_dir}",
        "(none)",
        "Queue count: 1",
        "Virtual host count: 1",
        f"Interface: 127.0.0.1, port: {leveret.port}, protocol: amqp, purpose: AMQP 0-9-1",
    ):
        assert line in printed
    sections = ["Runtime", "Data directory", "Alarms", "Memory", "File Descriptors", "Totals", "Listeners"]
    assert [line for line in printed if line in sections] == sections
    assert ctl("-q", "status").stdout.startswith("Runtime\n\nOS PID: ")


@pytest.mark.parametrize("unit", ["bytes", "kb", "mb", "gb"])
def test_status_in_units(ctl: Ctl, unit: str) -> None:
    [line] = [line for line in ctl("status", "--unit", unit).stdout.splitlines() if line.startswith("Total memory")]
    amount, shown = line.removeprefix("Total memory used: ").split(" ")
    scale = {"bytes": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3}[unit]
    assert shown == unit
    assert 1_000_000 < float(amount) * scale < 1_000_000_000


def test_status_in_json(leveret: BrokerProcess, ctl: Ctl) -> None:
    result = ctl("status", "--formatter", "json")
    status = json.loads(result.stdout)
    assert status["pid"] == leveret.pid
    assert status["data_directory"] == str(leveret.data_dir)
    assert status["totals"] == {"virtual_host_count": 1, "connection_count": 0, "queue_count": 1}
    assert status["alarms"] == []
    assert status["memory"]["total"]["rss"] > 1_000_000
    assert status["file_descriptors"]["total_used"] > 0
    ports = [leveret.port, leveret.http_port, leveret.metrics_port]
    assert [listener["port"] for listener in status["listeners"]] == ports
    assert [listener["protocol"] for listener in status["listeners"]] == ["amqp", "http", "http/prometheus"]


def test_status_of_every_listener(tmp_path: Path) -> None:
    path = tmp_path / "amqp.sock"
    with BrokerProcess(tmp_path, "--bind", "127.0.0.1", "--bind", "::1", "--unix-socket", str(path)) as broker:
        status = json.loads(leveretctl("status", "--formatter", "json", data_dir=broker.data_dir).stdout)
        found = [(listener["interface"], listener["port"]) for listener in status["listeners"]]
        amqp = [("127.0.0.1", broker.port), ("::1", broker.port), (str(path), 0)]
        http = [(host, port) for port in (broker.http_port, broker.metrics_port) for host in ("127.0.0.1", "::1")]
        assert found == [*amqp, *http]


def test_stop_returns_when_the_broker_has_ended(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    broker.start()
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    result = leveretctl("stop", data_dir=broker.data_dir)
    assert broker.process is not None
    # ended already, and so there is nothing to wait for
    assert os.waitpid(broker.pid, os.WNOHANG) == (broker.pid, 0)
    broker.process.returncode = 0
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Stopping and halting node leveret@")
    assert not (broker.data_dir / NAME).exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", broker.port))
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        connection.process_data_events(time_limit=10)
    assert closed.value.reply_code == 320
    broker.stop()


def test_stop_takes_the_pid_file_that_rabbitmqctl_wants(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        result = leveretctl("-q", "stop", "/var/run/rabbitmq/pid", data_dir=broker.data_dir)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert broker.process is not None
        assert broker.process.wait(10) == 0


@pytest.mark.parametrize("command", ["list_queues", "status", "stop"])
def test_no_broker(tmp_path: Path, command: str) -> None:
    missing = leveretctl(command, data_dir=tmp_path / "nowhere")
    empty = leveretctl(command, data_dir=tmp_path)
    for result, folder in ((missing, tmp_path / "nowhere"), (empty, tmp_path)):
        assert error_of(result)[0] == 69
        assert result.stderr == (
            f"Error: no broker is running with the data folder {folder} (--data-dir or LEVERET_DATA_DIR name another)\n"
        )


def test_no_broker_is_fine_for_an_idempotent_stop(tmp_path: Path) -> None:
    result = leveretctl("stop", "--idempotent", data_dir=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"No broker is running with the data folder {tmp_path}\n"


def test_a_broker_that_was_killed_is_not_there(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    broker.start()
    broker.stop(signal.SIGKILL)
    assert (broker.data_dir / NAME).is_socket()
    assert error_of(leveretctl("list_queues", data_dir=broker.data_dir))[0] == 69


def test_a_broker_that_does_not_answer(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    broker.start()
    try:
        os.kill(broker.pid, signal.SIGSTOP)
        result = leveretctl("list_queues", "-t", "1", data_dir=broker.data_dir)
    finally:
        os.kill(broker.pid, signal.SIGCONT)
        broker.stop()
    assert error_of(result) == (
        75,
        f"Error: operation list_queues on the broker with the data folder {broker.data_dir} timed out. "
        "Timeout value used: 1000",
    )


# where the broker is


def test_the_data_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "leveret-data").symlink_to("data")
    with BrokerProcess(tmp_path) as broker:
        option = leveretctl("-q", "--data-dir", str(broker.data_dir), "list_queues", data_dir=tmp_path / "nowhere")
        variable = leveretctl("-q", "list_queues", data_dir=broker.data_dir)
        default = leveretctl("-q", "list_queues", folder=tmp_path)
        for result in (option, variable, default):
            assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_long_path(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["long" * 20] * 3)
    folder.mkdir(parents=True)
    with BrokerProcess(folder) as broker:
        assert len(str(broker.data_dir)) > 200
        assert (broker.data_dir / NAME).is_socket()
        assert leveretctl("list_queues", data_dir=broker.data_dir).returncode == 0


def test_an_ephemeral_broker_without_a_data_folder_has_no_socket(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "LEVERET_DATA_DIR"}
    command = [
        sys.executable,
        "-m",
        "leveret",
        "serve",
        "--port",
        "0",
        "--management-port",
        "0",
        "--prometheus-port",
        "0",
        "--ephemeral",
    ]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready ")
        assert list(tmp_path.iterdir()) == []
        process.terminate()


def test_a_reader_that_goes_away(leveret: BrokerProcess) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as pipe:
        result = subprocess.run(
            [sys.executable, "-m", "leveret.cli.leveretctl", "--data-dir", str(leveret.data_dir), "list_queues"],
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
            timeout=30,
        )
    assert (result.returncode, result.stderr) == (141, b"")


def test_nothing_of_the_broker_is_loaded() -> None:
    program = "import sys, leveret.cli.leveretctl\nprint(*sorted(name for name in sys.modules if 'leveret' in name))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    loaded = result.stdout.split()
    assert "leveret.cli.leveretctl" in loaded
    assert [name for name in loaded if name.split(".")[1:2] in (["amqp"], ["broker"], ["server"], ["store"])] == []
