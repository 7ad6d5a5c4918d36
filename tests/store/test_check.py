"""`leveret check`, on data folders that real brokers left, whole and harmed. It never changes any of them."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pika
import pytest

from leveret.store.segment import INDEX_ENTRY, INDEX_HEAD, LOG_HEAD, index_file
from tests.support.broker_process import BrokerProcess

PERSISTENT = pika.BasicProperties(delivery_mode=2)
RECORD_HEAD = struct.Struct(">II")  # size of the payload, CRC

# As nobody, whom the system refuses. The modules may lie where nobody may not read, so all are loaded before.
AS_NOBODY = """
import os, sys, tempfile
from pathlib import Path
from leveret.cli.check import FolderCheck, run_check
if os.geteuid() == 0:
    FolderCheck(Path(sys.argv[1])).run()
    os.setuid(65534)
    tempfile.tempdir = None  # root's, which nobody else may be allowed to write to
sys.exit(run_check(Path(sys.argv[1]), False))
"""


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All that is in a folder, with the times of the last changes."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command, which changes nothing and never prints a traceback."""
    before = snapshot(folder) if folder.is_dir() else {}
    result = subprocess.run(
        [sys.executable, "-m", "leveret", "check", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert "Traceback" not in result.stderr, result.stderr
    assert (snapshot(folder) if folder.is_dir() else {}) == before
    return result


def checked(folder: Path, status: int) -> dict[str, Any]:
    """What the command finds, as JSON. Its text says the same in the end."""
    result = run(folder, "--json")
    assert (result.returncode, result.stderr) == (status, ""), result.stdout
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["whole"] == (status == 0)
    text = run(folder)
    assert text.returncode == status
    last = "All is whole." if status == 0 else f"Damaged: {len(found['damaged'])} finding"
    assert text.stdout.splitlines()[-1].startswith(last)
    for finding in found["damaged"] + found["unfinished"]:
        assert f"{finding['file']}" in text.stdout
        assert finding["text"] in text.stdout
    return found


def refusal(folder: Path) -> str:
    """The one line of a folder that can't be checked."""
    result = run(folder)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("leveret: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("leveret: ").rstrip("\n")


def contents(found: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Messages and octets of each queue."""
    return {queue["name"]: (queue["messages"], queue["message_bytes"]) for queue in found["queues"]}


def places(findings: list[dict[str, Any]]) -> list[tuple[str, int | None]]:
    return [(finding["file"], finding["offset"]) for finding in findings]


def records(log: Path) -> list[tuple[int, int]]:
    """Where each record of a log begins, and how long it is."""
    data = log.read_bytes()
    found = []
    at = int(LOG_HEAD)
    while at < len(data):
        size = RECORD_HEAD.size + RECORD_HEAD.unpack_from(data, at)[0]
        found.append((at, size))
        at += size
    return found


def settled_batch(queue_id: int, offset: int) -> bytes:
    """A batch that settles one message in one queue."""
    entry = struct.pack(">q", queue_id << 32 | offset)
    return struct.pack(">II", 1, zlib.crc32(entry)) + entry


def flip(path: Path, offset: int) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def first_life(channel: Any) -> None:
    """20 messages for two queues, 10 for one of them alone; nothing is taken."""
    channel.exchange_declare("events", "fanout", durable=True)
    for name in ("tasks", "copies", "empty"):
        channel.queue_declare(name, durable=True)
    for name in ("tasks", "copies"):
        channel.queue_bind(name, "events")
    for number in range(20):
        channel.basic_publish("events", "", b"%03d" % number + bytes(97), PERSISTENT)
    for _ in range(10):
        channel.basic_publish("", "tasks", bytes(1000), PERSISTENT)
    for _ in range(5):
        channel.basic_publish("", "tasks", b"transient")


def second_life(channel: Any) -> None:
    """4 of the first 20 are acknowledged in one of their queues, one more by a transaction that publishes 3."""
    for _ in range(4):
        channel.basic_ack(channel.basic_get("copies")[0].delivery_tag)
    transactional = channel.connection.channel()
    transactional.tx_select()
    transactional.basic_ack(transactional.basic_get("copies")[0].delivery_tag)
    for _ in range(3):
        transactional.basic_publish("", "copies", bytes(10), PERSISTENT)
    transactional.tx_commit()


def third_life(channel: Any) -> None:
    """2 messages of 7 octets."""
    for _ in range(2):
        channel.basic_publish("", "tasks", b"7 bytes", PERSISTENT)


TASKS = (32, 20 * 100 + 10 * 1000 + 2 * 7)
COPIES = (18, 15 * 100 + 3 * 10)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a broker that was killed three times: segments 1 to 3, the first two closed and with an index."""
    broker = BrokerProcess(tmp_path_factory.mktemp("check"))
    for life in (first_life, second_life, third_life):
        broker.start()
        with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            life(channel)
        with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
            # An answer from the disk: what was settled before it is written.
            connection.channel().queue_declare("empty", durable=True)
            connection.channel().exchange_declare("last", durable=True)
            connection.channel().exchange_delete("last")
        broker.stop(signal.SIGKILL)
    return broker.data_dir


@pytest.fixture
def folder(kept: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    copy = tmp_path / "data"
    shutil.copytree(kept, copy, ignore=shutil.ignore_patterns("*.sock"))
    return copy


@pytest.fixture
def rolled(tmp_path: Path) -> Path:
    """A folder whose first segment was filled, and so closed while the broker ran."""
    with (
        BrokerProcess(tmp_path, "--segment-size", "64KiB") as broker,
        pika.BlockingConnection(pika.URLParameters(broker.url)) as connection,
    ):
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("large", durable=True)
        for _ in range(100):
            channel.basic_publish("", "large", bytes(1000), PERSISTENT)
    return broker.data_dir


# what is whole


def test_what_a_killed_broker_left(folder: Path) -> None:
    found = checked(folder, 0)
    assert found["data_directory"] == str(folder)
    assert found["format"] == 1
    assert found["definitions"] == {
        "format": 4,
        "vhosts": 1,
        "exchanges": 1,
        "queues": 3,
        "bindings": 2,
        "policies": 0,
        "users": 1,
        "permissions": 1,
        "topic_permissions": 0,
    }
    assert contents(found) == {"tasks": TASKS, "copies": COPIES, "empty": (0, 0)}
    assert [queue["lost"] for queue in found["queues"]] == [0, 0, 0]
    log = found["message_log"]
    assert (log["segments"], log["records"], log["transient"], log["superseded"]) == (3, 35, 0, 0)
    assert log["octets"] == sum(path.stat().st_size for path in (folder / "messages").iterdir())
    assert (found["damaged"], found["unfinished"], found["set_aside"]) == ([], [], 0)


def test_what_is_printed(folder: Path) -> None:
    printed = run(folder).stdout.splitlines()
    assert printed[:2] == [
        f"Data folder {folder}: format 1",
        "Definitions: format 4, 1 virtual host, 1 exchange, 2 bindings, 0 policies, 1 user, 1 permission, "
        "3 queues, 2 of them with messages",
    ]
    assert printed[2].startswith("Message log: 3 segments, ")
    assert printed[2].endswith(", 35 records")
    cells = [line.strip("│").replace(" ", "").split("│") for line in printed if line.startswith("│")]
    assert cells == [
        ["vhost", "queue", "messages", "message_bytes"],
        ["/", "tasks", *map(str, TASKS)],
        ["/", "copies", *map(str, COPIES)],
    ]


def test_a_start_serves_what_was_counted(folder: Path, tmp_path: Path) -> None:
    found = checked(folder, 0)
    with BrokerProcess(tmp_path) as broker, pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        for name, (messages, octets) in contents(found).items():
            assert channel.queue_declare(name, passive=True).method.message_count == messages
            bodies = [channel.basic_get(name)[2] for _ in range(messages)]
            assert sum(map(len, bodies)) == octets
    found = checked(folder, 0)
    assert contents(found) == {"tasks": TASKS, "copies": COPIES, "empty": (0, 0)}


def test_a_segment_that_was_filled(rolled: Path) -> None:
    assert (rolled / "messages/00000001.index").exists()
    found = checked(rolled, 0)
    assert contents(found) == {"large": (100, 100_000)}
    assert found["message_log"]["segments"] == 2
    assert found["unfinished"] == []
    offset = records(rolled / "messages/00000001.log")[5][0]
    flip(rolled / "messages/00000001.log", offset + 500)
    found = checked(rolled, 1)
    assert contents(found) == {"large": (99, 99_000)}
    assert places(found["damaged"]) == [("messages/00000001.log", offset)]


def test_a_folder_in_which_nothing_was_kept(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "--ephemeral") as broker:
        pass
    found = checked(broker.data_dir, 0)
    assert (found["definitions"], found["queues"], found["message_log"]["segments"]) == (None, [], 0)


def test_paged_out_transient_messages(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    broker.start()
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("large", durable=True)
        for _ in range(20):  # more than a queue keeps in memory
            channel.basic_publish("", "large", bytes(1024 * 1024))
        channel.basic_publish("", "large", b"kept", PERSISTENT)
    broker.stop(signal.SIGKILL)
    found = checked(broker.data_dir, 0)
    assert contents(found) == {"large": (1, 4)}
    transient = found["message_log"]["transient"]
    assert transient >= 1
    assert found["message_log"]["transient_octets"] == transient * 1024 * 1024
    assert "transient message" in run(broker.data_dir).stdout
    shutil.rmtree(broker.data_dir)


def as_nobody(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the folder as a user who can't change it."""
    command = [sys.executable, "-c", AS_NOBODY, folder.name]
    return subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=False, timeout=50)


def test_a_folder_that_may_only_be_read(folder: Path) -> None:
    folder.parent.chmod(0o755)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = snapshot(folder)
    result = as_nobody(folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("\nAll is whole.\n")
    assert snapshot(folder) == before


# what a crash leaves


@pytest.mark.parametrize("kept_octets", [1, 8, 9, -1])
@pytest.mark.parametrize("zeros", [0, 4096])
def test_a_torn_tail(folder: Path, kept_octets: int, zeros: int) -> None:
    log = folder / "messages/00000003.log"
    offset, size = records(log)[-1]
    log.write_bytes(log.read_bytes()[: offset + kept_octets % size] + bytes(zeros))
    found = checked(folder, 0)
    assert contents(found)["tasks"] == (TASKS[0] - 1, TASKS[1] - 7)
    assert places(found["unfinished"]) == [("messages/00000003.log", offset)]
    assert f"{kept_octets % size + zeros} octets" in found["unfinished"][0]["text"]


def test_a_torn_tail_of_settles(folder: Path) -> None:
    settled = folder / "messages/00000001.settled"
    size = settled.stat().st_size
    settled.write_bytes(settled.read_bytes() + struct.pack(">IIq", 2, 1234, 1))
    found = checked(folder, 0)
    assert contents(found)["copies"] == COPIES
    assert places(found["unfinished"]) == [("messages/00000001.settled", size)]


@pytest.mark.parametrize("harm", ["missing", "empty", "cut", "flipped"])
def test_an_index_that_is_not_whole(folder: Path, harm: str) -> None:
    index = folder / "messages/00000001.index"
    data = index.read_bytes()
    if harm == "missing":
        index.unlink()
    else:
        index.write_bytes({"empty": b"", "cut": data[:-1], "flipped": data[:-1] + bytes([data[-1] ^ 1])}[harm])
    found = checked(folder, 0)
    assert contents(found) == {"tasks": TASKS, "copies": COPIES, "empty": (0, 0)}
    assert places(found["unfinished"]) == [("messages/00000001.index", None)]


@pytest.mark.parametrize("octets", [b"", b"LEVER", bytes(16)])
def test_a_segment_that_was_being_made(folder: Path, octets: bytes) -> None:
    (folder / "messages/00000004.log").write_bytes(octets)
    found = checked(folder, 0)
    assert contents(found)["tasks"] == TASKS
    # The one before is the last no more, and so should have an index.
    assert places(found["unfinished"]) == [("messages/00000003.index", None), ("messages/00000004.log", 0)]


def test_files_that_belong_to_no_segment(folder: Path) -> None:
    for name in ("00000000.settled", "00000000.index", "notes.txt", "1.log"):
        (folder / "messages" / name).write_bytes(b"")
    found = checked(folder, 0)
    assert [finding["file"] for finding in found["unfinished"]] == [
        "messages/00000000.index", "messages/00000000.settled", "messages/1.log", "messages/notes.txt",
    ]  # fmt: skip


def test_a_segment_that_was_copied_and_is_still_there(folder: Path) -> None:
    """Copies of all of segment 1, of which one was acknowledged since, and one before only where it stood."""
    old = folder / "messages/00000001"
    data = old.with_suffix(".log").read_bytes()
    copy = data[: int(LOG_HEAD)]
    for at, size in records(old.with_suffix(".log")):
        payload = bytearray(data[at + RECORD_HEAD.size : at + size])
        payload[1] |= 4  # the flag of a copy
        copy += RECORD_HEAD.pack(len(payload), zlib.crc32(payload)) + payload
    (folder / "messages/00000004.log").write_bytes(copy)
    tasks = next(queue["id"] for queue in checked(folder, 0)["queues"] if queue["name"] == "tasks")
    first, second = (offset for offset, _ in records(old.with_suffix(".log"))[:2])
    already = old.with_suffix(".settled").read_bytes()
    (folder / "messages/00000004.settled").write_bytes(already + settled_batch(tasks, first))
    old.with_suffix(".settled").write_bytes(already + settled_batch(tasks, second))
    found = checked(folder, 0)
    assert found["message_log"]["superseded"] == 50 - 5 - 1
    assert contents(found) == {"tasks": (TASKS[0] - 2, TASKS[1] - 200), "copies": COPIES, "empty": (0, 0)}


def test_what_earlier_starts_set_aside(folder: Path) -> None:
    (folder / "damaged").mkdir()
    (folder / "damaged/00000001-16").write_bytes(b"?")
    assert checked(folder, 0)["set_aside"] == 1
    assert "Set aside by earlier starts: 1 file in damaged/\n" in run(folder).stdout


# damage


@pytest.mark.parametrize("at", [0, 3, 4, 8, 10, 20, -1])
def test_a_flipped_bit_in_a_record(folder: Path, at: int) -> None:
    log = folder / "messages/00000001.log"
    offset, size = records(log)[24]  # of the larger ones, for one queue
    flip(log, offset + at % size)
    found = checked(folder, 1)
    assert places(found["damaged"]) == [("messages/00000001.log", offset)]
    assert found["damaged"][0]["text"] == f"{size} octets are no record; 1 live messages stood there, by the index"
    assert {queue["name"]: queue["lost"] for queue in found["queues"]} == {"tasks": 1, "copies": 0, "empty": 0}
    assert contents(found) == {"tasks": (TASKS[0] - 1, TASKS[1] - 1000), "copies": COPIES, "empty": (0, 0)}


def test_damage_where_there_is_no_index(folder: Path) -> None:
    log = folder / "messages/00000003.log"
    offset, size = records(log)[0]
    flip(log, offset + size - 1)
    found = checked(folder, 1)
    assert places(found["damaged"]) == [("messages/00000003.log", offset)]
    assert found["damaged"][0]["text"] == f"{size} octets are no record"
    assert contents(found)["tasks"] == (TASKS[0] - 1, TASKS[1] - 7)


def test_several_damages(folder: Path) -> None:
    log = folder / "messages/00000001.log"
    offsets = [records(log)[number][0] for number in (2, 7, 8, 20)]
    for offset in offsets:
        flip(log, offset + 50)
    (folder / "messages/00000002.log").write_bytes(b"?" * 200)
    found = checked(folder, 1)
    # Neighbours make one stretch.
    del offsets[2]
    assert places(found["damaged"]) == [
        *(("messages/00000001.log", offset) for offset in offsets), ("messages/00000002.log", 0)
    ]  # fmt: skip
    assert {queue["name"]: queue["lost"] for queue in found["queues"]} == {"tasks": 4, "copies": 2, "empty": 0}


def test_a_log_that_lost_its_head(folder: Path) -> None:
    log = folder / "messages/00000001.log"
    log.write_bytes(bytes(int(LOG_HEAD)) + log.read_bytes()[int(LOG_HEAD) :])
    found = checked(folder, 1)
    assert places(found["damaged"]) == [("messages/00000001.log", 0)]
    assert contents(found) == {"tasks": TASKS, "copies": COPIES, "empty": (0, 0)}


def test_an_index_of_something_else(folder: Path) -> None:
    index = folder / "messages/00000001.index"
    entries = index.read_bytes()[int(INDEX_HEAD) :]
    index.write_bytes(index_file(entries[: -int(INDEX_ENTRY)], False))
    found = checked(folder, 1)
    assert places(found["damaged"]) == [("messages/00000001.index", None)]
    assert found["damaged"][0]["text"] == "does not agree with the log, which has 50 entries to its 49"
    assert contents(found)["tasks"] == TASKS


def test_an_index_that_hides_what_a_transaction_settled(folder: Path) -> None:
    index = folder / "messages/00000002.index"
    index.write_bytes(index_file(index.read_bytes()[int(INDEX_HEAD) :], False))
    found = checked(folder, 1)
    assert places(found["damaged"]) == [("messages/00000002.index", None)]


def test_damaged_settles(folder: Path) -> None:
    settled = folder / "messages/00000001.settled"
    data = settled.read_bytes()
    assert struct.unpack_from(">I", data)[0] * 8 + 8 < len(data), "there is more than one batch"
    flip(settled, 12)
    found = checked(folder, 1)
    assert places(found["damaged"]) == [("messages/00000001.settled", 0)]
    assert f"{len(data)} octets" in found["damaged"][0]["text"]
    # What the transaction settled stands in the log, too.
    assert contents(found)["copies"] == (COPIES[0] + 4, COPIES[1] + 4 * 100)


def test_damaged_definitions(folder: Path) -> None:
    with sqlite3.connect(folder / "definitions.sqlite") as database:  # has the log merged into the file
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    data = bytearray((folder / "definitions.sqlite").read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    (folder / "definitions.sqlite").write_bytes(data)
    found = checked(folder, 1)
    assert places(found["damaged"]) == [("definitions.sqlite", None)]
    assert found["damaged"][0]["text"].startswith("is damaged: ")
    # What the log holds is told all the same.
    assert [queue["name"] for queue in found["queues"]] == [None, None]
    assert [(queue["messages"], queue["message_bytes"]) for queue in found["queues"]] == [TASKS, COPIES]
    printed = run(folder).stdout
    assert "Definitions: damaged\n" in printed
    assert "(id 1)" in printed


def test_missing_definitions(folder: Path) -> None:
    for path in folder.glob("definitions.sqlite*"):
        path.unlink()
    found = checked(folder, 1)
    assert places(found["damaged"]) == [("definitions.sqlite", None)]


# what can't be checked


def test_a_running_broker(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        # Not by `run`: a running broker changes its files.
        result = subprocess.run(
            [sys.executable, "-m", "leveret", "check", str(broker.data_dir)], capture_output=True, text=True, timeout=50
        )
        assert (result.returncode, result.stdout) == (2, "")
        in_use = f"the data folder {broker.data_dir} is in use by a broker: stop it first, or check a copy"
        assert result.stderr == f"leveret: {in_use}\n"
    assert run(broker.data_dir).returncode == 0


def test_no_such_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere") == f"there is no data folder {tmp_path / 'nowhere'}"
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file") == f"there is no data folder {tmp_path / 'file'}"
    (tmp_path / "other").mkdir()
    assert refusal(tmp_path / "other") == f"{tmp_path / 'other'} is no data folder of Leveret: it has no FORMAT"


@pytest.mark.parametrize("hidden", [".", "FORMAT", "lock", "definitions.sqlite", "messages", "messages/00000002.log"])
def test_what_may_not_be_read(folder: Path, hidden: str) -> None:
    folder.parent.chmod(0o755)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (folder / hidden).chmod(0)
    result = as_nobody(folder)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("leveret: cannot ")
    assert result.stderr.endswith(": Permission denied\n")
    assert result.stderr.count("\n") == 1
    folder.chmod(0o700)


def test_a_newer_folder(folder: Path) -> None:
    (folder / "FORMAT").write_text("2\n")
    expected = f"the data folder {folder} has format 2, made by a later version of Leveret; this one knows 1"
    assert refusal(folder) == expected


def test_newer_definitions(folder: Path) -> None:
    path = folder / "definitions.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    assert refusal(folder) == f"{path} has format 9, made by a later version of Leveret; this one knows 4"


SINCE_THE_THIRD_FORMAT = ("users", "permissions", "topic_permissions", "parameters", "global_parameters")


def test_definitions_of_an_earlier_format_are_checked_as_they_are(folder: Path) -> None:
    path = folder / "definitions.sqlite"
    with sqlite3.connect(path) as database:
        for table in ("policies", "vhost_limits", "user_limits", *SINCE_THE_THIRD_FORMAT):
            database.execute(f"DROP TABLE {table}")
        for column in ("description", "tags", "default_queue_type", "protected"):
            database.execute(f"ALTER TABLE vhosts DROP COLUMN {column}")
        for column in ("user", "paused"):
            database.execute(f"ALTER TABLE queues DROP COLUMN {column}")
        database.execute("PRAGMA user_version = 1")
    database.close()
    before = path.read_bytes()
    assert checked(folder, 0)["definitions"]["format"] == 1
    assert path.read_bytes() == before


def test_a_newer_segment(folder: Path) -> None:
    log = folder / "messages/00000002.log"
    data = log.read_bytes()
    log.write_bytes(data[:8] + struct.pack(">I", 7) + data[12:])
    assert refusal(folder) == f"{log} has format version 7, and this broker knows up to 1"


def test_arguments() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "leveret", "check"], capture_output=True, text=True, check=False, timeout=50
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert "DATA_DIR" in result.stderr
