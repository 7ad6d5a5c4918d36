"""The data folder is made, checked and locked, and what can't be used is refused with a line that says why."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from leveret.server.data_dir import CannotUse, DataDirectory

HOLDS_IT = """
import sys
from pathlib import Path
from leveret.server.data_dir import DataDirectory
directory = DataDirectory(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""

# Root may write anywhere, so the process makes itself somebody else before it tries.
TRIES_UNPRIVILEGED = """
import os
from pathlib import Path
from leveret.server.data_dir import CannotUse, DataDirectory
if os.geteuid() == 0:
    os.setuid(65534)
try:
    DataDirectory(Path("data"))
except CannotUse as error:
    print(error)
"""


def holder(path: Path) -> subprocess.Popen[bytes]:
    """Another process that has the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS_IT, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"locked\n"
    return process


def message(path: Path) -> str:
    """Why the folder can't be used."""
    with pytest.raises(CannotUse) as raised:
        DataDirectory(path)
    return str(raised.value)


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "data"
    directory = DataDirectory(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((path / "lock").stat().st_mode) == 0o600
    assert (path / "lock").read_text() == f"{os.getpid()}\n"
    assert (path / "FORMAT").read_text() == "1\n"
    directory.close()


def test_where_things_are(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    assert directory.path == tmp_path
    assert directory.definitions == tmp_path / "definitions.sqlite"
    assert directory.messages == tmp_path / "messages"
    assert directory.damaged == tmp_path / "damaged"
    assert directory.control_socket == tmp_path / "control.sock"
    directory.close()


def test_a_folder_that_is_there_keeps_its_permissions_and_its_files(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    (tmp_path / "file").touch()
    DataDirectory(tmp_path).close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750
    assert (tmp_path / "file").exists()


def test_only_one_process_has_the_folder(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert message(tmp_path) == f"the data folder {tmp_path} is in use by another broker (pid {process.pid})"
        assert (tmp_path / "lock").read_text() == f"{process.pid}\n"
        process.communicate()
    DataDirectory(tmp_path).close()


def test_a_process_that_died_has_nothing(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.wait()
    assert (tmp_path / "lock").read_text() == f"{process.pid}\n"
    directory = DataDirectory(tmp_path)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    directory.close()


def test_closing_lets_another_have_it(tmp_path: Path) -> None:
    first = DataDirectory(tmp_path)
    assert message(tmp_path) == f"the data folder {tmp_path} is in use by another broker (pid {os.getpid()})"
    first.close()
    second = DataDirectory(tmp_path)
    first.close()
    assert "in use" in message(tmp_path)
    second.close()


def test_a_holder_that_has_not_written_its_pid_yet(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    os.truncate(tmp_path / "lock", 0)
    assert message(tmp_path) == f"the data folder {tmp_path} is in use by another broker"
    directory.close()


def test_what_is_not_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert message(file) == f"the data folder {file} is not a folder"
    assert message(file / "data") == f"cannot make the data folder {file / 'data'}: Not a directory"


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_folder_that_cannot_be_written_to(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(mode)
    tried = subprocess.run([sys.executable, "-c", TRIES_UNPRIVILEGED], cwd=tmp_path, capture_output=True, check=True)
    assert tried.stdout == b"cannot write to the data folder data\n"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    tried = subprocess.run([sys.executable, "-c", TRIES_UNPRIVILEGED], cwd=tmp_path, capture_output=True, check=True)
    assert tried.stdout == b"cannot make the data folder data: Permission denied\n"


def test_a_newer_format(tmp_path: Path) -> None:
    (tmp_path / "FORMAT").write_text("2\n")
    expected = f"the data folder {tmp_path} has format 2, made by a later version of Leveret; this one knows 1"
    assert message(tmp_path) == expected
    assert message(tmp_path) == expected, "and the lock was not kept"


@pytest.mark.parametrize("content", [b"", b"0\n", b"-1\n", b"one\n", b"\xff\xff", b"9" * 5000])
def test_a_format_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "FORMAT").write_bytes(content)
    assert message(tmp_path) == f"the data folder {tmp_path} is damaged: FORMAT holds no number"


def test_a_format_half_written(tmp_path: Path) -> None:
    (tmp_path / "FORMAT.new").write_text("")
    DataDirectory(tmp_path).close()
    assert (tmp_path / "FORMAT").read_text() == "1\n"
