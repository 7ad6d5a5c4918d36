"""The control socket itself: who may open it, whose it is, and what comes of requests that leveretctl never sends."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from leveret.broker.broker import Broker
from leveret.management.control_socket import ADDRESS_LIMIT, NAME, REQUEST_LIMIT
from leveret.server.control import CannotControl, ControlServer, DataFolderInUse, parse
from leveret.server.control_commands import ControlCommands
from tests.ctl.conftest import leveretctl
from tests.support.broker_process import BrokerProcess

NOBODY = 65534


class RawControl:
    """A client of the control socket that sends whatever it is told to."""

    def __init__(self, data_dir: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(10)
        self.socket.connect(str(data_dir / NAME))
        self.file = self.socket.makefile("rb")

    def ask(self, line: bytes) -> dict[str, object]:
        self.socket.sendall(line)
        answer: dict[str, object] = json.loads(self.file.readline())
        return answer

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def control(leveret: BrokerProcess) -> Iterator[RawControl]:
    client = RawControl(leveret.data_dir)
    yield client
    client.close()


def test_only_its_owner_may_open_it(leveret: BrokerProcess) -> None:
    found = (leveret.data_dir / NAME).stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_uid == os.geteuid()


def test_a_lax_umask_changes_nothing(tmp_path: Path) -> None:
    program = "import os, sys; os.umask(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    command = [
        "-m",
        "leveret",
        "serve",
        "--port",
        "0",
        "--management-port",
        "0",
        "--prometheus-port",
        "0",
        "--data-dir",
        str(tmp_path / "data"),
    ]
    with subprocess.Popen(
        [sys.executable, "-c", program, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready ")
        assert stat.S_IMODE((tmp_path / "data" / NAME).stat().st_mode) == 0o600
        process.terminate()


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@as_root
def test_another_user_is_kept_out() -> None:
    program = (
        "import os, sys\n"
        "from leveret.cli.leveretctl import main\n"
        f"os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "sys.exit(main(['list_queues', '--data-dir', sys.argv[1]]))"
    )
    with tempfile.TemporaryDirectory() as folder, BrokerProcess(Path(folder)) as broker:
        Path(folder).chmod(0o755)
        broker.data_dir.chmod(0o755)
        for mode in (0o600, 0o666):  # what opening it refuses, and what the broker itself refuses
            (broker.data_dir / NAME).chmod(mode)
            result = subprocess.run(
                [sys.executable, "-c", program, str(broker.data_dir)], capture_output=True, text=True, timeout=30
            )
            assert (result.returncode, result.stdout) == (77, "")
            assert len(result.stderr.splitlines()) == 1
            assert result.stderr.startswith("Error: ")


# hostile requests


@pytest.mark.parametrize(
    ("request_line", "text"),
    [
        (b"\n", "a request is one line of JSON"),
        (b"hello\n", "a request is one line of JSON"),
        (b"\xff\xfe\n", "a request is one line of JSON"),
        (b"[" * 60000 + b"\n", "a request is one line of JSON"),
        (b"1" * 60000 + b"\n", "a request is one line of JSON"),
        (b'{"command": "add_vhost", "vhost": "\\ud800"}\n', "a request is one line of JSON"),
        (b'{"command": "add_user", "user": "x", "password": "\\ud800"}\n', "a request is one line of JSON"),
        (b"[]\n", "a request is a JSON object"),
        (b"{}\n", "a request needs a command"),
        (b'{"command": 1}\n', "a request needs a command"),
        (b'{"command": "explode"}\n', "unknown command 'explode'"),
        (b'{"command": "list_"}\n', "unknown command 'list_'"),
        (b'{"command": "list_queues", "columns": "name"}\n', "vhost is a string, columns are a list of strings"),
        (b'{"command": "list_queues", "columns": [1]}\n', "vhost is a string, columns are a list of strings"),
        (b'{"command": "list_queues", "vhost": null}\n', "vhost is a string, columns are a list of strings"),
        (
            b'{"command": "list_queues", "columns": [' + b'"name",' * 999 + b'"name"]}\n',
            "vhost is a string, columns are a list of strings",
        ),
        (b'{"command": "list_queues", "columns": ["name", "bogus"]}\n', "unknown columns: bogus"),
    ],
)
def test_what_makes_no_sense_is_answered(control: RawControl, request_line: bytes, text: str) -> None:
    assert control.ask(request_line) == {"error": {"kind": "request", "text": text}}
    # and the conversation goes on
    answer = control.ask(b'{"command": "list_exchanges", "columns": ["name"]}\n')
    assert answer["columns"] == ["name"]


def test_a_request_without_end_is_refused(control: RawControl) -> None:
    answer = control.ask(b"x" * (REQUEST_LIMIT + 4096))
    assert answer == {"error": {"kind": "request", "text": f"the request is longer than {REQUEST_LIMIT} octets"}}
    assert control.file.read() == b""


def test_requests_in_pieces_and_together(control: RawControl) -> None:
    control.socket.sendall(b'{"command": "list_queues",')
    control.socket.sendall(b' "columns": ["name"]}\n{"command": "status"}\n{}\n')
    assert json.loads(control.file.readline()) == {"columns": ["name"], "rows": []}
    assert "status" in json.loads(control.file.readline())
    assert "error" in json.loads(control.file.readline())


def test_a_client_that_leaves_in_mid_sentence(leveret: BrokerProcess) -> None:
    for said in (b"", b'{"command"', b'{"command": "list_bindings"}\n'):
        client = RawControl(leveret.data_dir)
        client.socket.sendall(said)
        client.close()
    assert leveretctl("-q", "list_queues", data_dir=leveret.data_dir).returncode == 0


# whose folder it is


def test_a_dead_brokers_socket_is_replaced(tmp_path: Path) -> None:
    stale = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    (tmp_path / "data").mkdir()
    stale.bind(str(tmp_path / "data" / NAME))
    stale.close()
    with BrokerProcess(tmp_path) as broker:
        assert leveretctl("list_queues", data_dir=broker.data_dir).returncode == 0


def test_a_living_brokers_socket_is_not_stolen(leveret: BrokerProcess) -> None:
    result = subprocess.run(
        [
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
            "--data-dir",
            str(leveret.data_dir),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (result.returncode, result.stdout) == (1, "")
    in_use = f"leveret: the data folder {leveret.data_dir} is in use by another broker (pid {leveret.pid})\n"
    assert result.stderr == in_use
    status = json.loads(leveretctl("status", "--formatter", "json", data_dir=leveret.data_dir).stdout)
    assert status["pid"] == leveret.pid


def in_loop(work: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await work()

    asyncio.run(run())


def new_broker() -> Broker:
    return Broker("0", "leveret@test", lambda: 0.0, os.urandom)


def new_server(folder: Path) -> ControlServer:
    return ControlServer(ControlCommands(new_broker()), folder, lambda: None)


def test_something_else_in_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("precious")

    async def work() -> None:
        with pytest.raises(CannotControl, match="it is no socket"):
            await new_server(tmp_path).start()

    in_loop(work)
    assert (tmp_path / NAME).read_text() == "precious"


def test_the_folder_is_free_again_after_close(tmp_path: Path) -> None:
    async def work() -> None:
        first, second = new_server(tmp_path), new_server(tmp_path)
        await first.start()
        with pytest.raises(DataFolderInUse):
            await second.start()
        assert (tmp_path / NAME).is_socket()
        await first.close()
        assert not (tmp_path / NAME).exists()
        await second.start()
        await second.close()

    in_loop(work)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    async def work() -> None:
        with pytest.raises(CannotControl, match="No such file or directory"):
            await new_server(tmp_path / "nowhere").start()

    in_loop(work)


def test_a_path_too_long_where_there_is_no_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leveret.management.control_socket.DESCRIPTORS", tmp_path / "nowhere")
    folder = tmp_path / ("x" * ADDRESS_LIMIT)
    folder.mkdir()

    async def work() -> None:
        with pytest.raises(CannotControl, match="too long"):
            await new_server(folder).start()

    in_loop(work)


def test_a_long_listing_lets_the_broker_work(tmp_path: Path) -> None:
    broker = new_broker()
    vhost = broker.vhosts["/"]
    names = [f"queue-{number}" for number in range(20_000)]
    for name in names:
        vhost.add_queue(vhost.new_queue(name, False, False, None, {}))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def work() -> None:
        server = ControlServer(ControlCommands(broker), tmp_path, lambda: None)
        await server.start()
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / NAME), limit=2**24)
        counting = asyncio.create_task(count_turns())
        writer.write(b'{"command": "list_queues", "columns": ["name", "messages", "arguments"]}\n')
        first = await reader.readuntil(b'"queue-0"')
        before = turns
        # deleted while it is being listed
        vhost.delete_queue(vhost.queues[names[-1]])
        answer = json.loads(first + await reader.readline())
        counting.cancel()
        assert turns - before > 5
        assert [row[0] for row in answer["rows"]] == names[:-1]
        writer.close()
        await server.close()

    in_loop(work)


def test_octets_that_make_up_a_character_are_that_character() -> None:
    """As a client sends them that took its arguments for ASCII: there are no two names of the same octets."""
    assert parse(b'{"vhost": "gr\\udcc3\\udcbcn \\udcff"}') == {"vhost": "gr\u00fcn \udcff"}
